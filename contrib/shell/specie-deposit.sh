#!/usr/bin/env bash
# specie-deposit.sh: a merchant's client in a few tools that every system has.
# It verifies a payment by itself and deposits it at the bank.
#
# It is written to be read: each step names the section of docs/api.md that
# says how it is done, so that a client in another language can follow.
set -euo pipefail
export LC_ALL=C
umask 077

usage() {
	cat <<'TEXT'
usage: specie-deposit.sh --bank URL --root FILE --token-file FILE --offer FILE --payment FILE [--out DIR] [--at TIME] [--check]

Verifies a payment in bearer coins, deposits it, and verifies the receipt.

  --bank URL         the bank, https, or http on this machine
  --root FILE        the root certificate (PEM) that you trust
  --token-file FILE  the account's access token
  --offer FILE       the payment link of your offer, as "specie merchant offer" prints it
  --payment FILE     what the payer posted to the till, JSON
  --out DIR          where receipt.jws and answer.json are written; nowhere otherwise
  --at TIME          judge dates as of then, seconds since 1970; now otherwise
  --check            verify only, deposit nothing; needs no token

exit status: 0 done, 1 cannot work, 2 the payment is no good (nothing was sent),
3 the bank refused it, 4 the outcome is unknown: run it again with the same files

example:
  specie-deposit.sh --bank https://bank.example --root root.pem --token-file token \
      --offer offer.txt --payment payment.json --out receipts/4711
TEXT
}

say() { printf '%s\n' "$*" >&2; }
fail() { say "specie-deposit: error: $*"; exit 1; }
bad() { say "specie-deposit: refused: $*"; exit 2; }
unknown() { say "specie-deposit: error: $*; the outcome is unknown: run it again with the same files"; exit 4; }

bank='' root='' token='' offer='' payment='' out='' at='' check=''
while [ $# -gt 0 ]; do
	case $1 in
	--help | -h) usage; exit 0 ;;
	--check) check=1; shift; continue ;;
	esac
	[ $# -ge 2 ] || fail "$1 needs a value; see --help"
	case $1 in
	--bank) bank=${2%/} ;;
	--root) root=$2 ;;
	--token-file) token=$2 ;;
	--offer) offer=$2 ;;
	--payment) payment=$2 ;;
	--out) out=$2 ;;
	--at) at=$2 ;;
	*) fail "unknown option $1; see --help" ;;
	esac
	shift 2
done
[ -n "$bank" ] && [ -n "$root" ] && [ -n "$offer" ] && [ -n "$payment" ] || fail "--bank, --root, --offer and --payment are needed; see --help"
[ -n "$check" ] || [ -n "$token" ] || fail "--token-file is needed to deposit; see --help"
[ -n "$at" ] || at=$(date +%s)
case $bank in # the token travels there
https://* | http://127.* | http://localhost | http://localhost[:/]* | 'http://[::1]'*) ;;
*) fail "the bank's address is https, or http on this machine" ;;
esac
for tool in curl jq openssl od; do
	command -v "$tool" >/dev/null || fail "$tool is not installed"
done
for file in "$root" "$offer" "$payment"; do
	[ -r "$file" ] || fail "$file can't be read"
done
[ "$(wc -c <"$payment")" -le 1048576 ] || bad "a payment is at most 1 MiB"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# --- bytes: section "Encodings". In variables bytes are lower-case hex.

hex() { od -An -v -tx1 "$@" | tr -d ' \n'; }   # bytes on stdin, or a file
unhex() { # hex to bytes on stdout
	local h=$1 i
	for ((i = 0; i < ${#h}; i += 8192)); do
		printf "$(printf '%s' "${h:i:8192}" | sed 's/../\\x&/g')"
	done
}
text() { printf '%s' "$1" | hex; }             # text to hex
sha256() { unhex "$1" | openssl dgst -sha256 -binary | hex; }
b64url() { unhex "$1" | openssl base64 -A | tr '+/' '-_' | tr -d '='; }
unb64url() { # base64url to hex, in its one form
	local s=$1 h
	case $s in *[!A-Za-z0-9_-]*) return 1 ;; esac
	local pad=$s
	while [ $((${#pad} % 4)) -ne 0 ]; do pad+='='; done
	h=$(printf '%s' "$pad" | tr -- '-_' '+/' | openssl base64 -d -A | hex) || return 1
	[ "$(b64url "$h")" = "$s" ] || return 1
	printf '%s' "$h"
}
# frame: each part preceded by its length, 4 bytes big-endian (section "Frames").
frame() {
	local p
	for p in "$@"; do printf '%08x%s' $((${#p} / 2)) "$p"; done
}
uint64() { printf '%016x' "$1"; }
# For jq: the seconds of a time in RFC 3339, UTC, whole seconds.
seconds='def seconds: if test("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$") then fromdateiso8601 else error("not a time") end;'

# --- signed documents: section "Signed documents".

# pem writes DER (hex) as PEM.
pem() { printf -- '-----BEGIN %s-----\n' "$1"; unhex "$2" | openssl base64; printf -- '-----END %s-----\n' "$1"; }

# integer is an ASN.1 INTEGER of an unsigned number in hex.
integer() {
	local n=$1
	while [ "${n:0:2}" = 00 ] && [ ${#n} -gt 2 ]; do n=${n:2}; done
	case $n in [89a-f]*) n=00$n ;; esac
	printf '02%02x%s' $((${#n} / 2)) "$n"
}

# document verifies a compact JWS: document FILE TYP ROLE NAME. It leaves the
# payload in $tmp/NAME.json, and prints the signer's id.
document() {
	local file=$1 typ=$2 role=$3 name=$4 head body sig rest header n i id bytes alg digest r s seq certs
	IFS=. read -r head body sig rest <"$file" || [ -n "$sig" ] || bad "the $name is not a compact JWS"
	[ -z "${rest:-}" ] && [ -n "$sig" ] || bad "the $name is not a compact JWS"
	header=$(unhex "$(unb64url "$head")") || bad "the $name has no header"
	# Nothing but these three members: nothing may change how the rest is read.
	read -r -a certs < <(jq -r --arg typ "$typ" 'if keys == ["alg", "typ", "x5c"] and .typ == $typ
		then .alg + " " + (.x5c | join(" ")) else "none" end' <<<"$header" 2>/dev/null) || bad "the $name has no header"
	n=$((${#certs[@]} - 1))
	[ "$n" = 1 ] || [ "$n" = 2 ] || bad "the $name is not a $typ under one or two certificates"
	for ((i = 0; i < n; i++)); do
		printf '%s' "${certs[i + 1]}" | openssl base64 -d -A | openssl x509 -inform DER -out "$tmp/$name.$i.pem" 2>/dev/null ||
			bad "the $name has a certificate that does not read"
	done
	local untrusted=()
	[ "$n" = 1 ] || untrusted=(-untrusted "$tmp/$name.1.pem")
	openssl verify -no-CApath -no-CAstore -CAfile "$root" -attime "$at" "${untrusted[@]}" "$tmp/$name.0.pem" >/dev/null 2>&1 ||
		bad "the $name is not signed under the root, or not at this time"
	id=$(role "$tmp/$name.0.pem" "$role") || bad "the $name is not signed by a $role"
	if [ "$role" = signing ]; then # certified by the bank's master
		[ "$n" = 2 ] && [ "$(role "$tmp/$name.1.pem" bank)" = "$id" ] || bad "the $name is signed under another bank"
	else
		[ "$n" = 1 ] || bad "the $name has a certificate too many"
	fi
	openssl x509 -in "$tmp/$name.0.pem" -noout -pubkey >"$tmp/$name.key"
	case $(openssl pkey -pubin -in "$tmp/$name.key" -noout -text) in
	*P-384*) alg=ES384 bytes=48 digest=-sha384 ;;
	*P-256*) alg=ES256 bytes=32 digest=-sha256 ;;
	*) bad "the $name is signed with a key of another kind" ;;
	esac
	[ "${certs[0]}" = "$alg" ] || bad "the $name is not signed with $alg"
	sig=$(unb64url "$sig") && [ ${#sig} -eq $((bytes * 4)) ] || bad "the $name's signature is of another length"
	# JWS has r and s side by side (RFC 7518 §3.4), openssl wants DER.
	r=$(integer "${sig:0:bytes * 2}") s=$(integer "${sig:bytes * 2}")
	seq=$r$s
	unhex "30$(printf '%02x' $((${#seq} / 2)))$seq" >"$tmp/$name.sig"
	printf '%s.%s' "$head" "$body" | openssl dgst "$digest" -verify "$tmp/$name.key" -signature "$tmp/$name.sig" >/dev/null 2>&1 ||
		bad "the $name's signature is no good"
	unhex "$(unb64url "$body")" >"$tmp/$name.json"
	printf '%s' "$id"
}

# role prints the id that a certificate has in a role: its one URI name.
role() {
	local san
	san=$(openssl x509 -in "$1" -noout -ext subjectAltName 2>/dev/null | sed -n 's/^ *URI:\(.*\)$/\1/p')
	case $san in
	*,*) return 1 ;;
	"urn:specie:$2:"*) printf '%s' "${san#"urn:specie:$2:"}" ;;
	*) return 1 ;;
	esac
}

# --- coins: section "Coins".

# take reads the next CBOR item of major type $1 from $cbor into $item: the
# value of an integer, the content of a string (hex), the length of a map.
take() {
	local head=$((16#${cbor:0:2})) size
	[ $((head >> 5)) -eq "$1" ] || bad "a coin is not the CBOR of one"
	cbor=${cbor:2}
	case $((head & 31)) in
	24) size=$((16#${cbor:0:2})) cbor=${cbor:2}; [ "$size" -ge 24 ] || bad "a coin is not in its one form" ;;
	25) size=$((16#${cbor:0:4})) cbor=${cbor:4}; [ "$size" -ge 256 ] || bad "a coin is not in its one form" ;;
	2[6-9] | 3[01]) bad "a coin is not the CBOR of one" ;;
	*) size=$((head & 31)) ;;
	esac
	item=$size
	case $1 in
	2 | 3)
		[ ${#cbor} -ge $((size * 2)) ] || bad "a coin is cut off"
		item=${cbor:0:size * 2} cbor=${cbor:size * 2}
		;;
	esac
}

# cbor writes a string: cbor MAJOR HEX.
string() {
	local n=$((${#2} / 2))
	if [ $n -lt 24 ]; then printf '%02x%s' $(($1 * 32 + n)) "$2"; else printf '%02x%02x%s' $(($1 * 32 + 24)) $n "$2"; fi
}

# coin takes the text of a coin apart, into coin_*.
coin() {
	local i types=(0 3 2 3 2 2 2) values=()
	case $1 in specie1*) ;; *) bad "a coin begins with specie1" ;; esac
	cbor=$(unb64url "${1#specie1}") || bad "a coin is not base64url"
	take 5
	[ "$item" = 7 ] || bad "a coin of a newer version"
	for i in 0 1 2 3 4 5 6; do
		take 0
		[ "$item" = $i ] || bad "a coin of a newer version"
		take "${types[i]}"
		values[i]=$item
	done
	[ -z "$cbor" ] || bad "a coin has something behind it"
	[ "${values[0]}" = 1 ] || bad "a coin of version ${values[0]}"
	coin_bank=${values[1]} coin_kid=${values[2]} coin_kind=$(unhex "${values[3]}") coin_owner=${values[4]} coin_sig=${values[6]}
	[ ${#coin_kid} -eq 64 ] && [ ${#values[5]} -eq 64 ] || bad "a coin is not the CBOR of one"
	# What the bank signed: randomizer ‖ CBOR(["specie/coin/1", bank, kid, kind, owner]).
	coin_prepared=${values[5]}85$(string 3 "$(text specie/coin/1)")$(string 3 "$coin_bank")$(string 2 "$coin_kid")$(string 3 "${values[3]}")$(string 2 "$coin_owner")
	coin_id=$(sha256 "$coin_prepared")
}

# denomination finds a key of the keyset: sets key_*, and writes its public key
# into $tmp/<kid>.pem.
declare -A keys=()
denomination() { # KID as text
	local found spki
	found=${keys[$1]:-}
	if [ -z "$found" ]; then
		found=$(jq -r --arg kid "$1" "$seconds"'.denominations[] | select(.kid == $kid)
			| "\(.value) \(.kind) \(.revoked) \(.issue_from | seconds) \(.spend_until | seconds) \(.spki)"' "$tmp/keyset.json") || fail "the keyset does not read"
		[ -n "$found" ] || bad "the bank has no key $1"
		spki=$(unb64url "${found##* }") || fail "the keyset does not read"
		# The id is the key's hash: the keyset can't call a key by another's name.
		[ "$(b64url "$(sha256 "$spki")")" = "$1" ] || bad "the keyset names a key wrongly"
		pem 'PUBLIC KEY' "$spki" >"$tmp/$1.pem"
		keys[$1]=$found
	fi
	read -r key_value key_kind key_revoked key_from key_until spki <<<"$found"
}

# outputs is the digest of a list of outputs, KID and BLINDED in turn; their
# worth is in $worth.
outputs() {
	local parts=()
	worth=0
	while [ $# -ge 2 ]; do
		denomination "$1"
		worth=$((worth + key_value))
		parts+=("$(unb64url "$1")" "$(unb64url "$2")") || bad "an output is not base64url"
		shift 2
	done
	digest=$(sha256 "$(frame "${parts[@]}")")
}

# spend verifies a spend in bearer coins, the bank's signatures and its owners',
# whatever the time: section "Spends". It sets spend_*.
spend() { # FILE
	local file=$1 i last='' sig worth digest issuer acquirer text owners=() lines
	mapfile -t lines < <(jq -r "$seconds"'select(.v == 1 and (.coins | type == "array" and length > 0 and length <= 256)
		and (.amount | type == "number" and . >= 0 and . == floor and . <= 9007199254740991) and (.presentation or .group or .stead | not))
		| .purpose, .bank, .currency, (.offer // ""), .amount, (.issued_at | seconds), (.coins | join(" ")), (.bearer // [] | join(" ")),
		((.to_issuer // []) | map(.kid, .blinded) | join(" ")), ((.to_acquirer // []) | map(.kid, .blinded) | join(" "))' "$file" 2>/dev/null)
	[ ${#lines[@]} -eq 10 ] || bad "it is not a spend in bearer coins, which is all that this script can verify"
	spend_purpose=${lines[0]} spend_bank=${lines[1]} spend_currency=${lines[2]} spend_offer=${lines[3]} spend_amount=${lines[4]}
	spend_ids=() spend_sum=0 spend_joined='' spend_revoked='' spend_from=0 spend_until=99999999999 spend_unsigned=''
	[ "$spend_bank" = "$bank_id" ] || bad "it is of another bank"
	for text in ${lines[6]}; do
		coin "$text"
		[ "$coin_bank" = "$(text "$bank_id")" ] || bad "a coin of another bank"
		[ "$coin_kind" = bearer ] && [ ${#coin_owner} -eq 64 ] || bad "a coin is not a bearer coin"
		[[ "$coin_id" > "$last" ]] || bad "the coins are not in order, or one stands there twice"
		last=$coin_id
		denomination "$(b64url "$coin_kid")"
		[ "$key_kind" = bearer ] || bad "a bearer coin under a $key_kind key"
		# Only a recoup has coins without signature.
		if [ -n "$coin_sig" ]; then signed "$tmp/$(b64url "$coin_kid").pem"; else spend_unsigned=1; fi
		[ "$key_revoked" = false ] || spend_revoked=1
		[ "$key_from" -le "$spend_from" ] || spend_from=$key_from
		[ "$key_until" -ge "$spend_until" ] || spend_until=$key_until
		spend_sum=$((spend_sum + key_value))
		spend_ids+=("$coin_id") owners+=("$coin_owner") spend_joined+=$coin_id
	done
	# shellcheck disable=SC2086 # lists without blanks in their items
	outputs ${lines[8]}; issuer=$digest spend_change=$worth
	# shellcheck disable=SC2086
	outputs ${lines[9]}; acquirer=$digest spend_acquirer=$worth
	spend_offer_hex=$(printf '%064d' 0)
	[ -z "$spend_offer" ] || spend_offer_hex=$(unb64url "$spend_offer") || bad "the offer's digest does not read"
	spend_frame=$(frame "$(text specie/spend/1)" "$(text "$spend_purpose")" "$(text "$spend_bank")" "$spend_offer_hex" \
		"$(uint64 "$spend_amount")" "$(text "$spend_currency")" "$spend_joined" "$issuer" "$acquirer" \
		"$(printf '%064d' 0)" "$(uint64 "${lines[5]}")")
	spend_digest=$(b64url "$(sha256 "$spend_frame")")
	spend_op=$(b64url "$(sha256 "$(frame "$spend_offer_hex" "$(text "$bank_id")" "$spend_joined")")")
	unhex "$spend_frame" >"$tmp/frame"
	read -r -a sigs <<<"${lines[7]}"
	[ ${#sigs[@]} = ${#owners[@]} ] || bad "not every owner signed"
	for ((i = 0; i < ${#owners[@]}; i++)); do
		sig=$(unb64url "${sigs[i]}") || bad "owner $((i + 1))'s signature is not base64url"
		unhex "$sig" >"$tmp/sig"
		pem 'PUBLIC KEY' "302a300506032b6570032100${owners[i]}" >"$tmp/owner.pem" # RFC 8410
		openssl pkeyutl -verify -pubin -inkey "$tmp/owner.pem" -rawin -in "$tmp/frame" -sigfile "$tmp/sig" >/dev/null 2>&1 ||
			bad "coin $((i + 1)): its owner did not sign this spend"
	done
}

# signed verifies the bank's signature on the coin: RSASSA-PSS with SHA-384 and
# a salt of 48 bytes (RFC 9474 §5, RSABSSA-SHA384-PSS-Randomized).
signed() {
	unhex "$coin_prepared" >"$tmp/prepared"
	unhex "$coin_sig" >"$tmp/sig"
	openssl dgst -sha384 -verify "$1" -signature "$tmp/sig" -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:48 \
		-sigopt rsa_mgf1_md:sha384 "$tmp/prepared" >/dev/null 2>&1 || bad "the bank's signature on a coin is no good"
}

# --- the offer: section "Offers".

link=$(tr -d '\r\n' <"$offer")
case $link in 'specie:pay?o='*) ;; *) fail "$offer holds no payment link" ;; esac
unhex "$(unb64url "${link#specie:pay?o=}")" >"$tmp/link.json" || fail "$offer does not read"
read -r jws private < <(jq -r '.jws + " " + .private' "$tmp/link.json") || fail "$offer does not read"
offer_p=$(unb64url "$(cut -d. -f2 <<<"$jws")") || fail "$offer does not read"
unhex "$offer_p" >"$tmp/offer.json"
unhex "$(unb64url "$private")" >"$tmp/private.json" || fail "$offer does not read"
offer_digest=$(b64url "$(sha256 "$offer_p")")
read -r offer_payee offer_acquirer offer_amount offer_currency < <(jq -r '"\(.payee) \(.acquirer) \(.amount) \(.currency)"' "$tmp/offer.json")
read -r salt merchant < <(jq -r '"\(.payee_salt) \(.merchant)"' "$tmp/private.json")
[ "$(b64url "$(sha256 "$(unb64url "$salt")$(text "$merchant")")")" = "$offer_payee" ] || fail "the two parts of $offer do not belong together"

# --- the keyset: section "Keys".

curl -sS --max-time 30 --max-filesize 6000000 -o "$tmp/keys" "$bank/v1/keys" || fail "the bank can't be reached"
jq -j .keyset "$tmp/keys" >"$tmp/keyset.jws" 2>/dev/null || fail "the bank answers no keyset"
bank_id=$(document "$tmp/keyset.jws" specie-keyset+jws bank keyset)
known='v bank currency exponent seq prev issued_at crit denominations kid value kind spki issue_from issue_until spend_until deposit_until legal_until revoked lost revoked_signers'
read -r version keyset_bank currency issued unknown < <(jq -r --arg known "$known" "$seconds"'"\(.v) \(.bank) \(.currency) \(.issued_at | seconds) \((.crit // []) - ($known | split(" ")) | length)"' "$tmp/keyset.json") ||
	fail "the keyset does not read"
[ "$version" = 1 ] && [ "$unknown" = 0 ] || fail "the keyset has something that this script must understand and does not"
[ "$keyset_bank" = "$bank_id" ] || bad "the keyset is another bank's"
[ "$issued" -le $((at + 86400)) ] || bad "the keyset is from the future"

# --- the payment: section "What a merchant checks".

spend "$payment"
[ "$spend_purpose" = pay ] || bad "it is not a payment"
[ "$spend_offer" = "$offer_digest" ] || bad "it pays another offer"
[ "$offer_acquirer" = "$bank_id" ] || bad "the offer is for another bank"
[ "$spend_amount" = "$offer_amount" ] || bad "the amount is not the offer's"
[ "$spend_currency" = "$offer_currency" ] && [ "$spend_currency" = "$currency" ] || bad "the currency is not the offer's or not the bank's"
[ "$spend_acquirer" = 0 ] || bad "nothing of the amount goes back"
[ "$spend_sum" = $((spend_amount + spend_change)) ] || bad "coins of $spend_sum for $spend_amount and $spend_change change"
[ -z "$spend_unsigned" ] || bad "a coin without the bank's signature"
[ -z "$spend_revoked" ] || bad "a coin's key is revoked"
[ "$at" -ge "$spend_from" ] || bad "a coin's key is not valid yet"
[ "$at" -lt "$spend_until" ] || bad "a coin's key has expired"
say "verified: ${#spend_ids[@]} coins worth $spend_sum, $spend_amount to you, $spend_change change; op $spend_op"
if [ -n "$check" ]; then exit 0; fi
op=$spend_op spent=$spend_digest ids=" ${spend_ids[*]} " own=$spend_frame

# --- the deposit: section "Deposit". The same bytes again until the bank
# answers something that is not "later".

jq -cn --arg offer "$(b64url "$offer_p")" --arg salt "$salt" --slurpfile spend "$payment" \
	'{offer: $offer, payee_salt: $salt, spend: $spend[0]}' >"$tmp/request"
{ printf 'Authorization: Bearer '; tr -d '\r\n' <"$token"; printf '\n'; } >"$tmp/headers" # not in argv
status=000
for try in 1 2 3 4 5; do
	: >"$tmp/answer.headers"
	status=$(curl -sS --max-time 60 --max-filesize 6000000 -H @"$tmp/headers" -H 'Content-Type: application/json' --data-binary @"$tmp/request" \
		-D "$tmp/answer.headers" -o "$tmp/answer" -w '%{http_code}' "$bank/v1/deposits" 2>/dev/null) || status=000
	case $status in
	202 | 429 | 5?? | 000)
		[ "$try" = 5 ] && break
		pause=$(sed -n 's/^[Rr]etry-[Aa]fter: *\([0-9]*\).*/\1/p' "$tmp/answer.headers" | head -n 1)
		pause=${pause:-1}
		[ "$pause" -le 10 ] || pause=10
		sleep "$pause"
		;;
	*) break ;;
	esac
done

# conflict shows the earlier spend, verified: a bank can't make one up.
conflict() {
	local coin
	jq -e '.conflict.v == 1' "$tmp/answer" >/dev/null 2>&1 || unknown "the bank says that a coin is spent, and shows nothing for it"
	jq .conflict.spend "$tmp/answer" >"$tmp/earlier"
	coin=$(unb64url "$(jq -r .conflict.coin "$tmp/answer")") || unknown "the bank's proof does not read"
	(spend "$tmp/earlier"
		case " ${spend_ids[*]} " in *" $coin "*) ;; *) bad "the coin is not in the earlier spend" ;; esac
		case $ids in *" $coin "*) ;; *) bad "the coin is not in this spend" ;; esac
		[ "$spend_frame" != "$own" ] || bad "both are the same spend") || unknown "the bank says that a coin is spent, and its proof is no good"
	say "proof: coin $(b64url "$coin") was spent before:"
	say "  $(jq -c '{purpose, amount, currency, offer, issued_at}' "$tmp/earlier")"
	say "  its owner signed that too; who paid you has spent it twice"
	[ -z "$out" ] || { mkdir -p "$out"; cp "$tmp/answer" "$out/refusal.json"; }
}

case $status in
200) ;;
4??)
	code=$(jq -r '.code // "?"' "$tmp/answer" 2>/dev/null | tr -cd 'a-z-')
	case $code in double-spend | conflict) conflict ;; esac
	say "specie-deposit: refused by the bank ($code): $(jq -r '.detail // .title // ""' "$tmp/answer" 2>/dev/null | tr -cd '\040-\176'), request $(jq -r '.request_id // ""' "$tmp/answer" | tr -cd 'A-Za-z0-9._-')"
	exit 3
	;;
000) unknown "the bank did not answer" ;;
*) unknown "the bank answered $status" ;;
esac

# --- the receipt: section "Receipts".

jq -j .receipt "$tmp/answer" >"$tmp/receipt.jws" 2>/dev/null || unknown "the bank answers no receipt"
signer=$(document "$tmp/receipt.jws" specie-receipt+jws signing receipt) || unknown "the bank's receipt is no good"
stolen=$(b64url "$(openssl pkey -pubin -in "$tmp/receipt.key" -outform DER | openssl dgst -sha256 -binary | hex)")
jq -e --arg key "$stolen" '(.revoked_signers // []) | index($key) | not' "$tmp/keyset.json" >/dev/null || unknown "the receipt is signed with a key that the bank has revoked"
jq -e --arg bank "$bank_id" --arg signer "$signer" --arg op "$op" --arg offer "$offer_digest" --arg spend "$spent" --arg payee "$offer_payee" \
	--slurpfile paid "$payment" '.v == 1 and .kind == "deposit" and .bank == $bank and $signer == $bank and .op == $op and .offer == $offer
	and .spend == $spend and .payee == $payee and .amount == $paid[0].amount and .currency == $paid[0].currency' "$tmp/receipt.json" >/dev/null ||
	unknown "the receipt is about another deposit"
if [ -n "$out" ]; then
	mkdir -p "$out"
	cp "$tmp/receipt.jws" "$out/receipt.jws"
	cp "$tmp/answer" "$out/answer.json" # with the change, for the payer
fi
say "deposited: $(jq -r '"\(.amount) \(.currency) minor units at \(.at)"' "$tmp/receipt.json"); the bank's receipt is good"
printf '%s\n' "$op"

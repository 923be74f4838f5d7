#!/bin/sh
# Founds a practice bank and a practice group manager on SoftHSM, once: every
# ceremony from the root to the supervisors' keys is a plan that two of three
# officers approve and whose transcript is verified. What each service needs goes
# into that service's directory; what belongs on a table with no network goes into
# vault/, which nothing else mounts. Whoever copies the directories has the keys:
# never for money. A real bank holds the same ceremonies with HSMs of its own
# (docs/ceremonies.md) and puts the same files into the same places.
#
# Over anything that is there already it refuses. Cut short, it is begun again
# with empty directories.
set -eu
umask 077

dir=${SPECIE_DIR:-/specie}
bank=${SPECIE_BANK:-DEMOBANK}
group=${SPECIE_GROUP:-DEMOGROUP}
currency=${SPECIE_CURRENCY:-XTS}
values=${SPECIE_VALUES:-1 2 4 8 16 32 64 128 256 512 1024 2048 4096}
database=${SPECIE_DATABASE:-postgres://specie@postgres:5432/specie?sslmode=disable}
issuer_listen=${SPECIE_ISSUER_LISTEN:-0.0.0.0:8080}
group_listen=${SPECIE_GROUP_LISTEN:-0.0.0.0:8081}
group_url=${SPECIE_GROUP_URL:-http://group:8081}
bank_signer_metrics=${SPECIE_BANK_SIGNER_METRICS:-127.0.0.1:9464}
group_signer_metrics=${SPECIE_GROUP_SIGNER_METRICS:-127.0.0.1:9465}
# Who runs what: the numbers that compose.yaml has.
bank_signer=${SPECIE_BANK_SIGNER_UID:-10001}
issuer=${SPECIE_ISSUER_UID:-10002}
group_signer=${SPECIE_GROUP_SIGNER_UID:-10003}
group_manager=${SPECIE_GROUP_UID:-10004}
till=${SPECIE_TILL_UID:-10005}
postgres=${SPECIE_POSTGRES_UID:-999}

say() { printf 'found: %s\n' "$*"; }

for part in papers vault secrets bank-signer bank-socket issuer group-signer group-socket group counter till; do
	mkdir -p "$dir/$part"
	if [ -n "$(ls -A "$dir/$part")" ]; then
		printf 'found: error: %s is not empty: a bank is here, or was begun; nothing was changed\n' "$dir/$part" >&2
		exit 1
	fi
done

vault=$dir/vault
papers=$dir/papers
chmod 700 "$vault"
cd "$vault"
day() { date -u -d "$1" +%Y-%m-%dT%H:%M:%SZ; }
now=$(day '-1 hour') # a clock that is a little slow agrees
ceremony() { specie-ceremony "$@" >>ceremonies.log; }

# One token after the other, so that it is known which directory is whose.
export SOFTHSM2_CONF="$vault/hsm/softhsm2.conf"
for label in central-bank-root bank-master bank-online group-manager; do
	ceremony practice --dir hsm "$label"
	for token in hsm/tokens/*; do
		case " ${known:-} " in *" $token "*) ;; *)
			known="${known:-} $token"
			case $label in
			bank-online) bank_token=$token ;;
			group-manager) group_token=$token ;;
			esac
			;;
		esac
	done
done
module=$(for m in /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so; do [ -e "$m" ] && echo "$m" && break; done)
# key LABEL [OBJECT] names a token, or a key in it.
key() { printf 'pkcs11:token=%s%s?module-path=%s&pin-source=file:%s' "$1" "${2:+;object=$2}" "$module" "$vault/$1.pin"; }

for officer in DAVIS EVANS FROST; do
	ceremony officer new --name "$officer" --out "$officer.key"
done
ceremony officer roster --threshold 2 --out officers.yaml DAVIS=DAVIS.key.pub EVANS=EVANS.key.pub FROST=FROST.key.pub

last=''
# plan NAME: what all plans have in common is put behind the text that comes in.
plan() {
	{
		cat
		printf 'officers: officers.yaml\n'
		[ -z "$last" ] || printf 'follows: %s.transcript\n' "$last"
	} >"$1.yaml"
	last=$1
	for officer in DAVIS EVANS; do
		ceremony approve "$1.yaml" --as "$officer" --key "$officer.key" --yes
	done
}
hold() {
	plan "$1"
	ceremony run "$1.yaml"
	ceremony verify "$1.transcript" --root root.pem --officers officers.yaml
	say "$2"
}
root="{key: \"$(key central-bank-root root)\", certificate: root.pem}"
master="{key: \"$(key bank-master master)\", certificate: issuer.pem}"

hold 1-root 'the central bank has a root key' <<EOF
ceremony: root
key: "$(key central-bank-root root)"
valid: {from: $now, until: $(day '20 years')}
output: {certificate: root.pem, transcript: 1-root.transcript}
EOF
hold 2-issuer 'the bank has a master key, certified by the root' <<EOF
ceremony: issuer
bank: $bank
key: "$(key bank-master master)"
valid: {from: $now, until: $(day '10 years')}
root: $root
output: {certificate: issuer.pem, transcript: 2-issuer.transcript}
EOF
hold 3-signing 'the bank has a key for receipts' <<EOF
ceremony: signing
bank: $bank
key: "$(key bank-online receipts)"
valid: {from: $now, until: $(day '90 days')}
root: root.pem
master: $master
output: {chain: signing.pem, transcript: 3-signing.transcript}
EOF
list=$(echo $values | sed 's/ /, /g')
hold 4-denominations "the bank has denomination keys of two kinds: $list" <<EOF
ceremony: denominations
bank: $bank
currency: $currency
exponent: 2
sequence: 1
token: "$(key bank-online)"
root: root.pem
master: $master
series:
$(for kind in bearer bound; do
	printf '  - {key: %s, kind: %s, bits: 2048, values: [%s],\n' $kind $kind "$list"
	printf '     issue_from: %s, issue_until: %s,\n' "$now" "$(day '60 days')"
	printf '     spend_until: %s, legal_until: %s}\n' "$(day '180 days')" "$(day '5 years')"
done)
output: {keyset: keyset.jws, transcript: 4-denominations.transcript}
EOF
hold 5-group 'the group manager has a key, and a secret sealed under another' <<EOF
ceremony: group
group: $group
key: "$(key group-manager documents)"
seal: "$(key group-manager seal)"
valid: {from: $now, until: $(day '1 year')}
root: $root
output: {certificate: group.pem, sealed: group.sealed, transcript: 5-group.transcript}
EOF
for id in ADAMS BAKER CLARK; do
	ceremony supervisor init --id $id --dir $id
	hold "6-certify-$id" "supervisor $id is certified" <<EOF
ceremony: certify
supervisor: $id
request: $id/request.csr
valid: {from: $now, until: $(day '5 years')}
root: $root
output: {certificate: $id.pem, transcript: 6-certify-$id.transcript}
EOF
	ceremony supervisor accept --dir $id --root root.pem $id.pem
done
mkdir exchange
plan 7-supervisors <<EOF
ceremony: supervisors
group: $group
supervisors: [ADAMS, BAKER, CLARK]
threshold: 2
root: root.pem
exchange: exchange
output: {document: supervision, transcript: 7-supervisors.transcript}
EOF
for round in 1 2 3; do
	for id in ADAMS BAKER CLARK; do
		ceremony run 7-supervisors.yaml --as $id --dir $id
	done
done
say 'the supervisors have made their keys together; no machine ever held the secrets'

# Manufacturers whose TPMs the group manager takes: those that lie in ek-roots/,
# or one that nobody has a TPM of.
mkdir "$papers/ek-roots"
if [ -n "$(ls -A "$dir/ek-roots" 2>/dev/null)" ]; then
	cp "$dir"/ek-roots/* "$papers/ek-roots/"
	software=true # practice TPMs are software
else
	openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -out "$papers/ek-roots/nobody.pem" \
		-subj '/CN=practice: nobody enrols until ek-roots has a manufacturer' -days 3650 2>/dev/null
	software=false
fi
[ -e "$papers/ek-roots/manifest.yaml" ] || specied ek-roots --write "$papers/ek-roots" >>ceremonies.log
[ "$software" = true ] || sed -i 's/"?"/NONE/' "$papers/ek-roots/manifest.yaml"

# Each signer gets the token that it serves, and its PIN, and no other.
# home SERVICE TOKEN PIN LABEL
home() {
	mkdir -p "$dir/$1/tokens"
	mv "$2" "$dir/$1/tokens/"
	sed "s,$vault/hsm/tokens,$dir/$1/tokens," hsm/softhsm2.conf >"$dir/$1/softhsm2.conf"
	mv "$4.pin" "$dir/secrets/$3"
	cat >"$papers/$1.yaml" <<EOF
socket: $5/signer.sock
group: "$6"
allow: ["$7"]
metrics: $8
tokens:
  - {uri: "pkcs11:token=$4?module-path=$module&pin-source=file:$dir/secrets/$3", sessions: 8}
EOF
}
home bank-signer "$bank_token" bank.pin bank-online "$dir/bank-socket" "$bank_signer" "$issuer" "$bank_signer_metrics"
home group-signer "$group_token" group.pin group-manager "$dir/group-socket" "$group_signer" "$group_manager" "$group_signer_metrics"

password=$(openssl rand -hex 32)
printf '%s\n' "$password" >"$dir/secrets/postgres.password"
printf '%s\n' "$password" >"$dir/secrets/database.password"

cp root.pem keyset.jws signing.pem group.pem group.sealed supervision-*.jws "$papers/"
cat >"$papers/issuer.yaml" <<EOF
root: root.pem
keyset: keyset.jws
signing_chain: signing.pem
signer: $dir/bank-socket/signer.sock
signer_user: "$bank_signer"
database: $database
database_password_file: $dir/secrets/database.password
lane: main
witness: $dir/issuer/witness
listen: $issuer_listen
admin_socket: $dir/issuer/admin.sock
groups:
  - {id: $group, url: "$group_url"}
EOF
cat >"$papers/group.yaml" <<EOF
id: $group
root: root.pem
chain: group.pem
seal_key: seal
sealed: group.sealed
supervision: [supervision-ADAMS.jws, supervision-BAKER.jws, supervision-CLARK.jws]
ek_roots: {dir: ek-roots}
insecure_software_tpm: $software
signer: $dir/group-socket/signer.sock
signer_user: "$group_signer"
database: $dir/group/group.db
listen: $group_listen
admin_socket: $dir/group/admin.sock
epoch: {start: $now, length: 720h}
EOF

# Whose what is. Papers are for everybody to read.
chmod 755 "$papers" "$papers/ek-roots"
find "$papers" -type f -exec chmod 644 {} +
chmod 711 "$dir/secrets"
chmod 400 "$dir/secrets"/*
own() { chown -R "$1:$1" "$2"; }
own "$bank_signer" "$dir/secrets/bank.pin"
own "$group_signer" "$dir/secrets/group.pin"
own "$issuer" "$dir/secrets/database.password"
own "$postgres" "$dir/secrets/postgres.password"
own "$bank_signer" "$dir/bank-signer"
own "$group_signer" "$dir/group-signer"
own "$issuer" "$dir/issuer"
own "$group_manager" "$dir/group"
own "$till" "$dir/till"
own "$bank_signer" "$dir/bank-socket"
own "$group_signer" "$dir/group-socket"
chmod 750 "$dir/bank-socket" "$dir/group-socket"
chmod 700 "$dir/bank-signer" "$dir/group-signer" "$dir/issuer" "$dir/group" "$dir/till"
# The till's request goes to the counter, the account's token comes back.
chown "$issuer:$till" "$dir/counter"
chmod 770 "$dir/counter"
say "founded: bank $bank, group manager $group; now start the services, and take the vault away"

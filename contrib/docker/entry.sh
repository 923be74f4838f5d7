#!/bin/sh
# What a container begins with: entry.sh SERVICE. It becomes the program itself,
# which is process 1 then and gets the engine's SIGTERM; only the signers' is
# passed on. Run again, it goes on with what is there.
set -eu
umask 077

dir=${SPECIE_DIR:-/specie}
papers=$dir/papers

fail() {
	printf 'entry: error: %s\n' "$*" >&2
	exit 1
}

service=${1:-}
case $service in
bank-signer | group-signer | issuer | group | counter | till) ;;
*) fail "no service ${service:-named}: bank-signer, group-signer, issuer, group, counter or till" ;;
esac
[ -e "$papers/root.pem" ] || fail "nothing is founded in $papers: run the service found first"

# A token locks itself for good after a few wrong PINs, and an engine restarts
# whatever ends: so a PIN that was refused (status 4) is not tried again until
# somebody who knows why takes the file away.
hold_token() {
	refused=$dir/$service/pin-refused
	[ ! -e "$refused" ] || fail "the token refused the PIN; find out why, then remove $refused"
	specied signer --config "$papers/$service.yaml" &
	child=$!
	trap 'kill -TERM $child 2>/dev/null' TERM INT
	status=0
	wait $child || status=$?
	while kill -0 $child 2>/dev/null; do # a signal ended the waiting, not the program
		status=0
		wait $child || status=$?
	done
	[ "$status" -ne 4 ] || : >"$refused"
	exit "$status"
}

case $service in
bank-signer | group-signer)
	# Only there if the token is SoftHSM's: founded for practice.
	[ ! -e "$dir/$service/softhsm2.conf" ] || export SOFTHSM2_CONF="$dir/$service/softhsm2.conf"
	hold_token
	;;
issuer | group)
	exec specied "$service" --config "$papers/$service.yaml"
	;;
esac

# The counter is the bank's clerk: the till asks for an account with a request
# that it signs, and gets a token. For trying, alice has an account with money.
request=$dir/counter/till.request
token=$dir/counter/till.token
# wait_for FILE WHAT
wait_for() {
	[ -e "$1" ] || printf 'entry: waiting for %s\n' "$2"
	while [ ! -e "$1" ]; do sleep 0.2; done
}

if [ "$service" = counter ]; then
	socket=$dir/issuer/admin.sock
	if [ ! -e "$dir/counter/alice.token" ]; then
		id=$(specied account create --socket "$socket" --kind holder --name alice --token-out "$dir/counter/alice.token")
		specied fund "${SPECIE_ALICE:-100.00}" --socket "$socket" --account "$id" --reference 'cash desk, alice'
	fi
	if [ ! -e "$token" ]; then
		wait_for "$request" "the till's request"
		rm -f "$token.new"
		specied account create --socket "$socket" --kind merchant --name "${SPECIE_TILL_NAME:-Café}" \
			--merchant-request "$request" --token-out "$token.new"
		chmod 440 "$token.new" # the till's group is this service's
		mv "$token.new" "$token"
	fi
	exit 0
fi

export SPECIE_HOME="$dir/till"
if [ ! -e "$dir/till/ready" ]; then
	if [ ! -e "$request" ]; then
		# The key is made once: what was begun and not finished goes on.
		specie merchant id >/dev/null 2>&1 || specie merchant init --bank "${SPECIE_BANK_URL:-http://issuer:8080}" \
			--group "${SPECIE_GROUP_URL:-http://group:8081}" --root "$papers/root.pem" --name "${SPECIE_TILL_NAME:-Café}"
		(umask 027 && specie merchant request >"$request.new" && mv "$request.new" "$request")
	fi
	wait_for "$token" "the counter's token"
	# Programs take a token from a file that is its reader's alone.
	cp "$token" "$dir/till/account.token"
	chmod 600 "$dir/till/account.token"
	specie merchant login --token-file "$dir/till/account.token"
	rm "$dir/till/account.token"
	: >"$dir/till/ready"
fi
# The link to the till's page, with its access code, is in desk-link. In clear it is
# reached from this network of containers only, and where its port is published:
# on 127.0.0.1, or to a proxy with https.
exec specie merchant serve --listen "${SPECIE_TILL_LISTEN:-0.0.0.0:8090}" --to "${SPECIE_TILL_TO:-http://127.0.0.1:8090/pay}" \
	--desk "${SPECIE_TILL_DESK:-0.0.0.0:8091}" --desk-in-clear --desk-host "${SPECIE_TILL_HOST:-localhost}" --desk-link "$dir/till/desk-link"

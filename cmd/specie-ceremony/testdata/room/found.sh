# Founds, in a directory with the example plans, a bank with one denomination, a
# group manager, and three supervisors of whom two open. MALLORY is certified
# too, and supervises nothing.
set -eu
room=$(dirname $0)
specie-ceremony practice --dir "$(dirname "$SOFTHSM2_CONF")" root demobank-offline demobank-online demogroup elsewhere
specie-ceremony officer new --name ADAMS --out adams.key
specie-ceremony officer roster --threshold 1 --out officers.yaml ADAMS=adams.key.pub
export SPECIE_ROOT=root.pem

sh $room/hold.sh 01-root.yaml
sh $room/hold.sh 02-issuer.yaml
cp $room/keys.yaml keys.yaml
sh $room/hold.sh keys.yaml
sed s/04-keyset-1/keys/ 05-group.yaml >group.yaml
sh $room/hold.sh group.yaml

for id in ALICE BORIS CAROL MALLORY; do
	dir=$(echo $id | tr A-Z a-z)
	specie-ceremony supervisor init --id $id --dir $dir
	sed -e s,ALICE/request,$dir/request, -e s/ALICE/$id/g -e /^follows/d 06-certify-ALICE.yaml >certify-$dir.yaml
	sh $room/hold.sh certify-$dir.yaml
	specie-ceremony supervisor accept --dir $dir $id.pem
done
for dir in alice boris carol; do
	specie-ceremony supervisor deal --dir $dir --group DEMOGROUP --threshold 2 --out dealing-$dir.jws alice/card.jws boris/card.jws carol/card.jws
done
for dir in alice boris carol; do
	specie-ceremony supervisor combine --dir $dir --group DEMOGROUP --out supervision-$dir.json dealing-*.jws
	specie-ceremony supervisor sign --dir $dir --out supervision-$dir.jws supervision-$dir.json
done

# approves a plan as the one officer and runs it
set -eu
specie-ceremony approve $1 --as ADAMS --key adams.key --yes >approve.log
specie-ceremony run $1

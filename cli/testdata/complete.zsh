# complete.zsh PROGRAM SCRIPT LINE...: types each line into an interactive zsh on
# a terminal of its own, presses TAB and Enter, and prints what the program was
# then called with.
zmodload zsh/zpty
zpty z "zsh -f -i"
zpty -w z "source $2; $1() { print -r -- 'RA''N<'\"\$*\"'>' }; print -r -- 'RA''N<>'"
seen='' part=''
ran() { # waits for the next call
	while [[ $seen != *'RAN<'*'>'* ]]; do
		zpty -r z part || exit 1
		seen+=$part
	done
	seen=${seen#*RAN<}
	call=${seen%%>*}
	seen=${seen#*>}
}
ran
for line in "${@:3}"; do
	zpty -w z "$line"$'\t'
	ran
	print -r -- $call
done
zpty -d z

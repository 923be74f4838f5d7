package opening

import "github.com/speciecash/specie/group"

// RevocationList is what a bank tests presentations with: the members of the
// tokens, in that order. Whether a token's warrant is one to expel, and in
// force, the caller has looked at.
func RevocationList(tokens ...*Token) *group.RevocationList {
	taus := make([]group.TracingToken, len(tokens))
	for i, t := range tokens {
		taus[i] = t.tau
	}
	return group.NewRevocationList(taus...)
}

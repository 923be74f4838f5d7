package group

import "github.com/speciecash/specie/group/fp256bn"

// RevocationList recognises the presentations of the members whose tracing
// tokens it holds, and of nobody else. Each token costs memory of about 11 kB
// and, per presentation, less than one pairing (BenchmarkRevocationList). It
// is not written to once made.
type RevocationList struct{ lines []*fp256bn.PreparedG2 }

// NewRevocationList prepares the tokens. What is in them reaches into the
// members' whole past: a list is as secret as its tokens.
func NewRevocationList(tokens ...TracingToken) *RevocationList {
	l := &RevocationList{lines: make([]*fp256bn.PreparedG2, len(tokens))}
	for i, t := range tokens {
		l.lines[i] = fp256bn.Prepare(t.tau)
	}
	return l
}

// Len is the number of tokens.
func (l *RevocationList) Len() int { return len(l.lines) }

// Match returns the index of the first token whose member made the
// presentation, as [Trace] finds it, and false if it is nobody's of the list.
// The caller has verified the presentation: in one that doesn't verify, V is
// whatever its maker liked.
func (l *RevocationList) Match(p *Presentation) (index int, ok bool) {
	if len(l.lines) == 0 {
		return 0, false
	}
	j := traceBase(p.APrime)
	want := fp256bn.PairPrepared(p.V, fixedBases().p2Lines)
	for i, tau := range l.lines {
		if fp256bn.PairPrepared(j, tau).Equal(want) {
			return i, true
		}
	}
	return 0, false
}

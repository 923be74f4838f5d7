package opening

import (
	"github.com/speciecash/specie/groupdoc/warrant"
)

// Prove puts a warrant's signatures and the register together to what openings
// and tokens carry, and verifies it against the papers' group document. Errors:
// those of warrant.Prove.
func (p *Papers) Prove(signatures [][]byte, r *warrant.Register) (*warrant.Proof, *warrant.Entered, error) {
	return warrant.Prove(p.root, p.Group, signatures, r)
}

// authority verifies that the papers' group has a warrant of one of the scopes
// about the subject, and that its register shows it. That is all that a reader
// of what was done can ask.
func (p *Papers) authority(w *warrant.Proof, subject warrant.Subject, scopes ...warrant.Scope) (*warrant.Entered, error) {
	e, err := w.Verify(p.root, p.Group)
	if err != nil {
		return nil, err
	}
	return e, e.Allows(subject, scopes...)
}

// act is authority for whoever does something on the warrant: it must also be
// in force now.
func (p *Papers) act(w *warrant.Proof, subject warrant.Subject, scopes ...warrant.Scope) (*warrant.Entered, error) {
	e, err := p.authority(w, subject, scopes...)
	if err != nil {
		return nil, err
	}
	return e, e.InForce(p.at)
}

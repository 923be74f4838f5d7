package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/opening"
)

// warrantFlags are a warrant and the register in which it must stand.
type warrantFlags struct {
	Warrant  []string `required:"" sep:"none" placeholder:"FILE" type:"existingfile" help:"A supervisor's signature on the warrant; once for each of them."`
	Register []string `required:"" sep:"none" placeholder:"FILE" type:"existingfile" help:"The register of warrants as the group's manager publishes it (GET /v1/warrants); several files in order, if it came in parts."`
}

// prove verifies the warrant and finds its entry on the way to the head that
// the papers' group document publishes.
func (f warrantFlags) prove(p *opening.Papers) (*warrant.Proof, error) {
	signatures, err := readDocuments(f.Warrant)
	if err != nil {
		return nil, err
	}
	register, err := readRegister(f.Register)
	if err != nil {
		return nil, err
	}
	proof, _, err := p.Prove(signatures, register)
	return proof, err
}

// readRegister reads a register that may have come in parts.
func readRegister(paths []string) (*warrant.Register, error) {
	var out *warrant.Register
	for _, path := range paths {
		b, err := paper.Read(path, warrant.MaxRegister)
		if err != nil {
			return nil, err
		}
		r, err := warrant.ParseRegister(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if out == nil {
			out = r
			continue
		}
		if r.Group != out.Group {
			return nil, fmt.Errorf("%s: %w: %s, not %s", path, warrant.ErrGroup, r.Group, out.Group)
		}
		out.Entries = append(out.Entries, r.Entries...)
		if err := out.Check(); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if out == nil {
		return nil, errors.New("no register given")
	}
	return out, nil
}

// warrantView shows what a warrant says.
type warrantView struct {
	Group     string          `json:"group"`
	Scope     warrant.Scope   `json:"scope"`
	Subject   warrant.Subject `json:"subject"`
	Reference string          `json:"reference"`
	Reason    string          `json:"reason"`
	IssuedAt  time.Time       `json:"issued_at"`
	Until     time.Time       `json:"until"`
	Order     string          `json:"order,omitempty"`
	Digest    string          `json:"digest"`
	Signers   []string        `json:"signers"`
}

func newWarrantView(w *warrant.Warrant) warrantView {
	v := warrantView{
		Group: w.Group, Scope: w.Scope, Subject: w.Subject, Reference: w.Reference, Reason: w.Reason,
		IssuedAt: w.IssuedAt, Until: w.Until, Digest: hexDigest(w.Digest), Signers: []string{},
	}
	v.Signers = append(v.Signers, w.Signers...)
	if w.Order != [32]byte{} {
		v.Order = hexDigest(w.Order)
	}
	return v
}

// what says in a few words what the warrant allows.
func (v *warrantView) what() string {
	switch v.Scope {
	case warrant.Open:
		return "name the payer of one case"
	case warrant.Trace:
		return "find all payments of one member, also the past ones"
	case warrant.Expel:
		return "refuse one member's payments until his epoch ends"
	}
	return string(v.Scope)
}

// lines are those of the warrant itself, indented.
func (v *warrantView) lines(w io.Writer) {
	fmt.Fprintf(w, "  scope\t%s: %s\n", v.Scope, v.what())
	fmt.Fprintf(w, "  subject\t%s\n", v.Subject)
	fmt.Fprintf(w, "  reference\t%s\n", clean(v.Reference))
	fmt.Fprintf(w, "  reason\t%s\n", clean(v.Reason))
	fmt.Fprintf(w, "  in force\t%s to %s\n", when(v.IssuedAt), when(v.Until))
	if v.Order != "" {
		fmt.Fprintf(w, "  order\tsha256 %s\n", v.Order)
	}
}

// enteredView shows a warrant on which something was done.
type enteredView struct {
	warrantView
	Entry uint64    `json:"entry"`
	At    time.Time `json:"entered_at"`
}

func newEnteredView(e *warrant.Entered) enteredView {
	return enteredView{warrantView: newWarrantView(e.Warrant), Entry: e.Entry.Seq, At: e.Entry.At}
}

func (v *enteredView) lines(w io.Writer) {
	fmt.Fprintf(w, "  warrant\t%s, signed by %s\n", clean(v.Reference), strings.Join(v.Signers, ", "))
	fmt.Fprintf(w, "  reason\t%s\n", clean(v.Reason))
	fmt.Fprintf(w, "  register\tentry %d of %s, %s\n", v.Entry, v.Group, when(v.At))
}

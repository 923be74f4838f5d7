package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/order"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/trust"
)

// factFlags are the papers that a warrant rests on.
type factFlags struct {
	Case     string `placeholder:"FILE" type:"existingfile" help:"The bank's case file, for a warrant to open."`
	Keyset   string `placeholder:"FILE" type:"existingfile" help:"The bank's signed keyset, with --case."`
	Evidence string `placeholder:"FILE" type:"existingfile" help:"Evidence that names the member, for a warrant to trace or expel."`
	Order    string `placeholder:"FILE" type:"existingfile" help:"The officers' order behind it, if there is one."`
}

// facts are what was verified before a warrant is drafted or signed.
type facts struct {
	// subject is whom case or evidence is about; empty without either.
	subject warrant.Subject
	// order is the digest of ordered; zeros without one.
	order   [32]byte
	opened  *opening.Case
	value   string
	verdict *opening.Verdict
	ordered *order.Order
}

func (f factFlags) facts(root *trust.Root, groupDocument string, at time.Time) (*facts, error) {
	if f.Case != "" && f.Evidence != "" {
		return nil, errors.New("give either --case or --evidence: a warrant is about one of them")
	}
	out := &facts{}
	var err error
	switch {
	case f.Case != "":
		err = f.verifyCase(out, root, groupDocument, at)
	case f.Evidence != "":
		err = f.verifyEvidence(out, root, at)
	}
	if err != nil || f.Order == "" {
		return out, err
	}
	b, err := readDocument(f.Order)
	if err != nil {
		return nil, err
	}
	if out.ordered, err = order.Parse(root, b, at); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Order, err)
	}
	out.order = out.ordered.Digest
	return out, nil
}

func (f factFlags) verifyCase(out *facts, root *trust.Root, groupDocument string, at time.Time) error {
	if f.Keyset == "" {
		return errors.New("a case is judged by its bank's keyset: give --keyset")
	}
	docs, err := readDocuments([]string{f.Keyset, groupDocument})
	if err != nil {
		return err
	}
	papers, err := opening.ReadPapers(root, docs[0], docs[1], at)
	if err != nil {
		return err
	}
	c, err := readCase(f.Case)
	if err != nil {
		return err
	}
	if err := c.Verify(papers); err != nil {
		return fmt.Errorf("%s: %w", f.Case, err)
	}
	out.opened, out.subject, out.value = c, c.Subject(), c.Value(papers.Keyset)
	return nil
}

func (f factFlags) verifyEvidence(out *facts, root *trust.Root, at time.Time) error {
	b, err := paper.Read(f.Evidence, opening.MaxOpening)
	if err != nil {
		return err
	}
	e, err := opening.ParseEvidence(b)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Evidence, err)
	}
	if out.verdict, err = e.Verify(root, at); err != nil {
		return fmt.Errorf("%s: %w", f.Evidence, err)
	}
	m, err := out.verdict.Membership()
	out.subject = m.Subject()
	return err
}

// demand says what a supervisor must have seen before he signs.
func (f *facts) demand(w *warrant.Warrant) error {
	if w.Scope == warrant.Open && f.opened == nil {
		return errors.New("a warrant to open is signed with its case at hand: give --case and --keyset")
	}
	if w.Order != [32]byte{} && f.ordered == nil {
		return errors.New("an order of the officers stands behind it: give --order")
	}
	return nil
}

// fit says whether the warrant is about what was verified.
func (f *facts) fit(w *warrant.Warrant) error {
	if f.subject != "" && w.Subject != f.subject {
		return fmt.Errorf("%w: the papers are about another case or member", warrant.ErrSubject)
	}
	if f.ordered == nil {
		return nil
	}
	if f.order != w.Order {
		return fmt.Errorf("%w: another order stands behind it", warrant.ErrSubject)
	}
	if f.ordered.Group != w.Group || f.ordered.Member != w.Subject.Member().String() {
		return fmt.Errorf("%w: the order is about another member", warrant.ErrSubject)
	}
	return nil
}

// lines tells what was verified, for the supervisor who is to sign.
func (f *facts) lines(w io.Writer) {
	if c := f.opened; c != nil {
		fmt.Fprintf(w, "  case\tverified: one bound coin of %s, %s, in two payments that its owner authorised\n", c.Bank, f.value)
		for i, s := range c.Spends {
			fmt.Fprintf(w, "  spend %d\t%s %s, dated %s\n", i+1, s.Purpose, hexDigest(s.Digest()), when(time.Unix(s.IssuedAt, 0)))
		}
	}
	if v := f.verdict; v != nil {
		fmt.Fprintf(w, "  member\tverified: %s, named for a coin of %s spent twice (%s)\n", clean(v.Member.Name), v.Case.Bank, clean(v.Warrant.Reference))
	}
	if f.opened == nil && f.verdict == nil {
		fmt.Fprintf(w, "  member\tnot verified: no evidence given; you sign for an id\n")
	}
	if o := f.ordered; o != nil {
		var by []string
		for _, text := range o.Approvals {
			if a, err := approval.Parse(text); err == nil {
				by = append(by, a.Officer)
			}
		}
		fmt.Fprintf(w, "  order\tverified: case %s, approved by %s, until %s\n", clean(o.Case), strings.Join(by, ", "), when(o.Until))
	}
}

package opening

import (
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/trust"
)

// Evidence is an opening with the manager's statement about the tag.
type Evidence struct {
	*Opening
	StatementJWS []byte
}

// Verdict is what verified evidence shows.
type Verdict struct {
	Finding
	Member *enrol.Member
}

// Membership is what a warrant to trace or expel the named member is about.
func (v *Verdict) Membership() (warrant.Membership, error) {
	j, err := group.ParseJoin(v.Member.Join)
	if err != nil {
		return warrant.Membership{}, err
	}
	return warrant.MembershipOf(v.Member.Member, j), nil
}

// Attach makes evidence of an opening and a statement, and verifies it.
func Attach(root *trust.Root, o *Opening, statement []byte, at time.Time) (*Evidence, *Verdict, error) {
	e := &Evidence{Opening: o, StatementJWS: statement}
	v, err := e.Verify(root, at)
	if err != nil {
		return nil, nil, err
	}
	return e, v, nil
}

// Marshal returns the evidence's file.
func (e *Evidence) Marshal() ([]byte, error) { return e.marshal(e.StatementJWS) }

// ParseEvidence reads an evidence file. It verifies nothing but the form.
func ParseEvidence(data []byte) (*Evidence, error) {
	o, statement, err := parse(data)
	if err != nil {
		return nil, err
	}
	if statement == nil {
		return nil, fmt.Errorf("%w: an opening without a member statement", ErrMalformed)
	}
	return &Evidence{Opening: o, StatementJWS: statement}, nil
}

// Verify checks everything from the root alone, documents judged at the given
// time: the opening, that the group's own manager signed the statement, and
// that the registration form in it was joined with in this group by the TPM
// key of the opened tag, a key of the group's class. Errors: those of
// Opening.Verify, ErrStatement.
func (e *Evidence) Verify(root *trust.Root, at time.Time) (*Verdict, error) {
	f, err := e.Opening.Verify(root, at)
	if err != nil {
		return nil, err
	}
	m, err := enrol.ParseStatement(root, f.Group.Parameters(), e.StatementJWS, at)
	if err != nil {
		return nil, errors.Join(ErrStatement, err)
	}
	if m.Tag != f.Tag {
		return nil, fmt.Errorf("%w: it is about another tag than the opened one", ErrStatement)
	}
	if err := checkKey(m, f.Group.Template); err != nil {
		return nil, errors.Join(ErrStatement, err)
	}
	return &Verdict{Finding: *f, Member: m}, nil
}

// checkKey says whether the member's group key is of the group's class and
// holds the point that he joined with: a key that stays in its TPM.
func checkKey(m *enrol.Member, template []byte) error {
	_, q, err := attest.CheckGroupKey(m.KeyPublic, template)
	if err != nil {
		return err
	}
	j, err := group.ParseJoin(m.Join)
	if err != nil {
		return err
	}
	if !j.Q.Equal(q) {
		return errors.New("the group key is not the one that joined")
	}
	return nil
}

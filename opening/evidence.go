package opening

import (
	"fmt"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// maxStatement bounds a member statement's payload, in bytes.
const maxStatement = 16 << 10

// Member is what the group manager states about the member with a tag.
type Member struct {
	Group    string // the manager's id
	ID       string // the member's id in his register
	Name     string // as registered; the manager's word
	Tag      [33]byte
	EK       [32]byte // SHA-256 of the endorsement key's SubjectPublicKeyInfo
	JoinedAt time.Time
}

// statementJSON is the payload of a trust.TypMember document. Tag, nonce and
// the rest of the transcript are what the member himself signed with his TPM.
type statementJSON struct {
	Group      string    `json:"group"`
	Member     string    `json:"member"`
	Name       string    `json:"name"`
	Tag        base64url `json:"tag"`
	Uh         base64url `json:"uh"`
	EK         base64url `json:"ek"`
	KeyName    base64url `json:"key_name"`
	Nonce      base64url `json:"nonce"`
	FormDigest base64url `json:"form_digest"`
	Join       base64url `json:"join"`
	JoinedAt   time.Time `json:"joined_at"`
}

// Evidence is an opening with the manager's statement about the tag.
type Evidence struct {
	*Opening
	StatementJWS []byte
}

// Verdict is what verified evidence shows.
type Verdict struct {
	Finding
	Member Member
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
// that the join transcript in it was made in this group with the key of the
// opened tag. Errors: those of Opening.Verify, ErrStatement, ErrForeign.
func (e *Evidence) Verify(root *trust.Root, at time.Time) (*Verdict, error) {
	f, err := e.Opening.Verify(root, at)
	if err != nil {
		return nil, err
	}
	doc, err := root.Verify(e.StatementJWS, trust.TypMember, trust.RoleGroup, at)
	if err != nil {
		return nil, fmt.Errorf("opening: statement: %w", err)
	}
	var j statementJSON
	if err := strictjson.UnmarshalOpen(doc.Payload, maxStatement, &j); err != nil {
		return nil, fmt.Errorf("%w: statement: %v", ErrMalformed, err)
	}
	if doc.Signer.ID != f.Group.ID || j.Group != f.Group.ID {
		return nil, fmt.Errorf("%w: %s states about group %s", ErrForeign, doc.Signer, j.Group)
	}
	m, err := j.verify(f.Group.Parameters(), f.Tag)
	if err != nil {
		return nil, err
	}
	return &Verdict{Finding: *f, Member: *m}, nil
}

// verify checks the join transcript against the opened tag.
func (j *statementJSON) verify(p *group.Parameters, tag [33]byte) (*Member, error) {
	if len(j.Tag) != 33 || len(j.Uh) != 33 || len(j.EK) != 32 || len(j.Nonce) != 32 || len(j.FormDigest) != 32 {
		return nil, fmt.Errorf("%w: statement: a field has another length", ErrMalformed)
	}
	join, err := group.ParseJoin(j.Join)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	if [33]byte(j.Tag) != tag || join.F.Bytes() != tag || join.Uh.Bytes() != [33]byte(j.Uh) {
		return nil, fmt.Errorf("%w: it is about another tag than the opened one", ErrStatement)
	}
	jc := group.JoinContext{
		Nonce: [32]byte(j.Nonce), KeyName: j.KeyName,
		EK: [32]byte(j.EK), Form: [32]byte(j.FormDigest),
	}
	if err := group.VerifyJoin(p, join, join.Q, jc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	return &Member{
		Group: j.Group, ID: j.Member, Name: j.Name, Tag: tag, EK: jc.EK, JoinedAt: j.JoinedAt.UTC(),
	}, nil
}

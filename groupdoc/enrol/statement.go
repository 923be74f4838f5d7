package enrol

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// MaxStatement bounds a statement's payload, in bytes.
const MaxStatement = 16 << 10

// MaxKeyPublic bounds a group key's public area (TPMT_PUBLIC), in bytes.
const MaxKeyPublic = 512

// Statement is what a manager says of one member: the form he was registered
// with, and the join by which his TPM proved his tag.
type Statement struct {
	// Group is the manager's id.
	Group string
	// Member is the member's id.
	Member ID
	// Form is the form's JSON and Salt what its digest was salted with.
	Form []byte
	Salt [32]byte
	// EK is SHA-256 of the endorsement key's SubjectPublicKeyInfo.
	EK [32]byte
	// KeyPublic is the public area (TPMT_PUBLIC) of the group key.
	KeyPublic []byte
	// Nonce is the session's.
	Nonce [32]byte
	// Join is the join transcript, group.JoinSize bytes.
	Join []byte
	// JoinedAt is when the member became active, UTC, whole seconds.
	JoinedAt time.Time
}

// Member is a statement that was verified.
type Member struct {
	Statement
	// Name is the form's.
	Name string
	// Tag is F, the member's tag, which an opening finds.
	Tag [33]byte
}

type statementJSON struct {
	Group    string `json:"group"`
	Member   string `json:"member"`
	Form     string `json:"form"`
	Salt     string `json:"salt"`
	EK       string `json:"ek"`
	Key      string `json:"key_public"`
	Nonce    string `json:"nonce"`
	Join     string `json:"join"`
	JoinedAt string `json:"joined_at"`
}

// KeyName is the TPM Name of a key whose name algorithm is SHA-256 (TPM 2.0
// Part 1, 16): the algorithm's number and the hash of the public area.
func KeyName(public []byte) []byte {
	h := sha256.Sum256(public)
	return append([]byte{0x00, 0x0b}, h[:]...)
}

// Check verifies what a statement proves by itself: the form reads, and the
// join proves its tag for this form, EK, key and nonce under the group's
// parameters. That KeyPublic has the group's template and Q inside it is for
// package attest to check.
func (s *Statement) Check(p *group.Parameters) (*Member, error) {
	if s.Group != p.Name {
		return nil, fmt.Errorf("%w: it is of group %s", ErrStatement, s.Group)
	}
	form, err := ParseForm(s.Form)
	if err != nil {
		return nil, err
	}
	j, err := group.ParseJoin(s.Join)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	jc := group.JoinContext{Nonce: s.Nonce, KeyName: KeyName(s.KeyPublic), EK: s.EK, Form: FormDigest(s.Form, s.Salt)}
	if err := group.VerifyJoin(p, j, j.Q, jc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	return &Member{Statement: *s, Name: form.Name, Tag: j.F.Bytes()}, nil
}

// SignStatement signs a statement as the manager (compact JWS), after Check.
func SignStatement(p *group.Parameters, s *Statement, signer crypto.Signer, chain []*x509.Certificate) ([]byte, error) {
	if _, err := s.Check(p); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(statementJSON{
		Group: s.Group, Member: s.Member.String(), Form: encode(s.Form), Salt: encode(s.Salt[:]),
		EK: encode(s.EK[:]), Key: encode(s.KeyPublic), Nonce: encode(s.Nonce[:]), Join: encode(s.Join),
		JoinedAt: formatTime(s.JoinedAt),
	})
	if err != nil {
		return nil, fmt.Errorf("enrol: statement: %w", err)
	}
	return trust.Sign(trust.TypMember, payload, signer, chain)
}

// ParseStatement verifies a manager's statement: his certificate at the given
// time and that it names this group, then everything that Check does.
func ParseStatement(root *trust.Root, p *group.Parameters, jws []byte, at time.Time) (*Member, error) {
	doc, err := root.Verify(jws, trust.TypMember, trust.RoleGroup, at)
	if err != nil {
		return nil, fmt.Errorf("enrol: statement: %w", err)
	}
	s, err := readStatement(doc.Payload)
	if err != nil {
		return nil, err
	}
	if doc.Signer.ID != s.Group {
		return nil, fmt.Errorf("%w: %s signed for %s", ErrStatement, doc.Signer, s.Group)
	}
	return s.Check(p)
}

func readStatement(payload []byte) (*Statement, error) {
	var j statementJSON
	if err := strictjson.Unmarshal(payload, MaxStatement, &j); err != nil {
		return nil, fmt.Errorf("%w: statement: %v", ErrMalformed, err)
	}
	s := &Statement{Group: j.Group}
	err := trust.CheckID(j.Group)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if s.Member, err = ParseID(j.Member); err != nil {
		return nil, err
	}
	if s.Form, err = decode("form", j.Form, -MaxForm); err != nil {
		return nil, err
	}
	if s.KeyPublic, err = decode("key_public", j.Key, -MaxKeyPublic); err != nil {
		return nil, err
	}
	if s.Join, err = decode("join", j.Join, group.JoinSize); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		what, text string
		to         *[32]byte
	}{{"salt", j.Salt, &s.Salt}, {"ek", j.EK, &s.EK}, {"nonce", j.Nonce, &s.Nonce}} {
		if *f.to, err = decode32(f.what, f.text); err != nil {
			return nil, err
		}
	}
	if s.JoinedAt, err = parseTime("joined_at", j.JoinedAt); err != nil {
		return nil, err
	}
	return s, nil
}

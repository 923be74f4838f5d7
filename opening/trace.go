package opening

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/trust/strictjson"
)

// MaxTracePart bounds the file of a part, in bytes.
const MaxTracePart = 1024

// TracePart is one supervisor's part of the release of one member's token.
type TracePart struct {
	Group   string   // the group manager's id
	Member  [32]byte // warrant.Membership.Digest
	Warrant [32]byte // the warrant's digest
	Partial *group.PartialTrace
}

// traced is a member whose join was verified.
type traced struct {
	warrant.Membership
	join    *group.Join
	context group.JoinContext
}

// Statement verifies the manager's statement as evidence would have it: signed
// by the group's own manager, and a join by a TPM key of the group's class, who
// signed the form with the name in it. Error: ErrStatement.
func (p *Papers) Statement(statement []byte) (*enrol.Member, error) {
	m, err := enrol.ParseStatement(p.root, p.Group.Parameters(), statement, p.at)
	if err != nil {
		return nil, errors.Join(ErrStatement, err)
	}
	if err := checkKey(m, p.Group.Template); err != nil {
		return nil, errors.Join(ErrStatement, err)
	}
	return m, nil
}

// traced reads the member's escrow out of a statement. Without that an escrow
// could be anybody's.
func (p *Papers) traced(statement []byte) (*traced, error) {
	m, err := p.Statement(statement)
	if err != nil {
		return nil, err
	}
	j, err := group.ParseJoin(m.Join)
	if err != nil {
		return nil, errors.Join(ErrStatement, err)
	}
	return &traced{
		Membership: warrant.MembershipOf(m.Member, j), join: j,
		context: group.JoinContext{Nonce: m.Nonce, KeyName: enrol.KeyName(m.KeyPublic), EK: m.EK, Form: enrol.FormDigest(m.Form, m.Salt)},
	}, nil
}

// TracePartial verifies the warrant and the member's join and then decrypts the
// supervisor's part of the tracing token. The warrant must be one to trace or
// expel this very member, entered in the register that the papers' document
// publishes, and in force at the papers' time. statement is the manager's.
//
// Errors: those of warrant.Proof.Verify, Warrant.InForce and Warrant.Allows,
// ErrStatement, and group.ErrShare for a share that is not of this group.
func TracePartial(p *Papers, w *warrant.Proof, statement []byte, share *group.Share) (*TracePart, error) {
	t, err := p.traced(statement)
	if err != nil {
		return nil, err
	}
	e, err := p.act(w, t.Subject(), warrant.Trace, warrant.Expel)
	if err != nil {
		return nil, err
	}
	pt, err := group.TracePartial(p.Group.Parameters(), &p.Group.Supervision.Key, share, t.join, t.context)
	if err != nil {
		return nil, err
	}
	return &TracePart{Group: p.Group.ID, Member: t.Digest(), Warrant: e.Digest, Partial: pt}, nil
}

// CombineTrace verifies the warrant, the member's join and every part, and puts
// the token together. Errors: those of TracePartial but for the share's;
// group.ErrQuorum with fewer than k different parts, group.ErrPartial for one
// whose proof fails, ErrForeign for one about another member or group or on
// another warrant.
func CombineTrace(p *Papers, w *warrant.Proof, statement []byte, parts []*TracePart) (*Token, error) {
	t, err := p.traced(statement)
	if err != nil {
		return nil, err
	}
	e, err := p.act(w, t.Subject(), warrant.Trace, warrant.Expel)
	if err != nil {
		return nil, err
	}
	var partials []*group.PartialTrace
	for _, part := range parts {
		switch index := part.Partial.Index; {
		case part.Group != p.Group.ID:
			return nil, fmt.Errorf("part %d: %w: group %s", index, ErrForeign, part.Group)
		case part.Member != t.Digest():
			return nil, fmt.Errorf("part %d: %w: another member", index, ErrForeign)
		case part.Warrant != e.Digest:
			return nil, fmt.Errorf("part %d: %w: another warrant", index, ErrForeign)
		}
		partials = append(partials, part.Partial)
	}
	tau, err := group.CombineTrace(p.Group.Parameters(), &p.Group.Supervision.Key, t.join, partials)
	if err != nil {
		return nil, err
	}
	return &Token{Group: p.Group, Warrant: e, Member: t.Membership, tau: tau, proof: w, groupJWS: p.groupJWS}, nil
}

type tracePartJSON struct {
	Version int       `json:"v"`
	Group   string    `json:"group"`
	Member  base64url `json:"member"`
	Warrant base64url `json:"warrant"`
	Partial base64url `json:"partial"`
}

// Marshal returns the part's file. Together with k−1 others it is the token:
// it is as secret as that.
func (p *TracePart) Marshal() ([]byte, error) {
	out, err := json.Marshal(tracePartJSON{
		Version: 1, Group: p.Group, Member: p.Member[:], Warrant: p.Warrant[:], Partial: p.Partial.Bytes(),
	})
	if err != nil {
		return nil, fmt.Errorf("opening: part of a trace: %w", err)
	}
	return out, nil
}

// ParseTracePart reads a part's file. Its proof is verified by CombineTrace.
func ParseTracePart(data []byte) (*TracePart, error) {
	var j tracePartJSON
	if err := strictjson.Unmarshal(data, MaxTracePart, &j); err != nil {
		return nil, fmt.Errorf("%w: part of a trace: %v", ErrMalformed, err)
	}
	if j.Version != 1 || len(j.Member) != 32 || len(j.Warrant) != 32 {
		return nil, fmt.Errorf("%w: not a part of a trace of version 1", ErrMalformed)
	}
	pt, err := group.ParsePartialTrace(j.Partial)
	if err != nil {
		return nil, fmt.Errorf("%w: part of a trace: %w", ErrMalformed, err)
	}
	return &TracePart{Group: j.Group, Member: [32]byte(j.Member), Warrant: [32]byte(j.Warrant), Partial: pt}, nil
}

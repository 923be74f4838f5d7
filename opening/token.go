package opening

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// MaxToken bounds a token's file, in bytes.
const MaxToken = trust.MaxJWS + warrant.MaxProof + 4096

// Token recognises the presentations of one member, all that he ever made and
// will make in this membership, and nobody else's. It carries what shows a
// bank that it was lawfully released, and neither the member's name nor his
// tag nor anything of his TPM. It doesn't print.
type Token struct {
	// Group is the document that publishes the warrant's entry.
	Group *groupdoc.Document
	// Warrant says what the token may be used for, and until when.
	Warrant *warrant.Entered
	// Member is what the warrant commits to.
	Member   warrant.Membership
	tau      group.TracingToken
	proof    *warrant.Proof
	groupJWS []byte
}

// Format keeps τ out of every verb of fmt.
func (*Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// Matches says whether the token's member made the presentation, which the
// caller has verified, of this group. A hit is a lead; what convicts is an
// opening.
func (t *Token) Matches(p *group.Presentation) bool { return group.Trace(t.tau, p) }

type tokenJSON struct {
	Version int            `json:"v"`
	Group   string         `json:"group"`
	Warrant *warrant.Proof `json:"warrant"`
	// Member, Uh and Transcript open the commitment in the warrant's subject.
	Member     string    `json:"member"`
	Uh         base64url `json:"uh"`
	Transcript base64url `json:"transcript"`
	Tau        base64url `json:"tau"`
}

// Marshal returns the token's file. Whoever has it finds the member's payments:
// keep it with mode 0600 and destroy it when the warrant ends.
func (t *Token) Marshal() ([]byte, error) {
	out, err := json.Marshal(tokenJSON{
		Version: 1, Group: string(t.groupJWS), Warrant: t.proof, Member: t.Member.Member.String(),
		Uh: t.Member.Uh[:], Transcript: t.Member.Transcript[:], Tau: t.tau.Bytes(),
	})
	if err != nil {
		return nil, fmt.Errorf("opening: token: %w", err)
	}
	return out, nil
}

// ParseToken reads a token and verifies it from the root alone, documents
// judged at the given time: k supervisors of the group signed a warrant to
// trace or expel a member, it was entered in the register and is in force now,
// and τ is that of the member whom it is about. For what it may be used is in
// Token.Warrant.Scope; that it is of a group whose payments the caller takes,
// Token.Group says.
//
// Errors: ErrMalformed, those of groupdoc.Parse, warrant.Proof.Verify,
// Warrant.InForce and Warrant.Allows, and group.ErrEscrow for a τ that is not
// this member's.
func ParseToken(root *trust.Root, data []byte, at time.Time) (*Token, error) {
	t, err := InspectToken(root, data, at)
	if err != nil {
		return nil, err
	}
	if err := t.Warrant.InForce(at); err != nil {
		return nil, err
	}
	return t, nil
}

// InspectToken is ParseToken for a reader who only looks at a token: its
// warrant need not be in force any more.
func InspectToken(root *trust.Root, data []byte, at time.Time) (*Token, error) {
	t, err := readToken(data)
	if err != nil {
		return nil, err
	}
	p, err := ReadGroup(root, t.groupJWS, at)
	if err != nil {
		return nil, err
	}
	t.Group = p.Group
	if t.Warrant, err = p.authority(t.proof, t.Member.Subject(), warrant.Trace, warrant.Expel); err != nil {
		return nil, err
	}
	uh, err := fp256bn.ParseG1(t.Member.Uh[:])
	if err != nil {
		return nil, fmt.Errorf("%w: token: Uh: %w", ErrMalformed, err)
	}
	if err := t.tau.Check(uh); err != nil {
		return nil, err
	}
	return t, nil
}

// readToken reads a token's file. It verifies nothing but the form.
func readToken(data []byte) (*Token, error) {
	var j tokenJSON
	if err := strictjson.Unmarshal(data, MaxToken, &j); err != nil {
		return nil, fmt.Errorf("%w: token: %v", ErrMalformed, err)
	}
	if j.Version != 1 || j.Warrant == nil || len(j.Uh) != 33 || len(j.Transcript) != 32 {
		return nil, fmt.Errorf("%w: not a tracing token of version 1", ErrMalformed)
	}
	id, err := enrol.ParseID(j.Member)
	if err != nil {
		return nil, fmt.Errorf("%w: token: %w", ErrMalformed, err)
	}
	tau, err := group.ParseTracingToken(j.Tau)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return &Token{
		Member: warrant.Membership{Member: id, Uh: [33]byte(j.Uh), Transcript: [32]byte(j.Transcript)},
		tau:    tau, proof: j.Warrant, groupJWS: []byte(j.Group),
	}, nil
}

package warrant

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/enrol"
)

// Scope is what a warrant allows. A reader refuses those that it does not
// know.
type Scope string

// The scopes.
const (
	// Open: name the payer of one case. Subject: the case.
	Open Scope = "open"
	// Trace: release one member's tracing token, with which all his payments
	// are found, also the past ones. Subject: the member.
	Trace Scope = "trace"
	// Expel: release one member's tracing token to refuse his payments until
	// his epoch ends, and for nothing else. Subject: the member.
	Expel Scope = "expel"
)

// Subject is whom or what a warrant is about, as text: for a case the 64 hex
// digits of its digest; for a member his id, a colon and the 64 hex digits of
// [Membership.Digest].
type Subject string

// Case is the subject of a warrant to open the case with this digest (package
// opening, Case.Digest).
func Case(digest [32]byte) Subject { return Subject(hex.EncodeToString(digest[:])) }

// Membership is what a warrant commits to of a member: his id, his Uh, which
// his tracing token fits, and the join transcript as a whole. Who is shown a
// Membership learns neither his name nor his tag, nor which TPM he has.
type Membership struct {
	Member enrol.ID
	// Uh is the join's [u]Hu, 33 bytes.
	Uh [33]byte
	// Transcript is SHA-256 of the join, group.JoinSize bytes.
	Transcript [32]byte
}

// MembershipOf commits to a member's join transcript.
func MembershipOf(member enrol.ID, join *group.Join) Membership {
	return Membership{Member: member, Uh: join.Uh.Bytes(), Transcript: sha256.Sum256(join.Bytes())}
}

// Digest is SHA-256(frame("specie/membership/1", member, Uh, transcript)).
func (m Membership) Digest() [32]byte {
	return frame.Digest([]byte("specie/membership/1"), m.Member[:], m.Uh[:], m.Transcript[:])
}

// Subject is the subject of a warrant about this member.
func (m Membership) Subject() Subject {
	d := m.Digest()
	return Subject(m.Member.String() + ":" + hex.EncodeToString(d[:]))
}

// Member is the id in a subject that is a member's; the zero ID for a case.
func (s Subject) Member() enrol.ID {
	text, _, ok := strings.Cut(string(s), ":")
	if !ok {
		return enrol.ID{}
	}
	id, err := enrol.ParseID(text)
	if err != nil {
		return enrol.ID{}
	}
	return id
}

// check refuses a subject that the scope can't have, and every other way of
// writing the same.
func (s Subject) check(scope Scope) error {
	text := string(s)
	switch scope {
	case Open:
	case Trace, Expel:
		id, digest, _ := strings.Cut(text, ":")
		if _, err := enrol.ParseID(id); err != nil {
			return fmt.Errorf("%w: subject: a member's id, a colon and a digest", ErrMalformed)
		}
		text = digest
	default:
		return fmt.Errorf("%w: scope: open, trace or expel", ErrMalformed)
	}
	if d, err := hex.DecodeString(text); err != nil || len(d) != 32 || hex.EncodeToString(d) != text {
		return fmt.Errorf("%w: subject: its digest is 64 hex digits", ErrMalformed)
	}
	return nil
}

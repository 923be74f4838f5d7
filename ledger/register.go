package ledger

import (
	"context"
	"time"
)

// Session is one join under way: the challenge given to one TPM. There is at
// most one for an EK.
type Session struct {
	// ID is 16 random bytes.
	ID [16]byte
	// EK is SHA-256 of the EK public key.
	EK [32]byte
	// Nonce is 32 random bytes, unique.
	Nonce [32]byte
	// State is the join's step, in the alphabet of Op.Kind.
	State string
	// Expires is kept in UTC to the microsecond.
	Expires time.Time
	// Payload is the caller's, at most MaxSession bytes. It is not
	// encrypted: the caller seals what must be secret.
	Payload []byte
}

// MaxSession bounds Session.Payload, in bytes.
const MaxSession = 1 << 20

// Validate reports whether the session is well formed, or ErrMalformed.
func (s *Session) Validate() error {
	switch {
	case s.ID == [16]byte{} || s.EK == [32]byte{} || s.Nonce == [32]byte{}:
		return malformed("session with a zero id, ek or nonce")
	case !ValidName(s.State):
		return malformed("session state %q", s.State)
	case !validTime(s.Expires):
		return malformed("session expires at %v", s.Expires)
	case len(s.Payload) > MaxSession:
		return malformed("session payload of %d bytes", len(s.Payload))
	}
	return nil
}

// MemberState is where a member stands.
type MemberState string

// States of a member.
const (
	MemberPending  MemberState = "pending" // the TPM has not yet proven itself
	MemberActive   MemberState = "active"
	MemberExpelled MemberState = "expelled" // for ever
)

// Member is one registered TPM and the person behind it. No row is ever
// deleted: an opening must find every tag a credential was made for.
type Member struct {
	// ID is 16 random bytes.
	ID [16]byte
	// EK is SHA-256 of the EK public key, unique.
	EK [32]byte
	// F is the member's tag, a compressed point, unique.
	F [33]byte
	// Uh is a compressed point, unique.
	Uh [33]byte
	// Epoch is the newest epoch a credential was issued for.
	Epoch uint32
	// State is MemberPending or MemberActive when given to Enrol.
	State MemberState
	// Transcript is the join's transcript, Form the registration form as
	// encrypted to the manager, Issued what the manager answered; each at
	// most MaxSession bytes.
	Transcript, Form, Issued []byte
	// Name is for people, at most 200 bytes of UTF-8; may be empty.
	Name string
	// JoinedAt is kept in UTC to the microsecond.
	JoinedAt time.Time
}

// Validate reports whether the member is well formed, or ErrMalformed.
func (m *Member) Validate() error {
	switch {
	case m.ID == [16]byte{} || m.EK == [32]byte{} || m.F == [33]byte{} || m.Uh == [33]byte{}:
		return malformed("member with a zero id, ek, tag or uh")
	case m.State != MemberPending && m.State != MemberActive:
		return malformed("member state %q", m.State)
	case len(m.Transcript) > MaxSession || len(m.Form) > MaxSession || len(m.Issued) > MaxSession:
		return malformed("member with a document over %d bytes", MaxSession)
	case !validText(m.Name, 200):
		return malformed("member name of %d bytes", len(m.Name))
	case !validTime(m.JoinedAt):
		return malformed("member joined at %v", m.JoinedAt)
	}
	return nil
}

// Register is a group manager's durable state. It is another store than any
// bank's Ledger. The package comment says what holds for all methods.
type Register interface {
	// PutSession opens a session, replacing one that is open for the same
	// EK. ErrMalformed, or a *DuplicateError for FieldSession when ID or
	// Nonce was used by another EK's session.
	PutSession(ctx context.Context, s Session) error
	// Session returns an open session, expired or not, or ErrNotFound.
	Session(ctx context.Context, id [16]byte) (*Session, error)
	// TakeSession ends a session and returns it: of any number of callers
	// one gets it, the others ErrNotFound. A session whose Expires is not
	// after now is ended too, with ErrExpired.
	TakeSession(ctx context.Context, id [16]byte, now time.Time) (*Session, error)
	// PurgeSessions ends the sessions whose Expires is not after now.
	PurgeSessions(ctx context.Context, now time.Time) error

	// Enrol takes a session, as TakeSession does, and adds the member whose
	// join it was, in one step. The session is used up even when the member
	// is refused: a nonce answers once. A pending member with the same EK,
	// F and Uh is a join whose answer was lost; m replaces it, ID
	// included. Any other value that is taken is refused with a
	// *DuplicateError for FieldEK, FieldTag, FieldUh or FieldMember, in this
	// order. ErrMalformed also if m.EK is not the session's.
	Enrol(ctx context.Context, session [16]byte, now time.Time, m Member) error
	// Activate makes a pending member active. Repeating it is harmless.
	// ErrNotFound, or ErrState if he was expelled.
	Activate(ctx context.Context, id [16]byte) error
	// Expel makes a member expelled, for ever. Repeating it is harmless.
	// ErrNotFound.
	Expel(ctx context.Context, id [16]byte) error
	// Renew records what was issued to an active member for epoch, which is
	// not less than the one before. ErrNotFound, ErrState, ErrMalformed, or
	// ErrStale when a newer epoch is recorded.
	Renew(ctx context.Context, id [16]byte, epoch uint32, issued []byte) error

	// MemberByID, MemberByEK, MemberByTag and MemberByUh return a member in
	// whatever state, or ErrNotFound.
	MemberByID(ctx context.Context, id [16]byte) (*Member, error)
	MemberByEK(ctx context.Context, ek [32]byte) (*Member, error)
	MemberByTag(ctx context.Context, tag [33]byte) (*Member, error)
	MemberByUh(ctx context.Context, uh [33]byte) (*Member, error)

	// Meta and SetMeta are as in Ledger.
	Meta(ctx context.Context, key string) ([]byte, error)
	SetMeta(ctx context.Context, key string, value []byte) error

	// Close waits for writes under way and releases the store.
	Close() error
}

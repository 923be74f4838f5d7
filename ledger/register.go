package ledger

import (
	"context"
	"time"
)

// Session is one join under way: the challenge given to one TPM. An EK may have
// several: anybody can show its certificate.
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
	MemberPending   MemberState = "pending" // the TPM has not yet proven itself
	MemberActive    MemberState = "active"
	MemberRevoked   MemberState = "revoked"   // may be succeeded by a new membership, with a code
	MemberSucceeded MemberState = "succeeded" // another membership took its place, for ever
	MemberExpelled  MemberState = "expelled"  // for ever
)

// Member is one registered TPM and the person behind it. No row is ever
// deleted: an opening must find every tag a credential was made for.
type Member struct {
	// ID is 16 random bytes.
	ID [16]byte
	// EK is SHA-256 of the EK public key. One member holds it at a time: the
	// newest that was enrolled with it.
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
	// Succeeds is the membership that this one continues, SucceededBy the one
	// that continues this one; zero if there is none. Enrol sets SucceededBy.
	Succeeds, SucceededBy [16]byte
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
	case m.SucceededBy != [16]byte{} || m.Succeeds == m.ID:
		return malformed("member who is succeeded already, or by himself")
	}
	return nil
}

// Readmission lets one new membership take the place of a revoked one.
type Readmission struct {
	// Code is the hash of what the person shows, unique.
	Code [32]byte
	// Member is the revoked member.
	Member [16]byte
	// Expires is kept in UTC to the microsecond.
	Expires time.Time
	// Used tells that the place is taken.
	Used bool
}

// Warrant is one entry of the register of warrants, which only grows.
type Warrant struct {
	// Seq counts from 1; Prev is the Hash of the entry before, zero for the
	// first.
	Seq  uint64
	Prev [32]byte
	// Hash is the caller's over the entry; the store chains it and does not
	// know how it is made.
	Hash [32]byte
	// Digest names the warrant, unique.
	Digest [32]byte
	// Scope is what the warrant allows, in the alphabet of Op.Kind.
	Scope string
	// At is kept in UTC to the microsecond.
	At time.Time
	// Papers is the warrant itself, at most MaxSession bytes, sealed by the
	// caller. Lists leave it out.
	Papers []byte
}

// Validate reports whether the entry is well formed, or ErrMalformed.
func (w *Warrant) Validate() error {
	switch {
	case w.Seq == 0 || w.Hash == [32]byte{} || w.Digest == [32]byte{} || (w.Seq == 1) != (w.Prev == [32]byte{}):
		return malformed("warrant %d with a zero hash or digest, or not in its place", w.Seq)
	case !ValidName(w.Scope):
		return malformed("warrant of scope %q", w.Scope)
	case !validTime(w.At):
		return malformed("warrant at %v", w.At)
	case len(w.Papers) > MaxSession:
		return malformed("warrant of %d bytes", len(w.Papers))
	}
	return nil
}

// Register is a group manager's durable state. It is another store than any
// bank's Ledger. The package comment says what holds for all methods.
type Register interface {
	// PutSession opens a session, or replaces the one with its ID. Of one EK at
	// most each are open: the oldest of the same State gives way, or if none is,
	// the oldest of all. Altogether at most limit are open: then the oldest of
	// the same EK and State gives way, and it is ErrFull if there is none.
	// Expired ones count. ErrMalformed, or a *DuplicateError for FieldSession
	// when ID is another EK's session's or Nonce another session's.
	PutSession(ctx context.Context, s Session, limit, each int) error
	// Session returns an open session, expired or not, or ErrNotFound.
	Session(ctx context.Context, id [16]byte) (*Session, error)
	// TakeSession ends a session and returns it: of any number of callers
	// one gets it, the others ErrNotFound. A session whose Expires is not
	// after now is ended too, with ErrExpired.
	TakeSession(ctx context.Context, id [16]byte, now time.Time) (*Session, error)
	// PurgeSessions ends the sessions whose Expires is not after now.
	PurgeSessions(ctx context.Context, now time.Time) error
	// Sessions counts those that are open, expired ones too.
	Sessions(ctx context.Context) (int64, error)

	// Enrol takes a session, as TakeSession does, and adds the member whose
	// join it was, in one step. The session is used up even when the member
	// is refused: a nonce answers once. A pending member with the same EK,
	// F and Uh is a join whose answer was lost; m replaces it, ID
	// included. Any other value that is taken is refused with a
	// *DuplicateError for FieldEK, FieldTag, FieldUh or FieldMember, in this
	// order. ErrMalformed also if m.EK is not the session's.
	//
	// A member with Succeeds takes that one's place: code must be that of an
	// unused readmission of it that expires after now, and he revoked, or
	// ErrReadmission. The old one becomes succeeded, the code used, and the
	// new one may hold an EK that one of the line held before him. Without
	// Succeeds, code is zero, or ErrMalformed.
	Enrol(ctx context.Context, session [16]byte, now time.Time, m Member, code [32]byte) error
	// Activate makes a pending member active. Repeating it is harmless.
	// ErrNotFound, or ErrState if his membership has ended.
	Activate(ctx context.Context, id [16]byte) error
	// Expel makes a member expelled, for ever, and his readmission void.
	// Repeating it is harmless. ErrNotFound, or ErrState if he was succeeded.
	Expel(ctx context.Context, id [16]byte) error
	// Readmit makes r.Member, active or revoked, revoked, and r his only
	// readmission. ErrNotFound, ErrState if he was expelled or succeeded, or is
	// pending, ErrMalformed, or a *DuplicateError for FieldCode.
	Readmit(ctx context.Context, r Readmission) error
	// ReadmissionByCode and ReadmissionOf return a readmission, used or expired
	// too, or ErrNotFound.
	ReadmissionByCode(ctx context.Context, code [32]byte) (*Readmission, error)
	ReadmissionOf(ctx context.Context, member [16]byte) (*Readmission, error)
	// Renew records what was issued to an active member for epoch, which is
	// not less than the one before. ErrNotFound, ErrState, ErrMalformed, or
	// ErrStale when a newer epoch is recorded.
	Renew(ctx context.Context, id [16]byte, epoch uint32, issued []byte) error

	// MemberByID, MemberByEK, MemberByTag and MemberByUh return a member in
	// whatever state, or ErrNotFound; by EK, the one who holds it now.
	MemberByID(ctx context.Context, id [16]byte) (*Member, error)
	MemberByEK(ctx context.Context, ek [32]byte) (*Member, error)
	MemberByTag(ctx context.Context, tag [33]byte) (*Member, error)
	MemberByUh(ctx context.Context, uh [33]byte) (*Member, error)
	// Members returns at most limit members, no more than MaxPage, in the order
	// of their ids, from the first one behind after.
	Members(ctx context.Context, after [16]byte, limit int) ([]Member, error)
	// MemberCounts counts members by state; a state that nobody is in may be
	// missing.
	MemberCounts(ctx context.Context) (map[MemberState]int64, error)

	// AddWarrant appends to the register of warrants. A *DuplicateError for
	// FieldWarrant when the digest is in it, else ErrStale when w is not the
	// next after the last, or ErrMalformed.
	AddWarrant(ctx context.Context, w Warrant) error
	// LastWarrant returns the newest entry, WarrantByDigest that of a warrant,
	// or ErrNotFound.
	LastWarrant(ctx context.Context) (*Warrant, error)
	WarrantByDigest(ctx context.Context, digest [32]byte) (*Warrant, error)
	// Warrants returns at most limit entries, no more than MaxPage, in order,
	// from the first one behind after, without Papers.
	Warrants(ctx context.Context, after uint64, limit int) ([]Warrant, error)
	// PutPapers gives an entry that has none its Papers. It leaves those of others
	// as they are. ErrNotFound, ErrMalformed.
	PutPapers(ctx context.Context, digest [32]byte, papers []byte) error
	// WarrantCounts counts entries by scope.
	WarrantCounts(ctx context.Context) (map[string]int64, error)

	// Next counts: it returns 1, then 2, and so on for each name of a counter,
	// in the alphabet of a meta key. A number that was returned, or lost on the
	// way, never comes again. ErrMalformed.
	Next(ctx context.Context, counter string) (uint64, error)

	// Counter is the last number that Next returned, 0 if none. Skip makes it n
	// if it is less. ErrMalformed.
	Counter(ctx context.Context, counter string) (uint64, error)
	Skip(ctx context.Context, counter string, n uint64) error

	// Meta and SetMeta are as in Ledger.
	Meta(ctx context.Context, key string) ([]byte, error)
	SetMeta(ctx context.Context, key string, value []byte) error

	// Close waits for writes under way and releases the store.
	Close() error
}

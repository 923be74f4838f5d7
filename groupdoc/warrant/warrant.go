package warrant

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// Bounds.
const (
	MaxPayload   = 8 << 10  // bytes of payload
	MaxJWS       = 32 << 10 // bytes of one signature's document
	MaxReference = 64       // characters
	MaxReason    = 512      // characters
	// MaxTerm is the longest time for which a warrant may be in force; who
	// needs more asks again.
	MaxTerm = 366 * 24 * time.Hour
)

// Warrant is what k supervisors allow.
type Warrant struct {
	// Group is the manager's id.
	Group   string
	Scope   Scope
	Subject Subject
	// Reference is the court's or authority's file number, Reason why; for
	// people, one printable line each. Banks that get a token read both, so
	// neither should hold a name.
	Reference, Reason string
	// IssuedAt and Until are UTC in whole seconds; Until is excluded.
	IssuedAt, Until time.Time
	// Order is the digest of the officers' order behind it (package
	// ceremony/order), zeros for none.
	Order [32]byte
	// Salt keeps the digest in the public register from being guessed.
	Salt [32]byte
	// Digest is SHA-256 of the payload; zero until it was read from one.
	Digest [32]byte
	// Signers are the supervisors who signed, by ascending index; nil until
	// Parse read it.
	Signers []string
}

type warrantJSON struct {
	Version   int     `json:"v"`
	Group     string  `json:"group"`
	Scope     Scope   `json:"scope"`
	Subject   Subject `json:"subject"`
	Reference string  `json:"reference"`
	Reason    string  `json:"reason"`
	IssuedAt  string  `json:"issued_at"`
	Until     string  `json:"until"`
	Order     string  `json:"order,omitempty"`
	Salt      string  `json:"salt"`
}

// Draft draws a salt and returns the payload for the supervisors to sign.
// Errors: ErrMalformed.
func Draft(w Warrant) ([]byte, error) {
	if _, err := rand.Read(w.Salt[:]); err != nil {
		return nil, fmt.Errorf("warrant: salt: %w", err)
	}
	return w.Marshal()
}

// Marshal returns the payload. Errors: ErrMalformed for what no warrant may
// say.
func (w *Warrant) Marshal() ([]byte, error) {
	if err := w.check(); err != nil {
		return nil, err
	}
	j := warrantJSON{
		Version: 1, Group: w.Group, Scope: w.Scope, Subject: w.Subject, Reference: w.Reference, Reason: w.Reason,
		IssuedAt: formatTime(w.IssuedAt), Until: formatTime(w.Until), Salt: encode(w.Salt),
	}
	if w.Order != [32]byte{} {
		j.Order = encode(w.Order)
	}
	out, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("warrant: %w", err)
	}
	return out, nil
}

// Read reads a payload that nobody may have signed yet: what a supervisor
// looks at before he signs. Everybody else calls Parse. Errors: ErrMalformed.
func Read(payload []byte) (*Warrant, error) {
	var j warrantJSON
	if err := strictjson.Unmarshal(payload, MaxPayload, &j); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if j.Version != 1 {
		return nil, fmt.Errorf("%w: of version %d", ErrMalformed, j.Version)
	}
	w := &Warrant{
		Group: j.Group, Scope: j.Scope, Subject: j.Subject, Reference: j.Reference, Reason: j.Reason,
		Digest: sha256.Sum256(payload),
	}
	var err error
	if w.IssuedAt, err = parseTime("issued_at", j.IssuedAt); err != nil {
		return nil, err
	}
	if w.Until, err = parseTime("until", j.Until); err != nil {
		return nil, err
	}
	if w.Salt, err = decode("salt", j.Salt); err != nil {
		return nil, err
	}
	if j.Order != "" {
		if w.Order, err = decode("order", j.Order); err != nil {
			return nil, err
		}
		if w.Order == [32]byte{} {
			return nil, fmt.Errorf("%w: order: zeros stand for none", ErrMalformed)
		}
	}
	return w, w.check()
}

// check holds for every payload, signed or not.
func (w *Warrant) check() error {
	if err := trust.CheckID(w.Group); err != nil {
		return fmt.Errorf("%w: group: %v", ErrMalformed, err)
	}
	if err := w.Subject.check(w.Scope); err != nil {
		return err
	}
	if !readable(w.Reference, MaxReference) {
		return fmt.Errorf("%w: reference: 1 to %d printable characters", ErrMalformed, MaxReference)
	}
	if !readable(w.Reason, MaxReason) {
		return fmt.Errorf("%w: reason: 1 to %d printable characters", ErrMalformed, MaxReason)
	}
	if w.IssuedAt.Nanosecond() != 0 || w.Until.Nanosecond() != 0 {
		return fmt.Errorf("%w: times are in whole seconds", ErrMalformed)
	}
	if term := w.Until.Sub(w.IssuedAt); term <= 0 || term > MaxTerm {
		return fmt.Errorf("%w: it ends before it begins, or is in force for more than %d days", ErrMalformed, MaxTerm/(24*time.Hour))
	}
	if w.Salt == [32]byte{} {
		return fmt.Errorf("%w: without a salt", ErrMalformed)
	}
	return nil
}

// InForce says whether the warrant allows anything at that time. Clocks may
// differ by groupdoc.EpochSkew at its beginning; its end is its end. Error:
// ErrExpired.
func (w *Warrant) InForce(at time.Time) error {
	if at.Add(groupdoc.EpochSkew).Before(w.IssuedAt) {
		return fmt.Errorf("%w: only from %s", ErrExpired, formatTime(w.IssuedAt))
	}
	if !at.Before(w.Until) {
		return fmt.Errorf("%w: until %s", ErrExpired, formatTime(w.Until))
	}
	return nil
}

// Allows says whether the warrant has one of the scopes and is about the
// subject. Errors: ErrScope, ErrSubject.
func (w *Warrant) Allows(subject Subject, scopes ...Scope) error {
	ok := false
	for _, s := range scopes {
		ok = ok || w.Scope == s
	}
	if !ok {
		return fmt.Errorf("%w: it is to %s", ErrScope, w.Scope)
	}
	if w.Subject != subject {
		return fmt.Errorf("%w: another case or member", ErrSubject)
	}
	return nil
}

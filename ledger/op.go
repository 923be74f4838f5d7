package ledger

import (
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/frame"
)

// Bounds of what one op may carry.
const (
	// MaxAmount bounds amounts and balances, in minor units, either sign:
	// the largest integer that JSON carries unharmed.
	MaxAmount = 1<<53 - 1
	// MaxRequest and MaxAnswer bound Op.Request and Op.Answer in bytes.
	MaxRequest = 4 << 20
	MaxAnswer  = 4 << 20
	// MaxSpends, MaxPostings and MaxQuotas bound the lists of one op.
	MaxSpends   = 4096
	MaxPostings = 4096
	MaxQuotas   = 16
)

// ID is a 32-byte content hash: of an op, a coin, a token.
type ID = [32]byte

// States of an op. Others may be used; only StatePending means something to
// the ledger: it is the one state that SetAnswer may leave.
const (
	StatePending   = "pending"
	StateDone      = "done"
	StateRefused   = "refused"
	StateCancelled = "cancelled"
)

// Op is one operation on the ledger, all or nothing.
type Op struct {
	// ID is the idempotency key, a content hash that the caller computes.
	ID ID
	// Kind names the operation: "withdrawal", "deposit", … (1 to 40 of
	// a-z 0-9 -, a letter first).
	Kind string
	// Account is the account on whose behalf the op runs; may be empty.
	Account string
	// Issuer and Acquirer are bank ids, [A-Z0-9]{4,20}; may be empty.
	Issuer, Acquirer string
	// Lane is the journal the op is recorded in; empty for the store's own.
	Lane string
	// State is the op's state at first, in the alphabet of Kind; never
	// empty. Read back, it is the state as settled since.
	State string
	// Request is the exact request, at most MaxRequest bytes.
	Request []byte
	// Answer is the exact answer, at most MaxAnswer bytes; may be empty, and
	// settled by SetAnswer. Read back, it is the answer as settled since.
	Answer []byte
	// At is the op's time, kept in UTC to the microsecond.
	At time.Time
	// Spends are the ids that the op uses up, at most MaxSpends, no id twice.
	Spends []Spend
	// Postings are the amounts that the op moves, at most MaxPostings, at
	// most one for an account and currency.
	Postings []Posting
	// Floors names accounts of Postings whose balance after the op must be
	// zero or more in each currency the op moves. A condition of Apply: it
	// is not recorded, and is empty in an op read back.
	Floors []string
	// Quotas count toward limits, at most MaxQuotas, no name twice. What is
	// counted is recorded; Max is a condition of Apply, and zero in an op read
	// back.
	Quotas []Quota
	// MaxStrikes, if positive, refuses the op as Held while a hold under its
	// own id lasts with that many strikes or more. A condition of Apply.
	MaxStrikes int
	// Unheld refuses the op as Held while a hold under its own id lasts,
	// whatever the strikes: it is not what the coins are held for, though it
	// has the same id. A condition of Apply.
	Unheld bool
}

// Quota counts an op toward a limit. The counter of a name starts at zero and
// is the sum of what was counted toward it.
type Quota struct {
	// Name is a path as an account's is.
	Name string
	// Amount is counted, zero or more; zero asks and counts nothing.
	Amount int64
	// Max is what the counter may come to with it.
	Max int64
}

// Spend uses up one id, for ever, in the spent set of one epoch.
type Spend struct {
	// Epoch names the spent set, [a-z0-9_]{1,40}.
	Epoch string
	// ID is what is spent.
	ID ID
	// Value is recorded with it, in minor units, zero or more.
	Value int64
}

// Posting changes the balance of one account in one currency.
type Posting struct {
	// Account is a path, see ValidAccount.
	Account string
	// Amount in minor units; positive adds. Never zero, within ±MaxAmount.
	Amount int64
	// Currency is 2 to 12 of A-Z 0-9.
	Currency string
}

// Validate reports whether the op is well formed: ErrMalformed or
// ErrUnbalanced. Drivers call it; they look up the id first.
func (o *Op) Validate() error {
	if o.ID == (ID{}) {
		return malformed("op id is zero")
	}
	if !ValidName(o.Kind) || !ValidName(o.State) {
		return malformed("op kind %q or state %q", o.Kind, o.State)
	}
	if o.Account != "" && !ValidAccount(o.Account) {
		return malformed("op account %q", o.Account)
	}
	for _, b := range []string{o.Issuer, o.Acquirer} {
		if b != "" && !within(b, 4, 20, upperOrDigit) {
			return malformed("bank id %q", b)
		}
	}
	if o.Lane != "" && !ValidLane(o.Lane) {
		return malformed("lane %q", o.Lane)
	}
	if len(o.Request) > MaxRequest || len(o.Answer) > MaxAnswer {
		return malformed("request of %d and answer of %d bytes", len(o.Request), len(o.Answer))
	}
	if !validTime(o.At) {
		return malformed("op time %v", o.At)
	}
	if err := o.validateSpends(); err != nil {
		return err
	}
	if err := o.validateQuotas(); err != nil {
		return err
	}
	return o.validatePostings()
}

func (o *Op) validateSpends() error {
	if len(o.Spends) > MaxSpends {
		return malformed("%d spends", len(o.Spends))
	}
	seen := make(map[ID]struct{}, len(o.Spends))
	for _, s := range o.Spends {
		if !ValidEpoch(s.Epoch) {
			return malformed("epoch %q", s.Epoch)
		}
		if s.Value < 0 || s.Value > MaxAmount {
			return malformed("spend value %d", s.Value)
		}
		if _, ok := seen[s.ID]; ok {
			return malformed("id %x spent twice in one op", s.ID)
		}
		seen[s.ID] = struct{}{}
	}
	return nil
}

func (o *Op) validateQuotas() error {
	if len(o.Quotas) > MaxQuotas {
		return malformed("%d quotas", len(o.Quotas))
	}
	for i, q := range o.Quotas {
		if !ValidAccount(q.Name) || q.Amount < 0 || q.Amount > MaxAmount || q.Max < 0 || q.Max > MaxAmount {
			return malformed("quota %q of %d", q.Name, q.Amount)
		}
		if slices.ContainsFunc(o.Quotas[:i], func(other Quota) bool { return other.Name == q.Name }) {
			return malformed("two quotas %q", q.Name)
		}
	}
	return nil
}

func (o *Op) validatePostings() error {
	if len(o.Postings) > MaxPostings {
		return malformed("%d postings", len(o.Postings))
	}
	type key struct{ account, currency string }
	seen := make(map[key]struct{}, len(o.Postings))
	posted := make(map[string]struct{}, len(o.Postings))
	for _, p := range o.Postings {
		if !ValidAccount(p.Account) || !within(p.Currency, 2, 12, upperOrDigit) {
			return malformed("posting to %q in %q", p.Account, p.Currency)
		}
		if p.Amount == 0 || p.Amount > MaxAmount || p.Amount < -MaxAmount {
			return malformed("posting of %d", p.Amount)
		}
		k := key{p.Account, p.Currency}
		if _, ok := seen[k]; ok {
			return malformed("two postings to %s in %s", p.Account, p.Currency)
		}
		seen[k] = struct{}{}
		posted[p.Account] = struct{}{}
	}
	// A floor that no posting touches guards nothing: a name was misspelt.
	for _, f := range o.Floors {
		if _, ok := posted[f]; !ok {
			return malformed("floor on %q, which the op does not post to", f)
		}
	}
	return CheckBalanced(o.Postings)
}

// CheckBalanced returns ErrUnbalanced unless postings sum to zero in every
// currency. MaxPostings amounts of at most MaxAmount can overflow 64 bits, so
// the sum is kept within range as it goes.
func CheckBalanced(postings []Posting) error {
	sums := make(map[string]int64, 1)
	for _, p := range postings {
		sum, err := AddAmount(sums[p.Currency], p.Amount)
		if err != nil {
			return fmt.Errorf("%w: sum in %s is out of range", ErrUnbalanced, p.Currency)
		}
		sums[p.Currency] = sum
	}
	for currency, sum := range sums {
		if sum != 0 {
			return fmt.Errorf("%w: %d left in %s", ErrUnbalanced, sum, currency)
		}
	}
	return nil
}

// AddAmount returns a+b, or ErrOverflow when the sum leaves ±MaxAmount. Both
// must be within it.
func AddAmount(a, b int64) (int64, error) {
	sum := a + b // cannot wrap: two 54-bit integers
	if sum > MaxAmount || sum < -MaxAmount {
		return 0, ErrOverflow
	}
	return sum, nil
}

// Digest returns SHA-256 over the op's canonical bytes, which the journal
// chains: everything but its conditions, as given to Apply, with Lane filled
// in and At in microseconds. The lists enter as frames of their own, so that the
// whole stays injective.
func (o *Op) Digest() [32]byte {
	spends := make([][]byte, 0, 3*len(o.Spends))
	for i := range o.Spends {
		s := &o.Spends[i]
		spends = append(spends, []byte(s.Epoch), s.ID[:], frame.Uint64(uint64(s.Value)))
	}
	postings := make([][]byte, 0, 3*len(o.Postings))
	for _, p := range o.Postings {
		postings = append(postings, []byte(p.Account), frame.Uint64(uint64(p.Amount)), []byte(p.Currency))
	}
	parts := [][]byte{[]byte("specie/ledger/op/1"), o.ID[:], []byte(o.Kind), []byte(o.Account),
		[]byte(o.Issuer), []byte(o.Acquirer), []byte(o.Lane), []byte(o.State), o.Request, o.Answer,
		frame.Uint64(uint64(o.At.UnixMicro())), frame.Join(spends...), frame.Join(postings...)}
	// Ops without quotas hash as they did before there were any.
	var quotas [][]byte
	for _, q := range o.Quotas {
		if q.Amount != 0 {
			quotas = append(quotas, []byte(q.Name), frame.Uint64(uint64(q.Amount)))
		}
	}
	if quotas != nil {
		parts = append(parts, frame.Join(quotas...))
	}
	return frame.Digest(parts...)
}

// Settle is the rule of SetAnswer. Given an op's present state and answer it
// returns those that follow, and whether anything changed. A state leaves
// StatePending once; an answer, once there, stays; an empty new answer leaves
// the answer alone. What is against it is ErrAnswered.
func Settle(state string, answer []byte, newState string, newAnswer []byte) (string, []byte, bool, error) {
	if !ValidName(newState) || len(newAnswer) > MaxAnswer {
		return "", nil, false, malformed("state %q with an answer of %d bytes", newState, len(newAnswer))
	}
	if state != newState && state != StatePending {
		return "", nil, false, fmt.Errorf("%w: state is %s, not %s", ErrAnswered, state, newState)
	}
	if len(newAnswer) == 0 {
		newAnswer = answer
	} else if len(answer) != 0 && string(answer) != string(newAnswer) {
		return "", nil, false, fmt.Errorf("%w: answers differ", ErrAnswered)
	}
	changed := state != newState || len(answer) != len(newAnswer)
	return newState, newAnswer, changed, nil
}

package ledger

import "time"

// Hold keeps coins for one operation until an instant. While it lasts, another
// operation that would spend one of them is Held, whatever it brings, and so
// is another hold. Nobody has to end it: an operation is compared with it by
// its own At.
//
// A hold moves no money and is in no journal, but it is as durable as an
// operation before it is answered.
type Hold struct {
	// ID is the op that may spend the coins while the hold lasts.
	ID ID
	// Account is on whose behalf it is held.
	Account string
	// Coins are what is held, at least one, at most MaxSpends, no id twice.
	Coins []Spend
	// Amount is what it is held for, in minor units; for people.
	Amount int64
	// At and Until are kept in UTC to the microsecond; Until is later.
	At, Until time.Time
	// Strikes counts the different wrong tries made under the hold. The store
	// sets it.
	Strikes int
	// Released says that it ended before Until: the account let go of it, or its
	// op was recorded. The store sets it.
	Released bool
}

// HoldLimits are what an account may hold. Zero is no limit.
type HoldLimits struct {
	// Open is how many holds it may have open at once, at the new one's At.
	Open int
	// PerCoin is how often it may hold the same coin: holds placed at Since or
	// later count, ended or not. Outcome.Over names what would be passed, "open"
	// or "per-coin".
	PerCoin int
	Since   time.Time
}

// Open says whether the hold keeps others out at that time.
func (h *Hold) Open(at time.Time) bool { return !h.Released && at.Before(h.Until) }

// Validate reports whether the hold is well formed, or ErrMalformed.
func (h *Hold) Validate() error {
	switch {
	case h.ID == ID{}:
		return malformed("hold id is zero")
	case !ValidAccount(h.Account):
		return malformed("hold account %q", h.Account)
	case len(h.Coins) == 0:
		return malformed("hold of no coin")
	case h.Amount < 0 || h.Amount > MaxAmount:
		return malformed("hold amount %d", h.Amount)
	case !validTime(h.At) || !validTime(h.Until) || !h.At.Before(h.Until):
		return malformed("hold from %v to %v", h.At, h.Until)
	}
	op := Op{Spends: h.Coins}
	return op.validateSpends()
}

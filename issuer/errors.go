package issuer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// The refusals of this package, for errors.Is; those about coins, spends and
// offers are of package coin.
var (
	// ErrConfig: the bank can't open with this configuration.
	ErrConfig = errors.New("issuer: configuration refused")
	// ErrUnauthorized: no account has this token.
	ErrUnauthorized = errors.New("issuer: unknown access token")
	// ErrForbidden: the account is of another kind, or its token does not allow
	// this.
	ErrForbidden = errors.New("issuer: not allowed for this account")
	// ErrSuspended: the account is shut until an operator reinstates it. Its
	// owner sees what is his and has recorded requests answered again.
	ErrSuspended = errors.New("issuer: the account is suspended")
	// ErrFenced: the ledger was restored from a backup, or is an old copy; the
	// error is a *FencedError. See BeginReconciliation.
	ErrFenced = errors.New("issuer: the ledger was restored and is not reconciled")
	// ErrReconciling: not while the bank finds out what is missing from a restored
	// ledger.
	ErrReconciling = errors.New("issuer: the bank is reconciling its ledger; come again later")
	// ErrNotFenced: there is nothing to reconcile.
	ErrNotFenced = errors.New("issuer: the ledger is not fenced, there is nothing to reconcile")
	// ErrDraining: the bank redeems, and issues nothing beyond what comes in.
	ErrDraining = errors.New("issuer: the bank only redeems now")
	// ErrLimit: more than the bank allows at a time; the error is a *LimitError.
	ErrLimit = errors.New("issuer: limit reached")
	// ErrHeld: coins are held for another operation; the error is a *HeldError.
	ErrHeld = errors.New("issuer: coin is held")
	// ErrHoldEnded: these coins were held for this payment before. They can be
	// deposited, and held for another offer.
	ErrHoldEnded = errors.New("issuer: the hold has ended")
	// ErrSettled: the merchant has been paid out since the deposit, so it can't
	// be refunded any more.
	ErrSettled = errors.New("issuer: settled by a payout")
	// ErrRefund: a refund of more than is left of what was paid.
	ErrRefund = errors.New("issuer: more than was paid")
	// ErrNotFound: no such account, operation or case.
	ErrNotFound = errors.New("issuer: not found")
	// ErrMalformed: a request that no rule has a place for.
	ErrMalformed = errors.New("issuer: malformed request")
	// ErrInsufficientFunds: the account holds less than the withdrawal.
	ErrInsufficientFunds = errors.New("issuer: insufficient funds")
	// ErrConflict: the reference was used for something else, or two requests
	// met that are one operation, such as a payment and its void; then the error
	// is a *VoidError.
	ErrConflict = errors.New("issuer: already used otherwise")
	// ErrDoubleSpend: a coin is spent already; the error is a
	// *DoubleSpendError.
	ErrDoubleSpend = errors.New("issuer: coin is spent already")
	// ErrOutputUsed: another operation has a blinded message of this one, and
	// its signature belongs to that one (Bank.Restore).
	ErrOutputUsed = errors.New("issuer: a blinded message was signed before")
	// ErrUnavailable: token or store can't answer now. The operation may be
	// recorded: repeat the request unchanged.
	ErrUnavailable = errors.New("issuer: unavailable")

	// ErrLeaked: more was redeemed under a key than was ever issued, so
	// somebody else signs with it; the error is a *LeakedError.
	ErrLeaked = errors.New("issuer: a key has leaked")
	// ErrBooks: the ledger's rows contradict each other, or the requests in
	// them.
	ErrBooks = errors.New("issuer: the ledger is wrong")
)

// DoubleSpendError is a refusal with its evidence. It matches ErrDoubleSpend.
type DoubleSpendError struct {
	// Op is the operation that spent the coin.
	Op ledger.ID
	// Proof is the earlier spend with its owners' authorisation.
	Proof *coin.ConflictProof
}

// Error names the coin.
func (e *DoubleSpendError) Error() string {
	return fmt.Sprintf("%v: coin %x", ErrDoubleSpend, e.Proof.CoinID[:8])
}

// Unwrap makes errors.Is(err, ErrDoubleSpend) true.
func (e *DoubleSpendError) Unwrap() error { return ErrDoubleSpend }

// VoidError refuses a payment that was taken back, or the void of a payment
// that was deposited, or one of an exchange, a recoup and a recover of the same
// coins: they are one operation. It matches ErrConflict.
type VoidError struct {
	// Op is the operation that both are.
	Op ledger.ID
	// Proof is the spend that came first, with its owners' authorisation.
	Proof *coin.ConflictProof
}

// Error says which of the two stands.
func (e *VoidError) Error() string {
	switch s := e.Proof.Spend; {
	case s.Purpose == coin.Pay:
		return fmt.Sprintf("%v: the merchant has deposited this payment", ErrConflict)
	case s.OfferDigest != [32]byte{}:
		return fmt.Sprintf("%v: the payer has taken these coins back", ErrConflict)
	case s.Purpose == coin.Recoup || s.Purpose == coin.Recover:
		return fmt.Sprintf("%v: these coins have been made good", ErrConflict)
	}
	return fmt.Sprintf("%v: these coins have been exchanged", ErrConflict)
}

// Unwrap makes errors.Is(err, ErrConflict) true.
func (e *VoidError) Unwrap() error { return ErrConflict }

// LeakedError names the keys that leaked. It matches ErrLeaked.
type LeakedError struct{ Keys []KeyBalance }

// Error names the keys.
func (e *LeakedError) Error() string {
	text := ErrLeaked.Error()
	for i := range e.Keys {
		k := &e.Keys[i]
		text += fmt.Sprintf("; key %s (%s %d): redeemed %d, issued %d", k.KeyID, k.Kind, k.Value, k.Redeemed, k.Issued)
	}
	return text
}

// Unwrap makes errors.Is(err, ErrLeaked) true.
func (e *LeakedError) Unwrap() error { return ErrLeaked }

// HeldError refuses what a hold stands against. It matches ErrHeld.
type HeldError struct {
	// Until is when the hold ends.
	Until time.Time
	// Struck says that it is the merchant's own hold, which answers nothing more
	// after too many wrong authorisations.
	Struck bool
}

// Error says until when.
func (e *HeldError) Error() string {
	if e.Struck {
		return fmt.Sprintf("%v: too many wrong authorisations; until %s", ErrHeld, e.Until.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	return fmt.Sprintf("%v: until %s", ErrHeld, e.Until.UTC().Format("2006-01-02 15:04:05 UTC"))
}

// Unwrap makes errors.Is(err, ErrHeld) true.
func (e *HeldError) Unwrap() error { return ErrHeld }

// LimitError names a limit that would be passed. It matches ErrLimit.
type LimitError struct {
	// Name is the limit's in /v1/info.
	Name string
	// Max is what it allows.
	Max int64
	// Until is when to ask again; zero if waiting does not help.
	Until time.Time
}

// Error names the limit.
func (e *LimitError) Error() string {
	return fmt.Sprintf("%v: %s is %d", ErrLimit, e.Name, e.Max)
}

// Unwrap makes errors.Is(err, ErrLimit) true.
func (e *LimitError) Unwrap() error { return ErrLimit }

// store gives an error of the ledger its meaning here. What is left without
// one is a bug or a broken store, and stays an internal error.
func store(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, ledger.ErrUnavailable), errors.Is(err, ledger.ErrClosed):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case errors.Is(err, ledger.ErrNotFound):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

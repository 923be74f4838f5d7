package issuer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/fault"
	"github.com/speciecash/specie/ledger"
)

// HoldRequest is a payment whose coins a merchant wants kept for him. Nobody has
// authorised it yet.
type HoldRequest struct {
	Offer     []byte   // P, byte for byte as the payer hashed it
	PayeeSalt [32]byte // opens P's payee to the account's merchant id
	Spend     *coin.Spend
}

// Held is the answer to a hold.
type Held struct {
	Op    ledger.ID // of the deposit that the coins are kept for, and the hold's name
	Until time.Time
}

const (
	// holdPeriod is what Limits.HoldsPerCoin counts.
	holdPeriod = time.Hour
	// holdMemory is how long a hold is remembered after its end, pruneEvery how
	// often a bank looks for some to forget.
	holdMemory = 24 * time.Hour
	pruneEvery = 10 * time.Minute
)

// Hold keeps a payment's coins for the merchant's deposit of them, for
// Limits.HoldTime. He is told by it that they are the bank's and unspent; until
// the hold ends, nobody else gets anything but a *HeldError for them, whatever
// he presents, and their owner neither. Whether the owner consents is not asked:
// that comes with the deposit.
//
// The same offer and coins are held once: a repetition gets the same answer
// while the hold lasts, and ErrHoldEnded after. Refusals besides: ErrForbidden,
// ErrSuspended, those of coin.VerifyShown and of coin.Offer's checks,
// coin.ErrBinding for a group that the bank does not take, *HeldError,
// *LimitError, *VoidError, and *DoubleSpendError, which makes no case: nobody
// authorised anything.
func (b *Bank) Hold(ctx context.Context, account *Account, r *HoldRequest) (*Held, error) {
	op, err := b.payment(ctx, account, r.Spend, "holds")
	if err != nil {
		return nil, err
	}
	if op != nil {
		return nil, voided(op)
	}
	if err := errors.Join(account.active(), b.admits(ctx)); err != nil {
		return nil, err
	}
	now := b.now()
	hold, err := b.checkHold(ctx, account, r, now)
	if err != nil {
		return nil, b.refusedHold(ctx, account, r.Spend, now, err)
	}
	return b.placeHold(ctx, r.Spend, hold)
}

// refusedHold is the refusal of a hold: of a payment that is held for another
// merchant, who is the one it names, as of other coins that are held.
func (b *Bank) refusedHold(ctx context.Context, account *Account, s *coin.Spend, now time.Time, reason error) error {
	hold, err := b.cfg.Ledger.Hold(ctx, s.Op())
	if err == nil && hold.Open(now) && hold.Account != account.ID && !errors.Is(reason, ErrUnavailable) {
		return &HeldError{Until: hold.Until}
	}
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return fmt.Errorf("issuer: look up hold: %w", store(err))
	}
	return b.refused(ctx, s, now, reason)
}

// checkHold checks all of a payment but its authorisation.
func (b *Bank) checkHold(ctx context.Context, account *Account, r *HoldRequest, now time.Time) (*ledger.Hold, error) {
	f, s := b.current(), r.Spend
	if _, err := b.checkOffer(account, &DepositRequest{Offer: r.Offer, PayeeSalt: r.PayeeSalt, Spend: s}, now); err != nil {
		return nil, err
	}
	if err := coin.VerifyShown(s, f.keyset, now); err != nil {
		return nil, err
	}
	verifier, err := b.verifier(ctx, s)
	if err == nil && verifier == nil && s.Group != [32]byte{} {
		err = fmt.Errorf("%w: no group is accepted here", coin.ErrBinding)
	}
	if err != nil {
		return nil, err
	}
	coins, err := f.consume(newPostings(b.currency), s)
	if err != nil {
		return nil, err
	}
	return &ledger.Hold{
		ID: s.Op(), Account: account.ID, Coins: coins, Amount: int64(s.Amount), At: now, Until: now.Add(b.limits.HoldTime),
	}, nil
}

func (b *Bank) placeHold(ctx context.Context, s *coin.Spend, h *ledger.Hold) (*Held, error) {
	fault.Point("issuer.hold.checked")
	out, err := b.cfg.Ledger.PlaceHold(ctx, *h, ledger.HoldLimits{
		Open: b.limits.OpenHolds, PerCoin: b.limits.HoldsPerCoin, Since: h.At.Add(-holdPeriod),
	})
	fault.Point("issuer.hold.recorded")
	if err != nil {
		return nil, fmt.Errorf("issuer: hold: %w", store(err))
	}
	switch out.Status {
	case ledger.Applied:
		b.pruneHolds(ctx, h.At)
		return &Held{Op: h.ID, Until: h.Until}, nil
	case ledger.Replayed:
		if !out.Hold.Open(h.At) {
			return nil, ErrHoldEnded
		}
		if out.Hold.Strikes >= b.limits.Strikes {
			return nil, b.held(ctx, h.ID, out.Hold)
		}
		return &Held{Op: h.ID, Until: out.Hold.Until}, nil
	case ledger.Held:
		return nil, b.held(ctx, h.ID, out.Hold)
	case ledger.Conflict:
		return nil, b.spent(ctx, h.ID, out.Conflicts)
	case ledger.Exceeded:
		return nil, b.overHolds(ctx, h, out.Over)
	}
	return nil, fmt.Errorf("issuer: hold: ledger answered %s", out.Status)
}

// overHolds says which limit a hold would pass, and when there is room.
func (b *Bank) overHolds(ctx context.Context, h *ledger.Hold, over []string) error {
	if !slices.Contains(over, "open") {
		return &LimitError{Name: LimitHoldsPerCoin, Max: int64(b.limits.HoldsPerCoin), Until: h.At.Add(holdPeriod)}
	}
	open, err := b.cfg.Ledger.OpenHolds(ctx, h.Account, h.At, 1)
	if err != nil {
		return fmt.Errorf("issuer: hold: %w", store(err))
	}
	until := h.At
	for i := range open {
		until = open[i].Until
	}
	return &LimitError{Name: LimitOpenHolds, Max: int64(b.limits.OpenHolds), Until: until}
}

// spent refuses a hold of coins that are spent, by op itself or another.
func (b *Bank) spent(ctx context.Context, op ledger.ID, taken []ledger.Taken) error {
	if len(taken) == 0 {
		return errors.New("issuer: ledger told of a conflict and named none")
	}
	if taken[0].Op == op { // recorded since Hold looked
		recorded, err := b.recorded(ctx, op)
		if err != nil {
			return err
		}
		if recorded != nil {
			return voided(recorded)
		}
	}
	proof, err := b.proof(ctx, taken[0])
	if err != nil {
		return err
	}
	return &DoubleSpendError{Op: taken[0].Op, Proof: proof}
}

// ReleaseHold ends a hold of the account's before its time. Repeating it is
// harmless. ErrNotFound, or a *HeldError for a hold that answers nothing more.
func (b *Bank) ReleaseHold(ctx context.Context, account *Account, op ledger.ID) error {
	h, err := b.cfg.Ledger.Hold(ctx, op)
	if err == nil && h.Account != account.ID {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("issuer: release hold: %w", store(err))
	}
	if err := account.active(); err != nil {
		return err
	}
	if h.Open(b.now()) && h.Strikes >= b.limits.Strikes {
		return b.held(ctx, op, h)
	}
	if err := b.cfg.Ledger.ReleaseHold(ctx, op); err != nil {
		return fmt.Errorf("issuer: release hold: %w", store(err))
	}
	return nil
}

// held makes the refusal of what a hold stands against. If it is the
// operation's own, struck, its merchant is suspended, should that still be to
// do: whoever was to do it may have crashed.
func (b *Bank) held(ctx context.Context, op ledger.ID, h *ledger.Hold) error {
	struck := h.ID == op && h.Strikes >= b.limits.Strikes
	if struck {
		if err := b.suspendStruck(ctx, h); err != nil {
			return err
		}
	}
	return &HeldError{Until: h.Until, Struck: struck}
}

// refused is the refusal of a spend for a reason of its own, or the *HeldError
// that hides the reason while coins of it are held for somebody else: what he
// presents must not be tried out meanwhile. No question is asked of a spend
// that is good, which the ledger compares with holds as it records it.
func (b *Bank) refused(ctx context.Context, s *coin.Spend, now time.Time, reason error) error {
	if errors.Is(reason, ErrUnavailable) || errors.Is(reason, context.Canceled) || errors.Is(reason, context.DeadlineExceeded) {
		return reason
	}
	byEpoch := make(map[string][]ledger.ID)
	for i, id := range s.CoinIDs() {
		epoch := epochOf(s.Coins[i].KeyID)
		byEpoch[epoch] = append(byEpoch[epoch], id)
	}
	own := s.Op()
	var longest *ledger.Hold
	for epoch, ids := range byEpoch {
		holds, err := b.cfg.Ledger.HeldCoins(ctx, epoch, ids, now)
		if errors.Is(err, ledger.ErrUnknownEpoch) {
			continue // no coin of the bank
		}
		if err != nil {
			return fmt.Errorf("issuer: look up holds: %w", store(err))
		}
		for _, h := range holds {
			// What shares the op of a payment is not what the coins are held for.
			if (h.ID != own || s.Purpose != coin.Pay) && (longest == nil || longest.Until.Before(h.Until)) {
				longest = &h
			}
		}
	}
	if longest != nil {
		return &HeldError{Until: longest.Until}
	}
	return reason
}

// pruneHolds forgets holds of long ago, now and then. Nothing rests on it.
func (b *Bank) pruneHolds(ctx context.Context, now time.Time) {
	last := b.pruned.Load()
	if age := now.Unix() - last; age >= 0 && age < int64(pruneEvery/time.Second) || !b.pruned.CompareAndSwap(last, now.Unix()) {
		return
	}
	if _, err := b.cfg.Ledger.PruneHolds(ctx, now.Add(-holdMemory)); err != nil {
		b.log.WarnContext(ctx, "holds of long ago stay a while longer", "error", err)
	}
}

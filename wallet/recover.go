package wallet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
)

// Recoverable is what Recover would have the bank repay.
type Recoverable struct {
	// Coins are all that it would send, bearer coins that were promised together
	// with bound ones included.
	Coins []StoredCoin `json:"coins"`
	// Worth is what they come to.
	Worth coin.Amount `json:"worth"`
	// Payments is how many open payments would be taken back.
	Payments int `json:"payments"`
	// Unproven are coins of TPMs that are gone which can't be proven to be this
	// person's; Why says what is missing: [ErrNoHolding], or the manager's word
	// that counts no more. They are in neither Coins nor Worth.
	Unproven coin.Amount `json:"unproven,omitempty"`
	Why      error       `json:"-"`
	// Ready is what the bank repays now.
	Ready coin.Amount `json:"ready"`
	// From is when it begins to repay the last of them; zero if it does now.
	From time.Time `json:"from,omitzero"`

	keyset *coin.Keyset
	estate *estate
	lots   []lot        // promised together
	fresh  []StoredCoin // others
}

// Recoverable asks the bank for its newest keyset and looks which coins are
// bound to the TPMs of former memberships. It tells the bank nothing.
func (w *Wallet) Recoverable(ctx context.Context) (*Recoverable, error) {
	r, err := w.recoverable(ctx)
	if err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	return r, nil
}

func (w *Wallet) recoverable(ctx context.Context) (*Recoverable, error) {
	r := &Recoverable{}
	var err error
	if r.keyset, err = w.newestKeyset(ctx); err != nil {
		return nil, err
	}
	refused, err := w.refusedLots(ctx)
	if err != nil {
		return nil, err
	}
	open, err := w.openPaymentLots(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range append(refused, open...) {
		if slices.ContainsFunc(l.coins, w.stranded) {
			r.lots = append(r.lots, l)
		}
	}
	if r.fresh, err = w.purse.coins(ctx, "WHERE state = ? AND kind = ? ORDER BY value DESC, id", CoinFresh, string(coin.Bound)); err != nil {
		return nil, err
	}
	r.fresh = slices.DeleteFunc(r.fresh, func(c StoredCoin) bool { return !w.stranded(c) })
	if len(r.lots)+len(r.fresh) == 0 {
		return r, nil
	}
	all := slices.Clone(r.fresh)
	for _, l := range r.lots {
		all = append(all, l.coins...)
	}
	if r.estate, err = w.findEstate(ctx, all); err != nil {
		return nil, err
	}
	return r, r.count(w)
}

// count leaves out what can't be proven, and adds up the rest.
func (r *Recoverable) count(w *Wallet) (err error) {
	unproven := func(c StoredCoin) bool { return w.stranded(c) && r.estate.holdings[[32]byte(c.ID)] == nil }
	leave := func(coins []StoredCoin) {
		worth, serr := sum(coins)
		r.Unproven += worth
		err = errors.Join(err, serr)
		if r.Why = r.estate.doubt; r.Why == nil {
			r.Why = ErrNoHolding
		}
	}
	take := func(coins []StoredCoin) {
		worth, serr := sum(coins)
		err = errors.Join(err, serr)
		if from := r.estate.from(coins); !w.now().Before(from) {
			r.Ready += worth
		} else if from.After(r.From) {
			r.From = from
		}
		for _, c := range coins {
			c.Stranded = w.stranded(c)
			r.Coins = append(r.Coins, c)
		}
	}
	r.fresh = slices.DeleteFunc(r.fresh, func(c StoredCoin) bool {
		if unproven(c) {
			leave([]StoredCoin{c})
			return true
		}
		return false
	})
	r.lots = slices.DeleteFunc(r.lots, func(l lot) bool {
		if slices.ContainsFunc(l.coins, unproven) {
			leave(l.coins)
			return true
		}
		return false
	})
	for i := range r.fresh {
		take(r.fresh[i : i+1])
	}
	for _, l := range r.lots {
		take(l.coins)
		if l.origin.payment != nil && !l.part {
			r.Payments++
		}
	}
	if err != nil {
		return err
	}
	r.Worth, err = sum(r.Coins)
	return err
}

// Recovered is what Recover did.
type Recovered struct {
	// Coins were sent, and Worth came back.
	Coins int         `json:"coins"`
	Worth coin.Amount `json:"worth"`
	// Credited is how much of it is on the account.
	Credited coin.Amount `json:"credited"`
	// Paid is how many payments turned out to be made.
	Paid int `json:"paid"`
	// Waiting is what the bank does not repay yet.
	Waiting coin.Amount `json:"waiting,omitempty"`
}

// recoverLot is how many coins go to the bank in one request: all of them are
// known to be one person's anyway, but an answer has its length.
const recoverLot = coin.MaxCoins / 4

// Recover has the bank repay what r found: new coins of the same kinds and
// worth, bound to the TPM that is attached; or with toAccount, for coins that
// were withdrawn and never promised to anybody, money on the account that they
// were withdrawn from.
//
// It shows the bank that the coins are one person's, who was one member of the
// group and is another now, and with toAccount where they come from. What comes
// back is as unlinkable as ever, and coins that are not sent stay so.
//
// Payments that are open because their merchant has not deposited are taken
// back. Coins whose old TPM somebody could still have signed with wait: the
// error is a *coin.TooEarlyError after all others are done. What the bank refuses
// for good doesn't hold up the others either. The TPM must be attached, or the
// error is [ErrNoTPM]. Everything is on disk before it is sent; after [ErrOpen],
// [Wallet.Resume] finishes what was interrupted, also without a TPM.
func (w *Wallet) Recover(ctx context.Context, r *Recoverable, toAccount bool, p Progress) (*Recovered, error) {
	out := &Recovered{}
	if len(r.Coins) == 0 {
		if r.Unproven > 0 {
			return out, fmt.Errorf("recover: %w", r.Why)
		}
		return out, nil
	}
	lots, err := w.recoverLots(ctx, r, toAccount)
	if err != nil {
		return out, fmt.Errorf("recover: %w", err)
	}
	var early *coin.TooEarlyError
	var failed []error
	done := 0
	for _, l := range lots {
		worth, err := sum(l.coins)
		if err != nil {
			return out, fmt.Errorf("recover: %w", err)
		}
		if from := r.estate.from(l.coins); w.now().Before(from) {
			out.Waiting += worth
			if early == nil || early.From.Before(from) {
				early = &coin.TooEarlyError{From: from}
			}
			continue
		}
		if w.member == nil {
			return out, fmt.Errorf("recover: %w", w.noTPM())
		}
		if l.err != nil {
			failed = append(failed, l.err)
			continue
		}
		err = w.exchange(ctx, r.keyset, l.coins, l.origin)
		done += len(l.coins)
		p.report(done, len(r.Coins))
		if errors.Is(err, ErrPaid) {
			out.Paid++
			continue
		}
		if isFinal(err) {
			failed = append(failed, err)
			continue
		}
		if err != nil {
			return out, errors.Join(append(failed, err)...)
		}
		out.Coins += len(l.coins)
		out.Worth += worth
		if l.origin.toAccount {
			out.Credited += worth
		}
	}
	if early != nil {
		failed = append(failed, early)
	}
	if len(failed) > 0 {
		return out, fmt.Errorf("recover: %w", errors.Join(failed...))
	}
	return out, nil
}

// isFinal says that the bank refuses for good what was sent. Anything else, such
// as a bank that does not answer, is the same for all.
func isFinal(err error) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Final() && !errors.Is(err, ErrOpen)
}

// recoverLots parts the coins by what they are sent with, and puts beside each
// part what proves whose it is. Coins that were promised go with those that they
// were promised with, so that both are one op at the bank. Others go with those
// of the same TPM; for an account, with those of the same withdrawal.
func (w *Wallet) recoverLots(ctx context.Context, r *Recoverable, toAccount bool) ([]lot, error) {
	src, err := w.findSources(ctx, r.keyset, r.Coins, func(c StoredCoin) bool {
		return claimable(r.keyset, c) || toAccount && c.State == CoinFresh
	})
	if err != nil {
		return nil, err
	}
	// Where a coin comes from that no account paid for is nobody's business.
	maps.DeleteFunc(src.claim, func(id [32]byte, c coin.Claim) bool {
		i := slices.IndexFunc(r.Coins, func(c StoredCoin) bool { return [32]byte(c.ID) == id })
		return src.accounts[c.Op] == "" && !claimable(r.keyset, r.Coins[i])
	})
	lots := slices.Clone(r.lots)
	fresh := []lot{{coins: r.fresh}}
	if toAccount {
		fresh = src.lots(r.fresh)
	}
	for _, l := range fresh {
		for _, coins := range r.estate.byOwner(l.coins) {
			for _, part := range r.estate.parts(coins) {
				lots = append(lots, lot{coins: part})
			}
		}
	}
	for i := range lots {
		l := &lots[i]
		l.origin.recoup = src
		l.origin.toAccount = toAccount && l.account() != ""
		l.origin.stead, l.err = w.newStead(r, l.coins)
	}
	return lots, nil
}

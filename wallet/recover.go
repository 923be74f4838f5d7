package wallet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/successor"
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

// estate is what the purse kept from former memberships.
type estate struct {
	former   []former
	holdings map[[32]byte]*kept // by coin
	doubt    error              // why the manager's word on some of former counts no more
}

// kept is what is kept of one coin.
type kept struct {
	*holding
	index uint64
	from  time.Time // when it can be recovered
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
		if l.origin.payment != nil {
			r.Payments++
		}
	}
	if err != nil {
		return err
	}
	r.Worth, err = sum(r.Coins)
	return err
}

// findEstate finds what was kept of the coins, in what the purse remembers of
// its operations, and from when on the bank believes it.
func (w *Wallet) findEstate(ctx context.Context, coins []StoredCoin) (*estate, error) {
	e := &estate{holdings: map[[32]byte]*kept{}}
	var err error
	if e.former, err = w.formerly(ctx); err != nil {
		return nil, err
	}
	over, err := w.memberUntil(ctx, e)
	if err != nil {
		return nil, err
	}
	type number struct {
		kid   coin.KeyID
		index uint64
	}
	wanted := map[number]ID{}
	for _, c := range coins {
		if w.stranded(c) {
			wanted[number{c.KeyID, c.Index}] = c.ID
		}
	}
	ops, err := queryOps(ctx, w.purse.db, "WHERE state = ?", OpDone)
	if err != nil {
		return nil, err
	}
	for i := range ops {
		at, err := issuedBy(ops[i])
		if err != nil {
			return nil, err
		}
		if at.holding == nil {
			continue // nothing is bound, or it is of an earlier version
		}
		from, known := over[[33]byte(at.holding.Tag)]
		for _, it := range at.items {
			if id, ok := wanted[number{it.KeyID, it.Index}]; ok && known {
				e.holdings[[32]byte(id)] = &kept{holding: at.holding, index: it.Index, from: from}
			}
		}
	}
	return e, nil
}

// memberUntil is until when somebody may take what former members sign. Where
// the manager's word is refused, by now, those before it are missing.
func (w *Wallet) memberUntil(ctx context.Context, e *estate) (map[[33]byte]time.Time, error) {
	doc, err := w.groupDocument(ctx)
	if err != nil {
		return nil, err
	}
	v := &successor.Verifier{Root: w.root, Doc: doc, At: w.now()}
	out := map[[33]byte]time.Time{}
	for _, f := range e.former {
		from, _, over, err := v.Succession(f.Succession)
		if err != nil {
			clear(out)
			e.doubt = fmt.Errorf("the manager's word on an earlier membership counts no more: %w", err)
			continue
		}
		out[from] = over
	}
	return out, nil
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
// error is a *coin.TooEarlyError after all others are done. For those, the TPM
// must be attached, or the error is [ErrNoTPM]. Everything is on disk before it is sent;
// after [ErrOpen], [Wallet.Resume] finishes what was interrupted, also without a
// TPM.
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
		err = w.exchange(ctx, r.keyset, l.coins, l.origin)
		done += len(l.coins)
		p.report(done, len(r.Coins))
		if errors.Is(err, ErrPaid) {
			out.Paid++
			continue
		}
		if err != nil {
			return out, err
		}
		out.Coins += len(l.coins)
		out.Worth += worth
		if l.origin.toAccount {
			out.Credited += worth
		}
	}
	if early != nil {
		return out, fmt.Errorf("recover: %w", early)
	}
	return out, nil
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
			for part := range slices.Chunk(coins, recoverLot) {
				lots = append(lots, lot{coins: part})
			}
		}
	}
	for i := range lots {
		l := &lots[i]
		l.origin.recoup = src
		l.origin.toAccount = toAccount && l.account() != ""
		if l.origin.stead, err = w.newStead(r, l.coins); err != nil {
			return nil, err
		}
	}
	return lots, nil
}

// byOwner parts coins by the membership whose they were, the oldest first: each
// has its own time.
func (e *estate) byOwner(coins []StoredCoin) (out [][]StoredCoin) {
	for _, f := range e.former {
		var his []StoredCoin
		for _, c := range coins {
			if bytes.Equal(e.holdings[[32]byte(c.ID)].Tag, f.Tag) {
				his = append(his, c)
			}
		}
		if len(his) > 0 {
			out = append(out, his)
		}
	}
	return out
}

// from is when the last of the coins can be recovered.
func (e *estate) from(coins []StoredCoin) (from time.Time) {
	for _, c := range coins {
		if k := e.holdings[[32]byte(c.ID)]; k != nil && k.from.After(from) {
			from = k.from
		}
	}
	return from
}

// stead is what stands in for the owners of a lot's coins.
type stead struct {
	coin.Stead
	places map[[32]byte]coin.Held // by coin
}

// newStead collects the holdings of coins, and the successions from the first of
// their owners to the present member.
func (w *Wallet) newStead(r *Recoverable, coins []StoredCoin) (*stead, error) {
	t := &stead{places: map[[32]byte]coin.Held{}}
	at := map[*holding]int{}
	first := len(r.estate.former)
	for _, c := range coins {
		if !w.stranded(c) {
			continue
		}
		k := r.estate.holdings[[32]byte(c.ID)]
		place, known := at[k.holding]
		if !known {
			place = len(t.Holdings)
			at[k.holding] = place
			t.Holdings = append(t.Holdings, coin.Holding{Presentation: k.Presentation, Key: [32]byte(k.Key), Claims: k.Claims})
		}
		held, err := w.place(r.keyset, c, k, &t.Holdings[place])
		if err != nil {
			return nil, err
		}
		held.Holding = place
		t.places[[32]byte(c.ID)] = held
		owner := slices.IndexFunc(r.estate.former, func(f former) bool { return bytes.Equal(f.Tag, k.Tag) })
		if owner < 0 {
			return nil, fmt.Errorf("coin %s: %w: no former membership is its owner's", c.ID, ErrCoinState)
		}
		first = min(first, owner)
	}
	for _, f := range r.estate.former[first:] {
		t.Successions = append(t.Successions, f.Succession)
	}
	return t, nil
}

// place finds a coin in its holding.
func (w *Wallet) place(k *coin.Keyset, c StoredCoin, of *kept, h *coin.Holding) (coin.Held, error) {
	stored, err := coin.DecodeCoin(c.raw)
	if err != nil {
		return coin.Held{}, fmt.Errorf("coin %s: %w", c.ID, err)
	}
	owner, err := stored.BoundClaim()
	if err != nil {
		return coin.Held{}, err
	}
	blind, err := coin.HoldingBlind(w.seed, k.Bank, c.KeyID, of.index)
	if err != nil {
		return coin.Held{}, err
	}
	claim, err := h.Find(owner, blind)
	if err != nil {
		return coin.Held{}, fmt.Errorf("coin %s: %w", c.ID, err)
	}
	return coin.Held{Claim: claim, Blind: blind}, nil
}

// of is the stead of a spend of the lot's coins, with the key to the presentation
// over it.
func (t *stead) of(spend *coin.Spend, key group.OpeningKey) *coin.Stead {
	out := t.Stead
	out.Key = [group.OpeningKeySize]byte(key.Bytes())
	for _, id := range spend.CoinIDs() {
		if at, ok := t.places[id]; ok {
			out.Held = append(out.Held, at)
		}
	}
	return &out
}

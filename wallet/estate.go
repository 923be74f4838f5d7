package wallet

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/successor"
)

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
		at, err := w.issuedBy(ops[i])
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
	v := &successor.Verifier{Root: w.root, Doc: doc}
	out := map[[33]byte]time.Time{}
	for _, f := range e.former {
		from, _, over, err := v.Succession(f.Succession, w.now())
		for _, word := range f.Then {
			if err == nil {
				_, _, _, err = v.Succession(word, w.now())
			}
		}
		if err != nil {
			clear(out)
			e.doubt = fmt.Errorf("the manager's word on an earlier membership counts no more: %w", err)
			continue
		}
		out[from] = over
	}
	return out, nil
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

// parts parts coins so that none has too many coins for one request, or more claims
// beside them in their holdings than a bank looks at.
func (e *estate) parts(coins []StoredCoin) (out [][]StoredCoin) {
	var order []*holding
	of := map[*holding][]StoredCoin{}
	for _, c := range coins {
		h := e.holdings[[32]byte(c.ID)].holding
		if of[h] == nil {
			order = append(order, h)
		}
		of[h] = append(of[h], c)
	}
	var part []StoredCoin
	claims := 0
	for _, h := range order {
		for his := range slices.Chunk(of[h], recoverLot) {
			n := len(h.Claims) / group.BlindedClaimSize
			if len(part) > 0 && (len(part)+len(his) > recoverLot || claims+n > coin.MaxHoldingsClaims) {
				out, part, claims = append(out, part), nil, 0
			}
			part, claims = append(part, his...), claims+n
		}
	}
	return append(out, part)
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
		t.Successions = append(t.Successions, f.words()...)
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

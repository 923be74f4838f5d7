package wallet

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"fmt"
	"slices"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
)

// item is one coin to come: its number under a key, and its owner. Everything
// else derives from the seed, so this is all that has to be on disk to
// unblind the bank's answer after a crash.
type item struct {
	KeyID coin.KeyID `json:"kid"`
	Index uint64     `json:"index"`
	Owner []byte     `json:"owner"`
	// Key is the Name of the key in the TPM that a bound coin is bound to.
	Key []byte `json:"key,omitempty"`
}

// holding is what a wallet keeps of bound coins to come in case their TPM
// breaks: a presentation that claims their tags, and the key to it.
type holding struct {
	Tag          []byte `json:"tag"` // of the member whose TPM it is
	Presentation []byte `json:"presentation"`
	Key          []byte `json:"key"`
	Claims       []byte `json:"claims"`
}

// newItems takes a number for each denomination and computes every coin's
// owner: a key from the seed, or a tag from the TPM (one command each), and
// proves all tags by one presentation before anything is sent. A wrong tag
// from a faulty TPM would be money lost. The presentation is the coins' holding,
// nil if none is bound.
func (w *Wallet) newItems(ctx context.Context, k *coin.Keyset, ds []coin.Denomination, p Progress) ([]item, *holding, error) {
	if p == nil && slices.ContainsFunc(ds, func(d coin.Denomination) bool { return d.Kind == coin.Bound }) {
		p = w.tags
	}
	items := make([]item, len(ds))
	err := w.purse.update(ctx, func(tx *sql.Tx) error {
		for i := range ds {
			n, err := nextIndex(ctx, tx, ds[i].KeyID[:])
			if err != nil {
				return err
			}
			items[i] = item{KeyID: ds[i].KeyID, Index: n}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	var claims []group.Claim
	for i := range items {
		claim, err := w.fillOwner(ctx, k, &ds[i], &items[i])
		if err != nil {
			return nil, nil, err
		}
		if claim != nil {
			claims = append(claims, *claim)
		}
		p.report(i+1, len(items))
	}
	if len(claims) == 0 {
		return items, nil, nil
	}
	held, err := w.hold(ctx, claims)
	if err != nil {
		return nil, nil, fmt.Errorf("checking the TPM's coin tags: %w", err)
	}
	return items, held, nil
}

// hold proves blinded claims by one presentation.
func (w *Wallet) hold(ctx context.Context, claims []group.Claim) (*holding, error) {
	claims, err := coin.HoldingClaims(claims, w.member.BlankClaim)
	if err != nil {
		return nil, err
	}
	p, key, err := w.member.PresentOpen(ctx, w.key, coin.HoldingMessage(), claims)
	if err != nil {
		return nil, err
	}
	h := coin.NewHolding(p, key, claims)
	return &holding{Tag: w.enrolled.Tag, Presentation: h.Presentation, Key: h.Key[:], Claims: h.Claims}, nil
}

// fillOwner computes the owner of one coin to come, and the claim to be
// proven for a bound one, blinded.
func (w *Wallet) fillOwner(ctx context.Context, k *coin.Keyset, d *coin.Denomination, it *item) (*group.Claim, error) {
	if d.Kind == coin.Bearer {
		key, err := coin.OwnerKey(w.seed, k.Bank, it.KeyID, it.Index)
		if err != nil {
			return nil, err
		}
		it.Owner = key.Public().(ed25519.PublicKey)
		return nil, nil
	}
	if w.member == nil {
		return nil, w.noTPM()
	}
	nonce, err := coin.BoundNonce(w.seed, k.Bank, it.KeyID, it.Index)
	if err != nil {
		return nil, err
	}
	tag, err := group.CoinTag(ctx, w.key, nonce)
	if err != nil {
		return nil, err
	}
	it.Owner, it.Key = coin.BoundOwner(nonce, tag), w.enrolled.Name
	blind, err := coin.HoldingBlind(w.seed, k.Bank, it.KeyID, it.Index)
	if err != nil {
		return nil, err
	}
	claim, err := group.CoinClaim(nonce, tag)
	if err == nil {
		claim, err = claim.Blind(blind)
	}
	if err != nil {
		return nil, err
	}
	return &claim, nil
}

// planchets recomputes the blinded messages; the same items give the same
// bytes.
func (w *Wallet) planchets(k *coin.Keyset, items []item) ([]*coin.Planchet, []coin.Output, error) {
	ps := make([]*coin.Planchet, len(items))
	outs := make([]coin.Output, len(items))
	for i, it := range items {
		d, err := k.Find(it.KeyID)
		if err != nil {
			return nil, nil, err
		}
		p, err := coin.NewPlanchet(w.seed, k.Bank, d, it.Index, it.Owner)
		if err != nil {
			return nil, nil, err
		}
		ps[i], outs[i] = p, p.Output()
	}
	return ps, outs, nil
}

// finalize unblinds and verifies every signature. One bad signature refuses
// the lot: the operation stays open and can be replayed. An empty one is good
// for a key that the keyset itself says is revoked or lost; its coin has no
// signature then.
func (w *Wallet) finalize(ctx context.Context, k *coin.Keyset, items []item, sigs [][]byte, p Progress) ([]*coin.Coin, error) {
	if len(sigs) != len(items) {
		return nil, fmt.Errorf("%w: %d signatures for %d coins", ErrAnswer, len(sigs), len(items))
	}
	ps, _, err := w.planchets(k, items)
	if err != nil {
		return nil, err
	}
	out := make([]*coin.Coin, len(items))
	for i := range ps {
		if len(sigs[i]) == 0 {
			out[i], err = w.unsigned(ctx, items[i], ps[i])
		} else {
			out[i], err = ps[i].Finalize(sigs[i])
		}
		if err != nil {
			return nil, fmt.Errorf("%w: coin %d of %d: %w", ErrAnswer, i+1, len(items), err)
		}
		p.report(i+1, len(items))
	}
	return out, nil
}

// unsigned returns a coin that will never be signed, if that is so.
func (w *Wallet) unsigned(ctx context.Context, it item, p *coin.Planchet) (*coin.Coin, error) {
	for _, keyset := range []func(context.Context) (*coin.Keyset, error){w.Keyset, w.newestKeyset} {
		k, err := keyset(ctx)
		if err != nil {
			return nil, err
		}
		d, err := k.Find(it.KeyID)
		if err != nil {
			return nil, err
		}
		if d.Revoked || d.Lost {
			return p.Unsigned(), nil
		}
	}
	return nil, fmt.Errorf("%w: no signature under a good key", coin.ErrBlindSignature)
}

// storeCoins puts verified coins into the purse.
func (w *Wallet) storeCoins(ctx context.Context, tx *sql.Tx, k *coin.Keyset, items []item, coins []*coin.Coin) error {
	for i, c := range coins {
		d, err := k.Find(c.KeyID)
		if err != nil {
			return err
		}
		if err := insertCoin(ctx, tx, c, d.Value, items[i], w.now()); err != nil {
			return err
		}
	}
	return nil
}

// noTPM says why there is no member to act with.
func (w *Wallet) noTPM() error {
	if w.enrolled == nil {
		return ErrNotEnrolled
	}
	return ErrNoTPM
}

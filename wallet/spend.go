package wallet

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
)

// buildSpend completes the head with coins and outputs, and has every owner
// authorise it: Ed25519 for bearer coins, one presentation for all bound ones.
// It returns the spend and its exact encoding. The coins that o has claims for
// stand without their signatures; where their TPM is gone, the member signs as
// their owner's successor.
func (w *Wallet) buildSpend(ctx context.Context, k *coin.Keyset, head coin.Spend, coins []StoredCoin, outputs []item, o origin) (*coin.Spend, []byte, error) {
	src := o.recoup
	_, outs, err := w.planchets(k, outputs)
	if err != nil {
		return nil, nil, err
	}
	head.Bank, head.Currency = k.Bank, k.Currency
	// Whole minutes: seconds would tell payments of a clock that is off apart
	// from others.
	head.ToIssuer, head.IssuedAt = outs, w.now().Truncate(time.Minute).Unix()
	index := make(map[[32]byte]uint64, len(coins))
	for _, sc := range coins {
		c, err := coin.DecodeCoin(sc.raw)
		if err != nil {
			return nil, nil, fmt.Errorf("coin %s: %w", sc.ID, err)
		}
		if src.claims(c.ID()) {
			c.Signature = nil
		}
		head.Coins = append(head.Coins, *c)
		index[c.ID()] = sc.Index
		if w.stranded(sc) && o.stead == nil {
			return nil, nil, ErrStranded
		}
		if c.Kind == coin.Bound && w.member == nil {
			return nil, nil, w.noTPM()
		}
		if c.Kind == coin.Bound {
			head.Group = w.enrolled.groupID
		}
	}
	spend, err := coin.NewSpend(head)
	if err != nil {
		return nil, nil, err
	}
	auth, err := w.authorise(ctx, k, spend, index, o.stead)
	if err != nil {
		return nil, nil, err
	}
	// The last look before anything leaves: what the merchant will check.
	switch head.Purpose {
	case coin.Refund:
		err = coin.VerifyRefund(spend, auth, o.refunds, k, w.ownVerifier(ctx), w.now())
	case coin.Recover:
		err = coin.VerifyRecover(spend, auth, src.ordered(spend), k, w.ownVerifier(ctx), w.now(), src.outputs)
	case coin.Recoup:
		err = coin.VerifyRecoup(spend, auth, src.ordered(spend), k, w.ownVerifier(ctx), w.now(), src.outputs)
	default:
		err = coin.Verify(spend, auth, k, w.ownVerifier(ctx), w.now())
	}
	if err != nil {
		return nil, nil, fmt.Errorf("own check: %w", err)
	}
	encoded, err := coin.EncodeSpend(spend, auth)
	return spend, encoded, err
}

func (w *Wallet) authorise(ctx context.Context, k *coin.Keyset, spend *coin.Spend, index map[[32]byte]uint64, t *stead) (*coin.Authorisation, error) {
	auth := &coin.Authorisation{}
	var err error
	auth.Bearer, err = spend.SignBearer(func(c *coin.Coin) (ed25519.PrivateKey, error) {
		return coin.OwnerKey(w.seed, k.Bank, c.KeyID, index[c.ID()])
	})
	if err != nil {
		return nil, err
	}
	bound := spend.BoundClaims()
	if len(bound) == 0 {
		return auth, nil
	}
	if t != nil {
		p, key, err := w.member.PresentOpen(ctx, w.key, spend.Frame(), nil)
		if err != nil {
			return nil, err
		}
		auth.Presentation, auth.Stead = p.Bytes(), t.of(spend, key)
		return auth, nil
	}
	claims, err := coin.Claims(bound)
	if err != nil {
		return nil, err
	}
	p, err := w.member.Present(ctx, w.key, spend.Frame(), claims)
	if err != nil {
		return nil, err
	}
	auth.Presentation = p.Bytes()
	return auth, nil
}

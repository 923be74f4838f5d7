package merchant

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
)

// OfferRequest is what is to be paid.
type OfferRequest struct {
	// Amount in minor units.
	Amount coin.Amount
	// Order and Purpose are seen by the payer, never by a bank.
	Order, Purpose string
	// Lifetime is how long the offer can be paid; zero means 15 minutes.
	Lifetime time.Duration
	// Kinds of coin to take; none means bearer, and bound if a group manager
	// is configured.
	Kinds []coin.Kind
}

// NewOffer makes, signs and stores an offer.
func (t *Till) NewOffer(ctx context.Context, r OfferRequest) (*coin.SignedOffer, error) {
	k, err := t.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	if r.Lifetime == 0 {
		r.Lifetime = 15 * time.Minute
	}
	mode, err := t.mode(ctx)
	if err != nil {
		return nil, err
	}
	o := coin.Offer{
		Mode: mode, Till: t.settings.TillName, Acquirer: k.Bank, Amount: r.Amount, Currency: k.Currency,
		Expires: t.now().Add(r.Lifetime).UTC().Truncate(time.Second), Kinds: r.Kinds,
	}
	if len(o.Kinds) == 0 {
		o.Kinds = []coin.Kind{coin.Bearer}
		if len(t.settings.GroupURLs) > 0 {
			o.Kinds = append(o.Kinds, coin.Bound)
		}
	}
	if err := t.offerGroups(ctx, &o); err != nil {
		return nil, err
	}
	signed, err := coin.NewOffer(o, coin.PrivateOffer{Name: t.settings.Name, Order: r.Order, Purpose: r.Purpose}, t.key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	err = t.change(ctx, "offer", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO offers (digest, jws, private, amount, created, expires) VALUES (?, ?, ?, ?, ?, ?)",
			signed.Digest[:], signed.JWS, signed.PrivateBytes, int64(r.Amount), t.now().UnixMicro(), o.Expires.UnixMicro())
		if err != nil {
			return err
		}
		return t.step(ctx, tx, StepWaiting, signed.Digest[:], nil, "", "")
	})
	if err != nil {
		return nil, err
	}
	return signed, nil
}

// offerGroups names the groups and the epoch in an offer that takes bound coins.
func (t *Till) offerGroups(ctx context.Context, o *coin.Offer) error {
	bound := false
	for _, k := range o.Kinds {
		bound = bound || k == coin.Bound
	}
	if !bound {
		return nil
	}
	docs, err := t.groupDocuments(ctx)
	for _, d := range docs {
		e, err := d.EpochAt(t.now())
		if err != nil {
			continue
		}
		o.Groups = append(o.Groups, d.GroupID())
		o.Epoch = max(o.Epoch, uint32(e.Number))
	}
	if len(o.Groups) > 0 {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: bound coins need a group manager in the till's settings", ErrOffer)
}

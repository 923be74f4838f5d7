package issuer

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// Books are what the bank owes and holds, in one consistent picture.
type Books struct {
	Bank     string
	Currency string
	Exponent int
	At       time.Time
	// Balanced is false if the classes don't sum to zero, or if more was
	// redeemed under some key than was ever issued: then the key has leaked.
	Balanced bool
	// Classes are the balances by class of account: holder, merchant,
	// circulation, reserve.
	Classes []ClassBalance
	// Keys are the balances of circulation per key of the keyset.
	Keys []KeyBalance
}

// ClassBalance is what all accounts of one class hold, in minor units.
type ClassBalance struct {
	Class   string
	Balance int64
}

// KeyBalance is what is in circulation under one key, in minor units.
type KeyBalance struct {
	KeyID   coin.KeyID
	Kind    coin.Kind
	Value   coin.Amount
	Balance int64
}

// Books adds the ledger up. Every class and every key of the keyset is
// listed, at zero if nothing was ever posted to it.
func (b *Bank) Books(ctx context.Context) (*Books, error) {
	totals, err := b.cfg.Ledger.Totals(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("issuer: books: %w", store(err))
	}
	folded, err := ledger.Books(totals)
	if err != nil {
		return nil, fmt.Errorf("issuer: books: %w", err)
	}
	out := &Books{
		Bank: b.keyset.Bank, Currency: b.keyset.Currency, Exponent: b.keyset.Exponent, At: b.now(), Balanced: true,
	}
	classes := map[string]int64{}
	var sum int64
	for _, c := range folded {
		if c.Currency != b.keyset.Currency {
			return nil, fmt.Errorf("issuer: books: the ledger holds a second currency, %s", c.Currency)
		}
		classes[c.Account] = c.Amount
		sum += c.Amount // a handful of classes of at most 2^53 each
	}
	out.Balanced = sum == 0
	for _, class := range []string{string(Holder), string(Merchant), strings.TrimSuffix(circulationClass, "/"), reserve} {
		out.Classes = append(out.Classes, ClassBalance{Class: class, Balance: classes[class]})
		delete(classes, class)
	}
	if len(classes) != 0 {
		return nil, fmt.Errorf("issuer: books: %d unknown classes of account", len(classes))
	}
	inCirculation := make(map[string]int64)
	for _, t := range totals {
		if kid, ok := strings.CutPrefix(t.Account, circulationClass); ok {
			inCirculation[kid] = t.Amount
			out.Balanced = out.Balanced && t.Amount >= 0
		}
	}
	for i := range b.keyset.Denominations {
		d := &b.keyset.Denominations[i]
		out.Keys = append(out.Keys, KeyBalance{
			KeyID: d.KeyID, Kind: d.Kind, Value: d.Value, Balance: inCirculation[d.KeyID.String()],
		})
	}
	return out, nil
}

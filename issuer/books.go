package issuer

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
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
	// Keys are what happened under each key of the keyset, and then under
	// those that only the ledger remembers.
	Keys []KeyBalance
}

// ClassBalance is what all accounts of one class hold, in minor units.
type ClassBalance struct {
	Class   string
	Balance int64
}

// KeyBalance is what happened under one key, in minor units.
type KeyBalance struct {
	KeyID    coin.KeyID
	Kind     coin.Kind   // empty if the keyset has forgotten the key
	Value    coin.Amount // zero if the keyset has forgotten the key
	Issued   int64       // worth of all coins ever signed
	Redeemed int64       // worth of all coins ever taken back
	Balance  int64       // the difference, what is in circulation
}

// Leaked says whether more was redeemed under the key than was ever issued:
// somebody else can sign with it.
func (k *KeyBalance) Leaked() bool { return k.Redeemed > k.Issued }

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
	f := b.current()
	out := &Books{Bank: b.id, Currency: b.currency, Exponent: f.keyset.Exponent, At: b.now()}
	classes := map[string]int64{}
	var sum int64
	for _, c := range folded {
		if c.Currency != b.currency {
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
	if out.Keys, err = f.keyBalances(totals); err != nil {
		return nil, fmt.Errorf("issuer: books: %w", err)
	}
	for i := range out.Keys {
		out.Balanced = out.Balanced && !out.Keys[i].Leaked()
	}
	return out, nil
}

func (f *inForce) keyBalances(totals []ledger.Balance) ([]KeyBalance, error) {
	byID, err := foldKeys(totals)
	if err != nil {
		return nil, err
	}
	var out []KeyBalance
	for i := range f.keyset.Denominations {
		d := &f.keyset.Denominations[i]
		k := byID[d.KeyID]
		k.KeyID, k.Kind, k.Value = d.KeyID, d.Kind, d.Value
		out = append(out, k)
		delete(byID, d.KeyID)
	}
	forgotten := slices.SortedFunc(maps.Keys(byID), func(a, b coin.KeyID) int { return bytes.Compare(a[:], b[:]) })
	for _, kid := range forgotten {
		out = append(out, byID[kid])
	}
	return out, nil
}

// foldKeys reads what was issued and redeemed under each key out of the
// balances of circulation; other balances are passed over.
func foldKeys(totals []ledger.Balance) (map[coin.KeyID]KeyBalance, error) {
	out := make(map[coin.KeyID]KeyBalance)
	for _, t := range totals {
		kid, issued, of, err := circulation(t.Account)
		if err != nil {
			return nil, err
		}
		if !of {
			continue
		}
		k := out[kid]
		k.KeyID = kid
		if issued {
			k.Issued = t.Amount
		} else {
			k.Redeemed = -t.Amount
		}
		k.Balance = k.Issued - k.Redeemed
		out[kid] = k
	}
	return out, nil
}

// money is an amount as people write it.
func (b *Bank) money(a coin.Amount) string {
	return a.Format(b.current().keyset.Exponent) + " " + b.currency
}

package ledger

import (
	"time"

	"github.com/speciecash/specie/frame"
)

// Account is the record of an account that somebody logs in to.
type Account struct {
	// ID is the account's path, see ValidAccount.
	ID string
	// Kind is "holder", "merchant", … in the alphabet of Op.Kind.
	Kind string
	// Name is for people, at most 200 bytes of UTF-8; may be empty.
	Name string
	// Key is the account's public key if it has one, at most 4096 bytes.
	Key []byte
	// Currency is 2 to 12 of A-Z 0-9.
	Currency string
	// CreatedAt is kept in UTC to the microsecond.
	CreatedAt time.Time
	// Suspended accounts are refused by the rules above; the ledger does not
	// look at it.
	Suspended bool
	// Reason is why, for the operator, at most 500 bytes of UTF-8; empty
	// unless Suspended.
	Reason string
	// Rev counts the record's versions, from 1. The store sets it;
	// UpdateAccount wants the one that was read.
	Rev uint64
}

// Validate reports whether the record is well formed, or ErrMalformed.
func (a *Account) Validate() error {
	switch {
	case !ValidAccount(a.ID):
		return malformed("account id %q", a.ID)
	case !ValidName(a.Kind):
		return malformed("account kind %q", a.Kind)
	case !validText(a.Name, 200):
		return malformed("account name of %d bytes", len(a.Name))
	case len(a.Key) > 4096:
		return malformed("account key of %d bytes", len(a.Key))
	case !within(a.Currency, 2, 12, upperOrDigit):
		return malformed("account currency %q", a.Currency)
	case !validText(a.Reason, 500) || a.Reason != "" && !a.Suspended:
		return malformed("reason of %d bytes", len(a.Reason))
	case !validTime(a.CreatedAt):
		return malformed("account time %v", a.CreatedAt)
	}
	return nil
}

// Digest returns SHA-256 over the record's canonical bytes, without Rev,
// which the journal keeps beside it.
func (a *Account) Digest() [32]byte {
	suspended := []byte{0}
	if a.Suspended {
		suspended[0] = 1
	}
	return frame.Digest([]byte("specie/ledger/account/2"), []byte(a.ID), []byte(a.Kind), []byte(a.Name),
		a.Key, []byte(a.Currency), frame.Uint64(uint64(a.CreatedAt.UnixMicro())), suspended, []byte(a.Reason))
}

// Balance is what one account holds in one currency, in minor units.
type Balance struct {
	Account  string
	Currency string
	Amount   int64
}

// Books folds balances by class of account and currency, in order of first
// appearance: what holders, merchants, circulation and reserve come to.
// ErrOverflow if a class leaves ±MaxAmount.
func Books(balances []Balance) ([]Balance, error) {
	type key struct{ class, currency string }
	at := make(map[key]int)
	var out []Balance
	for _, b := range balances {
		k := key{Class(b.Account), b.Currency}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, Balance{Account: k.class, Currency: k.currency})
		}
		sum, err := AddAmount(out[i].Amount, b.Amount)
		if err != nil {
			return nil, err
		}
		out[i].Amount = sum
	}
	return out, nil
}

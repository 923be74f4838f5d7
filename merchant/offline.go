package merchant

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
)

// ErrLimits: limits for what is kept without the bank that can't be.
var ErrLimits = errors.New("limits refused")

// Limits are how much a till may accept while the bank can't be reached. The zero
// value accepts nothing then.
type Limits struct {
	// Sale bounds one payment, Total all that is kept at a time.
	Sale  coin.Amount `json:"limit_sale"`
	Total coin.Amount `json:"limit_total"`
	// Bearer takes bearer coins too: nobody can say who paid with those.
	Bearer bool `json:"bearer"`
}

// On says whether anything is accepted.
func (l Limits) On() bool { return l.Sale > 0 }

// Check returns ErrLimits unless the limits are amounts, that of a sale not above
// the total.
func (l Limits) Check() error {
	if l.Sale.Check() != nil || l.Total.Check() != nil || l.Sale > l.Total || (l.Sale == 0) != (l.Total == 0) {
		return fmt.Errorf("%w: one sale is more than nothing and no more than the total", ErrLimits)
	}
	return nil
}

// Words say in plain words what a merchant risks, amounts with so many decimals.
func (l Limits) Words(currency string, exponent int) string {
	if !l.On() {
		return "when the bank can't be reached, this till accepts no payment: nothing is risked"
	}
	words := fmt.Sprintf("when the bank can't be reached, this till accepts up to %s %s a sale and %s %s in all, and deposits later; "+
		"a payer who has spent the same coins elsewhere, or takes the payment back first, has your goods and you have no money: you may lose up to %s %s",
		l.Sale.Format(exponent), currency, l.Total.Format(exponent), currency, l.Total.Format(exponent), currency)
	if l.Bearer {
		return words + "; who paid with bearer coins nobody can find out; who paid twice with bound coins can be named on a court's order, who took the payment back can't"
	}
	return words + "; only bound coins are accepted so: who pays twice with them can be named on a court's order, who takes the payment back can't"
}

// Offline is what a till has accepted without its bank.
type Offline struct {
	Limits
	// KeptCount and KeptAmount are what is not deposited yet, Oldest is since when.
	KeptCount  int         `json:"kept_count"`
	KeptAmount coin.Amount `json:"kept_amount"`
	Oldest     *time.Time  `json:"oldest,omitempty"`
}

// metaOffline is where the limits are in the file.
const metaOffline = "offline"

// SetLimits sets how much may be kept; the zero value ends it. What is kept already
// stays, and is deposited. ErrLimits.
func (t *Till) SetLimits(ctx context.Context, l Limits) error {
	if err := l.Check(); err != nil {
		return err
	}
	return t.change(ctx, "limits", func(tx *sql.Tx) error {
		if err := t.learnCoins(ctx, tx); err != nil {
			return err
		}
		return putMeta(ctx, tx, metaOffline, l)
	})
}

// mode is how offers are made now: a bank takes an online one until it expires only,
// and what is kept comes later.
func (t *Till) mode(ctx context.Context) (coin.Mode, error) {
	var l Limits
	if _, err := getMeta(ctx, t.db, metaOffline, &l); err != nil || !l.On() {
		return coin.Online, err
	}
	return coin.Offline, nil
}

// Offline returns the limits and what is kept.
func (t *Till) Offline(ctx context.Context) (*Offline, error) { return t.offline(ctx, t.db) }

func (t *Till) offline(ctx context.Context, db handle) (*Offline, error) {
	var o Offline
	if _, err := getMeta(ctx, db, metaOffline, &o.Limits); err != nil {
		return nil, err
	}
	var oldest int64
	err := db.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(o.amount), 0), coalesce(min(p.kept_at), 0)
		FROM payments p JOIN offers o ON o.digest = p.offer WHERE p.state = ?`, StateKept).Scan(&o.KeptCount, &o.KeptAmount, &oldest)
	if err != nil {
		return nil, fmt.Errorf("till: kept payments: %w", err)
	}
	if o.KeptCount > 0 {
		at := time.UnixMicro(oldest).UTC()
		o.Oldest = &at
	}
	return &o, nil
}

package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/batch"
)

// lister runs a query on the writer's connection or on a reader's.
type lister func(row func(*sql.Rows) error, query string, args ...any) error

func (l *Ledger) lister(ctx context.Context) lister {
	return func(row func(*sql.Rows) error, query string, args ...any) error {
		return l.list(ctx, row, query, args...)
	}
}

// listHolds returns the holds that a condition on holds as h chooses, oldest
// first. It is one query, and hence one picture: a hold may be forgotten at any
// time.
func listHolds(list lister, where string, args ...any) ([]ledger.Hold, error) {
	var out []ledger.Hold
	err := list(func(rows *sql.Rows) error {
		var h ledger.Hold
		var s ledger.Spend
		var id, coin []byte
		var at, until int64
		err := rows.Scan(&id, &h.Account, &h.Amount, &at, &until, &h.Released, &h.Strikes, &s.Epoch, &coin, &s.Value)
		if err != nil {
			return classify(err)
		}
		h.ID, h.At, h.Until, s.ID = toID(id), fromMicro(at), fromMicro(until), toID(coin)
		if len(out) == 0 || out[len(out)-1].ID != h.ID {
			out = append(out, h)
		}
		last := &out[len(out)-1]
		last.Coins = append(last.Coins, s)
		return nil
	}, `SELECT h.id, h.account, h.amount, h.at, h.until, h.released,
			(SELECT COUNT(*) FROM hold_tries t WHERE t.hold = h.id), c.epoch, c.id, c.value
		FROM holds h JOIN held_coins c ON c.hold = h.id WHERE `+where+" ORDER BY h.at, h.id, c.n", args...)
	return out, err
}

func holdByID(list lister, id ledger.ID) (*ledger.Hold, error) {
	found, err := listHolds(list, "h.id=?", id[:])
	if err == nil && len(found) == 0 {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return &found[0], nil
}

// PlaceHold implements ledger.Ledger.
func (l *Ledger) PlaceHold(ctx context.Context, h ledger.Hold, limits ledger.HoldLimits) (ledger.Outcome, error) {
	h.Coins, h.Strikes, h.Released = slices.Clone(h.Coins), 0, false
	var out ledger.Outcome
	err := l.writer.join(ctx, func(t *tx) (err error) {
		out, err = l.placeHold(t, &h, limits)
		if err == nil && out.Status != ledger.Applied {
			err = errNothing
		}
		return err
	})
	if err != nil {
		return ledger.Outcome{}, fmt.Errorf("sqlite: place hold %x: %w", h.ID[:8], err)
	}
	return out, nil
}

// placeHold asks the questions of PlaceHold in their order.
func (l *Ledger) placeHold(t *tx, h *ledger.Hold, limits ledger.HoldLimits) (ledger.Outcome, error) {
	placed, err := listHolds(t.query, "h.id=?", h.ID[:])
	if err != nil {
		return ledger.Outcome{}, err
	}
	if len(placed) > 0 {
		return ledger.Outcome{Status: ledger.Replayed, Hold: &placed[0]}, nil
	}
	if err := h.Validate(); err != nil {
		return ledger.Outcome{}, err
	}
	p := batch.NewPicture()
	if err := l.loadSpent(t, p, h.Coins); err != nil {
		return ledger.Outcome{}, err
	}
	if err := loadHolds(t, p, nil, h.Coins, h.At.UnixMicro()); err != nil {
		return ledger.Outcome{}, err
	}
	out, err := p.DecideHold(h)
	if err != nil || out.Status != ledger.Applied {
		return out, err
	}
	over, err := overHoldLimits(t, h, limits)
	if err != nil {
		return ledger.Outcome{}, err
	}
	if over != nil {
		return ledger.Outcome{Status: ledger.Exceeded, Over: over}, nil
	}
	return out, insertHold(t, h)
}

func insertHold(t *tx, h *ledger.Hold) error {
	err := t.exec("INSERT INTO holds (id, account, amount, at, until, released) VALUES (?,?,?,?,?,?)",
		h.ID[:], h.Account, h.Amount, h.At.UnixMicro(), h.Until.UnixMicro(), h.Released)
	if err != nil {
		return err
	}
	args := make([]any, 0, 5*len(h.Coins))
	for n := range h.Coins {
		c := &h.Coins[n]
		args = append(args, h.ID[:], n, c.Epoch, c.ID[:], c.Value)
	}
	return t.insert("INSERT INTO held_coins (hold, n, epoch, id, value)", 5, "", args)
}

func overHoldLimits(t *tx, h *ledger.Hold, limits ledger.HoldLimits) (over []string, err error) {
	if limits.Open > 0 {
		var open int
		_, err := t.get([]any{&open}, "SELECT COUNT(*) FROM holds WHERE account=? AND until>? AND released=0",
			h.Account, h.At.UnixMicro())
		if err != nil {
			return nil, err
		}
		if open >= limits.Open {
			over = append(over, "open")
		}
	}
	if limits.PerCoin <= 0 {
		return over, nil
	}
	since := limits.Since.UnixMicro()
	var most int
	keys := make([]any, len(h.Coins))
	for i := range h.Coins {
		keys[i] = h.Coins[i].ID[:]
	}
	epochs := make(map[ledger.ID]string, len(h.Coins))
	for _, c := range h.Coins {
		epochs[c.ID] = c.Epoch
	}
	counts := make(map[ledger.ID]int)
	err = t.lookup(func(rows *sql.Rows) error {
		var id []byte
		var epoch, account string
		var at int64
		if err := rows.Scan(&id, &epoch, &account, &at); err != nil {
			return classify(err)
		}
		if coin := toID(id); account == h.Account && at >= since && epochs[coin] == epoch {
			counts[coin]++
			most = max(most, counts[coin])
		}
		return nil
	}, "SELECT c.id, c.epoch, h.account, h.at FROM held_coins c JOIN holds h ON h.id = c.hold WHERE c.id IN ", sorted(keys))
	if err == nil && most >= limits.PerCoin {
		over = append(over, "per-coin")
	}
	return over, err
}

// ReleaseHold implements ledger.Ledger.
func (l *Ledger) ReleaseHold(ctx context.Context, id ledger.ID) error {
	err := l.writer.join(ctx, func(t *tx) error {
		h, err := holdByID(t.query, id)
		if err != nil {
			return err
		}
		if h.Released {
			return errNothing
		}
		return t.exec("UPDATE holds SET released=1 WHERE id=?", id[:])
	})
	if err != nil {
		return fmt.Errorf("sqlite: release hold %x: %w", id[:8], err)
	}
	return nil
}

// Strike implements ledger.Ledger.
func (l *Ledger) Strike(ctx context.Context, id ledger.ID, try [32]byte) (*ledger.Hold, error) {
	var h *ledger.Hold
	err := l.writer.join(ctx, func(t *tx) (err error) {
		if h, err = holdByID(t.query, id); err != nil {
			return err
		}
		n, err := t.change("INSERT INTO hold_tries (hold, try) VALUES (?, ?) ON CONFLICT DO NOTHING", id[:], try[:])
		if err == nil && n == 0 {
			err = errNothing
		}
		h.Strikes += int(n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sqlite: strike under hold %x: %w", id[:8], err)
	}
	return h, nil
}

// Hold implements ledger.Ledger.
func (l *Ledger) Hold(ctx context.Context, id ledger.ID) (*ledger.Hold, error) {
	h, err := holdByID(l.lister(ctx), id)
	if err != nil {
		return nil, fmt.Errorf("sqlite: hold %x: %w", id[:8], err)
	}
	return h, nil
}

// OpenHolds implements ledger.Ledger.
func (l *Ledger) OpenHolds(ctx context.Context, account string, at time.Time, limit int) ([]ledger.Hold, error) {
	where, args := "", []any{at.UnixMicro()}
	if account != "" {
		where, args = "account=? AND ", []any{account, at.UnixMicro()}
	}
	out, err := listHolds(l.lister(ctx), "h.id IN (SELECT id FROM holds WHERE "+where+"until>? AND released=0 ORDER BY at, id LIMIT ?)",
		append(args, ledger.Page{Limit: limit}.Size())...)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open holds of %q: %w", account, err)
	}
	return out, nil
}

// HeldCoins implements ledger.Ledger.
func (l *Ledger) HeldCoins(ctx context.Context, epoch string, ids []ledger.ID, at time.Time) (map[ledger.ID]ledger.Hold, error) {
	out := make(map[ledger.ID]ledger.Hold)
	open, err := l.epochIsOpen(ctx, epoch)
	if err == nil && !open {
		err = ledger.ErrUnknownEpoch
	}
	if err == nil {
		err = inChunks(holdingsHead, keysOf(ids), func(query string, args []any) error {
			return l.list(ctx, func(rows *sql.Rows) error {
				h, err := scanHolding(rows)
				if err == nil && h.coin.Epoch == epoch && h.until > at.UnixMicro() {
					out[h.coin.ID] = ledger.Hold{ID: h.hold, Until: fromMicro(h.until)}
				}
				return err
			}, query, args...)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("sqlite: held coins of epoch %q: %w", epoch, err)
	}
	return out, nil
}

// pruneAtOnce is how many holds one transaction forgets: everybody waits for it.
const pruneAtOnce = 1000

// PruneHolds implements ledger.Ledger.
func (l *Ledger) PruneHolds(ctx context.Context, before time.Time) (int64, error) {
	var total int64
	for {
		var n int64
		err := l.writer.do(ctx, func(t *tx) (err error) {
			n, err = pruneHolds(t, before.UnixMicro())
			return err
		})
		if err != nil {
			return total, fmt.Errorf("sqlite: prune holds: %w", err)
		}
		if total += n; n < pruneAtOnce {
			return total, nil
		}
	}
}

func pruneHolds(t *tx, before int64) (n int64, err error) {
	const ended = "(SELECT id FROM holds WHERE until<? ORDER BY until, id LIMIT ?)"
	for _, head := range []string{
		"DELETE FROM hold_tries WHERE hold IN ", "DELETE FROM held_coins WHERE hold IN ", "DELETE FROM holds WHERE id IN ",
	} {
		if n, err = t.change(head+ended, before, pruneAtOnce); err != nil {
			return 0, err
		}
	}
	if n == 0 {
		return 0, errNothing
	}
	return n, nil
}

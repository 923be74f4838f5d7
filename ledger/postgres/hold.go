package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/batch"
)

// scanHold reads holdColumns, and besides what more names.
func scanHold(rows pgx.Rows, more ...any) (*ledger.Hold, error) {
	var h ledger.Hold
	var id []byte
	var at, until int64
	err := rows.Scan(append([]any{&id, &h.Account, &h.Amount, &at, &until, &h.Released, &h.Strikes}, more...)...)
	h.ID, h.At, h.Until = toID(id), fromMicro(at), fromMicro(until)
	return &h, err
}

// lister is what holds are read with: a transaction's query, or one of its
// own.
type lister func(row func(pgx.Rows) error, query string, args ...any) error

func (l *Ledger) lister(ctx context.Context) lister {
	return func(row func(pgx.Rows) error, query string, args ...any) error {
		return l.list(ctx, row, query, args...)
	}
}

// holds reads the holds that from, a table or subquery called h, gives; order
// begins with what makes rows of one hold stand together.
func (list lister) holds(from, order string, args ...any) ([]ledger.Hold, error) {
	var out []ledger.Hold
	err := list(func(rows pgx.Rows) error {
		var c ledger.Spend
		var id []byte
		h, err := scanHold(rows, &c.Epoch, &id, &c.Value)
		c.ID = toID(id)
		if len(out) == 0 || out[len(out)-1].ID != h.ID {
			out = append(out, *h)
		}
		last := &out[len(out)-1]
		last.Coins = append(last.Coins, c)
		return err
	}, "SELECT "+holdColumns+", c.epoch, c.id, c.value FROM "+from+" JOIN held_coins c ON c.hold = h.id ORDER BY "+order+", c.n", args...)
	return out, err
}

func (list lister) hold(id ledger.ID) (*ledger.Hold, error) {
	found, err := list.holds("(SELECT * FROM holds WHERE id=$1) AS h", "h.id", id[:])
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// PlaceHold implements ledger.Ledger.
func (l *Ledger) PlaceHold(ctx context.Context, h ledger.Hold, limits ledger.HoldLimits) (ledger.Outcome, error) {
	h.Strikes, h.Released = 0, false
	var out ledger.Outcome
	invalid := h.Validate()
	err := l.within(ctx, func(t *tx) (err error) {
		p := placing{l: l, t: t, hold: &h, limits: limits, invalid: invalid}
		out, err = p.run()
		return err
	})
	if err != nil {
		return ledger.Outcome{}, fmt.Errorf("postgres: place hold %x: %w", h.ID[:8], err)
	}
	return out, nil
}

// placing is one attempt to place a hold.
type placing struct {
	l       *Ledger
	t       *tx
	hold    *ledger.Hold
	limits  ledger.HoldLimits
	invalid error
	mark    [32]byte // stands for an op where the coins are inserted for a moment
}

func (p *placing) run() (ledger.Outcome, error) {
	placed, err := lister(p.t.query).hold(p.hold.ID)
	if err != nil {
		return ledger.Outcome{}, err
	}
	if placed != nil {
		return ledger.Outcome{Status: ledger.Replayed, Hold: placed}, nil
	}
	if p.invalid != nil {
		return ledger.Outcome{}, p.invalid
	}
	if err := p.lockHolder(); err != nil {
		return ledger.Outcome{}, err
	}
	out, err := p.decide()
	if err == nil && out.Status == ledger.Applied {
		out.Over, err = p.over()
		if out.Over != nil {
			out.Status = ledger.Exceeded
		}
	}
	if err == nil && out.Status == ledger.Applied {
		err = writeHold(p.t, p.hold)
	}
	if err == nil && out.Status == ledger.Held {
		out.Hold, err = lister(p.t.query).hold(out.Hold.ID)
	}
	return out, err
}

// lockHolder makes an account's holds wait for each other, if there is
// something to count.
func (p *placing) lockHolder() error {
	if p.limits.Open <= 0 && p.limits.PerCoin <= 0 {
		return nil
	}
	err := p.t.exec("INSERT INTO holders (account) VALUES ($1) ON CONFLICT DO NOTHING", p.hold.Account)
	if err != nil {
		return err
	}
	return p.t.exec("SELECT account FROM holders WHERE account=$1 FOR UPDATE", p.hold.Account)
}

// decide locks the coins and asks whether they are spent or held. The lock is
// a row in the spent set, which is gone before anybody else can see it: whoever
// spends the coin, or holds it, at the same moment waits for our commit, or we
// for his.
func (p *placing) decide() (ledger.Outcome, error) {
	picture := batch.NewPicture()
	coins := spends([]*batch.Op{{Op: ledger.Op{Spends: p.hold.Coins}}})
	epochs := slices.Sorted(maps.Keys(coins))
	if _, err := rand.Read(p.mark[:]); err != nil {
		return ledger.Outcome{}, err
	}
	ask := p.t.pipeline()
	for _, epoch := range epochs {
		open, err := p.l.knowsEpoch(epoch, p.t.get)
		if err == nil && !open {
			err = ledger.ErrUnknownEpoch
		}
		if err != nil {
			return ledger.Outcome{}, err
		}
		ask.exec("INSERT INTO spent_"+epoch+" (id, op) SELECT id, $2 FROM unnest($1::bytea[]) AS u (id) ON CONFLICT DO NOTHING",
			sortedIDs(coins[epoch]), p.mark[:])
	}
	// After all coins are locked: a statement sees what was committed before it.
	if err := p.l.lookUpSpent(ask, picture, coins); err != nil {
		return ledger.Outcome{}, err
	}
	lookUpHeld(ask, picture, coins)
	for _, epoch := range epochs {
		ask.exec("DELETE FROM spent_"+epoch+" WHERE id = ANY($1) AND op = $2", sortedIDs(coins[epoch]), p.mark[:])
	}
	if err := ask.run(); err != nil {
		return ledger.Outcome{}, err
	}
	locked := 0
	for _, set := range picture.Spent {
		for id, op := range set {
			if op == p.mark {
				delete(set, id)
				locked++
			}
		}
	}
	out, err := picture.DecideHold(p.hold)
	if err == nil && out.Status == ledger.Applied && locked != len(p.hold.Coins) {
		err = errAgain
	}
	return out, err
}

// over counts what the account holds.
func (p *placing) over() (out []string, err error) {
	if p.limits.Open > 0 {
		var open int
		_, err := p.t.get([]any{&open}, "SELECT COUNT(*) FROM holds WHERE account=$1 AND until > $2 AND NOT released",
			p.hold.Account, p.hold.At.UnixMicro())
		if err != nil {
			return nil, err
		}
		if open >= p.limits.Open {
			out = append(out, "open")
		}
	}
	if p.limits.PerCoin > 0 {
		ids := make([]ledger.ID, len(p.hold.Coins))
		for i, c := range p.hold.Coins {
			ids[i] = c.ID
		}
		since := int64(0)
		if !p.limits.Since.IsZero() {
			since = p.limits.Since.UnixMicro()
		}
		var most int
		_, err := p.t.get([]any{&most}, `SELECT COALESCE(MAX(n), 0) FROM (SELECT COUNT(*) AS n
			FROM held_coins c JOIN holds h ON h.id = c.hold
			WHERE c.id = ANY($1) AND h.account = $2 AND h.at >= $3 GROUP BY c.epoch, c.id) AS counts`,
			sortedIDs(ids), p.hold.Account, since)
		if err != nil {
			return nil, err
		}
		if most >= p.limits.PerCoin {
			out = append(out, "per-coin")
		}
	}
	return out, nil
}

// writeHold writes a hold; errAgain if its id is there already.
func writeHold(t *tx, h *ledger.Hold) error {
	ns, values := make([]int64, len(h.Coins)), make([]int64, len(h.Coins))
	epochs, ids := make([]string, len(h.Coins)), make([][]byte, len(h.Coins))
	for i := range h.Coins {
		c := &h.Coins[i]
		ns[i], epochs[i], ids[i], values[i] = int64(i), c.Epoch, c.ID[:], c.Value
	}
	p := t.pipeline()
	p.all(1, `INSERT INTO holds (id, account, amount, at, until, released, strikes) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT DO NOTHING`, h.ID[:], h.Account, h.Amount, h.At.UnixMicro(), h.Until.UnixMicro(), h.Released, h.Strikes)
	p.all(len(ns), `INSERT INTO held_coins (hold, n, epoch, id, value)
		SELECT $1, n, epoch, id, value FROM unnest($2::bigint[], $3::text[], $4::bytea[], $5::bigint[]) AS u (n, epoch, id, value)
		ON CONFLICT DO NOTHING`, h.ID[:], ns, epochs, ids, values)
	return p.run()
}

// ReleaseHold implements ledger.Ledger.
func (l *Ledger) ReleaseHold(ctx context.Context, id ledger.ID) error {
	err := l.within(ctx, func(t *tx) error {
		n, err := t.change("UPDATE holds SET released=TRUE WHERE id=$1", id[:])
		if err == nil && n == 0 {
			err = ledger.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("postgres: release hold %x: %w", id[:8], err)
	}
	return nil
}

// Strike implements ledger.Ledger.
func (l *Ledger) Strike(ctx context.Context, id ledger.ID, try [32]byte) (*ledger.Hold, error) {
	var h *ledger.Hold
	err := l.within(ctx, func(t *tx) error {
		var strikes int64
		found, err := t.get([]any{&strikes}, "SELECT strikes FROM holds WHERE id=$1 FOR UPDATE", id[:])
		if err == nil && !found {
			err = ledger.ErrNotFound
		}
		if err != nil {
			return err
		}
		n, err := t.change("INSERT INTO hold_tries (hold, try) VALUES ($1, $2) ON CONFLICT DO NOTHING", id[:], try[:])
		if err == nil && n > 0 {
			err = t.exec("UPDATE holds SET strikes=$1 WHERE id=$2", strikes+n, id[:])
		}
		if err != nil {
			return err
		}
		h, err = lister(t.query).hold(id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("postgres: strike under hold %x: %w", id[:8], err)
	}
	return h, nil
}

// Hold implements ledger.Ledger.
func (l *Ledger) Hold(ctx context.Context, id ledger.ID) (*ledger.Hold, error) {
	h, err := l.lister(ctx).hold(id)
	if err == nil && h == nil {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("postgres: hold %x: %w", id[:8], err)
	}
	return h, nil
}

// whole returns a hold that was looked up without its coins, with them. It may
// have been pruned meanwhile; others of the batch may have been told of it too.
func (l *Ledger) whole(ctx context.Context, h *ledger.Hold) (*ledger.Hold, error) {
	found, err := l.lister(ctx).hold(h.ID)
	if err != nil || found == nil {
		return h, err
	}
	full := *h
	full.Coins = found.Coins
	return &full, nil
}

// OpenHolds implements ledger.Ledger.
func (l *Ledger) OpenHolds(ctx context.Context, account string, at time.Time, limit int) ([]ledger.Hold, error) {
	out, err := l.lister(ctx).holds(`(SELECT * FROM holds WHERE (account=$1 OR $1='') AND until > $2 AND NOT released
		ORDER BY at, id LIMIT $3) AS h`, "h.at, h.id", account, at.UnixMicro(), ledger.Page{Limit: limit}.Size())
	if err != nil {
		return nil, fmt.Errorf("postgres: open holds of %q: %w", account, err)
	}
	return out, nil
}

// HeldCoins implements ledger.Ledger.
func (l *Ledger) HeldCoins(ctx context.Context, epoch string, ids []ledger.ID, at time.Time) (map[ledger.ID]ledger.Hold, error) {
	err := l.wantEpoch(ctx, epoch)
	out := make(map[ledger.ID]ledger.Hold)
	if err == nil {
		err = l.list(ctx, func(rows pgx.Rows) error {
			var coin []byte
			h, err := scanHold(rows, &coin)
			if known, ok := out[toID(coin)]; h.Open(at) && (!ok || known.Until.Before(h.Until)) {
				out[toID(coin)] = ledger.Hold{ID: h.ID, Until: h.Until}
			}
			return err
		}, "SELECT "+holdColumns+`, c.id FROM held_coins c JOIN holds h ON h.id = c.hold
			WHERE c.id = ANY($1) AND c.epoch = $2 AND NOT h.released`, sortedIDs(ids), epoch)
	}
	if err != nil {
		return nil, fmt.Errorf("postgres: held coins of epoch %q: %w", epoch, err)
	}
	return out, nil
}

// pruneAtOnce is how many holds are forgotten in one transaction.
const pruneAtOnce = 1000

// PruneHolds implements ledger.Ledger.
func (l *Ledger) PruneHolds(ctx context.Context, before time.Time) (pruned int64, err error) {
	for {
		var ids [][]byte
		err := l.within(ctx, func(t *tx) error {
			ids = nil
			err := t.query(func(rows pgx.Rows) error {
				var id []byte
				err := rows.Scan(&id)
				ids = append(ids, id)
				return err
			}, "SELECT id FROM holds WHERE until < $1 ORDER BY id LIMIT $2 FOR UPDATE", before.UnixMicro(), pruneAtOnce)
			if err != nil || len(ids) == 0 {
				return err
			}
			p := t.pipeline()
			p.exec("DELETE FROM hold_tries WHERE hold = ANY($1)", ids)
			p.exec("DELETE FROM held_coins WHERE hold = ANY($1)", ids)
			p.all(len(ids), "DELETE FROM holds WHERE id = ANY($1)", ids)
			return p.run()
		})
		if err != nil {
			return pruned, fmt.Errorf("postgres: prune holds: %w", err)
		}
		if pruned += int64(len(ids)); len(ids) < pruneAtOnce {
			return pruned, nil
		}
	}
}

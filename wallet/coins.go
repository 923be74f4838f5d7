package wallet

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/sqlitefile"
)

// Coin states.
const (
	CoinFresh     = "fresh"     // spendable
	CoinCommitted = "committed" // promised to one operation
	CoinSpent     = "spent"
	CoinDormant   = "dormant" // restored and uncertain, see DormantFor
)

// StoredCoin is a coin in the purse.
type StoredCoin struct {
	ID      ID          `json:"id"`
	KeyID   coin.KeyID  `json:"kid"`
	Value   coin.Amount `json:"value"`
	Kind    coin.Kind   `json:"kind"`
	Index   uint64      `json:"index"`
	State   string      `json:"state"`
	Created time.Time   `json:"created"`
	// Recoup says of a fresh coin that it can't be spent, and can be made good;
	// see Wallet.Recoup. Coins read from the purse alone have it unset.
	Recoup bool `json:"recoup,omitempty"`

	// Stranded says of a bound coin that the key that it is bound to is gone, with
	// a TPM that was cleared or lost: it can't be spent, and can be recovered; see
	// Wallet.Recover. Coins read from the purse alone have it unset.
	Stranded bool `json:"stranded,omitempty"`

	// Held says of a bound coin that it can't be spent because its owner's
	// membership has ended, see ErrEnded; where its state is CoinCommitted, what it
	// is promised to was refused. Coins read from the purse alone have it unset.
	Held bool `json:"held,omitempty"`

	raw []byte
	op  []byte // see migrations
	key []byte // likewise
}

// stranded says whether a coin is bound to a key that the wallet has no more.
func (w *Wallet) stranded(c StoredCoin) bool {
	return c.Kind == coin.Bound && c.key != nil && (w.enrolled == nil || !bytes.Equal(c.key, w.enrolled.Name))
}

func (p *purse) coins(ctx context.Context, where string, args ...any) ([]StoredCoin, error) {
	return queryCoins(ctx, p.db, where, args...)
}

func queryCoins(ctx context.Context, q querier, where string, args ...any) ([]StoredCoin, error) {
	rows, err := q.QueryContext(ctx, "SELECT id, kid, value, kind, idx, coin, state, op, key, created FROM coins "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("purse: coins: %w", sqlitefile.Meaning(err))
	}
	defer rows.Close()
	var out []StoredCoin
	for rows.Next() {
		var c StoredCoin
		var kid []byte
		var index, at int64
		if err := rows.Scan((*[]byte)(&c.ID), &kid, &c.Value, &c.Kind, &index, &c.raw, &c.State, &c.op, &c.key, &at); err != nil {
			return nil, fmt.Errorf("purse: coins: %w", sqlitefile.Meaning(err))
		}
		copy(c.KeyID[:], kid)
		c.Index, c.Created = uint64(index), time.UnixMicro(at).UTC()
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("purse: coins: %w", sqlitefile.Meaning(err))
	}
	return out, nil
}

// coinsOf are the coins with those ids, in that order.
func coinsOf(ctx context.Context, q querier, ids [][]byte) ([]StoredCoin, error) {
	out := make([]StoredCoin, 0, len(ids))
	for _, id := range ids {
		rows, err := queryCoins(ctx, q, "WHERE id = ?", id)
		if err != nil {
			return nil, err
		}
		if len(rows) != 1 {
			return nil, fmt.Errorf("purse: coin %x…: %w: it is not here", id[:min(4, len(id))], ErrCoinState)
		}
		out = append(out, rows[0])
	}
	return out, nil
}

// insertCoin stores a coin that has been verified under the bank's key; it is of
// that item.
func insertCoin(ctx context.Context, tx *sql.Tx, c *coin.Coin, value coin.Amount, it item, now time.Time) error {
	raw, err := c.Encode()
	if err != nil {
		return fmt.Errorf("purse: coin: %w", err)
	}
	id := c.ID()
	// A replayed answer brings the same coins again: they keep their state.
	// Another coin with the same number is an error and not skipped.
	_, err = tx.ExecContext(ctx, `INSERT INTO coins (id, kid, value, kind, idx, coin, state, key, created)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		id[:], c.KeyID[:], int64(value), string(c.Kind), int64(it.Index), raw, CoinFresh, it.Key, now.UnixMicro())
	if err != nil {
		return fmt.Errorf("purse: coin: %w", err)
	}
	return nil
}

// commitCoins promises fresh coins to an operation, all or none.
func commitCoins(ctx context.Context, tx *sql.Tx, ids [][]byte, op ID) error {
	return claim(ctx, tx, ids, op, "state = 'fresh'")
}

// passCoins hands coins that are promised to one operation to another, all or
// none.
func passCoins(ctx context.Context, tx *sql.Tx, ids [][]byte, from, to ID) error {
	return claim(ctx, tx, ids, to, "state = 'committed' AND op = ?", []byte(from))
}

func claim(ctx context.Context, tx *sql.Tx, ids [][]byte, op ID, where string, args ...any) error {
	for _, id := range ids {
		res, err := tx.ExecContext(ctx, "UPDATE coins SET state = 'committed', op = ? WHERE id = ? AND "+where,
			append([]any{[]byte(op), id}, args...)...)
		if err != nil {
			return fmt.Errorf("purse: coin: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("purse: coin %x…: %w", id[:4], ErrCoinState)
		}
	}
	return nil
}

// spendCoins records what a bank has shown: the coins are gone, whatever was
// thought of them here.
func spendCoins(ctx context.Context, tx *sql.Tx, ids [][]byte, op ID) error {
	for _, id := range ids {
		if _, err := tx.ExecContext(ctx, "UPDATE coins SET state = 'spent', op = ? WHERE id = ?", []byte(op), id); err != nil {
			return fmt.Errorf("purse: coin: %w", err)
		}
	}
	return nil
}

// freeCoins makes coins fresh again that are promised to an operation, and to
// no other.
func freeCoins(ctx context.Context, tx *sql.Tx, ids [][]byte, op ID) error {
	for _, id := range ids {
		_, err := tx.ExecContext(ctx, "UPDATE coins SET state = 'fresh', op = NULL WHERE id = ? AND state = 'committed' AND op = ?", id, []byte(op))
		if err != nil {
			return fmt.Errorf("purse: coin: %w", err)
		}
	}
	return nil
}

// idsOf are coin ids as the file has them.
func idsOf(s *coin.Spend) [][]byte {
	var out [][]byte
	for _, id := range s.CoinIDs() {
		out = append(out, slices.Clone(id[:]))
	}
	return out
}

// sum adds up coins.
func sum(coins []StoredCoin) (coin.Amount, error) {
	var total coin.Amount
	var err error
	for _, c := range coins {
		if total, err = total.Add(c.Value); err != nil {
			return 0, err
		}
	}
	return total, nil
}

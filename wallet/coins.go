package wallet

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
)

// StoredCoin is a coin in the purse.
type StoredCoin struct {
	ID      []byte      `json:"id"`
	KeyID   coin.KeyID  `json:"kid"`
	Value   coin.Amount `json:"value"`
	Kind    coin.Kind   `json:"kind"`
	Index   uint64      `json:"index"`
	State   string      `json:"state"`
	Created time.Time   `json:"created"`
	raw     []byte
}

func (p *purse) coins(ctx context.Context, where string, args ...any) ([]StoredCoin, error) {
	rows, err := p.db.QueryContext(ctx, "SELECT id, kid, value, kind, idx, coin, state, created FROM coins "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("purse: coins: %w", err)
	}
	defer rows.Close()
	var out []StoredCoin
	for rows.Next() {
		var c StoredCoin
		var kid []byte
		var index, at int64
		if err := rows.Scan(&c.ID, &kid, &c.Value, &c.Kind, &index, &c.raw, &c.State, &at); err != nil {
			return nil, fmt.Errorf("purse: coins: %w", err)
		}
		copy(c.KeyID[:], kid)
		c.Index, c.Created = uint64(index), time.Unix(at, 0).UTC()
		out = append(out, c)
	}
	return out, rows.Err()
}

// insertCoin stores a coin that has been verified under its key.
func insertCoin(ctx context.Context, tx *sql.Tx, c *coin.Coin, value coin.Amount, index uint64, now time.Time) error {
	raw, err := c.Encode()
	if err != nil {
		return fmt.Errorf("purse: coin: %w", err)
	}
	id := c.ID()
	// A replayed answer brings the same coins again: they keep their state.
	_, err = tx.ExecContext(ctx, `INSERT INTO coins (id, kid, value, kind, idx, coin, state, created)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		id[:], c.KeyID[:], int64(value), string(c.Kind), int64(index), raw, CoinFresh, now.Unix())
	if err != nil {
		return fmt.Errorf("purse: coin: %w", err)
	}
	return nil
}

// moveCoins takes coins from one state to another, all or none.
func moveCoins(ctx context.Context, tx *sql.Tx, ids [][32]byte, from, to string, op []byte) error {
	for _, id := range ids {
		res, err := tx.ExecContext(ctx, "UPDATE coins SET state = ?, op = ? WHERE id = ? AND state = ?", to, op, id[:], from)
		if err != nil {
			return fmt.Errorf("purse: coin: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("purse: coin %x…: %w: it is not %s", id[:4], ErrCoinState, from)
		}
	}
	return nil
}

// setCoins puts coins into a state, whatever theirs is.
func setCoins(ctx context.Context, tx *sql.Tx, ids [][]byte, to string, op []byte) error {
	for _, id := range ids {
		if _, err := tx.ExecContext(ctx, "UPDATE coins SET state = ?, op = ? WHERE id = ?", to, op, id); err != nil {
			return fmt.Errorf("purse: coin: %w", err)
		}
	}
	return nil
}

package sqlite

import (
	"database/sql"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/batch"
)

// holding is a hold, not released, that keeps a coin.
type holding struct {
	coin  batch.Coin
	hold  ledger.ID
	until int64
}

// holdingsHead is what scanHolding reads, for coins to be listed behind it.
const holdingsHead = `SELECT c.id, c.epoch, h.id, h.until FROM held_coins c JOIN holds h ON h.id = c.hold
	WHERE h.released = 0 AND c.id IN `

func scanHolding(rows *sql.Rows) (h holding, err error) {
	var coin, hold []byte
	err = rows.Scan(&coin, &h.coin.Epoch, &hold, &h.until)
	h.coin.ID, h.hold = toID(coin), toID(hold)
	return h, classify(err)
}

// loadHolds looks up the holds that keep one of spends, or have one of ids, and
// last longer than after. Most of the time there is none at all.
func loadHolds(t *tx, p *batch.Picture, ids []any, spends []ledger.Spend, after int64) error {
	var some int64
	if _, err := t.get([]any{&some}, "SELECT EXISTS (SELECT 1 FROM holds)"); err != nil || some == 0 {
		return err
	}
	coins := make([]any, len(spends))
	for i := range spends {
		coins[i] = spends[i].ID[:]
	}
	var keepers []ledger.ID
	err := t.lookup(func(rows *sql.Rows) error {
		h, err := scanHolding(rows)
		if h.until > after {
			keepers = append(keepers, h.hold)
		}
		return err
	}, holdingsHead, sorted(coins))
	if err != nil {
		return err
	}
	found, err := holdsByID(t, append(keysOf(keepers), ids...))
	for i := range found {
		h := &found[i]
		if _, twice := p.Holds[h.ID]; twice || h.Released {
			continue
		}
		p.Holds[h.ID] = h
		for _, c := range h.Coins {
			coin := batch.Coin{Epoch: c.Epoch, ID: c.ID}
			p.Held[coin] = append(p.Held[coin], h)
		}
	}
	return err
}

// holdsByID returns the holds that are there of some ids.
func holdsByID(t *tx, ids []any) (out []ledger.Hold, err error) {
	err = inChunks("SELECT id FROM holds WHERE id IN ", sorted(ids), func(query string, args []any) error {
		found, err := listHolds(t.query, "h.id IN ("+query+")", args...)
		out = append(out, found...)
		return err
	})
	return out, err
}

// endHolds ends the holds whose ops were applied.
func endHolds(t *tx, p *batch.Picture) error {
	var ids []any
	for _, op := range p.Applied {
		if own := p.Holds[op.ID]; own != nil && own.Open(op.At) {
			ids = append(ids, op.ID[:])
		}
	}
	return inChunks("UPDATE holds SET released=1 WHERE id IN ", sorted(ids),
		func(query string, args []any) error { return t.exec(query, args...) })
}

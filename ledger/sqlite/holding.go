package sqlite

import (
	"database/sql"

	"github.com/speciecash/specie/ledger"
)

// holding is what of a hold decides about others: its end, and how many wrong
// tries were made under it.
type holding struct {
	id      ledger.ID
	until   int64
	strikes int
}

// coinKey names a coin in its spent set.
type coinKey struct {
	epoch string
	id    ledger.ID
}

// holdings are the holds on coins that were not released, ended or not.
type holdings map[coinKey][]*holding

// holdingsHead is what scanHolding reads, for coins to be listed behind it.
const holdingsHead = `SELECT c.id, c.epoch, h.id, h.until FROM held_coins c JOIN holds h ON h.id = c.hold
	WHERE h.released = 0 AND c.id IN `

func scanHolding(rows *sql.Rows) (coin coinKey, h holding, err error) {
	var id, hold []byte
	err = rows.Scan(&id, &coin.epoch, &hold, &h.until)
	coin.id, h.id = toID(id), toID(hold)
	return coin, h, classify(err)
}

func holdingsOn(t *tx, coins []ledger.Spend) (holdings, error) {
	keys := make([]any, len(coins))
	for i := range coins {
		keys[i] = coins[i].ID[:]
	}
	out := make(holdings)
	err := t.lookup(func(rows *sql.Rows) error {
		coin, h, err := scanHolding(rows)
		out[coin] = append(out[coin], &h)
		return err
	}, holdingsHead, sorted(keys))
	return out, err
}

// against returns the hold that keeps one of the coins from id at that time,
// the one that lasts longest, or nil.
func (hs holdings) against(coins []ledger.Spend, id ledger.ID, at int64) (longest *holding) {
	if len(hs) == 0 {
		return nil
	}
	for i := range coins {
		for _, h := range hs[coinKey{coins[i].Epoch, coins[i].ID}] {
			if h.id != id && h.until > at && (longest == nil || h.until > longest.until) {
				longest = h
			}
		}
	}
	return longest
}

// loadHolds looks up the holds on every coin of the well-formed ops, and those
// under the ops' own ids. Most of the time there is no hold at all.
func (b *batch) loadHolds(t *tx, jobs []*job) error {
	var some int64
	if _, err := t.get([]any{&some}, "SELECT EXISTS (SELECT 1 FROM holds)"); err != nil || some == 0 {
		return err
	}
	var ids []any
	var coins []ledger.Spend
	for _, j := range jobs {
		if j.op.invalid == nil {
			ids = append(ids, j.op.op.ID[:])
			coins = append(coins, j.op.op.Spends...)
		}
	}
	err := t.lookup(func(rows *sql.Rows) error {
		var h holding
		var id []byte
		err := rows.Scan(&id, &h.until, &h.strikes)
		h.id = toID(id)
		b.own[h.id] = &h
		return classify(err)
	}, `SELECT h.id, h.until, (SELECT COUNT(*) FROM hold_tries t WHERE t.hold = h.id) FROM holds h
		WHERE h.released = 0 AND h.id IN `, sorted(ids))
	if err != nil {
		return err
	}
	b.held, err = holdingsOn(t, coins)
	return err
}

// keptFrom returns the hold that stands against an op, or nil.
func (b *batch) keptFrom(op *ledger.Op) *holding {
	at := op.At.UnixMicro()
	longest := b.held.against(op.Spends, op.ID, at)
	own := b.own[op.ID]
	if own != nil && own.until > at && (op.Unheld || op.MaxStrikes > 0 && own.strikes >= op.MaxStrikes) &&
		(longest == nil || own.until > longest.until) {
		return own
	}
	return longest
}

// endHolds ends the holds whose ops were applied.
func (b *batch) endHolds(t *tx) error {
	var ids []any
	for _, a := range b.applied {
		if own := b.own[a.op.ID]; own != nil && own.until > a.op.At.UnixMicro() {
			ids = append(ids, a.op.ID[:])
		}
	}
	return inChunks("UPDATE holds SET released=1 WHERE id IN ", sorted(ids),
		func(query string, args []any) error { return t.exec(query, args...) })
}

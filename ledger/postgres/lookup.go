package postgres

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/batch"
)

func comparePurses(a, b batch.Purse) int {
	return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Currency, b.Currency))
}

// sortedIDs returns ids as keys, sorted and each once: B-trees and lock orders
// like them so.
func sortedIDs(ids []ledger.ID) [][]byte {
	keys := make([][]byte, len(ids))
	for i := range ids {
		keys[i] = ids[i][:]
	}
	slices.SortFunc(keys, bytes.Compare)
	return slices.CompactFunc(keys, bytes.Equal)
}

// spends gathers the coins of well-formed ops, by epoch.
func spends(ops []*batch.Op) map[string][]ledger.ID {
	out := make(map[string][]ledger.ID)
	for _, op := range ops {
		if op.Invalid != nil {
			continue
		}
		for _, s := range op.Spends {
			out[s.Epoch] = append(out[s.Epoch], s.ID)
		}
	}
	return out
}

// lookUp draws the picture of what the ops touch. All of it is sent at once;
// whatever needs a lock has it.
func (a *attempt) lookUp() error {
	var ids []ledger.ID
	var ops []*batch.Op
	names := make(map[string]struct{})
	purses := make(map[batch.Purse]struct{})
	for _, c := range a.ops {
		op := c.Op
		ids = append(ids, op.ID)
		if op.Invalid != nil {
			continue
		}
		ops = append(ops, op)
		for _, q := range op.Quotas {
			names[q.Name] = struct{}{}
		}
		for _, p := range op.Postings {
			purses[batch.Purse{Account: p.Account, Currency: p.Currency}] = struct{}{}
		}
	}
	p := a.t.pipeline()
	p.query(func(rows pgx.Rows) error {
		var id []byte
		err := rows.Scan(&id)
		a.Known[toID(id)] = struct{}{}
		return err
	}, "SELECT id FROM ops WHERE id = ANY($1)", sortedIDs(ids))
	coins := spends(ops)
	if err := a.l.lookUpSpent(p, a.Picture, coins); err != nil {
		return err
	}
	maps.DeleteFunc(coins, func(epoch string, _ []ledger.ID) bool { return a.Spent[epoch] == nil })
	lookUpHeld(p, a.Picture, coins)
	lookUpHolds(p, a.Picture, conditional(ops))
	if len(names) > 0 {
		p.query(func(rows pgx.Rows) error {
			var name string
			var counted int64
			err := rows.Scan(&name, &counted)
			a.Counts[name] = counted
			return err
		}, "SELECT name, counted FROM quotas WHERE name = ANY($1)", slices.Sorted(maps.Keys(names)))
	}
	a.lookUpBalances(p, slices.Collect(maps.Keys(purses)))
	return p.run()
}

// lookUpSpent asks for the coins of the epochs that are open.
func (l *Ledger) lookUpSpent(p *pipeline, picture *batch.Picture, coins map[string][]ledger.ID) error {
	for _, epoch := range slices.Sorted(maps.Keys(coins)) {
		open, err := l.knowsEpoch(epoch, p.t.get)
		if err != nil {
			return err
		}
		if !open {
			continue
		}
		set := make(map[ledger.ID]ledger.ID)
		picture.Spent[epoch] = set
		p.query(func(rows pgx.Rows) error {
			var id, op []byte
			err := rows.Scan(&id, &op)
			set[toID(id)] = toID(op)
			return err
		}, "SELECT id, op FROM spent_"+epoch+" WHERE id = ANY($1)", sortedIDs(coins[epoch]))
	}
	return nil
}

const holdColumns = "h.id, h.account, h.amount, h.at, h.until, h.released, h.strikes"

// lookUpHeld asks for the holds on coins that are not released.
func lookUpHeld(p *pipeline, picture *batch.Picture, coins map[string][]ledger.ID) {
	for _, epoch := range slices.Sorted(maps.Keys(coins)) {
		p.query(func(rows pgx.Rows) error {
			var coin []byte
			h, err := scanHold(rows, &coin)
			if known := picture.Holds[h.ID]; known != nil {
				h = known
			}
			picture.Holds[h.ID] = h
			key := batch.Coin{Epoch: epoch, ID: toID(coin)}
			picture.Held[key] = append(picture.Held[key], h)
			return err
		}, "SELECT "+holdColumns+`, c.id FROM held_coins c JOIN holds h ON h.id = c.hold
			WHERE c.id = ANY($1) AND c.epoch = $2 AND NOT h.released`, sortedIDs(coins[epoch]), epoch)
	}
}

// lookUpHolds asks for holds by id.
func lookUpHolds(p *pipeline, picture *batch.Picture, ids []ledger.ID) {
	if len(ids) == 0 {
		return
	}
	p.query(func(rows pgx.Rows) error {
		h, err := scanHold(rows)
		if picture.Holds[h.ID] == nil {
			picture.Holds[h.ID] = h
		}
		return err
	}, "SELECT "+holdColumns+" FROM holds h WHERE h.id = ANY($1) AND NOT h.released", sortedIDs(ids))
}

// lookUpBalances asks for balances, deltas included. Those with many deltas
// are folded by the next batch, which takes that lock in its place in the
// order.
func (a *attempt) lookUpBalances(p *pipeline, purses []batch.Purse) {
	if len(purses) == 0 {
		return
	}
	accounts, currencies := split(purses)
	p.query(func(rows pgx.Rows) error {
		var purse batch.Purse
		var amount, parts int64
		err := rows.Scan(&purse.Account, &purse.Currency, &amount, &parts)
		a.Balances[purse] = amount
		if parts > foldDeltas {
			a.l.fold[purse] = struct{}{}
		}
		return err
	}, `WITH u AS (SELECT account, currency FROM unnest($1::text[], $2::text[]) AS u (account, currency))
		SELECT account, currency, SUM(amount)::bigint, COUNT(*) FROM (
			SELECT b.account, b.currency, b.amount FROM balances b WHERE (b.account, b.currency) IN (SELECT account, currency FROM u)
			UNION ALL
			SELECT d.account, d.currency, d.amount FROM deltas d WHERE (d.account, d.currency) IN (SELECT account, currency FROM u)
		) AS parts GROUP BY account, currency`, accounts, currencies)
}

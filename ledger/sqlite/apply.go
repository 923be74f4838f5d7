package sqlite

import (
	"bytes"
	"database/sql"
	"math"
	"slices"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/batch"
)

// applyAll decides ops in the order given and writes those that are applied.
func (l *Ledger) applyAll(t *tx, rec *recorder, jobs []*job) (wrote bool, err error) {
	if len(jobs) == 0 {
		return false, nil
	}
	p, err := l.draw(t, jobs)
	if err != nil {
		return false, err
	}
	for _, j := range jobs {
		j.Op.Outcome, j.Err = p.Decide(j.Op)
	}
	if len(p.Applied) == 0 {
		return false, nil
	}
	rows, err := appendOps(rec, p.Applied)
	if err != nil {
		return false, err
	}
	if err := writeOps(t, rows); err != nil {
		return false, err
	}
	if err := writeSums(t, rows, p); err != nil {
		return false, err
	}
	return true, endHolds(t, p)
}

// draw looks up everything that the ops touch.
func (l *Ledger) draw(t *tx, jobs []*job) (*batch.Picture, error) {
	p := batch.NewPicture()
	ids := make([]any, 0, len(jobs))
	var good []*ledger.Op
	var spends []ledger.Spend
	for _, j := range jobs {
		ids = append(ids, j.Op.ID[:])
		if j.Op.Invalid == nil {
			good = append(good, &j.Op.Op)
			spends = append(spends, j.Op.Spends...)
		}
	}
	if err := loadKnown(t, p, ids); err != nil {
		return nil, err
	}
	if err := l.loadSpent(t, p, spends); err != nil {
		return nil, err
	}
	if err := loadHolds(t, p, ids, spends, earliest(good)); err != nil {
		return nil, err
	}
	if err := loadQuotas(t, p, good); err != nil {
		return nil, err
	}
	return p, loadBalances(t, p, good)
}

// earliest returns the earliest time of ops, in microseconds.
func earliest(ops []*ledger.Op) int64 {
	at := int64(math.MaxInt64)
	for _, op := range ops {
		at = min(at, op.At.UnixMicro())
	}
	return at
}

func loadKnown(t *tx, p *batch.Picture, ids []any) error {
	return t.lookup(func(rows *sql.Rows) error {
		var id sql.RawBytes
		if err := rows.Scan(&id); err != nil {
			return classify(err)
		}
		p.Known[toID(id)] = struct{}{}
		return nil
	}, "SELECT id FROM ops WHERE id IN ", sorted(ids))
}

// loadSpent looks up every spend, epoch by epoch.
func (l *Ledger) loadSpent(t *tx, p *batch.Picture, spends []ledger.Spend) error {
	for epoch, keys := range spendsByEpoch(spends) {
		open, err := l.knowsEpoch(epoch, t.get)
		if err != nil {
			return err
		}
		if !open {
			continue
		}
		if p.Spent[epoch], err = spentIn(t, epoch, keys); err != nil {
			return err
		}
	}
	return nil
}

// spendsByEpoch returns the ids of spends, to be looked up.
func spendsByEpoch(spends []ledger.Spend) map[string][]any {
	keys := make(map[string][]any)
	for i := range spends {
		s := &spends[i]
		keys[s.Epoch] = append(keys[s.Epoch], s.ID[:])
	}
	return keys
}

// spentIn returns the ops that spent those ids of an open epoch.
func spentIn(t *tx, epoch string, keys []any) (map[ledger.ID]ledger.ID, error) {
	set := make(map[ledger.ID]ledger.ID)
	err := t.lookup(func(rows *sql.Rows) error {
		var id, op sql.RawBytes
		if err := rows.Scan(&id, &op); err != nil {
			return classify(err)
		}
		set[toID(id)] = toID(op)
		return nil
	}, "SELECT id, op FROM spent_"+epoch+" WHERE id IN ", sorted(keys))
	return set, err
}

func loadBalances(t *tx, p *batch.Picture, ops []*ledger.Op) error {
	seen := make(map[string]struct{})
	var keys []any
	for _, op := range ops {
		for _, p := range op.Postings {
			if _, ok := seen[p.Account]; !ok {
				seen[p.Account] = struct{}{}
				keys = append(keys, p.Account)
			}
		}
	}
	return t.lookup(func(rows *sql.Rows) error {
		var purse batch.Purse
		var amount int64
		if err := rows.Scan(&purse.Account, &purse.Currency, &amount); err != nil {
			return classify(err)
		}
		p.Balances[purse] = amount
		return nil
	}, "SELECT account, currency, amount FROM balances WHERE account IN ", keys)
}

func loadQuotas(t *tx, p *batch.Picture, ops []*ledger.Op) error {
	names := make(map[string]struct{})
	var keys []any
	for _, op := range ops {
		for _, q := range op.Quotas {
			if _, ok := names[q.Name]; !ok {
				names[q.Name] = struct{}{}
				keys = append(keys, q.Name)
			}
		}
	}
	return t.lookup(func(rows *sql.Rows) error {
		var name string
		var counted int64
		err := rows.Scan(&name, &counted)
		p.Counts[name] = counted
		return classify(err)
	}, "SELECT name, counted FROM quotas WHERE name IN ", keys)
}

// sorted sorts keys that are all []byte: random ids wear a B-tree less in
// order.
func sorted(keys []any) []any {
	slices.SortFunc(keys, func(a, b any) int { return bytes.Compare(a.([]byte), b.([]byte)) })
	return keys
}

package sqlite

import (
	"database/sql"
	"maps"
	"slices"

	"github.com/speciecash/specie/ledger"
)

func (b *batch) loadQuotas(t *tx, jobs []*job) error {
	names := make(map[string]struct{})
	for _, j := range jobs {
		if j.op.invalid != nil {
			continue
		}
		for _, q := range j.op.op.Quotas {
			names[q.Name] = struct{}{}
		}
	}
	var keys []any
	for _, name := range slices.Sorted(maps.Keys(names)) {
		keys = append(keys, name)
	}
	return t.lookup(func(rows *sql.Rows) error {
		var name string
		var counted int64
		err := rows.Scan(&name, &counted)
		b.counted[name] = counted
		return classify(err)
	}, "SELECT name, counted FROM quotas WHERE name IN ", keys)
}

// over names the quotas that an op would pass. Neither summand is more than
// MaxAmount.
func (b *batch) over(op *ledger.Op) (names []string) {
	for _, q := range op.Quotas {
		if b.counted[q.Name]+q.Amount > q.Max {
			names = append(names, q.Name)
		}
	}
	return names
}

// writeQuotas records what was counted; what was only asked leaves no trace.
func (b *batch) writeQuotas(t *tx) error {
	var rows []any
	touched := make(map[string]struct{})
	for _, a := range b.applied {
		for n, q := range a.op.Quotas {
			if q.Amount != 0 {
				rows = append(rows, a.op.Lane, int64(a.seq), n, q.Name, q.Amount)
				touched[q.Name] = struct{}{}
			}
		}
	}
	if err := t.insert("INSERT INTO op_quotas (lane, seq, n, name, amount)", 5, "", rows); err != nil {
		return err
	}
	var sums []any
	for _, name := range slices.Sorted(maps.Keys(touched)) {
		sums = append(sums, name, b.counted[name])
	}
	return t.insert("INSERT INTO quotas (name, counted)", 2,
		" ON CONFLICT (name) DO UPDATE SET counted = excluded.counted", sums)
}

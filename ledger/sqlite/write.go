package sqlite

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/batch"
)

// placed is an op that goes into the file, and its place in its lane.
type placed struct {
	*ledger.Op
	seq uint64
}

// appendOps puts ops into the journal in the order they were decided.
func appendOps(rec *recorder, ops []*batch.Op) ([]placed, error) {
	out := make([]placed, len(ops))
	for i, op := range ops {
		seq, err := rec.append(op.Lane, ledger.EventOp, op.ID[:], 1, op.Digest)
		if err != nil {
			return nil, err
		}
		out[i] = placed{&op.Op, seq}
	}
	return out, nil
}

// writeOps writes the rows of ops, and their spent ids in the order of the
// keys.
func writeOps(t *tx, placed []placed) error {
	var ops, postings, spends, quotas []any
	for _, op := range placed {
		seq, at := int64(op.seq), op.At.UnixMicro()
		ops = append(ops, op.Lane, seq, op.ID[:], op.Kind, op.Account, op.Issuer, op.Acquirer, op.State,
			blob(op.Request), blob(op.Answer), at)
		for n, p := range op.Postings {
			postings = append(postings, op.Lane, seq, n, p.Account, p.Amount, p.Currency, at)
		}
		for n := range op.Spends {
			s := &op.Spends[n]
			spends = append(spends, op.Lane, seq, n, s.Epoch, s.ID[:], s.Value)
		}
		for n, q := range op.Quotas {
			if q.Amount != 0 { // what was only asked leaves no trace
				quotas = append(quotas, op.Lane, seq, n, q.Name, q.Amount)
			}
		}
	}
	for _, table := range []struct {
		head    string
		columns int
		rows    []any
	}{
		{"INSERT INTO ops (lane, seq, id, kind, account, issuer, acquirer, state, request, answer, at)", 11, ops},
		{"INSERT INTO postings (lane, seq, n, account, amount, currency, at)", 7, postings},
		{"INSERT INTO op_spends (lane, seq, n, epoch, id, value)", 6, spends},
		{"INSERT INTO op_quotas (lane, seq, n, name, amount)", 5, quotas},
	} {
		if err := t.insert(table.head, table.columns, "", table.rows); err != nil {
			return err
		}
	}
	return writeSpent(t, placed)
}

// writeSpent has no ON CONFLICT: an id that is there after all, against what
// was looked up, must fail the batch.
func writeSpent(t *tx, placed []placed) error {
	type row struct{ id, op []byte }
	byEpoch := make(map[string][]row)
	for _, op := range placed {
		for i := range op.Spends {
			s := &op.Spends[i]
			byEpoch[s.Epoch] = append(byEpoch[s.Epoch], row{s.ID[:], op.ID[:]})
		}
	}
	for epoch, rows := range byEpoch {
		slices.SortFunc(rows, func(a, b row) int { return bytes.Compare(a.id, b.id) })
		args := make([]any, 0, 2*len(rows))
		for _, r := range rows {
			args = append(args, r.id, r.op)
		}
		if err := t.insert("INSERT INTO spent_"+epoch+" (id, op)", 2, "", args); err != nil {
			return err
		}
	}
	return nil
}

// writeSums writes the balances and counters that ops changed, as the picture
// has them.
func writeSums(t *tx, placed []placed, p *batch.Picture) error {
	purses, names := make(map[batch.Purse]struct{}), make(map[string]struct{})
	for _, op := range placed {
		for _, p := range op.Postings {
			purses[batch.Purse{Account: p.Account, Currency: p.Currency}] = struct{}{}
		}
		for _, q := range op.Quotas {
			if q.Amount != 0 {
				names[q.Name] = struct{}{}
			}
		}
	}
	if err := writeBalances(t, slices.Collect(maps.Keys(purses)), p.Balances); err != nil {
		return err
	}
	return writeCounts(t, slices.Collect(maps.Keys(names)), p.Counts)
}

func writeBalances(t *tx, purses []batch.Purse, balances map[batch.Purse]int64) error {
	slices.SortFunc(purses, func(a, b batch.Purse) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Currency, b.Currency))
	})
	args := make([]any, 0, 3*len(purses))
	for _, p := range purses {
		args = append(args, p.Account, p.Currency, balances[p])
	}
	return t.insert("INSERT INTO balances (account, currency, amount)", 3,
		" ON CONFLICT (account, currency) DO UPDATE SET amount = excluded.amount", args)
}

func writeCounts(t *tx, names []string, counts map[string]int64) error {
	slices.Sort(names)
	args := make([]any, 0, 2*len(names))
	for _, name := range names {
		args = append(args, name, counts[name])
	}
	return t.insert("INSERT INTO quotas (name, counted)", 2,
		" ON CONFLICT (name) DO UPDATE SET counted = excluded.counted", args)
}

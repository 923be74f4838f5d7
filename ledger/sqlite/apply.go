package sqlite

import (
	"bytes"
	"cmp"
	"database/sql"
	"slices"

	"github.com/speciecash/specie/ledger"
)

// purse names one balance.
type purse struct{ account, currency string }

// batch is what the file says about everything a batch of ops touches, and
// what the ops decided so far have made of it: each op sees the ones before
// it as if they were committed.
type batch struct {
	known    map[ledger.ID]struct{}             // op ids recorded
	spent    map[string]map[ledger.ID]ledger.ID // by epoch, id to op; no entry for an epoch that is not open
	balances map[purse]int64
	counted  map[string]int64       // toward quotas
	held     holdings               // on coins of the ops
	own      map[ledger.ID]*holding // under the ops' ids, not released
	applied  []*applied
}

// applied is an op that goes into the file, and its place in the journal.
type applied struct {
	*opJob
	seq uint64
}

// applyAll decides ops in the order given and writes those that are applied.
func (l *Ledger) applyAll(t *tx, rec *recorder, jobs []*job) (wrote bool, err error) {
	if len(jobs) == 0 {
		return false, nil
	}
	b := &batch{
		known:    make(map[ledger.ID]struct{}),
		spent:    make(map[string]map[ledger.ID]ledger.ID),
		balances: make(map[purse]int64),
		counted:  make(map[string]int64),
		own:      make(map[ledger.ID]*holding),
	}
	if err := l.loadSpent(t, b, jobs); err != nil {
		return false, err
	}
	for _, load := range []func(*tx, []*job) error{b.loadKnown, b.loadHolds, b.loadQuotas, b.loadBalances} {
		if err := load(t, jobs); err != nil {
			return false, err
		}
	}
	for _, j := range jobs {
		j.op.outcome, j.err = b.decide(j.op)
		if j.op.outcome.Status != ledger.Held {
			continue
		}
		if j.op.outcome.Hold, err = holdByID(t.query, j.op.outcome.Hold.ID); err != nil {
			return false, err
		}
	}
	if len(b.applied) == 0 {
		return false, nil
	}
	return true, b.write(t, rec)
}

// decide asks the questions of package ledger in their order. Of a hold it
// gives the id only.
func (b *batch) decide(j *opJob) (ledger.Outcome, error) {
	op := &j.op
	if _, ok := b.known[op.ID]; ok {
		return ledger.Outcome{Status: ledger.Replayed}, nil
	}
	if j.invalid != nil {
		return ledger.Outcome{}, j.invalid
	}
	var conflicts []ledger.Taken
	for _, s := range op.Spends {
		set, open := b.spent[s.Epoch]
		if !open {
			return ledger.Outcome{}, ledger.ErrUnknownEpoch
		}
		if by, taken := set[s.ID]; taken {
			conflicts = append(conflicts, ledger.Taken{Epoch: s.Epoch, ID: s.ID, Op: by})
		}
	}
	if conflicts != nil {
		return ledger.Outcome{Status: ledger.Conflict, Conflicts: conflicts}, nil
	}
	if h := b.keptFrom(op); h != nil {
		return ledger.Outcome{Status: ledger.Held, Hold: &ledger.Hold{ID: h.id}}, nil
	}
	if over := b.over(op); over != nil {
		return ledger.Outcome{Status: ledger.Exceeded, Over: over}, nil
	}
	after := make([]int64, len(op.Postings))
	var short []string
	for i, p := range op.Postings {
		sum, err := ledger.AddAmount(b.balances[purse{p.Account, p.Currency}], p.Amount)
		if err != nil {
			return ledger.Outcome{}, err
		}
		after[i] = sum
		if sum < 0 && slices.Contains(op.Floors, p.Account) && !slices.Contains(short, p.Account) {
			short = append(short, p.Account)
		}
	}
	if short != nil {
		return ledger.Outcome{Status: ledger.Insufficient, Short: short}, nil
	}
	b.known[op.ID] = struct{}{}
	for _, s := range op.Spends {
		b.spent[s.Epoch][s.ID] = op.ID
	}
	for i, p := range op.Postings {
		b.balances[purse{p.Account, p.Currency}] = after[i]
	}
	for _, q := range op.Quotas {
		b.counted[q.Name] += q.Amount
	}
	b.applied = append(b.applied, &applied{opJob: j})
	return ledger.Outcome{Status: ledger.Applied}, nil
}

func (b *batch) loadKnown(t *tx, jobs []*job) error {
	keys := make([]any, 0, len(jobs))
	for _, j := range jobs {
		keys = append(keys, j.op.op.ID[:])
	}
	return t.lookup(func(rows *sql.Rows) error {
		var id sql.RawBytes
		if err := rows.Scan(&id); err != nil {
			return classify(err)
		}
		b.known[toID(id)] = struct{}{}
		return nil
	}, "SELECT id FROM ops WHERE id IN ", sorted(keys))
}

// loadSpent looks up every spend of the well-formed ops, epoch by epoch.
func (l *Ledger) loadSpent(t *tx, b *batch, jobs []*job) error {
	var spends []ledger.Spend
	for _, j := range jobs {
		if j.op.invalid == nil {
			spends = append(spends, j.op.op.Spends...)
		}
	}
	for epoch, keys := range spendsByEpoch(spends) {
		open, err := l.knowsEpoch(epoch, t.get)
		if err != nil {
			return err
		}
		if !open {
			continue
		}
		if b.spent[epoch], err = spentIn(t, epoch, keys); err != nil {
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

func (b *batch) loadBalances(t *tx, jobs []*job) error {
	seen := make(map[string]struct{})
	var keys []any
	for _, j := range jobs {
		if j.op.invalid != nil {
			continue
		}
		for _, p := range j.op.op.Postings {
			if _, ok := seen[p.Account]; !ok {
				seen[p.Account] = struct{}{}
				keys = append(keys, p.Account)
			}
		}
	}
	return t.lookup(func(rows *sql.Rows) error {
		var p purse
		var amount int64
		if err := rows.Scan(&p.account, &p.currency, &amount); err != nil {
			return classify(err)
		}
		b.balances[p] = amount
		return nil
	}, "SELECT account, currency, amount FROM balances WHERE account IN ", keys)
}

// sorted sorts keys that are all []byte: random ids wear a B-tree less in
// order.
func sorted(keys []any) []any {
	slices.SortFunc(keys, func(a, b any) int { return bytes.Compare(a.([]byte), b.([]byte)) })
	return keys
}

// write puts the applied ops into the journal in the order they were decided,
// and everything else in the order of its keys.
func (b *batch) write(t *tx, rec *recorder) error {
	for _, a := range b.applied {
		seq, err := rec.append(a.op.Lane, ledger.EventOp, a.op.ID[:], 1, a.digest)
		if err != nil {
			return err
		}
		a.seq = seq
	}
	var ops, postings, opSpends []any
	touched := make(map[purse]struct{})
	for _, a := range b.applied {
		op, seq, at := &a.op, int64(a.seq), a.op.At.UnixMicro()
		ops = append(ops, op.Lane, seq, op.ID[:], op.Kind, op.Account, op.Issuer, op.Acquirer, op.State,
			blob(op.Request), blob(op.Answer), at)
		for n, p := range op.Postings {
			postings = append(postings, op.Lane, seq, n, p.Account, p.Amount, p.Currency, at)
			touched[purse{p.Account, p.Currency}] = struct{}{}
		}
		for n := range op.Spends {
			s := &op.Spends[n]
			opSpends = append(opSpends, op.Lane, seq, n, s.Epoch, s.ID[:], s.Value)
		}
	}
	if err := t.insert("INSERT INTO ops (lane, seq, id, kind, account, issuer, acquirer, state, request, answer, at)", 11, "", ops); err != nil {
		return err
	}
	if err := t.insert("INSERT INTO postings (lane, seq, n, account, amount, currency, at)", 7, "", postings); err != nil {
		return err
	}
	if err := t.insert("INSERT INTO op_spends (lane, seq, n, epoch, id, value)", 6, "", opSpends); err != nil {
		return err
	}
	if err := b.writeSpent(t); err != nil {
		return err
	}
	if err := b.writeQuotas(t); err != nil {
		return err
	}
	if err := b.endHolds(t); err != nil {
		return err
	}
	return b.writeBalances(t, touched)
}

// writeSpent has no ON CONFLICT: an id that is there after all, against what
// was looked up, must fail the batch.
func (b *batch) writeSpent(t *tx) error {
	type row struct{ id, op []byte }
	byEpoch := make(map[string][]row)
	for _, a := range b.applied {
		for i := range a.op.Spends {
			s := &a.op.Spends[i]
			byEpoch[s.Epoch] = append(byEpoch[s.Epoch], row{s.ID[:], a.op.ID[:]})
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

func (b *batch) writeBalances(t *tx, touched map[purse]struct{}) error {
	purses := make([]purse, 0, len(touched))
	for p := range touched {
		purses = append(purses, p)
	}
	slices.SortFunc(purses, func(a, b purse) int {
		return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.currency, b.currency))
	})
	args := make([]any, 0, 3*len(purses))
	for _, p := range purses {
		args = append(args, p.account, p.currency, b.balances[p])
	}
	return t.insert("INSERT INTO balances (account, currency, amount)", 3,
		" ON CONFLICT (account, currency) DO UPDATE SET amount = excluded.amount", args)
}

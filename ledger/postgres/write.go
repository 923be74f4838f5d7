package postgres

import (
	"bytes"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/batch"
)

// recorder appends to the journals whose lanes are locked.
type recorder struct {
	heads   map[string]*ledger.Head
	changed map[string]struct{}
	records []ledger.Record
}

// lockLanes locks lanes, given sorted, and makes those that are new.
func lockLanes(t *tx, lanes []string) (*recorder, error) {
	rec := &recorder{heads: make(map[string]*ledger.Head), changed: make(map[string]struct{})}
	lock := func() error {
		return t.query(func(rows pgx.Rows) error {
			var h ledger.Head
			var hash []byte
			err := rows.Scan(&h.Lane, &h.Seq, &hash)
			h.Hash = toID(hash)
			rec.heads[h.Lane] = &h
			return err
		}, "SELECT lane, seq, hash FROM lanes WHERE lane = ANY($1) ORDER BY lane FOR UPDATE", lanes)
	}
	err := lock()
	if err == nil && len(rec.heads) < len(lanes) {
		err = t.exec(`INSERT INTO lanes (lane, seq, hash) SELECT lane, 0, $2 FROM unnest($1::text[]) AS u (lane)
			ON CONFLICT DO NOTHING`, lanes, make([]byte, 32))
		if err == nil {
			err = lock()
		}
		if err == nil && len(rec.heads) < len(lanes) {
			err = errAgain
		}
	}
	return rec, err
}

// append chains a record of the given content to lane and returns its place.
func (r *recorder) append(lane string, event ledger.Event, subject []byte, rev uint64, digest [32]byte) int64 {
	record := ledger.Record{Event: event, Subject: subject, Rev: rev, Digest: digest}
	r.heads[lane].Append(&record)
	r.changed[lane] = struct{}{}
	r.records = append(r.records, record)
	return int64(record.Seq)
}

// flush adds what was appended to the pipeline.
func (r *recorder) flush(p *pipeline) {
	r.flushRecords(p)
	lanes := slices.Sorted(maps.Keys(r.changed))
	var seqs []int64
	var hashes [][]byte
	for _, lane := range lanes {
		seqs, hashes = append(seqs, int64(r.heads[lane].Seq)), append(hashes, r.heads[lane].Hash[:])
		p.t.grown = append(p.t.grown, *r.heads[lane])
	}
	p.all(len(lanes), `UPDATE lanes AS l SET seq = u.seq, hash = u.hash
		FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS u (lane, seq, hash) WHERE l.lane = u.lane`, lanes, seqs, hashes)
	clear(r.changed)
}

func (r *recorder) flushRecords(p *pipeline) {
	var lanes, events []string
	var seqs, revs []int64
	var subjects, digests, prevs, hashes [][]byte
	for i := range r.records {
		rec := &r.records[i]
		lanes, events = append(lanes, rec.Lane), append(events, string(rec.Event))
		seqs, revs = append(seqs, int64(rec.Seq)), append(revs, int64(rec.Rev))
		subjects, digests = append(subjects, blob(rec.Subject)), append(digests, rec.Digest[:])
		prevs, hashes = append(prevs, rec.Prev[:]), append(hashes, rec.Hash[:])
	}
	p.all(len(r.records), `INSERT INTO journal (lane, seq, event, subject, rev, digest, prev, hash) SELECT * FROM
		unnest($1::text[], $2::bigint[], $3::text[], $4::bytea[], $5::bigint[], $6::bytea[], $7::bytea[], $8::bytea[])
		ON CONFLICT DO NOTHING`, lanes, seqs, events, subjects, revs, digests, prevs, hashes)
	r.records = nil
}

// rows is what a batch adds to the tables of ops, column by column.
type rows struct {
	rec      *recorder
	ops      []placed
	answers  []answerRow
	postings struct {
		lanes, accounts, currencies []string
		seqs, ns, amounts, ats      []int64
	}
	spends struct {
		lanes, epochs    []string
		seqs, ns, values []int64
		ids              [][]byte
	}
	quotas struct {
		lanes, names      []string
		seqs, ns, amounts []int64
	}
	last struct { // the place of the newest op
		lane string
		seq  int64
	}
	spent   map[string][]taken
	sums    map[batch.Purse]int64
	counted map[string]int64
}

// placed is an op and its place in the journal.
type placed struct {
	*ledger.Op
	seq int64
}

// taken is a row of a spent set.
type taken struct{ id, op []byte }

type answerRow struct {
	lane, opLane    string
	seq, opSeq, rev int64
	state           string
	answer          []byte
}

func newRows(rec *recorder) *rows {
	return &rows{rec: rec, spent: make(map[string][]taken), sums: make(map[batch.Purse]int64), counted: make(map[string]int64)}
}

// op records an op that was applied.
func (r *rows) op(op *batch.Op) {
	r.add(&op.Op, r.rec.append(op.Lane, ledger.EventOp, op.ID[:], 1, op.Digest))
}

// add takes an op at its place.
func (r *rows) add(op *ledger.Op, seq int64) {
	r.ops = append(r.ops, placed{op, seq})
	r.last.lane, r.last.seq = op.Lane, seq
	at := op.At.UnixMicro()
	for n, p := range op.Postings {
		t := &r.postings
		t.lanes, t.accounts, t.currencies = append(t.lanes, op.Lane), append(t.accounts, p.Account), append(t.currencies, p.Currency)
		t.seqs, t.ns, t.amounts, t.ats = append(t.seqs, seq), append(t.ns, int64(n)), append(t.amounts, p.Amount), append(t.ats, at)
		r.sums[batch.Purse{Account: p.Account, Currency: p.Currency}] += p.Amount
	}
	for n := range op.Spends {
		s, t := &op.Spends[n], &r.spends
		t.lanes, t.epochs = append(t.lanes, op.Lane), append(t.epochs, s.Epoch)
		t.seqs, t.ns, t.values = append(t.seqs, seq), append(t.ns, int64(n)), append(t.values, s.Value)
		t.ids = append(t.ids, s.ID[:])
		r.spent[s.Epoch] = append(r.spent[s.Epoch], taken{s.ID[:], op.ID[:]})
	}
	for n, q := range op.Quotas {
		if q.Amount == 0 {
			continue // it only asked
		}
		t := &r.quotas
		t.lanes, t.names = append(t.lanes, op.Lane), append(t.names, q.Name)
		t.seqs, t.ns, t.amounts = append(t.seqs, seq), append(t.ns, int64(n)), append(t.amounts, q.Amount)
		r.counted[q.Name] += q.Amount
	}
}

// flush adds all rows to the pipeline but the sums; those that another process
// could have come first with in the order of their ids.
func (r *rows) flush(p *pipeline) {
	r.flushOps(p)
	r.flushSpent(p)
	r.flushAnswers(p)
	t, s, q := &r.postings, &r.spends, &r.quotas
	p.all(len(t.seqs), `INSERT INTO postings (lane, seq, n, account, amount, currency, at) SELECT * FROM
		unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::bigint[])
		ON CONFLICT DO NOTHING`, t.lanes, t.seqs, t.ns, t.accounts, t.amounts, t.currencies, t.ats)
	p.all(len(s.seqs), `INSERT INTO op_spends (lane, seq, n, epoch, id, value) SELECT * FROM
		unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bytea[], $6::bigint[])
		ON CONFLICT DO NOTHING`, s.lanes, s.seqs, s.ns, s.epochs, s.ids, s.values)
	p.all(len(q.seqs), `INSERT INTO op_quotas (lane, seq, n, name, amount) SELECT * FROM
		unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[])
		ON CONFLICT DO NOTHING`, q.lanes, q.seqs, q.ns, q.names, q.amounts)
	r.rec.flush(p)
}

func (r *rows) flushOps(p *pipeline) {
	slices.SortFunc(r.ops, func(a, b placed) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	var lanes, kinds, accounts, issuers, acquirers, states []string
	var ids, requests, answers [][]byte
	var seqs, ats []int64
	for _, op := range r.ops {
		lanes, seqs, ids = append(lanes, op.Lane), append(seqs, op.seq), append(ids, op.ID[:])
		kinds, accounts = append(kinds, op.Kind), append(accounts, op.Account)
		issuers, acquirers = append(issuers, op.Issuer), append(acquirers, op.Acquirer)
		states, requests, answers = append(states, op.State), append(requests, blob(op.Request)), append(answers, blob(op.Op.Answer))
		ats = append(ats, op.At.UnixMicro())
	}
	p.all(len(ids), `INSERT INTO ops (lane, seq, id, kind, account, issuer, acquirer, state, request, answer, at) SELECT * FROM
		unnest($1::text[], $2::bigint[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[],
			$10::bytea[], $11::bigint[]) ON CONFLICT DO NOTHING`,
		lanes, seqs, ids, kinds, accounts, issuers, acquirers, states, requests, answers, ats)
}

func (r *rows) flushSpent(p *pipeline) {
	for _, epoch := range slices.Sorted(maps.Keys(r.spent)) {
		set := r.spent[epoch]
		slices.SortFunc(set, func(a, b taken) int { return bytes.Compare(a.id, b.id) })
		ids, ops := make([][]byte, len(set)), make([][]byte, len(set))
		for i, s := range set {
			ids[i], ops[i] = s.id, s.op
		}
		p.all(len(set), "INSERT INTO spent_"+epoch+` (id, op) SELECT * FROM unnest($1::bytea[], $2::bytea[])
			ON CONFLICT DO NOTHING`, ids, ops)
	}
}

// endHolds ends the holds whose ops are recorded. It comes after the spends: a
// hold placed at the same moment is seen, or finds its coins spent. And it comes
// after overtaken has looked, who would not see what is ended.
func (r *rows) endHolds(p *pipeline) {
	var ids [][]byte
	var ats []int64
	for _, op := range r.ops {
		if len(op.Spends) > 0 {
			ids, ats = append(ids, op.ID[:]), append(ats, op.At.UnixMicro())
		}
	}
	if len(ids) > 0 {
		p.exec(`UPDATE holds AS h SET released = TRUE FROM unnest($1::bytea[], $2::bigint[]) AS u (id, at)
			WHERE h.id = u.id AND h.until > u.at AND NOT h.released`, ids, ats)
	}
}

func (r *rows) flushAnswers(p *pipeline) {
	var lanes, opLanes, states []string
	var seqs, opSeqs, revs []int64
	var answers [][]byte
	for _, a := range r.answers {
		lanes, opLanes, states = append(lanes, a.lane), append(opLanes, a.opLane), append(states, a.state)
		seqs, opSeqs, revs = append(seqs, a.seq), append(opSeqs, a.opSeq), append(revs, a.rev)
		answers = append(answers, blob(a.answer))
	}
	p.all(len(r.answers), `INSERT INTO answers (lane, seq, op_lane, op_seq, rev, state, answer) SELECT * FROM
		unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bytea[])
		ON CONFLICT DO NOTHING`, lanes, seqs, opLanes, opSeqs, revs, states, answers)
}

// write puts everything that was decided into the database.
func (a *attempt) write() error {
	p := a.t.pipeline()
	a.rows.flush(p)
	names := slices.Sorted(maps.Keys(a.rows.counted))
	counted := make([]int64, len(names))
	for i, name := range names {
		counted[i] = a.rows.counted[name]
	}
	p.all(len(names), `UPDATE quotas AS q SET counted = q.counted + u.amount
		FROM unnest($1::text[], $2::bigint[]) AS u (name, amount) WHERE q.name = u.name`, names, counted)
	own := make(map[batch.Purse]int64)
	var purses []batch.Purse
	for purse, sum := range a.rows.sums {
		if _, locked := a.locked[purse]; locked {
			own[purse] = sum
		} else {
			purses = append(purses, purse)
		}
	}
	accounts, currencies := split(purses)
	sums := make([]int64, len(purses))
	for i, purse := range purses {
		sums[i] = a.rows.sums[purse]
	}
	p.all(len(purses), `INSERT INTO deltas (account, currency, lane, seq, amount)
		SELECT account, currency, $4, $5, amount FROM unnest($1::text[], $2::text[], $3::bigint[]) AS u (account, currency, amount)
		ON CONFLICT DO NOTHING`, accounts, currencies, sums, a.rows.last.lane, a.rows.last.seq)
	if err := p.run(); err != nil {
		return err
	}
	return addToBalances(a.t, own)
}

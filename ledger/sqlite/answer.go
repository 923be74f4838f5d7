package sqlite

import (
	"database/sql"

	"github.com/speciecash/specie/ledger"
)

// standing is where an op stands: what SetAnswer settles.
type standing struct {
	lane   string
	seq    int64
	rev    uint64
	state  string
	answer []byte
}

// answerAll settles answers in the order given.
func answerAll(t *tx, rec *recorder, lane string, jobs []*job) (wrote bool, err error) {
	if len(jobs) == 0 {
		return false, nil
	}
	ops, err := loadStandings(t, jobs)
	if err != nil {
		return false, err
	}
	var rows []any
	for _, j := range jobs {
		a := j.Answer
		op, ok := ops[a.ID]
		if !ok {
			j.Err = ledger.ErrNotFound
			continue
		}
		state, answer, changed, err := ledger.Settle(op.state, op.answer, a.State, a.Answer)
		j.Err = err
		if err != nil || !changed {
			continue
		}
		op.state, op.answer, op.rev = state, answer, op.rev+1
		seq, err := rec.append(lane, ledger.EventAnswer, a.ID[:], op.rev, ledger.AnswerDigest(state, answer))
		if err != nil {
			return false, err
		}
		rows = append(rows, lane, int64(seq), op.lane, op.seq, int64(op.rev), state, blob(answer))
	}
	if len(rows) == 0 {
		return false, nil
	}
	return true, insertAnswers(t, rows)
}

func insertAnswers(t *tx, rows []any) error {
	return t.insert("INSERT INTO answers (lane, seq, op_lane, op_seq, rev, state, answer)", 7, "", rows)
}

func loadStandings(t *tx, jobs []*job) (map[ledger.ID]*standing, error) {
	keys := make([]any, 0, len(jobs))
	for _, j := range jobs {
		keys = append(keys, j.Answer.ID[:])
	}
	ops := make(map[ledger.ID]*standing, len(jobs))
	err := t.lookup(func(rows *sql.Rows) error {
		var id sql.RawBytes
		var s standing
		if err := rows.Scan(&id, &s.lane, &s.seq, &s.state, &s.answer, &s.rev); err != nil {
			return classify(err)
		}
		ops[toID(id)] = &s
		return nil
	}, `SELECT o.id, o.lane, o.seq, COALESCE(a.state, o.state), COALESCE(a.answer, o.answer), COALESCE(a.rev, 1)
		FROM ops o LEFT JOIN answers a ON a.op_lane = o.lane AND a.op_seq = o.seq AND a.rev =
			(SELECT MAX(x.rev) FROM answers x WHERE x.op_lane = o.lane AND x.op_seq = o.seq)
		WHERE o.id IN `, sorted(keys))
	return ops, err
}

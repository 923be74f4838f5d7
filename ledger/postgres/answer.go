package postgres

import (
	"github.com/jackc/pgx/v5"

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

// settle settles answers in the order given. Of two processes that settle one
// op at once, the later fails to insert the same rev.
func (a *attempt) settle() error {
	if len(a.answers) == 0 {
		return nil
	}
	ids := make([]ledger.ID, len(a.answers))
	for i, c := range a.answers {
		ids[i] = c.Answer.ID
	}
	ops, err := a.t.standings(ids)
	if err != nil {
		return err
	}
	for _, c := range a.answers {
		op, ok := ops[c.Answer.ID]
		if !ok {
			c.Err = ledger.ErrNotFound
			continue
		}
		state, answer, changed, err := ledger.Settle(op.state, op.answer, c.Answer.State, c.Answer.Answer)
		c.Err = err
		if err != nil || !changed {
			continue
		}
		op.state, op.answer, op.rev = state, answer, op.rev+1
		lane := a.l.opts.Lane
		seq := a.rows.rec.append(lane, ledger.EventAnswer, c.Answer.ID[:], op.rev, ledger.AnswerDigest(state, answer))
		a.rows.answers = append(a.rows.answers, answerRow{lane: lane, seq: seq, opLane: op.lane, opSeq: op.seq,
			rev: int64(op.rev), state: state, answer: answer})
	}
	return nil
}

// standings looks up the ops that are to be settled. One that this very batch
// records is not among them: its caller does not know yet that it is there.
func (t *tx) standings(ids []ledger.ID) (map[ledger.ID]*standing, error) {
	ops := make(map[ledger.ID]*standing, len(ids))
	err := t.query(func(rows pgx.Rows) error {
		var id []byte
		var s standing
		err := rows.Scan(&id, &s.lane, &s.seq, &s.state, &s.answer, &s.rev)
		ops[toID(id)] = &s
		return err
	}, `SELECT o.id, o.lane, o.seq, COALESCE(a.state, o.state), COALESCE(a.answer, o.answer), COALESCE(a.rev, 1)
		FROM ops o LEFT JOIN answers a ON a.op_lane = o.lane AND a.op_seq = o.seq AND a.rev =
			(SELECT MAX(x.rev) FROM answers x WHERE x.op_lane = o.lane AND x.op_seq = o.seq)
		WHERE o.id = ANY($1)`, sortedIDs(ids))
	return ops, err
}

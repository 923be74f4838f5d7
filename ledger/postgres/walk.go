package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/speciecash/specie/ledger"
)

// snapshot is a transaction that reads one consistent picture of the store,
// however long it takes.
type snapshot struct {
	ctx  context.Context
	conn *pgx.Conn
}

// snapshot runs f with one. Nothing is written, so that how it ends does not
// matter.
func (l *Ledger) snapshot(ctx context.Context, f func(*snapshot) error) error {
	begun := false
	return l.on(ctx, func(conn *pgx.Conn) error {
		if begun {
			return errCut
		}
		if _, err := conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
			return err
		}
		begun = true
		err := f(&snapshot{ctx: ctx, conn: conn})
		if !conn.IsClosed() {
			_, rollback := conn.Exec(context.WithoutCancel(ctx), "ROLLBACK")
			err = errors.Join(err, rollback)
		}
		return err
	})
}

// query calls row for each row.
func (s *snapshot) query(row func(pgx.Rows) error, query string, args ...any) error {
	rows, err := s.conn.Query(s.ctx, query, args...)
	if err != nil {
		return err
	}
	return eachRow(rows, row)
}

// get reads one row.
func (s *snapshot) get(into []any, query string, args ...any) (found bool, err error) {
	err = s.query(func(rows pgx.Rows) error {
		found = true
		return rows.Scan(into...)
	}, query, args...)
	return found, err
}

// step is one record of a journal, with the op or the answer at its place, if
// there is one. The op is as it was recorded.
type step struct {
	ledger.Record
	op       *ledger.Op
	answer   *ledger.AnswerRow
	postedAt []int64 // the times of the op's postings
}

// stepsAtOnce is how many records are read in one piece: the lists of that
// many ops are in memory, but of their requests one at a time.
const stepsAtOnce = 256

// journal walks all lanes in order.
func (s *snapshot) journal(visit func(*step) error) error {
	for lane := ""; ; {
		found, err := s.get([]any{&lane}, "SELECT lane FROM journal WHERE lane > $1 ORDER BY lane LIMIT 1", lane)
		if err != nil || !found {
			return err
		}
		for next := int64(-1 << 62); ; {
			found, err := s.get([]any{&next}, "SELECT seq FROM journal WHERE lane=$1 AND seq >= $2 ORDER BY seq LIMIT 1", lane, next)
			if err != nil {
				return err
			}
			if !found {
				break
			}
			if err := s.piece(lane, next, next+stepsAtOnce, visit); err != nil {
				return err
			}
			next += stepsAtOnce
		}
	}
}

// piece walks the records of a lane from one place to before another.
func (s *snapshot) piece(lane string, from, to int64, visit func(*step) error) error {
	lists, err := s.lists(lane, from, to)
	if err != nil {
		return err
	}
	return s.query(func(rows pgx.Rows) error {
		st, seq, err := scanStep(rows)
		if err != nil {
			return err
		}
		if from := lists[seq]; from != nil && st.op != nil {
			st.op.Postings, st.op.Spends, st.op.Quotas, st.postedAt = from.op.Postings, from.op.Spends, from.op.Quotas, from.postedAt
		}
		return visit(st)
	}, `SELECT j.lane, j.seq, j.event, j.subject, j.rev, j.digest, j.prev, j.hash,
			o.id, o.kind, o.account, o.issuer, o.acquirer, o.state, o.request, o.answer, o.at,
			a.rev, a.state, a.answer, t.id
		FROM journal j LEFT JOIN ops o ON o.lane = j.lane AND o.seq = j.seq
		LEFT JOIN answers a ON a.lane = j.lane AND a.seq = j.seq
		LEFT JOIN ops t ON t.lane = a.op_lane AND t.seq = a.op_seq
		WHERE j.lane=$1 AND j.seq >= $2 AND j.seq < $3 ORDER BY j.seq`, lane, from, to)
}

func scanStep(rows pgx.Rows) (*step, int64, error) {
	var st step
	var digest, prev, hash, id, request, answer, settled, settledOp []byte
	var kind, account, issuer, acquirer, state, settledState *string
	var at, settledRev *int64
	var seq, rev int64
	err := rows.Scan(&st.Lane, &seq, &st.Event, &st.Subject, &rev, &digest, &prev, &hash,
		&id, &kind, &account, &issuer, &acquirer, &state, &request, &answer, &at,
		&settledRev, &settledState, &settled, &settledOp)
	if err != nil {
		return nil, 0, err
	}
	st.Seq, st.Rev, st.Digest, st.Prev, st.Hash = uint64(seq), uint64(rev), toID(digest), toID(prev), toID(hash)
	if kind != nil {
		st.op = &ledger.Op{
			ID: toID(id), Kind: *kind, Account: *account, Issuer: *issuer, Acquirer: *acquirer,
			Lane: st.Lane, State: *state, Request: request, Answer: answer, At: fromMicro(*at),
		}
	}
	if settledRev != nil {
		st.answer = &ledger.AnswerRow{Op: toID(settledOp), Rev: uint64(*settledRev), State: *settledState, Answer: settled}
	}
	return &st, seq, nil
}

// opLists are an op's rows in other tables.
type opLists struct {
	op       ledger.Op
	postedAt []int64
}

// lists reads the rows of ops in other tables, by the ops' places.
func (s *snapshot) lists(lane string, from, to int64) (map[int64]*opLists, error) {
	out := make(map[int64]*opLists)
	at := func(seq int64) *opLists {
		if out[seq] == nil {
			out[seq] = new(opLists)
		}
		return out[seq]
	}
	const where = " WHERE lane=$1 AND seq >= $2 AND seq < $3 ORDER BY seq, n"
	var seq int64
	err := s.query(func(rows pgx.Rows) error {
		var p ledger.Posting
		var when int64
		err := rows.Scan(&seq, &p.Account, &p.Amount, &p.Currency, &when)
		o := at(seq)
		o.op.Postings, o.postedAt = append(o.op.Postings, p), append(o.postedAt, when)
		return err
	}, "SELECT seq, account, amount, currency, at FROM postings"+where, lane, from, to)
	if err != nil {
		return nil, err
	}
	err = s.query(func(rows pgx.Rows) error {
		var sp ledger.Spend
		var id []byte
		err := rows.Scan(&seq, &sp.Epoch, &id, &sp.Value)
		sp.ID = toID(id)
		o := at(seq)
		o.op.Spends = append(o.op.Spends, sp)
		return err
	}, "SELECT seq, epoch, id, value FROM op_spends"+where, lane, from, to)
	if err != nil {
		return nil, err
	}
	err = s.query(func(rows pgx.Rows) error {
		var q ledger.Quota
		err := rows.Scan(&seq, &q.Name, &q.Amount)
		o := at(seq)
		o.op.Quotas = append(o.op.Quotas, q)
		return err
	}, "SELECT seq, name, amount FROM op_quotas"+where, lane, from, to)
	return out, err
}

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/speciecash/specie/ledger"
)

// audit is a Verify under way: one read transaction, hence one consistent
// picture, on one connection.
type audit struct {
	ctx      context.Context
	conn     *sql.Conn
	out      *ledger.Audit
	watch    ledger.Verification
	show     func(*ledger.Row) error // is shown the journal and what it is about
	done     int64                   // of total rows
	total    int64
	accounts ledger.Versions
	tokens   ledger.Versions
	meta     ledger.Versions
	epochs   ledger.Versions
	open     []string  // epochs whose sets are there and sound to look into
	answers  *sql.Stmt // the answer row of a journal record
}

func newAudit(ctx context.Context, v ledger.Verification) *audit {
	return &audit{
		ctx: ctx, out: &ledger.Audit{}, watch: v, show: func(*ledger.Row) error { return nil },
		accounts: ledger.Versions{}, tokens: ledger.Versions{}, meta: ledger.Versions{},
		epochs: ledger.Versions{},
	}
}

// Verify implements ledger.Ledger.
func (l *Ledger) Verify(ctx context.Context, v ledger.Verification) (*ledger.Audit, error) {
	a := newAudit(ctx, v)
	stopped := classify(a.within(l.reader,
		func() error {
			return a.size("SELECT (SELECT COUNT(*) FROM journal) + (SELECT COUNT(*) FROM op_spends)")
		},
		a.file, a.journal, a.unrecorded, a.balances, a.quotaSums, a.spentSets, a.holds, a.accountRows, a.tokenRows, a.metaRows))
	// What stopped it half-way may come of the damage found: say both.
	if err := errors.Join(a.out.Err(), stopped); err != nil {
		return a.out, fmt.Errorf("sqlite: verify: %w", err)
	}
	return a.out, nil
}

// within runs steps in one read transaction.
func (a *audit) within(r *reader, steps ...func() error) (err error) {
	if a.conn, err = r.conn(a.ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.conn.Close()) }()
	if _, err := a.conn.ExecContext(a.ctx, "BEGIN"); err != nil {
		return err
	}
	defer func() {
		// Nothing was written; what matters is that the connection goes
		// back to the pool outside a transaction.
		_, rollback := a.conn.ExecContext(context.WithoutCancel(a.ctx), "ROLLBACK")
		err = errors.Join(err, rollback)
	}()
	a.answers, err = a.conn.PrepareContext(a.ctx, `SELECT o.id, a.rev, a.state, a.answer
		FROM answers a JOIN ops o ON o.lane = a.op_lane AND o.seq = a.op_seq WHERE a.lane=? AND a.seq=?`)
	if err != nil {
		return err
	}
	defer a.answers.Close()
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	a.done = a.total
	a.progress(0)
	return nil
}

// progressEvery is how many rows pass between two words about them.
const progressEvery = 1024

// size counts the rows that the progress is told by: the journal's, and for
// Verify those of the spent sets, which are looked at one by one too.
func (a *audit) size(query string) error {
	err := a.conn.QueryRowContext(a.ctx, query).Scan(&a.total)
	a.progress(0)
	return err
}

// progress notes that n more rows are done.
func (a *audit) progress(n int64) {
	before := a.done / progressEvery
	a.done = min(a.done+n, a.total) // damage may have made it too few
	if a.watch.Progress != nil && (n == 0 || a.done/progressEvery != before || a.done == a.total) {
		a.watch.Progress(a.done, a.total)
	}
}

// each calls row for each row of a query.
func (a *audit) each(row func(*sql.Rows) error, query string, args ...any) error {
	rows, err := a.conn.QueryContext(a.ctx, query, args...)
	if err != nil {
		return err
	}
	return eachRow(rows, row)
}

// file lets SQLite check its own structures: pages, and that indexes and
// tables agree.
func (a *audit) file() error {
	return a.each(func(rows *sql.Rows) error {
		var message string
		err := rows.Scan(&message)
		if err == nil && message != "ok" {
			a.out.Problem("file: %s", message)
		}
		return err
	}, fmt.Sprintf("PRAGMA integrity_check(%d)", ledger.MaxProblems))
}

// unrecorded looks for ops and answers that no journal record stands for. The
// journal found its own ops and answers already.
func (a *audit) unrecorded() error {
	for _, table := range []struct{ name, event string }{{"ops", "op"}, {"answers", "answer"}} {
		err := a.each(func(rows *sql.Rows) error {
			var lane string
			var seq int64
			err := rows.Scan(&lane, &seq)
			a.out.Problem("%s: row %s/%d is not in the journal", table.name, lane, seq)
			return err
		}, "SELECT lane, seq FROM "+table.name+` t WHERE NOT EXISTS
			(SELECT 1 FROM journal j WHERE j.lane = t.lane AND j.seq = t.seq AND j.event = ?)`, table.event)
		if err != nil {
			return err
		}
	}
	return nil
}

// balances compares each balance with its postings folded. The journal walk
// has vouched for the postings.
func (a *audit) balances() error {
	return a.each(func(rows *sql.Rows) error {
		var account, currency string
		var folded, kept int64
		err := rows.Scan(&account, &currency, &folded, &kept)
		a.out.Problem("balances: %s holds %d %s, its postings come to %d", account, kept, currency, folded)
		return err
	}, `SELECT account, currency, SUM(folded), SUM(kept) FROM (
			SELECT account, currency, amount AS folded, 0 AS kept FROM postings
			UNION ALL SELECT account, currency, 0, amount FROM balances) AS both
		GROUP BY account, currency HAVING SUM(folded) <> SUM(kept)`)
}

// quotaSums compares each counter with what ops counted toward it.
func (a *audit) quotaSums() error {
	return a.each(func(rows *sql.Rows) error {
		var name string
		var folded, kept int64
		err := rows.Scan(&name, &folded, &kept)
		a.out.Problem("quotas: %s stands at %d, ops counted %d", name, kept, folded)
		return err
	}, `SELECT name, SUM(folded), SUM(kept) FROM (
			SELECT name, amount AS folded, 0 AS kept FROM op_quotas
			UNION ALL SELECT name, 0, counted FROM quotas) AS both
		GROUP BY name HAVING SUM(folded) <> SUM(kept)`)
}

// spentSets compares each spent set with the spends of ops. Every row of a
// set must be a spend of the op it names; a set's ids are unique, so that
// equal counts then make the two the same.
func (a *audit) spentSets() error {
	spends := make(map[string]int64)
	err := a.each(func(rows *sql.Rows) error {
		var epoch string
		var n int64
		err := rows.Scan(&epoch, &n)
		spends[epoch] = n
		return err
	}, "SELECT epoch, COUNT(*) FROM op_spends GROUP BY epoch")
	if err != nil {
		return err
	}
	var open []string
	err = a.each(func(rows *sql.Rows) error {
		var epoch string
		err := rows.Scan(&epoch)
		open = append(open, epoch)
		return err
	}, "SELECT name FROM epochs ORDER BY name")
	if err != nil {
		return err
	}
	for _, epoch := range open {
		if v, ok := a.epochs[epoch]; !ok || v.Digest != ledger.EpochDigest(epoch) || !ledger.ValidEpoch(epoch) {
			a.out.Problem("epochs: %q is not in the journal", epoch)
			continue
		}
		if err := a.spentSet(epoch, spends[epoch]); err != nil {
			return err
		}
		a.progress(spends[epoch])
		delete(spends, epoch)
		delete(a.epochs, epoch)
	}
	for epoch := range a.epochs {
		a.out.Problem("epochs: %q is in the journal and not open", epoch)
	}
	for epoch, n := range spends {
		a.out.Problem("op_spends: %d spends in %q, which is not open", n, epoch)
	}
	return nil
}

func (a *audit) spentSet(epoch string, spends int64) error {
	var tables, n int64
	table := "spent_" + epoch
	err := a.conn.QueryRowContext(a.ctx, "SELECT COUNT(*) FROM sqlite_master WHERE type='table' AND name=?", table).Scan(&tables)
	if err != nil {
		return err
	}
	if tables == 0 {
		a.out.Problem("%s: the table is gone", table)
		return nil
	}
	err = a.each(func(rows *sql.Rows) error {
		var id, op []byte
		err := rows.Scan(&id, &op)
		a.out.Problem("%s: %x is not a spend of op %x", table, id, op)
		return err
	}, "SELECT s.id, s.op FROM "+table+` s WHERE NOT EXISTS (SELECT 1 FROM ops o
		JOIN op_spends p ON p.lane = o.lane AND p.seq = o.seq
		WHERE o.id = s.op AND p.id = s.id AND p.epoch = ?)`, epoch)
	if err != nil {
		return err
	}
	if err := a.conn.QueryRowContext(a.ctx, "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
		return err
	}
	a.open = append(a.open, epoch)
	if n != spends {
		a.out.Problem("%s: %d ids, but ops spend %d", table, n, spends)
	}
	return nil
}

func (a *audit) accountRows() error {
	err := a.each(func(rows *sql.Rows) error {
		acct, err := scanAccount(rows.Scan)
		if err != nil {
			return err
		}
		a.out.Accounts++
		a.accounts.Current(a.out, "accounts", acct.ID, ledger.Version{Rev: acct.Rev, Digest: acct.Digest()})
		return nil
	}, "SELECT "+accountColumns+" FROM accounts ORDER BY id")
	a.accounts.Missing(a.out, "accounts")
	return err
}

func (a *audit) tokenRows() error {
	err := a.each(func(rows *sql.Rows) error {
		var rev uint64
		k, err := scanToken(func(into ...any) error { return rows.Scan(append(into, &rev)...) })
		if err != nil {
			return err
		}
		a.tokens.Current(a.out, "access_tokens", fmt.Sprintf("%x", k.Hash), ledger.Version{Rev: rev, Digest: k.Digest()})
		return nil
	}, "SELECT "+tokenColumns+", rev FROM access_tokens ORDER BY hash")
	a.tokens.Missing(a.out, "access_tokens")
	return err
}

func (a *audit) metaRows() error {
	err := a.each(func(rows *sql.Rows) error {
		var key string
		var value []byte
		var rev uint64
		if err := rows.Scan(&key, &value, &rev); err != nil {
			return err
		}
		a.meta.Current(a.out, "meta", key, ledger.Version{Rev: rev, Digest: ledger.MetaDigest(key, value)})
		return nil
	}, "SELECT name, value, rev FROM meta ORDER BY name")
	a.meta.Missing(a.out, "meta")
	return err
}

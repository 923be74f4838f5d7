package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/speciecash/specie/ledger"
)

// Dump implements ledger.Ledger. It walks the journal as Verify does, and
// refuses what Verify would: a damaged store makes no backup.
func (l *Ledger) Dump(ctx context.Context, row func(*ledger.Row) error, progress func(done, total int64)) error {
	a := newAudit(ctx, ledger.Verification{Progress: progress})
	a.show = row
	stopped := classify(a.within(l.reader,
		func() error { return a.size("SELECT COUNT(*) FROM journal") },
		a.showHeads, a.showMeta, a.showEpochs, a.showAccounts, a.showTokens,
		a.journal, a.unrecorded, a.accountRows, a.tokenRows, a.metaRows, a.showHolds))
	if err := errors.Join(a.out.Err(), stopped); err != nil {
		return fmt.Errorf("sqlite: dump: %w", err)
	}
	return nil
}

func (a *audit) showHeads() error {
	heads := []ledger.Head{}
	err := a.each(func(rows *sql.Rows) error {
		var h ledger.Head
		var hash []byte
		err := rows.Scan(&h.Lane, &h.Seq, &hash)
		h.Hash = toID(hash)
		heads = append(heads, h)
		return err
	}, `SELECT j.lane, j.seq, j.hash FROM (SELECT lane, MAX(seq) AS seq FROM journal GROUP BY lane) AS ends
		JOIN journal j ON j.lane = ends.lane AND j.seq = ends.seq ORDER BY j.lane`)
	if err != nil {
		return err
	}
	return a.show(&ledger.Row{Heads: &heads})
}

func (a *audit) showMeta() error {
	return a.each(func(rows *sql.Rows) error {
		var m ledger.MetaRow
		if err := rows.Scan(&m.Key, &m.Value, &m.Rev); err != nil {
			return err
		}
		return a.show(&ledger.Row{Meta: &m})
	}, "SELECT name, value, rev FROM meta ORDER BY name")
}

func (a *audit) showEpochs() error {
	return a.each(func(rows *sql.Rows) error {
		var epoch string
		if err := rows.Scan(&epoch); err != nil {
			return err
		}
		return a.show(&ledger.Row{Epoch: epoch})
	}, "SELECT name FROM epochs ORDER BY name")
}

func (a *audit) showAccounts() error {
	return a.each(func(rows *sql.Rows) error {
		acct, err := scanAccount(rows.Scan)
		if err != nil {
			return err
		}
		return a.show(&ledger.Row{Account: acct})
	}, "SELECT "+accountColumns+" FROM accounts ORDER BY id")
}

func (a *audit) showTokens() error {
	return a.each(func(rows *sql.Rows) error {
		k, err := scanToken(rows.Scan)
		if err != nil {
			return err
		}
		return a.show(&ledger.Row{Token: k})
	}, "SELECT "+tokenColumns+" FROM access_tokens ORDER BY hash")
}

func (a *audit) showHolds() error {
	found, err := listHolds(a.each, "TRUE")
	if err != nil {
		return err
	}
	for i := range found {
		if err := a.show(&ledger.Row{Hold: &found[i]}); err != nil {
			return err
		}
		err := a.each(func(rows *sql.Rows) error {
			var try []byte
			if err := rows.Scan(&try); err != nil {
				return err
			}
			return a.show(&ledger.Row{Try: &ledger.TryRow{Hold: found[i].ID, Try: toID(try)}})
		}, "SELECT try FROM hold_tries WHERE hold=? ORDER BY try", found[i].ID[:])
		if err != nil {
			return err
		}
	}
	return nil
}

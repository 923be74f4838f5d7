package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/speciecash/specie/ledger"
)

const accountColumns = "id, kind, name, pubkey, currency, created_at, suspended, reason, rev"

func scanAccount(scan func(...any) error) (*ledger.Account, error) {
	var a ledger.Account
	var created int64
	err := scan(&a.ID, &a.Kind, &a.Name, &a.Key, &a.Currency, &created, &a.Suspended, &a.Reason, &a.Rev)
	a.CreatedAt = fromMicro(created)
	return &a, err
}

// accountValues are the values of accountColumns.
func accountValues(a *ledger.Account) []any {
	return []any{a.ID, a.Kind, a.Name, blob(a.Key), a.Currency, a.CreatedAt.UnixMicro(), a.Suspended, a.Reason, int64(a.Rev)}
}

// CreateAccount implements ledger.Ledger.
func (l *Ledger) CreateAccount(ctx context.Context, a ledger.Account, tokens ...ledger.AccessToken) error {
	err := a.Validate()
	for i := range tokens {
		if err == nil {
			err = tokens[i].Validate()
		}
		if err == nil && tokens[i].Account != a.ID {
			err = fmt.Errorf("%w: a token of %s", ledger.ErrMalformed, tokens[i].Account)
		}
	}
	if err != nil {
		return fmt.Errorf("sqlite: create account: %w", err)
	}
	a.Key, a.Rev, tokens = bytes.Clone(a.Key), 1, slices.Clone(tokens)
	err = l.writer.do(ctx, func(t *tx) error {
		if err := free(t, ledger.FieldAccount, "SELECT id FROM accounts WHERE id=?", a.ID); err != nil {
			return err
		}
		rec := newRecorder(t)
		if err := insertAccount(t, rec, l.opts.Lane, &a); err != nil {
			return err
		}
		for i := range tokens {
			if err := addToken(t, rec, l.opts.Lane, &tokens[i]); err != nil {
				return err
			}
		}
		return rec.flush()
	})
	if err != nil {
		return fmt.Errorf("sqlite: create account %s: %w", a.ID, err)
	}
	return nil
}

func insertAccount(t *tx, rec *recorder, lane string, a *ledger.Account) error {
	err := t.exec("INSERT INTO accounts ("+accountColumns+") VALUES (?,?,?,?,?,?,?,?,?)", accountValues(a)...)
	if err != nil {
		return err
	}
	_, err = rec.append(lane, ledger.EventAccount, []byte(a.ID), a.Rev, a.Digest())
	return err
}

// UpdateAccount implements ledger.Ledger.
func (l *Ledger) UpdateAccount(ctx context.Context, a ledger.Account) error {
	if err := a.Validate(); err != nil {
		return fmt.Errorf("sqlite: update account: %w", err)
	}
	a.Key = bytes.Clone(a.Key)
	err := l.writer.do(ctx, func(t *tx) error {
		old, err := accountIn(t, a.ID)
		switch {
		case err != nil:
			return err
		case old.Rev != a.Rev:
			return fmt.Errorf("%w: version %d, now %d", ledger.ErrStale, a.Rev, old.Rev)
		case old.Kind != a.Kind || old.Currency != a.Currency || old.CreatedAt.UnixMicro() != a.CreatedAt.UnixMicro():
			return fmt.Errorf("%w: kind, currency and creation of an account stay", ledger.ErrMalformed)
		}
		a.Rev++
		values := append(accountValues(&a)[1:], a.ID)
		err = t.exec(`UPDATE accounts SET kind=?, name=?, pubkey=?, currency=?, created_at=?,
			suspended=?, reason=?, rev=? WHERE id=?`, values...)
		if err != nil {
			return err
		}
		return record(t, l.opts.Lane, ledger.EventAccount, a.ID, a.Rev, a.Digest())
	})
	if err != nil {
		return fmt.Errorf("sqlite: update account %s: %w", a.ID, err)
	}
	return nil
}

func accountIn(t *tx, id string) (a *ledger.Account, err error) {
	err = t.query(func(rows *sql.Rows) error {
		var err error
		a, err = scanAccount(rows.Scan)
		return classify(err)
	}, "SELECT "+accountColumns+" FROM accounts WHERE id=?", id)
	if err == nil && a == nil {
		err = ledger.ErrNotFound
	}
	return a, err
}

// Account implements ledger.Ledger.
func (l *Ledger) Account(ctx context.Context, id string) (*ledger.Account, error) {
	a, err := l.account(ctx, "id=?", id)
	if err != nil {
		return nil, fmt.Errorf("sqlite: account %q: %w", id, err)
	}
	return a, nil
}

func (l *Ledger) account(ctx context.Context, where string, arg any) (*ledger.Account, error) {
	var a *ledger.Account
	err := l.list(ctx, func(rows *sql.Rows) (err error) {
		a, err = scanAccount(rows.Scan)
		return classify(err)
	}, "SELECT "+accountColumns+" FROM accounts WHERE "+where, arg)
	if err == nil && a == nil {
		err = ledger.ErrNotFound
	}
	return a, err
}

// Accounts implements ledger.Ledger.
func (l *Ledger) Accounts(ctx context.Context, prefix, after string, limit int) ([]ledger.Account, error) {
	var out []ledger.Account
	err := l.list(ctx, func(rows *sql.Rows) error {
		a, err := scanAccount(rows.Scan)
		out = append(out, *a)
		return classify(err)
	}, "SELECT "+accountColumns+" FROM accounts WHERE id >= ? AND id < ? AND id > ? ORDER BY id LIMIT ?",
		prefix, beyond(prefix), after, ledger.Page{Limit: limit}.Size())
	if err != nil {
		return nil, fmt.Errorf("sqlite: accounts of %q: %w", prefix, err)
	}
	return out, nil
}

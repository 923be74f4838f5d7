package postgres

import (
	"bytes"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/speciecash/specie/ledger"
)

const accountColumns = "id, kind, name, pubkey, currency, created_at, suspended, reason, rev"

func scanAccount(rows pgx.Rows) (*ledger.Account, error) {
	var a ledger.Account
	var created int64
	err := rows.Scan(&a.ID, &a.Kind, &a.Name, &a.Key, &a.Currency, &created, &a.Suspended, &a.Reason, &a.Rev)
	a.CreatedAt = fromMicro(created)
	return &a, err
}

// accountValues are the values of accountColumns.
func accountValues(a *ledger.Account) []any {
	return []any{a.ID, a.Kind, a.Name, blob(a.Key), a.Currency, a.CreatedAt.UnixMicro(), a.Suspended, a.Reason, int64(a.Rev)}
}

const insertAccount = "INSERT INTO accounts (" + accountColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
	ON CONFLICT DO NOTHING`

// CreateAccount implements ledger.Ledger.
func (l *Ledger) CreateAccount(ctx context.Context, a ledger.Account, tokens ...ledger.AccessToken) error {
	err := a.Validate()
	for i := range tokens {
		if err == nil {
			err = tokens[i].Validate()
		}
		if err == nil && tokens[i].Account != a.ID {
			err = fmt.Errorf("%w: token of another account", ledger.ErrMalformed)
		}
	}
	if err != nil {
		return fmt.Errorf("postgres: create account: %w", err)
	}
	a.Key, a.Rev = bytes.Clone(a.Key), 1
	tokens = cloneTokens(tokens)
	err = l.recorded(ctx, func(t *tx, rec *recorder) error {
		n, err := t.change(insertAccount, accountValues(&a)...)
		if err == nil && n == 0 {
			err = &ledger.DuplicateError{Field: ledger.FieldAccount}
		}
		if err != nil {
			return err
		}
		rec.append(l.opts.Lane, ledger.EventAccount, []byte(a.ID), a.Rev, a.Digest())
		for i := range tokens {
			if err := addToken(t, rec, l.opts.Lane, &tokens[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("postgres: create account %s: %w", a.ID, err)
	}
	return nil
}

// recorded runs body as a task, with the process's lane locked, and writes what
// it recorded.
func (l *Ledger) recorded(ctx context.Context, body func(*tx, *recorder) error) error {
	return l.writer.queue.Do(ctx, func(t *tx) error {
		rec, err := lockLanes(t, []string{l.opts.Lane})
		if err != nil {
			return err
		}
		if err := body(t, rec); err != nil {
			return err
		}
		return rec.write(t)
	})
}

// UpdateAccount implements ledger.Ledger.
func (l *Ledger) UpdateAccount(ctx context.Context, a ledger.Account) error {
	if err := a.Validate(); err != nil {
		return fmt.Errorf("postgres: update account: %w", err)
	}
	a.Key = bytes.Clone(a.Key)
	read := a.Rev
	err := l.recorded(ctx, func(t *tx, rec *recorder) error {
		old, err := lockAccount(t, a.ID)
		switch {
		case err != nil:
			return err
		case old.Rev != read:
			return fmt.Errorf("%w: version %d, now %d", ledger.ErrStale, read, old.Rev)
		case old.Kind != a.Kind || old.Currency != a.Currency || old.CreatedAt.UnixMicro() != a.CreatedAt.UnixMicro():
			return fmt.Errorf("%w: kind, currency and creation of an account stay", ledger.ErrMalformed)
		}
		a.Rev = read + 1
		err = t.exec(`UPDATE accounts SET kind=$2, name=$3, pubkey=$4, currency=$5, created_at=$6, suspended=$7, reason=$8,
			rev=$9 WHERE id=$1`, accountValues(&a)...)
		rec.append(l.opts.Lane, ledger.EventAccount, []byte(a.ID), a.Rev, a.Digest())
		return err
	})
	if err != nil {
		return fmt.Errorf("postgres: update account %s: %w", a.ID, err)
	}
	return nil
}

// lockAccount reads a record that nobody changes until the commit.
func lockAccount(t *tx, id string) (a *ledger.Account, err error) {
	err = t.query(func(rows pgx.Rows) (err error) {
		a, err = scanAccount(rows)
		return err
	}, "SELECT "+accountColumns+" FROM accounts WHERE id=$1 FOR UPDATE", id)
	if err == nil && a == nil {
		err = ledger.ErrNotFound
	}
	return a, err
}

// Account implements ledger.Ledger.
func (l *Ledger) Account(ctx context.Context, id string) (*ledger.Account, error) {
	var a *ledger.Account
	err := l.list(ctx, func(rows pgx.Rows) (err error) {
		a, err = scanAccount(rows)
		return err
	}, "SELECT "+accountColumns+" FROM accounts WHERE id=$1", id)
	if err == nil && a == nil {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("postgres: account %q: %w", id, err)
	}
	return a, nil
}

// Accounts implements ledger.Ledger.
func (l *Ledger) Accounts(ctx context.Context, prefix, after string, limit int) ([]ledger.Account, error) {
	var out []ledger.Account
	err := l.list(ctx, func(rows pgx.Rows) error {
		a, err := scanAccount(rows)
		out = append(out, *a)
		return err
	}, "SELECT "+accountColumns+" FROM accounts WHERE id >= $1 AND id < $2 AND id > $3 ORDER BY id LIMIT $4",
		prefix, beyond(prefix), after, ledger.Page{Limit: limit}.Size())
	if err != nil {
		return nil, fmt.Errorf("postgres: accounts of %q: %w", prefix, err)
	}
	return out, nil
}

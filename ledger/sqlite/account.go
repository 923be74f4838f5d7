package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"

	"github.com/speciecash/specie/ledger"
)

const accountColumns = "id, kind, name, pubkey, token_hash, currency, created_at, suspended, rev"

func scanAccount(scan func(...any) error) (*ledger.Account, error) {
	var a ledger.Account
	var token []byte
	var created int64
	err := scan(&a.ID, &a.Kind, &a.Name, &a.Key, &token, &a.Currency, &created, &a.Suspended, &a.Rev)
	a.TokenHash, a.CreatedAt = toID(token), fromMicro(created)
	return &a, err
}

// accountValues are the values of accountColumns.
func accountValues(a *ledger.Account) []any {
	var token any // NULL, of which there may be many
	if a.TokenHash != [32]byte{} {
		token = bytes.Clone(a.TokenHash[:])
	}
	return []any{a.ID, a.Kind, a.Name, blob(a.Key), token, a.Currency, a.CreatedAt.UnixMicro(), a.Suspended, int64(a.Rev)}
}

// CreateAccount implements ledger.Ledger.
func (l *Ledger) CreateAccount(ctx context.Context, a ledger.Account) error {
	if err := a.Validate(); err != nil {
		return fmt.Errorf("sqlite: create account: %w", err)
	}
	a.Key, a.Rev = bytes.Clone(a.Key), 1
	err := l.writer.do(ctx, func(t *tx) error {
		if err := free(t, ledger.FieldAccount, "SELECT id FROM accounts WHERE id=?", a.ID); err != nil {
			return err
		}
		if err := tokenFree(t, &a); err != nil {
			return err
		}
		err := t.exec("INSERT INTO accounts ("+accountColumns+") VALUES (?,?,?,?,?,?,?,?,?)", accountValues(&a)...)
		if err != nil {
			return err
		}
		return record(t, l.opts.Lane, ledger.EventAccount, a.ID, a.Rev, a.Digest())
	})
	if err != nil {
		return fmt.Errorf("sqlite: create account %s: %w", a.ID, err)
	}
	return nil
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
		if err := tokenFree(t, &a); err != nil {
			return err
		}
		a.Rev++
		values := append(accountValues(&a)[1:], a.ID)
		err = t.exec(`UPDATE accounts SET kind=?, name=?, pubkey=?, token_hash=?, currency=?, created_at=?,
			suspended=?, rev=? WHERE id=?`, values...)
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

// tokenFree refuses a token that another account has.
func tokenFree(t *tx, a *ledger.Account) error {
	if a.TokenHash == [32]byte{} {
		return nil
	}
	return free(t, ledger.FieldToken, "SELECT id FROM accounts WHERE token_hash=? AND id<>?", a.TokenHash[:], a.ID)
}

// Account implements ledger.Ledger.
func (l *Ledger) Account(ctx context.Context, id string) (*ledger.Account, error) {
	a, err := l.account(ctx, "id=?", id)
	if err != nil {
		return nil, fmt.Errorf("sqlite: account %q: %w", id, err)
	}
	return a, nil
}

// AccountByToken implements ledger.Ledger. Accounts without a token have NULL
// there, which equals nothing, not even the zero hash.
func (l *Ledger) AccountByToken(ctx context.Context, hash [32]byte) (*ledger.Account, error) {
	a, err := l.account(ctx, "token_hash=?", hash[:])
	if err != nil {
		return nil, fmt.Errorf("sqlite: account by token: %w", err)
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

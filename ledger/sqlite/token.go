package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/speciecash/specie/ledger"
)

const tokenColumns = "hash, account, label, scopes, created_at, expires_at, revoked_at"

func scanToken(scan func(...any) error) (*ledger.AccessToken, error) {
	var k ledger.AccessToken
	var hash []byte
	var scopes string
	var created, expires, revoked int64
	err := scan(&hash, &k.Account, &k.Label, &scopes, &created, &expires, &revoked)
	k.Hash, k.Scopes, k.CreatedAt = toID(hash), strings.Fields(scopes), fromMicro(created)
	k.ExpiresAt, k.RevokedAt = fromMicroOrZero(expires), fromMicroOrZero(revoked)
	return &k, err
}

// tokenValues are the values of tokenColumns.
func tokenValues(k *ledger.AccessToken) []any {
	return []any{k.Hash[:], k.Account, k.Label, strings.Join(k.Scopes, " "),
		k.CreatedAt.UnixMicro(), microOrZero(k.ExpiresAt), microOrZero(k.RevokedAt)}
}

func microOrZero(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicroOrZero(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return fromMicro(at)
}

// CreateToken implements ledger.Ledger.
func (l *Ledger) CreateToken(ctx context.Context, k ledger.AccessToken) error {
	if err := k.Validate(); err != nil {
		return fmt.Errorf("sqlite: create token: %w", err)
	}
	k.Scopes = slices.Clone(k.Scopes)
	err := l.writer.do(ctx, func(t *tx) error {
		if _, err := accountIn(t, k.Account); err != nil {
			return err
		}
		rec := newRecorder(t)
		if err := addToken(t, rec, l.opts.Lane, &k); err != nil {
			return err
		}
		return rec.flush()
	})
	if err != nil {
		return fmt.Errorf("sqlite: create token of %s: %w", k.Account, err)
	}
	return nil
}

// addToken writes a token of an account that is there, if it has room for it.
func addToken(t *tx, rec *recorder, lane string, k *ledger.AccessToken) error {
	if err := free(t, ledger.FieldToken, "SELECT hash FROM access_tokens WHERE hash=?", k.Hash[:]); err != nil {
		return err
	}
	var live int
	_, err := t.get([]any{&live}, `SELECT COUNT(*) FROM access_tokens
		WHERE account=? AND revoked_at=0 AND (expires_at=0 OR expires_at>?)`, k.Account, k.CreatedAt.UnixMicro())
	if err != nil {
		return err
	}
	if live >= ledger.MaxTokens {
		return fmt.Errorf("%w: %d tokens", ledger.ErrFull, live)
	}
	if err := insertToken(t, k); err != nil {
		return err
	}
	_, err = rec.append(lane, ledger.EventToken, k.Hash[:], 1, k.Digest())
	return err
}

func insertToken(t *tx, k *ledger.AccessToken) error {
	return t.exec("INSERT INTO access_tokens ("+tokenColumns+", rev) VALUES (?,?,?,?,?,?,?,1)", tokenValues(k)...)
}

// RevokeToken implements ledger.Ledger. Each version of a token is revoked
// earlier than the one before, the first perhaps not at all.
func (l *Ledger) RevokeToken(ctx context.Context, hash [32]byte, at time.Time) error {
	if at.UnixMicro() <= 0 {
		return fmt.Errorf("sqlite: revoke token: %w: at %v", ledger.ErrMalformed, at)
	}
	err := l.writer.do(ctx, func(t *tx) error {
		var k *ledger.AccessToken
		err := t.query(func(rows *sql.Rows) (err error) {
			k, err = scanToken(rows.Scan)
			return classify(err)
		}, "SELECT "+tokenColumns+" FROM access_tokens WHERE hash=?", hash[:])
		switch {
		case err != nil:
			return err
		case k == nil:
			return ledger.ErrNotFound
		case !k.RevokedAt.IsZero() && at.UnixMicro() >= k.RevokedAt.UnixMicro():
			return errNothing
		}
		var rev uint64
		if _, err := t.get([]any{&rev}, "SELECT rev FROM access_tokens WHERE hash=?", hash[:]); err != nil {
			return err
		}
		k.RevokedAt = at
		if err := k.Validate(); err != nil {
			return err
		}
		if err := t.exec("UPDATE access_tokens SET revoked_at=?, rev=? WHERE hash=?", at.UnixMicro(), int64(rev+1), hash[:]); err != nil {
			return err
		}
		return record(t, l.opts.Lane, ledger.EventToken, string(hash[:]), rev+1, k.Digest())
	})
	if err != nil {
		return fmt.Errorf("sqlite: revoke token: %w", err)
	}
	return nil
}

// Token implements ledger.Ledger.
func (l *Ledger) Token(ctx context.Context, hash [32]byte) (*ledger.AccessToken, *ledger.Account, error) {
	found, err := l.tokens(ctx, "SELECT "+tokenColumns+" FROM access_tokens WHERE hash=?", hash[:])
	if err == nil && len(found) == 0 {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return nil, nil, fmt.Errorf("sqlite: token: %w", err)
	}
	a, err := l.Account(ctx, found[0].Account)
	if err != nil {
		return nil, nil, err
	}
	return &found[0], a, nil
}

// Tokens implements ledger.Ledger. Of the tokens that are not revoked, those
// that end last come first: whatever the time is, all that still open the
// account are among the first MaxTokens.
func (l *Ledger) Tokens(ctx context.Context, account string) ([]ledger.AccessToken, error) {
	out, err := l.tokens(ctx, `WITH own AS (SELECT `+tokenColumns+`,
			ROW_NUMBER() OVER (ORDER BY revoked_at<>0, expires_at<>0, expires_at DESC, created_at DESC, hash) AS rank
			FROM access_tokens WHERE account=?)
		SELECT `+tokenColumns+` FROM (SELECT * FROM (SELECT * FROM own WHERE rank<=? AND revoked_at=0)
			UNION SELECT * FROM (SELECT * FROM own WHERE rank>? OR revoked_at<>0 ORDER BY created_at DESC, hash LIMIT ?))
		ORDER BY created_at, hash`, account, ledger.MaxTokens, ledger.MaxTokens, ledger.MaxTokens)
	if err != nil {
		return nil, fmt.Errorf("sqlite: tokens of %s: %w", account, err)
	}
	return out, nil
}

func (l *Ledger) tokens(ctx context.Context, query string, args ...any) ([]ledger.AccessToken, error) {
	var out []ledger.AccessToken
	err := l.list(ctx, func(rows *sql.Rows) error {
		k, err := scanToken(rows.Scan)
		out = append(out, *k)
		return classify(err)
	}, query, args...)
	return out, err
}

// upgradeAccounts is the journal's part of version 2: the digest of an account
// is another, and its token has one of its own.
func upgradeAccounts(t *tx, lane string) error {
	rec := newRecorder(t)
	err := t.query(func(rows *sql.Rows) error {
		a, err := scanAccount(rows.Scan)
		if err == nil {
			_, err = rec.append(lane, ledger.EventAccount, []byte(a.ID), a.Rev, a.Digest())
		}
		return errors.Join(err, rec.flushMany())
	}, "SELECT "+accountColumns+" FROM accounts ORDER BY id")
	if err != nil {
		return err
	}
	err = t.query(func(rows *sql.Rows) error {
		k, err := scanToken(rows.Scan)
		if err == nil {
			_, err = rec.append(lane, ledger.EventToken, k.Hash[:], 1, k.Digest())
		}
		return errors.Join(err, rec.flushMany())
	}, "SELECT "+tokenColumns+" FROM access_tokens ORDER BY account")
	return errors.Join(err, rec.flush())
}

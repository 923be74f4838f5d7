package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/speciecash/specie/ledger"
)

const tokenColumns = "hash, account, label, scopes, created_at, expires_at, revoked_at"

// scanToken reads tokenColumns, and besides what more names.
func scanToken(rows pgx.Rows, more ...any) (*ledger.AccessToken, error) {
	var k ledger.AccessToken
	var hash []byte
	var scopes string
	var created, expires, revoked int64
	err := rows.Scan(append([]any{&hash, &k.Account, &k.Label, &scopes, &created, &expires, &revoked}, more...)...)
	k.Hash, k.Scopes, k.CreatedAt = toID(hash), strings.Fields(scopes), fromMicro(created)
	k.ExpiresAt, k.RevokedAt = fromMicroOrZero(expires), fromMicroOrZero(revoked)
	return &k, err
}

// tokenValues are the values of tokenColumns.
func tokenValues(k *ledger.AccessToken) []any {
	return []any{k.Hash[:], k.Account, k.Label, strings.Join(k.Scopes, " "),
		k.CreatedAt.UnixMicro(), microOrZero(k.ExpiresAt), microOrZero(k.RevokedAt)}
}

const insertToken = "INSERT INTO access_tokens (" + tokenColumns + ", rev) VALUES ($1, $2, $3, $4, $5, $6, $7, 1) ON CONFLICT DO NOTHING"

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

func cloneTokens(tokens []ledger.AccessToken) []ledger.AccessToken {
	tokens = slices.Clone(tokens)
	for i := range tokens {
		tokens[i].Scopes = slices.Clone(tokens[i].Scopes)
	}
	return tokens
}

// CreateToken implements ledger.Ledger.
func (l *Ledger) CreateToken(ctx context.Context, k ledger.AccessToken) error {
	if err := k.Validate(); err != nil {
		return fmt.Errorf("postgres: create token: %w", err)
	}
	k.Scopes = slices.Clone(k.Scopes)
	err := l.recorded(ctx, func(t *tx, rec *recorder) error {
		if _, err := lockAccount(t, k.Account); err != nil {
			return err
		}
		return addToken(t, rec, l.opts.Lane, &k)
	})
	if err != nil {
		return fmt.Errorf("postgres: create token of %s: %w", k.Account, err)
	}
	return nil
}

// addToken writes a token of an account that is locked, if it has room for it.
func addToken(t *tx, rec *recorder, lane string, k *ledger.AccessToken) error {
	var live int
	_, err := t.get([]any{&live}, `SELECT COUNT(*) FROM access_tokens
		WHERE account=$1 AND revoked_at=0 AND (expires_at=0 OR expires_at>$2)`, k.Account, k.CreatedAt.UnixMicro())
	if err != nil {
		return err
	}
	n, err := t.change(insertToken, tokenValues(k)...)
	switch {
	case err != nil:
		return err
	case n == 0:
		return &ledger.DuplicateError{Field: ledger.FieldToken}
	case live >= ledger.MaxTokens:
		return fmt.Errorf("%w: %d tokens", ledger.ErrFull, live)
	}
	rec.append(lane, ledger.EventToken, k.Hash[:], 1, k.Digest())
	return nil
}

// RevokeToken implements ledger.Ledger. Each version of a token is revoked
// earlier than the one before, the first perhaps not at all.
func (l *Ledger) RevokeToken(ctx context.Context, hash [32]byte, at time.Time) error {
	if at.UnixMicro() <= 0 {
		return fmt.Errorf("postgres: revoke token: %w: at %v", ledger.ErrMalformed, at)
	}
	err := l.recorded(ctx, func(t *tx, rec *recorder) error {
		var k *ledger.AccessToken
		var rev int64
		err := t.query(func(rows pgx.Rows) (err error) {
			k, err = scanToken(rows, &rev)
			return err
		}, "SELECT "+tokenColumns+", rev FROM access_tokens WHERE hash=$1 FOR UPDATE", hash[:])
		switch {
		case err != nil:
			return err
		case k == nil:
			return ledger.ErrNotFound
		case !k.RevokedAt.IsZero() && at.UnixMicro() >= k.RevokedAt.UnixMicro():
			return nil
		}
		k.RevokedAt = at
		if err := k.Validate(); err != nil {
			return err
		}
		rec.append(l.opts.Lane, ledger.EventToken, hash[:], uint64(rev+1), k.Digest())
		return t.exec("UPDATE access_tokens SET revoked_at=$1, rev=$2 WHERE hash=$3", at.UnixMicro(), rev+1, hash[:])
	})
	if err != nil {
		return fmt.Errorf("postgres: revoke token: %w", err)
	}
	return nil
}

// Token implements ledger.Ledger.
func (l *Ledger) Token(ctx context.Context, hash [32]byte) (*ledger.AccessToken, *ledger.Account, error) {
	found, err := l.tokens(ctx, "SELECT "+tokenColumns+" FROM access_tokens WHERE hash=$1", hash[:])
	if err == nil && len(found) == 0 {
		err = ledger.ErrNotFound
	}
	if err != nil {
		return nil, nil, fmt.Errorf("postgres: token: %w", err)
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
	out, err := l.tokens(ctx, `WITH own AS (SELECT `+tokenColumns+`, ROW_NUMBER() OVER
			(ORDER BY revoked_at <> 0, expires_at <> 0, expires_at DESC, created_at DESC, hash) AS place
			FROM access_tokens WHERE account=$1),
		open AS (SELECT * FROM own WHERE place <= $2 AND revoked_at = 0),
		rest AS (SELECT * FROM own WHERE place > $2 OR revoked_at <> 0 ORDER BY created_at DESC, hash LIMIT $2)
		SELECT `+tokenColumns+` FROM (SELECT * FROM open UNION ALL SELECT * FROM rest) AS listed
		ORDER BY created_at, hash`, account, ledger.MaxTokens)
	if err != nil {
		return nil, fmt.Errorf("postgres: tokens of %s: %w", account, err)
	}
	return out, nil
}

func (l *Ledger) tokens(ctx context.Context, query string, args ...any) ([]ledger.AccessToken, error) {
	var out []ledger.AccessToken
	err := l.list(ctx, func(rows pgx.Rows) error {
		k, err := scanToken(rows)
		out = append(out, *k)
		return err
	}, query, args...)
	return out, err
}

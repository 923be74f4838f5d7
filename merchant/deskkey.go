package merchant

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Errors of desk keys.
var (
	// ErrKeyName: a key's name is [A-Za-z0-9._-], up to 64 bytes, and new.
	ErrKeyName = errors.New("a desk key's name is new, and letters, digits, dots, dashes and underlines, 64 at most")
	// ErrNoKey: there is no desk key of that name.
	ErrNoKey = errors.New("no desk key of that name")
)

// deskKeyPrefix begins every desk key, so that one that is lying about is
// recognised.
const deskKeyPrefix = "specie_desk_"

var deskKeyName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// DeskKey is a key with which a program acts at the till's desk: it may make offers
// and give refunds. The till keeps its SHA-256 only.
type DeskKey struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
}

// NewDeskKey makes a desk key and returns it, for the only time. ErrKeyName.
func (t *Till) NewDeskKey(ctx context.Context, name string) (string, error) {
	if !deskKeyName.MatchString(name) {
		return "", ErrKeyName
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return "", fmt.Errorf("till: desk key: %w", err)
	}
	key := deskKeyPrefix + base64.RawURLEncoding.EncodeToString(secret)
	hash := sha256.Sum256([]byte(key))
	done, err := t.db.ExecContext(ctx, "INSERT INTO desk_keys (name, hash, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
		name, hash[:], t.now().UnixMicro())
	if err != nil {
		return "", fmt.Errorf("till: desk key: %w", err)
	}
	if n, err := done.RowsAffected(); err != nil || n != 1 {
		return "", errors.Join(ErrKeyName, err)
	}
	return key, nil
}

// DeskKeys lists the desk keys by name.
func (t *Till) DeskKeys(ctx context.Context) ([]DeskKey, error) {
	rows, err := t.db.QueryContext(ctx, "SELECT name, created FROM desk_keys ORDER BY name")
	if err != nil {
		return nil, fmt.Errorf("till: desk keys: %w", err)
	}
	defer rows.Close()
	out := []DeskKey{}
	for rows.Next() {
		var k DeskKey
		var at int64
		if err := rows.Scan(&k.Name, &at); err != nil {
			return nil, fmt.Errorf("till: desk keys: %w", err)
		}
		k.Created = time.UnixMicro(at).UTC()
		out = append(out, k)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("till: desk keys: %w", err)
	}
	return out, nil
}

// RevokeDeskKey ends a desk key, at once. ErrNoKey.
func (t *Till) RevokeDeskKey(ctx context.Context, name string) error {
	done, err := t.db.ExecContext(ctx, "DELETE FROM desk_keys WHERE name = ?", name)
	if err != nil {
		return fmt.Errorf("till: desk key: %w", err)
	}
	if n, err := done.RowsAffected(); err != nil || n != 1 {
		return errors.Join(ErrNoKey, err)
	}
	return nil
}

// CheckDeskKey says whether that is a desk key of this till. It is found by its
// hash, so the time that takes tells nothing of another one.
func (t *Till) CheckDeskKey(ctx context.Context, key string) (bool, error) {
	if !strings.HasPrefix(key, deskKeyPrefix) || len(key) > 128 {
		return false, nil
	}
	hash := sha256.Sum256([]byte(key))
	var kept []byte
	err := t.db.QueryRowContext(ctx, "SELECT hash FROM desk_keys WHERE hash = ?", hash[:]).Scan(&kept)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("till: desk key: %w", err)
	}
	return subtle.ConstantTimeCompare(kept, hash[:]) == 1, nil
}

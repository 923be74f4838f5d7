package wallet

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// MaxBackup bounds a backup, in bytes.
const MaxBackup = 4 << 20

// backupType is what a backup says that it is.
const backupType = "specie-backup"

// backupJSON is a backup as it is written. Whoever has it can spend the bearer
// coins; the keys in it serve in their own TPM only.
type backupJSON struct {
	Version int    `json:"v"`
	Type    string `json:"type"`
	Seed    string `json:"seed"` // base64url
	Root    string `json:"root"` // PEM
	Bank    string `json:"bank"`
	// Membership and Former are as in the purse, Keys the files of the keys.
	Membership json.RawMessage `json:"membership,omitempty"`
	Former     json.RawMessage `json:"former,omitempty"`
	Keys       []backupKey     `json:"keys,omitempty"`
}

type backupKey struct {
	File string `json:"file"`
	PEM  string `json:"pem"`
}

// Backup returns all that [CreateFromBackup] and [Wallet.Restore] need to make this
// purse again: the seed, the pinned root, the bank's address, and the memberships
// with the files of their keys, which are of use in their TPM only. Coins are not in
// it: they follow from the seed. It needs to be made anew after an enrolment only.
//
// It is as secret as the purse: the caller keeps it where no one reads it. The
// account's token is not in it.
func (w *Wallet) Backup(ctx context.Context) ([]byte, error) {
	b := backupJSON{
		Version: 1, Type: backupType, Seed: base64.RawURLEncoding.EncodeToString(w.seed[:]),
		Root: string(w.settings.RootPEM), Bank: w.settings.BankURL,
	}
	if _, err := w.purse.get(ctx, metaMembership, &b.Membership); err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	if _, err := w.purse.get(ctx, metaFormer, &b.Former); err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	if w.enrolled != nil {
		raw, err := os.ReadFile(w.KeyPath())
		if err != nil {
			return nil, fmt.Errorf("backup: %w: %w", ErrKeyFile, err)
		}
		b.Keys = []backupKey{{File: w.enrolled.File, PEM: string(raw)}}
	}
	out, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	return append(out, '\n'), nil
}

// backup is one that was read and checked.
type backup struct {
	settings   Settings
	seed       coin.Seed
	membership *membership
	former     []former
	keys       []backupKey
}

// parseBackup reads a backup: ErrBackup.
func parseBackup(data []byte) (*backup, error) {
	if len(data) > MaxBackup {
		return nil, fmt.Errorf("%w: %d bytes", ErrBackup, len(data))
	}
	var j backupJSON
	if err := strictjson.Unmarshal(data, MaxBackup, &j); err != nil {
		return nil, fmt.Errorf("%w: it does not read", ErrBackup) // an error could quote the seed
	}
	if j.Type != backupType || j.Version != 1 {
		return nil, fmt.Errorf("%w: of another kind or version", ErrBackup)
	}
	b := &backup{settings: Settings{RootPEM: []byte(j.Root), BankURL: j.Bank}, keys: j.Keys}
	seed, err := base64.RawURLEncoding.Strict().DecodeString(j.Seed)
	if err != nil || len(seed) != len(b.seed) {
		return nil, fmt.Errorf("%w: the seed is not 32 bytes", ErrBackup)
	}
	copy(b.seed[:], seed)
	if _, err := trust.ParseRoot(b.settings.RootPEM); err != nil {
		return nil, fmt.Errorf("%w: root: %w", ErrBackup, err)
	}
	if err := client.CheckAddress(b.settings.BankURL); err != nil {
		return nil, fmt.Errorf("%w: bank: %w", ErrBackup, err)
	}
	return b, b.readMemberships(&j)
}

func (b *backup) readMemberships(j *backupJSON) error {
	if len(j.Membership) > 0 {
		b.membership = &membership{}
		if err := json.Unmarshal(j.Membership, b.membership); err != nil || b.membership.complete() != nil {
			return fmt.Errorf("%w: the membership does not read", ErrBackup)
		}
	}
	if len(j.Former) > 0 {
		if err := json.Unmarshal(j.Former, &b.former); err != nil {
			return fmt.Errorf("%w: former memberships do not read", ErrBackup)
		}
	}
	for i := range b.former {
		if b.former[i].complete() != nil {
			return fmt.Errorf("%w: a former membership does not read", ErrBackup)
		}
	}
	for _, key := range b.keys {
		block, rest := pem.Decode([]byte(key.PEM))
		ref := keyRef{File: key.File, Name: make([]byte, nameSize)}
		if ref.check() != nil || block == nil || len(bytes.TrimSpace(rest)) != 0 {
			return fmt.Errorf("%w: a key file does not read", ErrBackup)
		}
	}
	return nil
}

// CheckBackup returns [ErrBackup] for what is no backup that a purse can be made of.
func CheckBackup(data []byte) error {
	b, err := parseBackup(data)
	if err != nil {
		return fmt.Errorf("create purse: %w", err)
	}
	clear(b.seed[:])
	return nil
}

// CreateFromBackup makes a new purse of what [Wallet.Backup] wrote. It has no coins
// yet: see [Wallet.Restore]. Errors: [ErrBackup], [ErrExists].
func CreateFromBackup(ctx context.Context, path string, data []byte, l Lock) error {
	b, err := parseBackup(data)
	if err != nil {
		return fmt.Errorf("create purse: %w", err)
	}
	defer clear(b.seed[:])
	return create(ctx, path, b.settings, Making{Lock: l, Seed: &b.seed, Restoring: true}, func(tx *sql.Tx) error {
		// What the purse refers to is there before the purse is.
		if err := b.writeKeys(filepath.Dir(path)); err != nil {
			return err
		}
		if b.membership != nil {
			if err := putMeta(ctx, tx, metaMembership, b.membership); err != nil {
				return err
			}
		}
		if len(b.former) > 0 {
			if err := putMeta(ctx, tx, metaFormer, b.former); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeKeys writes the key files. One that is there already stays.
func (b *backup) writeKeys(dir string) error {
	if len(b.keys) == 0 {
		return nil
	}
	dir = filepath.Join(dir, keysDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("key files: %w", err)
	}
	for _, key := range b.keys {
		f, err := os.OpenFile(filepath.Join(dir, key.File), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("key files: %w", err)
		}
		_, err = f.WriteString(key.PEM)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("key files: %w", err)
		}
	}
	return syncDir(dir)
}

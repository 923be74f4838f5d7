package wallet

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/sqlitefile"
	"github.com/speciecash/specie/trust"
)

// Making is how a new purse is made.
type Making struct {
	// Lock is how it is locked.
	Lock Lock
	// Seed is all its coins' secrets, see [NewSeed]; nil is a fresh one.
	Seed *coin.Seed
	// Written: its words were written down, see [Wallet.WordsDue].
	Written bool
	// Restoring: there may be coins of that seed already, see [Wallet.Restore].
	Restoring bool
}

// NewSeed is a fresh seed; crypto/rand does not fail.
func NewSeed() (seed coin.Seed) {
	_, _ = rand.Read(seed[:])
	return seed
}

// CheckSettings refuses settings that no purse can be made with.
func CheckSettings(s Settings) error {
	if _, err := trust.ParseRoot(s.RootPEM); err != nil {
		return fmt.Errorf("create purse: root: %w", err)
	}
	if err := client.CheckAddress(s.BankURL); err != nil {
		return fmt.Errorf("create purse: bank: %w", err)
	}
	return nil
}

// Create makes a new purse file and its lock: both whole, or no purse. It returns
// [ErrExists] if there is one, client.ErrAddress for a bank that can't be asked
// safely, and the errors of the lock, such as [ErrPassphraseForm].
func Create(ctx context.Context, path string, s Settings, m Making) error {
	return create(ctx, path, s, m, func(*sql.Tx) error { return nil })
}

// create makes a purse and puts more into it. It is made aside; its name is the
// last thing that it gets, after its lock.
func create(ctx context.Context, path string, s Settings, m Making, more func(tx *sql.Tx) error) error {
	if err := CheckSettings(s); err != nil {
		return err
	}
	if _, err := isSealed(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("create purse: %w", ErrExists), err)
	}
	seed := NewSeed()
	if m.Seed != nil {
		seed = *m.Seed
	}
	key := make([]byte, sqlitefile.KeySize)
	_, _ = rand.Read(key)
	defer clear(key)
	defer clear(seed[:])
	text, err := newLock(ctx, m.Lock, key, &seed)
	if err != nil {
		return fmt.Errorf("create purse: %w", err)
	}
	defer clear(text)
	aside, err := os.MkdirTemp(filepath.Dir(path), ".purse-*")
	if err != nil {
		return fmt.Errorf("create purse: %w", sqlitefile.Meaning(err))
	}
	defer func() { _ = os.RemoveAll(aside) }()
	part := filepath.Join(aside, filepath.Base(path))
	if err := fill(ctx, part, key, s, seed, m, more); err != nil {
		return fmt.Errorf("create purse: %w", err)
	}
	if err := place(part, path, text); err != nil {
		return fmt.Errorf("create purse: %w", err)
	}
	return nil
}

// fill makes the purse file.
func fill(ctx context.Context, path string, key []byte, s Settings, seed coin.Seed, m Making, more func(tx *sql.Tx) error) error {
	p, err := openPurse(ctx, path, key)
	if err != nil {
		return err
	}
	return errors.Join(p.update(ctx, func(tx *sql.Tx) error {
		if err := errors.Join(putMeta(ctx, tx, metaSettings, s), putMeta(ctx, tx, metaSeed, seed[:])); err != nil {
			return err
		}
		if !m.Written {
			if err := putMeta(ctx, tx, metaWordsDue, true); err != nil {
				return err
			}
		}
		if m.Restoring {
			if err := putMeta(ctx, tx, metaRestoring, map[coin.KeyID]uint64{}); err != nil {
				return err
			}
		}
		return more(tx)
	}), p.close())
}

// place gives a new purse its lock and its name. A lock without a purse is what a
// crash left here, or of a purse that somebody moved: it is set aside.
func place(part, path string, lock []byte) error {
	to := lockPath(path)
	if err := setAside(to); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return ErrExists // another program makes one, too
	}
	if err != nil {
		return sqlitefile.Meaning(err)
	}
	_, err = f.Write(lock)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(sqlitefile.Meaning(err), os.Remove(to))
	}
	return errors.Join(os.Rename(part, path), syncDir(filepath.Dir(path)))
}

// setAside gives a file that may be there a name that no other has: a lock is the
// only way into its purse for who has not its words.
func setAside(path string) error {
	for n := 1; ; n++ {
		to := fmt.Sprintf("%s.%d", path, n)
		if _, err := os.Lstat(to); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Rename(path, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
}

package wallet

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/sqlitefile"
	"github.com/speciecash/specie/tpm"
)

// LockState is how a purse is locked, as its files have it.
type LockState struct {
	// Kind is empty for a purse that is not encrypted yet, see [Seal].
	Kind LockKind `json:"lock"`
	// PIN says that a LockTPM has one.
	PIN bool `json:"pin"`
}

// LockOf says how a purse is locked, without opening it. Errors: [ErrNoPurse],
// [ErrNoLock], [ErrLock].
func LockOf(path string) (LockState, error) {
	l, err := readLock(path)
	if errors.Is(err, ErrUnsealed) {
		return LockState{}, nil
	}
	if err != nil {
		return LockState{}, err
	}
	return LockState{Kind: l.Stanzas[0].Kind, PIN: l.Stanzas[0].PIN}, nil
}

// Relock locks a purse otherwise: its key stays, and so do its words. The new lock
// is tried before it takes the place of the old one; in a crash there is the one or
// the other. A copy of the old lock file opens the purse as before. Errors: those
// of [Open], and of the new lock.
func Relock(ctx context.Context, path string, u Unlock, to func(context.Context) (Lock, error)) error {
	old, err := readLock(path)
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	key, err := u.key(ctx, old)
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	defer clear(key)
	l, err := to(ctx)
	if err != nil {
		return err
	}
	text, err := lockText(ctx, l, key, old.Stanzas[1])
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	defer clear(text)
	if err := replaceFile(lockPath(path), text); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return nil
}

// lockText is the text of a lock file, which was tried.
func lockText(ctx context.Context, l Lock, key []byte, words stanza) ([]byte, error) {
	first, err := l.stanza(ctx, key)
	if err != nil {
		return nil, err
	}
	file := lockFile{Version: 1, Type: lockType, Stanzas: []stanza{first, words}}
	if file.Check, err = checkOf(key); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return nil, err
	}
	read, err := parseLock(text)
	if err != nil {
		return nil, err
	}
	tried, err := l.unlock().key(ctx, read)
	if err != nil {
		return nil, fmt.Errorf("the new lock was tried: %w", err)
	}
	defer clear(tried)
	if subtle.ConstantTimeCompare(tried, key) != 1 {
		return nil, fmt.Errorf("the new lock was tried: %w", ErrLock)
	}
	return append(text, '\n'), nil
}

// unlock is what opens a lock that is about to be made.
func (l *Lock) unlock() *Unlock {
	return &Unlock{
		TPM:        l.TPM,
		Passphrase: func(context.Context) ([]byte, error) { return append([]byte{}, l.Passphrase...), nil },
		PIN:        func(context.Context) (tpm.Auth, error) { return append(tpm.Auth{}, l.PIN...), nil },
	}
}

// replaceFile writes a file that its user alone can read in the place of one that
// may be there: the one or the other is there in a crash.
func replaceFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".purse-*") // mode 0600
	if err != nil {
		return sqlitefile.Meaning(err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return sqlitefile.Meaning(err)
	}
	return errors.Join(os.Rename(f.Name(), path), syncDir(filepath.Dir(path)))
}

// Seal encrypts a purse of before there were locks ([ErrUnsealed]), and locks it.
// Nothing is lost in a crash: until its very end the purse is as it was. What lay
// on the disk unencrypted may be found there for a while, as what was deleted.
func Seal(ctx context.Context, path string, l Lock) error {
	if sealed, err := isSealed(path); err != nil || sealed {
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrNoPurse
		}
		return errors.Join(fmt.Errorf("lock: %w", ErrExists), err)
	}
	key := make([]byte, sqlitefile.KeySize)
	_, _ = rand.Read(key)
	defer clear(key)
	err := sqlitefile.Seal(ctx, path, key, migrations, func(sealed string) error {
		seed, err := dueWords(ctx, sealed, key)
		if err != nil {
			return err
		}
		defer clear(seed[:])
		words, err := wordsStanza(key, &seed)
		if err != nil {
			return err
		}
		text, err := lockText(ctx, l, key, words)
		if err != nil {
			return err
		}
		defer clear(text)
		// A purse that is not encrypted has no use for a lock: this one can lie
		// there when the crash comes before its purse does. One that is there
		// already is of a purse that lay here before.
		if err := setAside(lockPath(path)); err != nil {
			return err
		}
		if err := replaceFile(lockPath(path), text); err != nil {
			return err
		}
		return errors.Join(os.Rename(sealed, path), syncDir(filepath.Dir(path)))
	})
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return nil
}

// dueWords reads the seed of a purse, and notes that nobody has its words: there
// were none when it was made.
func dueWords(ctx context.Context, path string, key []byte) (seed coin.Seed, err error) {
	p, err := openPurse(ctx, path, key)
	if err != nil {
		return seed, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	var raw []byte
	found, err := p.get(ctx, metaSeed, &raw)
	if err != nil {
		return seed, err
	}
	if !found || len(raw) != len(seed) {
		return seed, fmt.Errorf("%w: seed of %d bytes", sqlitefile.ErrDamaged, len(raw))
	}
	copy(seed[:], raw)
	clear(raw)
	return seed, p.put(ctx, metaWordsDue, true)
}

// Adopt makes a purse at to of the files of another one, which was another
// machine's: purse, lock and keys, opened by its words, and locked anew. Those that
// it is made of stay as they are: whoever uses both is one owner with two copies.
// Errors: those of [Open] and [Create].
func Adopt(ctx context.Context, from, to string, seed coin.Seed, l Lock) error {
	if _, err := isSealed(to); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("adopt purse: %w", ErrExists), err)
	}
	old, err := readLock(from)
	if err != nil {
		return fmt.Errorf("adopt purse: %w", err)
	}
	key, err := (&Unlock{Seed: &seed}).key(ctx, old)
	if err != nil {
		return fmt.Errorf("adopt purse: %w", err)
	}
	defer clear(key)
	aside, err := os.MkdirTemp(filepath.Dir(to), ".purse-*")
	if err != nil {
		return fmt.Errorf("adopt purse: %w", sqlitefile.Meaning(err))
	}
	defer func() { _ = os.RemoveAll(aside) }()
	part := filepath.Join(aside, filepath.Base(to))
	if err := adopt(ctx, from, part, filepath.Dir(to), key); err != nil {
		return fmt.Errorf("adopt purse: %w", err)
	}
	text, err := lockText(ctx, l, key, old.Stanzas[1])
	if err != nil {
		return fmt.Errorf("adopt purse: %w", err)
	}
	defer clear(text)
	if err := place(part, to, text); err != nil {
		return fmt.Errorf("adopt purse: %w", err)
	}
	return nil
}

// adopt copies a purse, with what has not been folded into it, and its keys' files.
func adopt(ctx context.Context, from, part, dir string, key []byte) error {
	for _, suffix := range []string{"", "-wal"} {
		err := copyFile(from+suffix, part+suffix)
		if err != nil && (suffix == "" || !errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	p, err := openPurse(ctx, part, key)
	if err != nil {
		return err
	}
	if err := p.close(); err != nil {
		return err
	}
	keys, err := filepath.Glob(filepath.Join(filepath.Dir(from), keysDir, "*.pem"))
	if err != nil || len(keys) == 0 {
		return err
	}
	dir = filepath.Join(dir, keysDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, k := range keys {
		if err := copyFile(k, filepath.Join(dir, filepath.Base(k))); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return syncDir(dir)
}

// copyFile makes a copy that its user alone can read, on the disk for good.
func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return sqlitefile.Meaning(errors.Join(err, f.Sync(), f.Close()))
}

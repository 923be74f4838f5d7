package wallet

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/sqlitefile"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/trust/strictjson"
)

// LockKind is what the key of a purse is kept under, in the lock file.
type LockKind string

// The kinds of lock. Each purse has one, and its words besides.
const (
	// LockTPM: a secret in the TPM, which may ask for a PIN.
	LockTPM LockKind = "tpm"
	// LockPassphrase: a passphrase, through scrypt.
	LockPassphrase LockKind = "passphrase"
	// LockPlain: nothing. The key lies beside the purse.
	LockPlain LockKind = "plain"
	// lockWords is the other stanza of each lock file.
	lockWords LockKind = "words"
)

// Lock is how a purse is to be locked. The passphrase and the PIN are the
// caller's, who overwrites them.
type Lock struct {
	Kind LockKind
	// Passphrase is that of a LockPassphrase, see CheckPassphrase.
	Passphrase []byte
	// TPM is the address of a LockTPM, see [TPM], and PIN its PIN, see CheckPIN;
	// empty is none.
	TPM string
	PIN tpm.Auth
}

// Unlock says who opens a purse: what its lock does not need is not asked for. The
// zero value opens a purse with a LockPlain.
type Unlock struct {
	// Passphrase is asked for the passphrase of a LockPassphrase; the wallet
	// overwrites it.
	Passphrase func(ctx context.Context) ([]byte, error)
	// TPM is where a LockTPM is looked for, and PIN is asked for its PIN.
	TPM string
	PIN AskPIN
	// Seed opens the purse in place of all that, if it is not nil: it is what the
	// words say.
	Seed *coin.Seed
}

// The length of a passphrase in bytes.
const (
	MinPassphrase = 8
	MaxPassphrase = 1 << 10
)

// CheckPassphrase returns [ErrPassphraseForm] for what can't be a new passphrase.
func CheckPassphrase(p []byte) error {
	if len(p) < MinPassphrase || len(p) > MaxPassphrase {
		return fmt.Errorf("%w: this one has %d", ErrPassphraseForm, len(p))
	}
	return nil
}

// maxLock bounds a lock file, in bytes.
const maxLock = 16 << 10

// lockType is what a lock file says that it is.
const lockType = "specie-purse-lock"

// lockFile is a lock file as it is written. Check is derived from the key; by it
// the key is known to be the right one before the purse is touched.
type lockFile struct {
	Version int      `json:"v"`
	Type    string   `json:"type"`
	Check   blob     `json:"check"`
	Stanzas []stanza `json:"stanzas"`
}

// stanza is one way to the key: which of its members there are, its kind says.
type stanza struct {
	Kind LockKind `json:"kind"`
	// Wrapped is the key, encrypted under what the kind yields.
	Wrapped blob `json:"wrapped,omitempty"`
	// Salt and LogN are those of scrypt.
	Salt blob `json:"salt,omitempty"`
	LogN int  `json:"log_n,omitempty"`
	// Public and Private are what the TPM has sealed; PIN says that it has one.
	Public  blob `json:"public,omitempty"`
	Private blob `json:"private,omitempty"`
	PIN     bool `json:"pin,omitempty"`
	// Key is the key as it is.
	Key blob `json:"key,omitempty"`
}

// blob is bytes in base64url.
type blob []byte

// MarshalText implements encoding.TextMarshaler.
func (b blob) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *blob) UnmarshalText(text []byte) (err error) {
	*b, err = base64.RawURLEncoding.Strict().AppendDecode(nil, text)
	return err
}

// parseLock reads a lock file: ErrLock.
func parseLock(data []byte) (*lockFile, error) {
	var l lockFile
	if err := strictjson.Unmarshal(data, maxLock, &l); err != nil {
		return nil, fmt.Errorf("%w: it does not read", ErrLock) // an error could quote the key
	}
	if l.Type != lockType || l.Version != 1 || len(l.Check) != checkSize {
		return nil, fmt.Errorf("%w: of another kind or version", ErrLock)
	}
	if len(l.Stanzas) != 2 || l.Stanzas[1].Kind != lockWords {
		return nil, fmt.Errorf("%w: a lock and the words are wanted", ErrLock)
	}
	for _, s := range l.Stanzas {
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrLock, err)
		}
	}
	return &l, nil
}

func (s *stanza) check() error {
	bad := len(s.Wrapped) != wrappedSize
	switch s.Kind {
	case LockTPM:
		bad = bad || len(s.Public) == 0 || len(s.Private) == 0 || s.bare(true, false)
	case LockPassphrase:
		bad = bad || len(s.Salt) != saltSize || s.LogN < minLogN || s.LogN > maxLogN || s.bare(false, true)
	case LockPlain:
		bad = len(s.Wrapped) != 0 || len(s.Key) != sqlitefile.KeySize || len(s.Salt) != 0 || s.LogN != 0 || len(s.Public)+len(s.Private) != 0 || s.PIN
	case lockWords:
		bad = bad || s.bare(false, false)
	default:
		return fmt.Errorf("a lock of kind %q", string(s.Kind))
	}
	if bad {
		return fmt.Errorf("its %q", string(s.Kind))
	}
	return nil
}

// bare says that a stanza has members which its kind does not have.
func (s *stanza) bare(inTPM, scrypt bool) bool {
	return len(s.Key) != 0 || !inTPM && (len(s.Public)+len(s.Private) != 0 || s.PIN) || !scrypt && (len(s.Salt) != 0 || s.LogN != 0)
}

// The sizes of what is in a lock file.
const (
	checkSize   = 16
	saltSize    = 16
	wrappedSize = chacha20poly1305.NonceSizeX + sqlitefile.KeySize + chacha20poly1305.Overhead
)

// derive is HKDF-SHA256; it can't fail for such sizes.
func derive(secret []byte, info string, size int) ([]byte, error) {
	return hkdf.Key(sha256.New, secret, nil, info, size)
}

// checkOf is by what a lock file knows its key.
func checkOf(key []byte) ([]byte, error) { return derive(key, "specie/purse-lock/check/1", checkSize) }

// wordsSecret is what the seed contributes to the lock file.
func wordsSecret(seed *coin.Seed) ([]byte, error) {
	return derive(seed[:], "specie/purse-lock/words/1", sqlitefile.KeySize)
}

// wrap encrypts the key, XChaCha20-Poly1305 under a random nonce, for one kind of
// stanza only.
func wrap(kind LockKind, secret, key []byte) (blob, error) {
	aead, err := chacha20poly1305.NewX(secret)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX, wrappedSize)
	_, _ = rand.Read(nonce)
	return aead.Seal(nonce, nonce, key, []byte(lockType+"/1/"+string(kind))), nil
}

func (s *stanza) unwrap(secret []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(secret)
	if err != nil {
		return nil, err
	}
	nonce, sealed := s.Wrapped[:chacha20poly1305.NonceSizeX], s.Wrapped[chacha20poly1305.NonceSizeX:]
	return aead.Open(nil, nonce, sealed, []byte(lockType+"/1/"+string(s.Kind)))
}

// lockPath is where the lock file of a purse lies: beside it.
func lockPath(purse string) string { return strings.TrimSuffix(purse, filepath.Ext(purse)) + ".lock" }

// newLock makes a lock file's text, see lockText.
func newLock(ctx context.Context, l Lock, key []byte, seed *coin.Seed) ([]byte, error) {
	words, err := wordsStanza(key, seed)
	if err != nil {
		return nil, err
	}
	return lockText(ctx, l, key, words)
}

// wordsStanza locks the key by the seed.
func wordsStanza(key []byte, seed *coin.Seed) (stanza, error) {
	secret, err := wordsSecret(seed)
	if err != nil {
		return stanza{}, err
	}
	defer clear(secret)
	wrapped, err := wrap(lockWords, secret, key)
	return stanza{Kind: lockWords, Wrapped: wrapped}, err
}

// stanza locks the key.
func (l *Lock) stanza(ctx context.Context, key []byte) (s stanza, err error) {
	s.Kind = l.Kind
	var secret []byte
	switch l.Kind {
	case LockPlain:
		s.Key = bytes.Clone(key)
		return s, nil
	case LockPassphrase:
		if err := CheckPassphrase(l.Passphrase); err != nil {
			return s, err
		}
		s.Salt, s.LogN = make([]byte, saltSize), newLogN
		_, _ = rand.Read(s.Salt)
		secret, err = s.stretch(l.Passphrase)
	case LockTPM:
		secret, err = s.seal(ctx, l)
	default:
		return s, fmt.Errorf("%w: %q", ErrLock, string(l.Kind))
	}
	if err != nil {
		return s, err
	}
	defer clear(secret)
	s.Wrapped, err = wrap(l.Kind, secret, key)
	return s, err
}

// readLock reads the lock file of a purse. ErrNoPurse if there is neither,
// ErrUnsealed if the purse is one of before there were locks, ErrNoLock if the
// lock alone is missing.
func readLock(purse string) (*lockFile, error) {
	sealed, err := isSealed(purse)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoPurse
	}
	if err != nil {
		return nil, err
	}
	if !sealed {
		return nil, fmt.Errorf("%s: %w", purse, ErrUnsealed)
	}
	path := lockPath(purse)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no %s", ErrNoLock, path)
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxLock {
		return nil, fmt.Errorf("%s: %w", path, ErrLock)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	l, err := parseLock(text)
	clear(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

// plainHeader is how a database begins that is not encrypted.
const plainHeader = "SQLite format 3\x00"

// isSealed says whether a purse is not one of before there were locks. A file
// that is there and empty is none.
func isSealed(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, len(plainHeader))
	n, err := io.ReadFull(f, head)
	if n == 0 && errors.Is(err, io.EOF) {
		return false, fs.ErrNotExist
	}
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	return string(head) != plainHeader, nil
}

// key opens the lock: the purse's key, which the caller overwrites.
func (u *Unlock) key(ctx context.Context, l *lockFile) (key []byte, err error) {
	s := &l.Stanzas[0]
	switch {
	case u.Seed != nil:
		key, err = openWords(&l.Stanzas[1], u.Seed)
	case s.Kind == LockPlain:
		key = bytes.Clone(s.Key)
	case s.Kind == LockPassphrase:
		key, err = u.openPassphrase(ctx, s)
	case s.Kind == LockTPM:
		key, err = u.openTPM(ctx, s)
	}
	if err != nil {
		return nil, err
	}
	check, err := checkOf(key)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(check, l.Check) != 1 {
		clear(key)
		return nil, fmt.Errorf("%w: its key is not the one that it was made for", ErrLock)
	}
	return key, nil
}

func openWords(s *stanza, seed *coin.Seed) ([]byte, error) {
	secret, err := wordsSecret(seed)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	key, err := s.unwrap(secret)
	if err != nil {
		return nil, ErrOtherWords
	}
	return key, nil
}

func (u *Unlock) openPassphrase(ctx context.Context, s *stanza) ([]byte, error) {
	if u.Passphrase == nil {
		return nil, ErrPassphraseNeeded
	}
	p, err := u.Passphrase(ctx)
	if err != nil {
		return nil, err
	}
	secret, err := s.stretch(p)
	clear(p)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	key, err := s.unwrap(secret)
	if err != nil {
		return nil, ErrPassphrase
	}
	return key, nil
}

package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/speciecash/specie/frame"
)

// Keysets are two keysets of one bank, both signed by its master key, that can't
// both be true: the later served one is older, has the same number and other
// content, or takes back what the earlier one promised.
type Keysets struct {
	// Seen is the one that was believed, Served the one that was refused: JWS.
	Seen   string `json:"seen"`
	Served string `json:"served"`
	// SeenAt and ServedAt are when each was fetched, by this machine's clock.
	SeenAt   time.Time `json:"seen_at"`
	ServedAt time.Time `json:"served_at"`
	// Why says how they contradict each other.
	Why string `json:"why"`
}

// KeysetsError: a bank's keyset contradicts the one that it served before. It
// matches what the successor's check found.
type KeysetsError struct {
	Err error
	// File is where both are kept.
	File string
}

// Error says what was found, and where both are.
func (e *KeysetsError) Error() string {
	return fmt.Sprintf("the bank's keyset contradicts the one that it served before: %v; both are kept in %s", e.Err, e.File)
}

// Unwrap returns what the successor's check found.
func (e *KeysetsError) Unwrap() error { return e.Err }

// Keep writes both keysets into a file of dir, once, readable by its owner, and
// returns a [*KeysetsError] about it: the refused keyset is nowhere else, and
// whoever served it may not serve it again. If the file can't be written, that is
// joined to why.
func (k Keysets) Keep(dir string, why error) error {
	k.Why = why.Error()
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return errors.Join(why, err)
	}
	// Named by what it holds: found again on every attempt, it is written once.
	name := sha256.Sum256(frame.Join([]byte("specie/keysets/1"), []byte(k.Seen), []byte(k.Served)))
	path := filepath.Join(dir, "keysets-"+hex.EncodeToString(name[:6])+".json")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return &KeysetsError{why, path}
	}
	if err != nil {
		return errors.Join(why, err)
	}
	_, err = f.Write(append(b, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(why, err)
	}
	return &KeysetsError{why, path}
}

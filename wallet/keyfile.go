package wallet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/sqlitefile"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/trust"
)

// keysDir is where key files lie, beside the purse.
const keysDir = "keys"

// keyRef is what the purse knows of a key: the name of its file, and the TPM's
// Name of the key, by which another key under the same file name is noticed.
type keyRef struct {
	File string `json:"key_file"`
	Name []byte `json:"key_name"`
}

// nameSize is the length of a Name: the number of SHA-256, 2 bytes, and a digest.
const nameSize = 2 + 32

// check refuses what this program did not write: a file name is joined to a path.
func (r keyRef) check() error {
	if len(r.Name) != nameSize || r.File == "" || r.File != filepath.Base(r.File) || !strings.HasSuffix(r.File, ".pem") {
		return fmt.Errorf("%w: key of the membership", sqlitefile.ErrDamaged)
	}
	return nil
}

// keyName is the Name of a key whose name algorithm is SHA-256, as that of every
// group key is (TPM 2.0 Part 1, §14).
func keyName(public []byte) []byte {
	digest := sha256.Sum256(public)
	return append([]byte{0x00, 0x0b}, digest[:]...) // TPM_ALG_SHA256
}

// syncDir makes a new name in a directory last. Windows has no such thing.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// newKeyRef names the file of a group's key: the group, and the beginning of the
// digest in the Name, in hexadecimal.
func newKeyRef(group string, name []byte) keyRef {
	return keyRef{File: group + "-" + hex.EncodeToString(name[2:6]) + ".pem", Name: name}
}

// KeyPath is the path of the file of the member's key, empty before enrolment.
func (w *Wallet) KeyPath() string {
	if w.enrolled == nil {
		return ""
	}
	return w.keyPath(w.enrolled.keyRef)
}

func (w *Wallet) keyPath(r keyRef) string { return filepath.Join(w.dir, keysDir, r.File) }

// readKey reads the file of a key. ErrKeyFile names it if it is missing, or has
// another key in it.
func (w *Wallet) readKey(r keyRef) (*tpm.KeyFile, error) {
	path := w.keyPath(r)
	file, err := tpm.ReadKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no %s", ErrKeyFile, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	if !bytes.Equal(keyName(file.Public), r.Name) {
		return nil, fmt.Errorf("%w: %s holds another key", ErrKeyFile, path)
	}
	return file, nil
}

// writeKey puts a new key into a file of its own, on the disk for good.
func (w *Wallet) writeKey(group string, file *tpm.KeyFile) (keyRef, error) {
	if err := trust.CheckID(group); err != nil {
		return keyRef{}, err
	}
	r := newKeyRef(group, keyName(file.Public))
	path := w.keyPath(r)
	err := os.Mkdir(filepath.Dir(path), 0o700)
	if err == nil {
		err = syncDir(w.dir)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return keyRef{}, fmt.Errorf("key files: %w", err)
	}
	return r, tpm.WriteKeyFile(path, file)
}

// makeKey makes a group key in the TPM, puts it into a file, and loads it.
func (w *Wallet) makeKey(ctx context.Context, dev *tpm.Device, doc *groupdoc.Document, ask AskPIN) (ref keyRef, key *tpm.GroupKey, err error) {
	var pin tpm.Auth
	if ask != nil {
		if err := dev.CheckLockout(ctx); err != nil {
			return ref, nil, err
		}
		if pin, err = ask(ctx); err != nil {
			return ref, nil, err
		}
	}
	if err := CheckPIN(pin); err != nil {
		return ref, nil, err
	}
	blob, err := dev.CreateGroupKey(ctx, doc.Template, pin)
	if err != nil {
		return ref, nil, err
	}
	ref, err = w.writeKey(doc.ID, &tpm.KeyFile{Blob: blob, NeedsAuth: len(pin) > 0, Description: keyWords(doc.ID)})
	if err != nil {
		return ref, nil, err
	}
	key, err = dev.LoadGroupKey(ctx, blob, pin, tpm.WithPlatform(doc.Platform))
	return ref, key, err
}

// keyWords is what a key file says of itself.
func keyWords(group string) string { return "Specie, key of a member of " + group }

// moveKey takes a key out of the purse, where it was kept by earlier versions of
// this program, and puts it into a file. Begun again after a crash, it finds the
// file.
func (w *Wallet) moveKey(group string, blob tpm.Blob) (keyRef, error) {
	r, err := w.writeKey(group, &tpm.KeyFile{Blob: blob, Description: keyWords(group)})
	if !errors.Is(err, fs.ErrExist) {
		return r, err
	}
	there, err := w.readKey(r)
	if err != nil {
		return r, err
	}
	if !bytes.Equal(there.Private, blob.Private) {
		return r, fmt.Errorf("%w: %s is there already, and is another", ErrKeyFile, w.keyPath(r))
	}
	return r, nil
}

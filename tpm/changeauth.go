package tpm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-tpm/tpm2"
)

// ChangeAuth makes the same key anew under another authorisation value
// (TPM2_ObjectChangeAuth, TPM 2.0 Part 3, §12.8) and returns it as it is to be
// kept. This GroupKey and the blob that it was loaded from stay as they are:
// whoever has kept the old blob can use it with the old value for ever. It does
// not need a platform that is approved.
//
// Errors: ErrInput, ErrAuth for the present value, ErrLockout.
func (g *GroupKey) ChangeAuth(ctx context.Context, auth Auth) (Blob, error) {
	if err := auth.check(); err != nil {
		return Blob{}, fmt.Errorf("change authorisation value: %w", err)
	}
	blob := Blob{Public: g.Public()}
	err := g.with(ctx, "change authorisation value", func(s *sequence, key tpm2.AuthHandle) error {
		srk, err := s.primaryKey(g.parent)
		if err != nil {
			return err
		}
		defer s.flush(srk.Handle)
		rsp, err := tpm2.ObjectChangeAuth{
			ObjectHandle: key,
			ParentHandle: tpm2.NamedHandle{Handle: srk.Handle, Name: srk.Name},
			NewAuth:      tpm2.TPM2BAuth{Buffer: auth},
		}.Execute(s)
		if err != nil {
			return err
		}
		blob.Private = rsp.OutPrivate.Buffer
		return nil
	})
	if err != nil {
		return Blob{}, err
	}
	return blob, nil
}

// ReplaceKeyFile puts a key into the place of the one in a file, such as the
// same key under another authorisation value, and returns when that is on the
// disk for good: in a crash the file holds the one or the other.
func ReplaceKeyFile(path string, k *KeyFile) error {
	text, err := k.Marshal()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".specie-key-*") // mode 0600
	if err != nil {
		return fmt.Errorf("replace key file: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("replace key file: %w", err)
	}
	if err := errors.Join(os.Rename(f.Name(), path), syncDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("replace key file: %w", err)
	}
	return nil
}

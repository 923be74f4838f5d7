package tpm_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/speciecash/specie/tpm"
)

func TestAPINIsChangedAndTheKeyStaysTheSame(t *testing.T) {
	onEach(t, func(t *testing.T, d *tpm.Device, _ transport.TPM) {
		_, key := newKey(t, d, tpm.Auth("old PIN"))
		blob, err := key.ChangeAuth(t.Context(), tpm.Auth("new PIN"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(blob.Public, key.Public()) {
			t.Fatal("it is another key")
		}
		for pin, good := range map[string]bool{"new PIN": true, "old PIN": false} {
			changed, err := d.LoadGroupKey(t.Context(), blob, tpm.Auth(pin))
			if err != nil {
				t.Fatal(err)
			}
			if err := use(t, changed); good && err != nil || !good && !errors.Is(err, tpm.ErrAuth) {
				t.Errorf("with the %s: %v", pin, err)
			}
			if err := changed.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := use(t, key); err != nil {
			t.Errorf("the key as it was loaded before: %v", err)
		}
	})
}

// use makes a commitment, as everything does that needs the PIN.
func use(t *testing.T, key *tpm.GroupKey) error {
	t.Helper()
	_, s2, y2 := base(t, "coin")
	_, _, _, _, err := key.Commit(t.Context(), nil, s2, y2)
	return err
}

func TestNoPINThatATPMWouldNotTakeIsSet(t *testing.T) {
	onEach(t, func(t *testing.T, d *tpm.Device, _ transport.TPM) {
		_, key := newKey(t, d, nil)
		for _, pin := range []tpm.Auth{bytes.Repeat([]byte{1}, 33), {1, 0}} {
			if _, err := key.ChangeAuth(t.Context(), pin); !errors.Is(err, tpm.ErrInput) {
				t.Errorf("got %v, want ErrInput", err)
			}
		}
	})
}

func TestAWrongPINChangesNothing(t *testing.T) {
	d := open(t, emulator(t, "one").TCTI())
	blob, _ := newKey(t, d, tpm.Auth("old PIN"))
	wrong, err := d.LoadGroupKey(t.Context(), blob, tpm.Auth("guess"))
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	if _, err := wrong.ChangeAuth(t.Context(), nil); !errors.Is(err, tpm.ErrAuth) {
		t.Fatalf("got %v, want ErrAuth", err)
	}
}

func TestAKeyFileIsReplacedWhole(t *testing.T) {
	d := open(t, emulator(t, "one").TCTI())
	blob, key := newKey(t, d, nil)
	dir := t.TempDir()
	path := filepath.Join(dir, "key.pem")
	if err := tpm.WriteKeyFile(path, &tpm.KeyFile{Blob: blob}); err != nil {
		t.Fatal(err)
	}
	next, err := key.ChangeAuth(t.Context(), tpm.Auth("1234"))
	if err != nil {
		t.Fatal(err)
	}
	if err := tpm.ReplaceKeyFile(path, &tpm.KeyFile{Blob: next, NeedsAuth: true}); err != nil {
		t.Fatal(err)
	}
	got, err := tpm.ReadKeyFile(path)
	if err != nil || !got.NeedsAuth || !bytes.Equal(got.Private, next.Private) {
		t.Fatalf("read %+v, %v", got, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Fatalf("in the directory: %v, %v", left, err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", fi.Mode(), err)
	}
	if err := tpm.ReplaceKeyFile(path, &tpm.KeyFile{}); !errors.Is(err, tpm.ErrKeyFile) {
		t.Fatalf("got %v, want ErrKeyFile", err)
	}
}

package hsm_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/speciecash/specie/hsm"
)

// pinFile writes the secret to a file of that mode.
func pinFile(t *testing.T, dir, name string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadPINSource(t *testing.T) {
	dir, credentials := t.TempDir(), t.TempDir()
	pinFile(t, dir, "pin", 0o600)
	pinFile(t, dir, "group", 0o440)
	for name, mode := range map[string]os.FileMode{"own": 0o400, "listed": 0o440, "kept": 0o600, "written": 0o640, "all": 0o444, "run": 0o500} {
		pinFile(t, credentials, name, mode)
	}
	cases := []struct {
		name, source, credentials string
		want                      error
	}{
		{"a relative file", "file:pin", "", nil},
		{"a relative file up and down the tree", "file:../" + filepath.Base(dir) + "/pin", "", nil},
		{"an absolute file", "file:" + dir + "/pin", "", nil},
		{"a file URI", "file://" + dir + "/pin", "", nil},
		{"a file that is not there", "file:none", "", os.ErrNotExist},
		{"a file that the group reads", "file:group", "", hsm.ErrInput},
		{"a file on another host", "file://host/pin", "", hsm.ErrURI},
		{"a scheme of its own", "env:PIN", "", hsm.ErrURI},
		{"a credential of this user", "credential:own", credentials, nil},
		{"a credential with an access list", "credential:listed", credentials, nil},
		{"a credential that its owner may write", "credential:kept", credentials, nil},
		{"a credential that the group reads and its owner writes", "credential:written", credentials, hsm.ErrInput},
		{"a credential that all may read", "credential:all", credentials, hsm.ErrInput},
		{"a credential that runs", "credential:run", credentials, hsm.ErrInput},
		{"a credential that is not there", "credential:none", credentials, os.ErrNotExist},
		{"a credential outside of its directory", "credential:../" + filepath.Base(dir) + "/pin", credentials, hsm.ErrURI},
		{"a credential without systemd", "credential:own", "", hsm.ErrInput},
		{"a credential in a relative directory", "credential:own", "credentials", hsm.ErrInput},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("CREDENTIALS_DIRECTORY", c.credentials)
			u := &hsm.URI{Token: "a", PINSource: c.source}
			pin, err := u.ReadPIN(dir, func(string) (hsm.PIN, error) { t.Error("asked"); return hsm.PIN{}, nil })
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil && string(pin.Reveal()) != secret {
				t.Fatal("another PIN came back")
			}
		})
	}
}

func TestReadPINAsksWhereTheURISaysNothing(t *testing.T) {
	u := &hsm.URI{Token: "bank"}
	var asked string
	pin, err := u.ReadPIN("", func(prompt string) (hsm.PIN, error) { asked = prompt; return pinOf(t, secret), nil })
	if err != nil || string(pin.Reveal()) != secret {
		t.Fatalf("got %v, %v", pin, err)
	}
	if !strings.Contains(asked, `"bank"`) {
		t.Errorf("%q does not name the token", asked)
	}
	refused := errors.New("no terminal")
	if _, err := u.ReadPIN("", func(string) (hsm.PIN, error) { return hsm.PIN{}, refused }); !errors.Is(err, refused) {
		t.Errorf("got %v, want what ask said", err)
	}
	if _, err := u.ReadPIN("", nil); !errors.Is(err, hsm.ErrInput) {
		t.Errorf("nobody to ask: got %v, want ErrInput", err)
	}
}

func TestAPINFileOfAnotherUserIsRefused(t *testing.T) {
	path := pinFile(t, t.TempDir(), "pin", 0o600)
	if _, err := hsm.ReadPINAs(path, os.Geteuid()); err != nil {
		t.Fatal(err)
	}
	if _, err := hsm.ReadPINAs(path, os.Geteuid()+1); !errors.Is(err, hsm.ErrInput) || !strings.Contains(err.Error(), "another user") {
		t.Fatalf("got %v, want ErrInput about the owner", err)
	}
}

// A pipe would wait for somebody to write.
func TestAPipeIsNoPINFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := hsm.ReadPIN(path); !errors.Is(err, hsm.ErrInput) {
		t.Fatalf("got %v, want ErrInput", err)
	}
}

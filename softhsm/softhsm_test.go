package softhsm_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/softhsm"
)

func pinOf(t *testing.T, s string) hsm.PIN {
	t.Helper()
	p, err := hsm.NewPIN([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func open(t *testing.T, p *softhsm.Provisioned) *hsm.Module {
	t.Helper()
	m, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// Two tokens are made, keys put into them, the module closed and opened
// again: SoftHSM numbers the slots anew, and everything is found by label.
func TestTokensOutliveTheModule(t *testing.T) {
	t.Setenv("SOFTHSM2_CONF", "")
	dir := filepath.Join(t.TempDir(), "with a blank")
	p, err := softhsm.Provision(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := open(t, p)
	soPIN, pin := pinOf(t, "officer-pin-1"), pinOf(t, "holder-pin-22")
	configs := make(map[string]hsm.Config)
	for _, label := range []string{"root", "bank"} {
		cfg, err := p.InitToken(t.Context(), m, label, soPIN, pin)
		if err != nil {
			t.Fatal(err)
		}
		tok, err := m.Token(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tok.GenerateRSA(t.Context(), "in "+label, 2048); err != nil {
			t.Fatal(err)
		}
		configs[label] = cfg
	}
	if _, err := p.InitToken(t.Context(), m, "root", soPIN, pin); !errors.Is(err, hsm.ErrDuplicateLabel) {
		t.Fatalf("a label twice: got %v, want ErrDuplicateLabel", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}

	again, err := softhsm.Provision(dir)
	if err != nil {
		t.Fatal(err)
	}
	m = open(t, again)
	for label, cfg := range configs {
		tok, err := m.Token(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := tok.RSAKeys(t.Context())
		if err != nil || len(keys) != 1 || keys[0].Label() != "in "+label {
			t.Fatalf("token %q: %d keys, %v", label, len(keys), err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	searchPINs(t, dir, "officer-pin-1", "holder-pin-22")
}

// searchPINs fails if a PIN is readable anywhere below dir, or a file or
// directory there is open to others.
func searchPINs(t *testing.T, dir string, pins ...string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, pin := range pins {
			if bytes.Contains(b, []byte(pin)) {
				t.Errorf("%s holds a PIN", path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Join(dir, "tokens")} {
		if info, err := os.Stat(d); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", d, info.Mode(), err)
		}
	}
}

func TestEnvShowsTheTokensToAChild(t *testing.T) {
	t.Setenv("SOFTHSM2_CONF", "")
	p, err := softhsm.Provision(t.TempDir() + "/s")
	if err != nil {
		t.Fatal(err)
	}
	m := open(t, p)
	cfg, err := p.InitToken(t.Context(), m, "for the child", pinOf(t, "1111"), pinOf(t, "2222"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "softhsm2-util", "--show-slots")
	cmd.Env = append(os.Environ(), p.Env()...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.Contains(string(out), "for the child") || !strings.Contains(string(out), cfg.Serial) {
		t.Fatalf("the child sees %s", out)
	}
}

func TestProvisionRefuses(t *testing.T) {
	open := t.TempDir()
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "softhsm2.conf"), []byte("directories.tokendir = /var/lib/softhsm/tokens\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ name, dir string }{
		{"a directory that others may enter", open},
		{"a directory configured for other tokens", other},
		{"a path with a line end", filepath.Join(t.TempDir(), "a\nb")},
		{"a path with a comment sign", filepath.Join(t.TempDir(), "a#b")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := softhsm.Provision(c.dir); !errors.Is(err, softhsm.ErrDirectory) {
				t.Fatalf("got %v, want ErrDirectory", err)
			}
		})
	}
}

func TestInitTokenRefuses(t *testing.T) {
	t.Setenv("SOFTHSM2_CONF", "")
	p, err := softhsm.Provision(t.TempDir() + "/s")
	if err != nil {
		t.Fatal(err)
	}
	m := open(t, p)
	good := pinOf(t, "1234")
	cases := []struct {
		name, label string
		so, pin     hsm.PIN
	}{
		{"no label", "", good, good},
		{"a label of 33 bytes", strings.Repeat("a", 33), good, good},
		{"a label that padding would change", "a ", good, good},
		{"a label with a line end", "a\n", good, good},
		{"no officer's PIN", "a", hsm.PIN{}, good},
		{"no user's PIN", "a", good, hsm.PIN{}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := p.InitToken(t.Context(), m, c.label, c.so, c.pin); !errors.Is(err, hsm.ErrInput) {
				t.Fatalf("got %v, want ErrInput", err)
			}
		})
	}
}

// Open of package hsm takes the module along for its one token, and gives it
// back: it can be opened again.
func TestOpenLoadsAndUnloadsTheModule(t *testing.T) {
	t.Setenv("SOFTHSM2_CONF", "")
	p, err := softhsm.Provision(t.TempDir() + "/s")
	if err != nil {
		t.Fatal(err)
	}
	m := open(t, p)
	cfg, err := p.InitToken(t.Context(), m, "single", pinOf(t, "1111"), pinOf(t, "2222"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hsm.Open(t.Context(), cfg); !errors.Is(err, hsm.ErrModule) {
		t.Fatalf("the module is in use: got %v, want ErrModule", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Token(t.Context(), cfg); !errors.Is(err, hsm.ErrUnavailable) {
		t.Fatalf("a closed module: got %v, want ErrUnavailable", err)
	}
	for range 2 {
		tok, err := hsm.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := tok.Close(); err != nil {
			t.Fatal(err)
		}
	}
	missing := cfg
	missing.TokenLabel = "nobody"
	if _, err := hsm.Open(t.Context(), missing); !errors.Is(err, hsm.ErrTokenNotFound) {
		t.Fatalf("got %v, want ErrTokenNotFound", err)
	}
	tok, err := hsm.Open(t.Context(), cfg) // the failure unloaded the module too
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.Close(); err != nil {
		t.Fatal(err)
	}
}

package softhsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/speciecash/specie/hsm"
)

// ConfigVariable is the environment variable in which SoftHSM looks for the
// path of its configuration.
const ConfigVariable = "SOFTHSM2_CONF"

var (
	// ErrNotInstalled: there is no SoftHSM module at any known place.
	ErrNotInstalled = errors.New("softhsm: SoftHSM 2 is not installed")
	// ErrDirectory: the directory can't hold tokens: its path can't stand in
	// a configuration, others may enter it, or it is configured differently.
	ErrDirectory = errors.New("softhsm: directory refused")
)

// modulePaths are the places where packages put the module.
func modulePaths() []string {
	return []string{
		// Debian, Ubuntu
		"/usr/lib/softhsm/libsofthsm2.so",
		"/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
		"/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
		// Fedora, Red Hat, SUSE
		"/usr/lib64/pkcs11/libsofthsm2.so",
		"/usr/lib64/softhsm/libsofthsm2.so",
		"/usr/lib/pkcs11/libsofthsm2.so",
		// Homebrew, and what was built from source
		"/opt/homebrew/lib/softhsm/libsofthsm2.so",
		"/usr/local/lib/softhsm/libsofthsm2.so",
	}
}

// FindModule returns the absolute path of the SoftHSM module. ErrNotInstalled
// says what to install.
func FindModule() (string, error) { return firstFile(modulePaths()) }

func firstFile(paths []string) (string, error) {
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: on Debian and Ubuntu it is the package softhsm2 (apt-get install softhsm2); looked at %s",
		ErrNotInstalled, strings.Join(paths, ", "))
}

// Provisioned is a private SoftHSM installation: its own configuration and
// its own tokens.
type Provisioned struct {
	Module string // absolute path of the PKCS#11 library
	Config string // absolute path of softhsm2.conf
	Tokens string // absolute path of the directory with the tokens
}

// Provision makes dir (0700) and in it softhsm2.conf and the directory
// tokens (0700). A directory that Provision made before is taken as it is,
// tokens included. Errors: ErrNotInstalled, ErrDirectory, or the system's.
func Provision(dir string) (*Provisioned, error) {
	module, err := FindModule()
	if err != nil {
		return nil, err
	}
	return ProvisionModule(module, dir)
}

// ProvisionModule is Provision for the SoftHSM library at an absolute path.
func ProvisionModule(module, dir string) (*Provisioned, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("softhsm: %w", err)
	}
	// The configuration has one setting per line, # begins a comment, blanks
	// around a value are dropped.
	if strings.ContainsAny(dir, "\n\r#") || strings.TrimSpace(dir) != dir {
		return nil, fmt.Errorf("%w: %q can't be written in a SoftHSM configuration", ErrDirectory, dir)
	}
	p := &Provisioned{Module: module, Config: filepath.Join(dir, "softhsm2.conf"), Tokens: filepath.Join(dir, "tokens")}
	for _, d := range []string{dir, p.Tokens} {
		if err := privateDir(d); err != nil {
			return nil, err
		}
	}
	return p, p.writeConfig()
}

func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("softhsm: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("softhsm: %w", err)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return fmt.Errorf("%w: %s has mode %04o; others than its owner may enter (chmod 700)", ErrDirectory, dir, perm)
	}
	return nil
}

func (p *Provisioned) writeConfig() error {
	want := []byte("directories.tokendir = " + p.Tokens + "\n" +
		"objectstore.backend = file\n" +
		"log.level = ERROR\n" +
		"slots.removable = false\n" +
		"slots.mechanisms = ALL\n" +
		"library.reset_on_fork = false\n")
	have, err := os.ReadFile(p.Config)
	switch {
	case err == nil && bytes.Equal(have, want):
		return nil
	case err == nil:
		return fmt.Errorf("%w: %s exists and says something else", ErrDirectory, p.Config)
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("softhsm: %w", err)
	}
	if err := os.WriteFile(p.Config, want, 0o600); err != nil {
		return fmt.Errorf("softhsm: %w", err)
	}
	return nil
}

// Env returns the environment entry ("SOFTHSM2_CONF=...") that a child
// process needs to see these tokens.
func (p *Provisioned) Env() []string { return []string{ConfigVariable + "=" + p.Config} }

// Open points this process at the tokens (it sets SOFTHSM2_CONF) and opens
// the module. Close the Module before the process exits. The variable stays
// set, for children.
func (p *Provisioned) Open() (*hsm.Module, error) {
	if err := os.Setenv(ConfigVariable, p.Config); err != nil {
		return nil, fmt.Errorf("softhsm: %w", err)
	}
	return hsm.OpenModule(p.Module)
}

// InitToken makes a token through m, which must come from Open, and returns
// the configuration that opens it, serial included. SoftHSM gives the token
// another slot number after a restart; the label and the serial stay.
func (p *Provisioned) InitToken(ctx context.Context, m *hsm.Module, label string, soPIN, pin hsm.PIN) (hsm.Config, error) {
	info, err := m.InitToken(ctx, label, soPIN, pin)
	if err != nil {
		return hsm.Config{}, err
	}
	return hsm.Config{Module: p.Module, TokenLabel: info.Label, Serial: info.Serial, PIN: pin}, nil
}

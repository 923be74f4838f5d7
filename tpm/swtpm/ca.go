package swtpm

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The errors of this package, to be matched with errors.Is.
var (
	// ErrMissing: a program is not installed.
	ErrMissing = errors.New("not installed; on Debian: apt-get install swtpm swtpm-tools")
	// ErrPath: a directory has a name that the emulator can't take.
	ErrPath = errors.New("directory not usable for swtpm")
)

const (
	configFile = "swtpm_setup.conf"
	caConfig   = "swtpm-localca.conf"
	caOptions  = "swtpm-localca.options"
	caState    = "var/lib/swtpm-localca" // where swtpm_setup --create-config-files puts it
)

// CA is a certificate authority that plays the manufacturer of emulated TPMs:
// a root, and an issuer under it that signs endorsement key certificates.
type CA struct {
	dir string
}

// NewCA opens the authority in dir, or founds it there: its keys are made at
// once, so that RootsPEM has an answer before the first TPM is.
func NewCA(ctx context.Context, dir string) (*CA, error) {
	dir, err := usable(dir)
	if err != nil {
		return nil, err
	}
	ca := &CA{dir: dir}
	if err := ca.configure(ctx); err != nil {
		return nil, fmt.Errorf("configure the test authority: %w", err)
	}
	if _, err := os.Stat(ca.file("issuercert.pem")); err == nil {
		return ca, nil
	}
	if err := ca.found(ctx); err != nil {
		return nil, fmt.Errorf("found the test authority: %w", err)
	}
	return ca, nil
}

// RootsPEM returns the certificates of the root and of the issuer under it, for
// the verifier. The issuer is no root, but nothing else would supply it: the TPM
// stores its own certificate only.
func (ca *CA) RootsPEM() ([]byte, error) {
	root, err := os.ReadFile(ca.file("swtpm-localca-rootca-cert.pem"))
	if err != nil {
		return nil, fmt.Errorf("test authority's root: %w", err)
	}
	issuer, err := os.ReadFile(ca.file("issuercert.pem"))
	if err != nil {
		return nil, fmt.Errorf("test authority's issuer: %w", err)
	}
	return append(root, issuer...), nil
}

func (ca *CA) file(name string) string { return filepath.Join(ca.dir, caState, name) }

// environment makes swtpm_setup find the authority's configuration, and not one
// of the machine or of the user.
func (ca *CA) environment() []string { return []string{"XDG_CONFIG_HOME=" + ca.dir} }

// configure writes the configuration files, again if the directory has moved:
// they contain its path.
func (ca *CA) configure(ctx context.Context) error {
	written, err := os.ReadFile(filepath.Join(ca.dir, configFile))
	if err == nil && bytes.Contains(written, []byte(filepath.Join(ca.dir, caConfig)+"\n")) {
		return nil
	}
	mode := "overwrite"
	if os.Geteuid() == 0 {
		mode += ",root"
	}
	return run(ctx, ca.environment(), "swtpm_setup", "--create-config-files", mode)
}

// found has the authority make its keys, which it does when it certifies for
// the first time. What it certifies is thrown away, and so is the private key:
// no program could use that certificate to pass for a TPM.
func (ca *CA) found(ctx context.Context) error {
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	scrap, err := os.MkdirTemp("", "specie-swtpm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scrap)
	if err := os.MkdirAll(ca.file(""), 0o700); err != nil {
		return err
	}
	point := key.PublicKey().Bytes() // 04 ‖ x ‖ y
	return run(ctx, ca.environment(), "swtpm_localca",
		"--type", "ek", "--ek", fmt.Sprintf("x=%x,y=%x,id=secp256r1", point[1:33], point[33:]),
		"--dir", scrap, "--tpm2", "--tpm-spec-family", "2.0", "--tpm-spec-level", "0", "--tpm-spec-revision", "164",
		"--tpm-manufacturer", "id:00001014", "--tpm-model", "swtpm", "--tpm-version", "id:00000000",
		"--configfile", filepath.Join(ca.dir, caConfig), "--optsfile", filepath.Join(ca.dir, caOptions))
}

// usable makes dir, and returns its absolute path if swtpm's option syntax and
// configuration files can express it.
func usable(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrPath, err)
	}
	if strings.ContainsAny(dir, ",\n\"'\\$ ") {
		return "", fmt.Errorf("%w: %q contains a comma, a space, a quote, a dollar or a backslash", ErrPath, dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("%w: %w", ErrPath, err)
	}
	return dir, nil
}

// find returns the path of a program. swtpm_localca is not always in PATH: some
// packages count it among the libraries.
func find(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/lib/swtpm", "/usr/share/swtpm"} {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s %w", program, ErrMissing)
}

// run runs a program to its end.
func run(ctx context.Context, env []string, program string, args ...string) error {
	path, err := find(program)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", program, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, lastLines(out))
	}
	return nil
}

// lastLines returns the end of what a program wrote, on one line.
func lastLines(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-4):], "; ")
}

package hsm

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// credentialsVariable is where systemd tells a service the directory of its
// credentials (systemd.exec(5), LoadCredential=).
const credentialsVariable = "CREDENTIALS_DIRECTORY"

// A pinSource is a place to read a PIN from: a path or a name, by scheme. The
// zero value is to ask.
type pinSource struct{ scheme, rest string }

const (
	fileScheme       = "file"
	credentialScheme = "credential"
)

func (p pinSource) String() string {
	if p.scheme == "" {
		return ""
	}
	return p.scheme + ":" + p.rest
}

// parsePINSource reads the pin-source of a URI, percent-decoded. A file URI
// (RFC 8089) has no host here, and a % in it is refused: whether it is to be
// decoded a second time is nowhere said.
func parsePINSource(s string) (pinSource, error) {
	if s == "" {
		return pinSource{}, nil
	}
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || scheme != fileScheme && scheme != credentialScheme {
		return pinSource{}, fmt.Errorf("a PIN comes from file:PATH or credential:NAME")
	}
	if !cleanText(rest) {
		return pinSource{}, fmt.Errorf("control character")
	}
	if scheme == credentialScheme {
		if rest == "" || rest == "." || rest == ".." || strings.Contains(rest, "/") {
			return pinSource{}, fmt.Errorf("the name of a credential has no slashes")
		}
		return pinSource{scheme, rest}, nil
	}
	if path, ok := strings.CutPrefix(rest, "//"); ok {
		if !strings.HasPrefix(path, "/") {
			return pinSource{}, fmt.Errorf("a file on another host")
		}
		rest = path
	}
	if rest == "" || strings.HasSuffix(rest, "/") || strings.HasPrefix(rest, "//") || strings.Contains(rest, "%") {
		return pinSource{}, fmt.Errorf("file: goes with a path, without %%")
	}
	return pinSource{scheme, rest}, nil
}

// ReadPINSource reads a PIN from source, which is written as the pin-source of
// a URI:
//
//   - "file:PATH" or "file:///PATH" is a file, by ReadPIN; a relative path is
//     taken from dir.
//   - "credential:NAME" is the credential that systemd passes to a service
//     (LoadCredential=): the file NAME in $CREDENTIALS_DIRECTORY, of mode
//     0400, 0440 or 0600, owned by this user or root.
//   - "" calls ask with prompt, a line that says whose PIN is wanted; a nil
//     ask is ErrInput.
//
// A source that is written otherwise is ErrURI; a place that is not to be
// trusted is ErrInput; a failure to read is the system's error.
func ReadPINSource(source, dir, prompt string, ask func(prompt string) (PIN, error)) (PIN, error) {
	from, err := parsePINSource(source)
	if err != nil {
		return PIN{}, fmt.Errorf("%w: pin-source: %w", ErrURI, err)
	}
	switch from.scheme {
	case fileScheme:
		path := from.rest
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return ReadPIN(path)
	case credentialScheme:
		return readCredential(os.Getenv(credentialsVariable), from.rest)
	}
	if ask == nil {
		return PIN{}, fmt.Errorf("%w: no pin-source, and nobody to ask for the %s", ErrInput, prompt)
	}
	return ask(prompt)
}

func readCredential(dir, name string) (PIN, error) {
	if !filepath.IsAbs(dir) {
		return PIN{}, fmt.Errorf("%w: PIN credential %s: %s is not set to an absolute path; start the program by systemd with LoadCredential=", ErrInput, name, credentialsVariable)
	}
	// systemd gives the file to the service's user, or keeps it root's and
	// lets the user in by an access list, whose mask shows as group's mode.
	return readPINFile(filepath.Join(dir, name), fileRule{modes: []os.FileMode{0o400, 0o440, 0o600}, owners: []int{os.Geteuid(), 0}})
}

// A fileRule says whose a PIN file must be, and what mode it must have.
type fileRule struct {
	modes  []os.FileMode
	owners []int
}

// privateFile is the rule for a PIN file that an operator keeps.
func privateFile() fileRule {
	return fileRule{modes: []os.FileMode{0o600, 0o400}, owners: []int{os.Geteuid()}}
}

// check looks at the open file, not at a name: nobody can swap it in between.
func (r fileRule) check(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("hsm: PIN file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: PIN file %s is not a regular file", ErrInput, f.Name())
	}
	if perm := info.Mode().Perm(); !slices.Contains(r.modes, perm) {
		return fmt.Errorf("%w: PIN file %s has mode %04o; it must be its owner's alone (chmod 600)", ErrInput, f.Name(), perm)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || !slices.Contains(r.owners, int(stat.Uid)) {
		return fmt.Errorf("%w: PIN file %s belongs to another user", ErrInput, f.Name())
	}
	return nil
}

func readPINFile(path string, rule fileRule) (PIN, error) {
	// Not to hang on a pipe that nobody writes to.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return PIN{}, fmt.Errorf("hsm: PIN file: %w", err)
	}
	defer f.Close()
	if err := rule.check(f); err != nil {
		return PIN{}, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxPIN+3))
	defer clear(raw)
	if err != nil {
		return PIN{}, fmt.Errorf("hsm: PIN file: %w", err)
	}
	pin, err := parsePIN(raw)
	if err != nil {
		return PIN{}, fmt.Errorf("PIN file %s: %w", path, err)
	}
	return pin, nil
}

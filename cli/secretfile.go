package cli

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// ErrLoose: others can read a file that holds a secret.
var ErrLoose = errors.New("file mode must be 0600")

// maxSecret bounds a file that holds a secret, in bytes.
const maxSecret = 64 << 10

// ReadSecretFile reads a secret from a file that nobody else can read, without
// the ends of its last line. The error is ErrLoose if somebody else can.
func ReadSecretFile(path string) (string, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	// Windows has no such bits; there the home directory is private by itself.
	if runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s: others can read it: %w", path, ErrLoose)
	}
	if fi.Size() > maxSecret {
		return "", fmt.Errorf("%s: %d bytes are no secret", path, fi.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

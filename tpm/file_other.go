//go:build !linux

package tpm

import (
	"fmt"

	"github.com/google/go-tpm/tpm2/transport"
)

// defaultDevice is empty where this package knows of no device file.
const defaultDevice = ""

func openFile(path string) (transport.TPMCloser, error) {
	return nil, fmt.Errorf("%w: device files are a matter of Linux: %s", ErrUnavailable, path)
}

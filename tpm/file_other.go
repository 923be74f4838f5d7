//go:build !linux && !windows

package tpm

import (
	"fmt"

	"github.com/google/go-tpm/tpm2/transport"
)

// DefaultTCTI is empty where this package knows of no TPM that the platform has.
const DefaultTCTI = ""

func openFile(path string) (transport.TPMCloser, error) {
	return nil, fmt.Errorf("%w: device files are a matter of Linux: %s", ErrAddress, path)
}

func openServices() (transport.TPMCloser, error) {
	return nil, fmt.Errorf("%w: tbs is a matter of Windows", ErrAddress)
}

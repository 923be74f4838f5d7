package tpm

import (
	"os"

	"github.com/google/go-tpm/tpm2/transport"
)

// NewFilePort speaks to a TPM through an open file, as openFile does.
func NewFilePort(f *os.File) transport.TPMCloser { return filePort{f} }

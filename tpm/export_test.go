package tpm

import (
	"context"
	"os"

	"github.com/google/go-tpm/tpm2/transport"
)

// NewFilePort speaks to a TPM through an open file, as openFile does.
func NewFilePort(f *os.File) transport.TPMCloser { return filePort{f} }

// ExamineDevice is Examine without the way to the TPM.
func ExamineDevice(ctx context.Context, d *Device) *Examination {
	e := &Examination{}
	e.device(ctx, d)
	return e
}

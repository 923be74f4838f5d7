package tpm

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/windowstpm"
	"github.com/google/go-tpm/tpmutil/tbs"
)

// DefaultTCTI is what the empty string stands for: TPM Base Services, which
// manage the TPM's slots as Linux' resource manager does.
const DefaultTCTI = "tbs"

func openFile(path string) (transport.TPMCloser, error) {
	return nil, fmt.Errorf("%w: device files are a matter of Linux; write tbs: %s", ErrAddress, path)
}

func openServices() (transport.TPMCloser, error) {
	port, err := windowstpm.Open()
	switch {
	case err == nil:
		return port, nil
	case errors.Is(err, tbs.ErrTPMNotFound), errors.Is(err, windowstpm.ErrNotTPM20):
		return nil, fmt.Errorf("%w: no TPM 2.0, or it is switched off in the firmware set-up: %w", ErrUnavailable, err)
	case errors.Is(err, tbs.ErrServiceNotRunning), errors.Is(err, tbs.ErrServiceDisabled), errors.Is(err, tbs.ErrServiceStartPending):
		return nil, fmt.Errorf("%w: the service TPM Base Services is not running, see services.msc: %w", ErrUnavailable, err)
	case errors.Is(err, tbs.ErrTooManyTBSContexts):
		return nil, fmt.Errorf("%w: too many programs have it open: %w", ErrBusy, err)
	}
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
}

package wallet

import (
	"errors"
	"fmt"

	"github.com/speciecash/specie/tpm"
)

// PlatformError is [ErrPlatform] with what the machine differs in.
type PlatformError struct {
	// Group is the manager whose rule it is.
	Group string
	// PCRs are the TPM's registers that differ from the approved state that is
	// nearest; where that can't be told, all that it is about. State is that
	// state's name, empty if none is approved.
	PCRs  []int
	State string
	cause error
}

// Error says so in words.
func (e *PlatformError) Error() string {
	if e.State == "" {
		return fmt.Sprintf("%s has not approved any machine's start-up state yet", e.Group)
	}
	list := (&tpm.PlatformError{PCRs: e.PCRs}).List()
	return fmt.Sprintf("this machine's start-up state (PCR %s) is not one that %s has approved", list, e.Group)
}

// Is matches ErrPlatform.
func (e *PlatformError) Is(target error) bool { return target == ErrPlatform }

// Unwrap returns the TPM's own error.
func (e *PlatformError) Unwrap() error { return e.cause }

// platformError puts the group's name to a refusal that its rule is the reason
// of. Other errors pass unchanged.
func platformError(group string, err error) error {
	var refused *tpm.PlatformError
	if !errors.As(err, &refused) {
		return err
	}
	return &PlatformError{Group: group, PCRs: refused.PCRs, State: refused.State, cause: err}
}

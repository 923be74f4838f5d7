package wallet

import (
	"context"
	"errors"
	"fmt"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
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

// fits says whether the key that was made before is of the make that the manager
// asks for now. Another he refuses, and has refused: with the first member its
// make is settled. Of a file that can't be read openKey says what is wrong.
func (c *candidate) fits() bool {
	file, err := c.w.readKey(c.state.keyRef)
	if err != nil {
		return true
	}
	_, _, err = attest.CheckGroupKey(file.Public, c.doc.Template)
	return err == nil
}

// attachedKey is the member's key while the TPM is attached: what the TPM
// refuses in the midst of a payment is said as at the beginning.
type attachedKey struct {
	key   group.Key
	group string
}

// Commit implements group.Key.
func (a attachedKey) Commit(ctx context.Context, p1 *fp256bn.G1, s2 []byte, y2 [32]byte) (k, l, e fp256bn.G1, counter uint16, err error) {
	k, l, e, counter, err = a.key.Commit(ctx, p1, s2, y2)
	return k, l, e, counter, platformError(a.group, keyError(err))
}

// Sign implements group.Key.
func (a attachedKey) Sign(ctx context.Context, digest [32]byte, counter uint16) (nu []byte, s fp256bn.Scalar, err error) {
	nu, s, err = a.key.Sign(ctx, digest, counter)
	return nu, s, platformError(a.group, keyError(err))
}

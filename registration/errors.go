package registration

import (
	"context"
	"errors"
	"fmt"

	"github.com/speciecash/specie/ledger"
)

// The refusals of this package.
var (
	// ErrMalformed: the request is not of the documented form or size.
	ErrMalformed = errors.New("registration: malformed")
	// ErrEKChain: the endorsement certificate does not lead to an accepted
	// root, or is not that of the key shown.
	ErrEKChain = errors.New("registration: endorsement certificate refused")
	// ErrEKProfile: the endorsement key is of a kind that is not taken here.
	ErrEKProfile = errors.New("registration: endorsement key refused")
	// ErrFirmware: TPMs of this model and firmware are not taken here.
	ErrFirmware = errors.New("registration: firmware refused")
	// ErrSoftwareTPM: emulated TPMs are not taken here.
	ErrSoftwareTPM = errors.New("registration: emulated TPM refused")
	// ErrEKRegistered: this TPM is, or was, a member, and no code says that it
	// may become another.
	ErrEKRegistered = errors.New("registration: this TPM is registered already")
	// ErrTagRegistered: the tag F or the wallet's point Uh is a member's.
	ErrTagRegistered = errors.New("registration: this key is registered already")
	// ErrTemplate: the group key is not made after the group's template.
	ErrTemplate = errors.New("registration: group key refused")
	// ErrJoinProof: the join proof does not verify for this session, key, EK
	// and form.
	ErrJoinProof = errors.New("registration: join proof refused")
	// ErrForm: the registration form does not open, does not read, or is not
	// the one whose digest was proven.
	ErrForm = errors.New("registration: form refused")
	// ErrLeaked: the group key is public, its TPM being broken.
	ErrLeaked = errors.New("registration: this key has leaked")
	// ErrCode: no readmission is open for the code in the form.
	ErrCode = errors.New("registration: code refused")
	// ErrCodeUsed: the code in the form has served already.
	ErrCodeUsed = errors.New("registration: this code was used already")
	// ErrIdentity: the form has another name than the membership that its code
	// is for.
	ErrIdentity = errors.New("registration: another person's code")
	// ErrNotFound: no such session or member. A session that was replaced or
	// refused is gone too: begin again.
	ErrNotFound = errors.New("registration: not found")
	// ErrAnswered: the session's nonce has answered another join, or the
	// session is a member by now.
	ErrAnswered = errors.New("registration: this session has answered another join")
	// ErrNotJoined: the session has answered no join yet.
	ErrNotJoined = errors.New("registration: join before activating")
	// ErrSessionExpired: the session is past its time: begin again.
	ErrSessionExpired = errors.New("registration: session expired")
	// ErrActivation: the challenge was not answered by that TPM and key.
	ErrActivation = errors.New("registration: activation refused")
	// ErrExpelled: the member was expelled.
	ErrExpelled = errors.New("registration: expelled")
	// ErrExpulsion: a warrant to expel the member is in force.
	ErrExpulsion = errors.New("registration: a warrant to expel him is in force")
	// ErrRevoked: the membership has ended, and may be continued, or was, with
	// another.
	ErrRevoked = errors.New("registration: membership revoked")
	// ErrState: the member's state does not allow this.
	ErrState = errors.New("registration: not possible in this member's state")
	// ErrWarrant: the warrant is not one, or does not allow this.
	ErrWarrant = errors.New("registration: warrant refused")
	// ErrUnregistered: the warrant does not stand in the register.
	ErrUnregistered = errors.New("registration: warrant not entered")
	// ErrOpening: the opening does not hold, so nobody is named.
	ErrOpening = errors.New("registration: opening refused")
	// ErrEpoch: the manager's clock is before the first epoch, or before one
	// that he has issued for.
	ErrEpoch = errors.New("registration: no epoch at this time")
	// ErrTemplateFixed: members' keys were made after another template, by which
	// evidence about them is judged.
	ErrTemplateFixed = errors.New("registration: the group has members, so a platform rule can't be added, dropped or put under another key: a group's template is for its life; found another group")
	// ErrOtherGroup: the register belongs to another group or schedule.
	ErrOtherGroup = errors.New("registration: the register is another group's")
	// ErrRegister: the register of warrants is not whole.
	ErrRegister = errors.New("registration: register of warrants damaged")
	// ErrRestored: the register has lost what was published, as one that was
	// restored from a backup.
	ErrRestored = errors.New("registration: the register is older than what was published")
	// ErrNoPapers: a warrant's entry was put back after the register had been
	// restored, and its papers are not there.
	ErrNoPapers = errors.New("registration: the warrant's papers are not there; enter it again")
	// ErrPolicy: the policy can't be put in force.
	ErrPolicy = errors.New("registration: policy refused")
	// ErrBusy: more is asked at once than this manager takes; ask again later.
	ErrBusy = errors.New("registration: busy")
	// ErrUnavailable: the store could not answer, or the signing key; repeat
	// the request.
	ErrUnavailable = errors.New("registration: unavailable")
)

// stored names an error of the register that is nobody's refusal; nil stays nil.
func stored(what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", what, err)
	}
	if errors.Is(err, ledger.ErrUnavailable) || errors.Is(err, ledger.ErrClosed) {
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, what, err)
	}
	return fmt.Errorf("registration: %s: %w", what, err)
}

package tpm

import (
	"errors"

	"github.com/speciecash/specie/group"
)

// The errors of this package, to be matched with errors.Is.
var (
	// ErrAddress: the string that names the TPM is not understood.
	ErrAddress = errors.New("bad TPM address")
	// ErrUnavailable: there is no TPM at that address, or no permission.
	ErrUnavailable = errors.New("TPM not available")
	// ErrBusy: another program uses the TPM and does not share it.
	ErrBusy = errors.New("TPM is in use by another program")
	// ErrBroken: the TPM has found a fault in itself and works no more until it is
	// reset (failure mode).
	ErrBroken = errors.New("TPM is in failure mode")
	// ErrUnsupported: this TPM lacks what a group key needs. The text names it.
	ErrUnsupported = errors.New("TPM does not support group keys")
	// ErrWrongTPM: the wrapped key belongs to another TPM, or to this one before
	// it was cleared, or has been altered.
	ErrWrongTPM = errors.New("this key does not belong to this TPM")
	// ErrHierarchy: the owner or the endorsement hierarchy of this TPM has a
	// password, which this package has none to give for.
	ErrHierarchy = errors.New("a hierarchy of the TPM has a password")
	// ErrAuth: the authorisation value is wrong. A failure on a group key counts
	// towards the TPM's lock-out, and is an *AuthError that says how many tries are
	// left.
	ErrAuth = errors.New("wrong authorisation value")
	// ErrLockout: too many wrong authorisation values, or unclean power losses;
	// the TPM refuses even the right one until its recovery time has passed. It is a
	// *LockoutError that says how long that takes at most.
	ErrLockout = errors.New("TPM is locked out")
	// ErrNoEK: the TPM has no endorsement key of that kind, and can't make one.
	ErrNoEK = errors.New("no such endorsement key in the TPM")
	// ErrPlatform: the key signs on approved platforms only, and this machine's
	// state, as its PCRs say, is not one of them. See PlatformError.
	ErrPlatform = errors.New("the platform's state is not approved")
	// ErrCredential: the challenge was made for another key or another TPM.
	ErrCredential = errors.New("credential is not for this key in this TPM")
	// ErrCommitment: the counter names no open commitment. Each signs once, and
	// a reset of the TPM voids them all: commit again, as package group does.
	ErrCommitment = group.ErrCommitment
	// ErrNoSlot: another program keeps all of the TPM's slots. The resource
	// manager, device:/dev/tpmrm0, has no such limit.
	ErrNoSlot = errors.New("no free slot in the TPM")
	// ErrKeyFile: the file holds no group key that this package can load.
	ErrKeyFile = errors.New("not the key file of a group key")
	// ErrInput: an argument that no TPM would take.
	ErrInput = errors.New("bad input for the TPM")
	// ErrResponse: the TPM answered something that makes no sense.
	ErrResponse = errors.New("malformed TPM response")
	// ErrClosed: the device, or the group key, has been closed.
	ErrClosed = errors.New("closed")
)

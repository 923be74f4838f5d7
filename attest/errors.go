package attest

import "errors"

// The errors of this package, to be matched with errors.Is.
var (
	// ErrRoots: the list of manufacturers' roots can't be used.
	ErrRoots = errors.New("unusable list of roots")
	// ErrChain: the endorsement key certificate is malformed, expired, or leads to
	// none of the roots.
	ErrChain = errors.New("endorsement key certificate not trusted")
	// ErrEKProfile: the certificate is not one of an endorsement key, or the key
	// is not of a kind that the TCG's profile knows.
	ErrEKProfile = errors.New("not an endorsement key of the TCG profile")
	// ErrEKMismatch: the certificate is for another key than the one shown.
	ErrEKMismatch = errors.New("endorsement key is not the certified one")
	// ErrEKKind: the endorsement key is genuine, and of another kind than the one
	// that is taken from this manufacturer.
	ErrEKKind = errors.New("endorsement key of a kind that is not taken from this manufacturer")
	// ErrFirmware: TPMs of this model and firmware are not taken, or the key shows
	// that it was made by firmware known to make weak keys.
	ErrFirmware = errors.New("TPM of a model or firmware that is not taken")
	// ErrSoftwareTPM: the TPM is an emulated one, and those are not taken.
	ErrSoftwareTPM = errors.New("emulated TPM")
	// ErrTemplate: the group key is not made as the template demands, or the
	// template would admit keys that can leave the TPM.
	ErrTemplate = errors.New("group key does not match the template")
	// ErrPlatform: the rule about platforms is not one that a TPM would keep: not
	// a policy key, or a state that it did not sign for.
	ErrPlatform = errors.New("platform rule refused")
	// ErrInput: an argument that no challenge can be made of.
	ErrInput = errors.New("bad input for a credential")
)

package attest

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// maxSecret is the longest secret of a challenge in bytes: a digest in the
// smallest of the endorsement keys' name algorithms.
const maxSecret = sha256.Size

// MakeCredential makes a challenge (TPM 2.0 Part 1, §24) that the TPM with that
// endorsement key, and none else, turns back into the secret, provided that it
// holds a key of that Name. The secret is 1 to 32 bytes, the Name 34, as from
// CheckGroupKey. blob is the contents of a TPM2B_ID_OBJECT, encSecret that of a
// TPM2B_ENCRYPTED_SECRET.
//
// Errors: ErrInput, and ErrEKProfile if ek did not come from VerifyEK.
func MakeCredential(ek *EK, name, secret []byte) (blob, encSecret []byte, err error) {
	if len(secret) == 0 || len(secret) > maxSecret {
		return nil, nil, fmt.Errorf("%w: secret of %d bytes, 1 to %d are possible", ErrInput, len(secret), maxSecret)
	}
	if len(name) != 2+sha256.Size || name[0] != algSHA256>>8 || name[1] != algSHA256 {
		return nil, nil, fmt.Errorf("%w: not the SHA-256 name of a key", ErrInput)
	}
	if ek == nil {
		return nil, nil, fmt.Errorf("%w: no key", ErrEKProfile)
	}
	if _, _, err := matchProfile(ek.Public); err != nil {
		return nil, nil, err
	}
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](ek.Public)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrEKProfile, err)
	}
	key, err := tpm2.ImportEncapsulationKey(public)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrEKProfile, err)
	}
	blob, encSecret, err = tpm2.CreateCredential(rand.Reader, key, name, secret)
	if err != nil {
		return nil, nil, fmt.Errorf("make credential: %w", err)
	}
	return blob, encSecret, nil
}

package group

import "errors"

// The refusals of this package, matched with errors.Is.
var (
	// ErrMalformed: bytes that are no canonical encoding (wrong length, a
	// point off the curve or at infinity, a scalar ≥ n).
	ErrMalformed = errors.New("malformed")
	// ErrEpoch: a presentation for an epoch that the verifier doesn't accept.
	ErrEpoch = errors.New("epoch not accepted")
	// ErrCredential: A', B̄ are not a certificate under the manager's key W.
	ErrCredential = errors.New("not a credential of this group")
	// ErrProof: the proof of knowledge doesn't verify for this message and
	// these claims.
	ErrProof = errors.New("proof of knowledge does not verify")
	// ErrClaim: a claim is malformed or stands twice.
	ErrClaim = errors.New("claim refused")
	// ErrLeaked: a claim was made with a TPM key known to be public.
	ErrLeaked = errors.New("made with a leaked TPM key")
	// ErrKey: the key in the TPM isn't the member's, or answered wrongly.
	ErrKey = errors.New("the TPM key is not this member's")
	// ErrCommitment: Key.Sign was given a counter that names no open commitment.
	// Proofs begin anew when they meet it: a reset of the TPM voids all that are
	// open.
	ErrCommitment = errors.New("commitment is used, expired or lost")
	// ErrShare: a supervisor's share or dealing contradicts its commitments.
	ErrShare = errors.New("share does not match its commitments")
	// ErrQuorum: fewer distinct partial decryptions than the threshold.
	ErrQuorum = errors.New("not enough supervisors")
	// ErrPartial: a partial decryption whose proof doesn't verify.
	ErrPartial = errors.New("partial decryption does not verify")
	// ErrOpeningKey: a key that isn't the one the presentation was made with.
	ErrOpeningKey = errors.New("not the opening key of this presentation")
	// ErrEscrow: the escrowed tracing token isn't the member's.
	ErrEscrow = errors.New("escrow does not hold the member's tracing token")
)

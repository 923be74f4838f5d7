// Package group owns Specie's group signature: a BBS credential over a scalar
// that only a TPM knows, presented with one TPM2_Commit and one TPM2_Sign.
//
// A presentation says "a member of this group, in this epoch, whose TPM holds
// the tags of these coins, authorises this message" and nothing more. Two
// presentations of one member can't be linked from public values. The k-of-n
// supervisors can name the signer of one presentation ([CombineOpening]) or
// release a token that recognises one member's presentations ([Trace],
// [RevocationList]). The signer himself can keep the key to one of his
// ([Member.PresentOpen], [SelfOpen]).
//
// # Construction
//
// BBS presentations (draft-irtf-cfrg-bbs-signatures: A', B̄, D) on the TPM's
// pairing curve BN_P256, with the device part of Camenisch, Drijvers and
// Lehmann, "Anonymous Attestation Using the Strong Diffie Hellman Assumption
// Revisited" (2016), as TPM 2.0 Part 1, annex C.5 implements it. Two attributes
// are secret: f, known to the TPM alone, and u, known to the wallet alone. The
// equations and the argument for them stand in docs/group-signature.md; the
// names used here are the same.
//
// # Trust
//
// The manager knows γ and can admit members; he can't sign as one. Supervisors
// know shares of o (opening, public image in G1 only) and of o2 (tracing,
// public image in G2 only). No value may ever exist with the same secret
// exponent in both groups: with [o]G and [o]P2 together a pairing names every
// member (TestOpeningKeyInBothGroupsNamesEverybody keeps that attack).
//
// Secret scalars (γ, o, o2, f, u, k and every nonce) are multiplied in constant
// time; only verification, which sees public values, takes the fast way
// (TestVariableTimeArithmeticSeesPublicValuesOnly lists every place).
//
// # Errors
//
// Every refusal matches one of the Err variables with errors.Is.
//
// # Concurrency
//
// Verifier, Parameters and Member are safe for concurrent use once made; a
// Member serialises nothing itself, the Key below it must.
//
// The package must never import anything of Specie but frame and
// group/fp256bn: it knows no coin, no TPM library and no store.
package group

// Package approval owns who must agree to a ceremony and how he says so: the
// roster of officers, and the small files in which each of them approves one
// digest with his own key.
//
// An approval is text that ends in an SSH signature:
//
//	specie ceremony approval 1
//	ceremony: denominations
//	digest: <64 hex digits>
//	officer: ADAMS
//	at: 2026-11-21T12:00:00Z
//	-----BEGIN SSH SIGNATURE-----
//	…
//
// The signature (OpenSSH's PROTOCOL.sshsig, namespace [Namespace]) is over
// exactly the lines above it, so that the stock tool makes one too, with any
// key that it knows, FIDO tokens included:
//
//	ssh-keygen -Y sign -n specie-ceremony -f KEY MESSAGE
//
// [Join] puts message and signature together then. Officers compare the
// digest before they sign, read aloud as hex ([Hex]) or words ([Words]).
//
// It imports trust (for names), frame, ceremony/paper, x/crypto/ssh and
// hiddeco/sshsig, and must never import hsm or ceremony: an officer's machine
// has no token, and this package needs no C.
//
// # Trust
//
// The roster is the root here: whoever may choose it may approve everything.
// It is an input of the plan, so the digest covers it, and a reader who knows
// the officers pins it. An approval is of one digest, and a digest of one plan with all
// its inputs: nothing can be approved in advance or moved to another plan.
// The digest also stands in the signed text with the kind of ceremony and the
// officer's name, so one officer's file doesn't pass for another's. Keys in
// hardware count only if somebody touched them (the flag is signed).
//
// The time in an approval is what the officer's machine said; it proves
// nothing.
//
// # Errors
//
// Refusals wrap one of the Err variables here, or those of paper. No text
// repeats a key or passphrase.
//
// # Concurrency
//
// All functions are pure but for the files and the randomness they read. A
// *Roster is not changed after ParseRoster and may be shared.
package approval

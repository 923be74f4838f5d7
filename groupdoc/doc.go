// Package groupdoc owns the two signed documents that tell a stranger what a
// group is: the supervisors' document (who can open, with which keys) and the
// manager's document (who can admit, which TPM keys, which epoch) that embeds
// it.
//
// It imports frame, group, trust and the standard library, and must never
// import coin, attest or tpm: a key template is bytes to it.
//
// # Trust
//
// Both documents lead to the pinned root. The supervisors' document counts
// only with the signature of every supervisor it names, over identical bytes,
// each under his own certificate: a manager who could put an opening key of
// his own here would name every payer alone, unnoticed. For the same reason a
// threshold of one is refused. The manager proves that he knows the secret of
// his issuing key W, so that W can't be chosen as a combination of others'
// keys.
//
// Wallets, merchants and banks all call Parse; nobody takes group keys from
// anywhere else. Parse does not know TPMs: whoever makes or accepts a group
// key compares Template with the class he implements.
//
// # Time
//
// Certificates are judged at the time that the caller gives: now for a
// document just fetched, the time of the payment for evidence looked at
// later. Which epoch counts is asked separately, by EpochAt and Verifier.
//
// # Errors
//
// Refusals wrap one of the Err variables here or in package trust.
//
// # Concurrency
//
// Values are not changed after they are parsed and may be shared.
package groupdoc

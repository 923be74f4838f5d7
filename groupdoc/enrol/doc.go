// Package enrol owns what a member and his group manager must agree on byte
// for byte while he enrols, and what the manager says of a member when an
// opening has found him: the sealed registration form, the keys that hang on
// the TPM's challenge, the signed member statement, the code with which a
// membership is begun again, and the signed succession that comes of it.
//
// It is shared by wallets, the manager and whoever verifies an opening, so it
// builds without cgo. It imports frame, group, trust and the standard library
// and must never import tpm, attest or a store.
//
// # Trust
//
// The form says who a person is. It is encrypted to the manager's HPKE key
// (RFC 9180), so that nothing between the wallet and the manager reads it, and
// its salted digest enters the join proof: the TPM's signature binds the name
// to the tag.
//
// The challenge is a secret that TPM2_MakeCredential wraps for one TPM and one
// key inside it. From it hang a MAC, which shows that this TPM holds that key,
// and the key under which the credential travels.
//
// A statement is worth what the manager's word is worth for the link between
// person and form; the link between form, EK, key and tag is verified here.
//
// A succession is the manager's word that two tags are one person's. A manager
// who lies in it can hand one member's unspendable coins to another, and the
// succession is the evidence against him; he can't make money with it.
//
// # Errors
//
// Refusals wrap one of the Err variables, or those of trust and group.
//
// # Concurrency
//
// All functions are pure but for randomness from crypto/rand.
package enrol

// Package registration owns the group manager's rules: who becomes a member,
// what he is given, when it is renewed, how it ends and goes on, which warrants
// stand in the public register, and who is named on one.
//
// It imports attest, group, groupdoc (with enrol and warrant), ledger (the
// interface) and trust, and nothing that reaches a network. It
// must never import tpm, a driver of the ledger, server, or a room of its own
// band (issuer, opening, ceremony): what verifies an opening is handed in.
//
// # A registration
//
// Begin checks a TPM's endorsement key to the manufacturers' roots and opens
// a session with a nonce. Join checks the new group key against the template,
// the one proof for its tag, the wallet's scalar and the escrow, and the
// registration form, and answers a challenge that only that TPM with that key
// can read. Activate checks the answer, and only then does everything that
// lasts, in one transaction: the session ends, and the member stands with EK,
// F and Uh, each of which may stand once.
//
// The credential leaves with the answer to Activate. Had it left with the
// challenge, a join that is never activated would be a working membership,
// and would have to block its EK for ever; then anybody who knows an EK
// certificate could use it up.
//
// # Repetition
//
// Join and Activate are idempotent by content. A session answers one join; the
// same bytes get the same challenge. A repeated activation gets the same
// credential, byte for byte, because everything in it is derived: the
// exponent e from γ, the challenge's secret from γ and the join; the words on
// whom he continues are signed anew. A begin has no effect that lasts and opens a
// session each time. Of one EK there may be some at once: its certificate is no
// secret, and who knows it must not end its owner's.
//
// # The end of a membership
//
// Expel is for good. Readmit is for a person whose TPM was cleared or is gone:
// it revokes his membership and makes a code, of which the hash is kept. A
// registration whose form carries that code continues the membership, under
// the same name, on the same TPM or on one that is nobody's; the manager then
// signs who follows whom. The old member stays in the register: an opening
// must find every tag that a credential was made for. One TPM is held by one
// member at a time; F and Uh are new for ever.
//
// # Warrants
//
// Nobody is named and no join transcript handed out but on a warrant of the
// supervisors that was entered in this manager's register: a chain of entries
// whose head every document says, so that what was done can't be kept secret.
// The whole chain is recomputed when a manager begins.
//
// # Documents
//
// Every document has a number that the register gave out before it was signed,
// and that comes never again. It is signed anew when an epoch begins, when a
// warrant is entered, and when another [Policy] comes into force.
//
// # Trust
//
// Every request is a stranger's. γ and the form key are in this process's
// memory only; at rest they are sealed by whoever made the Config. The
// register holds forms as they came, encrypted to the form key, so a stolen
// register names nobody; warrants are sealed under a key that hangs on γ. It is
// trusted not to be altered by others.
//
// What strangers can make the manager do is bounded: sessions in number and
// time, requests that are verified at once, sizes of all that is read.
//
// A manager can admit whom he likes. He can't sign as a member, because f is in
// the member's TPM and u in his wallet, nor open a signature.
//
// # Errors
//
// Refusals wrap one of the Err variables, each of which is one stable code
// over HTTP. ErrUnavailable and the end of a context leave open what was
// recorded: repeat the request.
//
// # Concurrency
//
// A Manager may be used by any number of goroutines. A register has one manager
// at work at a time: two would publish documents whose numbers jump to and fro.
package registration

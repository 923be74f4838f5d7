// Package hsm owns the way to a hardware security module through PKCS#11: one
// token found by its label, bounded sessions, keys that are audited, and the
// three things Specie asks of them (raw RSA for blind signatures, ECDSA for
// documents, AES-GCM for a secret at rest).
//
// It imports miekg/pkcs11 and the standard library, and is the only room that
// needs cgo. It must never import another room of Specie: it knows keys by
// label and nothing of banks, coins or money.
//
// # Trust
//
// The token is trusted to keep its keys; what it says about them and what it
// computes is checked:
//
//   - Every attribute of a key is set explicitly, since the defaults of
//     modules leave decrypting, unwrapping and copying on. All are read back
//     when the key is made, when it is loaded, and when it is found again
//     after its session was lost. A key that was made elsewhere (CKA_LOCAL) or
//     whose flags differ is refused with ErrAudit.
//   - A signature is verified before it is released, a sealed box opened.
//   - Input is checked before the module sees it; some modules end the process
//     over a message of the wrong length.
//   - The public half of an RSA key is read from the private object; that of
//     an EC key is shown by a signature to belong to it.
//
// The module runs in this process: what reads its memory has the PIN, and a
// crash in it ends the process. Specie therefore gives the package a process
// of its own in production. The library is loaded by absolute path only.
//
// A PIN is tried once. The token's flags are read first, a token that is
// locked or has one try left is not touched, and after a refused login the
// Module tries no further one.
//
// Keys are neither modifiable nor destroyable: they go with the token, when
// the security officer initialises it.
//
// # Errors
//
// Sentinels are matched with errors.Is. A failed PKCS#11 call is an *Error
// underneath, with a Class: retry (done once, after a short pause), reopen
// (sessions are replaced, objects found again by CKA_ID, and the call is made
// once more), operator and bug (never repeated). What is left of retry and
// reopen matches ErrUnavailable. Key generation is never repeated.
//
// # Concurrency
//
// Module, Token and keys are safe for concurrent use. One goroutine has a
// session at a time: two in one session crash some modules. Calls wait for a
// session as long as their context allows; a call inside the module can't be
// interrupted. While lost sessions are replaced, all calls of the token wait.
package hsm

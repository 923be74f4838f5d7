// Package hsm owns the way to a hardware security module through PKCS#11: one
// token found by its URI, bounded sessions that heal, keys that are audited,
// and the three things Specie asks of them (raw RSA for blind signatures, ECDSA
// for documents, AES-GCM for a secret at rest).
//
// It imports miekg/pkcs11 and the standard library, and is the only room that
// needs cgo. It must never import another room of Specie: it knows keys by
// label and nothing of banks, coins or money.
//
//	names      URI, ReadPINSource          where a key and its PIN are
//	tokens     Module, Token, Config       Open, or OpenModule and Module.Token
//	keys       RSAKey, ECDSAKey, AESKey    Generate, Find, list; Check and Audit
//	stock      Probe, Token.Items          what a token can do, what lies on it
//	           Token.Stats                 what it did
//	beginning  Module.InitToken            and end: Module.EraseToken
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
//     whose flags differ is refused with ErrAudit. Config.Absent names what a
//     token may lack, out of a short list, and never what it may have
//     otherwise.
//   - A signature is verified before it is released, a sealed box opened.
//   - Input is checked before the module sees it; some modules end the process
//     over a message of the wrong length.
//   - The public half of an RSA key is read from the private object; that of
//     an EC key is shown by a signature to belong to it.
//   - That nothing is found is believed of a token only while keys that were
//     loaded from it are there: a module whose token vanished finds nothing,
//     without an error.
//
// The module runs in this process: what reads its memory has the PIN, and a
// crash in it ends the process. Specie therefore gives the package a process
// of its own in production, and HideMemory keeps that one's memory from
// other processes of the same user and from core dumps. The library is loaded by absolute path only, and a
// token is named by what it says of itself, never by a slot number.
//
// A PIN comes from a file of its owner's alone, from a systemd credential or
// from whoever is asked, never from a URI or a command line, and is told by no
// value, log line or error of this package. It is tried once: the token's
// flags are read before every login, a token that is locked or has one try
// left is not touched, and after a refused login, in whatever words, the
// Module tries no further one. An answer that says neither yes nor no
// (CKR_DEVICE_ERROR, CKR_GENERAL_ERROR) counts as a try: it is repeated once,
// and not if the token's flags say that it cost one.
//
// Keys are neither modifiable nor destroyable: they go with the token, when
// the security officer initialises it (EraseToken).
//
// Few tokens know every attribute. Config.Absent names those that one lacks,
// and takes no name that a bank can't do without; Probe finds out which they
// are, and what the token is good for. Where a token refuses a template, no
// looser one is tried.
//
// # Outages
//
// Sessions get lost, tokens are pulled and put back, libraries forget. Who
// meets that begins an outage of the Token: a goroutine replaces all sessions,
// logs in, and looks whether known keys are there; if that fails, it reloads
// the library by C_Finalize and C_Initialize, for all Tokens of the Module
// together, since some libraries see a returned token only then. It goes on,
// with pauses of half a second to eight, until it succeeds, the Token is
// closed, or a login was refused. Tokens of the same library that are well are
// out for the milliseconds of a reload, which are spaced out further for their
// sake.
//
// A call waits a second for the first attempt, so that most losses are seen
// by nobody; after that calls fail at once until the outage is over. Then each
// key is found again by its CKA_ID and audited before it is used. A token
// that opens sessions and then fails every call is not healed in a loop: each
// loss in quick succession is answered later than the last.
//
// # Errors
//
// Sentinels are matched with errors.Is. A failed PKCS#11 call is an *Error
// underneath, with a Class: retry (done once, after a short pause), reopen
// (an outage; the call is made once more after it), operator and bug (never
// repeated). What is left of retry and reopen matches ErrUnavailable, as does
// ErrBusy. Key generation is never repeated.
//
// # Concurrency
//
// Module, Token and keys are safe for concurrent use. One goroutine has a
// session at a time: two in one session crash some modules. Calls wait for a
// session in the order of their coming, as long as their context allows, and
// no more of them than Config.Queue. A call inside the module can't be
// interrupted: when its context ends the caller is let go, and the session is
// free again when the module answers. Making a key, and Close, wait for that.
package hsm

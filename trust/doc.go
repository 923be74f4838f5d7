// Package trust owns who may say what: the pinned root, the roles that its
// certificates name, and documents signed under them.
//
// It imports the standard library, go-jose and trust/strictjson, and must
// never import another room of Specie: everything that is signed rests on it.
//
// # Trust
//
// One certificate is given from outside: the root, a P-384 CA that the
// central bank keeps offline. Below it the shape is fixed, and nothing else
// is accepted:
//
//	root ── bank master ── online signing key of the same bank
//	     ├─ group manager
//	     └─ supervisor
//
// A certificate names exactly one role as its only subject alternative name,
// "urn:specie:bank:<ID>" and the like. A document is a compact JWS (RFC 7515)
// with ES256 or ES384 by the key's curve, a "typ" that says what it is, and
// the chain in "x5c", leaf first and without the root. Who reads a document
// says which type and which role it must have, so a receipt never passes for
// a keyset, nor an online key for a master key.
//
// Merchants have no certificate: they sign with an Ed25519 key that the
// header carries, and are named by its RFC 7638 thumbprint (SignKeyed,
// VerifyKeyed). Such a document proves that the holder of that key signed it
// and nothing about who that is.
//
// ECDSA signatures are malleable and differ from one signing to the next:
// documents are told apart by the digest of the payload, never by the JWS.
// Certificates are not revoked: they are short-lived, and a keyset replaces
// what its predecessor said.
//
// # Errors
//
// Refusals wrap one of ErrMalformed, ErrType, ErrChain, ErrRole, ErrExpired
// and ErrSignature, to be matched with errors.Is. No text repeats the input.
//
// # Concurrency
//
// All functions are pure but for the clock and randomness they are given or
// take from crypto/rand. A *Root is immutable after ParseRoot.
package trust

// Package merchant owns the payee's side: offers, the checks before a payment
// is accepted, deposits, and both receipts.
//
// A spend is checked here before any bank is asked: the offer is this
// merchant's and open, the sums agree, every coin is under a known key and
// signed by the bank, every owner consents, and one TPM of the group owns all
// bound coins. Then the deposit request is persisted byte for byte and sent;
// repeating it is safe, and [Till.Resume] does so after a crash. An offer is
// paid once.
//
// # Trust
//
// The till pins the root certificate. Its Ed25519 key signs offers and
// holders' receipts; the file that holds it has mode 0600. The bank learns the
// offer's public part and the salt that opens the payee, never what was
// bought.
//
// # Errors
//
// [*Refusal] carries the stable code that the payer is told.
//
// # Concurrency
//
// A Till is safe for concurrent use.
//
// The package must build without cgo and must never import hsm, tpm, issuer,
// registration, ledger or server.
package merchant

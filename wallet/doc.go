// Package wallet owns the holder's side: the purse file, enrolling a TPM,
// withdrawing, paying, and finishing whatever a crash or a lost answer left
// open.
//
// # State
//
// A coin is fresh (spendable), committed (promised in a spend that was
// persisted before it was sent; no other spend may use it), spent, or dormant
// (restored, uncertain). An operation is prepared (its exact bytes are on
// disk), submitted, done or refused. [Wallet.Resume] replays what isn't
// closed, byte for byte; inputs are released on proof only, never on a guess.
//
// # Trust
//
// The wallet pins the root certificate and believes nothing else: keysets and
// group documents are verified against it, every coin under its key before it
// counts, and every presentation before it is sent. The purse file holds the
// seed; whoever reads it can spend bearer coins. Bound coins need the TPM
// besides.
//
// # Errors
//
// [Error] carries a stable code and a sentence for a person. Errors of the
// packages below stay matchable with errors.Is.
//
// # Concurrency
//
// One process opens a purse at a time; a Wallet is for one goroutine.
//
// The package must build without cgo, and must never import hsm, issuer,
// registration, ledger or server.
package wallet

// Package evidence owns what is left of a payment when everybody has gone home:
// one file with all papers about it, and the check of that file, offline and years
// later.
//
// A [File] may lack any paper; each that is there is judged by itself, and against
// the others. [Verify] answers with claims: what is proven, by whose signature,
// what fails, and what is not in the file.
//
//	offer     the merchant's signature over what he asked for
//	coins     the bank's, over every coin
//	owners    those of the coins' owners, over the payment of this very offer
//	deposit   the bank's, over what it credited
//	receipt   the merchant's, over what he was paid
//	conflict  that of a coin's owner, over another spend of it
//
// # Trust
//
// The root certificate alone. Certificates are judged at the date of the paper that
// they stand in, since they end long before a dispute does. So a key that was stolen
// could sign papers of any date; a newer keyset of the bank tells which it has
// revoked since, and is asked if it is given. Names of merchants are their own word:
// what is proven is which key signed.
//
// Nothing in a file is secret but its private part, which says what was bought; who
// has the rest can't spend anything with it.
//
// # Errors
//
// [ErrMalformed] for what is no such file. What is wrong in one is no error but a
// claim that fails.
//
// # Concurrency
//
// The package keeps no state.
//
// It must build without cgo and must never import wallet, merchant, issuer, ledger
// or server.
package evidence

// Package coin owns money as bytes: amounts, the bank's keyset, coins and how
// a wallet makes them, offers, spends and their authorisation, receipts, and
// the encodings of all of these.
//
// It is pure: no network, no file, no clock, no database. It imports frame,
// trust and group, the latter in binding.go and, for coins whose TPM is gone, in
// stead.go and recover.go; never hsm, tpm or anything above. All that Verify
// needs of a group signature is the interface PresentationVerifier, which
// binding.go adapts.
//
// # Coins
//
// A coin is RSABSSA-SHA384-PSS-Randomized (RFC 9474) over the deterministic
// CBOR of ["specie/coin/1", bank, kid, kind, owner]. A Planchet is a coin
// before the bank has struck it: all its secrets derive from the wallet's Seed
// and a number, so that a lost wallet makes the same blinded messages again
// and gets the same coins back. A Spend says where coins go; its frame is what
// their owners sign. Verify is the one list of checks, for merchant and bank.
//
// Coins whose key leaked or was lost are made good without the bank's
// signature: a Claim opens the output that they came from, once the wallet is
// willing to show that link (VerifyRecoup). Bound coins whose TPM is gone are
// recovered by whom the group manager says the member is now (VerifyRecover).
//
// # Trust
//
// ParseKeyset trusts the pinned root, nobody else. A keyset's key ids are
// recomputed and its promises compared with the keyset before it
// (CheckSuccessor). Bytes from outside are bounded before they are parsed,
// and read in one form only: CBOR and signed JSON are refused unless writing
// them again gives the same bytes (a keyset may have members that this version
// does not know; it says in crit which must be). No decoder verifies a
// signature: what is decoded is a claim, and Verify methods say what they
// prove.
//
// Unblinding and the wallet's derivations run on math/big, which is not
// constant-time: they belong on the holder's own machine. The bank's private
// keys never come near this package.
//
// # Errors
//
// Every refusal wraps one of the sentinels in errors.go or of package trust.
// The text beside it names the field, coin or output, never its content.
//
// # Concurrency
//
// Functions keep no state. A *Keyset, *Coin, *Spend, *Offer or *Planchet may
// be read from many goroutines as long as none of them writes.
package coin

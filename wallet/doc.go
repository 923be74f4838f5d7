// Package wallet owns the holder's side: the purse file, enrolling a TPM,
// withdrawing, paying, collecting refunds, having coins of dead keys made good and
// those of dead TPMs repaid, finding the coins of a lost purse, and finishing
// whatever a crash or a lost answer left open.
//
// A merchant may have the bank hold the coins before the payer authorises anything
// ([Wallet.Show]); what he gives back of a payment is collected as new coins
// ([Wallet.Refund]). The papers of a payment show a third party who did what, with
// nobody to ask ([Wallet.Evidence]).
//
// # State
//
// A coin is fresh (spendable), committed (promised to one operation; no other
// may use it), spent, or dormant (restored, uncertain). An operation is
// prepared (its exact bytes are on disk), submitted, done or refused.
// Everything is on disk before it is sent, and what was sent is repeated byte
// for byte until the outcome is known: see [Wallet.Resume].
//
// A coin that was promised comes back in three ways only: the payment is
// voided at the bank ([Wallet.Reclaim]); the bank refuses an exchange of bearer
// coins as not carried out; or a refusal shows an earlier spend of another of
// the payment's coins, with its owner's consent, and the bank says that it
// carried that one out. A merchant's refusal alone moves nothing: he could
// still deposit.
//
// A fresh coin whose key the bank has revoked, or lost before it signed the
// coin, is never chosen for anything; it can be made good ([Wallet.Recoup]). A
// coin that was never signed is kept without its signature.
//
// Nor is a bound coin whose TPM is gone, since the wallet succeeded itself in the
// group with another one; the bank repays it ([Wallet.Recover]). What that takes
// is kept from the moment when the coin was made.
//
// Nor is a bound coin chosen once the bank or the group manager has said that the
// membership has ended ([ErrEnded]): it is held. An open payment's bearer coins are
// taken back without such coins; those stay promised to it.
//
// Two copies of one purse are one owner, as the bank sees it. Whichever comes
// second is told, and keeps its books right. A purse that is lost is made again
// from its seed: the bank is asked about each coin number ([Wallet.Restore]), and
// bound coins that may be promised to a merchant sleep first ([DormantFor]).
//
// # Files
//
// The purse is one file, encrypted, with what locks it in another beside it
// ("purse.lock" for "purse.db"): the purse's key, wrapped by the TPM, by a
// passphrase or by nothing ([LockKind]), and always by the seed, which is written
// down as words ([SeedWords]). [Open] is told by [Unlock] who opens it; [Relock]
// changes the lock, [Seal] encrypts a purse of before, [Adopt] opens another
// machine's by its words. docs/protocol.md has the format.
//
// The key in the TPM lies in another file, in the directory
// "keys" beside it, named by the group and the beginning of the key's digest:
// wrapped by that TPM, in the format of package tpm. It is on the disk for good
// before anybody is shown the key, and the purse knows the key's Name. Its PIN is
// asked for where it is needed ([TPM]) and written nowhere.
//
// # Trust
//
// The wallet pins the root certificate and believes nothing else: keysets and
// group documents are verified against it and never rolled back, every coin
// under its key before it counts, and every presentation before it is sent.
// The purse holds the seed; whoever opens it, or has its words, can spend bearer
// coins. A page of it that was altered is noticed, an old one put back is not: see
// package sqlitefile. Key and seed are overwritten after use as far as Go allows.
// Bound coins need the TPM besides, and the PIN if its key has one.
//
// A group document whose register of warrants does not continue the one seen
// last is refused loudly ([ErrRegister]), and the old one kept: the two convict
// the manager.
//
// # Privacy
//
// The account's token goes with questions about the account and withdrawals,
// never with anything about coins that are spent. A recoup shows the bank
// where the coins in it come from, a recover that they are one person's; both
// are only begun when asked for, and so is a restore, which shows it all that one
// purse ever drew. A refund goes through the merchant: the bank sees outputs, and no
// owner. Keyset
// and group document are kept for a while, so that a payment at a till need
// not be announced to the bank or the group manager by a request. A TPM's maker is
// asked for its certificate only if the person allowed it.
//
// # Errors
//
// The Err variables, matched with errors.Is. [ErrOpen] means that nobody here
// knows whether the other side did it: resume. A refusal in a server's words
// is a *client.Problem; errors of the packages below stay matchable.
//
// # Concurrency
//
// One process opens a purse at a time; a Wallet is for one goroutine.
//
// The package must build without cgo, and must never import hsm, issuer,
// registration, ledger or server.
package wallet

// Package issuer owns the bank's rules: accounts, withdrawals, deposits,
// exchanges, recoups, recoveries, fundings, receipts and what is shown when a
// coin comes twice.
//
// It knows no HTTP, no database and no PKCS#11: state goes through package
// ledger, signatures through [BlindSigner] and [ReceiptSigner], groups through
// [Groups]. It must never import hsm, a ledger driver, server or anything
// above.
//
// # The order of things
//
// Every request that moves money runs through the same steps, and each step
// stands where it does because money is lost otherwise:
//
//  1. The request's id, a hash of its content, is looked up. What is recorded
//     is answered again, whatever expired, was spent or ran dry since.
//  2. Everything is checked: dates, sums, signatures.
//  3. One ledger operation debits, credits, marks coins as spent and keeps the
//     exact request, all or nothing. The ledger looks at the id once more, so
//     two requests that pass step 1 together still happen once.
//  4. Only after that is durable does the token sign blinded messages. RSA is
//     deterministic: a retry signs again and gets the same bytes, so the
//     signatures are not stored.
//  5. A signature leaves the signer only if it verifies against the message
//     (see [BlindSigner]): one wrong signature gives the key away.
//
// A receipt is made before step 3 and recorded with it, because an ECDSA
// signature differs each time and a repeated request must get the same bytes;
// it is worth nothing until the operation is recorded, and does not leave
// before.
//
// # Books
//
// Accounts are holder/<id>, merchant/<id>, circulation/<kid>/issued,
// circulation/<kid>/redeemed and reserve. What the bank owes is positive; the
// reserve is negative by as much. A withdrawal moves from holder to issued, a
// deposit from redeemed to merchant, an exchange from redeemed to issued, a
// recoup or recover from redeemed to issued or back to holder, a refund from
// merchant to issued, a funding from the reserve
// to an account. Issued only grows and redeemed only
// falls: where they come to less than nothing, the key has leaked, and the bank
// says so at that very operation.
//
// A payout moves from an account to the reserve. The counter settled/<account> is
// the time of an account's newest payout, withdrawn/<account>/<day> what it has
// withdrawn that day.
//
// Coins of each key have a spent set of their own, named by the key's id: a
// date would not do, since a later keyset may extend spend_until, and a set
// that changes its name forgets what is in it. Beside it stands the key's made
// set, of the blinded messages that the bank has signed: each is signed for one
// operation ([ErrOutputUsed]).
//
// # Accounts and tokens
//
// Holders and merchants have money, operators and supervisors are staff. An
// access token is 256 random bits, of which the ledger keeps the hash; it allows
// its scopes until it expires or is revoked, and makes no token that allows more
// than itself. A suspended account gets what was recorded again and sees what is
// its own; each rule asks that after step 1, as it does whether the bank drains
// and whether a limit is reached.
//
// # Restoration
//
// On a ledger that was restored from a backup the bank does not open
// (ErrFenced) before the operator has begun to reconcile, and moves nothing
// (ErrReconciling) before he has finished, but deposits that it gave a receipt
// for: see BeginReconciliation and [Bank.Redeposit].
//
// # Trust
//
// The bank's keyset comes signed from a ceremony and is only served; the
// [Root] decides. The next one comes into force by [Bank.Reload], under the same
// checks as the first and those of a successor. Callers have checked nothing but that a token belongs to an
// account ([Bank.Authenticate]). A merchant can deposit only what is payable
// to the merchant id of his account. Exchanges and recoups need no account: the
// coins' owners authorise them. For coins whose TPM is gone, the member does who
// is their owner by the group manager's word ([Bank.Recover]).
//
// # Errors
//
// Refusals match an Err variable of this package, of coin, or a
// *DoubleSpendError. After [ErrUnavailable], or the end of a context, the
// operation may or may not be recorded: repeat the request unchanged.
//
// # Concurrency
//
// A Bank may be used from any number of goroutines and holds no lock across
// them: the ledger orders what must be ordered. A keyset comes into force
// without waiting for requests or making them wait; each ends by the one that
// it began with.
package issuer

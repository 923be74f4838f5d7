// Package ledger owns durable state: what a bank's ledger and a group
// manager's register promise to those who write to them. It defines types,
// interfaces and the bytes that are hashed into the journal; drivers such as
// ledger/sqlite keep the promise. It knows no rule of banking or membership
// except atomicity and uniqueness: state machines, limits, expiry and
// signatures belong to the packages above.
//
// It must never import a driver, coin, group or any package above it; frame,
// CBOR for backups and the standard library are enough.
//
// # Operations
//
// An [Op] is the unit of change: it marks ids as spent, moves amounts between
// accounts, and records the exact request that caused it, all or nothing. Its
// id is the idempotency key. [Ledger.Apply] asks five questions in this
// order, and the first that is answered yes ends the matter:
//
//  1. Is the op's id recorded? Then the outcome is Replayed, with the op as
//     it was recorded, whatever is wrong with the new one.
//  2. Is one of its spends taken? Then Conflict, naming the ops that took
//     them, whose requests are the evidence.
//  3. Is one of its spends kept by a hold under another id that is open at the
//     op's time, or have MaxStrikes tries been made under its own? Then Held,
//     with the hold.
//  4. Would a counter in Quotas pass its Max? Then Exceeded.
//  5. Would an account in Floors fall below zero? Then Insufficient.
//
// Otherwise it is Applied. Drivers commit concurrent ops together, but the
// outcomes are those of some order of applying them one after the other.
// Nothing is answered, not even a refusal, before what it rests on is
// durable.
//
// What was recorded never changes. An op's state and answer may be settled
// later by [Ledger.SetAnswer], which appends: a state leaves
// [StatePending] once, and an answer, once there, stays.
//
// # Holds and quotas
//
// A [Hold] keeps coins for the one op that has its id. It needs nobody to end
// it: an op is compared with it by the op's own time, and so is another hold.
// Quotas are counters that ops raise; what an op counted is part of it, and
// a counter is their sum.
//
// # Accounts and books
//
// An account is named by a path such as holder/7f3a, merchant/19c0,
// circulation/<kid> or reserve; its first element is its class. Postings need
// no account record: records exist for the accounts somebody logs in to.
// Amounts are minor units; every op's postings sum to zero in each currency,
// hence so does the whole ledger.
//
// # Spent sets
//
// Each key epoch has a spent set of its own, opened by [Ledger.OpenEpoch]
// before first use and never opened by accident: an op naming an unopened
// epoch is refused, or a set that was archived would come back empty and
// every coin in it could be spent again. An id must always be used with the
// same epoch; uniqueness is within the epoch. Whatever must happen at most
// once can have such a set: coins spent, blinded messages signed.
//
// # Journal
//
// Every change is one [Record] of a journal, hash-chained per lane, a lane
// being one writer's sequence. [Ledger.Verify] recomputes all of it from the
// rows. A chain shows alteration, not the loss of its newest end: whoever
// needs that publishes the heads that Verify returns.
//
// # Backups
//
// [Ledger.Dump] shows a store whole, [Ledger.Load] fills an empty one of any
// driver with it, and [WriteBackup] and [ReadBackup] put a stream of bytes
// between. A store that was restored lacks what came after the backup: Load
// raises a [Fence], and what may be done before it is lowered belongs to
// package issuer. Who puts an old copy of the store itself in its place raises
// nothing; a [Witness] beside it finds that out.
//
// # Trust
//
// The caller is trusted to have verified signatures, to compute ids from
// content, and to seal what must be secret before storing it: a ledger
// encrypts nothing. Values that end in SQL identifiers (epochs) are checked
// against a fixed alphabet. Tokens are stored and looked up as SHA-256
// hashes of high-entropy secrets, so the time of a lookup tells nothing
// useful.
//
// # Errors
//
// Outcomes are not errors: Replayed, Conflict, Held, Exceeded and Insufficient
// are answers.
// Errors match one of the Err variables by errors.Is. After
// [ErrUnavailable] or the end of a context the op may or may not have been
// recorded; replaying it with the same id is always safe and is the only way
// to know. Every other error means that nothing was recorded.
//
// # Concurrency
//
// Every method of Ledger and Register may be called from many goroutines at
// once. A call that returned has its effect visible to every later call.
package ledger

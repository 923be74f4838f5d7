// Package postgres keeps a bank's ledger in a PostgreSQL database, version 15
// or newer: for a bank that has outgrown one file, or wants its books on
// several machines. Any number of processes may work on one database at once.
// A group manager's register is small and stays in SQLite.
//
// It owns the schema, its migrations and the goroutine that writes in batches.
// It imports ledger and pgx, and must never import a package above ledger.
//
// The SQL is what CockroachDB and YugabyteDB document too: no savepoints,
// notifications, advisory locks, triggers, inheritance, sequences, deferred
// constraints or partial indexes. PostgreSQL alone is what it is tested with.
//
// # Writing
//
// Each process has one writer (see package batch), which commits what is
// waiting in one transaction at READ COMMITTED: it locks, then looks up, then
// decides in memory, then writes, and what it could not lock is decided by the
// writing itself. Locks are taken in one order everywhere: lanes, quotas,
// balances, holders, ops, coins by epoch and id, beats. A transaction that
// finds that its picture was not true any more, or is told so by SQLSTATE
// 40001 or 40P01, is rolled back and run again whole. At a higher level of
// isolation than READ COMMITTED the same holds, with more of the latter.
//
// What two processes may do to each other, and why it ends well:
//
//   - The same op at once. Its id is unique; the second INSERT waits for the
//     first's commit, then inserts fewer rows than it was given: run again, the
//     op is found recorded and Replayed. The same holds for a spent coin, which
//     is then a Conflict, and for two answers to one op. Each repetition is
//     caused by a row that stays for ever, so that a batch of one call is
//     repeated a few times at most; a batch of many is split into such.
//   - A journal. Records are appended under the lock of the lane's row.
//   - A floor. Whoever asks for one locks the balance's row, folds in the
//     deltas that are committed and writes the new amount under that lock: of
//     two withdrawals the second sees the first. What other batches post to the
//     account at the same moment without a floor, they append as deltas and
//     lock nothing; the two then count as done in the order in which neither
//     saw the other. So no row is hot but one that people withdraw from. Two ops
//     that each take from the other's floored account without a floor of their
//     own have no such order and may both be applied: who puts a floor under an
//     account puts one wherever he takes from it, as package issuer does.
//   - A quota. Its counter is locked, also by who only asks.
//   - A hold and a spend of the same coin. Who places a hold inserts the coin
//     into its spent set and deletes it again before the commit, so that of the
//     two the later waits for the earlier: a hold that comes second finds the
//     coin spent; a spend that comes second looks at the holds after its INSERT
//     and finds the hold. Two holds meet in the same way.
//   - An epoch. Its row is unique, and its table made in the same transaction.
//   - Migrations. The schema is made in one transaction, of which the second
//     process's fails and finds it made; later versions are made under the
//     lock of the version's row.
//
// Locks come before everything that is looked up, hence whoever waited for
// another's lock sees all that he wrote. A balance is checked to stay within
// ±ledger.MaxAmount against what is committed; one beyond a 64th of that is
// locked like a floor, so that a few processes can't pass it together.
//
// # Answers
//
// On a cluster with synchronous standbys a row can be visible on the leader
// that no standby has: its commit was interrupted while it waited. Were it
// answered for, and the leader lost, a spent coin would be unspent. So every
// answer of Apply, SetAnswer and whatever else writes, refusals and replays
// included, and whatever Op and SpentBy find, comes of a transaction that wrote
// something itself, if only to a row of its own (table beats): its commit is
// confirmed after, and thereby with, all that it saw.
//
// A COMMIT that is answered by a WARNING, by any error but 40001 and 40P01, or
// not at all, may have happened or not. The connection is closed, the callers
// get ledger.ErrUnavailable, and the op's id tells when it comes again.
//
// Every connection is refused whose server is in recovery or read-only, is
// older than 15, or has fsync off or synchronous_commit off or local; then
// synchronous_commit is set to on, and warnings are asked for. A connection that was lost is made anew at the next
// call, to whichever of the URL's hosts takes writes.
//
// # Trust
//
// As package ledger says: the rows are trusted no further than Verify checks
// them. The database's role can do anything to them. All SQL text is constant
// but for the names of epochs, whose alphabet ledger.ValidEpoch guards. The URL
// may hold a password and is in no error and no log; passfile and PGPASSFILE
// keep it out of the configuration.
//
// # Errors
//
// As package ledger says. Nothing closes a store for good: what is on the disk
// is the server's business.
//
// # Concurrency
//
// As package ledger says. Verify and Dump read one snapshot; while they last,
// the server cannot clean up after deletes.
package postgres

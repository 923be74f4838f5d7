// Package sqlite keeps a bank's ledger, or a group manager's register, in one
// SQLite file each: the embedded default, good for one machine.
//
// It owns the files, their schema and the one goroutine that writes to each.
// It imports ledger, ledger/batch and the SQLite driver, and must never import a
// package above ledger.
//
// # Group commit
//
// A file has one writer, a goroutine with a connection of its own. Callers
// queue; the writer takes whatever is waiting, up to Options.Batch calls,
// decides them one after the other in memory against what it looked up for
// all of them at once, writes the outcome as multi-row inserts with keys
// sorted, and commits once: one fsync for the batch. Only then is any of them
// answered. A batch that fails is rolled back and its calls are tried one by
// one, so that a call that cannot be recorded takes no other with it.
// Readers have a pool of connections and wait for nobody.
//
// # Files
//
// The journal mode is WAL with synchronous=FULL: what was answered survives
// the loss of power. The file and its -wal and -shm companions are made
// readable by their owner only. Their directory must exist.
//
// No code in a process that has a store open may open its file by other
// means: the close of any descriptor drops the process's POSIX locks on the
// file, and SQLite then corrupts it. Copies are made with VACUUM INTO, or by
// another process through SQLite. Another process may have the same file open
// through this package, as an audit does: writers take turns.
//
// # Trust
//
// The file is trusted no further than Verify checks it; whoever can write to
// it can rewrite the journal from any record on, which only a head kept
// elsewhere shows. All SQL text is constant but for the names of epochs,
// whose alphabet ledger.ValidEpoch guards.
//
// # Errors
//
// As package ledger says. An error of the disk or a damaged file met while
// writing closes the store to further writes until it is opened anew: after
// a failed fsync nobody can say what is on the disk. A full disk does not:
// the call fails with ledger.ErrUnavailable, and works again when there is
// room.
//
// # Concurrency
//
// As package ledger says. A long read, such as Verify or Dump, keeps the WAL
// from being folded into the file while it lasts; writing goes on. Load is one
// transaction, for which everybody waits and the WAL holds all of it.
package sqlite

// Package batch is what the drivers of package ledger have in common, however
// they store: the queue in which calls wait for the one writer, who takes as
// many as are there and commits them together, and the questions that decide
// an op against a picture of what the store says.
//
// It stores nothing and must never import a driver or SQL; ledger and the
// standard library are enough.
//
// # Trust
//
// A [Picture] is believed: whoever draws it answers for its being one
// consistent state of the store, or for finding out before the commit that it
// was not.
//
// # Errors
//
// Those of package ledger.
//
// # Concurrency
//
// A [Queue] serves any number of callers and one writer. A Picture belongs to
// one goroutine.
package batch

// Package dashboard owns the operator's first page: how a bank stands and what
// moved, as charts and sentences. It only reads: everything on it comes of one
// request to the bank's back office (GET /admin/v1/figures), and of the metrics
// of the process that holds the token, if it is told where they are.
//
// It serves plain net/http and writes charts as SVG itself. It imports the
// generated client, package coin for amounts and package gate, and must never
// import issuer, ledger or server: it sees no more of a bank than the interface
// tells.
//
// # Trust
//
// What is shown is a bank's own: it stands behind a [gate.Gate], whose code the
// program prints. Names and reasons in it were written by others and are text,
// escaped by html/template. The page fetches nothing from anywhere else and
// needs no script; the one that it has, its own, brings it up to date.
//
// # Errors
//
// A bank that does not answer is a page that says so, with what to do.
//
// # Concurrency
//
// The handler may be called from any number of goroutines. All browsers
// together ask the bank at most once a second for each view.
package dashboard

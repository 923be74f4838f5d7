// Package apitest holds recorded traffic to the contract: whatever a test
// sends and gets over HTTP is compared with the OpenAPI files of package api.
//
// A [Contract] stands before a handler or behind a client. It fails the test
// on a route, a status, a header or a member that the file does not declare,
// and on success in answer to a request that the file forbids.
//
// # Trust
//
// None in either side: both are what is tested.
//
// # Errors
//
// Everything is told through testing.TB.
//
// # Concurrency
//
// A Contract may be used by any number of goroutines. A file is read and
// validated once in a process.
//
// Only tests import it.
package apitest

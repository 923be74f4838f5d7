// Package docstest reads the pages that people read and hands their commands
// to tests: what a page says to type is typed by a test, in the page's order.
//
// Three things of a page are for tests:
//
//   - a block of the language sh holds commands that the test runs;
//   - a block of the language console holds commands behind "$ " and what they
//     answer, which must be so up to times, ids, ports and spaces;
//   - a comment <!-- test: LINE -->, which a reader does not see, is a line for
//     the test between two blocks; <!-- file: NAME and the lines up to --> are a
//     file that lies there when the test begins, such as what somebody types.
//
// [Page.Script] makes a testscript of all that, [Page.Shell] one run of a shell.
// A test that reads a page and does not take all of its blocks fails. Which
// test runs which page stands in docs_test.go at the top of the tree, which
// also follows every link.
//
// # Trust
//
// The pages are those of this tree; nothing foreign is read.
//
// # Errors
//
// All functions take a test and end it.
//
// # Concurrency
//
// A Page is one test's.
package docstest

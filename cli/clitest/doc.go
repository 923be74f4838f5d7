// Package clitest owns the rules that Specie's command-line programs keep, as
// tests: each program's own tests call Conforms with its grammar, and what is
// held there is the same for all of them.
//
// The rules, beside those of package cli: every command and every flag says what
// it is for; the help of every command has an example that begins with the
// command and can be typed as it stands; a flag that takes a value says of what
// kind, and flags of one name mean one kind of thing in all programs; a command
// has a result, and prints it so that --json is honoured; a mistyped flag or
// command is usage, status 2, and the near one is suggested; docs/cli.md lists
// every command with its line of help, and every environment variable.
//
// # Trust
//
// The package trusts the tests that call it. Only tests import it.
//
// # Errors
//
// What is broken is told through testing.TB, one line for each breach, with the
// command and what to do about it.
//
// # Concurrency
//
// Conforms changes the working directory, so its test can't be parallel.
package clitest

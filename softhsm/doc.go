// Package softhsm provisions SoftHSM tokens for development and tests: finds
// the module, writes a private configuration and token directory, and
// initialises tokens through the PKCS#11 interface, so that no PIN is ever an
// argument of a command.
//
// It imports hsm and the standard library and must never be imported by a
// production path: tokens in files protect nothing from whoever reads the
// files. (Package ceremony rehearses on throw-away tokens; no key of those is
// ever used.)
//
// # Trust
//
// Keys in a SoftHSM token are encrypted under the PIN and otherwise only as
// safe as the directory, which is made for its owner alone (0700).
//
// # Errors
//
// ErrNotInstalled if there is no module, ErrDirectory if the directory can't
// be used. What the module refuses comes as the errors of package hsm.
//
// # Concurrency
//
// SoftHSM reads the environment variable SOFTHSM2_CONF when it is
// initialised, and there is one environment per process: a process works with
// one Provisioned at a time. Methods are otherwise safe for concurrent use.
package softhsm

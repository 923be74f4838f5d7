// Package wallettest makes a town for tests of wallet, merchant and the
// commands: a bank with its keys in SoftHSM and a group manager with emulated
// TPMs, both behind their real HTTP handlers under one root, on the machine's
// clock, which a test can set forward. Everything is real but the wire, which
// loses requests and answers on command.
//
// It must not be imported by anything but tests. A package that uses it runs
// its tests through [Main].
package wallettest

// Package desktest uses the till's page as a seller does, in a real Chromium: a
// real till, a real bank with its keys in SoftHSM, and wallets on emulated TPMs
// that read the offer's code from the screen. It makes the pictures of
// docs/merchant.md.
//
// It holds tests only.
package desktest

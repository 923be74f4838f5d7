// Package client owns what every client of Specie's HTTP interfaces shares:
// how a refusal is read, and the till's one route. The clients of the issuer
// and of the group manager are generated from their contracts into the
// packages below.
//
// # Errors
//
// [*Problem] is a refusal in the server's words (RFC 9457). Any other error
// means that the outcome is unknown: repeat the same bytes.
//
// The package must build without cgo and never import echo or a room above
// the contract.
package client

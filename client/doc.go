// Package client owns what every client of Specie's HTTP interfaces shares:
// how a refusal is read, and the till's one route. The clients of the issuer
// and of the group manager are generated from their contracts into the
// packages below.
//
// # Errors
//
// [*Problem] is a refusal in the server's words (RFC 9457). [ErrAddress] means
// that nothing was sent. Any other error, [ErrAnswer] included, means that the
// outcome is unknown: repeat the same bytes.
//
// # Trust
//
// None in any server. An answer is bounded before it is read, a redirect is
// not followed, and what a server says is made harmless for the terminal that
// shows it.
//
// # Concurrency
//
// Functions may be called from several goroutines at once.
//
// The package must build without cgo and never import echo or a room above
// the contract.
package client

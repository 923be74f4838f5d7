// Package server owns HTTP: routes, limits, access tokens, problem documents,
// health and metrics. It translates and decides nothing; the rules are in
// issuer and registration.
//
// It is the only package that imports echo, and must never be imported by
// anything but a daemon's main and tests. What is generated from api/*.yaml
// stands in the packages below it and is not edited.
//
// # Trust
//
// Every byte of a request is a stranger's. A route exists only if its table
// names it, with the largest body it takes and who may call it; the access
// token is checked before the body is read. Bodies are read by
// trust/strictjson: a member that is not known, or that stands twice, is
// refused. The operator's routes are never registered on the public listener:
// they are served on a UNIX socket that only the daemon's own user can open, and
// by [ListenStaff] to staff elsewhere, who come with a client certificate and an
// access token. So are the metrics: what is redeemed under each key, and when,
// tells a stranger what somebody has just paid with.
//
// The daemons speak plain HTTP and belong behind something that ends TLS
// unless they listen on loopback.
//
// # Errors
//
// A refusal is an RFC 9457 problem document with a stable "code" ([Code]).
// Callers match on the code, never on the text; [ProblemTypes] has all of them,
// and docs/problems.md is made of it. An error that no rule names is logged in
// full, under the request's id, and answered as "internal" without its text.
//
// # Concurrency
//
// Handlers may be called from any number of goroutines. [Serve] returns when
// its context ends and running requests are done or out of time.
package server

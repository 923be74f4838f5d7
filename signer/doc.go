// Package signer owns the way from a process that faces the world to the one
// that holds the PKCS#11 module and its PIN: a protocol over a UNIX socket,
// its server and its client.
//
// It imports package coin, for the ids under which a bank knows its keys, and
// the standard library. It must never import hsm or pkcs11: the server works
// on small interfaces that a daemon's main fills, and the client's process is
// the one that must not load a module.
//
// Keys are known by the SHA-256 of their public key in X.509's form, the AES
// key of a group manager by its label. The server knows nothing of money.
//
// # Protocol
//
// Both sides greet with 16 bytes that name the version; a client also speaks
// with a server of the version before. Then frames of 4 bytes
// length and that many of body go both ways. A request has an id, an
// operation and how long its caller waits; an answer has the request's id, a
// status, and the result or a text. Any number of requests are in flight and
// are answered in any order. What is ready together is written together. Up to 16
// blinded messages are signed on one request, all or none: what it costs to be
// woken is paid once.
//
// # Trust
//
// The server lets in processes of its own user and of those that its
// configuration names, as the kernel tells (SO_PEERCRED), and reads no byte
// of others. The socket is made with a mode of 0600, or 0660 for a group, in
// a directory that nobody else can write to. Every byte of a request is
// foreign nevertheless: it is bounded before it is read, and the key checks
// what it is given. Who is let in may have anything signed that the keys can
// sign: a web-facing process that is broken into misuses them while it is
// there, but takes neither key nor PIN away.
//
// The client talks to a server of its own user, of root, and of those that its
// configuration names, as the kernel tells, and believes what it answers. The
// server's keys verify every
// signature before they return it ([BlindKey]); to do so again would cost a
// twelfth of the rate and show nothing but faults of memory in between.
//
// # Errors
//
// Sentinels are matched with errors.Is; [ErrBusy] and [ErrClosed] match
// ErrUnavailable. Every operation is a function of its input, or of no
// consequence if repeated, so every call may be made again.
//
// # Concurrency
//
// Server, Client and what they hand out are safe for concurrent use. Each
// token has as many workers as sessions; they serve the users in turn, and
// each user's connections in turn, so a flood of one delays the others by one
// operation each, which is 16 signatures at most. Connections and requests that wait are bounded, in equal
// parts for the users who are let in. A connection that
// does not read its answers, or sends more than its share, stops nobody but
// itself. A client whose server is gone connects again and sends what was not
// answered once more; callers notice nothing but the time it takes, which
// their context and [ClientConfig].Timeout bound.
package signer

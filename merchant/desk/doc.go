// Package desk owns the till's own side: what the merchant's browser and the
// merchant's web shop reach, on a listener apart from the payers'. It serves the
// page (package page), and below /desk/v1 what api/desk.yaml says: offers, sales as
// they go on, refunds, takings and what is kept without the bank.
//
// # Trust
//
// Whoever gets past this desk can give the merchant's money back to payers, and take
// none of it. A browser shows the access code that the till was started with and gets
// a session, in a cookie that no other site can send and no script read; a program
// shows a desk key. Codes are compared in constant time and guessing is slowed down.
// Requests are answered under the till's own names only, so that no foreign name can
// be made to mean this machine (DNS rebinding), and those that change something only
// if they come from the page itself, or with a desk key. The page may load nothing
// but what this desk serves.
//
// # Errors
//
// Refusals are problem+json (RFC 9457) with a stable code; what went wrong inside
// stays in the log.
//
// # Concurrency
//
// A Desk is safe for concurrent use. Streams of events are few, and each is as fast
// as its reader: one that takes nothing for ten seconds is ended.
//
// The package must never import anything that package merchant must not, and net/http
// is its only server.
package desk

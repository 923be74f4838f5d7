// Package desk owns the till's own side: what the merchant's browser and the
// merchant's web shop reach, on a listener apart from the payers'. It serves the
// page (package page), and below /desk/v1 what api/desk.yaml says: offers, sales as
// they go on, refunds, takings and what is kept without the bank.
//
// # Trust
//
// Whoever gets past this desk can give the merchant's money back to payers, and take
// none of it. A browser comes in by package gate, with the access code that the till
// was started with; a program shows a desk key. What changes something must come from
// the page itself, or with a desk key. The page may load nothing but what this desk
// serves.
//
// # Errors
//
// Refusals are problem+json (RFC 9457) with a stable code, but for the gate's; what went wrong inside
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

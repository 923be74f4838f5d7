// Package transcript owns the record of a ceremony: an append-only file of
// JSON lines, each chained to the one before, closed by a signature.
//
//	{"seq":1,"prev":"00…","at":"2026-11-21T12:00:00Z","event":"opened","data":{…}}
//	{"seq":2,"prev":"<hash of line 1>",…,"event":"token",…}
//	…
//	{…,"event":"closed","data":{"by":"urn:specie:root",…,"signature":"…"}}
//
// The hash of an entry is SHA-256(frame.Join("specie/transcript/1", line)),
// the line without its line feed; prev of the first entry is zeros. [Writer]
// writes, [Read] reads and checks the chain, [Transcript.VerifyClose] the
// signature. What events there are, and their data, is in events.go; a
// transcript holds all that a later reader needs: the plan's and roster's
// text, the approvals, and the hash of every file that came in or went out.
//
// It imports trust, trust/strictjson, frame and ceremony/paper, and must
// never import hsm or ceremony: an auditor reads without either.
//
// # Trust
//
// The chain shows a line that was removed, changed or moved; the closing
// signature, over the hash of the last line before it, shows who vouches for
// the whole, and without it the file proves nothing. Who had to close which
// ceremony, package ceremony knows. Times are what the machine said.
//
// # Durability
//
// An entry is on disk when Append returns. A process that dies in the middle
// of a line leaves a torn one, which [Resume] cuts off: what it would have
// recorded had not been begun. While a Writer is open nobody else gets one
// for the same file.
//
// # Errors
//
// Refusals wrap one of the Err variables here, or those of trust and paper.
//
// # Concurrency
//
// A Writer may be used from one goroutine at a time. A *Transcript is not
// changed after it was read.
package transcript

package transcript

import (
	"errors"
	"unicode/utf8"

	"github.com/speciecash/specie/frame"
)

// Event says what an entry is about.
type Event string

// The events, with the type of their data.
const (
	EventOpened     Event = "opened"     // Opened: the first entry
	EventRehearsed  Event = "rehearsed"  // Rehearsed
	EventToken      Event = "token"      // Token: a token was opened
	EventGenerating Event = "generating" // Generating: a key is about to be made
	EventKey        Event = "key"        // Key: a key was made or found, audited and tried
	EventErasing    Event = "erasing"    // Destroyed: a token is about to be erased
	EventDestroyed  Event = "destroyed"  // Destroyed: it was
	EventResumed    Event = "resumed"    // Resumed: after an interruption
	EventReceived   Event = "received"   // Received: another's file was taken in
	EventOutput     Event = "output"     // Output: a file's content is settled
	EventClosed     Event = "closed"     // Closed: the last entry of a ceremony that was done
	EventAbandoned  Event = "abandoned"  // Abandoned: the last entry of one that was given up
)

// Text is text that a transcript holds byte for byte: a plan, a roster, an
// approval. It must be valid UTF-8, or it is not written.
type Text string

// MarshalText implements encoding.TextMarshaler. encoding/json would put a
// replacement for what is not UTF-8, and the digest would be another.
func (t Text) MarshalText() ([]byte, error) {
	if !utf8.ValidString(string(t)) {
		return nil, errors.New("text is not UTF-8")
	}
	return []byte(t), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Text) UnmarshalText(text []byte) error {
	*t = Text(text)
	return nil
}

// Opened says what was to be done, who agreed to it, and with which tool.
type Opened struct {
	Ceremony string  `json:"ceremony"` // kind
	Plan     Text    `json:"plan"`
	Digest   Hash    `json:"digest"` // of the plan with its inputs, see PlanDigest
	Inputs   []Input `json:"inputs,omitempty"`
	// Roster is empty, and there are no approvals, where a plan names none.
	Roster    Text   `json:"roster"`
	Approvals []Text `json:"approvals,omitempty"`
	// Former is the roster of the ceremony before, where it is another one:
	// when officers change, those who were must have agreed too.
	Former Text `json:"former_roster,omitempty"`
	// Follows is the Head of the transcript of the ceremony before.
	Follows *Hash `json:"follows,omitempty"`
	Build   Build `json:"build"`
}

// Input is a file that the plan names, in the order of its fields.
type Input struct {
	Field  string `json:"field"` // such as "root.certificate"
	Path   string `json:"path"`  // as it stands in the plan
	SHA256 Hash   `json:"sha256"`
}

// PlanDigest is what officers approve: SHA-256 of the framed plan's bytes and,
// for every input in order, its field's name and SHA-256. A changed input is a
// changed plan; where a file lies is in the plan's own text.
func PlanDigest(plan []byte, inputs []Input) Hash {
	parts := [][]byte{[]byte("specie/ceremony/1"), plan}
	for _, in := range inputs {
		parts = append(parts, []byte(in.Field), in.SHA256[:])
	}
	return Hash(frame.Digest(parts...))
}

// Build says which program ran the ceremony, as it knows itself.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision"` // of the source, "" if unknown
	Modified bool   `json:"modified"` // the source had changes beside the revision
	Go       string `json:"go"`
}

// Rehearsed says that the whole plan went through on throw-away tokens.
type Rehearsed struct {
	Keys int  `json:"keys"` // how many were made, and thrown away
	OK   bool `json:"ok"`
}

// Token is a token as it describes itself.
type Token struct {
	Label        string `json:"label"`
	Serial       string `json:"serial"`
	Manufacturer string `json:"manufacturer"`
	Model        string `json:"model"`
	Firmware     string `json:"firmware"`
}

// Generating is written before a key is made, so that after a crash it is
// known whose the key under that label is.
type Generating struct {
	Token string `json:"token"` // label
	Label string `json:"label"`
	Kind  string `json:"kind"` // "EC P-384", "RSA 3072", "AES 256"
}

// Key is a key that was read back from its token.
type Key struct {
	Token string `json:"token"`
	Label string `json:"label"`
	Kind  string `json:"kind"`
	// ID is SHA-256 of SPKI, for a denomination key its key id; both are empty
	// for a secret key.
	ID       string `json:"id"`
	SPKI     []byte `json:"spki,omitempty"` // DER
	CKAID    string `json:"cka_id"`
	Audited  bool   `json:"audited"`   // every attribute is as it must be
	SelfTest bool   `json:"self_test"` // it signed, or sealed and opened, something that is worth nothing
	Made     bool   `json:"made"`      // in this ceremony; false if it was there before
}

// Destroyed is a token that was erased with all its keys.
type Destroyed struct {
	Token  string   `json:"token"`
	Serial string   `json:"serial"`
	Keys   []string `json:"keys,omitempty"` // ids of the keys on it; labels where there is no public half
}

// Resumed says that a later run took up the ceremony.
type Resumed struct {
	Seq   uint64 `json:"seq"` // of the last entry that it found
	Build Build  `json:"build"`
}

// Received is a file of another party to the same ceremony, which was not
// there when the plan was approved: a card, a dealing.
type Received struct {
	From   string `json:"from"` // id
	Path   string `json:"path"` // relative to where the plan's paths lead
	SHA256 Hash   `json:"sha256"`
}

// Output is a file whose content is settled. It is in its place once the
// transcript is closed.
type Output struct {
	Path   string `json:"path"` // as it stands in the plan
	SHA256 Hash   `json:"sha256"`
	Secret bool   `json:"secret"` // of mode 0600
}

// Abandoned says why a ceremony was given up, and which labels are taken.
type Abandoned struct {
	Reason string   `json:"reason"`
	Keys   []string `json:"keys,omitempty"` // "token/label"
}

// Package warrant owns the paper by which officers order that one member's
// payments be traced, and nobody else's.
//
// It is made by the ceremony "revoke" in its form for a member, signed by the
// group manager ([trust.TypWarrant]), and asked for by the supervisors, who
// hold the tracing secret. It holds the approved plan, the hashes of the
// plan's inputs, the roster and the approvals, so that a supervisor sees for
// himself who decided and what exactly: the manager's signature alone is not
// enough.
//
// It imports trust, trust/strictjson, groupdoc/enrol, ceremony/approval,
// ceremony/paper and ceremony/transcript (for the digest of a plan), needs no
// C, and must never import ceremony or hsm.
//
// # Trust
//
// [Parse] verifies that the manager of the warrant's own group signed, that
// the roster it holds is the one that the approved plan names by its hash, and
// that the roster's quorum approved this very plan, which names group, member,
// case, reason and end. Whether these are the officers that the reader
// believes in is his to say: compare [Warrant.Rosters] with the roster that is
// published.
//
// # Errors
//
// ErrWarrant, ErrExpired, and those of trust and ceremony/approval.
//
// # Concurrency
//
// All functions are pure.
package warrant

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"

	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

var (
	// ErrWarrant: the document is malformed, or its parts do not belong
	// together.
	ErrWarrant = errors.New("warrant: refused")
	// ErrExpired: the warrant's time is over, or has not begun.
	ErrExpired = errors.New("warrant: not in force")
)

// Bounds.
const (
	// Max bounds a warrant's payload, in bytes.
	Max       = 1 << 20
	maxCase   = 64  // characters
	maxReason = 512 // characters

	ceremony      = "revoke"
	fieldOfficers = "officers"
	instantLayout = "2006-01-02T15:04:05Z"
)

// Order is what a warrant orders.
type Order struct {
	Group  string    // the manager's id
	Member string    // the member's id, as groupdoc/enrol writes it
	Case   string    // 1 to 64 printable characters
	Reason string    // 1 to 512
	Until  time.Time // the first instant at which it orders nothing any more
}

// Check refuses what no warrant may say, with ErrWarrant.
func (o *Order) Check() error {
	if err := trust.CheckID(o.Group); err != nil {
		return fmt.Errorf("%w: group: %w", ErrWarrant, err)
	}
	if _, err := enrol.ParseID(o.Member); err != nil {
		return fmt.Errorf("%w: member: not an id", ErrWarrant)
	}
	if !readable(o.Case, maxCase) {
		return fmt.Errorf("%w: case: 1 to %d printable characters", ErrWarrant, maxCase)
	}
	if !readable(o.Reason, maxReason) {
		return fmt.Errorf("%w: reason: 1 to %d printable characters", ErrWarrant, maxReason)
	}
	if o.Until.IsZero() || o.Until.Nanosecond() != 0 {
		return fmt.Errorf("%w: until: an instant in whole seconds", ErrWarrant)
	}
	return nil
}

func readable(s string, most int) bool {
	n := len([]rune(s))
	return n > 0 && n <= most && strings.TrimSpace(s) == s && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// Warrant is an order and what makes it one.
type Warrant struct {
	Order
	IssuedAt time.Time
	// Plan is the approved plan's text, Inputs the files it names with their
	// hashes; both make the digest that was approved.
	Plan   []byte
	Inputs []transcript.Input
	// Rosters are those whose quorum approved: the plan's own, and the one
	// before it where officers changed with this ceremony.
	Rosters   [][]byte
	Approvals [][]byte
}

type payload struct {
	Version   int                `json:"v"`
	Group     string             `json:"group"`
	Member    string             `json:"member"`
	Case      string             `json:"case"`
	Reason    string             `json:"reason"`
	IssuedAt  string             `json:"issued_at"`
	Until     string             `json:"until"`
	Digest    transcript.Hash    `json:"digest"`
	Plan      transcript.Text    `json:"plan"`
	Inputs    []transcript.Input `json:"inputs"`
	Rosters   []transcript.Text  `json:"rosters"`
	Approvals []transcript.Text  `json:"approvals"`
}

// Marshal returns the payload to be signed as trust.TypWarrant by the group's
// manager. A warrant whose parts do not belong together is not written: the
// errors are those of Parse.
func (w *Warrant) Marshal() ([]byte, error) {
	if _, err := w.Approved(); err != nil {
		return nil, err
	}
	out, err := json.Marshal(payload{
		Version: 1, Group: w.Group, Member: w.Member, Case: w.Case, Reason: w.Reason,
		IssuedAt: w.IssuedAt.Format(instantLayout), Until: w.Until.Format(instantLayout),
		Digest: transcript.PlanDigest(w.Plan, w.Inputs), Plan: transcript.Text(w.Plan), Inputs: w.Inputs,
		Rosters: texts(w.Rosters), Approvals: texts(w.Approvals),
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWarrant, err)
	}
	if len(out) > Max {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrWarrant, len(out), Max)
	}
	return out, nil
}

// Parse reads and verifies a signed warrant at the given time. Errors:
// ErrWarrant, ErrExpired, those of trust.Root.Verify and approval.Verify.
func Parse(root *trust.Root, jws []byte, at time.Time) (*Warrant, error) {
	doc, err := root.Verify(bytes.TrimSpace(jws), trust.TypWarrant, trust.RoleGroup, at)
	if err != nil {
		return nil, fmt.Errorf("warrant: %w", err)
	}
	w, err := read(doc.Payload)
	if err != nil {
		return nil, err
	}
	if doc.Signer.ID != w.Group {
		return nil, fmt.Errorf("%w: for group %s, signed by %s", ErrWarrant, w.Group, doc.Signer)
	}
	if at.Before(w.IssuedAt) || !at.Before(w.Until) {
		return nil, fmt.Errorf("%w: from %s until %s", ErrExpired, w.IssuedAt.Format(instantLayout), w.Until.Format(instantLayout))
	}
	return w, nil
}

// read reads a payload and checks that its parts belong together.
func read(data []byte) (*Warrant, error) {
	var j payload
	if err := strictjson.Unmarshal(data, Max, &j); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrWarrant, err)
	}
	if j.Version != 1 {
		return nil, fmt.Errorf("%w: of version %d", ErrWarrant, j.Version)
	}
	issued, err1 := time.Parse(instantLayout, j.IssuedAt)
	until, err2 := time.Parse(instantLayout, j.Until)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("%w: a time is written like %s", ErrWarrant, instantLayout)
	}
	w := &Warrant{
		Order:    Order{Group: j.Group, Member: j.Member, Case: j.Case, Reason: j.Reason, Until: until},
		IssuedAt: issued, Plan: []byte(j.Plan), Inputs: j.Inputs, Rosters: rawTexts(j.Rosters), Approvals: rawTexts(j.Approvals),
	}
	if j.Digest != transcript.PlanDigest(w.Plan, w.Inputs) {
		return nil, fmt.Errorf("%w: digest", ErrWarrant)
	}
	if _, err := w.Approved(); err != nil {
		return nil, err
	}
	return w, nil
}

// Approved verifies that plan, roster and approvals belong together and order
// what the warrant says, and returns who approved.
func (w *Warrant) Approved() ([]approval.Approved, error) {
	if err := w.Check(); err != nil {
		return nil, err
	}
	if err := w.checkPlan(); err != nil {
		return nil, err
	}
	if len(w.Rosters) < 1 || len(w.Rosters) > 2 {
		return nil, fmt.Errorf("%w: %d rosters, 1 or 2 expected", ErrWarrant, len(w.Rosters))
	}
	if len(w.Inputs) == 0 || w.Inputs[0].Field != fieldOfficers || w.Inputs[0].SHA256 != sha256.Sum256(w.Rosters[0]) {
		return nil, fmt.Errorf("%w: the roster is not the approved plan's", ErrWarrant)
	}
	var rosters []*approval.Roster
	for _, text := range w.Rosters {
		r, err := approval.ParseRoster(text)
		if err != nil {
			return nil, err
		}
		rosters = append(rosters, r)
	}
	return approval.Verify(rosters, w.Approvals, ceremony, transcript.PlanDigest(w.Plan, w.Inputs))
}

// checkPlan holds the order against the plan that was approved.
func (w *Warrant) checkPlan() error {
	var plan struct {
		Ceremony string `yaml:"ceremony"`
		Member   struct {
			Group  string `yaml:"group"`
			Member string `yaml:"member"`
			Case   string `yaml:"case"`
			Reason string `yaml:"reason"`
			Until  string `yaml:"until"`
		} `yaml:"member"`
	}
	if len(w.Plan) > Max {
		return fmt.Errorf("%w: plan of %d bytes", ErrWarrant, len(w.Plan))
	}
	if err := yaml.Load(w.Plan, &plan); err != nil {
		return fmt.Errorf("%w: plan: %w", ErrWarrant, err)
	}
	m := plan.Member
	if plan.Ceremony != ceremony || m.Group != w.Group || m.Member != w.Member || m.Case != w.Case || m.Reason != w.Reason ||
		m.Until != w.Until.Format(instantLayout) {
		return fmt.Errorf("%w: the approved plan orders something else", ErrWarrant)
	}
	return nil
}

func texts(in [][]byte) []transcript.Text {
	out := make([]transcript.Text, len(in))
	for i, b := range in {
		out[i] = transcript.Text(b)
	}
	return out
}

func rawTexts(in []transcript.Text) [][]byte {
	var out [][]byte
	for _, t := range in {
		out = append(out, []byte(t))
	}
	return out
}

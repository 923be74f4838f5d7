// Package order owns the paper by which officers order that one member's
// payments be traced, and nobody else's.
//
// It is made by the ceremony "revoke" in its form for a member, signed by the
// group manager ([trust.TypOrder]), and asked for by the supervisors, who
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
// [Parse] verifies that the manager of the order's own group signed, that
// the roster it holds is the one that the approved plan names by its hash, and
// that the roster's quorum approved this very plan, which names group, member,
// case, reason and end. Whether these are the officers that the reader
// believes in is his to say: compare [Order.Rosters] with the roster that is
// published.
//
// # Errors
//
// ErrOrder, ErrExpired, and those of trust and ceremony/approval.
//
// # Concurrency
//
// All functions are pure.
package order

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
	// ErrOrder: the document is malformed, or its parts do not belong
	// together.
	ErrOrder = errors.New("order: refused")
	// ErrExpired: the order's time is over, or has not begun.
	ErrExpired = errors.New("order: not in force")
)

// Bounds.
const (
	// Max bounds an order's payload, in bytes.
	Max       = 1 << 20
	maxCase   = 64  // characters
	maxReason = 512 // characters

	ceremony      = "revoke"
	fieldOfficers = "officers"
	instantLayout = "2006-01-02T15:04:05Z"
)

// Terms is what an order orders.
type Terms struct {
	Group  string    // the manager's id
	Member string    // the member's id, as groupdoc/enrol writes it
	Case   string    // 1 to 64 printable characters
	Reason string    // 1 to 512
	Until  time.Time // the first instant at which it orders nothing any more
}

// Check refuses what no order may say, with ErrOrder.
func (o *Terms) Check() error {
	if err := trust.CheckID(o.Group); err != nil {
		return fmt.Errorf("%w: group: %w", ErrOrder, err)
	}
	if _, err := enrol.ParseID(o.Member); err != nil {
		return fmt.Errorf("%w: member: not an id", ErrOrder)
	}
	if !readable(o.Case, maxCase) {
		return fmt.Errorf("%w: case: 1 to %d printable characters", ErrOrder, maxCase)
	}
	if !readable(o.Reason, maxReason) {
		return fmt.Errorf("%w: reason: 1 to %d printable characters", ErrOrder, maxReason)
	}
	if o.Until.IsZero() || o.Until.Nanosecond() != 0 {
		return fmt.Errorf("%w: until: an instant in whole seconds", ErrOrder)
	}
	return nil
}

func readable(s string, most int) bool {
	n := len([]rune(s))
	return n > 0 && n <= most && strings.TrimSpace(s) == s && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// Order is an order and what makes it one.
type Order struct {
	Terms
	IssuedAt time.Time
	// Plan is the approved plan's text, Inputs the files it names with their
	// hashes; both make the digest that was approved.
	Plan   []byte
	Inputs []transcript.Input
	// Rosters are those whose quorum approved: the plan's own, and the one
	// before it where officers changed with this ceremony.
	Rosters   [][]byte
	Approvals [][]byte
	// Digest is SHA-256 of the signed payload, by which a supervisors' warrant
	// names the order; zero until Parse read it.
	Digest [32]byte
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

// Marshal returns the payload to be signed as trust.TypOrder by the group's
// manager. An order whose parts do not belong together is not written: the
// errors are those of Parse.
func (o *Order) Marshal() ([]byte, error) {
	if _, err := o.Approved(); err != nil {
		return nil, err
	}
	out, err := json.Marshal(payload{
		Version: 1, Group: o.Group, Member: o.Member, Case: o.Case, Reason: o.Reason,
		IssuedAt: o.IssuedAt.Format(instantLayout), Until: o.Until.Format(instantLayout),
		Digest: transcript.PlanDigest(o.Plan, o.Inputs), Plan: transcript.Text(o.Plan), Inputs: o.Inputs,
		Rosters: texts(o.Rosters), Approvals: texts(o.Approvals),
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOrder, err)
	}
	if len(out) > Max {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrOrder, len(out), Max)
	}
	return out, nil
}

// Parse reads and verifies a signed order at the given time. Errors:
// ErrOrder, ErrExpired, those of trust.Root.Verify and approval.Verify.
func Parse(root *trust.Root, jws []byte, at time.Time) (*Order, error) {
	doc, err := root.Verify(bytes.TrimSpace(jws), trust.TypOrder, trust.RoleGroup, at)
	if err != nil {
		return nil, fmt.Errorf("order: %w", err)
	}
	o, err := read(doc.Payload)
	if err != nil {
		return nil, err
	}
	o.Digest = doc.Digest
	if doc.Signer.ID != o.Group {
		return nil, fmt.Errorf("%w: for group %s, signed by %s", ErrOrder, o.Group, doc.Signer)
	}
	if at.Before(o.IssuedAt) || !at.Before(o.Until) {
		return nil, fmt.Errorf("%w: from %s until %s", ErrExpired, o.IssuedAt.Format(instantLayout), o.Until.Format(instantLayout))
	}
	return o, nil
}

// read reads a payload and checks that its parts belong together.
func read(data []byte) (*Order, error) {
	var j payload
	if err := strictjson.Unmarshal(data, Max, &j); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrOrder, err)
	}
	if j.Version != 1 {
		return nil, fmt.Errorf("%w: of version %d", ErrOrder, j.Version)
	}
	issued, err1 := time.Parse(instantLayout, j.IssuedAt)
	until, err2 := time.Parse(instantLayout, j.Until)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("%w: a time is written like %s", ErrOrder, instantLayout)
	}
	o := &Order{
		Terms:    Terms{Group: j.Group, Member: j.Member, Case: j.Case, Reason: j.Reason, Until: until},
		IssuedAt: issued, Plan: []byte(j.Plan), Inputs: j.Inputs, Rosters: rawTexts(j.Rosters), Approvals: rawTexts(j.Approvals),
	}
	if j.Digest != transcript.PlanDigest(o.Plan, o.Inputs) {
		return nil, fmt.Errorf("%w: digest", ErrOrder)
	}
	if _, err := o.Approved(); err != nil {
		return nil, err
	}
	return o, nil
}

// Approved verifies that plan, roster and approvals belong together and order
// what the order says, and returns who approved.
func (o *Order) Approved() ([]approval.Approved, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if err := o.checkPlan(); err != nil {
		return nil, err
	}
	if len(o.Rosters) < 1 || len(o.Rosters) > 2 {
		return nil, fmt.Errorf("%w: %d rosters, 1 or 2 expected", ErrOrder, len(o.Rosters))
	}
	if len(o.Inputs) == 0 || o.Inputs[0].Field != fieldOfficers || o.Inputs[0].SHA256 != sha256.Sum256(o.Rosters[0]) {
		return nil, fmt.Errorf("%w: the roster is not the approved plan's", ErrOrder)
	}
	var rosters []*approval.Roster
	for _, text := range o.Rosters {
		r, err := approval.ParseRoster(text)
		if err != nil {
			return nil, err
		}
		rosters = append(rosters, r)
	}
	return approval.Verify(rosters, o.Approvals, ceremony, transcript.PlanDigest(o.Plan, o.Inputs))
}

// checkPlan holds the order against the plan that was approved.
func (o *Order) checkPlan() error {
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
	if len(o.Plan) > Max {
		return fmt.Errorf("%w: plan of %d bytes", ErrOrder, len(o.Plan))
	}
	if err := yaml.Load(o.Plan, &plan); err != nil {
		return fmt.Errorf("%w: plan: %w", ErrOrder, err)
	}
	m := plan.Member
	if plan.Ceremony != ceremony || m.Group != o.Group || m.Member != o.Member || m.Case != o.Case || m.Reason != o.Reason ||
		m.Until != o.Until.Format(instantLayout) {
		return fmt.Errorf("%w: the approved plan orders something else", ErrOrder)
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

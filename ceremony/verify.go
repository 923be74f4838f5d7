package ceremony

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

// Verifier checks again, from what a ceremony left, that it was what it says.
// It needs the transcript and the outputs; no token, no PKCS#11 library and no
// plan file. Inputs are used where they are at hand.
type Verifier struct {
	// Root is the root that the reader pins, also for the ceremony that made
	// it.
	Root *trust.Root
	// Roster is who may approve, as the reader knows from elsewhere. Without
	// one, the roster in the transcript is believed, and the report says so.
	Roster *approval.Roster
	// Dir is where the plan's relative paths lead. A file that is not there is
	// looked for in Dir itself, by its name alone.
	Dir string
	// Now is the reader's clock; nil is time.Now.
	Now func() time.Time
}

// Standing says what became of a claim.
type Standing string

// The standings.
const (
	Holds     Standing = "holds"
	Fails     Standing = "fails"
	Unchecked Standing = "unchecked" // a file that it needs is not at hand
)

// Claim is something that a ceremony says of itself, and how it was found.
type Claim struct {
	Claim    string   `json:"claim"`
	Standing Standing `json:"standing"`
	Detail   string   `json:"detail,omitempty"`
}

// Report is what a verification found.
type Report struct {
	Ceremony Kind                `json:"ceremony"`
	Digest   transcript.Hash     `json:"digest"`
	Began    time.Time           `json:"began"`
	Closed   time.Time           `json:"closed"`
	By       string              `json:"by"` // urn of who closed it
	Approved []approval.Approved `json:"approved"`
	Claims   []Claim             `json:"claims"`
}

// errNotAtHand leaves a claim unchecked.
var errNotAtHand = errors.New("not at hand")

// Verify checks a transcript and the outputs that it names. The report lists
// every claim that could be looked at, also when the error says that one of
// them fails: ErrClaim, beside the error of the check itself. A transcript
// that can't be read, or whose plan can't, has no report.
func (v *Verifier) Verify(data []byte) (*Report, error) {
	t, err := transcript.Read(data)
	if err != nil {
		return nil, err
	}
	c, err := v.open(t)
	if err != nil {
		return nil, err
	}
	c.all()
	return c.report, errors.Join(c.failed...)
}

// open begins a verification.
func (v *Verifier) open(t *transcript.Transcript) (*check, error) {
	opened, err := t.Opened()
	if err != nil {
		return nil, err
	}
	plan, err := Parse([]byte(opened.Plan), v.Dir)
	if err != nil {
		return nil, fmt.Errorf("the plan in the transcript: %w", err)
	}
	first, last := &t.Entries[0], &t.Entries[len(t.Entries)-1]
	return &check{
		Verifier: v, t: t, opened: opened, plan: plan, began: first.At, outputs: make(map[string][]byte),
		report: &Report{Ceremony: plan.Kind, Digest: opened.Digest, Began: first.At, Closed: last.At},
	}, nil
}

// check is one verification.
type check struct {
	*Verifier
	t      *transcript.Transcript
	opened *transcript.Opened
	plan   *Plan
	began  time.Time // when it was opened: the time that outputs carry

	by      trust.Name
	chain   [][]byte // closing certificates, DER
	keys    []transcript.Key
	outputs map[string][]byte          // by field; those at hand that are what they should be
	have    map[transcript.Hash][]byte // files that were read already; nil for a stranger

	report *Report
	failed []error
}

// claim notes what a check found, and says whether the claim holds.
func (c *check) claim(what string, look func() (detail string, err error)) bool {
	detail, err := look()
	claim := Claim{Claim: what, Standing: Holds, Detail: detail}
	switch {
	case errors.Is(err, errNotAtHand):
		claim.Standing, claim.Detail = Unchecked, err.Error()
	case err != nil:
		claim.Standing, claim.Detail = Fails, err.Error()
		c.failed = append(c.failed, fmt.Errorf("%w: %s: %w", ErrClaim, what, err))
	}
	c.report.Claims = append(c.report.Claims, claim)
	return err == nil
}

// all goes through the claims, those that others rest on first.
func (c *check) all() {
	c.claim("no line was removed, changed or added", func() (string, error) {
		return fmt.Sprintf("%d entries in one chain", len(c.t.Entries)), nil // or Read had refused it
	})
	c.claim("closed by the one who answers for it", c.closedBy)
	c.claim("the digest is that of the plan and its inputs", c.digest)
	c.claim("the officers approved this very plan", c.approvals)
	c.claim("the officers are the published ones", c.pinned)
	if c.plan.Kind != KindRoot {
		c.claim("the plan's root is the one that is pinned", c.root)
	}
	c.claim("its times are not ahead of the clock here", c.past)
	// A root comes first. Whatever else follows nothing has officers whom
	// nobody before them consented to.
	if c.plan.Kind != KindRoot {
		c.claim("it follows the ceremony before", c.follows)
	}
	c.plan.body.verify(c)
}

// past: nothing happened later than now. What a clock that ran ahead signed
// says that keys and certificates are over which are not.
func (c *check) past() (string, error) {
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	latest := now().Add(coin.MaxAhead)
	for i := range c.t.Entries {
		if e := &c.t.Entries[i]; e.At.After(latest) {
			return "", fmt.Errorf("%w: entry %d is of %s", ErrClock, e.Seq, e.At.Format(instantLayout))
		}
	}
	return "", nil
}

// file returns a file that a plan names, if it is at hand with that content.
// Inputs of the same name may have been replaced since.
func (c *check) file(path string, sum transcript.Hash, max int) ([]byte, error) {
	if data, ok := c.have[sum]; ok {
		return data, nil
	}
	var other error
	for _, name := range []string{inDir(c.Dir, path), filepath.Join(c.Dir, filepath.Base(path))} {
		data, err := paper.Read(name, max)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case sha256.Sum256(data) == sum:
			return data, nil
		}
		other = fmt.Errorf("%w: %s is another file than the one in the transcript", ErrInput, path)
	}
	if other != nil {
		return nil, other
	}
	return nil, fmt.Errorf("%w: %s", errNotAtHand, path)
}

// input returns an input file by its field. One that is there with another
// content was exchanged: that is worse than one that is not there. A
// supervisor's request, and a file that is only looked for beside the others,
// may have made room for another of that name.
func (c *check) input(field string) ([]byte, error) {
	for _, in := range c.opened.Inputs {
		if in.Field != field {
			continue
		}
		data, err := c.file(in.Path, in.SHA256, transcript.MaxSize)
		if errors.Is(err, ErrInput) && (field == "request" || !there(inDir(c.Dir, in.Path))) {
			return nil, fmt.Errorf("%w: %s as it was then", errNotAtHand, in.Path)
		}
		return data, err
	}
	return nil, fmt.Errorf("%w: %s is not an input", ErrInput, field)
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

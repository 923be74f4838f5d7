package ceremony

import (
	"fmt"
	"time"

	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/transcript"
)

// prepare reads and judges what every plan has, and then what its kind has.
func (p *Plan) prepare(d *desk) (act, error) {
	if err := p.load(); err != nil {
		return nil, err
	}
	if _, err := p.Rosters(); err != nil {
		return nil, err
	}
	if _, err := d.before(); err != nil {
		return nil, err
	}
	return p.body.prepare(d)
}

// agreement is who agreed to a ceremony.
type agreement struct {
	rosters   [][]byte
	approvals [][]byte
	follows   *transcript.Hash
}

// agree verifies that enough officers approved this plan: of its own roster,
// and of the one before if officers change.
func (r *Runner) agree(d *desk, earlier *transcript.Transcript) (*agreement, error) {
	rosters, texts, err := d.plan.rosters()
	if err != nil {
		return nil, err
	}
	a := &agreement{rosters: texts, approvals: r.Approvals}
	before, err := d.before()
	if err != nil {
		return nil, err
	}
	if before != nil {
		head := before.Head()
		a.follows = &head
	}
	if earlier != nil && len(earlier.Entries) > 0 {
		opened, err := earlier.Opened()
		if err != nil {
			return nil, err
		}
		a.approvals = nil
		for _, text := range opened.Approvals {
			a.approvals = append(a.approvals, []byte(text))
		}
	}
	digest, err := d.plan.Digest()
	if err != nil {
		return nil, err
	}
	if _, err := approval.Verify(rosters, a.approvals, string(d.plan.Kind), digest); err != nil {
		return nil, err
	}
	begins := d.at
	if earlier != nil && len(earlier.Entries) > 0 {
		begins = earlier.Entries[0].At
	}
	return a, first(timely(a.approvals, d.at), recent(a.approvals, begins))
}

// drift is by how much an officer's clock may be ahead of the one here.
const drift = 5 * time.Minute

// timely refuses approvals that were given after they are used: a clock is
// wrong, here or there, and what is signed next would carry its time.
func timely(approvals [][]byte, at time.Time) error {
	for _, data := range approvals {
		a, err := approval.Parse(data)
		if err != nil {
			return err
		}
		if a.At.After(at.Add(drift)) {
			return fmt.Errorf("%w: it says %s, and %s approved at %s", ErrClock, at.Format(instantLayout), a.Officer, a.At.Format(instantLayout))
		}
	}
	return nil
}

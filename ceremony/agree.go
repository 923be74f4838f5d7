package ceremony

import (
	"fmt"

	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/transcript"
)

// prepare reads and judges what every plan has, and then what its kind has.
func (p *Plan) prepare(d *desk) (act, error) {
	if err := p.load(); err != nil {
		return nil, err
	}
	if _, err := p.Roster(); err != nil {
		return nil, fmt.Errorf("%w: officers: %w", ErrInput, err)
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
	a := &agreement{rosters: [][]byte{d.plan.files[0].data}, approvals: r.Approvals}
	own, err := d.plan.Roster()
	if err != nil {
		return nil, err
	}
	rosters := []*approval.Roster{own}
	before, err := d.before()
	if err != nil {
		return nil, err
	}
	if before != nil {
		head := before.Head()
		a.follows = &head
		opened, err := before.Opened()
		if err != nil {
			return nil, err
		}
		old, err := approval.ParseRoster([]byte(opened.Roster))
		if err != nil {
			return nil, fmt.Errorf("%w: follows: %w", ErrInput, err)
		}
		if old.Digest() != own.Digest() {
			rosters, a.rosters = append(rosters, old), append(a.rosters, []byte(opened.Roster))
		}
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
	_, err = approval.Verify(rosters, a.approvals, string(d.plan.Kind), digest)
	return a, err
}

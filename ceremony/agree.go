package ceremony

import (
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
	_, err = approval.Verify(rosters, a.approvals, string(d.plan.Kind), digest)
	return a, err
}

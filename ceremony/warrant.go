package ceremony

import (
	"context"
	"fmt"

	"github.com/speciecash/specie/ceremony/warrant"
	"github.com/speciecash/specie/trust"
)

// traced is the member whose payments are to be traced.
type traced struct {
	Group  string  `yaml:"group"`
	Member string  `yaml:"member"`
	Case   string  `yaml:"case"`
	Reason string  `yaml:"reason"`
	Until  instant `yaml:"until"`
}

func (t *traced) order() warrant.Order {
	return warrant.Order{Group: t.Group, Member: t.Member, Case: t.Case, Reason: t.Reason, Until: t.Until.Time}
}

func (p *revokePlan) validateMember() error {
	if p.Member == nil || p.Manager == nil {
		return fmt.Errorf("%w: member and manager go together", ErrPlan)
	}
	order := p.Member.order()
	if err := order.Check(); err != nil {
		return fmt.Errorf("%w: member: %w", ErrPlan, err)
	}
	return p.Manager.validate("manager")
}

func (p *revokePlan) prepareMember(d *desk) (act, error) {
	manager, err := p.Manager.as(d, "manager", trust.Name{Role: trust.RoleGroup, ID: p.Member.Group})
	if err != nil {
		return nil, err
	}
	if !d.at.Before(p.Member.Until.Time) {
		return nil, fmt.Errorf("%w: member: the warrant ends before it is issued", ErrPlan)
	}
	return func(ctx context.Context, b *bench) (*signatory, error) {
		s, err := b.signatory(ctx, manager)
		if err != nil {
			return nil, err
		}
		_, err = b.output("warrant", func() ([]byte, error) {
			w := warrant.Warrant{
				Order: p.Member.order(), IssuedAt: b.at, Plan: d.plan.text, Inputs: d.plan.inputs(),
				Rosters: b.agreed.rosters, Approvals: b.agreed.approvals,
			}
			payload, err := w.Marshal()
			if err != nil {
				return nil, err
			}
			jws, err := s.sign(trust.TypWarrant, payload, b.at)
			if err != nil {
				return nil, err
			}
			if _, err := warrant.Parse(s.root, jws, b.at); err != nil {
				return nil, fmt.Errorf("ceremony: the new warrant: %w", err)
			}
			return jws, nil
		})
		return s, err
	}, nil
}

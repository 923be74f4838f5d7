package ceremony

import (
	"context"
	"fmt"

	"github.com/speciecash/specie/ceremony/order"
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

func (t *traced) terms() order.Terms {
	return order.Terms{Group: t.Group, Member: t.Member, Case: t.Case, Reason: t.Reason, Until: t.Until.Time}
}

func (p *revokePlan) validateMember() error {
	if p.Member == nil || p.Manager == nil {
		return fmt.Errorf("%w: member and manager go together", ErrPlan)
	}
	terms := p.Member.terms()
	if err := terms.Check(); err != nil {
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
		return nil, fmt.Errorf("%w: member: the order ends before it is issued", ErrPlan)
	}
	return func(ctx context.Context, b *bench) (*signatory, error) {
		s, err := b.signatory(ctx, manager)
		if err != nil {
			return nil, err
		}
		_, err = b.output("order", func() ([]byte, error) {
			w := order.Order{
				Terms: p.Member.terms(), IssuedAt: b.at, Plan: d.plan.text, Inputs: d.plan.inputs(),
				Rosters: b.agreed.rosters, Approvals: b.agreed.approvals,
			}
			payload, err := w.Marshal()
			if err != nil {
				return nil, err
			}
			jws, err := s.sign(trust.TypOrder, payload, b.at)
			if err != nil {
				return nil, err
			}
			if _, err := order.Parse(s.root, jws, b.at); err != nil {
				return nil, fmt.Errorf("ceremony: the new order: %w", err)
			}
			return jws, nil
		})
		return s, err
	}, nil
}

package registration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/speciecash/specie/ledger"
)

// metaKinds is where the register keeps, by manufacturer, the kind of endorsement
// key with which his TPMs became members. A TPM has keys of several kinds: were
// another taken, each of them could become a member once more.
const metaKinds = "ek-kinds"

func (m *Manager) usedKinds(ctx context.Context) (map[string]string, error) {
	b, err := m.cfg.Register.Meta(ctx, metaKinds)
	if err != nil {
		return nil, err
	}
	used := make(map[string]string)
	if err := json.Unmarshal(b, &used); err != nil {
		return nil, fmt.Errorf("registration: recorded kinds of endorsement keys do not read: %w", ledger.ErrCorrupt)
	}
	return used, nil
}

// checkKinds refuses a policy that takes another kind from a manufacturer than
// before (ErrPolicy). In a register with members from before kinds were put down,
// those in force count as used. The caller holds m.kinds, or nobody else has m.
func (m *Manager) checkKinds(ctx context.Context, p *policy) error {
	used, err := m.usedKinds(ctx)
	if errors.Is(err, ledger.ErrNotFound) {
		used, err = m.assumeKinds(ctx, p)
	}
	if err != nil {
		return stored("kinds", err)
	}
	for _, maker := range p.EKRoots.Manufacturers() {
		if kind, ok := used[maker.ID]; ok && kind != maker.EK {
			return fmt.Errorf("%w: %s is to be taken from %s, and TPMs of his are members with %s: each could become one again",
				ErrPolicy, maker.EK, maker.ID, kind)
		}
	}
	return nil
}

func (m *Manager) assumeKinds(ctx context.Context, p *policy) (map[string]string, error) {
	used := make(map[string]string)
	members, err := m.hasMembers(ctx)
	if err != nil {
		return nil, err
	}
	for _, maker := range p.EKRoots.Manufacturers() {
		if members {
			used[maker.ID] = maker.EK
		}
	}
	return used, m.putKinds(ctx, used)
}

// useKind puts down that a TPM of this manufacturer becomes a member. The caller
// holds m.kinds.
func (m *Manager) useKind(ctx context.Context, maker, kind string) error {
	used, err := m.usedKinds(ctx)
	if err != nil {
		return stored("kinds", err)
	}
	if _, ok := used[maker]; ok {
		return nil // the policy in force was checked against it
	}
	used[maker] = kind
	return stored("kinds", m.putKinds(ctx, used))
}

func (m *Manager) putKinds(ctx context.Context, used map[string]string) error {
	b, err := encodeRecord(used)
	if err != nil {
		return err
	}
	return m.cfg.Register.SetMeta(ctx, metaKinds, b)
}

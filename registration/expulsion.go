package registration

import (
	"context"
	"errors"
	"fmt"

	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/ledger"
)

// checkExpulsion refuses a member whom a warrant in the register says to expel, and
// that is in force now: ErrExpulsion, which tells its reference. The warrant may
// be about an earlier membership of his.
func (m *Manager) checkExpulsion(ctx context.Context, row *ledger.Member) error {
	list, err := m.expulsions(ctx)
	if err != nil || len(list) == 0 {
		return err
	}
	for range maxLine {
		who, err := m.show(row, false)
		if err != nil {
			return err
		}
		if w, ok := list[who.Subject]; ok {
			return fmt.Errorf("%w: reference %q, until %s", ErrExpulsion, w.Reference, w.Until.Format("2006-01-02 15:04 MST"))
		}
		if row.Succeeds == [16]byte{} {
			return nil
		}
		if row, err = m.member(ctx, row.Succeeds); err != nil {
			return err
		}
	}
	return fmt.Errorf("registration: expulsion: %w: successions without end", ledger.ErrCorrupt)
}

// expulsions are the warrants to expel that are in force now, by subject. They
// were verified when they were entered.
func (m *Manager) expulsions(ctx context.Context) (map[warrant.Subject]*warrant.Warrant, error) {
	now := m.Now()
	out := make(map[warrant.Subject]*warrant.Warrant)
	for after := uint64(0); ; {
		page, err := m.cfg.Register.Warrants(ctx, after, ledger.MaxPage)
		if err != nil {
			return nil, stored("warrants", err)
		}
		if len(page) == 0 {
			return out, nil
		}
		for i := range page {
			after = page[i].Seq
			if warrant.Scope(page[i].Scope) != warrant.Expel {
				continue
			}
			jws, err := m.WarrantPapers(ctx, page[i].Digest)
			if errors.Is(err, ErrNoPapers) {
				m.log.Warn("a warrant to expel can't be read: its papers were lost; enter it again", "number", page[i].Seq)
				continue
			}
			if err != nil {
				return nil, err
			}
			w, _, _, err := warrant.Signed(m.cfg.Root, jws[0], page[i].At)
			if err != nil {
				return nil, fmt.Errorf("registration: recorded warrant %d: %w: %w", page[i].Seq, ledger.ErrCorrupt, err)
			}
			if now.Before(w.Until) {
				out[w.Subject] = w
			}
		}
	}
}

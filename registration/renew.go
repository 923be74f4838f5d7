package registration

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/ledger"
)

// Renewal is the credential of the current epoch and the challenge under
// whose secret it is sealed.
type Renewal struct {
	Credential
	Challenge
	// Successions are those of an activation (enrol.Secret.OpenLine), nil if the
	// member continues nobody.
	Successions []byte `json:"successions,omitempty"`
}

// Renew issues the credential of the current epoch to a member in good
// standing. Anybody may ask: the answer is sealed for the TPM and the key that
// were registered. The endorsement must still lead to an accepted root (as of
// the day of registration: certificates may lapse while a TPM is in use), so
// that a manufacturer who is struck off gets no more credentials. Repeated in
// one epoch, it returns the same bytes; the successions in it are signed once an
// epoch.
//
// Errors: [ErrNotFound], [ErrExpelled], [ErrRevoked], [ErrLeaked], those of
// Begin for the endorsement, [ErrEpoch], [ErrBusy], [ErrUnavailable].
func (m *Manager) Renew(ctx context.Context, id enrol.ID) (*Renewal, error) {
	e, err := m.cfg.Schedule.At(m.Now())
	if err != nil {
		return nil, err
	}
	row, err := m.member(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := standing(row); err != nil {
		return nil, err
	}
	if uint64(row.Epoch) == e.Number && len(row.Issued) > 0 {
		return readRenewal(row.Issued)
	}
	leave, err := m.gate.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	r, err := m.renewal(ctx, row, e.Number)
	if err != nil {
		return nil, err
	}
	issued, err := encodeRecord(r)
	if err != nil {
		return nil, err
	}
	err = m.cfg.Register.Renew(ctx, id, uint32(e.Number), issued)
	switch {
	case errors.Is(err, ledger.ErrState): // just now
		if row, err = m.member(ctx, id); err != nil {
			return nil, err
		}
		return nil, cmp.Or(standing(row), ErrRevoked)
	case errors.Is(err, ledger.ErrStale):
		return nil, fmt.Errorf("%w: epoch %d is past already", ErrEpoch, e.Number)
	case err != nil:
		return nil, stored("renew", err)
	}
	m.log.Info("member renewed", "member", id, "epoch", e.Number)
	return r, nil
}

// standing refuses a member whose membership has ended.
func standing(row *ledger.Member) error {
	switch row.State {
	case ledger.MemberActive:
		return nil
	case ledger.MemberExpelled:
		return ErrExpelled
	}
	return ErrRevoked
}

func (m *Manager) renewal(ctx context.Context, row *ledger.Member, epoch uint64) (*Renewal, error) {
	t, err := readTranscript(row)
	if err != nil {
		return nil, err
	}
	j, err := group.ParseJoin(t.Join)
	if err != nil {
		return nil, fmt.Errorf("registration: recorded join: %w: %w", ledger.ErrCorrupt, err)
	}
	if err := m.policy.Load().checkLeaked(j); err != nil {
		return nil, err
	}
	secret, err := m.secret([]byte("renewal"), row.ID[:], frame.Uint64(epoch))
	if err != nil {
		return nil, err
	}
	ch, _, err := m.challenge(&t.EK, enrol.KeyName(t.KeyPublic), secret, row.JoinedAt)
	if err != nil {
		return nil, err
	}
	c, err := m.issue(row.ID, secret, row, epoch)
	if err != nil {
		return nil, err
	}
	out := &Renewal{Credential: *c, Challenge: *ch}
	words, err := m.line(ctx, row)
	if err != nil || len(words) == 0 {
		return out, err
	}
	out.Successions, err = secret.SealLine(row.ID, words)
	return out, err
}

func readRenewal(b []byte) (*Renewal, error) {
	var r Renewal
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("registration: recorded renewal does not read: %w", ledger.ErrCorrupt)
	}
	return &r, nil
}

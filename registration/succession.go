package registration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/ledger"
)

// ReadmissionTerm is how long a code to continue a membership is good for.
const ReadmissionTerm = 14 * 24 * time.Hour

// Readmission is a code to continue a membership, to be shown once: the
// manager keeps its hash.
type Readmission struct {
	Code    enrol.Code
	Expires time.Time
}

// Readmit ends a membership and lets the same person begin another one with
// the code: on the same TPM after it was cleared, or on any that is nobody's.
// What the old member holds is good until the epoch ends; he gets no renewal.
// A code given before is void. Errors: [ErrNotFound], [ErrState] if he was
// expelled or has been succeeded, [ErrExpulsion] if a warrant says that he is to
// be, [ErrUnavailable].
func (m *Manager) Readmit(ctx context.Context, id enrol.ID) (*Readmission, error) {
	row, err := m.member(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := m.checkExpulsion(ctx, row); err != nil {
		return nil, err
	}
	code, err := enrol.NewCode()
	if err != nil {
		return nil, fmt.Errorf("registration: readmit: %w", err)
	}
	r := &Readmission{Code: code, Expires: m.Now().Add(ReadmissionTerm).Truncate(time.Second)}
	err = m.cfg.Register.Readmit(ctx, ledger.Readmission{Code: code.Digest(), Member: id, Expires: r.Expires})
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return nil, fmt.Errorf("%w: no such member", ErrNotFound)
	case errors.Is(err, ledger.ErrState):
		return nil, fmt.Errorf("%w: he was expelled, or has been succeeded", ErrState)
	case err != nil:
		return nil, stored("readmit", err)
	}
	m.log.Warn("member revoked, and may be readmitted", "member", id, "until", r.Expires)
	return r, nil
}

// ekMayJoin refuses a TPM that is a member's, unless that membership may be
// continued: for which the form must have the code.
func (m *Manager) ekMayJoin(ctx context.Context, ek [32]byte, now time.Time) error {
	h, err := m.holder(ctx, ek)
	if err != nil || h == nil {
		return err
	}
	if h.State == ledger.MemberRevoked {
		a, err := m.cfg.Register.ReadmissionOf(ctx, h.ID)
		if err == nil && !a.Used && a.Expires.After(now) {
			return nil
		}
		if err != nil && !errors.Is(err, ledger.ErrNotFound) {
			return stored("readmission", err)
		}
	}
	return ErrEKRegistered
}

// maxLine bounds a person's memberships, one after the other.
const maxLine = 1000

// holder is the newest membership of the person who registered a TPM, or nil.
func (m *Manager) holder(ctx context.Context, ek [32]byte) (*ledger.Member, error) {
	row, err := m.cfg.Register.MemberByEK(ctx, ek)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, nil
	}
	for range maxLine {
		if err != nil {
			return nil, stored("holder", err)
		}
		if row.State != ledger.MemberSucceeded {
			return row, nil
		}
		row, err = m.cfg.Register.MemberByID(ctx, row.SucceededBy)
	}
	return nil, fmt.Errorf("registration: holder: %w: successions without end", ledger.ErrCorrupt)
}

// predecessor is the membership that a form continues, nil if it continues
// none, for which the TPM must be nobody's.
func (m *Manager) predecessor(ctx context.Context, ek [32]byte, form *enrol.OpenedForm, now time.Time) (*ledger.Member, error) {
	h, err := m.holder(ctx, ek)
	if err != nil {
		return nil, err
	}
	if form.Code.IsZero() {
		if h != nil {
			return nil, ErrEKRegistered
		}
		return nil, nil
	}
	old, err := m.readmitted(ctx, form.Code, now)
	if err != nil {
		return nil, err
	}
	before, err := m.form(old)
	if err != nil {
		return nil, err
	}
	if before.Name != form.Name {
		return nil, fmt.Errorf("%w: the name in the form is not that of the membership", ErrIdentity)
	}
	if h != nil && h.ID != old.ID {
		return nil, ErrEKRegistered
	}
	return old, nil
}

// readmitted is the revoked member for whom a code was given.
func (m *Manager) readmitted(ctx context.Context, code enrol.Code, now time.Time) (*ledger.Member, error) {
	a, err := m.cfg.Register.ReadmissionByCode(ctx, code.Digest())
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return nil, fmt.Errorf("%w: it is not known, or another was given since", ErrCode)
	case err != nil:
		return nil, stored("code", err)
	case a.Used:
		return nil, ErrCodeUsed
	case !a.Expires.After(now):
		return nil, fmt.Errorf("%w: it has run out", ErrCode)
	}
	old, err := m.member(ctx, a.Member)
	if err != nil {
		return nil, err
	}
	if old.State != ledger.MemberRevoked {
		return nil, fmt.Errorf("%w: the membership can't be continued", ErrCode)
	}
	err = m.checkExpulsion(ctx, old) // one may have been entered since
	if errors.Is(err, ErrExpulsion) {
		err = ErrExpelled // whose file number it is, the operator is told
	}
	if err != nil {
		return nil, err
	}
	return old, nil
}

// line signs who followed whom until this member, oldest first, at most
// enrol.MaxLine of the newest: for the member's bank. A succession counts while
// the certificate does under which it was signed, so it is signed whenever it is
// handed out; and each member is given those before his own too, in case their
// answers were lost.
func (m *Manager) line(ctx context.Context, row *ledger.Member) ([][]byte, error) {
	var out [][]byte
	for len(out) < enrol.MaxLine && row.Succeeds != [16]byte{} {
		old, err := m.cfg.Register.MemberByID(ctx, row.Succeeds)
		if errors.Is(err, ledger.ErrNotFound) {
			return nil, fmt.Errorf("registration: predecessor is missing: %w", ledger.ErrCorrupt)
		}
		if err != nil {
			return nil, stored("predecessor", err)
		}
		jws, err := m.succession(old, row)
		if err != nil {
			return nil, err
		}
		out, row = append(out, jws), old
	}
	slices.Reverse(out)
	return out, nil
}

// succession signs who follows whom.
func (m *Manager) succession(old, next *ledger.Member) ([]byte, error) {
	jws, err := enrol.SignSuccession(&enrol.Succession{
		Group: m.cfg.ID, Old: old.F, New: next.F, At: next.JoinedAt.Truncate(time.Second),
		GoodUntil: m.cfg.Schedule.epoch(uint64(old.Epoch)).Ends,
	}, m.cfg.Signer, m.cfg.Chain)
	if err != nil {
		return nil, fmt.Errorf("%w: succession: %w", ErrUnavailable, err)
	}
	return jws, nil
}

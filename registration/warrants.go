package registration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/ledger"
)

// EnterWarrant verifies a warrant (the supervisors' signatures, one JWS each)
// and enters it in the register, and signs the document anew with the new head.
// A warrant that stands there already gets the same entry. Errors:
// [ErrWarrant], [ErrUnavailable]; after that one repeat it, it may have been
// entered.
func (m *Manager) EnterWarrant(ctx context.Context, jws [][]byte) (*warrant.Entry, error) {
	if len(jws) == 0 {
		return nil, fmt.Errorf("%w: nobody signed", ErrWarrant)
	}
	now := m.Now()
	m.entering.Lock()
	defer m.entering.Unlock()
	w, _, _, err := warrant.Signed(m.cfg.Root, jws[0], now)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWarrant, err)
	}
	e, err := m.entry(ctx, w.Digest)
	if errors.Is(err, ErrUnregistered) {
		e, err = m.enter(ctx, jws)
	} else if err == nil {
		err = m.givePapers(ctx, e, jws)
	}
	if err != nil {
		return nil, err
	}
	d, err := m.Document(ctx)
	if err != nil {
		return nil, err
	}
	if d.Warrants.Size < e.Seq {
		return nil, fmt.Errorf("%w: warrant %d is entered, and the document with it is not signed yet", ErrUnavailable, e.Seq)
	}
	return e, nil
}

// enter verifies a warrant and appends its entry.
func (m *Manager) enter(ctx context.Context, jws [][]byte) (*warrant.Entry, error) {
	now := m.Now()
	w, err := warrant.Parse(m.cfg.Root, m.supervision, jws, now)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWarrant, err)
	}
	last, err := m.lastEntry(ctx)
	if err != nil {
		return nil, err
	}
	e, err := warrant.Next(last, w, now)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWarrant, err)
	}
	papers, err := m.sealPapers(w.Digest, jws)
	if err != nil {
		return nil, err
	}
	err = m.cfg.Register.AddWarrant(ctx, ledger.Warrant{
		Seq: e.Seq, Prev: e.Prev, Hash: e.Hash(), Digest: e.Warrant, Scope: string(e.Scope), At: e.At, Papers: papers,
	})
	switch {
	case errors.Is(err, ledger.ErrMalformed):
		return nil, fmt.Errorf("%w: it is too large", ErrWarrant)
	case errors.Is(err, ledger.ErrStale), errors.Is(err, ledger.ErrDuplicate): // another process was faster
		return nil, fmt.Errorf("%w: enter: %w", ErrUnavailable, err)
	case err != nil:
		return nil, stored("enter", err)
	}
	m.mu.Lock()
	m.stale, m.tried = true, time.Time{}
	m.mu.Unlock()
	m.log.Warn("warrant entered", "number", e.Seq, "scope", e.Scope, "signers", len(w.Signers))
	return &e, nil
}

// lastEntry is the zero Entry if there is none.
func (m *Manager) lastEntry(ctx context.Context) (warrant.Entry, error) {
	row, err := m.cfg.Register.LastWarrant(ctx)
	if errors.Is(err, ledger.ErrNotFound) {
		return warrant.Entry{}, nil
	}
	if err != nil {
		return warrant.Entry{}, stored("warrants", err)
	}
	return entryOf(row), nil
}

// entry is that of a warrant, or ErrUnregistered.
func (m *Manager) entry(ctx context.Context, digest [32]byte) (*warrant.Entry, error) {
	row, err := m.cfg.Register.WarrantByDigest(ctx, digest)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, ErrUnregistered
	}
	if err != nil {
		return nil, stored("warrant", err)
	}
	e := entryOf(row)
	return &e, nil
}

func entryOf(row *ledger.Warrant) warrant.Entry {
	return warrant.Entry{Seq: row.Seq, Prev: row.Prev, At: row.At, Scope: warrant.Scope(row.Scope), Warrant: row.Digest}
}

// Warrants returns the entries of the register behind number after, at most
// 500. The register is public.
func (m *Manager) Warrants(ctx context.Context, after uint64) ([]warrant.Entry, error) {
	rows, err := m.cfg.Register.Warrants(ctx, after, ledger.MaxPage)
	if err != nil {
		return nil, stored("warrants", err)
	}
	out := make([]warrant.Entry, len(rows))
	for i := range rows {
		out[i] = entryOf(&rows[i])
	}
	return out, nil
}

// WarrantCounts are the register's head, and how many entries of each scope it
// has.
type WarrantCounts struct {
	Head   groupdoc.WarrantHead
	Counts map[warrant.Scope]int64
}

// WarrantCounts counts. An entry made meanwhile may be in one and not in the
// other.
func (m *Manager) WarrantCounts(ctx context.Context) (*WarrantCounts, error) {
	out := &WarrantCounts{}
	var err error
	if out.Head, err = m.warrantHead(ctx); err != nil {
		return nil, err
	}
	out.Counts, err = m.warrantCounts(ctx)
	return out, err
}

func (m *Manager) warrantCounts(ctx context.Context) (map[warrant.Scope]int64, error) {
	counts, err := m.cfg.Register.WarrantCounts(ctx)
	if err != nil {
		return nil, stored("count", err)
	}
	out := make(map[warrant.Scope]int64)
	for _, s := range []warrant.Scope{warrant.Open, warrant.Trace, warrant.Expel} {
		out[s] = counts[string(s)]
	}
	return out, nil
}

// checkWarrants recomputes the chain of the whole register: ErrRegister.
func (m *Manager) checkWarrants(ctx context.Context) error {
	var head groupdoc.WarrantHead
	for {
		rows, err := m.cfg.Register.Warrants(ctx, head.Size, ledger.MaxPage)
		if err != nil {
			return stored("warrants", err)
		}
		if len(rows) == 0 {
			break
		}
		entries := make([]warrant.Entry, len(rows))
		for i := range rows {
			entries[i] = entryOf(&rows[i])
			if rows[i].Hash != entries[i].Hash() {
				return fmt.Errorf("%w: entry %d", ErrRegister, rows[i].Seq)
			}
		}
		last := entries[len(entries)-1].Head()
		if err := warrant.Extends(head, entries, last); err != nil {
			return fmt.Errorf("%w: %w", ErrRegister, err)
		}
		head = last
	}
	if head.Size > 0 {
		m.log.Info("register of warrants is whole", "warrants", head.Size)
	}
	return nil
}

// papers are what is kept of a warrant beside its entry.
type papers struct {
	JWS []string `json:"jws"`
}

// sealPapers encrypts a warrant at rest: it says of whom and why.
func (m *Manager) sealPapers(digest [32]byte, jws [][]byte) ([]byte, error) {
	p := papers{}
	for _, j := range jws {
		p.JWS = append(p.JWS, string(j))
	}
	b, err := encodeRecord(p)
	if err != nil {
		return nil, err
	}
	return m.papers.Seal(nil, nil, b, digest[:]), nil
}

// WarrantPapers returns the signatures under a warrant in the register, as
// they were entered. Errors: [ErrUnregistered], [ErrNoPapers], [ErrUnavailable].
func (m *Manager) WarrantPapers(ctx context.Context, digest [32]byte) ([][]byte, error) {
	row, err := m.cfg.Register.WarrantByDigest(ctx, digest)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, ErrUnregistered
	}
	if err != nil {
		return nil, stored("warrant", err)
	}
	if len(row.Papers) == 0 {
		return nil, ErrNoPapers
	}
	b, err := m.papers.Open(nil, nil, row.Papers, digest[:])
	if err != nil {
		return nil, fmt.Errorf("registration: recorded warrant does not open: %w", ledger.ErrCorrupt)
	}
	var p papers
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("registration: recorded warrant does not read: %w", ledger.ErrCorrupt)
	}
	var out [][]byte
	for _, j := range p.JWS {
		out = append(out, []byte(j))
	}
	return out, nil
}

// Transcript states who a member is and how he joined (a JWS of
// enrol.Statement), from which the supervisors make a tracing token: only with
// a warrant to trace or expel him that is in force and stands in the register.
// Errors: [ErrNotFound], [ErrWarrant], [ErrUnregistered], [ErrUnavailable].
func (m *Manager) Transcript(ctx context.Context, id enrol.ID, jws [][]byte) ([]byte, error) {
	row, err := m.member(ctx, id)
	if err != nil {
		return nil, err
	}
	who, err := m.show(row, false)
	if err != nil {
		return nil, err
	}
	w, err := warrant.Parse(m.cfg.Root, m.supervision, jws, m.Now())
	if err == nil {
		err = w.Allows(who.Subject, warrant.Trace, warrant.Expel)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWarrant, err)
	}
	e, err := m.entry(ctx, w.Digest)
	if err != nil {
		return nil, err
	}
	statement, err := m.statement(row)
	if err != nil {
		return nil, err
	}
	m.log.Warn("join transcript handed out on a warrant", "member", id, "warrant", e.Seq, "scope", e.Scope)
	return statement, nil
}

package registration

import (
	"context"
	"errors"
	"fmt"

	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/ledger"
)

// Keeper keeps the newest document elsewhere than in the register: a register that
// was restored from a backup shows by it.
type Keeper interface {
	// Last returns the document that was kept last (compact JWS), nil if none was.
	Last(ctx context.Context) ([]byte, error)
	// Keep puts a document in its place, for good when it returns.
	Keep(ctx context.Context, jws []byte) error
}

// Restored says that the operator knows that the register is an older one than
// what was published.
type Restored struct {
	// Entries are of the register of warrants, from the first on or from any that
	// the restored register has. Those that it lacks are put in.
	Entries []warrant.Entry
}

// lostNumbers is more documents than any manager signs between two backups.
const lostNumbers = 1 << 16

// checkRestored refuses a register that has lost what a document said: numbers
// would come again, and a warrant that was lost looks like one that is hidden.
func (m *Manager) checkRestored(ctx context.Context) error {
	if m.cfg.Keeper == nil {
		return nil
	}
	jws, err := m.cfg.Keeper.Last(ctx)
	if err != nil {
		return fmt.Errorf("%w: the document kept last: %w", ErrUnavailable, err)
	}
	if jws == nil {
		return m.checkNew(ctx)
	}
	doc, err := groupdoc.ParseKept(m.cfg.Root, jws)
	if err != nil {
		return fmt.Errorf("registration: the document kept last: %w", err)
	}
	if doc.ID != m.cfg.ID || doc.GroupID() != m.params.ID() {
		return fmt.Errorf("%w: the document kept last is of %s", ErrOtherGroup, doc.ID)
	}
	if err := m.restoreWarrants(ctx, doc.Warrants); err != nil {
		return err
	}
	n, err := m.cfg.Register.Counter(ctx, documentCounter)
	if err != nil {
		return stored("document", err)
	}
	if n >= doc.Seq {
		return nil
	}
	if m.cfg.Restored == nil {
		return fmt.Errorf("%w: document %d was published, and the register knows of %d only", ErrRestored, doc.Seq, n)
	}
	m.log.Warn("the register is an older one; whoever became a member, was expelled or was readmitted since is not in it",
		"published", doc.Seq, "register", n)
	if err := m.cfg.Register.Skip(ctx, documentCounter, doc.Seq); err != nil {
		return stored("document", err)
	}
	return nil
}

// checkNew lets a register begin that never published anything.
func (m *Manager) checkNew(ctx context.Context) error {
	if m.cfg.Restored != nil {
		m.log.Warn("no document is kept beside the register; whether it is an older one can't be told")
		n, err := m.cfg.Register.Counter(ctx, documentCounter)
		if err != nil {
			return stored("document", err)
		}
		if err := m.cfg.Register.Skip(ctx, documentCounter, n+lostNumbers); err != nil {
			return stored("document", err)
		}
		return nil
	}
	members, err := m.hasMembers(ctx)
	if err != nil {
		return err
	}
	head, err := m.warrantHead(ctx)
	if err != nil {
		return err
	}
	if members || head.Size > 0 {
		return fmt.Errorf("%w: it has members or warrants, and the document that was published last is not at hand", ErrRestored)
	}
	return nil
}

func (m *Manager) hasMembers(ctx context.Context) (bool, error) {
	counts, err := m.cfg.Register.MemberCounts(ctx)
	if err != nil {
		return false, stored("count", err)
	}
	for _, n := range counts {
		if n > 0 {
			return true, nil
		}
	}
	return false, nil
}

// restoreWarrants checks that the register holds the warrants that were published,
// and puts in those that it lacks, if the operator has their entries. Their papers
// come back when the warrants are entered again.
func (m *Manager) restoreWarrants(ctx context.Context, published groupdoc.WarrantHead) error {
	head, err := m.warrantHead(ctx)
	if err != nil {
		return err
	}
	if head.Size >= published.Size {
		return m.checkPublished(ctx, published)
	}
	if m.cfg.Restored == nil {
		return fmt.Errorf("%w: it has %d warrants, and %d were published", ErrRestored, head.Size, published.Size)
	}
	var lost []warrant.Entry
	for _, e := range m.cfg.Restored.Entries {
		if e.Seq > head.Size && e.Seq <= published.Size {
			lost = append(lost, e)
		}
	}
	if err := warrant.Extends(head, lost, published); err != nil {
		return fmt.Errorf("%w: warrants %d to %d are lost, and the entries at hand are not those that were published; without them this group is at an end: %w",
			ErrRestored, head.Size+1, published.Size, err)
	}
	for _, e := range lost {
		row := ledger.Warrant{Seq: e.Seq, Prev: e.Prev, Hash: e.Hash(), Digest: e.Warrant, Scope: string(e.Scope), At: e.At}
		if err := m.cfg.Register.AddWarrant(ctx, row); err != nil {
			return stored("restore warrants", err)
		}
		m.log.Warn("warrant put back without its papers; enter it again", "number", e.Seq, "scope", e.Scope)
	}
	return nil
}

// checkPublished says whether the register leads over the head that was published.
func (m *Manager) checkPublished(ctx context.Context, published groupdoc.WarrantHead) error {
	if published.Size == 0 {
		return nil
	}
	rows, err := m.cfg.Register.Warrants(ctx, published.Size-1, 1)
	if err != nil {
		return stored("warrants", err)
	}
	if len(rows) == 0 || rows[0].Hash != published.Head {
		return fmt.Errorf("%w: warrant %d is another one than was published", ErrRegister, published.Size)
	}
	return nil
}

// keep keeps a document before anybody is shown it.
func (m *Manager) keep(ctx context.Context, jws []byte) error {
	if m.cfg.Keeper == nil {
		return nil
	}
	if err := m.cfg.Keeper.Keep(ctx, jws); err != nil {
		return fmt.Errorf("%w: document not kept: %w", ErrUnavailable, err)
	}
	return nil
}

// givePapers gives a warrant that was put back without its papers those. It was
// verified when it was entered, and is again, as of that time.
func (m *Manager) givePapers(ctx context.Context, e *warrant.Entry, jws [][]byte) error {
	_, err := m.WarrantPapers(ctx, e.Warrant)
	if !errors.Is(err, ErrNoPapers) {
		return err
	}
	if _, err := warrant.Parse(m.cfg.Root, m.supervision, jws, e.At); err != nil {
		return fmt.Errorf("%w: %w", ErrWarrant, err)
	}
	papers, err := m.sealPapers(e.Warrant, jws)
	if err != nil {
		return err
	}
	if err := m.cfg.Register.PutPapers(ctx, e.Warrant, papers); err != nil {
		return stored("papers", err)
	}
	m.log.Warn("papers of a warrant put back", "number", e.Seq)
	return nil
}

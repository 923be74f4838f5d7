package issuer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/ledger"
)

// Traced is an operation whose coins a traced member redeemed.
type Traced struct {
	Op   ledger.ID
	Kind string
	// Account was paid, "" where nobody was.
	Account string
	// Amount went to that account, in minor units; Coins were redeemed.
	Amount coin.Amount
	Coins  int
	// Spend is the digest of the spend that the member authorised.
	Spend [32]byte
	At    time.Time
}

// TraceReport is what a trace saw.
type TraceReport struct {
	// Searched is how many operations carry a presentation of the group.
	Searched int64
	// Hits are those that matched, the earliest first. A hit is a lead; what
	// convicts is an opening.
	Hits []Traced
	// Rows says whether the ledger that was searched is sound.
	Rows ledger.Audit
}

// Trace searches all that the bank ever redeemed for the presentations of one
// member: match says whether one is his, from the tracing token that
// supervisors released on a warrant (package opening), and may be called on
// several goroutines at once. Presentations of other groups are not shown to
// it.
//
// The presentations were verified when their coins were taken. An error means
// that there is no report: ErrUnavailable, or the context's. progress, if not
// nil, is told how many of how many rows are done. The bank may go on working
// beside it.
func Trace(ctx context.Context, l ledger.Ledger, id group.ID, match func(*group.Presentation) bool, progress func(done, total int64)) (*TraceReport, error) {
	t := &tracer{group: id, match: match}
	rows, err := eachOp(ctx, l, t.look, progress)
	if err != nil {
		return nil, fmt.Errorf("issuer: trace: %w", err)
	}
	for _, p := range t.problems {
		rows.Problem("%s", p)
	}
	t.report.Rows = *rows
	slices.SortFunc(t.report.Hits, func(a, b Traced) int {
		return cmp.Or(a.At.Compare(b.At), slices.Compare(a.Op[:], b.Op[:]))
	})
	return &t.report, nil
}

// Trace searches the bank's ledger; see the function.
func (b *Bank) Trace(ctx context.Context, id group.ID, match func(*group.Presentation) bool, progress func(done, total int64)) (*TraceReport, error) {
	return Trace(ctx, b.cfg.Ledger, id, match, progress)
}

// matches says whether the member signed a spend, or held coins of a recover
// before he was succeeded.
func (t *tracer) matches(a *coin.Authorisation) (hit bool, err error) {
	signed := [][]byte{a.Presentation}
	if a.Stead != nil {
		for i := range a.Stead.Holdings {
			signed = append(signed, a.Stead.Holdings[i].Presentation)
		}
	}
	for _, b := range signed {
		p, err := group.ParsePresentation(b)
		if err != nil {
			return false, err
		}
		hit = hit || t.match(p)
	}
	return hit, nil
}

// tracer looks at operations, several at once.
type tracer struct {
	group group.ID
	match func(*group.Presentation) bool

	mu       sync.Mutex
	report   TraceReport
	problems []string
}

func (t *tracer) look(op *ledger.Op) {
	switch op.Kind {
	case KindDeposit, KindExchange, KindRecoup, KindRecover:
	default:
		return
	}
	s, a, err := recordedSpend(op)
	hit := false
	if err == nil {
		if s.Group != t.group || len(a.Presentation) == 0 {
			return
		}
		hit, err = t.matches(a)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.Searched++
	if err != nil {
		t.problems = append(t.problems, fmt.Sprintf("%s %x: %v", op.Kind, op.ID, err))
	}
	if hit {
		t.report.Hits = append(t.report.Hits, Traced{
			Op: op.ID, Kind: op.Kind, Account: op.Account, Amount: s.Amount, Coins: len(s.Coins), Spend: s.Digest(), At: op.At,
		})
	}
}

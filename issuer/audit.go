package issuer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// AuditReport is what an audit saw.
type AuditReport struct {
	Bank     string
	Currency string
	Exponent int
	Keyset   uint64 // number of the keyset that was audited by
	At       time.Time
	// Rows are the ledger's: its rows counted, the heads of its journals, and
	// what is wrong with the rows for themselves.
	Rows ledger.Audit
	// Keys are what was issued and redeemed under each key, see Books.
	Keys []KeyBalance
	// Coins is how many redeemed coins were verified again, each with the
	// bank's signature and, if it is a bearer coin, its owner's.
	Coins int64
	// Forgotten is how many operations could not be recomputed, since the
	// keyset has forgotten a key of theirs.
	Forgotten int64
	// Problems are the first ledger.MaxProblems things wrong with what the
	// operations did, and Found counts them all.
	Problems []string
	Found    int64
}

// Leaked returns the keys under which more was redeemed than issued.
func (r *AuditReport) Leaked() (out []KeyBalance) {
	for i := range r.Keys {
		if r.Keys[i].Leaked() {
			out = append(out, r.Keys[i])
		}
	}
	return out
}

// Err returns nil, or what the audit found: a *LeakedError, ErrBooks, or both.
func (r *AuditReport) Err() error {
	var errs []error
	if keys := r.Leaked(); len(keys) != 0 {
		errs = append(errs, &LeakedError{Keys: keys})
	}
	if first := slices.Concat(r.Rows.Problems, r.Problems); len(first) != 0 {
		errs = append(errs, fmt.Errorf("%w: %s (problems found: %d)", ErrBooks, first[0], r.Rows.Found+r.Found))
	}
	return errors.Join(errs...)
}

// Audit recomputes a bank's ledger from its rows: the journal and all that
// ledger.Ledger.Verify looks at; from each operation's recorded request its id,
// its postings and the coins that it spent; every redeemed coin's signature, or
// the claim that stands for it, and every bearer coin's owner's; and what was issued and redeemed under each key.
//
// What it finds is in the report. An error means that there is no report:
// ErrConfig for a ledger of another bank, coin.ErrRollback and coin.ErrFork for
// a keyset that is not the ledger's, ErrUnavailable, or the context's. progress,
// if not nil, is told how many of how many rows are done. The bank may go on
// working beside it.
//
// Presentations for bound coins are not verified again: that would take the
// group's document of each epoch. Receipts are the bank's own word and prove
// nothing to it.
func Audit(ctx context.Context, l ledger.Ledger, k *coin.Keyset, at time.Time, progress func(done, total int64)) (*AuditReport, error) {
	f := withKeyset(k)
	if bank, err := meta(ctx, l, ledger.MetaBank); err != nil {
		return nil, err
	} else if bank == nil {
		return nil, fmt.Errorf("%w: the ledger is no bank's", ErrConfig)
	}
	if err := f.belongs(ctx, l); err != nil {
		return nil, err
	}
	a := &auditor{ledger: l, f: f}
	rows, err := eachOp(ctx, l, func(op *ledger.Op) { a.audit(ctx, op) }, progress)
	if err != nil {
		return nil, fmt.Errorf("issuer: audit: %w", err)
	}
	r := &a.report
	r.Bank, r.Currency, r.Exponent, r.Keyset, r.At = k.Bank, k.Currency, k.Exponent, k.Seq, at
	r.Rows = *rows
	slices.Sort(r.Problems) // they come in no order
	totals, err := l.Totals(ctx, circulationClass)
	if err != nil {
		return nil, fmt.Errorf("issuer: audit: %w", store(err))
	}
	if r.Keys, err = f.keyBalances(totals); err != nil {
		a.problem("%v", err)
	}
	return r, nil
}

// Audit audits the bank's ledger by the keyset in force; see the function.
func (b *Bank) Audit(ctx context.Context, progress func(done, total int64)) (*AuditReport, error) {
	return Audit(ctx, b.cfg.Ledger, b.current().keyset, b.now(), progress)
}

// auditor recomputes operations, several at once.
type auditor struct {
	ledger ledger.Ledger
	f      *inForce

	mu     sync.Mutex
	report AuditReport
}

func (a *auditor) problem(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.Found++
	if len(a.report.Problems) < ledger.MaxProblems {
		a.report.Problems = append(a.report.Problems, fmt.Sprintf(format, args...))
	}
}

// audit compares an operation with what its request comes to.
func (a *auditor) audit(ctx context.Context, op *ledger.Op) {
	want, err := a.f.rebuild(op)
	switch {
	case errors.Is(err, coin.ErrUnknownKey):
		a.mu.Lock()
		a.report.Forgotten++
		a.mu.Unlock()
		return
	case err != nil:
		a.problem("%s %x: %v", op.Kind, op.ID, err)
		return
	}
	if want.id != op.ID {
		a.problem("%s %x: its request is that of %x", op.Kind, op.ID, want.id)
	}
	if !slices.Equal(want.postings, op.Postings) {
		a.problem("%s %x: it moved other amounts than its request", op.Kind, op.ID)
	}
	coins := min(len(want.spends), len(op.Spends))
	if !slices.Equal(want.spends, op.Spends[:coins]) {
		a.problem("%s %x: it spent other coins than its request", op.Kind, op.ID)
	}
	// Operations of the time before there were made sets have none of the marks.
	if made := op.Spends[coins:]; len(made) != 0 && !slices.Equal(want.makes, made) {
		a.problem("%s %x: it marked other outputs as made than its request has", op.Kind, op.ID)
	}
	if !sameQuotas(want.quotas, op.Quotas) {
		a.problem("%s %x: it counted toward other limits than its request", op.Kind, op.ID)
	}
	if want.spend != nil {
		a.signatures(ctx, op, want.spend, want.authorisation)
	}
	if op.Kind == KindRefund {
		if err := checkRefund(ctx, a.ledger, op); err != nil {
			a.problem("%s %x: %v", op.Kind, op.ID, err)
		}
	}
}

// sameQuotas compares what was counted, in whatever order.
func sameQuotas(a, b []ledger.Quota) bool {
	byName := func(x, y ledger.Quota) int { return strings.Compare(x.Name, y.Name) }
	same := func(x, y ledger.Quota) bool { return x.Name == y.Name && x.Amount == y.Amount }
	return slices.EqualFunc(slices.SortedFunc(slices.Values(a), byName), slices.SortedFunc(slices.Values(b), byName), same)
}

func (a *auditor) signatures(ctx context.Context, op *ledger.Op, s *coin.Spend, authorisation *coin.Authorisation) {
	if err := authorisation.VerifyOwners(s); err != nil {
		a.problem("%s %x: %v", op.Kind, op.ID, err)
	}
	for i := range s.Coins {
		if !s.Coins[i].Signed() {
			continue // only a recoup or recover reads back with such coins
		}
		if _, err := a.f.keyset.VerifyCoin(&s.Coins[i]); err != nil {
			a.problem("%s %x: coin %d: %v", op.Kind, op.ID, i, err)
		}
	}
	if op.Kind == KindRecoup || op.Kind == KindRecover {
		if err := a.f.checkClaims(ctx, a.ledger, op, s); err != nil {
			a.problem("%s %x: %v", op.Kind, op.ID, err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.Coins += int64(len(s.Coins))
}

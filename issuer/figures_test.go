package issuer_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
)

func hours(now time.Time, n int) issuer.FigurePeriod {
	return issuer.FigurePeriod{From: now.Add(-time.Duration(n) * time.Hour), Until: now, Step: issuer.ByHour}
}

func figuresOf(t *testing.T, b *issuer.Bank, p issuer.FigurePeriod) *issuer.Figures {
	t.Helper()
	f, err := b.Figures(t.Context(), p)
	expect(t, err, nil)
	return f
}

// opsOf are the operations of one kind in a step.
func opsOf(s issuer.StepFigures, kind string) issuer.OpFigures {
	for _, o := range s.Ops {
		if o.Kind == kind {
			return o
		}
	}
	return issuer.OpFigures{Kind: kind}
}

func TestFiguresAreWhatTheLedgerRecorded(t *testing.T) {
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	noon := issuertest.Now.UTC().Truncate(time.Hour)
	at := func(hour int) { b.Clock.Set(noon.Add(time.Duration(hour)*time.Hour + 10*time.Minute)) }
	purse, till := h.NewPurse(t), b.NewTill(t)

	at(0)
	coins := purse.Withdraw(t, b, 8, 4, 2) // 14
	figuresOf(t, b.Bank, hours(b.Now(), 1))
	at(1)
	offer := till.Offer(t, 9, func(o *coin.Offer) { o.Expires = b.Now().Add(time.Minute) })
	change := purse.Prepare(t, 2, 1)
	spend, authorisation := purse.Pay(t, offer, coins[:2], change.Outputs) // 12 in, 3 out
	if _, err := b.Deposit(t.Context(), till.Account, till.Deposit(offer, spend, authorisation)); err != nil {
		t.Fatal(err)
	}
	figuresOf(t, b.Bank, hours(b.Now(), 1))
	at(2) // a quiet hour
	at(3)
	spend, authorisation = purse.Exchange(t, coins[2:], purse.Prepare(t, 1, 1).Outputs)
	_, err := b.Exchange(t.Context(), spend, authorisation)
	expect(t, err, nil)
	at(4)

	f := figuresOf(t, b.Bank, hours(b.Now(), 4))
	if !f.Since.IsZero() || len(f.Steps) != 5 || !f.Steps[0].At.Equal(noon) {
		t.Fatalf("since %v, %d steps from %v", f.Since, len(f.Steps), f.Steps[0].At)
	}
	for i, want := range []int64{14, 5, 5, 5, 5} {
		if got := f.Steps[i].Circulation[coin.Bearer]; got != want {
			t.Errorf("in circulation after hour %d: %d, want %d", i, got, want)
		}
	}
	for _, want := range []struct {
		hour int
		op   issuer.OpFigures
	}{
		{0, issuer.OpFigures{Kind: issuer.KindWithdrawal, Count: 1, Worth: 14}},
		{0, issuer.OpFigures{Kind: issuer.KindFunding, Count: 1, Worth: 14}},
		{1, issuer.OpFigures{Kind: issuer.KindDeposit, Count: 1, Worth: 9}},
		{1, issuer.OpFigures{Kind: issuer.KindWithdrawal}},
		{3, issuer.OpFigures{Kind: issuer.KindExchange, Count: 1, Worth: 2}},
	} {
		if got := opsOf(f.Steps[want.hour], want.op.Kind); got != want.op {
			t.Errorf("hour %d: %+v, want %+v", want.hour, got, want.op)
		}
	}
	if len(f.Steps[2].Ops) != 0 {
		t.Errorf("in a quiet hour: %+v", f.Steps[2].Ops)
	}
	var issued, redeemed int64
	for i := range f.Keys {
		issued, redeemed = issued+f.Keys[i].Issued, redeemed+f.Keys[i].Redeemed
		if f.Keys[i].Missing || f.Keys[i].SpendUntil.IsZero() {
			t.Errorf("key %d: %+v", i, f.Keys[i])
		}
	}
	if issued != 14+3+2 || redeemed != 12+2 || !f.Books.Balanced {
		t.Errorf("issued %d, redeemed %d", issued, redeemed)
	}
	if f.Day[0] != (issuer.OpFigures{Kind: issuer.KindWithdrawal, Count: 1, Worth: 14}) || f.Store == nil || f.Store.Driver != "sqlite" || f.Token != nil || f.Fence != nil {
		t.Errorf("%+v", f)
	}

	// A bank that opens now reads backward what the other read as it came.
	other, err := issuer.New(t.Context(), b.Config)
	expect(t, err, nil)
	other.ReadFlowsBy(3)
	again := figuresOf(t, other, hours(b.Now(), 4))
	if diff := cmp.Diff(f.Steps, again.Steps, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	// Nothing of it lies within the last minutes, and all of it within a day.
	minutes := figuresOf(t, other, issuer.FigurePeriod{From: b.Now().Add(-20 * time.Minute), Until: b.Now(), Step: issuer.ByMinute})
	days := figuresOf(t, other, issuer.FigurePeriod{From: b.Now().AddDate(-9, 0, 0), Until: b.Now(), Step: issuer.ByDay})
	if n := len(minutes.Steps); n != 21 || minutes.Steps[0].Circulation[coin.Bearer] != 5 {
		t.Errorf("%d minutes, %+v", n, minutes.Steps[0])
	}
	if n := len(days.Steps); n != 801 || days.Steps[0].Circulation[coin.Bearer] != 0 || days.Steps[800].Circulation[coin.Bearer] != 5 {
		t.Errorf("%d days from %v", n, days.Period.From)
	}
	for name, p := range map[string]issuer.FigurePeriod{
		"upside down":  {From: b.Now(), Until: b.Now().Add(-time.Hour), Step: issuer.ByHour},
		"no such step": {From: b.Now().Add(-time.Hour), Until: b.Now(), Step: 4},
		"nor is that":  {From: b.Now().Add(-time.Hour), Until: b.Now(), Step: -1},
	} {
		if _, err := b.Figures(t.Context(), p); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			expect(t, err, issuer.ErrMalformed)
		}
	}
}

// putBack is a ledger whose journal can be made to seem another's.
type putBack struct {
	ledger.Ledger
	other bool
}

func (l *putBack) Head(ctx context.Context, lane string, seq uint64) (ledger.Head, error) {
	h, err := l.Ledger.Head(ctx, lane, seq)
	if l.other {
		h.Hash[0]++
	}
	return h, err
}

func TestFiguresOfAJournalThatWasReplacedAreReadAnew(t *testing.T) {
	h := issuertest.NewHouse(t)
	var l *putBack
	b := h.NewBank(t, func(c *issuer.Config) {
		l = &putBack{Ledger: c.Ledger}
		c.Ledger = l
	})
	purse := h.NewPurse(t)
	purse.Withdraw(t, b, 4)
	before := figuresOf(t, b.Bank, hours(b.Now(), 1))
	l.other = true
	after := figuresOf(t, b.Bank, hours(b.Now(), 1))
	if diff := cmp.Diff(before.Steps, after.Steps); diff != "" {
		t.Error(diff) // not counted twice
	}
}

func TestFiguresSayWhatIsWrong(t *testing.T) {
	r := newRobbed(t, nil)
	expect(t, r.deposit(t, r.key.Forge(t, r.purse, &r.d, 1)[0]), nil)
	expect(t, r.Suspend(t.Context(), r.till.Account.ID, "<b>complaint</b> 17"), nil)
	expect(t, r.SetDraining(t.Context(), true), nil)
	f := figuresOf(t, r.Bank.Bank, hours(r.Now(), 1))
	leaked := 0
	for i := range f.Keys {
		if f.Keys[i].Leaked() {
			leaked++
		}
	}
	if leaked != 1 || f.Books.Balanced || !f.Standing.Draining || f.Standing.Suspended != 1 {
		t.Errorf("%d leaked, %+v", leaked, f.Standing)
	}
	if s := f.Standing.Accounts; len(s) != 1 || s[0].Account != r.till.Account.ID || s[0].Name != r.till.Account.Name || s[0].Reason != "<b>complaint</b> 17" {
		t.Errorf("%+v", s)
	}
	if len(f.Acts) != 1 || f.Acts[0].Kind != issuer.KindSuspension {
		t.Errorf("%+v", f.Acts)
	}
}

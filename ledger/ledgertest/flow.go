package ledgertest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/speciecash/specie/ledger"
)

// testFlows: what is added up of a journal, in parts or at once, is what its ops
// posted.
func testFlows(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	ctx := context.Background()
	base := time.Date(2031, 5, 6, 7, 0, 0, 0, time.UTC)
	apply := func(n int, kind string, at time.Duration, postings ...ledger.Posting) {
		t.Helper()
		op := ledger.Op{ID: id("op", n), Kind: kind, State: ledger.StateDone, At: base.Add(at), Request: make([]byte, 9000), Postings: postings}
		if out, err := l.Apply(ctx, op); err != nil || out.Status != ledger.Applied {
			t.Fatal(out.Status, err)
		}
	}
	post := func(account string, amount int64) ledger.Posting {
		return ledger.Posting{Account: account, Amount: amount, Currency: "EUR"}
	}
	first := verifyHead(t, l)
	apply(1, "withdrawal", 0, post("holder/a", -3), post("made/k1/issued", 3))
	apply(2, "withdrawal", time.Hour-time.Microsecond, post("holder/b", -4), post("made/k1/issued", 1), post("made/k2/issued", 3))
	middle := verifyHead(t, l)
	apply(3, "withdrawal", time.Hour, post("holder/a", -5), post("made/k1/issued", 5))
	apply(4, "deposit", time.Hour, post("made/k1/redeemed", -2), post("merchant/c", 2))
	apply(5, "strike", time.Hour) // moves nothing
	last := verifyHead(t, l)

	flow := func(kind string, hour int, account string, amount, ops int64) ledger.Flow {
		return ledger.Flow{Kind: kind, At: base.Add(time.Duration(hour) * time.Hour), Account: account, Currency: "EUR", Amount: amount, Ops: ops}
	}
	early := []ledger.Flow{
		flow("withdrawal", 0, "holder", -7, 2), flow("withdrawal", 0, "made/k1/issued", 4, 0), flow("withdrawal", 0, "made/k2/issued", 3, 0),
	}
	late := []ledger.Flow{
		flow("withdrawal", 1, "holder", -5, 1), flow("withdrawal", 1, "made/k1/issued", 5, 0),
		flow("deposit", 1, "made/k1/redeemed", -2, 1), flow("deposit", 1, "merchant", 2, 0),
	}
	for _, c := range []struct {
		name        string
		after, upTo uint64
		want        []ledger.Flow
	}{
		{"all at once", 0, last.Seq, append(early[:3:3], late...)},
		{"the first part", first.Seq, middle.Seq, early},
		{"the second part", middle.Seq, last.Seq, late},
		{"none", last.Seq, last.Seq, nil},
	} {
		got, err := l.Flows(ctx, ledger.FlowRange{Lane: last.Lane, After: c.after, UpTo: c.upTo, Span: time.Hour, Apart: "made/"})
		check(t, err)
		less := func(a, b ledger.Flow) bool {
			return a.At.Before(b.At) || a.At.Equal(b.At) && a.Kind+" "+a.Account < b.Kind+" "+b.Account
		}
		if diff := cmp.Diff(c.want, got, cmpopts.SortSlices(less), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	fine, err := l.Flows(ctx, ledger.FlowRange{Lane: last.Lane, UpTo: last.Seq, Span: time.Minute})
	check(t, err)
	if len(fine) != 9 { // each posting by itself
		t.Errorf("by the minute and by account: %+v", fine)
	}
	for _, r := range []ledger.FlowRange{
		{Lane: "no such Lane", UpTo: 1, Span: time.Hour}, {Lane: "main", After: 2, UpTo: 1, Span: time.Hour},
		{Lane: "main", UpTo: 1 << 63, Span: time.Hour}, {Lane: "main", UpTo: 1},
	} {
		_, err := l.Flows(ctx, r)
		wantErr(t, err, ledger.ErrMalformed)
	}
	if got, err := l.Flows(ctx, ledger.FlowRange{Lane: "nowhere", UpTo: 9, Span: time.Hour}); err != nil || len(got) != 0 {
		t.Errorf("of a lane that is not there: %v %v", got, err)
	}
	heads, err := l.Heads(ctx)
	check(t, err)
	if diff := cmp.Diff(verify(t, l).Heads, heads); diff != "" {
		t.Error(diff)
	}
	c, err := l.Condition(ctx)
	check(t, err)
	if c.Driver == "" || c.Version == "" || c.Bytes < 9000 || c.Server != (c.Commit != "") {
		t.Errorf("%+v", c)
	}
	t.Log(c)
}

// verifyHead is the end of the store's own journal.
func verifyHead(t *testing.T, l ledger.Ledger) ledger.Head {
	t.Helper()
	h, err := l.Head(context.Background(), "main", 0)
	check(t, err)
	return h
}

package ledgertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
)

// Fill writes something of every kind to an empty ledger, in three lanes and
// with versions of everything that has versions.
func Fill(tb testing.TB, l ledger.Ledger) {
	tb.Helper()
	ctx := context.Background()
	check(tb, l.OpenEpoch(ctx, epoch))
	check(tb, l.OpenEpoch(ctx, "k2"))
	for _, bank := range []string{"BANKA", "BANKB"} {
		check(tb, l.SetMeta(ctx, ledger.MetaBank, []byte(bank)))
	}
	check(tb, ledger.SetRestoreEpoch(ctx, l, 3))
	for i, id := range []string{"holder/h1", "merchant/m1"} {
		a := ledger.Account{ID: id, Kind: ledger.Class(id), Name: "Ada ✓", Key: []byte{1, 2}, Currency: "EUR", CreatedAt: moment(0)}
		late := token(10*i+2, id)
		late.Label, late.Scopes, late.ExpiresAt = "till", []string{"deposit", "hold"}, moment(1000)
		check(tb, l.CreateAccount(ctx, a, token(10*i+1, id), late))
		a.Rev, a.Suspended, a.Reason = 1, true, "strikes"
		check(tb, l.UpdateAccount(ctx, a))
		check(tb, l.RevokeToken(ctx, late.Hash, moment(900)))
		check(tb, l.RevokeToken(ctx, late.Hash, moment(800)))
	}
	lanes := []string{"a", "", "z"}
	apply(tb, l, move(0, "reserve", "holder/h1", 1000), ledger.Applied)
	for n := 1; n <= 12; n++ {
		op := at(deposit(n, "merchant/m1", n), n)
		op.Lane, op.State, op.Answer = lanes[n%3], ledger.StatePending, nil
		op.Issuer, op.Acquirer = "BANKA", "BANKB"
		op.Quotas = []ledger.Quota{{Name: "day/m1", Amount: int64(n), Max: 1000}, {Name: "asked", Max: 1}}
		apply(tb, l, op, ledger.Applied)
		check(tb, l.SetAnswer(ctx, op.ID, ledger.StateDone, nil))
		check(tb, l.SetAnswer(ctx, op.ID, ledger.StateDone, []byte("receipt")))
	}
	apply(tb, l, ledger.Op{ID: id("op", 50), Kind: "void", State: ledger.StateDone, At: moment(50)}, ledger.Applied)
	for n := 20; n < 24; n++ {
		place(tb, l, hold(n, n, n, n+100), noLimits, ledger.Applied)
	}
	for try := range 3 {
		_, err := l.Strike(ctx, id("op", 20), id("try", try))
		check(tb, err)
	}
	check(tb, l.ReleaseHold(ctx, id("op", 21)))
	apply(tb, l, at(deposit(22, "merchant/m1", 22, 122), 30), ledger.Applied)
}

func dump(f fataler, l ledger.Ledger) (rows []*ledger.Row) {
	f.Helper()
	check(f, l.Dump(context.Background(), func(r *ledger.Row) error { rows = append(rows, r); return nil }, nil))
	return rows
}

// from returns rows one by one.
func from(rows []*ledger.Row) func() (*ledger.Row, error) {
	return func() (*ledger.Row, error) {
		if len(rows) == 0 {
			return nil, io.EOF
		}
		r := rows[0]
		rows = rows[1:]
		return r, nil
	}
}

// Transfer dumps a filled store of one driver into an empty one of another, and
// wants them to be the same but for the fence.
func Transfer(t *testing.T, source, target FreshLedger) {
	ctx := context.Background()
	a := source(t)()
	defer a.Close()
	Fill(t, a)
	rows := dump(t, a)
	openB := target(t)
	b := openB()
	before := time.Now().Add(-time.Minute)
	check(t, b.Load(ctx, from(rows)))
	fence, err := ledger.RaisedFence(ctx, b)
	check(t, err)
	if fence == nil || fence.Reason != ledger.FenceRestored || fence.At.Before(before) || fence.At.After(time.Now()) {
		t.Fatalf("the fence is %+v", fence)
	}
	if diff := differ(*rows[0].Heads, fence.Heads); diff != "" {
		t.Fatalf("the fence's heads differ (-want +got):\n%s", diff)
	}
	for range 2 {
		wantSame(t, a, b)
		check(t, b.Close())
		b = openB()
	}
	defer b.Close()
	// It goes on as the other would.
	apply(t, b, at(deposit(1, "merchant/m1", 1), 1), ledger.Replayed)
	apply(t, b, at(deposit(99, "merchant/m1", 1), 1), ledger.Conflict)
	apply(t, b, at(deposit(99, "merchant/m1", 20), 30), ledger.Held)
	apply(t, b, at(deposit(99, "merchant/m1", 21, 20), 100), ledger.Applied)
	apply(t, b, counting(98, ledger.Quota{Name: "day/m1", Amount: 1, Max: 78}), ledger.Exceeded)
	place(t, b, hold(20, 20, 1), noLimits, ledger.Replayed)
	if got, err := b.Strike(ctx, id("op", 20), id("try", 2)); err != nil || got.Strikes != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	check(t, b.RevokeToken(ctx, token(2, "").Hash, moment(700)))
	check(t, b.OpenEpoch(ctx, "k3"))
	verify(t, b)
	var file bytes.Buffer
	_, err = ledger.WriteBackup(ctx, b, &file, nil)
	check(t, err)
	again := target(t)()
	defer again.Close()
	_, err = ledger.ReadBackup(ctx, again, &file, nil)
	check(t, err)
	verify(t, again)
}

// wantSame wants b to be a, but for the fence and the one record about it.
func wantSame(t *testing.T, a, b ledger.Ledger) {
	t.Helper()
	audit := [2]*ledger.Audit{verify(t, a), verify(t, b)}
	if audit[0].Ops != audit[1].Ops || audit[0].Answers != audit[1].Answers || audit[0].Records+1 != audit[1].Records {
		t.Fatalf("audits are %+v and %+v", audit[0], audit[1])
	}
	want := dump(t, a)[1:]
	fences := 0
	got := slices.DeleteFunc(dump(t, b)[1:], func(r *ledger.Row) bool {
		is := r.Meta != nil && r.Meta.Key == ledger.MetaFence || r.Record != nil && string(r.Record.Subject) == ledger.MetaFence
		if is {
			fences++
		}
		return is
	})
	if diff := differ(want, got); diff != "" || fences != 2 {
		t.Fatalf("stores differ, %d fences (-want +got):\n%s", fences, diff)
	}
}

func testDumpAndLoad(t *testing.T, fresh FreshLedger) { Transfer(t, fresh, fresh) }

// testLoadRefuses takes a good dump and spoils it.
func testLoadRefuses(t *testing.T, fresh FreshLedger) {
	ctx := context.Background()
	source := start(t, fresh)
	Fill(t, source)
	good := dump(t, source)
	target := fresh(t)()
	t.Cleanup(func() { target.Close() })
	find := func(is func(*ledger.Row) bool) int { return slices.IndexFunc(good, is) }
	isOp := func(r *ledger.Row) bool { return r.Op != nil && len(r.Op.Spends) > 0 }
	isHold := func(r *ledger.Row) bool { return r.Hold != nil }
	isAnswer := func(r *ledger.Row) bool { return r.Answer != nil }
	isToken := func(r *ledger.Row) bool { return r.Token != nil }
	isAccount := func(r *ledger.Row) bool { return r.Account != nil }
	isEpoch := func(r *ledger.Row) bool { return r.Epoch == epoch }
	isTry := func(r *ledger.Row) bool { return r.Try != nil }
	without := func(is func(*ledger.Row) bool) func([]*ledger.Row) []*ledger.Row {
		return func(rows []*ledger.Row) []*ledger.Row { i := find(is); return slices.Delete(rows, i, i+1) }
	}
	twice := func(is func(*ledger.Row) bool) func([]*ledger.Row) []*ledger.Row {
		return func(rows []*ledger.Row) []*ledger.Row { i := find(is); return slices.Insert(rows, i, rows[i]) }
	}
	replace := func(is func(*ledger.Row) bool, change func(ledger.Row) ledger.Row) func([]*ledger.Row) []*ledger.Row {
		return func(rows []*ledger.Row) []*ledger.Row {
			i := find(is)
			r := change(*rows[i])
			rows[i] = &r
			return rows
		}
	}
	cases := map[string]func([]*ledger.Row) []*ledger.Row{
		"no rows":                func([]*ledger.Row) []*ledger.Row { return nil },
		"no heads":               func(rows []*ledger.Row) []*ledger.Row { return rows[1:] },
		"heads twice":            func(rows []*ledger.Row) []*ledger.Row { return slices.Insert(rows, 1, rows[0]) },
		"an empty row":           func(rows []*ledger.Row) []*ledger.Row { return slices.Insert(rows, 1, &ledger.Row{}) },
		"the newest record gone": cutLane,
		"a lane of records gone": dropLane,
		"an op gone":             without(isOp),
		"an op twice":            twice(isOp),
		"an answer gone":         without(isAnswer),
		"a token gone":           without(isToken),
		"a token twice":          twice(isToken),
		"an account gone":        without(isAccount),
		"an epoch gone":          without(isEpoch),
		"an epoch nobody opened": replace(isEpoch, func(r ledger.Row) ledger.Row { r.Epoch = "k9"; return r }),
		"a meta value gone":      without(func(r *ledger.Row) bool { return r.Meta != nil }),
		"a try gone":             without(isTry),
		"a try without its hold": without(isHold),
		"a hold twice":           twice(func(r *ledger.Row) bool { return r.Hold != nil && r.Hold.Strikes == 0 }),
		"rows in another order": func(rows []*ledger.Row) []*ledger.Row {
			return slices.Insert(rows, 1, rows[len(rows)-1])
		},
		"a request changed":     replace(isOp, func(r ledger.Row) ledger.Row { op := *r.Op; op.Request = []byte("x"); r.Op = &op; return r }),
		"an op of another lane": replace(isOp, func(r ledger.Row) ledger.Row { op := *r.Op; op.Lane = "b"; r.Op = &op; return r }),
		"an amount changed": replace(isOp, func(r ledger.Row) ledger.Row {
			op := *r.Op
			op.Quotas = []ledger.Quota{{Name: "day/m1", Amount: 900}}
			r.Op = &op
			return r
		}),
		"an answer changed": replace(isAnswer, func(r ledger.Row) ledger.Row { a := *r.Answer; a.Answer = []byte("x"); r.Answer = &a; return r }),
		"a suspension lifted": replace(isAccount, func(r ledger.Row) ledger.Row {
			a := *r.Account
			a.Suspended, a.Reason = false, ""
			r.Account = &a
			return r
		}),
		"a version put back":     replace(isAccount, func(r ledger.Row) ledger.Row { a := *r.Account; a.Rev--; r.Account = &a; return r }),
		"a token of more scopes": replace(isToken, func(r ledger.Row) ledger.Row { k := *r.Token; k.Scopes = []string{"operate"}; r.Token = &k; return r }),
		"a record relinked": replace(func(r *ledger.Row) bool { return r.Record != nil && r.Record.Seq == 2 }, func(r ledger.Row) ledger.Row {
			rec := *r.Record
			rec.Prev = id("x", 1)
			rec.Hash = rec.Sum()
			r.Record = &rec
			return r
		}),
		"a hold of a coin unsold": replace(isHold, func(r ledger.Row) ledger.Row {
			h := *r.Hold
			h.Coins = []ledger.Spend{{Epoch: "nowhere", ID: id("coin", 1)}}
			r.Hold = &h
			return r
		}),
		"a hold on a coin that another spent while it lasted": replace(
			func(r *ledger.Row) bool { return r.Hold != nil && r.Hold.ID == id("op", 23) },
			func(r ledger.Row) ledger.Row {
				h := *r.Hold
				h.Coins = deposit(1, "m", 12).Spends
				r.Hold = &h
				return r
			}),
		"two holds on one coin": replace(
			func(r *ledger.Row) bool { return r.Hold != nil && r.Hold.ID == id("op", 23) },
			func(r ledger.Row) ledger.Row {
				h := *r.Hold
				h.Coins = deposit(1, "m", 20).Spends
				r.Hold = &h
				return r
			}),
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			wantErr(t, target.Load(ctx, from(spoil(slices.Clone(good)))), ledger.ErrCorrupt)
			wantEmpty(t, target)
		})
	}
	t.Run("an error of the source", func(t *testing.T) {
		broken := errors.New("tape torn")
		next := from(good[:40])
		wantErr(t, target.Load(ctx, func() (*ledger.Row, error) {
			if r, err := next(); err == nil {
				return r, nil
			}
			return nil, broken
		}), broken)
		wantEmpty(t, target)
	})
	t.Run("a store with anything in it", func(t *testing.T) {
		wantErr(t, source.Load(ctx, from(good)), ledger.ErrState)
		verify(t, source)
	})
	t.Run("after all of that it takes the good one", func(t *testing.T) {
		check(t, target.Load(ctx, from(good)))
		wantSame(t, source, target)
		wantErr(t, target.Load(ctx, from(good)), ledger.ErrState)
	})
}

// cutLane takes the last record of the last lane away, with what it is about.
func cutLane(rows []*ledger.Row) []*ledger.Row {
	last := 0
	for i, r := range rows {
		if r.Record != nil {
			last = i
		}
	}
	end := last + 1
	for end < len(rows) && (rows[end].Op != nil || rows[end].Answer != nil) {
		end++
	}
	return slices.Delete(rows, last, end)
}

// dropLane takes lane z away.
func dropLane(rows []*ledger.Row) []*ledger.Row {
	lane := ""
	return slices.DeleteFunc(rows, func(r *ledger.Row) bool {
		if r.Record != nil {
			lane = r.Record.Lane
		} else if r.Op == nil && r.Answer == nil {
			return false
		}
		return lane == "z"
	})
}

func wantEmpty(t *testing.T, l ledger.Ledger) {
	t.Helper()
	if audit := verify(t, l); audit.Records != 0 {
		t.Fatalf("%d records were left", audit.Records)
	}
	if rows := dump(t, l); len(rows) != 1 {
		t.Fatalf("rows were left: %v", rows)
	}
}

// testDumpBesideWriting: what is written while a dump goes on is in it whole or
// not at all.
func testDumpBesideWriting(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	ctx := context.Background()
	const before = 300
	for n := range before {
		apply(t, l, deposit(n, "merchant/m1", n), ledger.Applied)
	}
	place(t, l, hold(9000, 0, 9000), noLimits, ledger.Applied)
	var rows []*ledger.Row
	var steps [][2]int64
	n := before
	err := l.Dump(ctx, func(r *ledger.Row) error {
		rows = append(rows, r)
		if len(rows)%50 == 0 {
			apply(t, l, deposit(n, "merchant/m1", n), ledger.Applied)
			check(t, l.ReleaseHold(ctx, id("op", 9000)))
			n++
		}
		return nil
	}, func(done, total int64) { steps = append(steps, [2]int64{done, total}) })
	check(t, err)
	if n < before+5 {
		t.Fatalf("%d ops were written beside the dump", n-before)
	}
	ops := 0
	for _, r := range rows {
		if r.Op != nil {
			ops++
		}
		if r.Hold != nil && r.Hold.Released {
			t.Fatal("the hold was released later")
		}
	}
	if ops != before {
		t.Fatalf("%d ops are in the dump, want the %d from before it", ops, before)
	}
	if last := steps[len(steps)-1]; last[0] != last[1] || last[1] == 0 {
		t.Fatalf("progress told %v", steps)
	}
	other := fresh(t)()
	defer other.Close()
	check(t, other.Load(ctx, from(rows)))
	verify(t, other)
	stop := errors.New("seen enough")
	shown := 0
	wantErr(t, l.Dump(ctx, func(*ledger.Row) error { shown++; return stop }, nil), stop)
	if shown != 1 {
		t.Fatalf("%d rows were shown after an error", shown)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := other.Load(ended, from(rows)); err == nil {
		t.Fatal("a load runs without its context")
	}
}

func testHeads(t *testing.T, fresh FreshLedger) {
	l := fresh(t)()
	t.Cleanup(func() { l.Close() })
	ctx := context.Background()
	_, err := l.Head(ctx, "main", 0)
	wantErr(t, err, ledger.ErrNotFound)
	Fill(t, l)
	for _, want := range verify(t, l).Heads {
		newest, err := l.Head(ctx, want.Lane, 0)
		check(t, err)
		if newest != want {
			t.Fatalf("head is %v, want %v", newest, want)
		}
		_, err = l.Head(ctx, want.Lane, want.Seq+1)
		wantErr(t, err, ledger.ErrNotFound)
		same, err := l.Head(ctx, want.Lane, want.Seq)
		check(t, err)
		first, err := l.Head(ctx, want.Lane, 1)
		check(t, err)
		if same != want || first.Seq != 1 || first.Lane != want.Lane || first.Hash == want.Hash {
			t.Fatalf("heads are %v and %v", same, first)
		}
	}
	_, err = l.Head(ctx, "nowhere", 0)
	wantErr(t, err, ledger.ErrNotFound)
	if fence, err := ledger.RaisedFence(ctx, l); err != nil || fence != nil {
		t.Fatalf("a fence is raised: %v, %v", fence, err)
	}
	if n, err := ledger.RestoreEpoch(ctx, l); err != nil || n != 3 {
		t.Fatal(fmt.Sprint("restore epoch: ", n, err))
	}
}

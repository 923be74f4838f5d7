package ledgertest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
)

func testReadBack(t *testing.T, fresh FreshLedger) {
	open := fresh(t)
	l := open()
	ctx := context.Background()
	check(t, l.OpenEpoch(ctx, epoch))
	op := ledger.Op{
		ID: id("op", 1), Kind: "deposit", Account: "merchant/m1", Issuer: "BANKA", Acquirer: "BANKB", Lane: "side",
		State: ledger.StatePending, Request: []byte("\x00request\xff"), Answer: []byte("answer"),
		At: moment(1).In(time.FixedZone("somewhere", 3600)),
		Spends: []ledger.Spend{
			{Epoch: epoch, ID: id("coin", 2), Value: 2}, {Epoch: epoch, ID: id("coin", 1), Value: 0},
		},
		Postings: []ledger.Posting{
			{Account: "merchant/m1", Amount: 5, Currency: "EUR"}, {Account: "circulation/k1", Amount: -5, Currency: "EUR"},
			{Account: "reserve", Amount: -7, Currency: "USD"}, {Account: "merchant/m1", Amount: 7, Currency: "USD"},
		},
		Floors: []string{"merchant/m1"},
	}
	bare := ledger.Op{ID: id("op", 2), Kind: "void", State: ledger.StateDone, At: moment(2)}
	apply(t, l, op, ledger.Applied)
	apply(t, l, bare, ledger.Applied)

	op.Floors, op.At = nil, moment(1)
	bare.Lane = "main"
	for range 2 {
		for _, want := range []ledger.Op{op, bare} {
			got, err := l.Op(ctx, want.ID)
			check(t, err)
			if diff := differ(&want, got); diff != "" {
				t.Fatalf("op read back differs (-want +got):\n%s", diff)
			}
		}
		wantBalance(t, l, "merchant/m1", 5)
		verify(t, l)
		check(t, l.Close())
		l = open()
	}
	defer l.Close()
	if _, err := l.Op(ctx, id("op", 3)); err == nil {
		t.Fatal("an op that was never applied is found")
	} else {
		wantErr(t, err, ledger.ErrNotFound)
	}
}

func testOrderOfChecks(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	first := deposit(1, "merchant/m1", 1)
	apply(t, l, first, ledger.Applied)

	replays := map[string]func(*ledger.Op){
		"the same op":               func(*ledger.Op) {},
		"its coin spent, of course": func(o *ledger.Op) { o.Spends = deposit(9, "m", 1, 2, 3).Spends },
		"another request":           func(o *ledger.Op) { o.Request = []byte("other") },
		"unbalanced postings":       func(o *ledger.Op) { o.Postings = o.Postings[:1] },
		"an unknown epoch":          func(o *ledger.Op) { o.Spends[0].Epoch = "nowhere" },
		"a malformed epoch":         func(o *ledger.Op) { o.Spends[0].Epoch = "x; DROP TABLE ops" },
		"no kind, state or time":    func(o *ledger.Op) { o.Kind, o.State, o.At = "", "", time.Time{} },
		"a floor out of reach":      func(o *ledger.Op) { *o = withdraw(1, "holder/poor", "reserve", 1) },
	}
	for name, change := range replays {
		t.Run("replayed with "+name, func(t *testing.T) {
			again := deposit(1, "merchant/m1", 1)
			change(&again)
			out := apply(t, l, again, ledger.Replayed)
			if out.Existing == nil || string(out.Existing.Request) != string(first.Request) ||
				len(out.Existing.Spends) != 1 || len(out.Existing.Postings) != 2 {
				t.Fatalf("replay returned %+v, want the op as recorded", out.Existing)
			}
		})
	}
	t.Run("a spent coin is told before an empty purse", func(t *testing.T) {
		op := withdraw(2, "holder/poor", "reserve", 1)
		op.Spends = first.Spends
		apply(t, l, op, ledger.Conflict)
	})
	t.Run("a refused op is not recorded and may come again", func(t *testing.T) {
		op := withdraw(3, "holder/h", "reserve", 5)
		apply(t, l, op, ledger.Insufficient)
		_, err := l.Op(context.Background(), op.ID)
		wantErr(t, err, ledger.ErrNotFound)
		apply(t, l, move(4, "reserve", "holder/h", 5), ledger.Applied)
		apply(t, l, op, ledger.Applied)
	})
	verify(t, l)
}

func testMalformed(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	ctx := context.Background()
	cases := []struct {
		name   string
		change func(*ledger.Op)
		want   error
	}{
		{"a zero id", func(o *ledger.Op) { o.ID = ledger.ID{} }, ledger.ErrMalformed},
		{"no kind", func(o *ledger.Op) { o.Kind = "" }, ledger.ErrMalformed},
		{"a kind in capitals", func(o *ledger.Op) { o.Kind = "Deposit" }, ledger.ErrMalformed},
		{"no state", func(o *ledger.Op) { o.State = "" }, ledger.ErrMalformed},
		{"an account with an empty element", func(o *ledger.Op) { o.Account = "holder//x" }, ledger.ErrMalformed},
		{"a bank id in lower case", func(o *ledger.Op) { o.Issuer = "bank" }, ledger.ErrMalformed},
		{"a lane with a space", func(o *ledger.Op) { o.Lane = "a b" }, ledger.ErrMalformed},
		{"no time", func(o *ledger.Op) { o.At = time.Time{} }, ledger.ErrMalformed},
		{"a request too large", func(o *ledger.Op) { o.Request = make([]byte, ledger.MaxRequest+1) }, ledger.ErrMalformed},
		{"one coin twice", func(o *ledger.Op) { o.Spends = append(o.Spends, o.Spends[0]) }, ledger.ErrMalformed},
		{"a negative value", func(o *ledger.Op) { o.Spends[0].Value = -1 }, ledger.ErrMalformed},
		{"SQL for an epoch", func(o *ledger.Op) { o.Spends[0].Epoch = "k1 (id) VALUES (1); --" }, ledger.ErrMalformed},
		{"an epoch nobody opened", func(o *ledger.Op) { o.Spends[0].Epoch = "k2" }, ledger.ErrUnknownEpoch},
		{"a posting of nothing", func(o *ledger.Op) { o.Postings[0].Amount = 0 }, ledger.ErrMalformed},
		{"a posting out of range", func(o *ledger.Op) { o.Postings[0].Amount = ledger.MaxAmount + 1 }, ledger.ErrMalformed},
		{"two postings to one account", func(o *ledger.Op) { o.Postings[1] = o.Postings[0] }, ledger.ErrMalformed},
		{"a posting to nobody", func(o *ledger.Op) { o.Postings[0].Account = "" }, ledger.ErrMalformed},
		{"a currency in lower case", func(o *ledger.Op) { o.Postings[0].Currency = "eur" }, ledger.ErrMalformed},
		{"a floor that nothing is posted to", func(o *ledger.Op) { o.Floors = []string{"holder/other"} }, ledger.ErrMalformed},
		{"a unit too much", func(o *ledger.Op) { o.Postings[0].Amount-- }, ledger.ErrUnbalanced},
		{"balance across currencies only", func(o *ledger.Op) { o.Postings[0].Currency = "USD" }, ledger.ErrUnbalanced},
		{"a long account", func(o *ledger.Op) { o.Account = strings.Repeat("a", 201) }, ledger.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			op := deposit(1, "merchant/m1", 1)
			c.change(&op)
			_, err := l.Apply(ctx, op)
			wantErr(t, err, c.want)
		})
	}
	apply(t, l, deposit(1, "merchant/m1", 1), ledger.Applied)
	wantBalance(t, l, "merchant/m1", 1)
	if audit := verify(t, l); audit.Ops != 1 {
		t.Fatalf("%d ops recorded, want the one good one", audit.Ops)
	}
}

func testConflicts(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	apply(t, l, deposit(1, "merchant/m1", 1, 2), ledger.Applied)
	apply(t, l, deposit(2, "merchant/m2", 3), ledger.Applied)
	out := apply(t, l, deposit(3, "merchant/m3", 3, 4, 1), ledger.Conflict)
	want := []ledger.Taken{
		{Epoch: epoch, ID: id("coin", 3), Op: id("op", 2)}, {Epoch: epoch, ID: id("coin", 1), Op: id("op", 1)},
	}
	if diff := differ(want, out.Conflicts); diff != "" {
		t.Fatalf("conflicts differ (-want +got):\n%s", diff)
	}
	// All or nothing: the coin that was free stays so.
	apply(t, l, deposit(4, "merchant/m4", 4), ledger.Applied)
	wantBalance(t, l, "merchant/m3", 0)

	var ids []ledger.ID
	for n := range 1200 {
		ids = append(ids, id("coin", n))
	}
	got, err := l.SpentBy(context.Background(), epoch, ids)
	check(t, err)
	wantSpent := map[ledger.ID]ledger.ID{
		id("coin", 1): id("op", 1), id("coin", 2): id("op", 1), id("coin", 3): id("op", 2), id("coin", 4): id("op", 4),
	}
	if diff := differ(wantSpent, got); diff != "" {
		t.Fatalf("spent ids differ (-want +got):\n%s", diff)
	}
	verify(t, l)
}

func testFloors(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	apply(t, l, move(1, "reserve", "holder/h", 10), ledger.Applied)
	wantBalance(t, l, "reserve", -10) // no floor was asked for
	out := apply(t, l, withdraw(2, "holder/h", "circulation/k1", 11), ledger.Insufficient)
	if diff := differ([]string{"holder/h"}, out.Short); diff != "" {
		t.Fatalf("short accounts differ (-want +got):\n%s", diff)
	}
	apply(t, l, withdraw(3, "holder/h", "circulation/k1", 10), ledger.Applied)
	wantBalance(t, l, "holder/h", 0)
	apply(t, l, withdraw(4, "holder/h", "circulation/k1", 1), ledger.Insufficient)
	usd := withdraw(5, "holder/h", "circulation/k1", 1)
	for i := range usd.Postings {
		usd.Postings[i].Currency = "USD"
	}
	apply(t, l, usd, ledger.Insufficient)
	verify(t, l)
}

func testOverflow(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	apply(t, l, move(1, "reserve", "holder/h", ledger.MaxAmount), ledger.Applied)
	_, err := l.Apply(context.Background(), move(2, "reserve2", "holder/h", 1))
	wantErr(t, err, ledger.ErrOverflow)
	wantBalance(t, l, "holder/h", ledger.MaxAmount)
	wantBalance(t, l, "reserve2", 0)
	verify(t, l)
}

func testEpochs(t *testing.T, fresh FreshLedger) {
	open := fresh(t)
	l := open()
	ctx := context.Background()
	_, err := l.Apply(ctx, deposit(1, "merchant/m1", 1))
	wantErr(t, err, ledger.ErrUnknownEpoch)
	_, err = l.SpentBy(ctx, epoch, []ledger.ID{id("coin", 1)})
	wantErr(t, err, ledger.ErrUnknownEpoch)
	for _, bad := range []string{"", "K1", "a-b", "a b", strings.Repeat("k", 41)} {
		wantErr(t, l.OpenEpoch(ctx, bad), ledger.ErrMalformed)
	}
	check(t, l.OpenEpoch(ctx, epoch))
	check(t, l.OpenEpoch(ctx, epoch))
	check(t, l.OpenEpoch(ctx, strings.Repeat("k", 40)))
	apply(t, l, deposit(1, "merchant/m1", 1), ledger.Applied)
	check(t, l.Close())

	l = open()
	defer l.Close()
	check(t, l.OpenEpoch(ctx, epoch))
	apply(t, l, deposit(2, "merchant/m1", 1), ledger.Conflict)
	// The same id in another set is another thing.
	op := deposit(3, "merchant/m1", 1)
	op.Spends[0].Epoch = strings.Repeat("k", 40)
	apply(t, l, op, ledger.Applied)
	verify(t, l)
}

package ledgertest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/speciecash/specie/ledger"
)

func testAnswers(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	ctx := context.Background()
	wantErr(t, l.SetAnswer(ctx, id("op", 1), ledger.StateDone, nil), ledger.ErrNotFound)
	op := deposit(1, "merchant/m1", 1)
	op.State = ledger.StatePending
	apply(t, l, op, ledger.Applied)

	steps := []struct {
		name, state, answer   string
		err                   error
		wantState, wantAnswer string
	}{
		{"still pending", ledger.StatePending, "", nil, ledger.StatePending, ""},
		{"a malformed state", "", "", ledger.ErrMalformed, ledger.StatePending, ""},
		{"done, answer to come", ledger.StateDone, "", nil, ledger.StateDone, ""},
		{"done, again", ledger.StateDone, "", nil, ledger.StateDone, ""},
		{"refused after all", ledger.StateRefused, "", ledger.ErrAnswered, ledger.StateDone, ""},
		{"pending again", ledger.StatePending, "", ledger.ErrAnswered, ledger.StateDone, ""},
		{"the answer", ledger.StateDone, "receipt", nil, ledger.StateDone, "receipt"},
		{"the answer, again", ledger.StateDone, "receipt", nil, ledger.StateDone, "receipt"},
		{"no answer leaves it", ledger.StateDone, "", nil, ledger.StateDone, "receipt"},
		{"another answer", ledger.StateDone, "receipT", ledger.ErrAnswered, ledger.StateDone, "receipt"},
		{"the answer under another state", ledger.StateRefused, "receipt", ledger.ErrAnswered, ledger.StateDone, "receipt"},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			wantErr(t, l.SetAnswer(ctx, op.ID, s.state, []byte(s.answer)), s.err)
			got, err := l.Op(ctx, op.ID)
			check(t, err)
			if got.State != s.wantState || string(got.Answer) != s.wantAnswer {
				t.Fatalf("op is %s %q, want %s %q", got.State, got.Answer, s.wantState, s.wantAnswer)
			}
		})
	}
	out := apply(t, l, op, ledger.Replayed)
	if out.Existing.State != ledger.StateDone || string(out.Existing.Answer) != "receipt" {
		t.Fatalf("replay returned %s %q", out.Existing.State, out.Existing.Answer)
	}
	if audit := verify(t, l); audit.Answers != 2 {
		t.Fatalf("%d answers recorded, want the two that changed something", audit.Answers)
	}
}

func testPaging(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	ctx := context.Background()
	// Several ops share a time; some have nothing to do with the account.
	const n = 23
	for i := range n {
		op := move(i, "reserve", "holder/h", int64(i+1))
		op.Account, op.At = "holder/h", moment(i/3)
		apply(t, l, op, ledger.Applied)
		apply(t, l, move(100+i, "reserve", "holder/other", 1), ledger.Applied)
	}
	check(t, l.SetAnswer(ctx, id("op", 4), ledger.StateDone, []byte("yes")))
	for _, limit := range []int{1, 2, 5, n - 1, n, n + 1, 0, 100000} {
		t.Run(fmt.Sprintf("by %d", limit), func(t *testing.T) {
			var amounts []int64
			page := ledger.Page{Limit: limit}
			for {
				entries, next, err := l.Entries(ctx, "holder/h", page)
				check(t, err)
				if len(entries) > page.Size() || len(entries) == 0 {
					t.Fatalf("page of %d rows", len(entries))
				}
				for _, e := range entries {
					i := int(e.Amount) - 1
					want := ledger.Entry{Op: id("op", i), Kind: "transfer", State: ledger.StateDone,
						Account: "holder/h", Amount: e.Amount, Currency: "EUR", At: moment(i / 3)}
					if diff := differ(want, e); diff != "" {
						t.Fatalf("entry differs (-want +got):\n%s", diff)
					}
					amounts = append(amounts, e.Amount)
				}
				if page.After = next; next == "" {
					break
				}
			}
			wantEach(t, amounts, n)
		})
	}
	var seen []int64
	page := ledger.Page{Limit: 7}
	for {
		ops, next, err := l.OpsByAccount(ctx, "holder/h", page)
		check(t, err)
		for _, op := range ops {
			seen = append(seen, op.Postings[1].Amount)
			if want := op.ID == id("op", 4); (string(op.Answer) == "yes") != want {
				t.Fatalf("op %x has answer %q", op.ID[:4], op.Answer)
			}
		}
		if page.After = next; next == "" {
			break
		}
	}
	wantEach(t, seen, n)
	if entries, next, err := l.Entries(ctx, "holder/nobody", ledger.Page{}); err != nil || len(entries) != 0 || next != "" {
		t.Fatalf("an unknown account has %v %q %v", entries, next, err)
	}
}

// wantEach wants n to 1, newest times first, each once.
func wantEach(t *testing.T, amounts []int64, n int) {
	t.Helper()
	seen := map[int64]bool{}
	for i, a := range amounts {
		if seen[a] {
			t.Fatalf("%d is listed twice", a)
		}
		seen[a] = true
		if i > 0 && (a-1)/3 > (amounts[i-1]-1)/3 {
			t.Fatalf("%d comes after %d", a, amounts[i-1])
		}
	}
	if len(amounts) != n {
		t.Fatalf("%d rows listed, want %d", len(amounts), n)
	}
}

func testBadCursor(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	apply(t, l, move(1, "reserve", "holder/h", 1), ledger.Applied)
	good := ledger.NewCursor(id("op", 1), 0)
	for name, c := range map[string]ledger.Cursor{
		"rubbish":               "%%%",
		"too long":              ledger.Cursor(strings.Repeat("A", 10000)),
		"cut short":             good[:len(good)-1],
		"an op that is no op":   ledger.NewCursor(id("op", 2), 0),
		"a posting too far":     ledger.NewCursor(id("op", 1), ledger.MaxPostings),
		"loose bits at the end": good[:len(good)-1] + "B",
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := l.Entries(context.Background(), "holder/h", ledger.Page{After: c})
			wantErr(t, err, ledger.ErrMalformed)
			_, _, err = l.OpsByAccount(context.Background(), "holder/h", ledger.Page{After: c})
			wantErr(t, err, ledger.ErrMalformed)
		})
	}
}

func wantDuplicate(f fataler, err error, field string) {
	f.Helper()
	wantErr(f, err, ledger.ErrDuplicate)
	if !strings.Contains(err.Error(), field+" already taken") {
		f.Fatalf("error %q does not name %s", err, field)
	}
}

func testAccounts(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	ctx := context.Background()
	h1 := ledger.Account{ID: "holder/h1", Kind: "holder", Name: "Ada ✓", Key: []byte{1, 2},
		Currency: "EUR", CreatedAt: moment(1)}
	bare := ledger.Account{ID: "holder/h2", Kind: "holder", Currency: "EUR", CreatedAt: moment(2)}
	m1 := ledger.Account{ID: "merchant/m1", Kind: "merchant", Currency: "EUR", CreatedAt: moment(3), Suspended: true}
	for _, a := range []ledger.Account{h1, bare, m1} {
		check(t, l.CreateAccount(ctx, a))
	}
	h1.Rev, bare.Rev, m1.Rev = 1, 1, 1

	wantDuplicate(t, l.CreateAccount(ctx, h1), ledger.FieldAccount)
	nobody := ledger.Account{ID: "holder/h3", Kind: "holder", Currency: "EUR", CreatedAt: moment(4)}
	for name, bad := range map[string]ledger.Account{
		"no id":        {Kind: "holder", Currency: "EUR", CreatedAt: moment(1)},
		"a NUL":        {ID: "x", Kind: "holder", Name: "a\x00b", Currency: "EUR", CreatedAt: moment(1)},
		"not UTF-8":    {ID: "x", Kind: "holder", Name: "\xff", Currency: "EUR", CreatedAt: moment(1)},
		"no currency":  {ID: "x", Kind: "holder", CreatedAt: moment(1)},
		"a huge key":   {ID: "x", Kind: "holder", Key: make([]byte, 5000), Currency: "EUR", CreatedAt: moment(1)},
		"no time":      {ID: "x", Kind: "holder", Currency: "EUR"},
		"a kind apart": {ID: "x", Kind: "a kind", Currency: "EUR", CreatedAt: moment(1)},
	} {
		t.Run("refused: "+name, func(t *testing.T) { wantErr(t, l.CreateAccount(ctx, bad), ledger.ErrMalformed) })
	}

	stale := h1
	h1.Suspended, h1.Reason = true, "lost his telephone"
	check(t, l.UpdateAccount(ctx, h1))
	h1.Rev = 2
	wantErr(t, l.UpdateAccount(ctx, stale), ledger.ErrStale)
	moved := h1
	moved.Currency = "USD"
	wantErr(t, l.UpdateAccount(ctx, moved), ledger.ErrMalformed)
	wantErr(t, l.UpdateAccount(ctx, nobody), ledger.ErrNotFound)

	got, err := l.Account(ctx, h1.ID)
	check(t, err)
	if diff := differ(&h1, got); diff != "" {
		t.Fatalf("account differs (-want +got):\n%s", diff)
	}
	_, err = l.Account(ctx, "holder/h3")
	wantErr(t, err, ledger.ErrNotFound)
	for _, c := range []struct {
		prefix, after string
		limit         int
		want          []ledger.Account
	}{
		{"", "", 0, []ledger.Account{h1, bare, m1}},
		{"holder/", "", 0, []ledger.Account{h1, bare}},
		{"", "holder/h1", 1, []ledger.Account{bare}},
		{"", "merchant/m1", 0, nil},
	} {
		got, err := l.Accounts(ctx, c.prefix, c.after, c.limit)
		check(t, err)
		if diff := differ(c.want, got); diff != "" {
			t.Fatalf("accounts %q after %q differ (-want +got):\n%s", c.prefix, c.after, diff)
		}
	}
	verify(t, l)
}

func testMeta(t *testing.T, fresh FreshLedger) {
	l := start(t, fresh)
	metaSuite(t, l)
	verify(t, l)
}

func testRegisterMeta(t *testing.T, fresh FreshRegister) { metaSuite(t, startRegister(t, fresh)) }

func metaSuite(t *testing.T, s interface {
	Meta(context.Context, string) ([]byte, error)
	SetMeta(context.Context, string, []byte) error
}) {
	ctx := context.Background()
	_, err := s.Meta(ctx, ledger.MetaBank)
	wantErr(t, err, ledger.ErrNotFound)
	for _, value := range []string{"BANKA", "", "BANKB"} {
		check(t, s.SetMeta(ctx, ledger.MetaBank, []byte(value)))
		got, err := s.Meta(ctx, ledger.MetaBank)
		check(t, err)
		if string(got) != value {
			t.Fatalf("meta is %q, want %q", got, value)
		}
	}
	check(t, s.SetMeta(ctx, ledger.MetaRestoreEpoch, nil))
	wantErr(t, s.SetMeta(ctx, "Bad Key", nil), ledger.ErrMalformed)
	wantErr(t, s.SetMeta(ctx, "big", make([]byte, ledger.MaxMeta+1)), ledger.ErrMalformed)
}

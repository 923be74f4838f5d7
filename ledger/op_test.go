package ledger_test

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
)

func sample() ledger.Op {
	return ledger.Op{
		ID: ledger.ID{1}, Kind: "deposit", Account: "merchant/m1", Issuer: "BANKA", Acquirer: "BANKB", Lane: "main",
		State: "done", Request: []byte("request"), Answer: []byte("answer"), At: time.UnixMicro(1_700_000_000_000_001).UTC(),
		Spends: []ledger.Spend{{Epoch: "k1", ID: ledger.ID{2}, Value: 5}, {Epoch: "k1", ID: ledger.ID{3}, Value: 5}},
		Postings: []ledger.Posting{
			{Account: "circulation/k1", Amount: -10, Currency: "EUR"}, {Account: "merchant/m1", Amount: 10, Currency: "EUR"},
		},
	}
}

// The digest is what journals already written rest on: it may never change.
func TestOpDigestIsPinned(t *testing.T) {
	op := sample()
	got := op.Digest()
	const want = "e6335dc9d63884f86cdd9519a708271cc3a44c45e7da513c591496f379bd708a"
	if hex.EncodeToString(got[:]) != want {
		t.Fatalf("digest is %x, want %s", got, want)
	}
}

func TestOpDigestCoversEverything(t *testing.T) {
	base := sample()
	seen := map[[32]byte]string{base.Digest(): "the op unchanged"}
	for _, c := range []struct {
		name   string
		change func(*ledger.Op)
	}{
		{"id", func(o *ledger.Op) { o.ID[31]++ }},
		{"kind", func(o *ledger.Op) { o.Kind = "exchange" }},
		{"account", func(o *ledger.Op) { o.Account = "merchant/m2" }},
		{"issuer", func(o *ledger.Op) { o.Issuer = "BANKC" }},
		{"issuer and acquirer exchanged", func(o *ledger.Op) { o.Issuer, o.Acquirer = o.Acquirer, o.Issuer }},
		{"lane", func(o *ledger.Op) { o.Lane = "side" }},
		{"state", func(o *ledger.Op) { o.State = "pending" }},
		{"request", func(o *ledger.Op) { o.Request[0]++ }},
		{"answer", func(o *ledger.Op) { o.Answer = nil }},
		{"a byte moved from request to answer", func(o *ledger.Op) {
			o.Request, o.Answer = []byte("reques"), []byte("tanswer")
		}},
		{"a microsecond", func(o *ledger.Op) { o.At = o.At.Add(time.Microsecond) }},
		{"a spend's epoch", func(o *ledger.Op) { o.Spends[0].Epoch = "k2" }},
		{"a spend's id", func(o *ledger.Op) { o.Spends[0].ID[0]++ }},
		{"a spend's value", func(o *ledger.Op) { o.Spends[0].Value++ }},
		{"order of spends", func(o *ledger.Op) { o.Spends[0], o.Spends[1] = o.Spends[1], o.Spends[0] }},
		{"a spend less", func(o *ledger.Op) { o.Spends = o.Spends[:1] }},
		{"a posting's account", func(o *ledger.Op) { o.Postings[0].Account = "circulation/k2" }},
		{"a posting's amount", func(o *ledger.Op) { o.Postings[0].Amount-- }},
		{"a posting's sign", func(o *ledger.Op) { o.Postings[0].Amount *= -1 }},
		{"a posting's currency", func(o *ledger.Op) { o.Postings[0].Currency = "USD" }},
		{"a posting less", func(o *ledger.Op) { o.Postings = o.Postings[:1] }},
	} {
		op := sample()
		c.change(&op)
		digest := op.Digest()
		if old, ok := seen[digest]; ok {
			t.Errorf("%s gives the digest of %s", c.name, old)
		}
		seen[digest] = c.name
	}
	op := sample()
	op.Floors, op.At = []string{"merchant/m1"}, op.At.In(time.FixedZone("", 3600)).Add(time.Nanosecond)
	if op.Digest() != base.Digest() {
		t.Error("a floor, a time zone or a nanosecond changed the digest: none is recorded")
	}
}

func TestCheckBalancedDoesNotWrap(t *testing.T) {
	var postings []ledger.Posting
	for range ledger.MaxPostings { // 2^12 times 2^52 is 2^64, which is zero in 64 bits
		postings = append(postings, ledger.Posting{Account: "a", Amount: 1 << 52, Currency: "EUR"})
	}
	if err := ledger.CheckBalanced(postings); !errors.Is(err, ledger.ErrUnbalanced) {
		t.Fatalf("got %v", err)
	}
}

func TestAddAmount(t *testing.T) {
	for _, c := range []struct {
		a, b, want int64
		err        error
	}{
		{1, 2, 3, nil},
		{ledger.MaxAmount, -ledger.MaxAmount, 0, nil},
		{ledger.MaxAmount - 1, 1, ledger.MaxAmount, nil},
		{ledger.MaxAmount, 1, 0, ledger.ErrOverflow},
		{-ledger.MaxAmount, -1, 0, ledger.ErrOverflow},
	} {
		got, err := ledger.AddAmount(c.a, c.b)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%d + %d gave %d, %v", c.a, c.b, got, err)
		}
	}
}

func TestBooksFoldByClass(t *testing.T) {
	books, err := ledger.Books([]ledger.Balance{
		{Account: "circulation/k1", Currency: "EUR", Amount: 3}, {Account: "circulation/k2", Currency: "EUR", Amount: 4},
		{Account: "holder/h/savings", Currency: "EUR", Amount: 5}, {Account: "holder/h", Currency: "USD", Amount: 1},
		{Account: "reserve", Currency: "EUR", Amount: -12},
	})
	want := []ledger.Balance{
		{Account: "circulation", Currency: "EUR", Amount: 7}, {Account: "holder", Currency: "EUR", Amount: 5},
		{Account: "holder", Currency: "USD", Amount: 1}, {Account: "reserve", Currency: "EUR", Amount: -12},
	}
	if err != nil || len(books) != len(want) {
		t.Fatalf("got %v, %v", books, err)
	}
	for i := range want {
		if books[i] != want[i] {
			t.Errorf("got %v, want %v", books[i], want[i])
		}
	}
	if _, err := ledger.Books([]ledger.Balance{{Account: "a/1", Amount: ledger.MaxAmount}, {Account: "a/2", Amount: 1}}); !errors.Is(err, ledger.ErrOverflow) {
		t.Errorf("an overflow gave %v", err)
	}
}

func TestNames(t *testing.T) {
	long := string(make([]byte, 300))
	for _, c := range []struct {
		name      string
		valid     func(string) bool
		good, bad []string
	}{
		{"account", ledger.ValidAccount,
			[]string{"reserve", "holder/7f3a", "circulation/Ab-_9.x", "a/b/c"},
			[]string{"", "/", "a/", "/a", "a//b", "a b", "ä", "a\x00", "a'b", long}},
		{"epoch", ledger.ValidEpoch,
			[]string{"k1", "a_b", "0"}, []string{"", "K1", "a-b", "a b", "a;b", "a\"", "ä", long}},
		{"lane", ledger.ValidLane, []string{"main", "w-1", "w_1"}, []string{"", "Main", "a b", long}},
		{"name", ledger.ValidName, []string{"deposit", "pay-out2"}, []string{"", "2nd", "-a", "Deposit", "a_b", long}},
	} {
		for _, s := range c.good {
			if !c.valid(s) {
				t.Errorf("%s %q is refused", c.name, s)
			}
		}
		for _, s := range c.bad {
			if c.valid(s) {
				t.Errorf("%s %q is accepted", c.name, s)
			}
		}
	}
}

package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"crypto/sha256"

	"github.com/speciecash/specie/ledger"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// at opens a ledger that is closed after the test.
func at(t testing.TB, url string, opts Options) *Ledger {
	t.Helper()
	l := open(t, url, opts)
	t.Cleanup(func() { l.Close() })
	return l
}

func hash(kind string, n int) ledger.ID {
	return sha256.Sum256(binary.BigEndian.AppendUint64([]byte(kind), uint64(n)))
}

func moment(n int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC).Add(time.Duration(n) * time.Second)
}

// move returns op n: an amount from one account to another, with a floor under
// the first unless that is the reserve or circulation.
func move(n int, from, to string, amount int64) ledger.Op {
	op := ledger.Op{
		ID: hash("op", n), Kind: "transfer", Account: from, State: ledger.StateDone, Request: []byte{byte(n)}, At: moment(n % 1000),
		Postings: []ledger.Posting{
			{Account: from, Amount: -amount, Currency: "EUR"}, {Account: to, Amount: amount, Currency: "EUR"},
		},
	}
	if class := ledger.Class(from); class != "reserve" && class != "circulation" {
		op.Floors = []string{from}
	}
	return op
}

// deposit returns op n: a move out of circulation that spends coins of k1.
func deposit(n int, to string, coins ...int) ledger.Op {
	op := move(n, "circulation/k1", to, int64(len(coins)))
	op.Kind, op.Account = "deposit", to
	for _, c := range coins {
		op.Spends = append(op.Spends, ledger.Spend{Epoch: "k1", ID: hash("coin", c), Value: 1})
	}
	return op
}

func apply(t testing.TB, l *Ledger, op ledger.Op, want ledger.Status) ledger.Outcome {
	t.Helper()
	out, err := l.Apply(context.Background(), op)
	must(t, err)
	if out.Status != want {
		t.Fatalf("op %x: got %v (%+v), want %v", op.ID[:4], out.Status, out, want)
	}
	return out
}

func wantBalance(t testing.TB, l *Ledger, account string, want int64) {
	t.Helper()
	got, err := l.Balance(context.Background(), account, "EUR")
	must(t, err)
	if got != want {
		t.Fatalf("balance of %s is %d, want %d", account, got, want)
	}
}

func sound(t testing.TB, l *Ledger) *ledger.Audit {
	t.Helper()
	audit, err := l.Verify(context.Background(), ledger.Verification{})
	must(t, err)
	return audit
}

// together runs n calls at once and waits for them.
func together(n int, call func(i int)) {
	var ready, done sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-gate
			call(i)
		})
	}
	ready.Wait()
	close(gate)
	done.Wait()
}

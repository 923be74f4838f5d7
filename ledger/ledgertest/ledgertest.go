// Package ledgertest owns the behaviour that every driver of package ledger
// must show, as tests that a driver's own tests run against real stores.
//
// It is for tests only; it imports ledger and never a driver.
//
// # Trust
//
// None is asked: the suites compare a store with a model of their own.
//
// # Errors
//
// Everything unexpected fails the test.
//
// # Concurrency
//
// The suites call stores from many goroutines and are best run with -race.
package ledgertest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/speciecash/specie/ledger"
)

// FreshLedger makes room for one empty ledger and returns what opens it; the
// suites open it again after closing it. The opener fails tb on error.
type FreshLedger func(tb testing.TB) (open func() ledger.Ledger)

// FreshRegister is FreshLedger for registers.
type FreshRegister func(tb testing.TB) (open func() ledger.Register)

// Ledger runs the suite of ledger.Ledger.
func Ledger(t *testing.T, fresh FreshLedger) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, FreshLedger)
	}{
		{"what was recorded reads back", testReadBack},
		{"apply checks in the promised order", testOrderOfChecks},
		{"a malformed op is refused and recorded nowhere", testMalformed},
		{"conflicts name the ops that spent", testConflicts},
		{"a floor holds to the last unit", testFloors},
		{"balances stay in range", testOverflow},
		{"epochs are opened on purpose", testEpochs},
		{"answers settle once", testAnswers},
		{"lists page from newest to oldest", testPaging},
		{"a bad cursor is malformed", testBadCursor},
		{"accounts", testAccounts},
		{"tokens open an account until they are revoked", testTokens},
		{"an account has so many tokens", testTokensAreBounded},
		{"meta", testMeta},
		{"a hold keeps coins for one op until its end", testHolds},
		{"a hold is placed once, on coins that are free", testPlacingHolds},
		{"an account has so many holds", testHoldLimits},
		{"a wrong try counts once", testStrikes},
		{"holds are listed and forgotten", testHoldLists},
		{"of many who want one coin one gets it", testConcurrentHolds},
		{"apply refuses in the promised order", testOrderOfRefusals},
		{"quotas count up to their maximum", testQuotas},
		{"quotas hold under concurrency", testConcurrentQuotas},
		{"lists and balances of a period", testPeriods},
		{"of 200 spends of one coin one wins", testDoubleSpend},
		{"of many replays of one op one applies", testConcurrentReplay},
		{"floors hold under concurrency", testConcurrentFloors},
		{"a caller may leave", testContext},
		{"a closed store says so", testClosed},
		{"money is conserved", testConservation},
		{"a journal has a head at any time", testHeads},
		{"what was dumped loads into an empty store", testDumpAndLoad},
		{"load refuses what is not whole", testLoadRefuses},
		{"a dump is one picture", testDumpBesideWriting},
		{"the writer counts its batches", testWriterStats},
		{"what a part of a journal moved is added up", testFlows},
		{"who verifies sees every op and how far it is", testVerification},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, fresh) })
	}
}

// Register runs the suite of ledger.Register.
func Register(t *testing.T, fresh FreshRegister) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, FreshRegister)
	}{
		{"a session is replaced by the next of its EK", testSessions},
		{"a session is taken once", testTakeOnce},
		{"an expired session is used up", testExpiredSession},
		{"a member reads back", testMemberReadBack},
		{"EK, tag and Uh are unique", testUniqueMembers},
		{"a lost join can be repeated until it is active", testRepeatedJoin},
		{"members change state one way", testMemberStates},
		{"of 100 joins of one EK, tag or Uh one wins", testConcurrentEnrol},
		{"of 100 joins on one session one wins", testConcurrentSession},
		{"no more sessions are open than are allowed", testFullOfSessions},
		{"a membership is continued with a code", testSuccession},
		{"a membership is not continued otherwise", testNoSuccession},
		{"an EK goes along the line of one person", testLineOfSuccession},
		{"of 100 successors of one member one wins", testConcurrentSuccession},
		{"members are listed and counted", testMemberLists},
		{"warrants are chained", testWarrants},
		{"of 100 next entries one is taken", testConcurrentWarrants},
		{"a counter never repeats a number", testCounters},
		{"an EK has few sessions, and keeps those that have joined", testSessionsOfOneEK},
		{"papers of a warrant that were lost come back", testLostPapers},
		{"meta", testRegisterMeta},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, fresh) })
	}
}

// epoch is the spent set that the suite's stores have open.
const epoch = "k1"

// start opens a fresh ledger with epoch open, to be closed after the test.
func start(tb testing.TB, fresh FreshLedger) ledger.Ledger {
	tb.Helper()
	l := fresh(tb)()
	tb.Cleanup(func() { l.Close() })
	check(tb, l.OpenEpoch(context.Background(), epoch))
	return l
}

func startRegister(tb testing.TB, fresh FreshRegister) ledger.Register {
	tb.Helper()
	r := fresh(tb)()
	tb.Cleanup(func() { r.Close() })
	return r
}

// fataler is what testing.TB and rapid.T have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func check(f fataler, err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("%v", err)
	}
}

func wantErr(f fataler, err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Fatalf("got error %v, want %v", err, want)
	}
}

// differ returns how got differs from want. A store need not tell an empty
// list from none.
func differ(want, got any) string { return cmp.Diff(want, got, cmpopts.EquateEmpty()) }

// id returns the n-th id of a kind: a hash, as all ids are.
func id(kind string, n int) ledger.ID {
	return sha256.Sum256(binary.BigEndian.AppendUint64([]byte(kind), uint64(n)))
}

// moment is the n-th second of the suite's time.
func moment(n int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC).Add(time.Duration(n) * time.Second)
}

// move returns op n: amount from one account to another.
func move(n int, from, to string, amount int64) ledger.Op {
	return ledger.Op{
		ID: id("op", n), Kind: "transfer", Account: from, State: ledger.StateDone,
		Request: []byte{byte(n)}, At: moment(n),
		Postings: []ledger.Posting{
			{Account: from, Amount: -amount, Currency: "EUR"},
			{Account: to, Amount: amount, Currency: "EUR"},
		},
	}
}

// withdraw is a move that must not overdraw its source.
func withdraw(n int, from, to string, amount int64) ledger.Op {
	op := move(n, from, to, amount)
	op.Floors = []string{from}
	return op
}

// deposit returns op n: a move out of circulation that spends coins.
func deposit(n int, to string, coins ...int) ledger.Op {
	op := move(n, "circulation/k1", to, int64(len(coins)))
	op.Kind, op.Account = "deposit", to
	for _, c := range coins {
		op.Spends = append(op.Spends, ledger.Spend{Epoch: epoch, ID: id("coin", c), Value: 1})
	}
	return op
}

// apply applies op and wants the status.
func apply(f fataler, l ledger.Ledger, op ledger.Op, want ledger.Status) ledger.Outcome {
	f.Helper()
	out, err := l.Apply(context.Background(), op)
	check(f, err)
	if out.Status != want {
		f.Fatalf("op %x: got %v (%+v), want %v", op.ID[:4], out.Status, out, want)
	}
	return out
}

func wantBalance(f fataler, l ledger.Ledger, account string, want int64) {
	f.Helper()
	got, err := l.Balance(context.Background(), account, "EUR")
	check(f, err)
	if got != want {
		f.Fatalf("balance of %s is %d, want %d", account, got, want)
	}
}

// verify wants the store sound, and its books to sum to zero.
func verify(f fataler, l ledger.Ledger) *ledger.Audit {
	f.Helper()
	audit, err := l.Verify(context.Background(), ledger.Verification{})
	check(f, err)
	totals, err := l.Totals(context.Background(), "")
	check(f, err)
	sums := map[string]int64{}
	for _, b := range totals {
		sums[b.Currency] += b.Amount
	}
	for currency, sum := range sums {
		if sum != 0 {
			f.Fatalf("all balances in %s come to %d", currency, sum)
		}
	}
	return audit
}

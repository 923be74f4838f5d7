package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
)

// doubts are COMMITs of which nobody can say what became of them.
func doubts() map[string]injury {
	return map[string]injury{
		"40003, and it happened":             {instead: "COMMIT", answer: complaint('E', "ERROR", "40003"), happened: true},
		"40003, and it did not happen":       {instead: "ROLLBACK", answer: complaint('E', "ERROR", "40003")},
		"a warning, and it happened":         {instead: "COMMIT", answer: complaint('N', "WARNING", "01000"), asWell: true, happened: true},
		"an administrator, and it happened":  {instead: "COMMIT", answer: complaint('E', "FATAL", "57P01"), happened: true},
		"no answer, and it happened":         {instead: "COMMIT", happened: true},
		"no answer, and it did not happen":   {},
		"a ROLLBACK, and it did not happen":  {instead: "ROLLBACK", answer: nil, asWell: true},
		"an error nobody knows, it happened": {instead: "COMMIT", answer: complaint('E', "ERROR", "XX000"), happened: true},
	}
}

// TestACommitInDoubtIsNoAnswer: neither yes nor no is said; the op's id tells
// when it comes again.
func TestACommitInDoubtIsNoAnswer(t *testing.T) {
	for name, f := range doubts() {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			p := through(t, cluster.Database(t))
			l := at(t, p.url, Options{})
			must(t, l.OpenEpoch(ctx, "k1"))
			apply(t, l, deposit(1, "merchant/m1", 1), ledger.Applied)
			before := p.made.Load()

			arm := func() { again := f; p.fault.Store(&again) }
			arm()
			_, err := l.Apply(ctx, deposit(2, "merchant/m1", 2))
			wantErr(t, err, ledger.ErrUnavailable)
			want := ledger.Applied
			if f.happened {
				want = ledger.Replayed
			}
			apply(t, l, deposit(2, "merchant/m1", 2), want)
			if p.made.Load() == before {
				t.Fatal("the connection was kept")
			}
			wantBalance(t, l, "merchant/m1", 2)

			// What is recorded and seen is not yet confirmed.
			for call, try := range map[string]func() error{
				"a replay":         func() error { _, err := l.Apply(ctx, deposit(1, "merchant/m1", 1)); return err },
				"a double spend":   func() error { _, err := l.Apply(ctx, deposit(3, "merchant/m1", 1)); return err },
				"an overdraft":     func() error { _, err := l.Apply(ctx, move(4, "merchant/m1", "reserve", 9)); return err },
				"a lookup":         func() error { _, err := l.Op(ctx, hash("op", 1)); return err },
				"who spent":        func() error { _, err := l.SpentBy(ctx, "k1", []ledger.ID{hash("coin", 1)}); return err },
				"an answer":        func() error { return l.SetAnswer(ctx, hash("op", 1), ledger.StateDone, []byte("x")) },
				"a strange answer": func() error { return l.SetAnswer(ctx, hash("op", 1), ledger.StateRefused, []byte("y")) },
				"an epoch":         func() error { return l.OpenEpoch(ctx, "k1") },
				"a hold on a spent coin": func() error {
					_, err := l.PlaceHold(ctx, ledger.Hold{ID: hash("op", 5), Account: "merchant/m1", Amount: 1, At: moment(1), Until: moment(2),
						Coins: []ledger.Spend{{Epoch: "k1", ID: hash("coin", 1)}}}, ledger.HoldLimits{})
					return err
				},
				"an unknown hold": func() error { return l.ReleaseHold(ctx, hash("op", 6)) },
			} {
				arm()
				if err := try(); !errors.Is(err, ledger.ErrUnavailable) {
					t.Errorf("%s in doubt is answered: %v", call, err)
				}
				if p.fault.Load() != nil {
					t.Errorf("%s was answered without a commit", call)
				}
				p.fault.Store(nil)
			}
			sound(t, l)
		})
	}
}

// TestWhatCanBeRepeatedIs: a transaction that the server gave up changed
// nothing, and the caller hears nothing of it.
func TestWhatCanBeRepeatedIs(t *testing.T) {
	for name, f := range map[string]injury{
		"40001 at the commit":        {instead: "ROLLBACK", answer: complaint('E', "ERROR", "40001")},
		"40P01 at the commit":        {instead: "ROLLBACK", answer: complaint('E', "ERROR", "40P01")},
		"40001 before":               {at: "BEGIN", instead: "ROLLBACK", answer: complaint('E', "ERROR", "40001")},
		"40P01 before":               {at: "BEGIN", instead: "ROLLBACK", answer: complaint('E', "ERROR", "40P01")},
		"a connection lost before":   {at: "BEGIN"},
		"a server that is read-only": {at: "BEGIN", instead: "ROLLBACK", answer: complaint('E', "ERROR", "25006")},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			p := through(t, cluster.Database(t))
			l := at(t, p.url, Options{})
			must(t, l.OpenEpoch(ctx, "k1"))
			arm := func() { again := f; p.fault.Store(&again) }
			arm()
			apply(t, l, deposit(1, "merchant/m1", 1), ledger.Applied)
			arm()
			apply(t, l, deposit(1, "merchant/m1", 1), ledger.Replayed)
			arm()
			must(t, l.SetMeta(ctx, "x", []byte("y")))
			arm()
			_, err := l.Strike(ctx, hash("op", 9), hash("try", 1))
			wantErr(t, err, ledger.ErrNotFound)
			if p.fault.Load() != nil {
				t.Fatal("the fault did not come to pass")
			}
			wantBalance(t, l, "merchant/m1", 1)
			if audit := sound(t, l); audit.Ops != 1 {
				t.Fatalf("%d ops", audit.Ops)
			}
		})
	}
}

// TestRepetitionEnds: a server that gives up every transaction is unavailable.
func TestRepetitionEnds(t *testing.T) {
	p := through(t, cluster.Database(t))
	l := at(t, p.url, Options{})
	must(t, l.OpenEpoch(context.Background(), "k1"))
	p.always.Store(true)
	p.fault.Store(&injury{instead: "ROLLBACK", answer: complaint('E', "ERROR", "40001")})
	start := time.Now()
	_, err := l.Apply(context.Background(), deposit(1, "merchant/m1", 1))
	wantErr(t, err, ledger.ErrUnavailable)
	if time.Since(start) > 10*time.Second {
		t.Fatalf("it took %v", time.Since(start))
	}
	p.fault.Store(nil)
	apply(t, l, deposit(1, "merchant/m1", 1), ledger.Applied)
}

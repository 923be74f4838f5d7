package postgres

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/postgres/pgtest"
)

// TestAWitnessSeesAServerTakeOverThatLagged: the ledger goes on on a standby
// that had not everything, as it does on any other; that must not be forgotten
// over what it commits there.
func TestAWitnessSeesAServerTakeOverThatLagged(t *testing.T) {
	own, err := pgtest.Start()
	must(t, err)
	t.Cleanup(func() { must(t, own.Close()) })
	ctx := context.Background()
	dsn := own.Database(t)
	file := filepath.Join(t.TempDir(), "witness")
	w, err := ledger.OpenWitness(file, "main", nil)
	must(t, err)
	l := open(t, dsn, Options{OnCommit: w.Commit})
	must(t, w.Check(ctx, l))
	must(t, l.OpenEpoch(ctx, "k1"))
	apply(t, l, deposit(1, "merchant/m1", 1), ledger.Applied)
	must(t, l.Close())

	standby, err := own.Standby()
	must(t, err)
	t.Cleanup(func() { must(t, standby.Close()) })
	must(t, standby.Stop())
	hosts := with(t, dsn, "host", own.Host()+","+standby.Host())
	l = open(t, hosts, Options{OnCommit: w.Commit, Timeout: 5 * time.Second})
	apply(t, l, deposit(2, "merchant/m1", 2), ledger.Applied)
	apply(t, l, deposit(3, "merchant/m1", 3), ledger.Applied)
	must(t, own.Kill())
	t.Cleanup(func() { must(t, own.Restart()) }) // for what is cleaned up
	must(t, standby.Restart())
	standby.Exec(t, standby.URL("postgres"), "SELECT pg_promote()")
	for i := range 4 { // coin 2 is good again, and the journal longer than it was
		n := 20 + i
		var out ledger.Outcome
		for try := 0; ; try++ {
			if out, err = l.Apply(ctx, deposit(n, "merchant/m1", 2+i)); err == nil {
				break
			} else if try == 20 || !errors.Is(err, ledger.ErrUnavailable) {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if out.Status != ledger.Applied {
			t.Fatalf("got %+v", out)
		}
	}
	select {
	case behind := <-w.Behind():
		if behind.By != 2 {
			t.Errorf("got %v", behind)
		}
	default:
		t.Error("nothing was said while it was open")
	}
	must(t, l.Close())
	must(t, w.Close())

	w, err = ledger.OpenWitness(file, "main", nil)
	must(t, err)
	l = open(t, hosts, Options{OnCommit: w.Commit})
	wantErr(t, w.Check(ctx, l), ledger.ErrBehind)
	must(t, w.Accept(ctx, l))
	must(t, l.Close())
	must(t, w.Close())
	w, err = ledger.OpenWitness(file, "main", nil)
	must(t, err)
	l = open(t, hosts, Options{OnCommit: w.Commit})
	must(t, w.Check(ctx, l))
	must(t, l.Close())
	must(t, w.Close())
}

package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/postgres/pgtest"
)

// TestAWarningAtTheCommitIsHeardWhateverTheURLSays: a COMMIT that stops waiting
// for its standby says so by a WARNING and by nothing else.
func TestAWarningAtTheCommitIsHeardWhateverTheURLSays(t *testing.T) {
	own, err := pgtest.Start()
	must(t, err)
	t.Cleanup(func() { must(t, own.Close()) })
	ctx := context.Background()
	dsn := own.Database(t)
	l := at(t, with(t, dsn, "client_min_messages", "error"), Options{})
	must(t, l.OpenEpoch(ctx, "k1"))
	apply(t, l, deposit(1, "merchant/m1", 1), ledger.Applied)
	for name, ask := range map[string]func() error{
		"an op":    func() error { _, err := l.Apply(ctx, deposit(2, "merchant/m1", 2)); return err },
		"a lookup": func() error { _, err := l.Op(ctx, hash("op", 1)); return err },
	} {
		own.Exec(t, dsn, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
		answered := make(chan error, 1)
		go func() { answered <- ask() }()
		for done := false; !done; {
			select {
			case err = <-answered:
				done = true
			case <-time.After(50 * time.Millisecond):
				own.Exec(t, dsn, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
			}
		}
		own.Exec(t, dsn, "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
		if err == nil {
			t.Errorf("%s is answered, and no standby has it", name)
		} else {
			wantErr(t, err, ledger.ErrUnavailable)
		}
	}
}

// TestARefusalIsConfirmedOrNone: what a refusal rests on is confirmed after the
// rollback; where the connection is lost in between, nothing is known.
func TestARefusalIsConfirmedOrNone(t *testing.T) {
	ctx := context.Background()
	p := through(t, cluster.Database(t))
	l := at(t, p.url, Options{})
	a := ledger.Account{ID: "holder/h1", Kind: "holder", Currency: "EUR", CreatedAt: moment(1)}
	must(t, l.CreateAccount(ctx, a))
	wantErr(t, l.CreateAccount(ctx, a), ledger.ErrDuplicate)
	p.always.Store(true)
	p.fault.Store(&injury{at: "ROLLBACK"})
	wantErr(t, l.CreateAccount(ctx, a), ledger.ErrUnavailable)
	wantErr(t, l.ReleaseHold(ctx, hash("op", 6)), ledger.ErrUnavailable)
	p.fault.Store(nil)
	wantErr(t, l.CreateAccount(ctx, a), ledger.ErrDuplicate)
}

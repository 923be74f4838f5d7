package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/postgres/pgtest"
)

// with returns the URL with parameters set.
func with(t *testing.T, dsn string, params ...string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	must(t, err)
	q := u.Query()
	for i := 0; i < len(params); i += 2 {
		q.Set(params[i], params[i+1])
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// TestAServerThatMayForgetIsRefused: before anything is written.
func TestAServerThatMayForgetIsRefused(t *testing.T) {
	dsn := cluster.Database(t)
	refused := func(t *testing.T, dsn, because string) {
		t.Helper()
		l, err := OpenLedger(context.Background(), dsn, Options{})
		if err == nil {
			l.Close()
		}
		if !errors.Is(err, ledger.ErrUnavailable) || !strings.Contains(err.Error(), because) {
			t.Fatalf("opened with %v", err)
		}
	}
	t.Run("synchronous_commit off", func(t *testing.T) {
		refused(t, with(t, dsn, "synchronous_commit", "off"), "synchronous_commit is off")
	})
	t.Run("synchronous_commit local", func(t *testing.T) {
		refused(t, with(t, dsn, "synchronous_commit", "local"), "synchronous_commit is local")
	})
	t.Run("a session that is read-only", func(t *testing.T) {
		refused(t, with(t, dsn, "default_transaction_read_only", "on"), "read only")
	})
	t.Run("a session that is read-only, where the URL says that any will do", func(t *testing.T) {
		refused(t, with(t, dsn, "default_transaction_read_only", "on", "target_session_attrs", "read-only"), "takes no writes")
	})
	t.Run("fsync off", func(t *testing.T) {
		p := through(t, dsn)
		p.replace("\x00\x00\x00\x02on", "\x00\x00\x00\x02of") // the first that is on
		refused(t, p.url, "fsync is of")
	})
	t.Run("an old version", func(t *testing.T) {
		conn, err := pgx.Connect(context.Background(), dsn)
		must(t, err)
		defer conn.Close(context.Background())
		var version string
		must(t, conn.QueryRow(context.Background(), "SHOW server_version_num").Scan(&version))
		p := through(t, dsn)
		p.replace(version, "149999")
		refused(t, p.url, "15 or newer is needed, this is 149999")
	})
	t.Run("a standby", func(t *testing.T) {
		standby, err := cluster.Standby()
		must(t, err)
		defer func() { must(t, standby.Close()) }()
		refused(t, standby.URL("postgres"), "read only")
		refused(t, with(t, standby.URL("postgres"), "target_session_attrs", "standby"), "takes no writes")
		// Where both are named, the one that takes writes is found.
		l, err := OpenLedger(context.Background(), with(t, dsn, "host", standby.Host()+","+cluster.Host()), Options{})
		must(t, err)
		must(t, l.OpenEpoch(context.Background(), "k1"))
		must(t, l.Close())
	})
	t.Run("what says more than on is left", func(t *testing.T) {
		l := at(t, with(t, dsn, "synchronous_commit", "remote_apply"), Options{})
		for want, l := range map[string]*Ledger{"remote_apply": l, "on": at(t, with(t, dsn, "synchronous_commit", "remote_write"), Options{})} {
			var got string
			if _, err := l.get(context.Background(), []any{&got}, "SHOW synchronous_commit"); err != nil || got != want {
				t.Fatalf("synchronous_commit is %s, %v", got, err)
			}
		}
	})
}

// TestTheServerMayDieAndComeBack: kill -9 under load; what was answered is
// there, and the store goes on without being opened anew.
func TestTheServerMayDieAndComeBack(t *testing.T) {
	own, err := pgtest.Start()
	must(t, err)
	t.Cleanup(func() { must(t, own.Close()) })
	ctx := context.Background()
	l := at(t, own.Database(t), Options{Timeout: 5 * time.Second})
	must(t, l.OpenEpoch(ctx, "k1"))
	for round, end := range []func() error{own.Kill, own.Stop, own.Kill} {
		var mu sync.Mutex
		acked := make(map[int]bool)
		unsure := make(map[int]bool)
		dead := make(chan struct{})
		together(9, func(i int) {
			if i == 8 {
				time.Sleep(200 * time.Millisecond)
				if err := end(); err != nil {
					t.Error(err)
				}
				close(dead)
				return
			}
			for k := 0; ; k++ {
				n := 100_000*round + 1000*i + k
				out, err := l.Apply(ctx, deposit(n, "merchant/m1", n))
				mu.Lock()
				switch {
				case err == nil && out.Status == ledger.Applied:
					acked[n] = true
				case errors.Is(err, ledger.ErrUnavailable):
					unsure[n] = true
				default:
					t.Errorf("got %+v, %v", out, err)
				}
				mu.Unlock()
				if err != nil {
					<-dead
					return
				}
			}
		})
		_, err := l.Balance(ctx, "merchant/m1", "EUR")
		wantErr(t, err, ledger.ErrUnavailable)
		must(t, own.Restart())
		if len(acked) == 0 || len(unsure) == 0 {
			t.Fatalf("%d answered, %d in doubt", len(acked), len(unsure))
		}
		for n := range acked {
			apply(t, l, deposit(n, "merchant/m1", n), ledger.Replayed)
		}
		for n := range unsure {
			if out, err := l.Apply(ctx, deposit(n, "merchant/m1", n)); err != nil || out.Status != ledger.Applied && out.Status != ledger.Replayed {
				t.Fatalf("got %+v, %v", out, err)
			}
		}
		t.Logf("%d answered, %d in doubt", len(acked), len(unsure))
		sound(t, l)
	}
}

// TestPasswordsStayIn: no error and no log shows the URL's password.
func TestPasswordsStayIn(t *testing.T) {
	const secret = "s3cr3t/?&pass word"
	cluster.Exec(t, cluster.URL("postgres"), "CREATE ROLE "+pgtest.Wary+" LOGIN SUPERUSER PASSWORD '"+secret+"'")
	t.Cleanup(func() { cluster.Exec(t, cluster.URL("postgres"), "DROP ROLE "+pgtest.Wary) })
	var log bytes.Buffer
	opts := Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), Timeout: 2 * time.Second}
	dsn := cluster.Database(t)
	u, err := url.Parse(dsn)
	must(t, err)
	as := func(password string) string {
		v := *u
		v.User = url.UserPassword(pgtest.Wary, password)
		return v.String()
	}
	l := open(t, as(secret), opts)
	must(t, l.OpenEpoch(context.Background(), "k1"))
	must(t, l.Close())

	wrong := "wrong-" + secret
	for name, bad := range map[string]string{
		"a wrong password":          as(wrong),
		"nobody there":              "postgres://" + pgtest.Wary + ":" + url.QueryEscape(secret) + "@127.0.0.1:1/x",
		"a port that is none":       "postgres://wary:" + url.QueryEscape(secret) + "@host:port/x",
		"a password not escaped":    "postgres://wary:" + secret + "@host/x",
		"a parameter that is wrong": with(t, as(secret), "target_session_attrs", "sometimes"),
		"a list, broken":            "host=x password='" + secret,
	} {
		t.Run(name, func(t *testing.T) {
			l, err := OpenLedger(context.Background(), bad, opts)
			if err == nil {
				l.Close()
				t.Fatal("opened")
			}
			for _, shown := range []string{err.Error(), fmt.Sprintf("%+v", err), log.String()} {
				for _, part := range []string{"s3cr3t", "pass word", url.QueryEscape(secret)} {
					if strings.Contains(shown, part) {
						t.Fatalf("shown: %s", shown)
					}
				}
			}
		})
	}
	t.Run("a file keeps it", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "pgpass")
		must(t, os.WriteFile(file, []byte("*:*:*:"+pgtest.Wary+":"+secret+"\n"), 0o600))
		v := *u
		v.User = url.User(pgtest.Wary)
		must(t, open(t, with(t, v.String(), "passfile", file), opts).Close())
		t.Setenv("PGPASSFILE", file)
		must(t, open(t, v.String(), opts).Close())
	})
}

// TestSchemas: what is not ours is not touched.
func TestSchemas(t *testing.T) {
	ctx := context.Background()
	t.Run("a newer one", func(t *testing.T) {
		dsn := cluster.Database(t)
		must(t, open(t, dsn, Options{}).Close())
		cluster.Exec(t, dsn, "UPDATE specie_schema SET version = version + 1")
		_, err := OpenLedger(ctx, dsn, Options{})
		wantErr(t, err, ledger.ErrSchema)
	})
	t.Run("one of another kind", func(t *testing.T) {
		dsn := cluster.Database(t)
		must(t, open(t, dsn, Options{}).Close())
		cluster.Exec(t, dsn, "UPDATE specie_schema SET name = 'register'")
		_, err := OpenLedger(ctx, dsn, Options{})
		wantErr(t, err, ledger.ErrSchema)
	})
	t.Run("somebody else's", func(t *testing.T) {
		dsn := cluster.Database(t)
		cluster.Exec(t, dsn, "CREATE TABLE customers (id BIGINT)")
		_, err := OpenLedger(ctx, dsn, Options{})
		wantErr(t, err, ledger.ErrSchema)
		cluster.Exec(t, dsn, "DROP TABLE customers")
		must(t, open(t, dsn, Options{}).Close())
	})
	t.Run("eight make it at once, and eight bring it forward", func(t *testing.T) {
		dsn := cluster.Database(t)
		opts, err := Options{}.withDefaults()
		must(t, err)
		config, err := parse(dsn, opts)
		must(t, err)
		for _, steps := range [][]string{
			{schema1}, {schema1}, // there is nothing left to do
			{schema1, "CREATE TABLE more (n BIGINT PRIMARY KEY); INSERT INTO more VALUES (1)", "UPDATE more SET n = n + 1"},
		} {
			together(8, func(int) {
				conn, err := migrate(ctx, config.ConnConfig.Copy(), steps, opts)
				if err != nil {
					t.Error(err)
					return
				}
				conn.Close(ctx)
			})
		}
		var n, version int
		conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
		must(t, err)
		defer conn.Close(ctx)
		must(t, conn.QueryRow(ctx, "SELECT n, version FROM more, specie_schema").Scan(&n, &version))
		if n != 2 || version != 3 {
			t.Fatalf("n is %d in version %d", n, version)
		}
		_, err = OpenLedger(ctx, dsn, Options{}) // which is older than that
		wantErr(t, err, ledger.ErrSchema)
	})
	t.Run("a migration that fails leaves what was", func(t *testing.T) {
		dsn := cluster.Database(t)
		opts, err := Options{}.withDefaults()
		must(t, err)
		config, err := parse(dsn, opts)
		must(t, err)
		_, err = migrate(ctx, config.ConnConfig.Copy(), []string{schema1, "CREATE TABLE more (n BIGINT); SELECT nonsense"}, opts)
		if err == nil {
			t.Fatal("it passed")
		}
		must(t, open(t, dsn, Options{}).Close())
	})
	t.Run("a spent set that came back unasked", func(t *testing.T) {
		dsn := cluster.Database(t)
		l := at(t, dsn, Options{})
		cluster.Exec(t, dsn, "CREATE TABLE spent_k1 (id BYTEA PRIMARY KEY, op BYTEA)")
		wantErr(t, l.OpenEpoch(ctx, "k1"), ledger.ErrCorrupt)
	})
}

// TestBalancesOfManyDeltas: hot accounts are folded as they go, and far
// amounts are locked.
func TestBalancesOfManyDeltas(t *testing.T) {
	ctx := context.Background()
	ls := several(t)
	for n := range 3 * foldDeltas {
		apply(t, ls[n%2], move(n, "reserve", "merchant/m1", 1), ledger.Applied)
	}
	var deltas int
	_, err := ls[0].get(ctx, []any{&deltas}, "SELECT COUNT(*) FROM deltas WHERE account='merchant/m1'")
	must(t, err)
	if deltas == 0 || deltas > foldDeltas+5 {
		t.Fatalf("%d deltas are left of %d", deltas, 3*foldDeltas)
	}
	wantBalance(t, ls[2], "merchant/m1", 3*foldDeltas)
	sound(t, ls[0])

	// Together they would pass the limit; one by one, one is told.
	for round := range 40 {
		errs := make([]error, 3)
		together(3, func(i int) {
			op := move(1000+10*round+i, fmt.Sprintf("reserve/%d", round), fmt.Sprintf("merchant/r%d", round), ledger.MaxAmount/2)
			op.Lane = fmt.Sprintf("lane%d", i)
			_, errs[i] = ls[i].Apply(ctx, op)
		})
		over := 0
		for _, err := range errs {
			if errors.Is(err, ledger.ErrOverflow) {
				over++
			} else {
				must(t, err)
			}
		}
		if over != 1 {
			t.Fatalf("%d of 3 were told of the limit", over)
		}
	}
	sound(t, ls[0])
}

// TestWhatNoStandbyHasIsNotAnsweredFor: a commit that waited in vain for a
// standby is visible all the same, and would be lost with this server. Nobody
// is told of it, neither who made it nor who finds it.
func TestWhatNoStandbyHasIsNotAnsweredFor(t *testing.T) {
	own, err := pgtest.Start()
	must(t, err)
	t.Cleanup(func() { must(t, own.Close()) })
	ctx := context.Background()
	url := own.Database(t)
	patient := at(t, url, Options{Lane: "b"})
	l := at(t, url, Options{Timeout: time.Second})
	must(t, patient.OpenEpoch(ctx, "k1"))
	standby := func(names string) {
		own.Exec(t, own.URL("postgres"), "ALTER SYSTEM SET synchronous_standby_names TO "+names, "SELECT pg_reload_conf()")
		time.Sleep(200 * time.Millisecond) // every backend hears of it
	}
	hold := ledger.Hold{ID: hash("op", 5), Account: "merchant/m1", Amount: 1, At: moment(1), Until: moment(2),
		Coins: []ledger.Spend{{Epoch: "k1", ID: hash("coin", 1)}}}
	a := ledger.Account{ID: "holder/h1", Kind: "holder", Currency: "EUR", CreatedAt: moment(1)}
	must(t, patient.CreateAccount(ctx, a))

	standby("'nobody'")
	_, err = l.Apply(ctx, deposit(1, "merchant/m1", 1))
	wantErr(t, err, ledger.ErrUnavailable)
	var spent int
	if _, err := patient.get(ctx, []any{&spent}, "SELECT COUNT(*) FROM spent_k1"); err != nil || spent != 1 {
		t.Fatalf("%d coins are visibly spent, %v", spent, err)
	}
	for name, ask := range map[string]func() error{
		"a replay":               func() error { _, err := l.Apply(ctx, deposit(1, "merchant/m1", 1)); return err },
		"a double spend":         func() error { _, err := l.Apply(ctx, deposit(3, "merchant/m1", 1)); return err },
		"an overdraft":           func() error { _, err := l.Apply(ctx, move(4, "merchant/m1", "reserve", 9)); return err },
		"a lookup":               func() error { _, err := l.Op(ctx, hash("op", 1)); return err },
		"who spent":              func() error { _, err := l.SpentBy(ctx, "k1", []ledger.ID{hash("coin", 1)}); return err },
		"the same answer":        func() error { return l.SetAnswer(ctx, hash("op", 1), ledger.StateDone, nil) },
		"another answer":         func() error { return l.SetAnswer(ctx, hash("op", 1), ledger.StateRefused, nil) },
		"an epoch that is open":  func() error { return l.OpenEpoch(ctx, "k1") },
		"an account that is":     func() error { return l.CreateAccount(ctx, a) },
		"a hold on a spent coin": func() error { _, err := l.PlaceHold(ctx, hold, ledger.HoldLimits{}); return err },
		"a hold that is none":    func() error { return l.ReleaseHold(ctx, hash("op", 6)) },
	} {
		if err := ask(); !errors.Is(err, ledger.ErrUnavailable) {
			t.Errorf("%s is answered: %v", name, err)
		}
	}
	standby("''")
	apply(t, patient, deposit(1, "merchant/m1", 1), ledger.Replayed)
	apply(t, patient, deposit(3, "merchant/m1", 1), ledger.Conflict)
	sound(t, patient)
}

// TestOnCommit: whoever watches is told each journal's newest end, in order.
func TestOnCommit(t *testing.T) {
	ctx := context.Background()
	var heads []ledger.Head
	l := at(t, cluster.Database(t), Options{Lane: "a", OnCommit: func(h ledger.Head) { heads = append(heads, h) }})
	must(t, l.OpenEpoch(ctx, "k1"))
	side := deposit(1, "merchant/m1", 1)
	side.Lane = "side"
	apply(t, l, side, ledger.Applied)
	apply(t, l, side, ledger.Replayed) // nothing grows
	apply(t, l, deposit(2, "merchant/m1", 2), ledger.Applied)
	wantErr(t, l.SetAnswer(ctx, hash("op", 9), ledger.StateDone, nil), ledger.ErrNotFound)
	must(t, l.Close())
	var got []string
	for _, h := range heads {
		got = append(got, fmt.Sprintf("%s/%d", h.Lane, h.Seq))
	}
	if strings.Join(got, " ") != "a/1 side/1 a/2" {
		t.Fatalf("told %v", got)
	}
}

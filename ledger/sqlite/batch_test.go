package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/batch"
)

func openTest(t *testing.T, opts Options) *Ledger {
	t.Helper()
	l, err := OpenLedger(context.Background(), filepath.Join(t.TempDir(), "ledger.db"), opts)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	must(t, l.OpenEpoch(context.Background(), "k1"))
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sound(t *testing.T, l *Ledger) {
	t.Helper()
	_, err := l.Verify(context.Background(), ledger.Verification{})
	must(t, err)
}

// testOp moves amount from one account to another and spends coins.
func testOp(n byte, from, to string, amount int64, coins ...byte) ledger.Op {
	op := ledger.Op{
		ID: ledger.ID{n}, Kind: "transfer", State: ledger.StateDone, Request: []byte{n}, At: time.Unix(1_800_000_000, 0),
		Postings: []ledger.Posting{
			{Account: from, Amount: -amount, Currency: "EUR"}, {Account: to, Amount: amount, Currency: "EUR"},
		},
		Floors: []string{from},
	}
	for _, c := range coins {
		op.Spends = append(op.Spends, ledger.Spend{Epoch: "k1", ID: ledger.ID{c}, Value: 1})
	}
	return op
}

// fund is an op that overdraws the reserve, as it may.
func fund(n byte, to string, amount int64, coins ...byte) ledger.Op {
	op := testOp(n, "reserve", to, amount, coins...)
	op.Floors = nil
	return op
}

// TestOneBatch puts ops into one batch, in order, and wants what they would
// have come to one after the other.
func TestOneBatch(t *testing.T) {
	malformed := fund(3, "h", 1)
	malformed.Kind = ""
	cases := []struct {
		name   string
		before []ledger.Op
		ops    []ledger.Op
		want   []ledger.Status // 0: an error
	}{
		{"two spends of one coin", nil,
			[]ledger.Op{fund(1, "m", 1, 7), fund(2, "m", 1, 7)},
			[]ledger.Status{ledger.Applied, ledger.Conflict}},
		{"an op and its replay", nil,
			[]ledger.Op{fund(1, "m", 1, 7), fund(1, "m", 1, 7)},
			[]ledger.Status{ledger.Applied, ledger.Replayed}},
		{"an op refused twice", []ledger.Op{fund(9, "m", 1, 7)},
			[]ledger.Op{fund(1, "m", 1, 7), fund(1, "m", 1, 7)},
			[]ledger.Status{ledger.Conflict, ledger.Conflict}},
		{"an op refused, then affordable", nil,
			[]ledger.Op{testOp(1, "h", "m", 5), fund(2, "h", 5), testOp(1, "h", "m", 5)},
			[]ledger.Status{ledger.Insufficient, ledger.Applied, ledger.Applied}},
		{"two withdrawals from what covers one", []ledger.Op{fund(9, "h", 100)},
			[]ledger.Op{testOp(1, "h", "m", 60), testOp(2, "h", "m", 60)},
			[]ledger.Status{ledger.Applied, ledger.Insufficient}},
		{"money passed on", nil,
			[]ledger.Op{fund(1, "a", 5), testOp(2, "a", "b", 5), testOp(3, "b", "c", 5), testOp(4, "a", "c", 1)},
			[]ledger.Status{ledger.Applied, ledger.Applied, ledger.Applied, ledger.Insufficient}},
		{"a coin freed by a refusal", nil,
			[]ledger.Op{testOp(1, "h", "m", 5, 7), fund(2, "m", 5, 7)},
			[]ledger.Status{ledger.Insufficient, ledger.Applied}},
		{"a refused conflict leaves its other coin", nil,
			[]ledger.Op{fund(1, "m", 1, 7), fund(2, "m", 1, 7, 8), fund(3, "m", 1, 8)},
			[]ledger.Status{ledger.Applied, ledger.Conflict, ledger.Applied}},
		{"a malformed op among good ones", nil,
			[]ledger.Op{fund(1, "m", 1, 7), malformed, fund(2, "m", 1, 8)},
			[]ledger.Status{ledger.Applied, 0, ledger.Applied}},
		{"a malformed replay", nil,
			[]ledger.Op{fund(3, "h", 1), malformed},
			[]ledger.Status{ledger.Applied, ledger.Replayed}},
		{"replays and refusals only", []ledger.Op{fund(9, "m", 1, 7)},
			[]ledger.Op{fund(9, "m", 1, 7), fund(1, "m", 1, 7), testOp(2, "h", "m", 1)},
			[]ledger.Status{ledger.Replayed, ledger.Conflict, ledger.Insufficient}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := openTest(t, Options{})
			for _, op := range c.before {
				_, err := l.Apply(context.Background(), op)
				must(t, err)
			}
			jobs := make([]*job, len(c.ops))
			for i, op := range c.ops {
				jobs[i] = &job{Op: batch.NewOp(op, "main")}
			}
			must(t, l.writer.do(context.Background(), func(tx *tx) error { return l.runBatch(tx, jobs) }))
			for i, want := range c.want {
				if got := jobs[i].Op.Outcome.Status; got != want || (jobs[i].Err != nil) != (want == 0) {
					t.Errorf("op %d: got %v, %v; want %v", i, got, jobs[i].Err, want)
				}
			}
			sound(t, l)
		})
	}
}

func TestAnswersInOneBatch(t *testing.T) {
	l := openTest(t, Options{})
	op := fund(1, "m", 1, 7)
	op.State = ledger.StatePending
	jobs := []*job{
		{Answer: &batch.Answer{ID: op.ID, State: ledger.StateDone, Answer: []byte("a")}},
		{Op: batch.NewOp(op, "main")},
		{Answer: &batch.Answer{ID: op.ID, State: ledger.StateDone, Answer: []byte("a")}},
		{Answer: &batch.Answer{ID: op.ID, State: ledger.StateDone, Answer: []byte("b")}},
		{Answer: &batch.Answer{ID: ledger.ID{9}, State: ledger.StateDone}},
	}
	must(t, l.writer.do(context.Background(), func(tx *tx) error { return l.runBatch(tx, jobs) }))
	for i, want := range []error{nil, nil, nil, ledger.ErrAnswered, ledger.ErrNotFound} {
		if !errors.Is(jobs[i].Err, want) {
			t.Errorf("job %d: got %v, want %v", i, jobs[i].Err, want)
		}
	}
	got, err := l.Op(context.Background(), op.ID)
	must(t, err)
	if got.State != ledger.StateDone || string(got.Answer) != "a" {
		t.Fatalf("op is %s %q", got.State, got.Answer)
	}
	sound(t, l)
}

// holdUp keeps the writer busy until release is called, so that what is queued
// meanwhile forms one batch.
func holdUp(t *testing.T, l *Ledger) (release func()) {
	t.Helper()
	started, gate, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		ended <- l.writer.do(context.Background(), func(*tx) error {
			close(started)
			<-gate
			return errNothing
		})
	}()
	<-started
	return func() {
		close(gate)
		must(t, <-ended)
	}
}

// applyAsync applies op and sends the error, nil only if it was applied.
func applyAsync(ctx context.Context, l *Ledger, op ledger.Op) <-chan error {
	out := make(chan error, 1)
	go func() {
		o, err := l.Apply(ctx, op)
		if err == nil && o.Status != ledger.Applied {
			err = errors.New(o.Status.String())
		}
		out <- err
	}()
	return out
}

// queued waits until n jobs are in the queue.
func queued(l *Ledger, n int) {
	for l.writer.queue.Waiting() < n {
		time.Sleep(time.Millisecond)
	}
}

// TestPoison: one call that cannot be written must not take the others of its
// batch with it.
func TestPoison(t *testing.T) {
	l := openTest(t, Options{})
	ctx := context.Background()
	must(t, l.OpenEpoch(ctx, "k2"))
	must(t, l.writer.do(ctx, func(tx *tx) error { return tx.exec("DROP TABLE spent_k2") }))
	release := holdUp(t, l)
	var good, bad []<-chan error
	for n := range byte(20) {
		op := fund(n+1, "m", 1, n+1)
		if n%5 == 3 {
			op.Spends[0].Epoch = "k2"
			bad = append(bad, applyAsync(ctx, l, op))
		} else {
			good = append(good, applyAsync(ctx, l, op))
		}
	}
	queued(l, 20)
	release()
	for _, c := range good {
		must(t, <-c)
	}
	for _, c := range bad {
		if err := <-c; !errors.Is(err, ledger.ErrUnavailable) {
			t.Errorf("a spend in a set that is gone gave %v", err)
		}
	}
	audit, err := l.Verify(ctx, ledger.Verification{})
	if !errors.Is(err, ledger.ErrCorrupt) || len(audit.Problems) != 1 || !strings.Contains(audit.Problems[0], "spent_k2") {
		t.Fatalf("Verify found %v", audit.Problems)
	}
}

func TestQueueIsBounded(t *testing.T) {
	l := openTest(t, Options{Queue: 2})
	ctx, leave := context.WithCancel(context.Background())
	release := holdUp(t, l)
	stays := applyAsync(context.Background(), l, fund(1, "m", 1))
	queued(l, 1)
	leaves := applyAsync(ctx, l, fund(2, "m", 1))
	queued(l, 2)
	short, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if err := <-applyAsync(short, l, fund(3, "m", 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a caller found room in a full queue: %v", err)
	}
	leave()
	if err := <-leaves; !errors.Is(err, context.Canceled) {
		t.Fatalf("a caller who left got %v", err)
	}
	release()
	must(t, <-stays)
	for n, want := range map[byte]error{1: nil, 2: ledger.ErrNotFound, 3: ledger.ErrNotFound} {
		if _, err := l.Op(context.Background(), ledger.ID{n}); !errors.Is(err, want) {
			t.Errorf("op %d: got %v, want %v", n, err, want)
		}
	}
}

func TestLargeRequestsAreNotOneBatch(t *testing.T) {
	l := openTest(t, Options{})
	release := holdUp(t, l)
	var done []<-chan error
	for n := range byte(6) {
		op := fund(n+1, "m", 1)
		op.Request = make([]byte, ledger.MaxRequest)
		done = append(done, applyAsync(context.Background(), l, op))
	}
	queued(l, 6)
	release()
	for _, c := range done {
		must(t, <-c)
	}
	sound(t, l)
}

// limitPages lets the file grow to so many pages; fewer than it has is what it
// has.
func limitPages(t *testing.T, l *Ledger, pages int64) {
	t.Helper()
	must(t, l.writer.do(context.Background(), func(tx *tx) error {
		return tx.exec(fmt.Sprintf("PRAGMA max_page_count=%d", pages))
	}))
}

// TestFullDisk: while there is no room nothing is recorded, not even a part of
// it; with room again the same calls go through.
func TestFullDisk(t *testing.T) {
	l := openTest(t, Options{})
	ctx := context.Background()
	must(t, l.CreateAccount(ctx, ledger.Account{ID: "m", Kind: "merchant", Currency: "EUR", CreatedAt: time.Unix(1, 0)}))
	before, err := l.Verify(ctx, ledger.Verification{})
	must(t, err)
	limitPages(t, l, 1)
	large := func(n byte) ledger.Op {
		op := fund(n, "m", 1, n)
		op.Request = make([]byte, 1<<20)
		op.Quotas = []ledger.Quota{{Name: "day/m", Amount: 1, Max: 100}}
		return op
	}
	hold := func(n byte) ledger.Hold {
		h := ledger.Hold{ID: ledger.ID{n, 1}, Account: "m", At: time.Unix(1, 0), Until: time.Unix(2, 0)}
		for c := range 2000 {
			h.Coins = append(h.Coins, ledger.Spend{Epoch: "k1", ID: ledger.ID{n, byte(c), byte(c >> 8), 1}})
		}
		return h
	}
	for range 2 {
		release := holdUp(t, l)
		var failed []<-chan error
		for n := range byte(5) {
			failed = append(failed, applyAsync(ctx, l, large(n+1)))
		}
		queued(l, 5)
		release()
		for _, err := range failed {
			if err := <-err; !errors.Is(err, ledger.ErrUnavailable) {
				t.Fatalf("a full disk gave %v", err)
			}
		}
		if _, err := l.PlaceHold(ctx, hold(9), ledger.HoldLimits{}); !errors.Is(err, ledger.ErrUnavailable) {
			t.Fatalf("a full disk gave %v", err)
		}
		if err := l.SetMeta(ctx, "x", make([]byte, ledger.MaxMeta)); !errors.Is(err, ledger.ErrUnavailable) {
			t.Fatalf("a full disk gave %v", err)
		}
	}
	after, err := l.Verify(ctx, ledger.Verification{})
	must(t, err)
	if after.Ops != 0 || after.Spends != 0 || after.Records != before.Records || after.Heads[0] != before.Heads[0] {
		t.Fatalf("half of it was written: %+v, before %+v", after, before)
	}
	if n, err := l.Count(ctx, "day/m"); err != nil || n != 0 {
		t.Fatalf("counted %d, %v", n, err)
	}
	if open, err := l.OpenHolds(ctx, "", time.Unix(1, 0), 0); err != nil || len(open) != 0 {
		t.Fatalf("held are %v, %v", open, err)
	}
	limitPages(t, l, 1<<30)
	for n := range byte(5) {
		out, err := l.Apply(ctx, large(n+1))
		must(t, err)
		if out.Status != ledger.Applied {
			t.Fatalf("with room again the op is %v", out.Status)
		}
	}
	out, err := l.PlaceHold(ctx, hold(9), ledger.HoldLimits{})
	must(t, err)
	if out.Status != ledger.Applied {
		t.Fatalf("with room again the hold is %v", out.Status)
	}
	sound(t, l)
}

// TestLoadOnAFullDisk: a restoration that has no room leaves an empty store.
func TestLoadOnAFullDisk(t *testing.T) {
	ctx := context.Background()
	source := openTest(t, Options{})
	for n := range byte(50) {
		op := fund(n+1, "m", 1, n)
		op.Request = make([]byte, 100<<10)
		_, err := source.Apply(ctx, op)
		must(t, err)
	}
	var backup bytes.Buffer
	_, err := ledger.WriteBackup(ctx, source, &backup, nil)
	must(t, err)
	target, err := OpenLedger(ctx, filepath.Join(t.TempDir(), "ledger.db"), Options{})
	must(t, err)
	defer target.Close()
	limitPages(t, target, 500)
	if _, err := ledger.ReadBackup(ctx, target, bytes.NewReader(backup.Bytes()), nil); !errors.Is(err, ledger.ErrUnavailable) {
		t.Fatalf("a full disk gave %v", err)
	}
	audit, err := target.Verify(ctx, ledger.Verification{})
	must(t, err)
	if audit.Records != 0 {
		t.Fatalf("%d records were left", audit.Records)
	}
	limitPages(t, target, 1<<30)
	_, err = ledger.ReadBackup(ctx, target, &backup, nil)
	must(t, err)
	sound(t, target)
}

// TestOnCommit: heads are told after the commit, of each journal that grew, and
// of none when nothing was written.
func TestOnCommit(t *testing.T) {
	ctx := context.Background()
	var told []ledger.Head
	l := openTest(t, Options{OnCommit: func(h ledger.Head) { told = append(told, h) }})
	told = nil
	op := fund(1, "m", 1, 7)
	apply := func(lane string) {
		op.Lane = lane
		_, err := l.Apply(ctx, op)
		must(t, err)
	}
	apply("side")
	apply("side") // replayed
	op.ID = ledger.ID{2}
	apply("side") // refused
	must(t, l.SetMeta(ctx, "x", nil))
	audit, err := l.Verify(ctx, ledger.Verification{})
	must(t, err)
	if len(told) != 2 || told[0] != audit.Heads[1] || told[1] != audit.Heads[0] {
		t.Fatalf("told were %v, heads are %v", told, audit.Heads)
	}
}

// TestSpentIdsAreWrittenInOrder: random ids wear a B-tree least when a batch
// brings them sorted, each epoch in a table of its own.
func TestSpentIdsAreWrittenInOrder(t *testing.T) {
	ctx := context.Background()
	l := openTest(t, Options{})
	must(t, l.OpenEpoch(ctx, "k2"))
	// What a trigger sees is the order of insertion.
	must(t, l.writer.do(ctx, func(tx *tx) error {
		if err := tx.exec("CREATE TABLE seen (epoch TEXT, id BLOB)"); err != nil {
			return err
		}
		for _, epoch := range []string{"k1", "k2"} {
			err := tx.exec("CREATE TRIGGER see_" + epoch + " AFTER INSERT ON spent_" + epoch +
				" BEGIN INSERT INTO seen VALUES ('" + epoch + "', NEW.id); END")
			if err != nil {
				return err
			}
		}
		return nil
	}))
	var jobs []*job
	for n := range 40 {
		op := fund(byte(n+1), "m", 1)
		for c := range 3 {
			op.Spends = append(op.Spends, ledger.Spend{Epoch: []string{"k1", "k2"}[(n+c)%2], ID: ledger.ID{byte(n * 37), byte(c * 91), byte(n)}})
		}
		jobs = append(jobs, &job{Op: batch.NewOp(op, "main")})
	}
	must(t, l.writer.do(ctx, func(tx *tx) error { return l.runBatch(tx, jobs) }))
	last, seen := map[string][]byte{}, 0
	must(t, l.list(ctx, func(rows *sql.Rows) error {
		var epoch string
		var id []byte
		if err := rows.Scan(&epoch, &id); err != nil {
			return err
		}
		if bytes.Compare(last[epoch], id) >= 0 {
			t.Errorf("%x comes after %x in %s", id, last[epoch], epoch)
		}
		last[epoch], seen = id, seen+1
		return nil
	}, "SELECT epoch, id FROM seen ORDER BY rowid"))
	if seen != 120 || len(last) != 2 {
		t.Fatalf("%d ids in %d sets", seen, len(last))
	}
}

func TestStatementsAreBounded(t *testing.T) {
	l := openTest(t, Options{})
	must(t, l.writer.do(context.Background(), func(tx *tx) error {
		for n := range 2*maxStatements + 10 {
			if err := tx.exec("UPDATE epochs SET name = name WHERE name = 'x" + strings.Repeat("y", n) + "'"); err != nil {
				return err
			}
			if len(tx.w.statements) > maxStatements {
				t.Errorf("%d statements prepared", len(tx.w.statements))
			}
		}
		return nil
	}))
	_, err := l.Apply(context.Background(), fund(1, "m", 1, 7))
	must(t, err)
	sound(t, l)
}

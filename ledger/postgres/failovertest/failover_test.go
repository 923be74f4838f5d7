package failovertest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/postgres"
)

const (
	workers = 12
	people  = 6
	each    = 1_000_000 // minor units that everybody begins with
)

func hash(kind string, n int64) ledger.ID {
	return sha256.Sum256(binary.BigEndian.AppendUint64([]byte(kind), uint64(n)))
}

func at(n int64) time.Time { return time.Unix(1_800_000_000+n, 0) }

// withdrawal takes money from a person, who may not fall below zero.
func withdrawal(n int64) ledger.Op {
	from := fmt.Sprintf("holder/h%d", n%people)
	return ledger.Op{
		ID: hash("withdrawal", n), Kind: "withdrawal", Account: from, State: ledger.StateDone, Request: hashed("request", n), At: at(n),
		Postings: []ledger.Posting{{Account: from, Amount: -3, Currency: "EUR"}, {Account: "circulation/k1", Amount: 3, Currency: "EUR"}},
		Floors:   []string{from},
		Quotas:   []ledger.Quota{{Name: "day/" + from, Amount: 3, Max: each}},
	}
}

// deposit spends coin n/2: each coin is presented by two merchants.
func deposit(n int64) ledger.Op {
	to := fmt.Sprintf("merchant/m%d", n%2)
	return ledger.Op{
		ID: hash("deposit", n), Kind: "deposit", Account: to, State: ledger.StateDone, Request: hashed("request", n), At: at(n),
		Postings: []ledger.Posting{{Account: "circulation/k1", Amount: -2, Currency: "EUR"}, {Account: to, Amount: 2, Currency: "EUR"}},
		Spends:   []ledger.Spend{{Epoch: "k1", ID: hash("coin", n/2), Value: 2}},
	}
}

func hashed(kind string, n int64) []byte { h := hash(kind, n); return h[:] }

// answers are what callers were told, for good.
type answers struct {
	mu     sync.Mutex
	given  map[ledger.ID]ledger.Status // Applied also where a replay told it
	ops    map[ledger.ID]ledger.Op
	twice  []string
	doubts int
	count  atomic.Int64
}

// ask repeats an op until it is answered, as a client does.
func (a *answers) ask(ctx context.Context, ls []*postgres.Ledger, op ledger.Op) {
	for doubted := false; ctx.Err() == nil; {
		out, err := ls[rand.IntN(len(ls))].Apply(ctx, op)
		if err != nil {
			if !errors.Is(err, ledger.ErrUnavailable) && ctx.Err() == nil {
				a.wrong("%s: %v", op.Kind, err)
				return
			}
			if !doubted {
				a.mu.Lock()
				a.doubts++
				a.mu.Unlock()
			}
			doubted = true
			time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
			continue
		}
		switch {
		case out.Status == ledger.Replayed && !doubted:
			a.wrong("%s %x is a replay, and nobody asked before", op.Kind, op.ID[:4])
		case out.Status == ledger.Replayed && string(out.Existing.Request) != string(op.Request):
			a.wrong("%s %x is replayed as another", op.Kind, op.ID[:4])
		case out.Status == ledger.Insufficient || out.Status == ledger.Exceeded || out.Status == ledger.Held:
			a.wrong("%s %x is %s", op.Kind, op.ID[:4], out.Status)
		}
		status := out.Status
		if status == ledger.Replayed {
			status = ledger.Applied
		}
		a.mu.Lock()
		a.given[op.ID], a.ops[op.ID] = status, op
		a.mu.Unlock()
		a.count.Add(1)
		return
	}
}

func (a *answers) wrong(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.twice = append(a.twice, fmt.Sprintf(format, args...))
}

func TestALeaderIsLostUnderLoad(t *testing.T) {
	begun := time.Now()
	c := startCluster(t)
	t.Logf("%.0f s: a leader and its synchronous standby", time.Since(begun).Seconds())
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	var ls []*postgres.Ledger
	for _, lane := range []string{"a", "b"} {
		l, err := postgres.OpenLedger(ctx, c.url(), postgres.Options{Lane: lane, Timeout: 3 * time.Second})
		must(t, err)
		defer l.Close()
		ls = append(ls, l)
	}
	must(t, ls[0].OpenEpoch(ctx, "k1"))
	for i := range int64(people) {
		op := withdrawal(i)
		op.ID, op.Kind, op.Floors, op.Quotas = hash("funding", i), "funding", nil, nil
		op.Postings = []ledger.Posting{{Account: "reserve", Amount: -each, Currency: "EUR"}, {Account: op.Account, Amount: each, Currency: "EUR"}}
		if out, err := ls[0].Apply(ctx, op); err != nil || out.Status != ledger.Applied {
			t.Fatalf("got %+v, %v", out, err)
		}
	}

	a := &answers{given: make(map[ledger.ID]ledger.Status), ops: make(map[ledger.ID]ledger.Op)}
	loaded, stop := context.WithCancel(ctx)
	var next atomic.Int64
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			for loaded.Err() == nil {
				n := next.Add(1)
				op := withdrawal(n)
				if n%3 != 0 {
					op = deposit(n - n/3) // two in a row are of one coin, often at once
				}
				a.ask(ctx, ls, op)
			}
		})
	}
	more := func(n int64) {
		t.Helper()
		for want, deadline := a.count.Load()+n, time.Now().Add(90*time.Second); a.count.Load() < want; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				stop()
				cancel()
				c.show(t)
				t.Fatalf("%d answers are missing", want-a.count.Load())
			}
		}
	}
	more(500)
	c.nodes[0].kill(t)
	killed := time.Now()
	atKill := a.count.Load()
	t.Logf("%.0f s: the leader is killed after %d answers", time.Since(begun).Seconds(), atKill)
	c.wait(t, func(roles map[string]string) bool { return roles["two"] == "leader" })
	t.Logf("%.0f s: the standby leads, %.0f s after", time.Since(begun).Seconds(), time.Since(killed).Seconds())
	// Alone it answers nothing: there is no second copy.
	alone := a.count.Load()
	time.Sleep(2 * time.Second)
	if n := a.count.Load() - alone; n != 0 {
		t.Errorf("%d answers were given of which there is one copy", n)
	}
	c.nodes[0].start(t, c)
	c.wait(t, func(roles map[string]string) bool { return roles["one"] == "sync_standby" })
	t.Logf("%.0f s: the old leader follows, %d answers", time.Since(begun).Seconds(), a.count.Load())
	more(500)
	stop()
	done.Wait()
	t.Logf("%.0f s: %d answers, %d of them after doubts", time.Since(begun).Seconds(), a.count.Load(), a.doubts)
	for _, wrong := range a.twice {
		t.Error(wrong)
	}
	if a.doubts == 0 {
		t.Error("nobody was in doubt: the leader was not lost under load")
	}
	a.compare(ctx, t, ls)
	t.Logf("%.0f s: compared", time.Since(begun).Seconds())
}

// compare wants the books to be what the answers come to.
func (a *answers) compare(ctx context.Context, t *testing.T, ls []*postgres.Ledger) {
	t.Helper()
	recorded := make(map[ledger.ID]ledger.Op)
	audit, err := ls[1].Verify(ctx, ledger.Verification{Op: func(op *ledger.Op) error {
		if _, twice := recorded[op.ID]; twice {
			t.Errorf("op %x is recorded twice", op.ID[:4])
		}
		recorded[op.ID] = *op
		return nil
	}})
	must(t, err)
	want := map[string]int64{"reserve": -people * each}
	for i := range people {
		want[fmt.Sprintf("holder/h%d", i)] += each
	}
	winners := make(map[ledger.ID]int)
	for id, status := range a.given {
		op := a.ops[id]
		got, there := recorded[id]
		if there != (status == ledger.Applied) {
			t.Errorf("%s %x was answered with %s, and recorded is %v", op.Kind, id[:4], status, there)
		}
		if !there {
			continue
		}
		if string(got.Request) != string(op.Request) {
			t.Errorf("%s %x is recorded as another", op.Kind, id[:4])
		}
		for _, p := range op.Postings {
			want[p.Account] += p.Amount
		}
		for _, s := range op.Spends {
			winners[s.ID]++
		}
	}
	for id, status := range a.given {
		if status != ledger.Conflict {
			continue
		}
		// He who was refused was refused for somebody.
		if winners[a.ops[id].Spends[0].ID] != 1 {
			t.Errorf("deposit %x was refused, and %d have its coin", id[:4], winners[a.ops[id].Spends[0].ID])
		}
	}
	for coin, n := range winners {
		if n != 1 {
			t.Errorf("coin %x was paid %d times", coin[:4], n)
		}
	}
	if extra := len(recorded) - people - int(a.count.Load()) + a.refused(); extra != 0 {
		t.Errorf("%d ops are recorded that nobody was answered", extra)
	}
	totals, err := ls[0].Totals(ctx, "")
	must(t, err)
	var sum int64
	for _, b := range totals {
		sum += b.Amount
		if b.Amount != want[b.Account] {
			t.Errorf("%s has %d, want %d", b.Account, b.Amount, want[b.Account])
		}
	}
	if sum != 0 {
		t.Errorf("all balances come to %d", sum)
	}
	t.Logf("%d ops, %d spends, heads %d and %d", audit.Ops, audit.Spends, audit.Heads[0].Seq, audit.Heads[1].Seq)
}

func (a *answers) refused() (n int) {
	for _, status := range a.given {
		if status == ledger.Conflict {
			n++
		}
	}
	return n
}

package sqlite_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/sqlite"
)

// loadPath, in the environment, makes the test binary the process that
// TestKill kills.
const loadPath = "SPECIE_TEST_LEDGER_LOAD"

func TestMain(m *testing.M) {
	if path := os.Getenv(loadPath); path != "" {
		fmt.Fprintln(os.Stderr, load(path))
		os.Exit(1) // load ends by being killed
	}
	os.Exit(m.Run())
}

func hash(kind string, n int) ledger.ID {
	return sha256.Sum256(binary.BigEndian.AppendUint64([]byte(kind), uint64(n)))
}

// numbered is op n, which spends a coin and has its number as its request.
func numbered(n, coin int) ledger.Op {
	return ledger.Op{
		ID: hash("op", n), Kind: "deposit", Account: "merchant/m1", State: ledger.StatePending,
		Request: binary.BigEndian.AppendUint64(nil, uint64(n)), At: time.UnixMicro(1_800_000_000_000_000 + int64(n)),
		Spends: []ledger.Spend{{Epoch: "k1", ID: hash("coin", coin), Value: 1}},
		Postings: []ledger.Posting{
			{Account: "circulation/k1", Amount: -1, Currency: "EUR"}, {Account: "merchant/m1", Amount: 1, Currency: "EUR"},
		},
	}
}

// load applies and answers ops from many goroutines, for ever, and says so on
// standard output only after the store did. It goes on where another load was
// killed.
func load(path string) error {
	ctx := context.Background()
	l, err := sqlite.OpenLedger(ctx, path, sqlite.Options{})
	if err != nil {
		return err
	}
	if err := l.OpenEpoch(ctx, "k1"); err != nil {
		return err
	}
	var next atomic.Int64
	failed := make(chan error)
	for range 32 {
		go func() {
			for {
				n := int(next.Add(1))
				out, err := l.Apply(ctx, numbered(n, n))
				if err != nil {
					failed <- err
					return
				}
				if out.Status == ledger.Replayed {
					continue
				}
				say("applied", n)
				if err := l.SetAnswer(ctx, hash("op", n), ledger.StateDone, []byte("receipt")); err != nil {
					failed <- err
					return
				}
				say("answered", n)
			}
		}()
	}
	return <-failed
}

// say writes a line in one piece, padded so that the pipe holds few lines and
// the load cannot run far ahead of its reader.
func say(verb string, n int) { fmt.Fprintf(os.Stdout, "%s %d%200s\n", verb, n, "") }

// TestKill kills the process that writes in the middle of it, several times
// over one file: all it said it had done is there, and the file is sound.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	applied, answered := map[int]bool{}, map[int]bool{}
	for round := range 4 {
		loadAndKill(t, path, 60+60*round, applied, answered)
		l := openLedger(t, path)
		audit, err := l.Verify(context.Background(), ledger.Verification{})
		must(t, err)
		if int(audit.Ops) < len(applied) || int(audit.Answers) < len(answered) || len(applied) == 0 {
			t.Fatalf("%d ops and %d answers, but %d and %d were acknowledged",
				audit.Ops, audit.Answers, len(applied), len(answered))
		}
		var ids []ledger.ID
		for n := range applied {
			op, err := l.Op(context.Background(), hash("op", n))
			must(t, err)
			if int(binary.BigEndian.Uint64(op.Request)) != n || answered[n] && string(op.Answer) != "receipt" {
				t.Fatalf("op %d reads back as %+v", n, op)
			}
			ids = append(ids, hash("coin", n))
		}
		spent, err := l.SpentBy(context.Background(), "k1", ids)
		must(t, err)
		if len(spent) != len(applied) {
			t.Fatalf("%d coins spent, but %d were acknowledged", len(spent), len(applied))
		}
		balance, err := l.Balance(context.Background(), "merchant/m1", "EUR")
		must(t, err)
		if balance != audit.Ops {
			t.Fatalf("the merchant has %d for %d deposits", balance, audit.Ops)
		}
		must(t, l.Close())
	}
}

// TestWhatAKilledProcessLeftIsOnTheDiskBeforeItIsAnswered: what is only in the
// WAL may have missed its fsync; an open store has it in the file itself.
func TestWhatAKilledProcessLeftIsOnTheDiskBeforeItIsAnswered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	applied, answered := map[int]bool{}, map[int]bool{}
	loadAndKill(t, path, 60, applied, answered)
	l := openLedger(t, path)
	alone := filepath.Join(t.TempDir(), "alone.db")
	// By another process: see the package comment on locks.
	if out, err := exec.Command("cp", path, alone).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	must(t, l.Close())
	copied := openLedger(t, alone)
	for n := range applied {
		if _, err := copied.Op(context.Background(), hash("op", n)); err != nil {
			t.Fatalf("op %d is in the WAL only: %v", n, err)
		}
	}
	must(t, copied.Close())
}

// loadAndKill runs load until it has said lines things, kills it, and notes
// everything it said.
func loadAndKill(t *testing.T, path string, lines int, applied, answered map[int]bool) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), loadPath+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var kill sync.Once
	scan := bufio.NewScanner(out)
	for scan.Scan() {
		var verb string
		var n int
		if _, err := fmt.Sscanf(scan.Text(), "%s %d", &verb, &n); err != nil {
			t.Errorf("load said %q: %v", scan.Text(), err)
		}
		if verb == "applied" {
			applied[n] = true
		} else {
			answered[n] = true
		}
		if lines--; lines <= 0 {
			kill.Do(func() { must(t, cmd.Process.Kill()) })
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("load ended by itself: %v", err)
	}
}

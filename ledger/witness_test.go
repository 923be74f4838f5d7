package ledger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/sqlite"
)

// watched is a store with its witness.
type watched struct {
	t                  *testing.T
	dir, store, beside string
	l                  *sqlite.Ledger
	w                  *ledger.Witness
	n                  int
}

func watch(t *testing.T) *watched {
	dir := t.TempDir()
	h := &watched{t: t, dir: dir, store: filepath.Join(dir, "ledger.db"), beside: filepath.Join(dir, "witness.json")}
	h.open()
	must(t, h.w.Check(context.Background(), h.l))
	t.Cleanup(func() { h.close() })
	return h
}

func (h *watched) open() {
	h.t.Helper()
	w, err := ledger.OpenWitness(h.beside, "main", nil)
	must(h.t, err)
	h.w = w
	h.l = openStore(h.t, h.store, sqlite.Options{OnCommit: w.Commit})
}

func (h *watched) close() {
	h.t.Helper()
	must(h.t, h.l.Close())
	must(h.t, h.w.Close())
}

// write adds so many records.
func (h *watched) write(n int) {
	h.t.Helper()
	for range n {
		h.n++
		must(h.t, h.l.SetMeta(context.Background(), "n", []byte{byte(h.n)}))
	}
}

// keep copies the store, while nobody has it open; put puts the copy back.
func (h *watched) keep() (put func()) {
	h.t.Helper()
	old, err := os.ReadFile(h.store)
	must(h.t, err)
	return func() {
		h.t.Helper()
		must(h.t, os.WriteFile(h.store, old, 0o600))
	}
}

func (h *watched) wantBehind(by uint64, other bool) {
	h.t.Helper()
	err := h.w.Check(context.Background(), h.l)
	var behind *ledger.BehindError
	if !errors.As(err, &behind) || !errors.Is(err, ledger.ErrBehind) || behind.By != by || behind.Other != other {
		h.t.Fatalf("got %v, want behind by %d, other history %v", err, by, other)
	}
}

func TestAWitness(t *testing.T) {
	ctx := context.Background()
	t.Run("finds nothing wrong with a store that went on", func(t *testing.T) {
		h := watch(t)
		for range 3 {
			h.write(5)
			h.close()
			h.open()
			must(t, h.w.Check(ctx, h.l))
		}
		if info, err := os.Stat(h.beside); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v", info, err)
		}
	})
	t.Run("tells by how many records an old copy is behind, until that is accepted", func(t *testing.T) {
		h := watch(t)
		h.write(5)
		h.close()
		put := h.keep()
		h.open()
		must(t, h.w.Check(ctx, h.l))
		h.write(7)
		h.close()
		put()
		for range 2 { // what is refused is not forgotten, whatever is written to it
			h.open()
			h.wantBehind(7, false)
			h.close()
		}
		h.open()
		must(t, h.w.Accept(ctx, h.l))
		h.close()
		h.open()
		must(t, h.w.Check(ctx, h.l))
	})
	t.Run("tells an old copy that went on by itself", func(t *testing.T) {
		h := watch(t)
		h.write(5)
		h.close()
		put := h.keep()
		h.open()
		must(t, h.w.Check(ctx, h.l))
		h.write(7)
		h.close()
		put()
		h.open()
		h.n = 100
		h.write(9)
		h.wantBehind(0, true)
	})
	t.Run("tells a new store in the place of the old", func(t *testing.T) {
		h := watch(t)
		h.write(5)
		h.close()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(h.store + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		h.open()
		h.wantBehind(5, false)
	})
	t.Run("takes a store as it is that was restored and reconciled since", func(t *testing.T) {
		h := watch(t)
		h.write(5)
		h.close()
		put := h.keep()
		h.open()
		must(t, h.w.Check(ctx, h.l))
		h.write(7)
		h.close()
		put()
		h.open()
		must(t, ledger.SetRestoreEpoch(ctx, h.l, 1))
		must(t, h.w.Check(ctx, h.l))
		h.close()
		put() // and then one from before
		h.open()
		h.wantBehind(0, true)
	})
	t.Run("writes soon, and not with every commit", func(t *testing.T) {
		h := watch(t)
		h.write(1)
		deadline := time.Now().Add(20 * time.Second)
		for {
			if _, err := os.Stat(h.beside); err == nil {
				break
			} else if time.Now().After(deadline) {
				t.Fatal("nothing was written")
			}
			time.Sleep(5 * time.Millisecond)
		}
		began, changes, last := time.Now(), 0, ""
		for time.Since(began) < ledger.WitnessEvery/2 {
			h.write(1)
			now, err := os.ReadFile(h.beside)
			must(t, err)
			if string(now) != last {
				changes, last = changes+1, string(now)
			}
		}
		if changes > 2 {
			t.Fatalf("written %d times in %v", changes, time.Since(began))
		}
		// The process is killed here: what it knew last is lost, and the store
		// is ahead of what is left.
		copied := filepath.Join(t.TempDir(), "witness.json")
		must(t, os.WriteFile(copied, []byte(last), 0o600))
		w, err := ledger.OpenWitness(copied, "main", nil)
		must(t, err)
		must(t, w.Check(ctx, h.l))
		must(t, w.Close())
	})
	t.Run("ignores other lanes", func(t *testing.T) {
		h := watch(t)
		h.w.Commit(ledger.Head{Lane: "other", Seq: 1000})
		h.write(1)
		h.close()
		h.open()
		must(t, h.w.Check(ctx, h.l))
	})
}

func TestAStoreWithoutItsWitnessIsBelievedAloud(t *testing.T) {
	h := watch(t)
	h.write(3)
	for name, c := range map[string]struct {
		path string
		warn bool
	}{
		"the file is there": {h.beside, false},
		"the file is gone":  {filepath.Join(h.dir, "another.json"), true},
	} {
		must(t, h.l.Close())
		must(t, h.w.Close())
		var log bytes.Buffer
		w, err := ledger.OpenWitness(c.path, "main", slog.New(slog.NewTextHandler(&log, nil)))
		must(t, err)
		h.w, h.l = w, openStore(t, h.store, sqlite.Options{OnCommit: w.Commit})
		must(t, w.Check(context.Background(), h.l))
		if warned := strings.Contains(log.String(), "no witness"); warned != c.warn {
			t.Errorf("%s: the log says %q", name, log.String())
		}
	}
}

func TestAWitnessThatIsNone(t *testing.T) {
	h := watch(t)
	h.write(3)
	h.close()
	good, err := os.ReadFile(h.beside)
	must(t, err)
	var fields map[string]any
	must(t, json.Unmarshal(good, &fields))
	for name, bad := range map[string]string{
		"an empty file":     "",
		"half a file":       string(good[:len(good)/2]),
		"of another lane":   strings.Replace(string(good), `"main"`, `"side"`, 1),
		"of another format": strings.Replace(string(good), `"version":1`, `"version":2`, 1),
		"a short hash":      strings.Replace(string(good), `"hash":"`, `"hash":"00`, 1),
		"of no record":      strings.Replace(string(good), `"seq":3`, `"seq":0`, 1),
		"far too long":      string(good) + strings.Repeat(" ", 5000),
	} {
		path := filepath.Join(t.TempDir(), "witness.json")
		must(t, os.WriteFile(path, []byte(bad), 0o600))
		if _, err := ledger.OpenWitness(path, "main", nil); !errors.Is(err, ledger.ErrCorrupt) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := ledger.OpenWitness(h.beside, "Bad Lane", nil); !errors.Is(err, ledger.ErrMalformed) {
		t.Errorf("a bad lane gave %v", err)
	}
	h.open()
	must(t, h.w.Check(context.Background(), h.l))
	// Where it cannot be written it says so, and the store goes on.
	gone := filepath.Join(t.TempDir(), "gone")
	must(t, os.Mkdir(gone, 0o700))
	w, err := ledger.OpenWitness(filepath.Join(gone, "w"), "main", nil)
	must(t, err)
	must(t, os.Remove(gone))
	if err := w.Accept(context.Background(), h.l); !errors.Is(err, ledger.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	if err := w.Close(); !errors.Is(err, ledger.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
}

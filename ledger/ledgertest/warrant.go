package ledgertest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
)

// warrant n, chained to the one before.
func warrant(n int) ledger.Warrant {
	w := ledger.Warrant{Seq: uint64(n), Hash: id("entry", n), Digest: id("warrant", n), Scope: "open", At: moment(n), Papers: []byte("papers")}
	if n > 1 {
		w.Prev = id("entry", n-1)
	}
	return w
}

func testWarrants(t *testing.T, fresh FreshRegister) {
	open := fresh(t)
	r := open()
	ctx := context.Background()
	_, err := r.LastWarrant(ctx)
	wantErr(t, err, ledger.ErrNotFound)
	wantErr(t, r.AddWarrant(ctx, warrant(2)), ledger.ErrStale)
	for n := 1; n <= 3; n++ {
		w := warrant(n)
		if n == 3 {
			w.Scope = "trace"
		}
		check(t, r.AddWarrant(ctx, w))
	}
	for name, change := range map[string]func(*ledger.Warrant){
		"no hash":            func(w *ledger.Warrant) { w.Hash = [32]byte{} },
		"no digest":          func(w *ledger.Warrant) { w.Digest = [32]byte{} },
		"no place":           func(w *ledger.Warrant) { w.Seq = 0 },
		"nothing before":     func(w *ledger.Warrant) { w.Prev = [32]byte{} },
		"no scope":           func(w *ledger.Warrant) { w.Scope = "" },
		"no time":            func(w *ledger.Warrant) { w.At = time.Time{} },
		"a pile of papers":   func(w *ledger.Warrant) { w.Papers = make([]byte, ledger.MaxSession+1) },
		"first, after other": func(w *ledger.Warrant) { w.Seq = 1 },
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			w := warrant(4)
			change(&w)
			wantErr(t, r.AddWarrant(ctx, w), ledger.ErrMalformed)
		})
	}
	again := warrant(4)
	again.Digest = id("warrant", 2)
	wantDuplicate(t, r.AddWarrant(ctx, again), ledger.FieldWarrant)
	gap, fork := warrant(5), warrant(4)
	fork.Prev = id("entry", 2)
	wantErr(t, r.AddWarrant(ctx, gap), ledger.ErrStale)
	wantErr(t, r.AddWarrant(ctx, fork), ledger.ErrStale)
	check(t, r.Close())
	r = open()
	defer r.Close()

	last, err := r.LastWarrant(ctx)
	check(t, err)
	want := warrant(3)
	want.Scope = "trace"
	if diff := differ(&want, last); diff != "" {
		t.Fatalf("the last differs (-want +got):\n%s", diff)
	}
	second, err := r.WarrantByDigest(ctx, id("warrant", 2))
	check(t, err)
	want = warrant(2)
	if diff := differ(&want, second); diff != "" {
		t.Fatalf("the second differs (-want +got):\n%s", diff)
	}
	_, err = r.WarrantByDigest(ctx, id("warrant", 9))
	wantErr(t, err, ledger.ErrNotFound)
	page, err := r.Warrants(ctx, 1, 1)
	check(t, err)
	want.Papers = nil
	if diff := differ([]ledger.Warrant{want}, page); diff != "" {
		t.Fatalf("the page differs (-want +got):\n%s", diff)
	}
	for _, after := range []uint64{3, 1 << 63} {
		if page, err = r.Warrants(ctx, after, 0); err != nil || len(page) != 0 {
			t.Fatalf("after %d: %v, %v", after, page, err)
		}
	}
	check(t, r.PutPapers(ctx, id("warrant", 2), []byte("others"))) // it has some
	kept, err := r.WarrantByDigest(ctx, id("warrant", 2))
	check(t, err)
	if diff := differ(second, kept); diff != "" {
		t.Fatalf("its papers were changed (-want +got):\n%s", diff)
	}
	wantErr(t, r.PutPapers(ctx, id("warrant", 9), nil), ledger.ErrNotFound)
	wantErr(t, r.PutPapers(ctx, id("warrant", 2), make([]byte, ledger.MaxSession+1)), ledger.ErrMalformed)
	counts, err := r.WarrantCounts(ctx)
	check(t, err)
	if diff := differ(map[string]int64{"open": 2, "trace": 1}, counts); diff != "" {
		t.Fatalf("counts differ (-want +got):\n%s", diff)
	}
}

func testConcurrentWarrants(t *testing.T, fresh FreshRegister) {
	r := startRegister(t, fresh)
	var won atomic.Int64
	together(100, func(i int) {
		w := warrant(1)
		w.Digest, w.Hash = id("warrant", i), id("entry", i)
		err := r.AddWarrant(context.Background(), w)
		if err == nil {
			won.Add(1)
		} else if !errors.Is(err, ledger.ErrStale) {
			t.Error(err)
		}
	})
	if won.Load() != 1 {
		t.Fatalf("%d entries have one place", won.Load())
	}
}

func testCounters(t *testing.T, fresh FreshRegister) {
	open := fresh(t)
	r := open()
	ctx := context.Background()
	seen := make([]atomic.Bool, 101)
	together(100, func(int) {
		n, err := r.Next(ctx, "document")
		if err != nil || n < 1 || n > 100 || seen[n].Swap(true) {
			t.Errorf("got %d, %v", n, err)
		}
	})
	_, err := r.Next(ctx, "No Name")
	wantErr(t, err, ledger.ErrMalformed)
	check(t, r.Close())
	r = open()
	defer r.Close()
	for name, want := range map[string]uint64{"document": 101, "other": 1} {
		if n, err := r.Counter(ctx, name); err != nil || n != want-1 {
			t.Fatalf("%s: %d, %v", name, n, err)
		}
		if n, err := r.Next(ctx, name); err != nil || n != want {
			t.Fatalf("%s: %d, %v", name, n, err)
		}
	}
	check(t, r.Skip(ctx, "document", 50)) // it never goes back
	check(t, r.Skip(ctx, "other", 50))
	check(t, r.Skip(ctx, "third", 7))
	for name, want := range map[string]uint64{"document": 102, "other": 51, "third": 8} {
		if n, err := r.Next(ctx, name); err != nil || n != want {
			t.Fatalf("%s: %d, %v", name, n, err)
		}
	}
	wantErr(t, r.Skip(ctx, "No Name", 1), ledger.ErrMalformed)
	wantErr(t, r.Skip(ctx, "document", 1<<63), ledger.ErrMalformed)
}

func testLostPapers(t *testing.T, fresh FreshRegister) {
	r := startRegister(t, fresh)
	ctx := context.Background()
	w := warrant(1)
	w.Papers = nil
	check(t, r.AddWarrant(ctx, w))
	check(t, r.PutPapers(ctx, w.Digest, []byte("papers")))
	w.Papers = []byte("papers")
	got, err := r.LastWarrant(ctx)
	check(t, err)
	if diff := differ(&w, got); diff != "" {
		t.Fatalf("it differs (-want +got):\n%s", diff)
	}
}

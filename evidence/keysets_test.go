package evidence_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/evidence"
)

func TestKeysetsThatContradictEachOtherAreKept(t *testing.T) {
	dir := t.TempDir()
	k := evidence.Keysets{Seen: "a.b.c", Served: "d.e.f", SeenAt: time.Unix(1, 0).UTC(), ServedAt: time.Unix(2, 0).UTC()}
	err := k.Keep(dir, coin.ErrFork)
	var kept *evidence.KeysetsError
	if !errors.As(err, &kept) || !errors.Is(err, coin.ErrFork) || filepath.Dir(kept.File) != dir {
		t.Fatalf("got %v", err)
	}
	first, rerr := os.ReadFile(kept.File)
	if rerr != nil {
		t.Fatal(rerr)
	}
	var got evidence.Keysets
	if err := json.Unmarshal(first, &got); err != nil {
		t.Fatal(err)
	}
	if k.Why = coin.ErrFork.Error(); got != k {
		t.Errorf("kept %+v", got)
	}
	k.ServedAt = time.Unix(3, 0).UTC()
	if err := k.Keep(dir, coin.ErrFork); !errors.As(err, &kept) {
		t.Errorf("a second time: %v", err)
	}
	if again, _ := os.ReadFile(kept.File); string(again) != string(first) {
		t.Error("the first one was written over")
	}
	if err := k.Keep(filepath.Join(dir, "gone"), coin.ErrRollback); !errors.Is(err, coin.ErrRollback) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

package ledger_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/speciecash/specie/ledger"
)

func TestAFenceReadsBackAndSaysWhy(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		fence ledger.Fence
		says  []string
	}{
		{ledger.Fence{Reason: ledger.FenceRestored, At: at, Heads: []ledger.Head{{Lane: "main", Seq: 7, Hash: [32]byte{1}}}},
			[]string{"restored from a backup (found at 2026-05-01T12:00:00Z)", "journal main at record 7", "nobody can tell"}},
		{ledger.Fence{Reason: ledger.FenceBehind, At: at, Lost: 9}, []string{"an old copy", "known to be missing: 9"}},
		{ledger.Fence{Reason: "flood", At: at}, []string{"flood (found"}},
	} {
		back, err := ledger.ParseFence(tt.fence.Encode())
		if err != nil || !cmp.Equal(*back, tt.fence) {
			t.Errorf("%+v reads back as %+v, %v", tt.fence, back, err)
		}
		for _, want := range tt.says {
			if !strings.Contains(tt.fence.String(), want) {
				t.Errorf("%q does not say %q", tt.fence.String(), want)
			}
		}
	}
}

// FuzzParseFence: what reads is written again alike.
func FuzzParseFence(f *testing.F) {
	f.Add(ledger.Fence{Reason: ledger.FenceRestored, At: time.Unix(1, 0), Heads: []ledger.Head{{Lane: "a", Seq: 1}}, Lost: 1}.Encode())
	f.Add([]byte(`{"reason":"","at":"2026-05-01T12:00:00Z"}`))
	f.Add([]byte(strings.Repeat("{", 5000)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		fence, err := ledger.ParseFence(raw)
		if err != nil {
			if !errors.Is(err, ledger.ErrMalformed) {
				t.Fatalf("got %v", err)
			}
			return
		}
		if back, err := ledger.ParseFence(fence.Encode()); err != nil || !cmp.Equal(back, fence) {
			t.Fatalf("%s reads back as %v, %v", raw, back, err)
		}
	})
}

package ledger_test

import (
	"errors"
	"testing"

	"github.com/speciecash/specie/ledger"
)

func TestCursorRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 255, 256, ledger.MaxPostings - 1} {
		id := ledger.ID{byte(n), 31: 0xff}
		gotID, gotN, err := ledger.NewCursor(id, n).Position()
		if err != nil || gotID != id || gotN != n {
			t.Fatalf("cursor of %x, %d reads back as %x, %d, %v", id, n, gotID, gotN, err)
		}
	}
}

// FuzzCursor: cursors come from anybody; one is accepted only if it is what
// NewCursor writes.
func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add("%%%")
	f.Add(string(ledger.NewCursor(ledger.ID{1}, 2)))
	f.Add(string(ledger.NewCursor(ledger.ID{1}, ledger.MaxPostings)))
	f.Add(string(ledger.NewCursor(ledger.ID{1}, 2))[:45] + "B")
	f.Add("\n" + string(ledger.NewCursor(ledger.ID{1}, 2)))
	f.Fuzz(func(t *testing.T, s string) {
		id, n, err := ledger.Cursor(s).Position()
		if err != nil {
			if !errors.Is(err, ledger.ErrMalformed) {
				t.Fatalf("got %v", err)
			}
			return
		}
		if back := ledger.NewCursor(id, n); string(back) != s {
			t.Fatalf("%q is accepted, but is written %q", s, back)
		}
	})
}

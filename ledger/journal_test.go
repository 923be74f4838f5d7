package ledger_test

import (
	"errors"
	"testing"

	"github.com/speciecash/specie/ledger"
)

// chain returns a lane of n records.
func chain(n int) []ledger.Record {
	head := ledger.Head{Lane: "main"}
	out := make([]ledger.Record, n)
	for i := range out {
		out[i] = ledger.Record{Event: ledger.EventOp, Subject: []byte{byte(i)}, Rev: 1, Digest: [32]byte{byte(i)}}
		head.Append(&out[i])
	}
	return out
}

// broken counts the records that do not follow the one before.
func broken(t *testing.T, records []ledger.Record) int {
	t.Helper()
	head := ledger.Head{Lane: "main"}
	n := 0
	for i := range records {
		if err := head.Check(&records[i]); errors.Is(err, ledger.ErrCorrupt) {
			n++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestChain(t *testing.T) {
	if n := broken(t, chain(5)); n != 0 {
		t.Fatalf("%d links of a sound chain are broken", n)
	}
	for _, c := range []struct {
		name   string
		change func([]ledger.Record) []ledger.Record
		broken int
	}{
		{"another digest", func(r []ledger.Record) []ledger.Record { r[2].Digest[0]++; return r }, 1},
		{"another subject", func(r []ledger.Record) []ledger.Record { r[2].Subject = []byte("x"); return r }, 1},
		{"another event", func(r []ledger.Record) []ledger.Record { r[2].Event = ledger.EventMeta; return r }, 1},
		{"another rev", func(r []ledger.Record) []ledger.Record { r[2].Rev++; return r }, 1},
		{"another hash", func(r []ledger.Record) []ledger.Record { r[2].Hash[0]++; return r }, 2},
		{"another prev", func(r []ledger.Record) []ledger.Record { r[2].Prev[0]++; return r }, 1},
		{"another lane", func(r []ledger.Record) []ledger.Record { r[2].Lane = "side"; return r }, 1},
		{"a record rehashed after a change", func(r []ledger.Record) []ledger.Record {
			r[2].Digest[0]++
			r[2].Hash = r[2].Sum()
			return r
		}, 1},
		{"a record missing", func(r []ledger.Record) []ledger.Record { return append(r[:2], r[3:]...) }, 1},
		{"the first record missing", func(r []ledger.Record) []ledger.Record { return r[1:] }, 1},
		{"two records exchanged", func(r []ledger.Record) []ledger.Record { r[2], r[3] = r[3], r[2]; return r }, 3},
		{"a record twice", func(r []ledger.Record) []ledger.Record { return append(r[:3], r[2:]...) }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if n := broken(t, c.change(chain(5))); n != c.broken {
				t.Fatalf("%d links are broken, want %d", n, c.broken)
			}
		})
	}
}

func TestHeadsOfOneHistoryAgree(t *testing.T) {
	a, b := chain(5), chain(5)
	if a[4].Hash != b[4].Hash {
		t.Fatal("the same records gave two heads")
	}
	if a[4].Hash == a[3].Hash {
		t.Fatal("two records have one hash")
	}
}

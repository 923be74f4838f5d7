package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
)

// goodRows are those of the backup in testdata, copied so far that rows may be
// changed.
func goodRows(t *testing.T) []*ledger.Row {
	t.Helper()
	file, err := os.ReadFile("testdata/full.backup")
	must(t, err)
	var r reader
	_, err = ledger.ReadBackup(context.Background(), &r, bytes.NewReader(file), nil)
	must(t, err)
	return r.rows
}

// rechain makes the journals and the heads of rows what they should be, so that
// only what they say is wrong.
func rechain(rows []*ledger.Row) []*ledger.Row {
	var heads []ledger.Head
	for _, r := range rows {
		if r.Record == nil {
			continue
		}
		if len(heads) == 0 || heads[len(heads)-1].Lane != r.Record.Lane {
			heads = append(heads, ledger.Head{Lane: r.Record.Lane})
		}
		heads[len(heads)-1].Append(r.Record)
	}
	rows[0].Heads = &heads
	return rows
}

// put inserts rows before the first that is of a kind.
func put(rows []*ledger.Row, is func(*ledger.Row) bool, more ...*ledger.Row) []*ledger.Row {
	return slices.Insert(rows, slices.IndexFunc(rows, is), more...)
}

func isRecord(r *ledger.Row) bool { return r.Record != nil }
func isMeta(r *ledger.Row) bool   { return r.Meta != nil }
func isHold(r *ledger.Row) bool   { return r.Hold != nil }

// recorded is a record of the first lane.
func recorded(event ledger.Event, subject string, digest [32]byte) *ledger.Row {
	return &ledger.Row{Record: &ledger.Record{Lane: "a", Event: event, Subject: []byte(subject), Rev: 1, Digest: digest}}
}

// TestRowsThatTheJournalAloneDoesNotBetray: their journal is unbroken and stands
// for all of them.
func TestRowsThatTheJournalAloneDoesNotBetray(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	account := &ledger.Account{ID: "holder//x", Kind: "holder", Currency: "EUR", CreatedAt: at, Rev: 1}
	token := &ledger.AccessToken{Hash: [32]byte{1}, Account: "holder/nobody", CreatedAt: at}
	op := &ledger.Op{ID: ledger.ID{1}, Kind: "void", State: "No State", Lane: "a", At: at}
	for _, c := range []struct {
		name, says string
		spoil      func([]*ledger.Row) []*ledger.Row
	}{
		{"a row of two kinds", "2 kinds", func(rows []*ledger.Row) []*ledger.Row {
			rows[1].Epoch = "k1"
			return rows
		}},
		{"a malformed meta key", "malformed", func(rows []*ledger.Row) []*ledger.Row {
			rows = put(rows, isMeta, &ledger.Row{Meta: &ledger.MetaRow{Key: "Bad Key", Rev: 1}})
			return put(rows, isRecord, recorded(ledger.EventMeta, "Bad Key", ledger.MetaDigest("Bad Key", nil)))
		}},
		{"a malformed epoch", "malformed", func(rows []*ledger.Row) []*ledger.Row {
			rows = put(rows, func(r *ledger.Row) bool { return r.Epoch != "" }, &ledger.Row{Epoch: "x; DROP"})
			return put(rows, isRecord, recorded(ledger.EventEpoch, "x; DROP", ledger.EpochDigest("x; DROP")))
		}},
		{"a malformed account", "malformed", func(rows []*ledger.Row) []*ledger.Row {
			rows = put(rows, func(r *ledger.Row) bool { return r.Account != nil }, &ledger.Row{Account: account})
			return put(rows, isRecord, recorded(ledger.EventAccount, account.ID, account.Digest()))
		}},
		{"a token of no account", "no account", func(rows []*ledger.Row) []*ledger.Row {
			rows = put(rows, func(r *ledger.Row) bool { return r.Token != nil }, &ledger.Row{Token: token})
			return put(rows, isRecord, recorded(ledger.EventToken, string(token.Hash[:]), token.Digest()))
		}},
		{"a malformed op", "malformed", func(rows []*ledger.Row) []*ledger.Row {
			return put(rows, isRecord, recorded(ledger.EventOp, string(op.ID[:]), op.Digest()), &ledger.Row{Op: op})
		}},
		{"a record of a kind unknown", "unknown kind", func(rows []*ledger.Row) []*ledger.Row {
			return put(rows, isRecord, recorded("other", "x", [32]byte{}))
		}},
		{"a row twice", "two rows", func(rows []*ledger.Row) []*ledger.Row { return put(rows, isMeta, rows[1]) }},
		{"heads that are not in order", "heads", func(rows []*ledger.Row) []*ledger.Row {
			for _, r := range rows {
				if r.Record != nil && r.Record.Lane == "a" {
					r.Record.Lane = "zz"
				}
			}
			return rows
		}},
		{"a malformed hold", "malformed", func(rows []*ledger.Row) []*ledger.Row {
			rows[slices.IndexFunc(rows, isHold)].Hold.Amount = -1
			return rows
		}},
		{"a hold twice", "two holds", func(rows []*ledger.Row) []*ledger.Row {
			i := slices.IndexFunc(rows, func(r *ledger.Row) bool { return r.Hold != nil && r.Hold.Strikes == 0 })
			return slices.Insert(rows, i, rows[i])
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows := rechain(c.spoil(goodRows(t)))
			var checker ledger.RowChecker
			var err error
			for _, r := range rows {
				if err = checker.Check(r); err != nil {
					break
				}
			}
			if err == nil {
				err = checker.Close()
			}
			if !errors.Is(err, ledger.ErrCorrupt) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want one that says %q", err, c.says)
			}
		})
	}
	t.Run("and the good ones pass", func(t *testing.T) {
		var checker ledger.RowChecker
		for _, r := range rechain(goodRows(t)) {
			must(t, checker.Check(r))
		}
		must(t, checker.Close())
	})
}

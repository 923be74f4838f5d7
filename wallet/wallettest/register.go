package wallettest

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/groupdoc/warrant/warranttest"
)

// Warrant has two supervisors sign a warrant to open some case, and the group
// manager enter it.
func (w *Town) Warrant(t testing.TB, number byte) {
	t.Helper()
	court := warranttest.New(w.Group.Group)
	draft := court.Draft(warrant.Open, warrant.Case([32]byte{number}), w.Now())
	draft.Salt[1] = number
	_, err := w.Group.EnterWarrant(t.Context(), court.Sign(t, draft))
	must(t, err)
}

// Forge makes the group manager publish another register than the one that he
// kept, with entries that nobody warranted, and a newer document with its head.
// change alters that document further. Restore ends it.
func (w *Town) Forge(t testing.TB, entries []warrant.Entry, change func(*groupdoc.Contents)) {
	t.Helper()
	next := w.Group.ReadDocument(t).Contents
	next.Seq++
	next.Warrants = groupdoc.WarrantHead{}
	if n := len(entries); n > 0 {
		next.Warrants = entries[n-1].Head()
	}
	if change != nil {
		change(&next)
	}
	jws, err := groupdoc.Sign(w.Group.Group.Root, &next, w.Group.Group.Manager.Key, w.Group.Group.Manager.Chain)
	must(t, err)
	w.GroupGate.Instead("/v1/group", answer(`{"document":"`+string(jws)+`"}`))
	w.GroupGate.Instead("/v1/warrants", func(rw http.ResponseWriter, r *http.Request) {
		after, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
		must(t, err)
		shown := slices.DeleteFunc(slices.Clone(entries), func(e warrant.Entry) bool { return e.Seq <= after })
		text, err := (&warrant.Register{Group: next.ID, Entries: shown}).Marshal()
		must(t, err)
		answer(string(text))(rw, r)
	})
}

// Nobody is the tag of a member whom nobody knows.
func Nobody() [33]byte { return fp256bn.Generator1().Bytes() }

// Succession is the group manager's word, rightly signed, that a member succeeds
// another.
func (w *Town) Succession(t testing.TB, old, next [33]byte) string {
	t.Helper()
	now := w.Now().Truncate(time.Second)
	jws, err := enrol.SignSuccession(&enrol.Succession{Group: w.Group.Name(), Old: old, New: next, At: now, GoodUntil: now.Add(time.Hour)},
		w.Group.Group.Manager.Key, w.Group.Group.Manager.Chain)
	must(t, err)
	return string(jws)
}

// Restore makes him honest again.
func (w *Town) Restore() {
	w.GroupGate.Instead("/v1/group", nil)
	w.GroupGate.Instead("/v1/warrants", nil)
}

func answer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}
}

// Entries makes entries of a register, one for each number: each in its place, and
// after an entry, which may be zero.
func (w *Town) Entries(after warrant.Entry, numbers ...byte) []warrant.Entry {
	var out []warrant.Entry
	for _, n := range numbers {
		e := warrant.Entry{Seq: after.Seq + 1, At: w.Now().Truncate(1e9), Scope: warrant.Open, Warrant: [32]byte{n}}
		if after.Seq > 0 {
			e.Prev = after.Hash()
		}
		out = append(out, e)
		after = e
	}
	return out
}

package warrant_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/groupdoc/warrant/warranttest"
	"github.com/speciecash/specie/trust"
)

// registered is a court that has entered n warrants, one an hour.
func registered(t testing.TB, n int) (*warranttest.Court, [][][]byte) {
	t.Helper()
	c := newCourt(t)
	var all [][][]byte
	for i := range n {
		at := now.Add(time.Duration(i) * time.Hour)
		scope, subject := warrant.Open, hit
		if i%2 == 1 {
			scope, subject = warrant.Trace, eva
		}
		jws := c.Sign(t, c.Draft(scope, subject, at))
		c.Enter(t, jws, at)
		all = append(all, jws)
	}
	return c, all
}

func TestARegisterComesBack(t *testing.T) {
	c, _ := registered(t, 3)
	file := must(c.Register.Marshal())(t)
	got := must(warrant.ParseRegister(file))(t)
	if got.Group != c.Register.Group || !slices.Equal(got.Entries, c.Register.Entries) {
		t.Errorf("got %+v", got)
	}
	if text := string(file); strings.Contains(text, string(hit)) || strings.Contains(text, "district court") {
		t.Error("the public register tells about cases")
	}
	empty := warrant.Register{Group: c.Register.Group}
	if got := must(warrant.ParseRegister(must(empty.Marshal())(t)))(t); len(got.Entries) != 0 || got.Check(groupdoc.WarrantHead{}) != nil {
		t.Errorf("an empty register: %+v", got)
	}
}

func TestTheHeadIsTheLastEntrys(t *testing.T) {
	c, _ := registered(t, 2)
	if got, want := c.Contents.Warrants, (groupdoc.WarrantHead{Size: 2, Head: c.Register.Entries[1].Hash()}); got != want {
		t.Errorf("got %+v", got)
	}
	if (&warrant.Entry{}).Head() != (groupdoc.WarrantHead{}) {
		t.Error("an empty register has a head")
	}
}

func TestAWarrantIsEnteredWhileItIsInForce(t *testing.T) {
	c, _ := registered(t, 1)
	last := c.Register.Entries[0]
	w := c.Draft(warrant.Open, hit, now)
	if _, err := warrant.Next(last, &w, w.Until); !errors.Is(err, warrant.ErrExpired) {
		t.Errorf("too late: %v", err)
	}
	e := must(warrant.Next(last, &w, now.Add(-time.Minute)))(t)
	if !e.At.Equal(last.At) || e.Seq != 2 || e.Prev != last.Hash() {
		t.Errorf("by a clock that went back: %+v", e)
	}
}

// Every field of an entry is in the head: whoever changes one needs another
// head than the one that was signed.
func TestEveryFieldOfAnEntryCounts(t *testing.T) {
	c, all := registered(t, 3)
	doc := c.Document(t)
	other := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("x", 32)))
	file := must(c.Register.Marshal())(t)
	for field, values := range map[string]struct{ other, bad any }{
		"seq":     {7, 0},
		"prev":    {other, "AAAA"},
		"at":      {"2026-03-01T12:00:01Z", "2026-03-01T12:00:00+00:00"},
		"scope":   {"expel", "look"},
		"warrant": {other, other + "="},
	} {
		for i := range c.Register.Entries {
			set := func(v any) []byte {
				return change(t, file, func(m map[string]any) { m["entries"].([]any)[i].(map[string]any)[field] = v })
			}
			err := func() error {
				r, err := warrant.ParseRegister(set(values.other))
				if err != nil {
					return err
				}
				return r.Check(doc.Warrants)
			}()
			if !errors.Is(err, warrant.ErrRegister) {
				t.Errorf("%s of entry %d changed: %v", field, i+1, err)
			}
			if _, err := warrant.ParseRegister(set(values.bad)); !errors.Is(err, warrant.ErrMalformed) {
				t.Errorf("%s of entry %d in another form: %v", field, i+1, err)
			}
		}
	}
	// The same in a proof, where the entries stand alone.
	for name, flip := range map[string]func(e *warrant.Entry){
		"seq":     func(e *warrant.Entry) { e.Seq++ },
		"prev":    func(e *warrant.Entry) { e.Prev[3] ^= 1 },
		"at":      func(e *warrant.Entry) { e.At = e.At.Add(time.Second) },
		"scope":   func(e *warrant.Entry) { e.Scope = warrant.Expel },
		"warrant": func(e *warrant.Entry) { e.Warrant[0] ^= 1 },
	} {
		for i := range 3 {
			p := c.Prove(t, all[0])
			p.Entries = slices.Clone(p.Entries)
			flip(&p.Entries[i])
			if _, err := p.Verify(c.Root, doc); !errors.Is(err, warrant.ErrRegister) {
				t.Errorf("%s of entry %d in a proof: %v", name, i+1, err)
			}
		}
	}
}

func TestARegisterIsAppendOnly(t *testing.T) {
	c, _ := registered(t, 2)
	old := c.Contents.Warrants
	rewritten := *c
	rewritten.Register.Entries = slices.Clone(c.Register.Entries[:1])
	for i := range 2 {
		at := now.Add(time.Duration(i+2) * time.Hour)
		c.Enter(t, c.Sign(t, c.Draft(warrant.Trace, eva, at)), at)
	}
	new := c.Contents.Warrants
	e := c.Register.Entries
	if err := warrant.Extends(old, e[2:], new); err != nil {
		t.Error(err)
	}
	if err := c.Register.Check(groupdoc.WarrantHead{}, old, new); err != nil {
		t.Error(err)
	}
	if err := (&warrant.Register{Entries: e[2:]}).Check(old, new); err != nil {
		t.Errorf("the part between two heads: %v", err)
	}
	// The manager drops entry 2 and enters something else in its place.
	other := rewritten.Draft(warrant.Open, hit, now)
	for range 3 {
		rewritten.Publish(must(warrant.Next(rewritten.Register.Entries[len(rewritten.Register.Entries)-1], &other, now.Add(time.Hour)))(t))
	}
	fork := rewritten.Register.Entries
	backdated := slices.Clone(e)
	backdated[3].At = backdated[2].At.Add(-time.Second)
	forged := e[0]
	forged.Prev = [32]byte{1}
	for _, tt := range []struct {
		name string
		err  error
	}{
		{"nothing, where two were entered", warrant.Extends(old, nil, new)},
		{"the first of two", warrant.Extends(old, e[2:3], new)},
		{"the second of two", warrant.Extends(old, e[3:], new)},
		{"two in another order", warrant.Extends(old, []warrant.Entry{e[3], e[2]}, new)},
		{"one that was there already", warrant.Extends(old, e[1:], new)},
		{"a head that went back", warrant.Extends(new, nil, old)},
		{"a rewritten register after the old head", warrant.Extends(old, fork[2:], fork[3].Head())},
		{"a rewritten register", (&warrant.Register{Entries: fork}).Check(old)},
		{"a rewritten register that is as long", (&warrant.Register{Entries: fork}).Check(new)},
		{"the old register, where a new head is published", (&warrant.Register{Entries: e[:2]}).Check(new)},
		{"a register that begins later", (&warrant.Register{Entries: e[3:]}).Check(old)},
		{"a register that begins later, against the empty one", (&warrant.Register{Entries: e[3:]}).Check(groupdoc.WarrantHead{})},
		{"an entry older than the one before", warrant.Extends(old, backdated[2:], backdated[3].Head())},
		{"a first entry that follows something", (&warrant.Register{Entries: []warrant.Entry{forged}}).Check()},
	} {
		if !errors.Is(tt.err, warrant.ErrRegister) {
			t.Errorf("%s: %v", tt.name, tt.err)
		}
	}
}

func TestAWarrantIsProvenFromThePublishedHead(t *testing.T) {
	c, all := registered(t, 3)
	doc := c.Document(t)
	for i, jws := range all {
		p, e, err := warrant.Prove(c.Root, doc, jws, &c.Register)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Entries) != 3-i || e.Entry != c.Register.Entries[i] || e.Digest != e.Entry.Warrant {
			t.Errorf("warrant %d: entry %+v", i+1, e.Entry)
		}
	}
	if !doc.IssuedAt.Equal(now.Add(2 * time.Hour)) {
		t.Fatal("the document is of another time")
	}
	// A register that has grown since the document was signed.
	at := now.Add(3 * time.Hour)
	late := c.Sign(t, c.Draft(warrant.Open, hit, at))
	c.Enter(t, late, at)
	if p, _, err := warrant.Prove(c.Root, doc, all[1], &c.Register); err != nil || len(p.Entries) != 2 {
		t.Errorf("an older document: %v", err)
	}
	unregistered := c.Sign(t, c.Draft(warrant.Expel, eva, at))
	elsewhere := c.Register
	elsewhere.Group = "OTHERGROUP"
	dropped := warrant.Register{Group: c.Register.Group, Entries: slices.Delete(slices.Clone(c.Register.Entries), 1, 2)}
	for _, tt := range []struct {
		name string
		jws  [][]byte
		r    *warrant.Register
		want error
	}{
		{"entered after the document", late, &c.Register, warrant.ErrUnregistered},
		{"never entered", unregistered, &c.Register, warrant.ErrUnregistered},
		{"dropped from the register", all[1], &dropped, warrant.ErrUnregistered},
		{"before one that was dropped", all[0], &dropped, warrant.ErrRegister},
		{"before some that are missing", all[0], &warrant.Register{Group: c.Register.Group, Entries: c.Register.Entries[:1]}, warrant.ErrRegister},
		{"in another group's register", all[0], &elsewhere, warrant.ErrGroup},
		{"signed by nobody", nil, &c.Register, warrant.ErrQuorum},
		{"signed by one", all[0][:1], &c.Register, warrant.ErrQuorum},
		{"no document", [][]byte{[]byte("x")}, &c.Register, warrant.ErrMalformed},
		{"no payload in it", [][]byte{[]byte("a.*.c")}, &c.Register, warrant.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := warrant.Prove(c.Root, doc, tt.jws, tt.r); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// What a manager who keeps a register of lies could sign a head of.
func TestProofsOfALyingRegister(t *testing.T) {
	sign := func(c *warranttest.Court, w warrant.Warrant) (*warrant.Warrant, [][]byte) {
		jws := c.Sign(t, w)
		return must(warrant.Parse(c.Root, c.Supervision, jws, now))(t), jws
	}
	for _, tt := range []struct {
		name string
		lie  func(e *warrant.Entry)
		want error
	}{
		{"as it is", func(*warrant.Entry) {}, nil},
		{"entered before it was issued", func(e *warrant.Entry) { e.At = now.Add(-time.Hour) }, warrant.ErrExpired},
		{"entered after its term", func(e *warrant.Entry) { e.At = now.AddDate(0, 2, 0) }, warrant.ErrExpired},
		{"entered when its signers were not certified yet", func(e *warrant.Entry) { e.At = now.AddDate(-1, 0, -1) }, trust.ErrExpired},
		{"entered under another scope", func(e *warrant.Entry) { e.Scope = warrant.Open }, warrant.ErrScope},
		{"another warrant's entry", func(e *warrant.Entry) { e.Warrant[0] ^= 1 }, warrant.ErrUnregistered},
		{"a first entry that follows something", func(e *warrant.Entry) { e.Prev[0] = 1 }, warrant.ErrRegister},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCourt(t)
			w, jws := sign(c, c.Draft(warrant.Trace, eva, now))
			e := must(warrant.Next(warrant.Entry{}, w, now))(t)
			tt.lie(&e)
			issued := c.Contents.IssuedAt
			c.Publish(e)
			c.Contents.IssuedAt = issued
			doc := c.Document(t)
			if e.At.After(now) {
				doc.IssuedAt = e.At
			}
			p := &warrant.Proof{JWS: jws, Entries: c.Register.Entries}
			if _, err := p.Verify(c.Root, doc); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	t.Run("an entry younger than the document", func(t *testing.T) {
		c := newCourt(t)
		w, jws := sign(c, c.Draft(warrant.Trace, eva, now))
		e := must(warrant.Next(warrant.Entry{}, w, now.Add(time.Hour)))(t)
		issued := c.Contents.IssuedAt
		c.Publish(e)
		c.Contents.IssuedAt = issued
		p := &warrant.Proof{JWS: jws, Entries: c.Register.Entries}
		if _, err := p.Verify(c.Root, c.Document(t)); !errors.Is(err, warrant.ErrRegister) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("without an entry", func(t *testing.T) {
		c, all := registered(t, 1)
		if _, err := (&warrant.Proof{JWS: all[0]}).Verify(c.Root, c.Document(t)); !errors.Is(err, warrant.ErrUnregistered) {
			t.Errorf("got %v", err)
		}
	})
}

func TestRegistersOfAnotherForm(t *testing.T) {
	c, _ := registered(t, 2)
	file := must(c.Register.Marshal())(t)
	for name, f := range map[string]func(m map[string]any){
		"another version":           func(m map[string]any) { m["v"] = 2 },
		"no group":                  func(m map[string]any) { m["group"] = "" },
		"an unknown member":         func(m map[string]any) { m["note"] = "x" },
		"an unknown member further": func(m map[string]any) { m["entries"].([]any)[0].(map[string]any)["case"] = "x" },
		"more than it may hold": func(m map[string]any) {
			m["entries"] = slices.Repeat(m["entries"].([]any), warrant.MaxEntries)
		},
	} {
		if _, err := warrant.ParseRegister(change(t, file, f)); !errors.Is(err, warrant.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	twice := change(t, file, func(m map[string]any) { m["entries"] = slices.Repeat(m["entries"].([]any), 2) })
	if _, err := warrant.ParseRegister(twice); !errors.Is(err, warrant.ErrRegister) {
		t.Errorf("entries that do not follow each other: %v", err)
	}
}

func FuzzParseRegister(f *testing.F) {
	c, _ := registered(f, 3)
	f.Add(must(c.Register.Marshal())(f))
	tail := warrant.Register{Group: "TESTGROUP", Entries: c.Register.Entries[1:]}
	f.Add(must(tail.Marshal())(f))
	f.Add([]byte(`{"v":1,"group":"TESTGROUP","entries":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := warrant.ParseRegister(data)
		if err != nil {
			return
		}
		back, err := warrant.ParseRegister(must(r.Marshal())(t))
		if err != nil || !slices.Equal(back.Entries, r.Entries) {
			t.Errorf("read, and not read again: %v", err)
		}
	})
}

package warrant_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/groupdoc/warrant/warranttest"
	"github.com/speciecash/specie/trust"
)

var (
	now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	// eva is the subject of a member's warrant, hit that of a case's.
	eva = warrant.Membership{Member: enrol.ID{17}, Uh: [33]byte{2, 5}, Transcript: [32]byte{3}}.Subject()
	hit = warrant.Case([32]byte{0xca, 0x5e})
)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newCourt(t testing.TB) *warranttest.Court {
	t.Helper()
	return warranttest.New(groupdoctest.New(t, now, []byte("a template"), [32]byte{1}))
}

func TestAWarrantComesBack(t *testing.T) {
	c := newCourt(t)
	w := c.Draft(warrant.Trace, eva, now)
	w.Order = [32]byte{0x0d}
	got := must(warrant.Parse(c.Root, c.Supervision, c.Sign(t, w, 3, 1), now))(t)
	if got.Group != groupdoctest.Name || got.Scope != warrant.Trace || got.Subject != eva || got.Reference != w.Reference ||
		got.Reason != w.Reason || !got.IssuedAt.Equal(now) || !got.Until.Equal(w.Until) || got.Order != w.Order || got.Salt != w.Salt {
		t.Errorf("got %+v", got)
	}
	if !slices.Equal(got.Signers, []string{"OFFICER1", "OFFICER3"}) {
		t.Errorf("signed by %v", got.Signers)
	}
	if got.Subject.Member() != (enrol.ID{17}) || hit.Member() != (enrol.ID{}) {
		t.Error("another member's")
	}
	if again := must(warrant.Parse(c.Root, c.Supervision, c.Sign(t, w, 2, 3, 1), now))(t); again.Digest != got.Digest || len(again.Signers) != 3 {
		t.Error("the digest depends on who signed")
	}
}

func TestADraftHasASaltOfItsOwn(t *testing.T) {
	w := newCourt(t).Draft(warrant.Open, hit, now)
	one, two := must(warrant.Draft(w))(t), must(warrant.Draft(w))(t)
	if bytes.Equal(one, two) || must(warrant.Read(one))(t).Digest == must(warrant.Read(two))(t).Digest {
		t.Error("who knows what a warrant says can find it in the register")
	}
}

func TestAllowsOneScopeAndOneSubject(t *testing.T) {
	c := newCourt(t)
	w := c.Draft(warrant.Expel, eva, now)
	for _, tt := range []struct {
		name string
		err  error
		want error
	}{
		{"what it is for", w.Allows(eva, warrant.Trace, warrant.Expel), nil},
		{"another scope", w.Allows(eva, warrant.Trace), warrant.ErrScope},
		{"no scope", w.Allows(eva), warrant.ErrScope},
		{"another member", w.Allows(warrant.Membership{Member: enrol.ID{18}}.Subject(), warrant.Expel), warrant.ErrSubject},
		{"another join of the same member", w.Allows(warrant.Membership{Member: enrol.ID{17}, Uh: [33]byte{2, 6}, Transcript: [32]byte{3}}.Subject(), warrant.Expel), warrant.ErrSubject},
		{"a case", w.Allows(hit, warrant.Expel), warrant.ErrSubject},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, tt.err, tt.want)
		}
	}
}

func TestAWarrantHasATerm(t *testing.T) {
	c := newCourt(t)
	w := c.Draft(warrant.Open, hit, now)
	jws := c.Sign(t, w)
	for _, tt := range []struct {
		name string
		at   time.Time
		want error
	}{
		{"when it was drafted", now, nil},
		{"by a clock that is a little behind", now.Add(-5 * time.Minute), nil},
		{"before that", now.Add(-5*time.Minute - time.Second), warrant.ErrExpired},
		{"in its last second", w.Until.Add(-time.Second), nil},
		{"at its end", w.Until, warrant.ErrExpired},
	} {
		if _, err := warrant.Parse(c.Root, c.Supervision, jws, tt.at); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestWhoMaySign(t *testing.T) {
	c, foreign := newCourt(t), newCourt(t)
	w := c.Draft(warrant.Open, hit, now)
	payload := must(w.Marshal())(t)
	good := c.Sign(t, w, 1, 2, 3)
	as := func(typ string, payload []byte, p groupdoctest.Party) []byte {
		return must(trust.Sign(typ, payload, p.Key, p.Chain))(t)
	}
	outsider := c.Certify(t, trust.Name{Role: trust.RoleSupervisor, ID: "OFFICER4"}, now)
	elsewhere := w
	elsewhere.Group = "OTHERGROUP"
	other := w
	other.Salt[5] ^= 1
	unsigned := bytes.Clone(good[1])
	if at := len(unsigned) - 20; unsigned[at] != 'A' {
		unsigned[at] = 'A'
	} else {
		unsigned[at] = 'B'
	}
	for _, tt := range []struct {
		name string
		jws  [][]byte
		at   time.Time
		want error
	}{
		{"nobody", nil, now, warrant.ErrQuorum},
		{"one supervisor", good[:1], now, warrant.ErrQuorum},
		{"one supervisor twice", [][]byte{good[0], good[0]}, now, warrant.ErrQuorum},
		{"one supervisor with two signatures", [][]byte{good[0], c.Sign(t, w, 1)[0]}, now, warrant.ErrQuorum},
		{"two, of whom one signed twice", [][]byte{good[0], good[0], good[2]}, now, nil},
		{"all", good, now, nil},
		{"a supervisor of nothing beside two", [][]byte{good[0], good[1], as(trust.TypWarrant, payload, outsider)}, now, warrant.ErrSigner},
		{"the manager in one's place", [][]byte{good[0], as(trust.TypWarrant, payload, c.Manager)}, now, trust.ErrRole},
		{"supervisors of another root", foreign.SignPayload(t, payload), now, trust.ErrChain},
		{"one another warrant", [][]byte{good[0], c.Sign(t, other, 2)[0]}, now, warrant.ErrSigner},
		{"one the same in other bytes", [][]byte{good[0], c.SignPayload(t, append(bytes.Clone(payload), '\n'), 2)[0]}, now, warrant.ErrSigner},
		{"a warrant of another group", c.Sign(t, elsewhere), now, warrant.ErrGroup},
		{"the officers' order in one's place", [][]byte{good[0], as(trust.TypOrder, payload, c.Officers[1])}, now, trust.ErrType},
		{"a signature that does not verify", [][]byte{good[0], unsigned}, now, trust.ErrSignature},
		{"with certificates that have expired", good, now.AddDate(1, 0, 1), trust.ErrExpired},
		{"a document too large", [][]byte{good[0], make([]byte, warrant.MaxJWS+1)}, now, warrant.ErrMalformed},
		{"more than can be supervisors", slices.Repeat(good[:1], 33), now, warrant.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := warrant.Parse(c.Root, c.Supervision, tt.jws, tt.at); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestASupervisorSignsOnlyForHisGroup(t *testing.T) {
	c := newCourt(t)
	payload := must(warrant.Draft(c.Draft(warrant.Open, hit, now)))(t)
	elsewhere := c.Draft(warrant.Open, hit, now)
	elsewhere.Group = "OTHERGROUP"
	officer := c.Officers[0]
	for _, tt := range []struct {
		name    string
		payload []byte
		by      groupdoctest.Party
		at      time.Time
		want    error
	}{
		{"as it is", payload, officer, now, nil},
		{"not in force any more", payload, officer, now.AddDate(0, 0, 30), warrant.ErrExpired},
		{"of another group", must(elsewhere.Marshal())(t), officer, now, warrant.ErrGroup},
		{"no warrant", []byte("{}"), officer, now, warrant.ErrMalformed},
		{"by a supervisor of something else", payload, c.Certify(t, trust.Name{Role: trust.RoleSupervisor, ID: "OFFICER4"}, now), now, warrant.ErrSigner},
		{"by the manager", payload, c.Manager, now, trust.ErrRole},
		{"without a certificate", payload, groupdoctest.Party{Key: officer.Key}, now, trust.ErrChain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			jws, err := warrant.Sign(c.Supervision, tt.payload, tt.by.Key, tt.by.Chain, tt.at)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil {
				return
			}
			w, signed, by, err := warrant.Signed(c.Root, jws, now)
			if err != nil || by != "OFFICER1" || !bytes.Equal(signed, payload) || w.Subject != hit {
				t.Errorf("read back as %+v by %s: %v", w, by, err)
			}
		})
	}
	if _, _, _, err := warrant.Signed(c.Root, c.SupervisionJWS[0], now); !errors.Is(err, trust.ErrType) {
		t.Errorf("another document of his: %v", err)
	}
}

// change takes a payload apart, lets a test change it, and puts it together.
func change(t testing.TB, payload []byte, f func(m map[string]any)) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(payload, &m); err != nil {
		t.Fatal(err)
	}
	f(m)
	return must(json.Marshal(m))(t)
}

// Each field of a warrant, changed after the first supervisor has signed and
// by the second, is another warrant; and in a form that no warrant has it is
// refused whoever signs it.
func TestEveryFieldOfAWarrantCounts(t *testing.T) {
	c := newCourt(t)
	w := c.Draft(warrant.Trace, eva, now)
	w.Order = [32]byte{0x0d}
	payload := must(w.Marshal())(t)
	first := c.SignPayload(t, payload, 1)[0]
	zeros := strings.Repeat("A", 43)
	for field, values := range map[string]struct{ other, bad any }{
		"v":         {nil, 2},
		"group":     {"OTHERGROUP", "g"},
		"scope":     {"expel", "look"},
		"subject":   {string(warrant.Membership{Member: enrol.ID{18}}.Subject()), string(hit)},
		"reference": {"2 BvR 174/26", "line\nbreak"},
		"reason":    {"order of another court", strings.Repeat("x", 513)},
		"issued_at": {"2026-03-01T11:59:59Z", "2026-03-01T12:00:00.5Z"},
		"until":     {"2026-03-31T12:00:01Z", "2027-03-02T12:00:01Z"},
		"order":     {strings.Repeat("B", 42) + "A", zeros},
		"salt":      {strings.Repeat("B", 42) + "A", zeros},
	} {
		t.Run(field, func(t *testing.T) {
			set := func(v any) []byte { return change(t, payload, func(m map[string]any) { m[field] = v }) }
			if values.other != nil {
				second := c.SignPayload(t, set(values.other), 2)[0]
				if _, err := warrant.Parse(c.Root, c.Supervision, [][]byte{first, second}, now); !errors.Is(err, warrant.ErrSigner) {
					t.Errorf("changed: %v", err)
				}
				if _, err := warrant.Read(set(values.other)); err != nil {
					t.Errorf("the changed one alone says nothing: %v", err)
				}
			}
			if _, err := warrant.Parse(c.Root, c.Supervision, c.SignPayload(t, set(values.bad)), now); !errors.Is(err, warrant.ErrMalformed) {
				t.Errorf("in another form: %v", err)
			}
			missing := change(t, payload, func(m map[string]any) { delete(m, field) })
			if _, err := warrant.Read(missing); field != "order" && !errors.Is(err, warrant.ErrMalformed) {
				t.Errorf("missing: %v", err)
			}
		})
	}
}

func TestWhatNoWarrantMaySay(t *testing.T) {
	c := newCourt(t)
	for _, tt := range []struct {
		name   string
		scope  warrant.Scope
		change func(w *warrant.Warrant)
	}{
		{"a case to be traced", warrant.Trace, func(w *warrant.Warrant) { w.Subject = hit }},
		{"a member to be opened", warrant.Open, func(w *warrant.Warrant) { w.Subject = eva }},
		{"a member without a digest", warrant.Expel, func(w *warrant.Warrant) { w.Subject = eva[:23] }},
		{"a member without an id", warrant.Expel, func(w *warrant.Warrant) { w.Subject = eva[22:] }},
		{"a digest in capitals", warrant.Open, func(w *warrant.Warrant) { w.Subject = warrant.Subject(strings.ToUpper(string(hit))) }},
		{"a digest too short", warrant.Open, func(w *warrant.Warrant) { w.Subject = hit[2:] }},
		{"no subject", warrant.Open, func(w *warrant.Warrant) { w.Subject = "" }},
		{"no reference", warrant.Open, func(w *warrant.Warrant) { w.Reference = "" }},
		{"a reference of 65 characters", warrant.Open, func(w *warrant.Warrant) { w.Reference = strings.Repeat("ä", 65) }},
		{"no reason", warrant.Open, func(w *warrant.Warrant) { w.Reason = " " }},
		{"a reason that is written backwards", warrant.Open, func(w *warrant.Warrant) { w.Reason = "a\u202eb" }},
		{"an end before the beginning", warrant.Open, func(w *warrant.Warrant) { w.Until = w.IssuedAt }},
		{"no end", warrant.Open, func(w *warrant.Warrant) { w.Until = time.Time{} }},
		{"an end in years", warrant.Open, func(w *warrant.Warrant) { w.Until = w.IssuedAt.Add(warrant.MaxTerm + time.Second) }},
		{"half seconds", warrant.Open, func(w *warrant.Warrant) { w.Until = w.Until.Add(time.Second / 2) }},
		{"no salt", warrant.Open, func(w *warrant.Warrant) { w.Salt = [32]byte{} }},
		{"a group that is none", warrant.Open, func(w *warrant.Warrant) { w.Group = "x" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			subject := eva
			if tt.scope == warrant.Open {
				subject = hit
			}
			w := c.Draft(tt.scope, subject, now)
			if _, err := w.Marshal(); err != nil {
				t.Fatal(err)
			}
			tt.change(&w)
			if _, err := w.Marshal(); !errors.Is(err, warrant.ErrMalformed) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPayloadsOfAnotherForm(t *testing.T) {
	c := newCourt(t)
	w := c.Draft(warrant.Open, hit, now)
	payload := must(w.Marshal())(t)
	for name, bad := range map[string][]byte{
		"nothing":                 nil,
		"an unknown member":       change(t, payload, func(m map[string]any) { m["note"] = "x" }),
		"padding in the salt":     change(t, payload, func(m map[string]any) { m["salt"] = m["salt"].(string) + "=" }),
		"a line break in it":      change(t, payload, func(m map[string]any) { m["salt"] = m["salt"].(string)[:9] + "\n" + m["salt"].(string)[9:] }),
		"a time with an offset":   change(t, payload, func(m map[string]any) { m["until"] = "2026-03-31T14:00:00+02:00" }),
		"too large":               append(bytes.Clone(payload), bytes.Repeat([]byte(" "), warrant.MaxPayload)...),
		"a salt of other letters": change(t, payload, func(m map[string]any) { m["salt"] = strings.Repeat("*", 43) }),
	} {
		if _, err := warrant.Read(bad); !errors.Is(err, warrant.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	c := newCourt(f)
	open, trace := c.Draft(warrant.Open, hit, now), c.Draft(warrant.Trace, eva, now)
	trace.Order = [32]byte{1}
	f.Add(must(open.Marshal())(f))
	f.Add(must(trace.Marshal())(f))
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		w, err := warrant.Read(payload)
		if err != nil {
			return
		}
		again, err := w.Marshal()
		if err != nil {
			t.Fatalf("read, and not written: %v", err)
		}
		back, err := warrant.Read(again)
		if err != nil || back.Subject != w.Subject || back.Scope != w.Scope || back.Salt != w.Salt {
			t.Errorf("written and read again: %+v, %v", back, err)
		}
	})
}

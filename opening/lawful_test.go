package opening_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/trust"
)

// change takes a file apart, lets a test change it, and puts it together.
func change(t testing.TB, file []byte, f func(m map[string]any)) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(file, &m); err != nil {
		t.Fatal(err)
	}
	f(m)
	return must(json.Marshal(m))(t)
}

// unlawful is a way in which a warrant is none for what it is used for. subject
// is what the caller wants to do with the scope, other something that he does
// not.
type unlawful struct {
	name string
	want error
	// proof makes it; it may change the group's document.
	proof func(t *testing.T, w *world) *warrant.Proof
	// at is when it is used, after now.
	at time.Duration
}

func unlawfuls(scope, wrong warrant.Scope, subject, other, wrongSubject warrant.Subject) []unlawful {
	issued := func(scope warrant.Scope, subject warrant.Subject, officers ...int) func(*testing.T, *world) ([][]byte, *warrant.Warrant) {
		return func(t *testing.T, w *world) ([][]byte, *warrant.Warrant) {
			draft := w.Draft(scope, subject, now)
			payload := must(draft.Marshal())(t)
			return w.SignPayload(t, payload, officers...), must(warrant.Read(payload))(t)
		}
	}
	// entered publishes the warrant whatever a manager ought to look at.
	entered := func(scope warrant.Scope, subject warrant.Subject, officers ...int) func(*testing.T, *world) *warrant.Proof {
		return func(t *testing.T, w *world) *warrant.Proof {
			jws, read := issued(scope, subject, officers...)(t, w)
			w.Publish(must(warrant.Next(last(w), read, now))(t))
			return &warrant.Proof{JWS: jws, Entries: w.Register.Entries[len(w.Register.Entries)-1:]}
		}
	}
	good := entered(scope, subject)
	return []unlawful{
		{"in order", nil, good, 0},
		{"on its last day", nil, good, 30*24*time.Hour - time.Second},
		{"after its term", warrant.ErrExpired, good, 30 * 24 * time.Hour},
		{"before its term", warrant.ErrExpired, good, -time.Hour},
		{"of another scope", warrant.ErrScope, entered(wrong, wrongSubject), 0},
		{"about another subject", warrant.ErrSubject, entered(scope, other), 0},
		{"signed by one supervisor", warrant.ErrQuorum, entered(scope, subject, 1), 0},
		{"signed by one supervisor twice", warrant.ErrQuorum, entered(scope, subject, 3, 3), 0},
		{"signed by the manager for a supervisor", trust.ErrRole, func(t *testing.T, w *world) *warrant.Proof {
			p := good(t, w)
			read, payload, _, err := warrant.Signed(w.Root, p.JWS[0], now)
			if err != nil || read.Digest != p.Entries[0].Warrant {
				t.Fatal(err)
			}
			p.JWS[1] = must(trust.Sign(trust.TypWarrant, payload, w.Manager.Key, w.Manager.Chain))(t)
			return p
		}, 0},
		{"never entered", warrant.ErrRegister, func(t *testing.T, w *world) *warrant.Proof {
			jws, read := issued(scope, subject)(t, w)
			return &warrant.Proof{JWS: jws, Entries: []warrant.Entry{must(warrant.Next(last(w), read, now))(t)}}
		}, 0},
		{"with the entry of another warrant", warrant.ErrUnregistered, func(t *testing.T, w *world) *warrant.Proof {
			jws, _ := issued(scope, subject)(t, w)
			p := entered(scope, other)(t, w)
			p.JWS = jws
			return p
		}, 0},
		{"dropped from the register", warrant.ErrRegister, func(t *testing.T, w *world) *warrant.Proof {
			before := w.Register.Entries
			p := good(t, w)
			w.Register.Entries = slices.Clone(before)
			entered(scope, other)(t, w)
			return p
		}, 0},
		{"without the entries after its own", warrant.ErrRegister, func(t *testing.T, w *world) *warrant.Proof {
			p := good(t, w)
			entered(scope, other)(t, w)
			return p
		}, 0},
		{"without an entry", warrant.ErrUnregistered, func(t *testing.T, w *world) *warrant.Proof {
			p := good(t, w)
			p.Entries = nil
			return p
		}, 0},
		{"without signatures", warrant.ErrQuorum, func(t *testing.T, w *world) *warrant.Proof {
			p := good(t, w)
			p.JWS = nil
			return p
		}, 0},
		{"of another group", warrant.ErrGroup, func(t *testing.T, w *world) *warrant.Proof {
			draft := w.Draft(scope, subject, now)
			draft.Group = "OTHERGROUP"
			payload := must(draft.Marshal())(t)
			w.Publish(must(warrant.Next(last(w), must(warrant.Read(payload))(t), now))(t))
			return &warrant.Proof{JWS: w.SignPayload(t, payload), Entries: w.Register.Entries[len(w.Register.Entries)-1:]}
		}, 0},
	}
}

func last(w *world) warrant.Entry {
	if n := len(w.Register.Entries); n > 0 {
		return w.Register.Entries[n-1]
	}
	return warrant.Entry{}
}

func TestAShareIsUsedOnALawfulWarrantOnly(t *testing.T) {
	w := newWorld(t)
	m := w.admit(t, "Eva Example")
	c, another := w.doubleSpend(t, m), w.doubleSpend(t, m)
	for _, tt := range unlawfuls(warrant.Open, warrant.Trace, c.Subject(), another.Subject(), membership(m).Subject()) {
		t.Run(tt.name, func(t *testing.T) {
			proof := tt.proof(t, w)
			w.groupJWS = w.Group.Sign(t)
			papers := w.papers(t).At(now.Add(tt.at))
			part, err := opening.Partial(papers, c, proof, w.Shares[0])
			if !errors.Is(err, tt.want) {
				t.Fatalf("partial: got %v, want %v", err, tt.want)
			}
			if err == nil && part.Warrant != proof.Entries[0].Warrant {
				t.Error("the part does not say on which warrant it was made")
			}
			// The parts of supervisors who looked away do not make it lawful: nobody
			// combines or verifies them, or names the member. What was in force when
			// it was entered may be combined later.
			want := tt.want
			if tt.at != 0 {
				want = nil
			}
			var parts []*opening.Part
			for _, share := range w.Shares[:2] {
				v := must(group.NewVerifier(papers.Group.Parameters(), w.Contents.Current.Number))(t)
				po := must(group.OpenPartial(v, &w.Supervision.Key, share, item(t, c)))(t)
				digest := [32]byte{}
				if len(proof.Entries) > 0 {
					digest = proof.Entries[0].Warrant
				}
				parts = append(parts, &opening.Part{Group: papers.Group.ID, Case: c.Digest(), Warrant: digest, Partial: po})
			}
			if _, _, err := opening.Combine(papers, c, proof, parts); !errors.Is(err, want) {
				t.Errorf("combine: got %v, want %v", err, want)
			}
			o := &opening.Opening{Case: c, Warrant: proof, KeysetJWS: w.keysetJWS, GroupJWS: w.groupJWS}
			for _, part := range parts {
				o.Parts = append(o.Parts, part.Partial)
			}
			if _, err := o.Verify(w.Root, now); !errors.Is(err, want) {
				t.Errorf("verify: got %v, want %v", err, want)
			}
			if len(proof.Entries) == 0 || len(proof.JWS) == 0 || tt.at != 0 {
				return
			}
			_, entry, err := opening.TagFor(w.Root, papers.Group.GroupID(), must(o.Marshal())(t), nil, now)
			if !errors.Is(err, tt.want) || err == nil && entry != proof.Entries[0] {
				t.Errorf("the manager: got %v, want %v", err, tt.want)
			}
		})
	}
}

// item is what gets opened of a case.
func item(t testing.TB, c *opening.Case) group.Item {
	t.Helper()
	s := c.Spends[1]
	return group.Item{
		Presentation: s.Authorisation.Presentation, Message: s.Frame(), Claims: must(coin.Claims(s.BoundClaims()))(t),
	}
}

func TestNobodyIsNamedAfterTheWarrantEnded(t *testing.T) {
	w := newWorld(t)
	thief := w.admit(t, "Eva Example")
	c := w.doubleSpend(t, thief)
	o, f, err := w.combine(t, c, w.parts(t, c, 1, 2))
	if err != nil {
		t.Fatal(err)
	}
	file := must(o.Marshal())(t)
	later := now.AddDate(0, 0, 30)
	if _, _, err := opening.TagFor(w.Root, f.Group.GroupID(), file, nil, later); !errors.Is(err, warrant.ErrExpired) {
		t.Errorf("the manager: %v", err)
	}
	// Evidence of what was done lawfully stays evidence.
	e, _, err := opening.Attach(w.Root, o, w.state(t, thief), now)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := e.Verify(w.Root, later); err != nil || v.Warrant.Reference == "" {
		t.Errorf("the court: %v", err)
	}
}

func TestEveryFieldOfAPartCounts(t *testing.T) {
	w := newWorld(t)
	c := w.doubleSpend(t, w.admit(t, "Eva Example"))
	parts := w.parts(t, c, 1, 2)
	file := must(parts[0].Marshal())(t)
	partial := func(f func(b []byte)) func(m map[string]any) {
		return func(m map[string]any) {
			b := bytes.Clone(parts[0].Partial.Bytes())
			f(b)
			m["partial"] = encoded(b)
		}
	}
	tests := []struct {
		name   string
		change func(m map[string]any)
		want   error
	}{
		{"nothing", func(map[string]any) {}, nil},
		{"version", func(m map[string]any) { m["v"] = 2 }, opening.ErrMalformed},
		{"group", func(m map[string]any) { m["group"] = "OTHERGROUP" }, opening.ErrForeign},
		{"case", func(m map[string]any) { m["case"] = encoded(make([]byte, 32)) }, opening.ErrForeign},
		{"a short case", func(m map[string]any) { m["case"] = encoded(make([]byte, 31)) }, opening.ErrMalformed},
		{"warrant", func(m map[string]any) { m["warrant"] = encoded(make([]byte, 32)) }, opening.ErrForeign},
		{"no warrant", func(m map[string]any) { delete(m, "warrant") }, opening.ErrMalformed},
		{"index, one that is taken", partial(func(b []byte) { b[0] = 2 }), group.ErrPartial},
		{"index, beyond n", partial(func(b []byte) { b[0] = 4 }), group.ErrPartial},
		{"index zero", partial(func(b []byte) { b[0] = 0 }), group.ErrPartial},
		{"the point", partial(func(b []byte) { b[1] ^= 1 }), group.ErrPartial},
		{"the point, off the curve", partial(func(b []byte) { copy(b[2:34], bytes.Repeat([]byte{0xff}, 32)) }), opening.ErrMalformed},
		{"c", partial(func(b []byte) { b[65] ^= 1 }), group.ErrPartial},
		{"s", partial(func(b []byte) { b[97] ^= 1 }), group.ErrPartial},
		{"no partial", func(m map[string]any) { delete(m, "partial") }, opening.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			part, err := opening.ParsePart(change(t, file, tt.change))
			if err == nil {
				_, _, err = w.combine(t, c, []*opening.Part{part, parts[1]})
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestEveryFieldOfAnOpeningCounts(t *testing.T) {
	w, foreign := newWorld(t), newWorld(t)
	m := w.admit(t, "Eva Example")
	c, another := w.doubleSpend(t, m), w.doubleSpend(t, m)
	other, _, err := w.combine(t, another, w.parts(t, another, 1, 2))
	if err != nil {
		t.Fatal(err)
	}
	o, _, err := w.combine(t, c, w.parts(t, c, 1, 2))
	if err != nil {
		t.Fatal(err)
	}
	file := must(o.Marshal())(t)
	var theirs map[string]any
	if err := json.Unmarshal(must(other.Marshal())(t), &theirs); err != nil {
		t.Fatal(err)
	}
	proof := func(m map[string]any) map[string]any { return m["warrant"].(map[string]any) }
	tests := []struct {
		name   string
		change func(m map[string]any)
		want   error
	}{
		{"nothing", func(map[string]any) {}, nil},
		{"version", func(m map[string]any) { m["v"] = 2 }, opening.ErrMalformed},
		{"another case", func(m map[string]any) { m["case"] = theirs["case"] }, warrant.ErrSubject},
		{"another case's warrant", func(m map[string]any) { m["warrant"] = theirs["warrant"] }, warrant.ErrRegister},
		{"no warrant", func(m map[string]any) { delete(m, "warrant") }, opening.ErrMalformed},
		{"no signatures on it", func(m map[string]any) { proof(m)["signatures"] = []string{} }, opening.ErrMalformed},
		{"one signature on it", func(m map[string]any) { proof(m)["signatures"] = proof(m)["signatures"].([]any)[:1] }, warrant.ErrQuorum},
		{"no entries", func(m map[string]any) { proof(m)["entries"] = []string{} }, opening.ErrMalformed},
		{"an entry of another form", func(m map[string]any) { proof(m)["entries"] = []any{map[string]any{"seq": 1}} }, opening.ErrMalformed},
		{"another bank's keyset", func(m map[string]any) { m["keyset"] = string(foreign.keysetJWS) }, trust.ErrChain},
		{"another root's group", func(m map[string]any) { m["group"] = string(foreign.groupJWS) }, trust.ErrChain},
		{"an older document, without the entry", func(m map[string]any) { m["group"] = theirs["group"] }, warrant.ErrRegister},
		{"another case's parts", func(m map[string]any) { m["parts"] = theirs["parts"] }, group.ErrPartial},
		{"one part", func(m map[string]any) { m["parts"] = m["parts"].([]any)[:1] }, group.ErrQuorum},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, err := opening.ParseOpening(change(t, file, tt.change))
			if err == nil {
				_, err = o.Verify(w.Root, now)
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

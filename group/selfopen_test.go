package group

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/speciecash/specie/group/fp256bn"
)

// kept is a presentation whose signer kept its opening key.
func (c *citizen) kept(t testing.TB, msg string, claims ...Claim) (Item, OpeningKey) {
	t.Helper()
	p, k, err := c.PresentOpen(t.Context(), c.key, []byte(msg), claims)
	must(t, err)
	return Item{p.Bytes(), []byte(msg), claims}, k
}

func TestASignerOpensHisOwnPresentation(t *testing.T) {
	w := newWorld(t)
	v, m := w.verifier(t), w.admit(t)
	it, k := m.kept(t, "m", m.coins(t, 2)...)
	again, err := ParseOpeningKey(k.Bytes())
	must(t, err)
	f, err := SelfOpen(v, it, again)
	must(t, err)
	if f != m.tag.Bytes() {
		t.Fatal("another member's tag")
	}
	// The supervisors find the same.
	theirs, err := CombineOpening(v, w.key, it, w.partials(t, v, it, 1, 2))
	must(t, err)
	if theirs != f {
		t.Fatal("the supervisors open it to another tag")
	}
}

func TestASelfOpeningNeedsTheKeyOfThatPresentation(t *testing.T) {
	w := newWorld(t)
	v, m, victim := w.verifier(t), w.admit(t), w.admit(t)
	it, k := m.kept(t, "m")
	other, otherKey := m.kept(t, "m")

	// E1 of his own choice, of which he knows the k: F = E2−[k]O would be
	// whatever he likes, here the victim's tag.
	framed := func(e2 bool) Item {
		p, err := ParsePresentation(it.Presentation)
		must(t, err)
		p.E1 = fixedBases().g.Mul(otherKey.k)
		if e2 {
			p.E2 = victim.tag.Add(w.params.O.Mul(otherKey.k))
		}
		return Item{p.Bytes(), it.Message, nil}
	}
	cases := []struct {
		name string
		it   Item
		k    OpeningKey
		want error
	}{
		{"the key plus one", it, OpeningKey{k.k.Add(fp256bn.ScalarFromUint64(1))}, ErrOpeningKey},
		{"the key's opposite", it, OpeningKey{k.k.Neg()}, ErrOpeningKey},
		{"no key", it, OpeningKey{}, ErrOpeningKey},
		{"the key of another presentation of his", it, otherKey, ErrOpeningKey},
		{"his key on another presentation of his", other, k, ErrOpeningKey},
		{"a forged E1 with its key", framed(false), otherKey, ErrProof},
		{"a forged E1 and E2 that name a victim, with their key", framed(true), otherKey, ErrProof},
		{"another message", Item{it.Presentation, []byte("n"), nil}, k, ErrProof},
		{"coins that were not presented", Item{it.Presentation, it.Message, m.coins(t, 1)}, k, ErrProof},
		{"a presentation cut short", Item{it.Presentation[1:], it.Message, nil}, k, ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f, err := SelfOpen(v, c.it, c.k)
			wantErr(t, err, c.want)
			if f != [33]byte{} {
				t.Error("a refusal names somebody")
			}
		})
	}
	t.Run("an epoch that is not accepted", func(t *testing.T) {
		_, err := SelfOpen(w.verifier(t, epoch0+1), it, k)
		wantErr(t, err, ErrEpoch)
	})
}

// Why E1 = [k]G is checked: without it, k is a free choice, and with it of F.
// A k can be had for any F whose distance from E2 is a known multiple of O.
func TestWithoutTheCheckOfE1AKeyWouldNameAnybody(t *testing.T) {
	w := newWorld(t)
	v, m := w.verifier(t), w.admit(t)
	it, k := m.kept(t, "m")
	x := scalar(t)
	f := m.tag.Sub(w.params.O.Mul(x)) // a tag that isn't his
	forged := OpeningKey{k.k.Add(x)}
	p, err := ParsePresentation(it.Presentation)
	must(t, err)
	if !p.E2.Sub(w.params.O.Mul(forged.k)).Equal(f) {
		t.Fatal("the attack is not the one described")
	}
	_, err = SelfOpen(v, it, forged)
	wantErr(t, err, ErrOpeningKey)
}

func TestAnOpeningKeyDoesNotShow(t *testing.T) {
	w := newWorld(t)
	_, k := w.admit(t).kept(t, "m")
	holder := struct{ Key OpeningKey }{k}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b"} {
		if got := fmt.Sprintf(verb, k); got != "[redacted]" {
			t.Errorf("%s prints %s", verb, got)
		}
		if got := fmt.Sprintf(verb, holder); !strings.Contains(got, "[redacted]") || len(got) > 100 {
			t.Errorf("%s in a struct prints %s", verb, got)
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("made", "key", k)
	if !strings.Contains(log.String(), "key=[redacted]") {
		t.Errorf("logged as %s", log.String())
	}
	if b, err := json.Marshal(holder); err == nil {
		t.Errorf("marshalled as %s", b)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "31 bytes": k.Bytes()[1:], "33 bytes": append(k.Bytes(), 0),
		"zero": make([]byte, 32), "above the group order": bytes.Repeat([]byte{0xff}, 32),
	} {
		if _, err := ParseOpeningKey(b); err == nil {
			t.Errorf("%s is taken for a key", name)
		} else {
			wantErr(t, err, ErrMalformed)
		}
	}
}

package enrol_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/trust"
)

func succession() *enrol.Succession {
	return &enrol.Succession{
		Group: groupdoctest.Name, Old: fp256bn.Generator1().Bytes(), New: fp256bn.Generator1().Add(fp256bn.Generator1()).Bytes(),
		At: now, GoodUntil: now.Add(time.Hour),
	}
}

func TestASuccessionIsReadBack(t *testing.T) {
	g := newGroup(t)
	jws, err := enrol.SignSuccession(succession(), g.Manager.Key, g.Manager.Chain)
	if err != nil {
		t.Fatal(err)
	}
	got, err := enrol.ParseSuccession(g.Root, groupdoctest.Name, jws, now)
	if err != nil || *got != *succession() {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestSuccessionsThatAreRefused(t *testing.T) {
	g := newGroup(t)
	jws, err := enrol.SignSuccession(succession(), g.Manager.Key, g.Manager.Chain)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := g.Root.Verify(jws, trust.TypSuccession, trust.RoleGroup, now)
	if err != nil {
		t.Fatal(err)
	}
	var good map[string]any
	if err := json.Unmarshal(doc.Payload, &good); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, member string
		value        any
		want         error
	}{
		{"another group", "group", "OTHERGROUP", enrol.ErrSuccession},
		{"a group that is no id", "group", "g", enrol.ErrMalformed},
		{"an old tag that is no point", "old", strings.Repeat("A", 44), enrol.ErrMalformed},
		{"a new tag of the wrong size", "new", "AAAA", enrol.ErrMalformed},
		{"a member who succeeds himself", "new", good["old"], enrol.ErrSuccession},
		{"a local time", "at", "2026-05-01T14:00:00+02:00", enrol.ErrMalformed},
		{"an end that is no time", "good_until", "soon", enrol.ErrMalformed},
		{"a year nought", "good_until", "0001-01-01T00:00:00Z", enrol.ErrMalformed},
		{"a member that is not known", "note", "x", enrol.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m map[string]any
			if err := json.Unmarshal(doc.Payload, &m); err != nil {
				t.Fatal(err)
			}
			m[c.member] = c.value
			payload, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			bad, err := trust.Sign(trust.TypSuccession, payload, g.Manager.Key, g.Manager.Chain)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := enrol.ParseSuccession(g.Root, groupdoctest.Name, bad, now); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
	t.Run("a supervisor's signature", func(t *testing.T) {
		bad, err := trust.Sign(trust.TypSuccession, doc.Payload, g.Officers[0].Key, g.Officers[0].Chain)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := enrol.ParseSuccession(g.Root, groupdoctest.Name, bad, now); !errors.Is(err, trust.ErrRole) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("another manager's signature", func(t *testing.T) {
		party := g.Certify(t, trust.Name{Role: trust.RoleGroup, ID: "OTHERGROUP"}, now)
		bad, err := trust.Sign(trust.TypSuccession, doc.Payload, party.Key, party.Chain)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := enrol.ParseSuccession(g.Root, groupdoctest.Name, bad, now); !errors.Is(err, enrol.ErrSuccession) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a manager does not sign what contradicts itself", func(t *testing.T) {
		s := succession()
		s.New = s.Old
		if _, err := enrol.SignSuccession(s, g.Manager.Key, g.Manager.Chain); !errors.Is(err, enrol.ErrSuccession) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestACodeIsReadAsPeopleTypeIt(t *testing.T) {
	c, err := enrol.NewCode()
	if err != nil {
		t.Fatal(err)
	}
	shown := c.Reveal()
	if len(shown) != 24 || strings.Count(shown, "-") != 4 {
		t.Fatalf("shown as %q", shown)
	}
	loose := strings.NewReplacer("0", "o", "1", "l", "-", " ").Replace(strings.ToLower(shown))
	for _, text := range []string{shown, loose, strings.ReplaceAll(shown, "-", "")} {
		if got, err := enrol.ParseCode(text); err != nil || got != c || got.Digest() != c.Digest() {
			t.Fatalf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", shown[1:], shown + "0", "U" + shown[1:], strings.Repeat(" ", 100) + shown} {
		if _, err := enrol.ParseCode(text); !errors.Is(err, enrol.ErrMalformed) || len(text) > 4 && strings.Contains(err.Error(), text) {
			t.Fatalf("%q: %v", text, err)
		}
	}
	other, err := enrol.NewCode()
	if err != nil || other == c || other.Digest() == c.Digest() {
		t.Fatal("two codes are the same")
	}
	if _, err := json.Marshal(enrol.Form{Name: "Ada", Code: c}); err == nil {
		t.Fatal("a code marshals")
	}
	if text := fmt.Sprintf("%v %+v %#v %s", c, enrol.Form{Code: c}, c, c); strings.Contains(text, shown[:4]) {
		t.Fatalf("a code prints: %s", text)
	}
}

func TestAFormCarriesItsCodeSealed(t *testing.T) {
	g := newGroup(t)
	code, err := enrol.NewCode()
	if err != nil {
		t.Fatal(err)
	}
	f := enrol.Form{Name: "Ada Lovelace", Code: code}
	sealed, digest, err := enrol.SealForm(g.FormKey.PublicKey(), g.Contents.ID, nonce, f)
	if err != nil {
		t.Fatal(err)
	}
	o, err := enrol.OpenForm(g.FormKey, g.Contents.ID, nonce, sealed, digest)
	if err != nil || o.Form != f {
		t.Fatalf("got %v, %v", o, err)
	}
	for _, text := range []string{`{"name":"Ada","code":"` + code.Reveal() + `"}`, `{"name":"Ada","code":"short"}`} {
		if _, err := enrol.ParseForm([]byte(text)); !errors.Is(err, enrol.ErrMalformed) {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

func FuzzReadSuccession(f *testing.F) {
	g := newGroup(f)
	jws, err := enrol.SignSuccession(succession(), g.Manager.Key, g.Manager.Chain)
	if err != nil {
		f.Fatal(err)
	}
	doc, err := g.Root.Verify(jws, trust.TypSuccession, trust.RoleGroup, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(doc.Payload)
	f.Add([]byte(`{"group":"TESTGROUP"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if s, err := enrol.ReadSuccession(payload); err == nil && (s.Old == s.New || s.Group == "") {
			t.Fatalf("accepted %+v", s)
		}
	})
}

func FuzzParseCode(f *testing.F) {
	f.Add("7K3M-Q9TX-0000-1111-ZZZZ")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := enrol.ParseCode(text)
		if err != nil {
			return
		}
		if again, err := enrol.ParseCode(c.Reveal()); err != nil || again != c {
			t.Fatalf("%q is not read back", text)
		}
	})
}

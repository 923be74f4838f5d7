package groupdoc_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/trust"
)

func TestSupervisionIsReadBack(t *testing.T) {
	g := newGroup(t)
	jws := slices.Clone(g.SupervisionJWS)
	slices.Reverse(jws) // the order of the signatures says nothing
	s, err := groupdoc.ParseSupervision(g.Root, jws, now)
	if err != nil {
		t.Fatal(err)
	}
	if s.Group != groupdoctest.Name || s.Key.N != 3 || s.Key.K != 2 || s.IndexOf("OFFICER2") != 2 || s.IndexOf("OFFICER9") != 0 {
		t.Fatalf("got %+v", s)
	}
	if !s.Key.O().Equal(g.Supervision.Key.O()) || !s.Key.O2().Equal(g.Supervision.Key.O2()) {
		t.Fatal("another key came back")
	}
	for _, share := range g.Shares {
		if err := s.Key.CheckShare(share); err != nil {
			t.Fatal(err)
		}
	}
	if again := payloadOf(t, s); !bytes.Equal(again, payloadOf(t, g.Supervision)) {
		t.Fatal("the payload changed on the way")
	}
}

func TestParseSupervisionRefusesSignatures(t *testing.T) {
	g := newGroup(t)
	good := g.SupervisionJWS
	payload := payloadOf(t, g.Supervision)
	outsider := g.Certify(t, trust.Name{Role: trust.RoleSupervisor, ID: "OFFICER4"}, now)
	impostor := g.Certify(t, trust.Name{Role: trust.RoleGroup, ID: "OFFICER3"}, now)
	foreign := newGroup(t).Officers[2]

	spaced := signAs(t, trust.TypSupervision, append(bytes.Clone(payload), '\n'), g.Officers[2])
	other := *g.Supervision
	other.Key = group.SupervisionKey{N: 3, K: 2, Tracing: other.Key.Tracing, Opening: slices.Clone(other.Key.Opening)}
	other.Key.Opening[0] = other.Key.Opening[1]

	cases := []struct {
		name string
		jws  [][]byte
		at   time.Time
		want error
	}{
		{"nobody signed", nil, now, groupdoc.ErrSupervision},
		{"one supervisor is missing", good[:2], now, groupdoc.ErrSupervision},
		{"one supervisor signed in another's place", [][]byte{good[0], good[1], good[1]}, now, groupdoc.ErrSupervision},
		{"somebody who is not named signed too", append(slices.Clone(good), signAs(t, trust.TypSupervision, payload, outsider)), now, groupdoc.ErrSupervision},
		{"an outsider in the place of one", [][]byte{good[0], good[1], signAs(t, trust.TypSupervision, payload, outsider)}, now, groupdoc.ErrSupervision},
		{"more signatures than supervisors can be", make([][]byte, group.MaxSupervisors+1), now, groupdoc.ErrSupervision},
		{"one signed other bytes that say the same", [][]byte{good[0], good[1], spaced}, now, groupdoc.ErrSupervision},
		{"one signed another opening key", [][]byte{good[0], good[1], signAs(t, trust.TypSupervision, payloadOf(t, &other), g.Officers[2])}, now, groupdoc.ErrSupervision},
		{"a group manager signed as supervisor", [][]byte{good[0], good[1], signAs(t, trust.TypSupervision, payload, impostor)}, now, trust.ErrRole},
		{"a supervisor under another root", [][]byte{good[0], good[1], signAs(t, trust.TypSupervision, payload, foreign)}, now, trust.ErrChain},
		{"a document of another type", [][]byte{good[0], good[1], signAs(t, trust.TypGroup, payload, g.Officers[2])}, now, trust.ErrType},
		{"a certificate has expired", good, now.AddDate(1, 0, 1), trust.ErrExpired},
		{"a certificate is not valid yet", good, now.AddDate(-1, 0, -1), trust.ErrExpired},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := groupdoc.ParseSupervision(g.Root, c.jws, c.at)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestParseSupervisionRefusesPayloadsThatAllSigned(t *testing.T) {
	g := newGroup(t)
	good := payloadOf(t, g.Supervision)
	infinity := base64.RawURLEncoding.EncodeToString(make([]byte, 33))
	cases := []struct {
		name   string
		change func(members)
		want   error
	}{
		{"one alone could open", func(m members) {
			m["k"], m["opening"], m["tracing"] = 1, m["opening"].([]any)[:1], m["tracing"].([]any)[:1]
		}, groupdoc.ErrSupervision},
		{"a threshold above the number", func(m members) { m["k"] = 4 }, groupdoc.ErrMalformed},
		{"a commitment is missing", func(m members) { m["opening"] = m["opening"].([]any)[:1] }, groupdoc.ErrMalformed},
		{"a commitment too many", func(m members) { m["tracing"] = append(m["tracing"].([]any), m["tracing"].([]any)[0]) }, groupdoc.ErrMalformed},
		{"the opening key is infinity", func(m members) { m["opening"].([]any)[0] = infinity }, groupdoc.ErrMalformed},
		{"the opening key is in the other group", func(m members) { m["opening"].([]any)[0] = m["tracing"].([]any)[0] }, groupdoc.ErrMalformed},
		{"the tracing key is off the curve", func(m members) {
			m["tracing"].([]any)[0] = base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{2}, 65))
		}, groupdoc.ErrMalformed},
		{"padding in a point", func(m members) { m["opening"].([]any)[0] = m["opening"].([]any)[0].(string) + "=" }, groupdoc.ErrMalformed},
		{"a line break in a point", func(m members) {
			s := m["opening"].([]any)[0].(string)
			m["opening"].([]any)[0] = s[:9] + "\n" + s[10:]
		}, groupdoc.ErrMalformed},
		{"a supervisor is named twice", func(m members) { m["supervisors"].([]any)[2].(map[string]any)["id"] = "OFFICER1" }, groupdoc.ErrMalformed},
		{"an index stands twice", func(m members) { m["supervisors"].([]any)[2].(map[string]any)["index"] = 2 }, groupdoc.ErrMalformed},
		{"fewer supervisors than shares", func(m members) { m["supervisors"] = m["supervisors"].([]any)[:2] }, groupdoc.ErrMalformed},
		{"a supervisor without an id", func(m members) { m["supervisors"].([]any)[0].(map[string]any)["id"] = "" }, groupdoc.ErrMalformed},
		{"a group without an id", func(m members) { m["group"] = "g" }, groupdoc.ErrMalformed},
		{"a member that is not known", func(m members) { m["backdoor"] = true }, groupdoc.ErrMalformed},
		{"no commitments at all", func(m members) { delete(m, "opening") }, groupdoc.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := open(t, good)
			c.change(m)
			_, err := groupdoc.ParseSupervision(g.Root, allSign(t, g, m.bytes(t)), now)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
	t.Run("unchanged it passes", func(t *testing.T) {
		if _, err := groupdoc.ParseSupervision(g.Root, allSign(t, g, open(t, good).bytes(t)), now); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("too large", func(t *testing.T) {
		big := append(bytes.Clone(good), bytes.Repeat([]byte(" "), groupdoc.MaxSupervisionPayload)...)
		if _, err := groupdoc.ReadSupervision(big); !errors.Is(err, groupdoc.ErrMalformed) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestASupervisorSignsOnlyWhatNamesHim(t *testing.T) {
	g := newGroup(t)
	payload := payloadOf(t, g.Supervision)
	outsider := g.Certify(t, trust.Name{Role: trust.RoleSupervisor, ID: "OFFICER4"}, now)
	manager := g.Certify(t, trust.Name{Role: trust.RoleGroup, ID: "OFFICER1"}, now)
	cases := []struct {
		name    string
		payload []byte
		by      groupdoctest.Party
		want    error
	}{
		{"an outsider", payload, outsider, groupdoc.ErrSupervision},
		{"a manager with a supervisor's id", payload, manager, trust.ErrRole},
		{"no certificate", payload, groupdoctest.Party{Key: outsider.Key}, trust.ErrChain},
		{"rubbish to sign", []byte(`{"group":"TESTGROUP"}`), g.Officers[0], groupdoc.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := groupdoc.SignSupervision(c.payload, c.by.Key, c.by.Chain); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func FuzzReadSupervision(f *testing.F) {
	good := payloadOf(f, newGroup(f).Supervision)
	f.Add(good)
	f.Add([]byte(`{"group":"TESTGROUP","n":2,"k":2,"opening":[],"tracing":[],"supervisors":[]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		s, err := groupdoc.ReadSupervision(payload)
		if err != nil {
			return
		}
		again, err := s.Marshal()
		if err != nil {
			t.Fatalf("accepted, but it does not marshal: %v", err)
		}
		if s2, err := groupdoc.ReadSupervision(again); err != nil || s2.Group != s.Group || s2.Key.K != s.Key.K {
			t.Fatalf("accepted, but it does not read back: %v", err)
		}
	})
}

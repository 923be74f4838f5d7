package groupdoc_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/trust"
)

func newPlatform() *groupdoc.Platform {
	return &groupdoc.Platform{
		Key: []byte("a policy key's public area"),
		Policies: []groupdoc.PlatformPolicy{
			{Name: "Debian 12", PCRs: []int{0, 7, 23}, Digest: [32]byte{1}, Signature: make([]byte, 64)},
			{Name: "Debian 13", PCRs: []int{7}, Digest: [32]byte{2}, Signature: make([]byte, 64)},
		},
	}
}

func TestAPlatformRuleIsReadBack(t *testing.T) {
	g := newGroup(t)
	g.Contents.Platform, g.Contents.SoftwareTPMs = newPlatform(), true
	doc := g.Document(t)
	if d := cmp.Diff(newPlatform(), doc.Platform); d != "" || !doc.SoftwareTPMs {
		t.Fatal(d)
	}
	g.Contents.Platform.Policies = nil
	if doc = g.Document(t); doc.Platform == nil || len(doc.Platform.Policies) != 0 {
		t.Fatalf("a rule that no state fulfils yet: %+v", doc.Platform)
	}
}

func TestPlatformRulesThatAreRefused(t *testing.T) {
	g := newGroup(t)
	g.Contents.Platform = newPlatform()
	payload, err := g.Contents.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	policy := func(m members) map[string]any {
		return m.class()["platform"].(map[string]any)["policies"].([]any)[0].(map[string]any)
	}
	cases := []struct {
		name   string
		change func(members)
	}{
		{"no key", func(m members) { m.class()["platform"].(map[string]any)["key"] = "" }},
		{"a key too large", func(m members) {
			m.class()["platform"].(map[string]any)["key"] = b64(make([]byte, groupdoc.MaxTemplate+1))
		}},
		{"no name", func(m members) { policy(m)["name"] = "" }},
		{"a name too long", func(m members) { policy(m)["name"] = strings.Repeat("x", 65) }},
		{"a name with an escape", func(m members) { policy(m)["name"] = "a\x1b[2J" }},
		{"a name twice", func(m members) { policy(m)["name"] = "Debian 13" }},
		{"no PCR", func(m members) { policy(m)["pcrs"] = []int{} }},
		{"a PCR that no TPM has", func(m members) { policy(m)["pcrs"] = []int{24} }},
		{"a PCR below zero", func(m members) { policy(m)["pcrs"] = []int{-1, 7} }},
		{"a PCR twice", func(m members) { policy(m)["pcrs"] = []int{7, 7} }},
		{"PCRs out of order", func(m members) { policy(m)["pcrs"] = []int{7, 0} }},
		{"a short digest", func(m members) { policy(m)["digest"] = b64(make([]byte, 31)) }},
		{"a short signature", func(m members) { policy(m)["signature"] = b64(make([]byte, 63)) }},
		{"something that is not known", func(m members) { policy(m)["locality"] = 3 }},
		{"too many policies", func(m members) {
			p := m.class()["platform"].(map[string]any)
			for range groupdoc.MaxPolicies {
				p["policies"] = append(p["policies"].([]any), policy(m))
			}
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := open(t, payload)
			c.change(m)
			if _, err := groupdoc.Parse(g.Root, signAs(t, trust.TypGroup, m.bytes(t), g.Manager), now); !errors.Is(err, groupdoc.ErrMalformed) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

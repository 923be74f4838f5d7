package groupdoc_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/trust"
)

var (
	now      = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	template = []byte("a TPMT_PUBLIC, which this package does not read")
)

func newGroup(t testing.TB) *groupdoctest.Group {
	t.Helper()
	return groupdoctest.New(t, now, template, [32]byte{1, 2, 3})
}

// members is a payload taken apart so that a test can change one member.
type members map[string]any

func open(t testing.TB, payload []byte) members {
	t.Helper()
	var m members
	if err := json.Unmarshal(payload, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m members) bytes(t testing.TB) []byte {
	t.Helper()
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// class returns the first class of a group document, to be changed in place.
func (m members) class() map[string]any {
	return m["classes"].([]any)[0].(map[string]any)
}

// signAs signs any payload, as a party with a certificate can.
func signAs(t testing.TB, typ string, payload []byte, p groupdoctest.Party) []byte {
	t.Helper()
	jws, err := trust.Sign(typ, payload, p.Key, p.Chain)
	if err != nil {
		t.Fatal(err)
	}
	return jws
}

// allSign lets all officers sign any payload.
func allSign(t testing.TB, g *groupdoctest.Group, payload []byte) [][]byte {
	t.Helper()
	var out [][]byte
	for _, o := range g.Officers {
		out = append(out, signAs(t, trust.TypSupervision, payload, o))
	}
	return out
}

func payloadOf(t testing.TB, s *groupdoc.Supervision) []byte {
	t.Helper()
	payload, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

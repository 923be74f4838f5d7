package order_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/order"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/trust"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// court is a root, a group manager under it, and two officers of whom both
// must approve.
type court struct {
	root     *trust.Root
	rootKey  *ecdsa.PrivateKey
	key      *ecdsa.PrivateKey
	chain    []*x509.Certificate
	officers map[string]ssh.Signer
	roster   string
}

func newCourt(t testing.TB) *court {
	t.Helper()
	c := &court{officers: make(map[string]ssh.Signer), roster: "threshold: 2\nofficers:\n"}
	c.rootKey = must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	cert := must(x509.ParseCertificate(must(trust.CreateRoot(c.rootKey, now.AddDate(-1, 0, 0), now.AddDate(1, 0, 0)))(t)))(t)
	c.root = must(trust.NewRoot(cert))(t)
	c.key, c.chain = c.manager(t, "TESTGROUP")
	for _, name := range []string{"ADAMS", "BAKER"} {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c.officers[name] = must(ssh.NewSignerFromKey(key))(t)
		c.roster += fmt.Sprintf("  - name: %s\n    key: %s", name, ssh.MarshalAuthorizedKey(c.officers[name].PublicKey()))
	}
	return c
}

func (c *court) manager(t testing.TB, group string) (*ecdsa.PrivateKey, []*x509.Certificate) {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	der := must(trust.Issue(c.root.Certificate(), c.rootKey, trust.Name{Role: trust.RoleGroup, ID: group}, key.Public(), now.AddDate(-1, 0, 0), now.AddDate(1, 0, 0), false))(t)
	return key, []*x509.Certificate{must(x509.ParseCertificate(der))(t)}
}

const planText = `ceremony: revoke
officers: officers.yaml
member:
  group: TESTGROUP
  member: AAECAwQFBgcICQoLDA0ODw
  case: 2026-0173
  reason: an order of the court
  until: 2026-09-01T00:00:00Z
`

// order is one that is in order, after edit changed its plan's text.
func (c *court) order(t testing.TB, edit func(string) string, names ...string) *order.Order {
	t.Helper()
	w := &order.Order{
		Terms: order.Terms{
			Group: "TESTGROUP", Member: "AAECAwQFBgcICQoLDA0ODw", Case: "2026-0173", Reason: "an order of the court",
			Until: time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC),
		},
		IssuedAt: now, Plan: []byte(edit(planText)), Rosters: [][]byte{[]byte(c.roster)},
		Inputs: []transcript.Input{{Field: "officers", Path: "officers.yaml", SHA256: sha256.Sum256([]byte(c.roster))}},
	}
	digest := transcript.PlanDigest(w.Plan, w.Inputs)
	for _, name := range names {
		w.Approvals = append(w.Approvals, must(approval.Sign(approval.Message("revoke", digest, name, now), c.officers[name]))(t))
	}
	return w
}

func same(s string) string { return s }

func (c *court) sign(t testing.TB, payload []byte) []byte {
	t.Helper()
	return must(trust.Sign(trust.TypOrder, payload, c.key, c.chain))(t)
}

func TestAnOrderComesBack(t *testing.T) {
	c := newCourt(t)
	w := c.order(t, same, "ADAMS", "BAKER")
	got := must(order.Parse(c.root, c.sign(t, must(w.Marshal())(t)), now))(t)
	if got.Terms != w.Terms || !got.IssuedAt.Equal(now) || string(got.Plan) != planText {
		t.Errorf("%+v", got)
	}
	if who := must(got.Approved())(t); len(who) != 2 || who[1].Officer != "BAKER" {
		t.Errorf("approved by %+v", who)
	}
	for _, at := range []time.Time{now.Add(-time.Second), w.Until} {
		if _, err := order.Parse(c.root, c.sign(t, must(w.Marshal())(t)), at); !errors.Is(err, order.ErrExpired) {
			t.Errorf("at %s: %v", at, err)
		}
	}
}

func TestOrdersThatAreNotWritten(t *testing.T) {
	c := newCourt(t)
	replace := func(old, new string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, new, 1) }
	}
	good := func() *order.Order { return c.order(t, same, "ADAMS", "BAKER") }
	with := func(change func(w *order.Order)) *order.Order {
		w := good()
		change(w)
		return w
	}
	for _, tt := range []struct {
		name string
		w    *order.Order
		want error
	}{
		{"as it is", good(), nil},
		{"below the quorum", c.order(t, same, "ADAMS"), approval.ErrQuorum},
		{"with the approvals of another plan", with(func(w *order.Order) { w.Plan = append(w.Plan, '#') }), approval.ErrDigest},
		{"a plan about another member", c.order(t, replace("AAEC", "BBEC"), "ADAMS", "BAKER"), order.ErrOrder},
		{"a plan about another group", c.order(t, replace("TESTGROUP", "SOMEGROUP"), "ADAMS", "BAKER"), order.ErrOrder},
		{"a plan about another case", c.order(t, replace("0173", "0174"), "ADAMS", "BAKER"), order.ErrOrder},
		{"a plan with another reason", c.order(t, replace("an order", "no order"), "ADAMS", "BAKER"), order.ErrOrder},
		{"a plan with another end", c.order(t, replace("2026-09", "2026-10"), "ADAMS", "BAKER"), order.ErrOrder},
		{"a plan of another ceremony", c.order(t, replace("ceremony: revoke", "ceremony: root"), "ADAMS", "BAKER"), order.ErrOrder},
		{"a plan that is none", c.order(t, func(string) string { return "[" }, "ADAMS", "BAKER"), order.ErrOrder},
		{"another roster than the plan's", with(func(w *order.Order) { w.Rosters[0] = append(w.Rosters[0], '\n') }), order.ErrOrder},
		{"no roster", with(func(w *order.Order) { w.Rosters = nil }), order.ErrOrder},
		{"three rosters", with(func(w *order.Order) { w.Rosters = append(w.Rosters, w.Rosters[0], w.Rosters[0]) }), order.ErrOrder},
		{"no inputs", with(func(w *order.Order) { w.Inputs = nil }), order.ErrOrder},
		{"a group that is none", with(func(w *order.Order) { w.Group = "x" }), order.ErrOrder},
		{"a member that is none", with(func(w *order.Order) { w.Member = "x" }), order.ErrOrder},
		{"no case", with(func(w *order.Order) { w.Case = "" }), order.ErrOrder},
		{"a case of 65 characters", with(func(w *order.Order) { w.Case = strings.Repeat("ä", 65) }), order.ErrOrder},
		{"a reason with a line break", with(func(w *order.Order) { w.Reason = "a\nb" }), order.ErrOrder},
		{"an end with a fraction", with(func(w *order.Order) { w.Until = w.Until.Add(1) }), order.ErrOrder},
		{"no end", with(func(w *order.Order) { w.Until = time.Time{} }), order.ErrOrder},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := tt.w.Marshal(); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestDocumentsThatAreRefused(t *testing.T) {
	c := newCourt(t)
	payload := must(c.order(t, same, "ADAMS", "BAKER").Marshal())(t)
	edit := func(old, new string) []byte {
		if !strings.Contains(string(payload), old) {
			t.Fatalf("no %q in the payload", old)
		}
		return c.sign(t, []byte(strings.Replace(string(payload), old, new, 1)))
	}
	other := &court{}
	other.key, other.chain = c.manager(t, "SOMEGROUP")
	foreign := newCourt(t)
	for _, tt := range []struct {
		name string
		jws  []byte
		want error
	}{
		{"another version", edit(`"v":1`, `"v":2`), order.ErrOrder},
		{"an unknown member", edit(`"v":1`, `"v":1,"x":1`), order.ErrOrder},
		{"another digest", edit(`"digest":"`, `"digest":"00`), order.ErrOrder},
		{"a changed digest", edit(transcript.PlanDigest([]byte(planText), c.order(t, same).Inputs).String(), strings.Repeat("ab", 32)), order.ErrOrder},
		{"another end", edit(`"until":"2026-09`, `"until":"2027-09`), order.ErrOrder},
		{"an end in another form", edit(`"until":"2026-09-01T00:00:00Z"`, `"until":"2026-09-01"`), order.ErrOrder},
		{"no approvals", c.sign(t, without(t, payload, "approvals")), approval.ErrQuorum},
		{"another type of document", must(trust.Sign(trust.TypGroup, payload, c.key, c.chain))(t), trust.ErrType},
		{"signed by another group's manager", other.sign(t, payload), order.ErrOrder},
		{"under another root", foreign.sign(t, payload), trust.ErrChain},
		{"nothing", nil, trust.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := order.Parse(c.root, tt.jws, now); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func without(t testing.TB, payload []byte, member string) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(payload, &m); err != nil {
		t.Fatal(err)
	}
	m[member] = []string{}
	return must(json.Marshal(m))(t)
}

func FuzzRead(f *testing.F) {
	c := newCourt(f)
	f.Add(must(c.order(f, same, "ADAMS", "BAKER").Marshal())(f))
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		w, err := order.Read(payload)
		if err != nil {
			return
		}
		again, err := w.Marshal()
		if err != nil {
			t.Fatalf("read, and not written: %v", err)
		}
		if back, err := order.Read(again); err != nil || back.Terms != w.Terms {
			t.Errorf("written and read again: %+v, %v", back, err)
		}
	})
}

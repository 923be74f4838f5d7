package groupdoc_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/opening/openingtest"
	"github.com/speciecash/specie/trust"
)

func TestDocumentIsReadBack(t *testing.T) {
	g := newGroup(t)
	g.Contents.Leaked = [][]byte{bytes.Repeat([]byte{9}, 32)}
	doc := g.Document(t)
	if doc.ID != groupdoctest.Name || doc.Current != g.Contents.Current || doc.Next != g.Contents.Next {
		t.Fatalf("got %+v", doc.Contents)
	}
	if !bytes.Equal(doc.Template, template) || !slices.Equal(doc.EKKinds, []string{"rsa2048"}) || doc.EKRoots != g.Contents.EKRoots || !doc.IssuedAt.Equal(now) || len(doc.Leaked) != 1 {
		t.Fatalf("got %+v", doc.Contents)
	}
	want := &group.Parameters{Name: groupdoctest.Name, W: g.Issuer.Public(), O: g.Supervision.Key.O(), O2: g.Supervision.Key.O2()}
	if doc.GroupID() != want.ID() {
		t.Fatal("the parameters are another group's")
	}
	pk, err := doc.FormRecipient()
	if err != nil || !bytes.Equal(pk.Bytes(), g.FormKey.PublicKey().Bytes()) {
		t.Fatalf("form key: %v", err)
	}
}

func TestParseRefusesWhatTheManagerSigned(t *testing.T) {
	g := newGroup(t)
	payload, err := g.Contents.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	other := newGroup(t)
	elsewhere := *g.Supervision
	elsewhere.Group = "OTHERGROUP"
	texts := func(jws [][]byte) (out []any) {
		for _, s := range jws {
			out = append(out, string(s))
		}
		return out
	}
	otherW := other.Issuer.Public().Bytes()
	cases := []struct {
		name   string
		change func(members)
		want   error
	}{
		{"another group's id", func(m members) { m["id"] = "OTHERGROUP" }, groupdoc.ErrGroup},
		{"no id", func(m members) { m["id"] = "" }, groupdoc.ErrMalformed},
		{"the supervisors of another group", func(m members) { m["supervision"] = texts(g.SignSupervision(t, &elsewhere)) }, groupdoc.ErrGroup},
		{"an opening key that other supervisors signed", func(m members) { m["supervision"] = texts(other.SupervisionJWS) }, trust.ErrChain},
		{"one supervisor's signature missing", func(m members) { m["supervision"] = m["supervision"].([]any)[1:] }, groupdoc.ErrSupervision},
		{"no supervision", func(m members) { m["supervision"] = []any{} }, groupdoc.ErrSupervision},
		{"the manager's own signature as supervision", func(m members) {
			s := signAs(t, trust.TypSupervision, payloadOf(t, g.Supervision), g.Manager)
			m["supervision"].([]any)[0] = string(s)
		}, trust.ErrRole},
		{"a W without its proof", func(m members) { m.class()["w"] = b64(otherW[:]) }, groupdoc.ErrIssuerKey},
		{"a proof for another W", func(m members) { m.class()["w_proof"] = b64(other.Contents.WProof[:]) }, groupdoc.ErrIssuerKey},
		{"a proof of the wrong size", func(m members) { m.class()["w_proof"] = b64(make([]byte, 63)) }, groupdoc.ErrMalformed},
		{"W is infinity", func(m members) { m.class()["w"] = b64(make([]byte, 65)) }, groupdoc.ErrMalformed},
		{"a template too large", func(m members) { m.class()["template"] = b64(make([]byte, groupdoc.MaxTemplate+1)) }, groupdoc.ErrMalformed},
		{"no template", func(m members) { m.class()["template"] = "" }, groupdoc.ErrMalformed},
		{"a kind of EK that is no name", func(m members) { m.class()["ek_kinds"] = []string{"RSA 2048"} }, groupdoc.ErrMalformed},
		{"a kind of EK twice", func(m members) { m.class()["ek_kinds"] = []string{"p256", "p256"} }, groupdoc.ErrMalformed},
		{"no kind of EK", func(m members) { m.class()["ek_kinds"] = []string{} }, groupdoc.ErrMalformed},
		{"no number", func(m members) { delete(m, "seq") }, groupdoc.ErrMalformed},
		{"a number that not every reader holds", func(m members) { m["seq"] = uint64(1) << 53 }, groupdoc.ErrMalformed},
		{"a register without a size", func(m members) { m["warrants"] = map[string]any{"head": b64(make([]byte, 32))} }, groupdoc.ErrMalformed},
		{"a register with a short head", func(m members) { m["warrants"] = map[string]any{"size": 1, "head": b64(make([]byte, 31))} }, groupdoc.ErrMalformed},
		{"roots by a short digest", func(m members) { m.class()["ek_roots"] = b64(make([]byte, 31)) }, groupdoc.ErrMalformed},
		{"a member of class 1 that is not known", func(m members) { m.class()["rule"] = "any TPM" }, groupdoc.ErrMalformed},
		{"class 1 twice", func(m members) { m["classes"] = append(m["classes"].([]any), m.class()) }, groupdoc.ErrMalformed},
		{"only a class that is not known", func(m members) { m["classes"] = []any{map[string]any{"id": 2}} }, groupdoc.ErrUnsupported},
		{"no class", func(m members) { delete(m, "classes") }, groupdoc.ErrUnsupported},
		{"too many classes", func(m members) {
			for i := range groupdoc.MaxClasses {
				m["classes"] = append(m["classes"].([]any), map[string]any{"id": i + 2})
			}
		}, groupdoc.ErrMalformed},
		{"a critical member", func(m members) { m["crit"] = []string{"quorum"} }, groupdoc.ErrUnsupported},
		{"a form key of the wrong size", func(m members) { m["hpke"] = b64(make([]byte, 33)) }, groupdoc.ErrMalformed},
		{"a leaked key above the order", func(m members) { m["leaked"] = []any{b64(bytes.Repeat([]byte{255}, 32))} }, groupdoc.ErrMalformed},
		{"too many leaked keys", func(m members) {
			l := make([]any, groupdoc.MaxLeaked+1)
			for i := range l {
				l[i] = b64(make([]byte, 32))
			}
			m["leaked"] = l
		}, groupdoc.ErrMalformed},
		{"an epoch that ends before it starts", func(m members) { m["epoch"].(map[string]any)["ends"] = "2026-04-01T00:00:00Z" }, groupdoc.ErrMalformed},
		{"an epoch without a number", func(m members) { m["epoch"].(map[string]any)["number"] = 0 }, groupdoc.ErrMalformed},
		{"a next epoch that leaves a gap", func(m members) { m["next"].(map[string]any)["starts"] = "2026-05-02T12:00:01Z" }, groupdoc.ErrMalformed},
		{"a next epoch with a number left out", func(m members) { m["next"].(map[string]any)["number"] = 9 }, groupdoc.ErrMalformed},
		{"a time that is not UTC", func(m members) { m["issued_at"] = "2026-05-01T14:00:00+02:00" }, groupdoc.ErrMalformed},
		{"issued tomorrow", func(m members) { m["issued_at"] = "2026-05-02T12:00:00Z" }, groupdoc.ErrEpoch},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := open(t, payload)
			c.change(m)
			doc, err := groupdoc.Parse(g.Root, signAs(t, trust.TypGroup, m.bytes(t), g.Manager), now)
			if !errors.Is(err, c.want) || doc != nil {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
	for _, c := range []struct {
		name   string
		change func(members)
	}{
		{"unchanged it passes", func(members) {}},
		{"a later version's member is ignored", func(m members) { m["motto"] = "in specie" }},
		{"a later version's class is left aside", func(m members) {
			m["classes"] = append(m["classes"].([]any), map[string]any{"id": 2, "policy": "later"})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := open(t, payload)
			c.change(m)
			if _, err := groupdoc.Parse(g.Root, signAs(t, trust.TypGroup, m.bytes(t), g.Manager), now); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestParseRefusesTheWrongSigner(t *testing.T) {
	g := newGroup(t)
	payload, err := g.Contents.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	good := g.Sign(t)
	flipped := bytes.Clone(good)
	// Another character of the alphabet: a flipped bit may leave base64url.
	if at := len(flipped) - 10; flipped[at] != 'A' {
		flipped[at] = 'A'
	} else {
		flipped[at] = 'B'
	}
	cases := []struct {
		name string
		jws  []byte
		at   time.Time
		want error
	}{
		{"a supervisor", signAs(t, trust.TypGroup, payload, g.Officers[0]), now, trust.ErrRole},
		{"another group's manager", signAs(t, trust.TypGroup, payload, g.Certify(t, trust.Name{Role: trust.RoleGroup, ID: "OTHERGROUP"}, now)), now, groupdoc.ErrGroup},
		{"a manager under another root", newGroup(t).Sign(t), now, trust.ErrChain},
		{"a document of another type", signAs(t, trust.TypMember, payload, g.Manager), now, trust.ErrType},
		{"an expired certificate", good, now.AddDate(1, 0, 1), trust.ErrExpired},
		{"a flipped bit in the signature", flipped, now, trust.ErrSignature},
		{"no document", []byte("a.b.c"), now, trust.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := groupdoc.Parse(g.Root, c.jws, c.at); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestSignPublishesNothingThatNobodyAccepts(t *testing.T) {
	g := newGroup(t)
	c := *g.Contents
	c.SupervisionJWS = c.SupervisionJWS[:2]
	if _, err := groupdoc.Sign(g.Root, &c, g.Manager.Key, g.Manager.Chain); !errors.Is(err, groupdoc.ErrSupervision) {
		t.Fatalf("got %v", err)
	}
}

func TestEpochs(t *testing.T) {
	g := newGroup(t)
	doc := g.Document(t)
	starts, ends, last := doc.Current.Starts, doc.Current.Ends, doc.Next.Ends
	cases := []struct {
		name   string
		at     time.Time
		number uint64
	}{
		{"before the current epoch", starts.Add(-time.Second), 0},
		{"at its first second", starts, 7},
		{"in its last second", ends.Add(-time.Second), 7},
		{"at the first second of the next", ends, 8},
		{"after the next", last, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e, err := doc.EpochAt(c.at)
			if c.number == 0 && !errors.Is(err, groupdoc.ErrEpoch) || c.number != 0 && (err != nil || e.Number != c.number) {
				t.Fatalf("got %d, %v", e.Number, err)
			}
			if _, verr := doc.Verifier(c.at); (verr == nil) != (err == nil) {
				t.Fatalf("verifier: %v", verr)
			}
		})
	}
}

func TestAProofOfAnEarlierSpendIsReadInItsOwnEpoch(t *testing.T) {
	g := newGroup(t)
	doc := g.Document(t)
	key, err := openingtest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	m, err := openingtest.Admit(t.Context(), doc.Parameters(), g.Issuer, doc.Current.Number, "Eva", key, nil)
	if err != nil {
		t.Fatal(err)
	}
	made, err := m.Present(t.Context(), key, []byte("m"), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := made.Bytes()
	v, err := doc.ProofVerifier(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Verify(p, []byte("m"), nil); err != nil {
		t.Fatal(err)
	}
	// Two epochs later the everyday verifier refuses it, the proof's does not.
	g.Contents.Current.Number += 2
	g.Contents.Next.Number += 2
	later := g.Document(t)
	if v, err = later.ProofVerifier(p); err != nil {
		t.Fatal(err)
	}
	if err := v.Verify(p, []byte("m"), nil); err != nil {
		t.Fatal(err)
	}
	g.Contents.Current.Number, g.Contents.Next.Number = 1, 2
	if _, err := g.Document(t).ProofVerifier(p); !errors.Is(err, groupdoc.ErrEpoch) {
		t.Fatalf("an epoch that was never announced: %v", err)
	}
	if _, err := doc.ProofVerifier(p[1:]); !errors.Is(err, group.ErrMalformed) {
		t.Fatalf("got %v", err)
	}
}

func FuzzReadContents(f *testing.F) {
	payload, err := newGroup(f).Contents.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Add([]byte(strings.Replace(string(payload), `"id":1`, `"id":2`, 1)))
	f.Add([]byte(`{"id":"TESTGROUP","classes":[{"id":1}]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := groupdoc.ReadContents(payload)
		if err != nil {
			return
		}
		again, err := c.Marshal()
		if err != nil {
			t.Fatalf("accepted, but it does not marshal: %v", err)
		}
		if c2, err := groupdoc.ReadContents(again); err != nil || c2.ID != c.ID || c2.Current != c.Current {
			t.Fatalf("accepted, but it does not read back: %v", err)
		}
	})
}

// A document comes from the network whole: none may crash the reader.
func FuzzParse(f *testing.F) {
	g := newGroup(f)
	f.Add(g.Sign(f))
	f.Add([]byte("e30.e30.AA"))
	f.Fuzz(func(t *testing.T, jws []byte) {
		doc, err := groupdoc.Parse(g.Root, jws, now)
		if err == nil && (doc.ID != groupdoctest.Name || !doc.Supervision.Key.O().Equal(g.Supervision.Key.O())) {
			t.Fatalf("accepted %+v", doc)
		}
	})
}

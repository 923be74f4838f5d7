package enrol_test

import (
	"bytes"
	"crypto/hpke"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func newGroup(t testing.TB) *groupdoctest.Group {
	return groupdoctest.New(t, now, []byte("template"), [32]byte{1})
}

var (
	nonce = [32]byte{1, 2, 3}
	ada   = enrol.Form{Name: "Ada Lovelace"}
)

func TestASealedFormOpensForItsManagerAndSession(t *testing.T) {
	g := newGroup(t)
	pk, err := g.Document(t).FormRecipient()
	if err != nil {
		t.Fatal(err)
	}
	sealed, digest, err := enrol.SealForm(pk, g.Contents.ID, nonce, ada)
	if err != nil {
		t.Fatal(err)
	}
	o, err := enrol.OpenForm(g.FormKey, g.Contents.ID, nonce, sealed, digest)
	if err != nil || o.Form != ada || o.Digest() != digest {
		t.Fatalf("got %+v, %v", o, err)
	}
	if bytes.Contains(sealed, []byte("Lovelace")) {
		t.Fatal("the name stands in clear")
	}
	b, err := g.FormKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	again, err := enrol.ParseFormKey(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := enrol.OpenForm(again, g.Contents.ID, nonce, sealed, digest); err != nil {
		t.Fatalf("with the key read back: %v", err)
	}

	flip := func(i int) []byte { b := bytes.Clone(sealed); b[i] ^= 1; return b }
	cases := []struct {
		name   string
		key    hpke.PrivateKey
		group  string
		nonce  [32]byte
		sealed []byte
		digest [32]byte
	}{
		{"another manager's key", newGroup(t).FormKey, g.Contents.ID, nonce, sealed, digest},
		{"another group's id", g.FormKey, "OTHERGROUP", nonce, sealed, digest},
		{"another session's nonce", g.FormKey, g.Contents.ID, [32]byte{9}, sealed, digest},
		{"a flipped bit in the encapsulated key", g.FormKey, g.Contents.ID, nonce, flip(0), digest},
		{"a flipped bit in the ciphertext", g.FormKey, g.Contents.ID, nonce, flip(40), digest},
		{"a flipped bit in the tag", g.FormKey, g.Contents.ID, nonce, flip(len(sealed) - 1), digest},
		{"cut short", g.FormKey, g.Contents.ID, nonce, sealed[:32], digest},
		{"too long", g.FormKey, g.Contents.ID, nonce, make([]byte, enrol.MaxSealedForm+1), digest},
		{"another digest", g.FormKey, g.Contents.ID, nonce, sealed, [32]byte{7}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := enrol.OpenForm(c.key, c.group, c.nonce, c.sealed, c.digest); !errors.Is(err, enrol.ErrForm) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestFormsThatAreRefused(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"no name", `{"name":""}`},
		{"a name too long", `{"name":"` + strings.Repeat("x", enrol.MaxName+1) + `"}`},
		{"a line break in a name", `{"name":"Ada\nLovelace"}`},
		{"a name that is written backwards", "{\"name\":\"Ada\u202e\"}"},
		{"an unknown member", `{"name":"Ada","rank":"countess"}`},
		{"broken UTF-8", "{\"name\":\"\xff\"}"},
		{"no JSON", `Ada`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := enrol.ParseForm([]byte(c.text)); !errors.Is(err, enrol.ErrMalformed) {
				t.Fatalf("got %v", err)
			}
		})
	}
	if _, _, err := enrol.SealForm(newGroup(t).FormKey.PublicKey(), "TESTGROUP", nonce, enrol.Form{}); !errors.Is(err, enrol.ErrMalformed) {
		t.Fatalf("an empty form was sealed: %v", err)
	}
}

func newSecret(t testing.TB) enrol.Secret {
	t.Helper()
	b := make([]byte, enrol.SecretSize)
	_, _ = rand.Read(b)
	s, err := enrol.NewSecret(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheMACIsForOneSecretAndOneRegistration(t *testing.T) {
	s, id := newSecret(t), enrol.ID{1}
	mac, err := s.MAC(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CheckMAC(id, mac); err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(mac)
	flipped[0] ^= 1
	for name, err := range map[string]error{
		"another secret":       newSecret(t).CheckMAC(id, mac),
		"another registration": s.CheckMAC(enrol.ID{2}, mac),
		"a flipped bit":        s.CheckMAC(id, flipped),
		"cut short":            s.CheckMAC(id, mac[:16]),
		"nothing":              s.CheckMAC(id, nil),
	} {
		if !errors.Is(err, enrol.ErrMAC) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestACredentialTravelsForOneMemberAndEpoch(t *testing.T) {
	g := newGroup(t)
	join, _, _ := softJoin(t, g)
	cred, err := g.Issuer.Issue(join.F, join.Uh, 7)
	if err != nil {
		t.Fatal(err)
	}
	s, id := newSecret(t), enrol.ID{1}
	sealed, err := s.SealCredential(id, cred)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.OpenCredential(id, 7, sealed)
	if err != nil || !bytes.Equal(got.Bytes(), cred.Bytes()) {
		t.Fatalf("got %v", err)
	}
	if again, _ := s.SealCredential(id, cred); !bytes.Equal(again, sealed) {
		t.Fatal("a retried answer differs")
	}
	flipped := bytes.Clone(sealed)
	flipped[5] ^= 1
	for name, open := range map[string]func() error{
		"another secret":  func() error { _, err := newSecret(t).OpenCredential(id, 7, sealed); return err },
		"another member":  func() error { _, err := s.OpenCredential(enrol.ID{2}, 7, sealed); return err },
		"another epoch":   func() error { _, err := s.OpenCredential(id, 8, sealed); return err },
		"a flipped bit":   func() error { _, err := s.OpenCredential(id, 7, flipped); return err },
		"nothing at all":  func() error { _, err := s.OpenCredential(id, 7, nil); return err },
		"a byte too many": func() error { _, err := s.OpenCredential(id, 7, append(bytes.Clone(sealed), 0)); return err },
	} {
		if err := open(); !errors.Is(err, enrol.ErrCredential) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestASecretDoesNotPrint(t *testing.T) {
	b := bytes.Repeat([]byte{0x41}, enrol.SecretSize)
	s, err := enrol.NewSecret(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		if out := fmt.Sprintf(f, s); out != "[redacted]" {
			t.Errorf("%s prints %q", f, out)
		}
	}
	if out, err := json.Marshal(struct{ S enrol.Secret }{s}); err == nil {
		t.Errorf("it marshals as %s", out)
	}
	if _, err := enrol.NewSecret(b[1:]); !errors.Is(err, enrol.ErrMalformed) {
		t.Errorf("short: %v", err)
	}
}

func TestIDsReadBack(t *testing.T) {
	id := enrol.ID{1, 2, 255}
	got, err := enrol.ParseID(id.String())
	if err != nil || got != id {
		t.Fatalf("got %v, %v", got, err)
	}
	for _, s := range []string{"", "AAAA", id.String() + "A", id.String() + "=", id.String()[:21] + "\n", id.String()[:21] + "/"} {
		if _, err := enrol.ParseID(s); !errors.Is(err, enrol.ErrMalformed) {
			t.Errorf("%q: got %v", s, err)
		}
	}
}

// seedSecret derives a wallet's scalar from a fixed seed.
func seedSecret(t testing.TB) group.WalletSecret {
	t.Helper()
	w, err := group.DeriveWalletSecret(bytes.Repeat([]byte{7}, 32), group.ID{}, []byte("a key's name"))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

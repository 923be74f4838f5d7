package ceremony_test

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/officer"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/trust"
)

// chain reads a PEM file of certificates.
func (w *town) chain(t *testing.T, name string) []*x509.Certificate {
	t.Helper()
	var out []*x509.Certificate
	for b := w.file(t, name); len(b) > 0; {
		var block *pem.Block
		block, b = pem.Decode(b)
		out = append(out, must(x509.ParseCertificate(block.Bytes))(t))
	}
	return out
}

// TestABankIsFounded runs one ceremony after the other, as an operator would.
func TestABankIsFounded(t *testing.T) {
	w := newTown(t, "root", "offline", "online", "manager")
	r := w.mustRun(t, rootText)
	if len(r.Keys) != 1 || r.Keys[0].Kind != "EC P-384" || r.Tokens[0].Label != "root" || len(r.Outputs) != 1 {
		t.Errorf("root ceremony: %+v", r)
	}
	w.mustRun(t, issuerText)
	w.mustRun(t, signingText)
	w.checkChains(t)
	w.checkKeysets(t)

	w.mustRun(t, groupText)
	name := must(w.root(t).CheckChain(w.chain(t, "group.pem"), now))(t)
	if want := (trust.Name{Role: trust.RoleGroup, ID: "TESTGROUP"}); name != want {
		t.Errorf("group certificate names %s", name)
	}
	if info := must(os.Stat(w.path("group.sealed")))(t); info.Mode().Perm() != 0o600 {
		t.Errorf("sealed secrets have mode %v", info.Mode())
	}
	var s *ceremony.GroupSecrets
	w.withToken(t, "manager", func(token *hsm.Token) {
		key := must(token.FindAES(t.Context(), "seal"))(t)
		s = must(ceremony.UnsealGroup(t.Context(), w.file(t, "group.sealed"), key, "TESTGROUP"))(t)
	})
	if s.Issuer.Public().IsInfinity() || s.Form == nil {
		t.Error("no secrets in the sealed file")
	}
	if text := fmt.Sprintf("%v %+v %#v %x", s, s, s, s); strings.Contains(text, hex.EncodeToString(s.Issuer.Bytes())) || !strings.Contains(text, "redacted") {
		t.Errorf("the secrets print: %s", text)
	}
}

func (w *town) checkChains(t *testing.T) {
	t.Helper()
	for _, tt := range []struct {
		file string
		want trust.Name
		len  int
	}{
		{"issuer.pem", trust.Name{Role: trust.RoleBank, ID: "TESTBANK"}, 1},
		{"signing.pem", trust.Name{Role: trust.RoleSigning, ID: "TESTBANK"}, 2},
	} {
		chain := w.chain(t, tt.file)
		name := must(w.root(t).CheckChain(chain, now))(t)
		if name != tt.want || len(chain) != tt.len {
			t.Errorf("%s: %s in a chain of %d", tt.file, name, len(chain))
		}
	}
}

// checkKeysets makes the first keyset and a second that follows it.
func (w *town) checkKeysets(t *testing.T) {
	t.Helper()
	r := w.mustRun(t, denominationsText)
	first := must(coin.ParseKeyset(w.root(t), w.file(t, "keyset-1.jws"), now))(t)
	if len(first.Denominations) != 3 || first.Seq != 1 || !first.IssuedAt.Equal(now) {
		t.Fatalf("keyset %d with %d keys, issued %s", first.Seq, len(first.Denominations), first.IssuedAt)
	}
	for i, d := range first.Denominations {
		if r.Keys[i].ID != d.KeyID.String() {
			t.Errorf("key %d is reported as %s", i, r.Keys[i].ID)
		}
	}
	revoked := first.Denominations[0].KeyID
	next := fmt.Sprintf(`
sequence: 2
previous: keyset-1.jws
revoke: [%q]
series:
  - key: bearer-b
    kind: bearer
    bits: 2048
    values: [1]
    issue_from: 2026-05-01T00:00:00Z
    issue_until: 2026-07-01T00:00:00Z
    spend_until: 2027-07-01T00:00:00Z
    legal_until: 2032-01-01T00:00:00Z
output: {keyset: keyset-2.jws}
`, revoked)
	w.mustRun(t, denominationsHead+next)
	second := must(coin.ParseKeyset(w.root(t), w.file(t, "keyset-2.jws"), now))(t)
	if err := second.CheckSuccessor(first); err != nil {
		t.Error(err)
	}
	if d := must(second.Find(revoked))(t); !d.Revoked || len(second.Denominations) != 4 {
		t.Errorf("keyset 2 has %d keys, revoked %v", len(second.Denominations), d.Revoked)
	}

	// The keys that sign are the ones in the keyset.
	there := map[string]bool{}
	w.withToken(t, "online", func(token *hsm.Token) {
		for _, key := range must(token.RSAKeys(t.Context()))(t) {
			there[must(coin.NewKeyID(key.Public()))(t).String()] = true
		}
	})
	for _, d := range second.Denominations {
		if !there[d.KeyID.String()] {
			t.Errorf("key %s is not in the token", d.KeyID)
		}
	}
}

func TestASupervisorIsCertified(t *testing.T) {
	w := newTown(t, "root")
	w.mustRun(t, rootText)
	alice := must(officer.Create(w.path("alice"), "ALICE", nil))(t)
	r := w.mustRun(t, certifyText)
	if len(r.Keys) != 0 {
		t.Errorf("keys were made: %v", r.Keys)
	}
	card := must(alice.Accept(w.root(t), w.file(t, "alice.pem"), now))(t)
	if c := must(officer.ParseCard(w.root(t), card, now))(t); c.ID != "ALICE" {
		t.Errorf("card of %s", c.ID)
	}
}

func TestAModuleThatIsOpenAlreadyIsUsed(t *testing.T) {
	w := newTown(t, "root")
	m := must(w.p.Open())(t)
	defer m.Close()
	p := must(ceremony.Parse([]byte(w.plan(rootText)), w.dir))(t)
	runner := &ceremony.Runner{}
	runner.Modules = append(runner.Modules, m)
	must(runner.Run(t.Context(), p))(t)
	w.root(t)
}

package ceremony_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/softhsm"
	"github.com/speciecash/specie/trust"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// must ends the test on an error and passes the value on.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// town is a directory with SoftHSM tokens of its own; plans are run in it.
type town struct {
	dir string
	p   *softhsm.Provisioned
}

func newTown(t *testing.T, tokens ...string) *town {
	t.Helper()
	w := &town{dir: t.TempDir()}
	w.p = must(softhsm.Provision(filepath.Join(w.dir, "hsm")))(t)
	t.Setenv("SOFTHSM2_CONF", w.p.Config)
	m := must(w.p.Open())(t)
	defer m.Close()
	for _, label := range tokens {
		pin := hsm.RandomPIN()
		if err := pin.Save(w.path(label + ".pin")); err != nil {
			t.Fatal(err)
		}
		must(w.p.InitToken(t.Context(), m, label, hsm.RandomPIN(), pin))(t)
	}
	return w
}

func (w *town) path(name string) string { return filepath.Join(w.dir, name) }

func (w *town) file(t *testing.T, name string) []byte {
	t.Helper()
	return must(os.ReadFile(w.path(name)))(t)
}

func (w *town) root(t *testing.T) *trust.Root {
	t.Helper()
	return must(trust.ParseRoot(w.file(t, "root.pem")))(t)
}

// plan fills TOKEN(label) in.
func (w *town) plan(text string) string {
	for {
		before, rest, found := strings.Cut(text, "TOKEN(")
		if !found {
			return text
		}
		label, after, _ := strings.Cut(rest, ")")
		text = before + "{module: " + w.p.Module + ", label: " + label + ", pin_file: " + label + ".pin}" + after
	}
}

// run runs a plan as of now.
func (w *town) run(ctx context.Context, text string) (*ceremony.Result, error) {
	p, err := ceremony.Parse([]byte(w.plan(text)), w.dir)
	if err != nil {
		return nil, err
	}
	return (&ceremony.Runner{Now: func() time.Time { return now }}).Run(ctx, p)
}

func (w *town) mustRun(t *testing.T, text string) *ceremony.Result {
	t.Helper()
	return must(w.run(t.Context(), text))(t)
}

// withToken lets the test look into a token. The module is closed again: a
// process opens it once at a time.
func (w *town) withToken(t *testing.T, label string, look func(*hsm.Token)) {
	t.Helper()
	m := must(w.p.Open())(t)
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	pin := must(hsm.ReadPIN(w.path(label + ".pin")))(t)
	look(must(m.Token(t.Context(), hsm.Config{TokenLabel: label, PIN: pin, Sessions: 1}))(t))
}

// importKey puts a key that was made outside into a token.
func (w *town) importKey(t *testing.T, token, label, pkcs8 string) {
	t.Helper()
	pin := string(bytes.TrimSpace(w.file(t, token+".pin")))
	cmd := exec.Command("softhsm2-util", "--import", pkcs8, "--token", token, "--label", label, "--id", "a1b2", "--pin", pin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// The plans of one small bank.
const (
	rootText = `
ceremony: root
token: TOKEN(root)
key: root
valid: {from: 2026-01-01T00:00:00Z, until: 2046-01-01T00:00:00Z}
output: {certificate: root.pem}
`
	issuerText = `
ceremony: issuer
bank: TESTBANK
token: TOKEN(offline)
key: master
valid: {from: 2026-01-01T00:00:00Z, until: 2036-01-01T00:00:00Z}
root: {token: TOKEN(root), key: root, certificate: root.pem}
output: {certificate: issuer.pem}
`
	signingText = `
ceremony: signing
bank: TESTBANK
token: TOKEN(online)
key: receipts
valid: {from: 2026-01-01T00:00:00Z, until: 2027-01-01T00:00:00Z}
root: root.pem
master: {token: TOKEN(offline), key: master, certificate: issuer.pem}
output: {chain: signing.pem}
`
	denominationsHead = `
ceremony: denominations
bank: TESTBANK
currency: EUR
exponent: 2
token: TOKEN(online)
root: root.pem
master: {token: TOKEN(offline), key: master, certificate: issuer.pem}
`
	denominationsText = denominationsHead + `
sequence: 1
series:
  - key: bearer
    kind: bearer
    bits: 2048
    values: [1, 2]
    issue_from: 2026-02-01T00:00:00Z
    issue_until: 2026-05-01T00:00:00Z
    spend_until: 2027-05-01T00:00:00Z
    legal_until: 2032-01-01T00:00:00Z
  - key: bound
    kind: bound
    bits: 3072
    values: [64]
    issue_from: 2026-02-01T00:00:00Z
    issue_until: 2028-02-01T00:00:00Z
    spend_until: 2035-02-01T00:00:00Z
    legal_until: 2040-01-01T00:00:00Z
output: {keyset: keyset-1.jws}
`
	groupText = `
ceremony: group
group: TESTGROUP
token: TOKEN(manager)
key: documents
seal: seal
valid: {from: 2026-01-01T00:00:00Z, until: 2036-01-01T00:00:00Z}
root: {token: TOKEN(root), key: root, certificate: root.pem}
output: {certificate: group.pem, sealed: group.sealed}
`
	certifyText = `
ceremony: certify
supervisor: ALICE
request: alice/request.csr
valid: {from: 2026-01-01T00:00:00Z, until: 2031-01-01T00:00:00Z}
root: {token: TOKEN(root), key: root, certificate: root.pem}
output: {certificate: alice.pem}
`
)

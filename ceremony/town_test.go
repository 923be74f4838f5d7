package ceremony_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/transcript"
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

// town is a directory with SoftHSM tokens of its own and three officers, of
// whom two approve; plans are run in it.
type town struct {
	dir      string
	p        *softhsm.Provisioned
	officers map[string]ssh.Signer
	at       time.Time
	runner   ceremony.Runner
	tick     time.Duration // by which the clock goes on each time it is looked at
}

func newTown(t *testing.T, tokens ...string) *town {
	t.Helper()
	w := &town{dir: t.TempDir(), officers: make(map[string]ssh.Signer), at: now}
	w.p = must(softhsm.Provision(filepath.Join(w.dir, "hsm")))(t)
	t.Setenv("SOFTHSM2_CONF", w.p.Config)
	m := must(w.p.Open())(t)
	defer m.Close()
	for _, label := range tokens {
		pin, soPIN := hsm.RandomPIN(), hsm.RandomPIN()
		for path, p := range map[string]hsm.PIN{".pin": pin, ".so-pin": soPIN} {
			if err := p.Save(w.path(label + path)); err != nil {
				t.Fatal(err)
			}
		}
		must(w.p.InitToken(t.Context(), m, label, soPIN, pin))(t)
	}
	w.write(t, "officers.yaml", w.roster(t, 2, "ADAMS", "BAKER", "CLARK"))
	return w
}

// roster makes officers who are not there yet.
func (w *town) roster(t testing.TB, threshold int, names ...string) string {
	t.Helper()
	text := fmt.Sprintf("threshold: %d\nofficers:\n", threshold)
	for _, name := range names {
		if w.officers[name] == nil {
			_, key, err := ed25519.GenerateKey(nil)
			if err != nil {
				t.Fatal(err)
			}
			w.officers[name] = must(ssh.NewSignerFromKey(key))(t)
		}
		text += fmt.Sprintf("  - name: %s\n    key: %s", name, ssh.MarshalAuthorizedKey(w.officers[name].PublicKey()))
	}
	return text
}

func (w *town) path(name string) string { return filepath.Join(w.dir, name) }

func (w *town) file(t testing.TB, name string) []byte {
	t.Helper()
	return must(os.ReadFile(w.path(name)))(t)
}

func (w *town) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (w *town) exists(name string) bool {
	_, err := os.Lstat(w.path(name))
	return err == nil
}

func (w *town) root(t testing.TB) *trust.Root {
	t.Helper()
	return must(trust.ParseRoot(w.file(t, "root.pem")))(t)
}

// chain reads a PEM file of certificates.
func (w *town) chain(t testing.TB, name string) []*x509.Certificate {
	t.Helper()
	var out []*x509.Certificate
	for b := w.file(t, name); len(b) > 0; {
		var block *pem.Block
		block, b = pem.Decode(b)
		out = append(out, must(x509.ParseCertificate(block.Bytes))(t))
	}
	return out
}

var (
	keyForm   = regexp.MustCompile(`KEY\(([a-z0-9-]+)/([^)]*)\)`)
	tokenForm = regexp.MustCompile(`TOKEN\(([a-z0-9-]+)\)`)
)

// plan fills in KEY(token/label) and TOKEN(token), and the officers.
func (w *town) plan(text string) string { return plan(text, w.p.Module) }

func plan(text, module string) string {
	query := "?module-path=" + module + "&pin-source=file:$1.pin"
	text = keyForm.ReplaceAllString(text, "pkcs11:token=$1;object=$2"+query)
	text = tokenForm.ReplaceAllString(text, "pkcs11:token=$1"+query)
	if !strings.Contains("\n"+text, "\nofficers:") {
		text = strings.Replace(text, "\nceremony:", "\nofficers: officers.yaml\nceremony:", 1)
	}
	return text
}

func (w *town) parse(text string) (*ceremony.Plan, error) {
	return ceremony.Parse([]byte(w.plan(text)), w.dir)
}

// approve is what the named officers sign.
func (w *town) approve(p *ceremony.Plan, names ...string) ([][]byte, error) {
	digest, err := p.Digest()
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, name := range names {
		a, err := approval.Sign(approval.Message(string(p.Kind), digest, name, w.at), w.officers[name])
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// run lets two officers approve a plan and runs it.
func (w *town) run(ctx context.Context, text string) (*ceremony.Result, error) {
	p, err := w.parse(text)
	if err != nil {
		return nil, err
	}
	approvals, err := w.approve(p, "ADAMS", "CLARK")
	if err != nil {
		return nil, err
	}
	return w.runWith(ctx, p, approvals)
}

func (w *town) runWith(ctx context.Context, p *ceremony.Plan, approvals [][]byte) (*ceremony.Result, error) {
	r := w.runner
	r.Now, r.Approvals = func() time.Time { w.at = w.at.Add(w.tick); return w.at }, approvals
	return r.Run(ctx, p)
}

func (w *town) mustRun(t *testing.T, text string) *ceremony.Result {
	t.Helper()
	return must(w.run(t.Context(), text))(t)
}

// log reads a transcript that was closed.
func (w *town) log(t testing.TB, name string) *transcript.Transcript {
	t.Helper()
	log := must(transcript.ReadFile(w.path(name)))(t)
	must(log.VerifyClose(w.root(t)))(t)
	return log
}

// withToken lets the test look into a token. The module is closed again: a
// process opens it once at a time.
func (w *town) withToken(t testing.TB, label string, look func(*hsm.Token)) {
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

// labels are those of everything on a token.
func (w *town) labels(t testing.TB, token string) map[string]bool {
	t.Helper()
	out := make(map[string]bool)
	w.withToken(t, token, func(tok *hsm.Token) {
		for _, item := range must(tok.Items(t.Context()))(t) {
			out[item.Label] = true
		}
	})
	return out
}

// eraseToken destroys what is on a token and gives it its PIN again.
func (w *town) eraseToken(t testing.TB, token string) {
	t.Helper()
	args := []string{"--init-token", "--token", token, "--label", token,
		"--so-pin", string(bytes.TrimSpace(w.file(t, token+".so-pin"))), "--pin", string(bytes.TrimSpace(w.file(t, token+".pin")))}
	if out, err := exec.Command("softhsm2-util", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// importKey puts a key that was made outside into a token.
func (w *town) importKey(t testing.TB, token, label, pkcs8 string) {
	t.Helper()
	pin := string(bytes.TrimSpace(w.file(t, token+".pin")))
	cmd := exec.Command("softhsm2-util", "--import", pkcs8, "--token", token, "--label", label, "--id", "a1b2", "--pin", pin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// change replaces a piece of a plan that must be there.
func change(t testing.TB, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the plan has no %q", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

// The plans of one small bank.
const (
	rootText = `
ceremony: root
key: KEY(root/root)
valid: {from: 2026-01-01T00:00:00Z, until: 2046-01-01T00:00:00Z}
output: {certificate: root.pem, transcript: root.log}
`
	issuerText = `
ceremony: issuer
bank: TESTBANK
key: KEY(offline/master)
valid: {from: 2026-01-01T00:00:00Z, until: 2036-01-01T00:00:00Z}
root: {key: KEY(root/root), certificate: root.pem}
output: {certificate: issuer.pem, transcript: issuer.log}
`
	signingText = `
ceremony: signing
bank: TESTBANK
key: KEY(online/receipts)
valid: {from: 2026-01-01T00:00:00Z, until: 2027-01-01T00:00:00Z}
root: root.pem
master: {key: KEY(offline/master), certificate: issuer.pem}
output: {chain: signing.pem, transcript: signing.log}
`
	denominationsText = `
ceremony: denominations
bank: TESTBANK
currency: EUR
exponent: 2
sequence: 1
token: TOKEN(online)
root: root.pem
master: {key: KEY(offline/master), certificate: issuer.pem}
output: {keyset: keyset-1.jws, transcript: keyset-1.log}
series:
  - key: bearer
    kind: bearer
    bits: 2048
    values: [1, 2]
    issue_from: 2026-02-01T00:00:00Z
    issue_until: 2026-05-01T00:00:00Z
    spend_until: 2027-05-01T00:00:00Z
    legal_until: 2032-01-01T00:00:00Z
`
	// fullText has a key of the other kind and size too; most tests do without.
	fullText = denominationsText + `  - key: bound
    kind: bound
    bits: 3072
    values: [64]
    issue_from: 2026-02-01T00:00:00Z
    issue_until: 2028-02-01T00:00:00Z
    spend_until: 2035-02-01T00:00:00Z
    legal_until: 2040-01-01T00:00:00Z
`
	groupText = `
ceremony: group
group: TESTGROUP
key: KEY(manager/documents)
seal: KEY(manager/seal)
valid: {from: 2026-01-01T00:00:00Z, until: 2036-01-01T00:00:00Z}
root: {key: KEY(root/root), certificate: root.pem}
output: {certificate: group.pem, sealed: group.sealed, transcript: group.log}
`
	certifyText = `
ceremony: certify
supervisor: ALICE
request: alice/request.csr
valid: {from: 2026-01-01T00:00:00Z, until: 2031-01-01T00:00:00Z}
root: {key: KEY(root/root), certificate: root.pem}
output: {certificate: alice.pem, transcript: alice.log}
`
	rotateText = `
ceremony: rotate
bank: TESTBANK
currency: EUR
exponent: 2
sequence: 2
previous: keyset-1.jws
token: TOKEN(online)
root: root.pem
master: {key: KEY(offline/master), certificate: issuer.pem}
series:
  - key: bearer-b
    kind: bearer
    bits: 2048
    values: [1]
    issue_from: 2026-05-01T00:00:00Z
    issue_until: 2026-07-01T00:00:00Z
    spend_until: 2027-07-01T00:00:00Z
    legal_until: 2032-01-01T00:00:00Z
signing:
  key: KEY(online/receipts-b)
  valid: {from: 2026-03-01T00:00:00Z, until: 2028-01-01T00:00:00Z}
  chain: signing-b.pem
output: {keyset: keyset-2.jws, transcript: keyset-2.log}
`
	revokeText = `
ceremony: revoke
bank: TESTBANK
sequence: 2
previous: keyset-1.jws
revoke: [REVOKED]
root: root.pem
master: {key: KEY(offline/master), certificate: issuer.pem}
output: {keyset: keyset-2.jws, transcript: revoke.log}
`
	orderText = `
ceremony: revoke
member:
  group: TESTGROUP
  member: AAECAwQFBgcICQoLDA0ODw
  case: 2026-0173
  reason: order of the district court of 2026-02-20
  until: 2026-09-01T00:00:00Z
root: root.pem
manager: {key: KEY(manager/documents), certificate: group.pem}
output: {order: order.jws, transcript: order.log}
`
	restoreText = `
ceremony: restore
bank: TESTBANK
token: TOKEN(online)
made_by: [signing.log, keyset-1.log]
root: root.pem
master: {key: KEY(offline/master), certificate: issuer.pem}
output: {transcript: restore.log}
`
	destroyText = `
ceremony: destroy
bank: TESTBANK
token: TOKEN(online)
so_pin: file:online.so-pin
keyset: keyset-2.jws
root: root.pem
master: {key: KEY(offline/master), certificate: issuer.pem}
output: {transcript: destroy.log}
`
)

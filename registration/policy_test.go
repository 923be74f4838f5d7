package registration_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"database/sql"
	"errors"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/ledger/sqlite"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/tpm/swtpm"
)

func platform(t testing.TB) *groupdoc.Platform {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	public, err := attest.PolicyKey(&key.PublicKey)
	must(t, err)
	return &groupdoc.Platform{Key: public}
}

func scalar(n byte) []byte { return append(make([]byte, 31), n) }

func TestAPolicyComesIntoForceWithTheDocument(t *testing.T) {
	var log bytes.Buffer
	w := registrationtest.NewWorld(t, bench, func(c *registration.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	ctx := t.Context()
	if !strings.Contains(log.String(), "INSECURE") {
		t.Fatal("nothing is said aloud of emulated TPMs")
	}
	before := w.ReadDocument(t)
	if !before.SoftwareTPMs || before.EKRoots != w.Config.EKRoots.Digest() || len(before.EKKinds) != 1 {
		t.Fatalf("the document says %+v", before.Contents)
	}
	next := w.Config.Policy
	next.Leaked = [][]byte{scalar(5)}
	must(t, w.Reload(ctx, next))
	after := w.ReadDocument(t)
	if after.Seq <= before.Seq || len(after.Leaked) != 1 || !bytes.Equal(after.Leaked[0], scalar(5)) {
		t.Fatalf("the document says %+v", after.Contents)
	}
	must(t, after.After(before))

	for _, c := range []struct {
		name   string
		change func(p *registration.Policy)
	}{
		{"no list of manufacturers", func(p *registration.Policy) { p.EKRoots = nil }},
		{"emulated TPMs under a list that has them", func(p *registration.Policy) { p.SoftwareTPMs = false }},
		{"a leaked key that is no scalar", func(p *registration.Policy) { p.Leaked = [][]byte{bytes.Repeat([]byte{0xff}, 32)} }},
		{"a leaked key that is too short", func(p *registration.Policy) { p.Leaked = [][]byte{{1}} }},
		{"more leaked keys than a document holds", func(p *registration.Policy) { p.Leaked = make([][]byte, groupdoc.MaxLeaked+1) }},
		{"a leaked key that is forgotten", nil},
		{"a policy key that is none", func(p *registration.Policy) { p.Platform = &groupdoc.Platform{Key: []byte("key")} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := next
			if c.change == nil {
				p.Leaked = nil
				wantErr(t, w.Reload(ctx, p), registration.ErrPolicy)
				return // a manager who begins may say anything
			}
			c.change(&p)
			wantErr(t, w.Reload(ctx, p), registration.ErrPolicy)
			if w.ReadDocument(t).Seq != after.Seq {
				t.Fatal("a document was signed with it")
			}
			cfg := w.Config
			cfg.Policy = p
			_, err := registration.New(ctx, cfg)
			wantErr(t, err, registration.ErrPolicy)
		})
	}
}

func TestAPolicyThatCantBePublishedIsNotInForce(t *testing.T) {
	k := &token{}
	w := registrationtest.NewWorld(t, bench, func(c *registration.Config) { k.Signer, c.Signer = c.Signer, k })
	k.gone.Store(true)
	next := w.Config.Policy
	next.Leaked = [][]byte{scalar(5)}
	wantErr(t, w.Reload(t.Context(), next), registration.ErrUnavailable)
	if len(w.Policy().Leaked) != 0 {
		t.Fatal("it is in force")
	}
}

func TestDocumentsAreNumberedAcrossProcesses(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	seen := map[uint64]bool{w.ReadDocument(t).Seq: true}
	last := w.ReadDocument(t).Seq
	for range 3 {
		m, err := registration.New(t.Context(), w.Config)
		must(t, err)
		d, err := m.Document(t.Context())
		must(t, err)
		if seen[d.Seq] || d.Seq <= last {
			t.Fatalf("number %d after %d", d.Seq, last)
		}
		seen[d.Seq], last = true, d.Seq
	}
	// A number that was lost with a crash is not used again.
	_, err := w.Register.Next(t.Context(), "document")
	must(t, err)
	must(t, w.Reload(t.Context(), w.Config.Policy))
	if got := w.ReadDocument(t).Seq; got != last+2 {
		t.Fatalf("number %d after %d and one that was lost", got, last)
	}
}

func TestTheTemplateStaysWhileThereAreMembers(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	ctx := t.Context()
	first, second := w.Config.Policy, w.Config.Policy
	first.Platform, second.Platform = platform(t), platform(t)
	must(t, w.Reload(ctx, first)) // nobody is there yet
	if doc := w.ReadDocument(t); doc.Platform == nil || !bytes.Equal(doc.Template, attest.ClassTemplate(first.Platform)) {
		t.Fatal("the document has another template")
	}
	must(t, w.Reload(ctx, w.Config.Policy))
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	id, _ := c.Enrol(t, w, "Ada Lovelace")
	wantErr(t, w.Reload(ctx, second), registration.ErrTemplateFixed)
	cfg := w.Config
	cfg.Policy = second
	_, err := registration.New(ctx, cfg)
	wantErr(t, err, registration.ErrTemplateFixed)
	_, err = w.Renew(ctx, id)
	must(t, err)
}

// TestARegisterFromBeforeThereWereTemplates has none recorded.
func TestARegisterFromBeforeThereWereTemplates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "register.db")
	open := func() *sqlite.Register {
		r, err := sqlite.OpenRegister(context.Background(), path, sqlite.Options{})
		must(t, err)
		return r
	}
	r := open()
	w, maker := softWorld(t, func(c *registration.Config) { c.Register = r })
	enrolSoft(t, w, maker.TPM(t, nil))
	must(t, r.Close())
	db, err := sql.Open("sqlite", path)
	must(t, err)
	_, err = db.Exec("DELETE FROM meta WHERE name='template'")
	must(t, errors.Join(err, db.Close()))
	r = open()
	defer r.Close()
	cfg := w.Config
	cfg.Register = r
	cfg.Platform = platform(t)
	_, err = registration.New(t.Context(), cfg)
	wantErr(t, err, registration.ErrTemplateFixed)
	cfg.Platform = nil
	_, err = registration.New(t.Context(), cfg)
	must(t, err)
}

func TestAManufacturerStruckOffWhileTheManagerWorks(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	id, _ := c.Enrol(t, w, "Ada Lovelace")
	maker, err := swtpm.NewCA(t.Context(), t.TempDir())
	must(t, err)
	pem, err := maker.RootsPEM()
	must(t, err)
	next := w.Config.Policy
	next.EKRoots = registrationtest.Roots(t, pem, "rsa2048")
	must(t, w.Reload(t.Context(), next))
	w.Clock.Forward(registrationtest.EpochLength)
	_, err = w.Renew(t.Context(), id)
	wantErr(t, err, registration.ErrEKChain)
	_, err = w.Begin(t.Context(), registrationtest.NewComputer(t, bench, registrationtest.TPMB, "rsa2048").BeginRequest())
	wantErr(t, err, registration.ErrEKChain)
	if doc := w.ReadDocument(t); doc.EKRoots != next.EKRoots.Digest() {
		t.Fatal("the document has the old list")
	}
}

// TestTheManagerCallsNobody: what he imports can't reach the network by HTTP,
// so no certificate makes him fetch anything.
func TestTheManagerCallsNobody(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".", "../attest", "../groupdoc/warrant").Output()
	must(t, err)
	for _, pkg := range strings.Fields(string(out)) {
		if pkg == "net/http" || strings.HasPrefix(pkg, "net/http/") || pkg == "net/rpc" || pkg == "net/smtp" {
			t.Errorf("imports %s", pkg)
		}
	}
}

func TestTooManyRegistrationsAtOnce(t *testing.T) {
	w := registrationtest.NewWorld(t, bench, func(c *registration.Config) { c.MaxSessions = 1 })
	ctx := t.Context()
	a := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	b := registrationtest.NewComputer(t, bench, registrationtest.TPMB, "rsa2048")
	a.Begin(t, w)
	_, err := w.Begin(ctx, b.BeginRequest())
	wantErr(t, err, registration.ErrBusy)
	a.Begin(t, w) // in the place of its own
	w.Clock.Forward(registration.DefaultSession)
	id, _ := b.Enrol(t, w, "Charles Babbage") // the first one's time was up
	if id == (enrol.ID{}) {
		t.Fatal("no member")
	}
}

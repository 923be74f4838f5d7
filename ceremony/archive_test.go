package ceremony_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

// archive is a directory of ceremonies that were never held: all keys are in
// software, so that every lie can be told and still be signed by whom it
// takes. What a real ceremony leaves is verified in verify_test.go.
type archive struct {
	town
	root, master, other, manager party
	bearer1, bearer2, later      *rsa.PrivateKey
	receipts                     *ecdsa.PrivateKey
}

// party is a key and its certificate.
type party struct {
	name trust.Name
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func (p party) chain() []*x509.Certificate {
	if p.name.Role == trust.RoleRoot {
		return nil
	}
	return []*x509.Certificate{p.cert}
}

func instant(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return at
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	a := &archive{town: town{dir: t.TempDir(), officers: make(map[string]ssh.Signer), at: now}}
	a.write(t, "officers.yaml", a.roster(t, 2, "ADAMS", "BAKER", "CLARK"))
	key := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	a.root = party{trust.Name{Role: trust.RoleRoot}, key, a.parse(t, must(trust.CreateRoot(key, instant("2026-01-01T00:00:00Z"), instant("2046-01-01T00:00:00Z")))(t))}
	a.master = a.under(t, trust.RoleBank, "TESTBANK", elliptic.P384(), "2036-01-01T00:00:00Z")
	a.other = a.under(t, trust.RoleBank, "OTHERBANK", elliptic.P384(), "2036-01-01T00:00:00Z")
	a.manager = a.under(t, trust.RoleGroup, "TESTGROUP", elliptic.P256(), "2036-01-01T00:00:00Z")
	a.write(t, "root.pem", string(pemOf("CERTIFICATE", a.root.cert.Raw)))
	a.write(t, "issuer.pem", string(pemOf("CERTIFICATE", a.master.cert.Raw)))
	a.write(t, "group.pem", string(pemOf("CERTIFICATE", a.manager.cert.Raw)))
	for _, k := range []**rsa.PrivateKey{&a.bearer1, &a.bearer2, &a.later} {
		*k = must(rsa.GenerateKey(rand.Reader, 2048))(t)
	}
	a.receipts = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	return a
}

func (a *archive) parse(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	return must(x509.ParseCertificate(der))(t)
}

func (a *archive) pinned(t testing.TB) *trust.Root {
	t.Helper()
	return must(trust.NewRoot(a.root.cert))(t)
}

// issue certifies a key under the root, or under a bank.
func (a *archive) issue(t *testing.T, by party, name trust.Name, pub any, from, until string, isCA bool) *x509.Certificate {
	t.Helper()
	return a.parse(t, must(trust.Issue(by.cert, by.key, name, pub, instant(from), instant(until), isCA))(t))
}

func (a *archive) under(t *testing.T, role trust.Role, id string, curve elliptic.Curve, until string) party {
	t.Helper()
	p := party{name: trust.Name{Role: role, ID: id}, key: must(ecdsa.GenerateKey(curve, rand.Reader))(t)}
	p.cert = a.issue(t, a.root, p.name, p.key.Public(), "2026-01-01T00:00:00Z", until, role == trust.RoleBank)
	return p
}

// story is a ceremony as a transcript tells it.
type story struct {
	a        *archive
	plan     string
	inputs   []transcript.Input
	opened   transcript.Opened
	approve  []string // officers
	rehearse *transcript.Rehearsed
	tokens   []transcript.Token
	keys     []transcript.Key
	middle   []told // between keys and outputs
	outputs  []output
	by       party
	begins   time.Time // zero: as the archive
	closedAt time.Time
	// late changes the record after everything else is settled.
	late func(*transcript.Opened)
}

type told struct {
	event transcript.Event
	data  any
}

type output struct {
	transcript.Output
	data []byte
}

// noModule is the library that the plans name: nobody opens it.
const noModule = "/no/such/library.so"

// tell is an honest story but for what the test changes. fields are the
// inputs' field names and paths, alternating.
func (a *archive) tell(text string, by party, fields ...string) *story {
	s := &story{a: a, plan: plan(text, noModule), approve: []string{"ADAMS", "CLARK"}, by: by, closedAt: a.at}
	s.rehearse = &transcript.Rehearsed{OK: true}
	for i, f := range append([]string{"officers", "officers.yaml"}, fields...) {
		if i%2 == 0 {
			s.inputs = append(s.inputs, transcript.Input{Field: f})
		} else {
			s.inputs[i/2].Path = f
		}
	}
	for _, m := range regexp.MustCompile(`pkcs11:token=([a-z0-9-]+)`).FindAllStringSubmatch(s.plan, -1) {
		if !slices.ContainsFunc(s.tokens, func(t transcript.Token) bool { return t.Label == m[1] }) {
			s.tokens = append(s.tokens, transcript.Token{Label: m[1], Serial: "5e71a1", Manufacturer: "ACME", Model: "HSM", Firmware: "1.0"})
		}
	}
	return s
}

// key adds a key that was made.
func (s *story) key(t *testing.T, token, label string, pub any) *story {
	t.Helper()
	k := transcript.Key{Token: token, Label: label, Kind: "AES 256", CKAID: "0a0b", Audited: true, SelfTest: true, Made: true}
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		k.Kind, k.SPKI = fmt.Sprintf("RSA %d", pub.N.BitLen()), must(coin.MarshalKey(pub))(t)
		k.ID = must(coin.NewKeyID(pub))(t).String()
	case *ecdsa.PublicKey:
		k.Kind, k.SPKI = "EC "+pub.Params().Name, must(x509.MarshalPKIXPublicKey(pub))(t)
		k.ID = fmt.Sprintf("%x", sha256.Sum256(k.SPKI))
	}
	s.keys = append(s.keys, k)
	return s
}

func (s *story) output(path string, data []byte) *story {
	s.outputs = append(s.outputs, output{transcript.Output{Path: path, SHA256: sha256.Sum256(data)}, data})
	return s
}

// settle reads the inputs, and has the officers approve what they come to.
func (s *story) settle(t *testing.T) {
	t.Helper()
	for i := range s.inputs {
		s.inputs[i].SHA256 = sha256.Sum256(s.a.file(t, s.inputs[i].Path))
	}
	kind := strings.Fields(s.plan[strings.Index(s.plan, "ceremony:"):])[1]
	s.opened = transcript.Opened{
		Ceremony: kind, Plan: transcript.Text(s.plan), Inputs: s.inputs, Digest: transcript.PlanDigest([]byte(s.plan), s.inputs),
		Roster: transcript.Text(s.a.file(t, "officers.yaml")), Former: s.opened.Former, Follows: s.opened.Follows,
		Build: transcript.Build{Version: "v1", Go: "go"},
	}
	s.sign(t)
}

func (s *story) sign(t *testing.T) {
	t.Helper()
	s.opened.Approvals = nil
	for _, name := range s.approve {
		message := approval.Message(s.opened.Ceremony, s.opened.Digest, name, s.a.at)
		s.opened.Approvals = append(s.opened.Approvals, transcript.Text(must(approval.Sign(message, s.a.officers[name]))(t)))
	}
}

// events are the story's entries after the first.
func (s *story) events() []told {
	var out []told
	if s.rehearse != nil {
		s.rehearse.Keys = len(s.keys)
		out = append(out, told{transcript.EventRehearsed, *s.rehearse})
	}
	for _, t := range s.tokens {
		out = append(out, told{transcript.EventToken, t})
	}
	for _, k := range s.keys {
		if k.Made {
			out = append(out, told{transcript.EventGenerating, transcript.Generating{Token: k.Token, Label: k.Label, Kind: k.Kind}})
		}
		out = append(out, told{transcript.EventKey, k})
	}
	out = append(out, s.middle...)
	for _, o := range s.outputs {
		out = append(out, told{transcript.EventOutput, o.Output})
	}
	return out
}

// write leaves outputs and transcript, over what a test left before.
func (s *story) write(t *testing.T) []byte {
	t.Helper()
	s.settle(t)
	if s.late != nil {
		s.late(&s.opened)
	}
	for _, o := range s.outputs {
		if o.data != nil {
			s.a.write(t, o.Path, string(o.data))
		}
	}
	at := s.a.at
	if !s.begins.IsZero() {
		at = s.begins
	}
	w := must(transcript.Create(filepath.Join(t.TempDir(), "transcript"), func() time.Time { return at }))(t)
	defer w.Release()
	for _, e := range append([]told{{transcript.EventOpened, s.opened}}, s.events()...) {
		if err := w.Append(e.event, e.data); err != nil {
			t.Fatal(err)
		}
	}
	at = s.closedAt
	if err := w.Close(s.by.name, s.by.chain(), s.by.key); err != nil {
		t.Fatal(err)
	}
	return must(os.ReadFile(w.Path()))(t)
}

// verifier pins what the archive pins.
func (a *archive) verifier(t testing.TB) *ceremony.Verifier {
	t.Helper()
	return &ceremony.Verifier{Root: a.pinned(t), Roster: must(approval.ParseRoster(a.file(t, "officers.yaml")))(t), Dir: a.dir}
}

// lie is something that a story gets wrong, and how it is found.
type lie struct {
	name string
	tell func(t *testing.T, s *story)
	want error
}

// expect tells the story once honestly and then with each lie.
func (a *archive) expect(t *testing.T, honest func(t *testing.T) *story, lies []lie) {
	t.Helper()
	r, err := a.verifier(t).Verify(honest(t).write(t))
	if err != nil {
		t.Fatalf("the honest one: %v", err)
	}
	for _, c := range r.Claims {
		if c.Standing != ceremony.Holds && !strings.Contains(c.Detail, "the plan names none") {
			t.Errorf("the honest one: %+v", c)
		}
	}
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			s := honest(t)
			l.tell(t, s)
			r, err := a.verifier(t).Verify(s.write(t))
			if !errors.Is(err, l.want) || !errors.Is(err, ceremony.ErrClaim) {
				t.Fatalf("got %v, want %v", err, l.want)
			}
			if !slices.ContainsFunc(r.Claims, func(c ceremony.Claim) bool { return c.Standing == ceremony.Fails && c.Detail != "" }) {
				t.Errorf("no claim fails: %+v", r.Claims)
			}
		})
	}
}

// denomination is a key as smallText plans it.
func (a *archive) denomination(t *testing.T, pub any, value coin.Amount) coin.Denomination {
	t.Helper()
	key := pub.(*rsa.PublicKey)
	return coin.Denomination{
		KeyID: must(coin.NewKeyID(key))(t), Value: value, Kind: coin.Bearer, PublicKey: key,
		IssueFrom: instant("2026-02-01T00:00:00Z"), IssueUntil: instant("2026-05-01T00:00:00Z"),
		SpendUntil: instant("2027-05-01T00:00:00Z"), LegalUntil: instant("2032-01-01T00:00:00Z"),
	}
}

func sum(data []byte) transcript.Hash { return sha256.Sum256(data) }

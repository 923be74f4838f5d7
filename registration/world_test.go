package registration_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/ledger/sqlite"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/tpm"
)

// clock is the machine's clock, which a test can set forward: certificates of
// emulated TPMs begin when they are made.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().UTC().Add(time.Duration(c.ahead.Load())) }

func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

const epochLength = 24 * time.Hour

// world is a manager on SQLite who takes the lab's TPMs.
type world struct {
	*registration.Manager
	g        *groupdoctest.Group
	clock    *clock
	cfg      registration.Config
	register *sqlite.Register
}

func newWorld(t testing.TB, change ...func(*registration.Config)) *world {
	t.Helper()
	w := &world{clock: &clock{}}
	ca, err := bench.ca()
	must(t, err)
	pem, err := ca.RootsPEM()
	must(t, err)
	roots, err := attest.ParseRoots(pem)
	must(t, err)
	w.g = groupdoctest.New(t, w.clock.now(), attest.GroupKeyTemplate(), roots.Digest())
	w.register = emptyRegister(t)
	w.cfg = registration.Config{
		Root: w.g.Root, ID: groupdoctest.Name, Issuer: w.g.Issuer, FormKey: w.g.FormKey,
		Signer: w.g.Manager.Key, Chain: w.g.Manager.Chain, Supervision: w.g.SupervisionJWS,
		EKRoots:  roots,
		Schedule: registration.Schedule{Start: w.clock.now().Truncate(time.Second).Add(-6*epochLength - time.Hour), Length: epochLength},
		Register: w.register, Clock: w.clock.now, Opening: w.verifyOpening,
	}
	for _, f := range change {
		f(&w.cfg)
	}
	w.Manager, err = registration.New(t.Context(), w.cfg)
	must(t, err)
	return w
}

func emptyRegister(t testing.TB) *sqlite.Register {
	t.Helper()
	r, err := sqlite.OpenRegister(t.Context(), filepath.Join(t.TempDir(), "register.db"), sqlite.Options{})
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func closedRegister(t testing.TB) *sqlite.Register {
	t.Helper()
	r := emptyRegister(t)
	must(t, r.Close())
	return r
}

// document is the manager's, as a wallet reads it.
func (w *world) document(t testing.TB) *groupdoc.Document {
	t.Helper()
	signed, err := w.Document(t.Context())
	must(t, err)
	doc, err := groupdoc.Parse(w.g.Root, signed.JWS, w.clock.now())
	must(t, err)
	return doc
}

// computer is a person's machine: a TPM, a wallet's seed, a group key.
type computer struct {
	device *tpm.Device
	ek     tpm.EK
	key    *tpm.GroupKey
	u      group.WalletSecret
}

// newComputer takes one of the lab's TPMs and makes a new group key in it.
func newComputer(t testing.TB, tpmNumber int, kind string) *computer {
	t.Helper()
	e, err := bench.emulators[tpmNumber]()
	must(t, err)
	c := &computer{}
	c.device, err = tpm.Open(t.Context(), e.TCTI())
	must(t, err)
	t.Cleanup(func() { must(t, c.device.Close()) })
	eks, err := c.device.EKs(t.Context())
	must(t, err)
	i := slices.IndexFunc(eks, func(ek tpm.EK) bool { return ek.Kind == kind })
	if i < 0 {
		t.Fatalf("the TPM has no %s", kind)
	}
	c.ek = eks[i]
	c.newKey(t)
	return c
}

// newKey makes another group key, and the wallet's secret that goes with it.
func (c *computer) newKey(t testing.TB) {
	t.Helper()
	blob, err := c.device.CreateGroupKey(t.Context(), attest.GroupKeyTemplate(), nil)
	must(t, err)
	c.key, err = c.device.LoadGroupKey(t.Context(), blob, nil)
	must(t, err)
	t.Cleanup(func() { must(t, c.key.Close()) })
	c.u, err = group.DeriveWalletSecret(make([]byte, 32), c.key.Name())
	must(t, err)
}

func (c *computer) beginRequest() *registration.BeginRequest {
	return &registration.BeginRequest{EKChain: [][]byte{c.ek.CertificateDER}, EKPublic: c.ek.Public}
}

// ekID is what the manager calls this TPM.
func (c *computer) ekID(t testing.TB, w *world) [32]byte {
	t.Helper()
	ek, err := attest.VerifyEK([][]byte{c.ek.CertificateDER}, c.ek.Public, w.cfg.EKRoots, w.clock.now())
	must(t, err)
	return ek.ID
}

// joinFor makes a join for a session, on this computer, with any EK's hash.
func (c *computer) joinFor(t testing.TB, w *world, s *registration.Session, ek [32]byte, name string) *registration.JoinRequest {
	t.Helper()
	doc := w.document(t)
	pk, err := doc.FormRecipient()
	must(t, err)
	sealed, digest, err := enrol.SealForm(pk, doc.ID, s.Nonce, enrol.Form{Name: name})
	must(t, err)
	j, err := group.NewJoin(t.Context(), doc.Parameters(), c.key, c.key.Point(), c.u,
		group.JoinContext{Nonce: s.Nonce, KeyName: c.key.Name(), EK: ek, Form: digest})
	must(t, err)
	return &registration.JoinRequest{KeyPublic: c.key.Public(), Join: j.Bytes(), Form: sealed, FormDigest: digest}
}

func (c *computer) begin(t testing.TB, w *world) *registration.Session {
	t.Helper()
	s, err := w.Begin(t.Context(), c.beginRequest())
	must(t, err)
	return s
}

// answer opens a challenge in the TPM.
func (c *computer) answer(t testing.TB, ch *registration.Challenge) enrol.Secret {
	t.Helper()
	b, err := c.key.ActivateCredential(t.Context(), c.ek.Kind, ch.CredentialBlob, ch.EncryptedSecret)
	must(t, err)
	s, err := enrol.NewSecret(b)
	must(t, err)
	return s
}

func mac(t testing.TB, s enrol.Secret, id enrol.ID) []byte {
	t.Helper()
	out, err := s.MAC(id)
	must(t, err)
	return out
}

// enrol is the whole of a registration; it returns the member's id and a
// member who can present.
func (c *computer) enrol(t testing.TB, w *world, name string) (enrol.ID, *group.Member) {
	t.Helper()
	s := c.begin(t, w)
	ch, err := w.Join(t.Context(), s.ID, c.joinFor(t, w, s, c.ekID(t, w), name))
	must(t, err)
	secret := c.answer(t, ch)
	cred, err := w.Activate(t.Context(), s.ID, mac(t, secret, s.ID))
	must(t, err)
	return s.ID, c.member(t, w, s.ID, secret, cred)
}

// member opens a credential and checks it as a wallet does.
func (c *computer) member(t testing.TB, w *world, id enrol.ID, secret enrol.Secret, sealed *registration.Credential) *group.Member {
	t.Helper()
	cred, err := secret.OpenCredential(id, sealed.Epoch, sealed.Sealed)
	must(t, err)
	tag, err := group.Tag(t.Context(), c.key)
	must(t, err)
	m, err := group.NewMember(w.document(t).Parameters(), tag, c.u, cred)
	must(t, err)
	return m
}

// openingJSON is how these tests write a combined opening down.
type openingJSON struct {
	Presentation, Message []byte
	Parts                 [][]byte
}

// verifyOpening is a real verification of it: k of n, proofs and all.
func (w *world) verifyOpening(_ context.Context, b []byte) (tag [33]byte, err error) {
	var o openingJSON
	if err := json.Unmarshal(b, &o); err != nil {
		return tag, err
	}
	var parts []*group.PartialOpening
	for _, p := range o.Parts {
		po, err := group.ParsePartialOpening(p)
		if err != nil {
			return tag, err
		}
		parts = append(parts, po)
	}
	p := group.Parameters{Name: groupdoctest.Name, W: w.g.Issuer.Public(), O: w.g.Supervision.Key.O(), O2: w.g.Supervision.Key.O2()}
	v, err := group.NewVerifier(&p, 7)
	if err != nil {
		return tag, err
	}
	return group.CombineOpening(v, &w.g.Supervision.Key, group.Item{Presentation: o.Presentation, Message: o.Message}, parts)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

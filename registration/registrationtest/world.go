package registrationtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
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
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/groupdoc/warrant/warranttest"
	"github.com/speciecash/specie/ledger/sqlite"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/tpm"
)

// Clock is the machine's clock, which a test can set forward: certificates of
// emulated TPMs begin when they are made.
type Clock struct{ ahead atomic.Int64 }

// Now is the time, UTC.
func (c *Clock) Now() time.Time { return time.Now().UTC().Add(time.Duration(c.ahead.Load())) }

// Forward sets the clock forward, or back.
func (c *Clock) Forward(d time.Duration) { c.ahead.Add(int64(d)) }

// EpochLength is how long the manager's epochs are; the current one is number
// Epoch and began an hour ago.
const (
	EpochLength = 24 * time.Hour
	Epoch       = 7
)

// World is a manager on SQLite who takes the lab's TPMs.
type World struct {
	*registration.Manager
	Group    *groupdoctest.Group
	Clock    *Clock
	Config   registration.Config
	Register *sqlite.Register
}

// NewWorld makes a manager; change may alter his configuration before.
func NewWorld(t testing.TB, lab *Lab, change ...func(*registration.Config)) *World {
	t.Helper()
	w := &World{Clock: &Clock{}}
	pem, err := lab.RootsPEM(t.Context())
	must(t, err)
	roots := Roots(t, pem, "rsa2048")
	w.Group = groupdoctest.New(t, w.Clock.Now(), attest.GroupKeyTemplate(), roots.Digest())
	w.Register = EmptyRegister(t)
	w.Config = registration.Config{
		Root: w.Group.Root, ID: groupdoctest.Name, Issuer: w.Group.Issuer, FormKey: w.Group.FormKey,
		Signer: w.Group.Manager.Key, Chain: w.Group.Manager.Chain, Supervision: w.Group.SupervisionJWS,
		Policy:   registration.Policy{EKRoots: roots, SoftwareTPMs: true},
		Schedule: registration.Schedule{Start: w.Clock.Now().Truncate(time.Second).Add(-6*EpochLength - time.Hour), Length: EpochLength},
		Register: w.Register, Clock: w.Clock.Now, Opening: w.VerifyOpening, Keeper: &Keeper{},
	}
	for _, f := range change {
		f(&w.Config)
	}
	w.Manager, err = registration.New(t.Context(), w.Config)
	must(t, err)
	return w
}

// Keeper is a registration.Keeper in memory.
type Keeper struct{ jws atomic.Value }

// Last implements registration.Keeper.
func (k *Keeper) Last(context.Context) ([]byte, error) {
	jws, _ := k.jws.Load().([]byte)
	return jws, nil
}

// Keep implements registration.Keeper.
func (k *Keeper) Keep(_ context.Context, jws []byte) error {
	k.jws.Store(jws)
	return nil
}

// Roots are the roots of an emulated manufacturer from whom one kind of
// endorsement key is taken.
func Roots(t testing.TB, pem []byte, kind string) *attest.Roots {
	t.Helper()
	files := map[string][]byte{"swtpm.pem": pem}
	manifest, err := attest.DraftManifest(files)
	must(t, err)
	roots, err := attest.ParseRoots(bytes.ReplaceAll(manifest, []byte("ek: rsa2048"), []byte("ek: "+kind)), files)
	must(t, err)
	return roots
}

// EmptyRegister is a new register, closed at the end of the test.
func EmptyRegister(t testing.TB) *sqlite.Register {
	t.Helper()
	r, err := sqlite.OpenRegister(t.Context(), filepath.Join(t.TempDir(), "register.db"), sqlite.Options{})
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// ReadDocument reads the manager's document as a wallet does.
func (w *World) ReadDocument(t testing.TB) *groupdoc.Document {
	t.Helper()
	signed, err := w.Document(t.Context())
	must(t, err)
	doc, err := groupdoc.Parse(w.Group.Root, signed.JWS, w.Clock.Now())
	must(t, err)
	return doc
}

// Computer is a person's machine: a TPM, a group key in it, and the wallet's
// secret that goes with it.
type Computer struct {
	EK  tpm.EK
	Key *tpm.GroupKey
	U   group.WalletSecret

	device *tpm.Device
}

// NewComputer takes one of the lab's TPMs and makes a new group key in it.
// kind is that of the endorsement key to enrol with.
func NewComputer(t testing.TB, lab *Lab, number int, kind string) *Computer {
	t.Helper()
	tcti, err := lab.TCTI(t.Context(), number)
	must(t, err)
	c := &Computer{}
	c.device, err = tpm.Open(t.Context(), tcti)
	must(t, err)
	t.Cleanup(func() { must(t, c.device.Close()) })
	eks, err := c.device.EKs(t.Context())
	must(t, err)
	i := slices.IndexFunc(eks, func(ek tpm.EK) bool { return ek.Kind == kind })
	if i < 0 {
		t.Fatalf("the TPM has no %s", kind)
	}
	c.EK = eks[i]
	c.NewKey(t)
	return c
}

// NewKey makes another group key, and the wallet's secret that goes with it.
func (c *Computer) NewKey(t testing.TB) {
	t.Helper()
	blob, err := c.device.CreateGroupKey(t.Context(), attest.GroupKeyTemplate(), nil)
	must(t, err)
	c.Key, err = c.device.LoadGroupKey(t.Context(), blob, nil)
	must(t, err)
	t.Cleanup(func() { must(t, c.Key.Close()) })
	c.U, err = group.DeriveWalletSecret(make([]byte, 32), group.ID{}, c.Key.Name())
	must(t, err)
}

// BeginRequest shows this TPM.
func (c *Computer) BeginRequest() *registration.BeginRequest {
	return &registration.BeginRequest{EKChain: [][]byte{c.EK.CertificateDER}, EKPublic: c.EK.Public}
}

// EKID is what the manager calls this TPM.
func (c *Computer) EKID(t testing.TB, w *World) [32]byte {
	t.Helper()
	policy := attest.Policy{At: w.Clock.Now(), SoftwareTPMs: true}
	ek, err := attest.VerifyEK([][]byte{c.EK.CertificateDER}, c.EK.Public, w.Config.EKRoots, policy)
	must(t, err)
	return ek.ID
}

// JoinFor makes a join for a session with this computer's key, for any EK.
func (c *Computer) JoinFor(t testing.TB, w *World, s *registration.Session, ek [32]byte, name string) *registration.JoinRequest {
	t.Helper()
	return c.JoinAs(t, w, s, ek, enrol.Form{Name: name})
}

// JoinAs is JoinFor with any form.
func (c *Computer) JoinAs(t testing.TB, w *World, s *registration.Session, ek [32]byte, form enrol.Form) *registration.JoinRequest {
	t.Helper()
	doc := w.ReadDocument(t)
	pk, err := doc.FormRecipient()
	must(t, err)
	sealed, digest, err := enrol.SealForm(pk, doc.ID, s.Nonce, form)
	must(t, err)
	j, err := group.NewJoin(t.Context(), doc.Parameters(), c.Key, c.Key.Point(), c.U,
		group.JoinContext{Nonce: s.Nonce, KeyName: c.Key.Name(), EK: ek, Form: digest})
	must(t, err)
	return &registration.JoinRequest{KeyPublic: c.Key.Public(), Join: j.Bytes(), Form: sealed, FormDigest: digest}
}

// Begin opens a session for this TPM.
func (c *Computer) Begin(t testing.TB, w *World) *registration.Session {
	t.Helper()
	s, err := w.Begin(t.Context(), c.BeginRequest())
	must(t, err)
	return s
}

// Answer opens a challenge in the TPM.
func (c *Computer) Answer(t testing.TB, ch *registration.Challenge) enrol.Secret {
	t.Helper()
	b, err := c.Key.ActivateCredential(t.Context(), c.EK.Kind, ch.CredentialBlob, ch.EncryptedSecret)
	must(t, err)
	s, err := enrol.NewSecret(b)
	must(t, err)
	return s
}

// MAC is the answer to a challenge.
func MAC(t testing.TB, s enrol.Secret, id enrol.ID) []byte {
	t.Helper()
	out, err := s.MAC(id)
	must(t, err)
	return out
}

// Enrol is the whole of a registration; it returns the member's id and a
// member who can present.
func (c *Computer) Enrol(t testing.TB, w *World, name string) (enrol.ID, *group.Member) {
	t.Helper()
	id, m, _ := c.EnrolAs(t, w, enrol.Form{Name: name})
	return id, m
}

// EnrolAs is Enrol with any form; it returns the successions too, if there
// are any.
func (c *Computer) EnrolAs(t testing.TB, w *World, form enrol.Form) (enrol.ID, *group.Member, [][]byte) {
	t.Helper()
	s := c.Begin(t, w)
	ch, err := w.Join(t.Context(), s.ID, c.JoinAs(t, w, s, c.EKID(t, w), form))
	must(t, err)
	secret := c.Answer(t, ch)
	got, err := w.Activate(t.Context(), s.ID, MAC(t, secret, s.ID))
	must(t, err)
	return s.ID, c.Member(t, w, s.ID, secret, &got.Credential), got.Successions
}

// Member opens a credential and checks it as a wallet does.
func (c *Computer) Member(t testing.TB, w *World, id enrol.ID, secret enrol.Secret, sealed *registration.Credential) *group.Member {
	t.Helper()
	cred, err := secret.OpenCredential(id, sealed.Epoch, sealed.Sealed)
	must(t, err)
	tag, err := group.Tag(t.Context(), c.Key)
	must(t, err)
	m, err := group.NewMember(w.ReadDocument(t).Parameters(), tag, c.U, cred)
	must(t, err)
	return m
}

// Opening is how these tests write a combined opening down.
type Opening struct {
	Presentation []byte   `json:"presentation"`
	Message      []byte   `json:"message"`
	Parts        [][]byte `json:"parts"`
	// Warrant is the entry on which it rests.
	Warrant warrant.Entry `json:"warrant"`
}

// VerifyOpening is a real verification of it: k of n, proofs and all.
func (w *World) VerifyOpening(_ context.Context, b []byte, leaked [][]byte) (tag [33]byte, entry warrant.Entry, err error) {
	var o Opening
	if err := json.Unmarshal(b, &o); err != nil {
		return tag, entry, err
	}
	var parts []*group.PartialOpening
	for _, p := range o.Parts {
		po, err := group.ParsePartialOpening(p)
		if err != nil {
			return tag, entry, err
		}
		parts = append(parts, po)
	}
	p := group.Parameters{Name: groupdoctest.Name, W: w.Group.Issuer.Public(), O: w.Group.Supervision.Key.O(), O2: w.Group.Supervision.Key.O2()}
	v, err := group.NewVerifier(&p, Epoch)
	if err == nil {
		v, err = v.WithLeaked(leaked)
	}
	if err != nil {
		return tag, entry, err
	}
	tag, err = group.CombineOpening(v, &w.Group.Supervision.Key, group.Item{Presentation: o.Presentation, Message: o.Message}, parts)
	return tag, o.Warrant, err
}

// Court makes warrants that the group's supervisors sign.
func (w *World) Court() *warranttest.Court { return warranttest.New(w.Group) }

// Enter enters a warrant of that scope about that subject.
func (w *World) Enter(t testing.TB, scope warrant.Scope, subject warrant.Subject) (jws [][]byte, entry warrant.Entry) {
	t.Helper()
	c := w.Court()
	draft := c.Draft(scope, subject, w.Clock.Now())
	_, err := rand.Read(draft.Salt[:])
	must(t, err)
	jws = c.Sign(t, draft)
	e, err := w.EnterWarrant(t.Context(), jws)
	must(t, err)
	return jws, *e
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

package registration_test

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/tpm/swtpm"
)

func TestMembersAreRenewedEachEpoch(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	id, old := c.Enrol(t, w, "Ada Lovelace")
	p, err := old.Present(t.Context(), c.Key, []byte("m"), nil)
	must(t, err)

	w.Clock.Forward(registrationtest.EpochLength)
	r, err := w.Renew(t.Context(), id)
	must(t, err)
	again, err := w.Renew(t.Context(), id)
	must(t, err)
	if !reflect.DeepEqual(r, again) {
		t.Fatal("a repeated renewal got another answer")
	}
	renewed := c.Member(t, w, id, c.Answer(t, &r.Challenge), &r.Credential)
	if renewed.Epoch() != 8 {
		t.Fatalf("renewed for epoch %d", renewed.Epoch())
	}
	p2, err := renewed.Present(t.Context(), c.Key, []byte("m"), nil)
	must(t, err)

	doc := w.ReadDocument(t)
	accepts := func(at time.Time) (oldOne, newOne error) {
		v, err := doc.Verifier(at)
		must(t, err)
		return v.Verify(p.Bytes(), []byte("m"), nil), v.Verify(p2.Bytes(), []byte("m"), nil)
	}
	// Around the change both are accepted, later the new one only.
	oldErr, newErr := accepts(doc.Current.Starts.Add(groupdoc.EpochSkew - time.Second))
	must(t, oldErr)
	must(t, newErr)
	oldErr, newErr = accepts(doc.Current.Starts.Add(groupdoc.EpochSkew))
	wantErr(t, oldErr, group.ErrEpoch)
	must(t, newErr)
	v, err := doc.Verifier(doc.Current.Ends.Add(-time.Second))
	must(t, err)
	must(t, v.Verify(p2.Bytes(), []byte("m"), nil))

	// A manager whose clock went back does not issue for a past epoch.
	w.Clock.Forward(-registrationtest.EpochLength)
	_, err = w.Renew(t.Context(), id)
	wantErr(t, err, registration.ErrEpoch)
}

func TestARenewalInTheEpochOfTheActivation(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	id, _ := c.Enrol(t, w, "Ada Lovelace")
	r, err := w.Renew(t.Context(), id)
	must(t, err)
	if m := c.Member(t, w, id, c.Answer(t, &r.Challenge), &r.Credential); m.Epoch() != 7 {
		t.Fatalf("renewed for epoch %d", m.Epoch())
	}
}

func TestAnExpelledMemberGetsNothingMore(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	s := c.Begin(t, w)
	ch, err := w.Join(t.Context(), s.ID, c.JoinFor(t, w, s, c.EKID(t, w), "Ada Lovelace"))
	must(t, err)
	answer := registrationtest.MAC(t, c.Answer(t, ch), s.ID)
	_, err = w.Activate(t.Context(), s.ID, answer)
	must(t, err)

	must(t, w.Expel(t.Context(), s.ID))
	must(t, w.Expel(t.Context(), s.ID))
	m, err := w.Member(t.Context(), s.ID)
	must(t, err)
	if m.State != ledger.MemberExpelled {
		t.Fatalf("he is %s", m.State)
	}
	_, err = w.Renew(t.Context(), s.ID)
	wantErr(t, err, registration.ErrExpelled)
	w.Clock.Forward(registrationtest.EpochLength)
	_, err = w.Renew(t.Context(), s.ID)
	wantErr(t, err, registration.ErrExpelled)
	_, err = w.Activate(t.Context(), s.ID, answer)
	wantErr(t, err, registration.ErrExpelled)
	_, err = w.Begin(t.Context(), c.BeginRequest())
	wantErr(t, err, registration.ErrEKRegistered)

	wantErr(t, w.Expel(t.Context(), enrol.ID{1}), registration.ErrNotFound)
	_, err = w.Renew(t.Context(), enrol.ID{1})
	wantErr(t, err, registration.ErrNotFound)
}

func TestAManufacturerStruckOffGetsNoRenewals(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	id, _ := c.Enrol(t, w, "Ada Lovelace")
	other, err := swtpm.NewCA(t.Context(), t.TempDir())
	must(t, err)
	pem, err := other.RootsPEM()
	must(t, err)
	w.Config.EKRoots = registrationtest.Roots(t, pem, "rsa2048")
	m, err := registration.New(t.Context(), w.Config)
	must(t, err)
	w.Clock.Forward(registrationtest.EpochLength)
	_, err = m.Renew(t.Context(), id)
	wantErr(t, err, registration.ErrEKChain)
}

func TestAnOpeningNamesAMember(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	ada, charles := registrationtest.NewComputer(t, bench, registrationtest.TPMB, "rsa2048"), registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	id, member := ada.Enrol(t, w, "Ada Lovelace")
	charles.Enrol(t, w, "Charles Babbage")
	doc := w.ReadDocument(t)
	v, err := doc.Verifier(w.Clock.Now())
	must(t, err)
	p, err := member.Present(t.Context(), ada.Key, []byte("a double spend"), nil)
	must(t, err)
	it := group.Item{Presentation: p.Bytes(), Message: []byte("a double spend")}
	o := registrationtest.Opening{Presentation: it.Presentation, Message: it.Message}
	for _, share := range w.Group.Shares[1:] {
		part, err := group.OpenPartial(v, &doc.Supervision.Key, share, it)
		must(t, err)
		o.Parts = append(o.Parts, part.Bytes())
	}
	_, o.Warrant = w.Enter(t, warrant.Open, warrant.Case([32]byte{1}))
	encode := func(o registrationtest.Opening) []byte {
		b, err := json.Marshal(o)
		must(t, err)
		return b
	}
	jws, err := w.Identify(t.Context(), encode(o))
	must(t, err)
	who, err := enrol.ParseStatement(w.Group.Root, doc.Parameters(), jws, w.Clock.Now())
	must(t, err)
	if who.Name != "Ada Lovelace" || who.Member != id || who.EK != ada.EKID(t, w) || !bytes.Equal(who.KeyPublic, ada.Key.Public()) {
		t.Fatalf("named %+v", who)
	}

	one := o
	one.Parts = o.Parts[:1]
	_, err = w.Identify(t.Context(), encode(one))
	wantErr(t, err, registration.ErrOpening)
	wantErr(t, err, group.ErrQuorum)
	other := o
	other.Message = []byte("another payment")
	_, err = w.Identify(t.Context(), encode(other))
	wantErr(t, err, registration.ErrOpening)
	_, err = w.Identify(t.Context(), []byte("no opening"))
	wantErr(t, err, registration.ErrOpening)

	// A warrant that was never entered, or was as something else.
	secret := o
	secret.Warrant.Warrant = [32]byte{1}
	_, err = w.Identify(t.Context(), encode(secret))
	wantErr(t, err, registration.ErrUnregistered)
	other = o
	other.Warrant.Scope = warrant.Trace
	_, err = w.Identify(t.Context(), encode(other))
	wantErr(t, err, registration.ErrUnregistered)

	// Without a verifier nobody is named, whatever is sent.
	w.Config.Opening = nil
	mute, err := registration.New(t.Context(), w.Config)
	must(t, err)
	_, err = mute.Identify(t.Context(), encode(o))
	wantErr(t, err, registration.ErrOpening)

	// A tag that no member has.
	w.Config.Opening = func(context.Context, []byte, [][]byte) (tag [33]byte, e warrant.Entry, err error) {
		tag[0] = 2
		return tag, o.Warrant, nil
	}
	lost, err := registration.New(t.Context(), w.Config)
	must(t, err)
	_, err = lost.Identify(t.Context(), encode(o))
	wantErr(t, err, registration.ErrNotFound)
}

func TestAStolenRegisterNamesNobody(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	c.Enrol(t, w, "Ada Lovelace")
	tag, err := group.Tag(t.Context(), c.Key)
	must(t, err)
	row, err := w.Register.MemberByTag(t.Context(), tag)
	must(t, err)
	for _, b := range [][]byte{row.Form, row.Transcript, row.Issued, []byte(row.Name)} {
		if bytes.Contains(b, []byte("Lovelace")) {
			t.Fatalf("the name stands in %q", b)
		}
	}
}

func TestTheDocumentFollowsTheEpoch(t *testing.T) {
	const length = time.Hour // shorter than a document's age
	w := registrationtest.NewWorld(t, bench, func(c *registration.Config) {
		c.Schedule = registration.Schedule{Start: c.Clock().Truncate(time.Second).Add(-6*length - time.Minute), Length: length}
	})
	first, err := w.Document(t.Context())
	must(t, err)
	same, err := w.Document(t.Context())
	must(t, err)
	if first.Epoch != 7 || !bytes.Equal(first.JWS, same.JWS) {
		t.Fatalf("epoch %d", first.Epoch)
	}
	w.Clock.Forward(length)
	next, err := w.Document(t.Context())
	must(t, err)
	doc := w.ReadDocument(t)
	if next.Epoch != 8 || doc.Current.Number != 8 || doc.Next.Number != 9 || doc.GroupID() != w.GroupID() {
		t.Fatalf("got %+v", doc.Current)
	}
	if at, err := doc.EpochAt(w.Clock.Now()); err != nil || at.Number != 8 {
		t.Fatalf("got %v, %v", at, err)
	}
	w.Clock.Forward(-30 * length)
	_, err = w.Document(t.Context())
	wantErr(t, err, registration.ErrEpoch)
}

// token is the manager's key on a token that can fail.
type token struct {
	crypto.Signer
	gone atomic.Bool
}

func (k *token) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if k.gone.Load() {
		return nil, errors.New("token removed")
	}
	return k.Signer.Sign(r, digest, opts)
}

func TestATokenThatIsGoneForAWhile(t *testing.T) {
	k := &token{}
	w := registrationtest.NewWorld(t, bench, func(c *registration.Config) { k.Signer, c.Signer = c.Signer, k })
	k.gone.Store(true)
	w.Clock.Forward(registrationtest.EpochLength - 2*time.Hour) // past a document's age, in the same epoch
	old, err := w.Document(t.Context())
	must(t, err)
	must(t, w.Ready(t.Context()))
	w.Clock.Forward(2 * time.Hour) // the next epoch needs the token
	_, err = w.Document(t.Context())
	wantErr(t, err, registration.ErrUnavailable)
	wantErr(t, w.Ready(t.Context()), registration.ErrUnavailable)
	k.gone.Store(false)
	fresh, err := w.Document(t.Context())
	must(t, err)
	if old.Epoch != 7 || fresh.Epoch != 8 {
		t.Fatalf("epochs %d and %d", old.Epoch, fresh.Epoch)
	}
}

func TestAManagerRefusesPartsThatDoNotBelongTogether(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	other := registrationtest.NewWorld(t, bench)
	elsewhere := *w.Group.Supervision
	elsewhere.Group = "OTHERGROUP"
	cases := []struct {
		name   string
		change func(c *registration.Config)
		want   error
	}{
		{"another issuing key on this register", func(c *registration.Config) { c.Issuer = other.Config.Issuer }, registration.ErrOtherGroup},
		{"another schedule on this register", func(c *registration.Config) { c.Schedule.Length *= 2 }, registration.ErrOtherGroup},
		{"the supervisors of another group", func(c *registration.Config) { c.Supervision = w.Group.SignSupervision(t, &elsewhere) }, registration.ErrOtherGroup},
		{"a supervisor missing", func(c *registration.Config) { c.Supervision = c.Supervision[1:] }, groupdoc.ErrSupervision},
		{"another manager's id", func(c *registration.Config) { c.ID = "OTHERGROUP" }, registration.ErrOtherGroup},
		{"an id that is none", func(c *registration.Config) { c.ID = "g" }, registration.ErrMalformed},
		{"no form key", func(c *registration.Config) { c.FormKey = nil }, registration.ErrMalformed},
		{"no roots", func(c *registration.Config) { c.EKRoots = nil }, registration.ErrPolicy},
		{"epochs that are too short", func(c *registration.Config) { c.Schedule.Length = time.Minute }, registration.ErrMalformed},
		{"a first epoch to come", func(c *registration.Config) {
			c.Schedule.Start = time.Now().Add(time.Hour).Truncate(time.Second)
			c.Register, c.Keeper = registrationtest.EmptyRegister(t), nil
		}, registration.ErrEpoch},
		{"a certificate that is not the signer's", func(c *registration.Config) { c.Signer = other.Config.Signer }, nil},
		{"a closed register", func(c *registration.Config) { c.Register = closedRegister(t) }, registration.ErrUnavailable},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			cfg := w.Config
			tc.change(&cfg)
			m, err := registration.New(t.Context(), cfg)
			if m != nil || err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
		})
	}
	m, err := registration.New(t.Context(), w.Config)
	must(t, err)
	must(t, m.Ready(t.Context()))
}

func TestWhatIsNotAnsweredIsUnavailable(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	s := c.Begin(t, w)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.Activate(ended, s.ID, make([]byte, 32))
	if !errors.Is(err, context.Canceled) && !errors.Is(err, registration.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	if errors.Is(err, ledger.ErrNotFound) || errors.Is(err, registration.ErrNotFound) {
		t.Fatalf("an end of time was taken for an answer: %v", err)
	}
}

func TestARefusedScheduleSaysWhatWouldDo(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	for _, c := range []struct {
		name   string
		change func(s *registration.Schedule)
		words  string
	}{
		{"epochs that are too short", func(s *registration.Schedule) { s.Length = registration.MinEpoch - time.Second }, "epochs of 9m59s are too short: at least 10m0s"},
		{"epochs with a fraction of a second", func(s *registration.Schedule) { s.Length += time.Millisecond }, "give whole seconds"},
		{"a start with a fraction of a second", func(s *registration.Schedule) { s.Start = s.Start.Add(time.Millisecond) }, "start 2"},
		{"no start", func(s *registration.Schedule) { s.Start = time.Time{} }, "start 0001-01-01T00:00:00Z: give a time in whole seconds"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := w.Config
			c.change(&cfg.Schedule)
			_, err := registration.New(t.Context(), cfg)
			if !errors.Is(err, registration.ErrMalformed) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestEpochsBySchedule(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := registration.Schedule{Start: start, Length: 7 * 24 * time.Hour}
	for _, c := range []struct {
		at   time.Time
		want uint64
	}{
		{start, 1}, {start.Add(s.Length - 1), 1}, {start.Add(s.Length), 2}, {start.Add(52 * s.Length), 53},
	} {
		e, err := s.At(c.at)
		if err != nil || e.Number != c.want || e.Starts.After(c.at) || !e.Ends.After(c.at) {
			t.Errorf("%s: got %+v, %v", c.at, e, err)
		}
	}
	_, err := s.At(start.Add(-1))
	wantErr(t, err, registration.ErrEpoch)
}

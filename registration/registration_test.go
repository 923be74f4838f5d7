package registration_test

import (
	"bytes"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/tpm"
)

func TestATPMBecomesAMember(t *testing.T) {
	for _, kind := range []string{"rsa2048", "p384"} {
		t.Run("with its "+kind+" key", func(t *testing.T) {
			pem, err := bench.RootsPEM(t.Context())
			must(t, err)
			w := registrationtest.NewWorld(t, bench, func(c *registration.Config) { c.EKRoots = registrationtest.Roots(t, pem, kind) })
			c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, kind)
			id, member := c.Enrol(t, w, "Ada Lovelace")
			v, err := w.ReadDocument(t).Verifier(w.Clock.Now())
			must(t, err)
			p, err := member.Present(t.Context(), c.Key, []byte("a payment"), nil)
			must(t, err)
			must(t, v.Verify(p.Bytes(), []byte("a payment"), nil))

			row, err := w.Member(t.Context(), id)
			must(t, err)
			if row.Name != "Ada Lovelace" || row.State != ledger.MemberActive || row.Epoch != 7 {
				t.Fatalf("got %+v", row)
			}
		})
	}
}

func TestEveryStepCanBeRepeated(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	s := c.Begin(t, w)
	req := c.JoinFor(t, w, s, c.EKID(t, w), "Ada Lovelace")
	ch, err := w.Join(t.Context(), s.ID, req)
	must(t, err)
	again, err := w.Join(t.Context(), s.ID, req)
	must(t, err)
	if !reflect.DeepEqual(again, ch) {
		t.Fatal("a repeated join got another challenge")
	}
	answer := registrationtest.MAC(t, c.Answer(t, ch), s.ID)

	// Many at once, as a wallet that lost patience sends them.
	var wg sync.WaitGroup
	got := make([]*registration.Activation, 8)
	errs := make([]error, len(got))
	for i := range got {
		wg.Go(func() { got[i], errs[i] = w.Activate(t.Context(), s.ID, answer) })
	}
	wg.Wait()
	for i := range got {
		must(t, errs[i])
		if !reflect.DeepEqual(got[i], got[0]) {
			t.Fatal("repeated activations got different credentials")
		}
	}

	// A process that starts anew on the same register answers the same, in a
	// later epoch too.
	w.Clock.Forward(registrationtest.EpochLength)
	second, err := registration.New(t.Context(), w.Config)
	must(t, err)
	later, err := second.Activate(t.Context(), s.ID, answer)
	must(t, err)
	if !reflect.DeepEqual(later, got[0]) {
		t.Fatal("a repeated activation got another credential after a restart")
	}
	_, err = second.Activate(t.Context(), s.ID, make([]byte, 32))
	wantErr(t, err, registration.ErrActivation)
}

func TestBeginRefuses(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	unknown := registrationtest.NewComputer(t, bench, registrationtest.Stranger, "rsa2048")
	twin := registrationtest.NewComputer(t, bench, registrationtest.TPMB, "rsa2048")
	ecc := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "p384")
	flip := func(b []byte, i int) []byte { b = bytes.Clone(b); b[i] ^= 1; return b }
	chain := func(der ...[]byte) [][]byte { return der }
	cert := c.EK.CertificateDER
	cases := []struct {
		name  string
		chain [][]byte
		ek    []byte
		want  error
	}{
		{"a TPM of an unknown manufacturer", chain(unknown.EK.CertificateDER), unknown.EK.Public, registration.ErrEKChain},
		{"another TPM's certificate", chain(twin.EK.CertificateDER), c.EK.Public, registration.ErrEKChain},
		{"a flipped bit in the certificate's signature", chain(flip(cert, len(cert)-1)), c.EK.Public, registration.ErrEKChain},
		{"a flipped bit in the certificate's body", chain(flip(cert, len(cert)/2)), c.EK.Public, registration.ErrEKChain},
		{"a certificate that is none", chain([]byte("certificate")), c.EK.Public, registration.ErrEKChain},
		{"a flipped bit in the key's attributes", chain(cert), flip(c.EK.Public, 6), registration.ErrEKProfile},
		{"the TPM's other endorsement key", chain(ecc.EK.CertificateDER), ecc.EK.Public, registration.ErrEKProfile},
		{"no certificate", nil, c.EK.Public, registration.ErrMalformed},
		{"an empty certificate", chain(nil), c.EK.Public, registration.ErrMalformed},
		{"too many certificates", make([][]byte, attest.MaxChain+1), c.EK.Public, registration.ErrMalformed},
		{"a certificate too large", chain(make([]byte, attest.MaxCertificate+1)), c.EK.Public, registration.ErrMalformed},
		{"no key", chain(cert), nil, registration.ErrMalformed},
		{"a key too large", chain(cert), make([]byte, registration.MaxEKPublic+1), registration.ErrMalformed},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := w.Begin(t.Context(), &registration.BeginRequest{EKChain: tc.chain, EKPublic: tc.ek})
			wantErr(t, err, tc.want)
		})
	}
	c.Begin(t, w) // unchanged, it passes
}

func TestJoinRefuses(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	s := c.Begin(t, w)
	good := c.JoinFor(t, w, s, c.EKID(t, w), "Ada Lovelace")
	stale := *s
	stale.Nonce = [32]byte{1}
	foreign := registrationtest.NewWorld(t, bench)
	flip := func(b []byte, i int) []byte { b = bytes.Clone(b); b[i] ^= 1; return b }

	type req = registration.JoinRequest
	cases := []struct {
		name   string
		change func(r *req)
		want   error
	}{
		{"a flipped bit in the point Q of the proof", func(r *req) { r.Join = flip(r.Join, 20) }, registration.ErrJoinProof},
		{"another sign of the tag", func(r *req) { r.Join = flip(r.Join, 33) }, registration.ErrJoinProof},
		{"another sign of Uh", func(r *req) { r.Join = flip(r.Join, 66) }, registration.ErrJoinProof},
		{"another sign of the escrow's C1", func(r *req) { r.Join = flip(r.Join, 99) }, registration.ErrJoinProof},
		{"another sign of the escrow's C2", func(r *req) { r.Join = flip(r.Join, 164) }, registration.ErrJoinProof},
		{"a flipped bit in c", func(r *req) { r.Join = flip(r.Join, 229+31) }, registration.ErrJoinProof},
		{"a flipped bit in the TPM's nonce", func(r *req) { r.Join = flip(r.Join, 261+31) }, registration.ErrJoinProof},
		{"a flipped bit in s_f", func(r *req) { r.Join = flip(r.Join, 293+31) }, registration.ErrJoinProof},
		{"a flipped bit in s_u", func(r *req) { r.Join = flip(r.Join, 325+31) }, registration.ErrJoinProof},
		{"a flipped bit in s_k", func(r *req) { r.Join = flip(r.Join, 357+31) }, registration.ErrJoinProof},
		{"a proof for another nonce", func(r *req) { *r = *c.JoinFor(t, w, &stale, c.EKID(t, w), "Ada") }, registration.ErrJoinProof},
		{"a proof for another TPM's EK", func(r *req) { *r = *c.JoinFor(t, w, s, [32]byte{1}, "Ada") }, registration.ErrJoinProof},
		{"a proof for another group", func(r *req) { *r = *c.JoinFor(t, foreign, s, c.EKID(t, w), "Ada") }, registration.ErrJoinProof},
		{"a proof of the wrong size", func(r *req) { r.Join = r.Join[1:] }, registration.ErrMalformed},
		{"a group key that can leave its TPM", func(r *req) { r.KeyPublic = flip(r.KeyPublic, 7) }, registration.ErrTemplate},
		{"a group key with another point", func(r *req) { r.KeyPublic = flip(r.KeyPublic, len(r.KeyPublic)-1) }, registration.ErrTemplate},
		{"the endorsement key as group key", func(r *req) { r.KeyPublic = c.EK.Public }, registration.ErrTemplate},
		{"no group key", func(r *req) { r.KeyPublic = nil }, registration.ErrMalformed},
		{"a public area too large", func(r *req) { r.KeyPublic = make([]byte, enrol.MaxKeyPublic+1) }, registration.ErrMalformed},
		{"a digest of another form", func(r *req) { r.FormDigest[0] ^= 1 }, registration.ErrJoinProof},
		{"another form than was proven", func(r *req) { r.Form = c.JoinFor(t, w, s, c.EKID(t, w), "Charles").Form }, registration.ErrForm},
		{"a flipped bit in the form", func(r *req) { r.Form = flip(r.Form, len(r.Form)-1) }, registration.ErrForm},
		{"no form", func(r *req) { r.Form = nil }, registration.ErrMalformed},
		{"a form too large", func(r *req) { r.Form = make([]byte, enrol.MaxSealedForm+1) }, registration.ErrMalformed},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := *good
			tc.change(&r)
			_, err := w.Join(t.Context(), s.ID, &r)
			wantErr(t, err, tc.want)
		})
	}
	t.Run("a session that does not exist", func(t *testing.T) {
		_, err := w.Join(t.Context(), enrol.ID{1}, good)
		wantErr(t, err, registration.ErrNotFound)
	})
	t.Run("a group key of the right template with Q's negative in the proof", func(t *testing.T) {
		r := *good
		r.Join = flip(r.Join, 0)
		_, err := w.Join(t.Context(), s.ID, &r)
		wantErr(t, err, registration.ErrJoinProof)
	})

	// After all those refusals the session still takes the good join.
	_, err := w.Join(t.Context(), s.ID, good)
	must(t, err)
	_, err = w.Join(t.Context(), s.ID, c.JoinFor(t, w, s, c.EKID(t, w), "Ada Lovelace"))
	wantErr(t, err, registration.ErrAnswered)
}

func TestActivateRefuses(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	s := c.Begin(t, w)
	_, err := w.Activate(t.Context(), s.ID, make([]byte, 32))
	wantErr(t, err, registration.ErrNotJoined)
	_, err = w.Activate(t.Context(), enrol.ID{1}, make([]byte, 32))
	wantErr(t, err, registration.ErrNotFound)

	ch, err := w.Join(t.Context(), s.ID, c.JoinFor(t, w, s, c.EKID(t, w), "Ada Lovelace"))
	must(t, err)
	good := registrationtest.MAC(t, c.Answer(t, ch), s.ID)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x80
		_, err := w.Activate(t.Context(), s.ID, bad)
		wantErr(t, err, registration.ErrActivation)
	}
	_, err = w.Activate(t.Context(), s.ID, nil)
	wantErr(t, err, registration.ErrActivation)
	_, err = w.Activate(t.Context(), s.ID, registrationtest.MAC(t, c.Answer(t, ch), enrol.ID{1}))
	wantErr(t, err, registration.ErrActivation)
	_, err = w.Member(t.Context(), s.ID)
	wantErr(t, err, registration.ErrNotFound)

	_, err = w.Activate(t.Context(), s.ID, good)
	must(t, err)
}

func TestAChallengeIsForOneTPMAndOneKey(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	c, other := registrationtest.NewComputer(t, bench, registrationtest.TPMB, "rsa2048"), registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	s := c.Begin(t, w)
	ch, err := w.Join(t.Context(), s.ID, c.JoinFor(t, w, s, c.EKID(t, w), "Ada Lovelace"))
	must(t, err)
	if _, err := other.Key.ActivateCredential(t.Context(), "rsa2048", ch.CredentialBlob, ch.EncryptedSecret); err == nil {
		t.Fatal("another TPM read the challenge")
	}
	first := c.Key
	c.NewKey(t)
	_, err = c.Key.ActivateCredential(t.Context(), "rsa2048", ch.CredentialBlob, ch.EncryptedSecret)
	wantErr(t, err, tpm.ErrCredential)
	c.Key = first
	c.Answer(t, ch)
}

func TestAKeyOutsideTheTPMGetsNoCredential(t *testing.T) {
	// A stranger shows somebody else's EK and joins with the key of a TPM of
	// his own: the proof holds, but nobody can read the challenge, and nothing
	// stands in the owner's way.
	w := registrationtest.NewWorld(t, bench)
	owner, thief := registrationtest.NewComputer(t, bench, registrationtest.TPMB, "rsa2048"), registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	s := owner.Begin(t, w)
	ch, err := w.Join(t.Context(), s.ID, thief.JoinFor(t, w, s, owner.EKID(t, w), "Nobody"))
	must(t, err)
	if _, err := thief.Key.ActivateCredential(t.Context(), "rsa2048", ch.CredentialBlob, ch.EncryptedSecret); err == nil {
		t.Fatal("the thief's TPM read the challenge")
	}
	_, err = owner.Key.ActivateCredential(t.Context(), "rsa2048", ch.CredentialBlob, ch.EncryptedSecret)
	wantErr(t, err, tpm.ErrCredential)
	owner.Enrol(t, w, "Ada Lovelace")
	thief.Enrol(t, w, "Charles Babbage")
}

func TestEachTPMAndKeyIsRegisteredOnce(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	a, b := registrationtest.NewComputer(t, bench, registrationtest.TPMB, "rsa2048"), registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	sb := b.Begin(t, w)
	uhOfA := *b
	uhOfA.U = a.U // the same scalar on another TPM
	early := uhOfA.JoinFor(t, w, sb, b.EKID(t, w), "Charles Babbage")
	ch, err := w.Join(t.Context(), sb.ID, early)
	must(t, err)

	a.Enrol(t, w, "Ada Lovelace")

	_, err = w.Begin(t.Context(), a.BeginRequest())
	wantErr(t, err, registration.ErrEKRegistered)

	// Its join was accepted before a was a member: the activation refuses, in
	// the same transaction that would have made it a member.
	_, err = w.Activate(t.Context(), sb.ID, registrationtest.MAC(t, b.Answer(t, ch), sb.ID))
	wantErr(t, err, registration.ErrTagRegistered)
	_, err = w.Member(t.Context(), sb.ID)
	wantErr(t, err, registration.ErrNotFound)
	_, err = w.Join(t.Context(), sb.ID, early)
	wantErr(t, err, registration.ErrNotFound) // the session is used up

	sb = b.Begin(t, w)
	_, err = w.Join(t.Context(), sb.ID, uhOfA.JoinFor(t, w, sb, b.EKID(t, w), "Charles Babbage"))
	wantErr(t, err, registration.ErrTagRegistered)
	keyOfA := *a
	keyOfA.U, err = group.DeriveWalletSecret(make([]byte, 32), group.ID{}, []byte("another wallet"))
	must(t, err)
	_, err = w.Join(t.Context(), sb.ID, keyOfA.JoinFor(t, w, sb, b.EKID(t, w), "Ada again"))
	wantErr(t, err, registration.ErrTagRegistered)
	b.Enrol(t, w, "Charles Babbage")
}

func TestSessionsEnd(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")

	t.Run("when their time is up before the join", func(t *testing.T) {
		s := c.Begin(t, w)
		r := c.JoinFor(t, w, s, c.EKID(t, w), "Ada")
		w.Clock.Forward(registration.DefaultSession)
		_, err := w.Join(t.Context(), s.ID, r)
		wantErr(t, err, registration.ErrSessionExpired)
	})
	t.Run("when their time is up before the activation", func(t *testing.T) {
		s := c.Begin(t, w)
		r := c.JoinFor(t, w, s, c.EKID(t, w), "Ada")
		ch, err := w.Join(t.Context(), s.ID, r)
		must(t, err)
		w.Clock.Forward(registration.DefaultSession)
		_, err = w.Join(t.Context(), s.ID, r)
		wantErr(t, err, registration.ErrSessionExpired)
		_, err = w.Activate(t.Context(), s.ID, registrationtest.MAC(t, c.Answer(t, ch), s.ID))
		wantErr(t, err, registration.ErrSessionExpired)
	})
	t.Run("and each has a nonce of its own", func(t *testing.T) {
		s := c.Begin(t, w)
		second := c.Begin(t, w)
		if second.ID == s.ID || second.Nonce == s.Nonce {
			t.Fatal("a nonce was given twice")
		}
		_, err := w.Join(t.Context(), second.ID, c.JoinFor(t, w, s, c.EKID(t, w), "Ada")) // the other's join
		wantErr(t, err, registration.ErrJoinProof)
	})
	t.Run("and are swept away", func(t *testing.T) {
		s := c.Begin(t, w)
		w.Clock.Forward(registration.DefaultSession + time.Minute)
		registrationtest.NewComputer(t, bench, registrationtest.TPMB, "rsa2048").Begin(t, w)
		_, err := w.Activate(t.Context(), s.ID, make([]byte, 32))
		wantErr(t, err, registration.ErrNotFound)
	})
}

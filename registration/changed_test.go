package registration_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/ledger/sqlite"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/registration/registrationtest"
)

// TestThePolicyOfTheActivationCounts: it changed since the join.
func TestThePolicyOfTheActivationCounts(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, tpm *registrationtest.SoftTPM, p *registration.Policy)
		want   error
	}{
		{"its key is public", func(_ *testing.T, tpm *registrationtest.SoftTPM, p *registration.Policy) {
			f := tpm.F.Bytes()
			p.Leaked = [][]byte{f[:]}
		}, registration.ErrLeaked},
		{"its manufacturer is struck off", func(t *testing.T, _ *registrationtest.SoftTPM, p *registration.Policy) {
			p.EKRoots = registrationtest.NewMaker(t).Roots(t)
		}, registration.ErrEKChain},
		{"keys are made after another template", func(t *testing.T, _ *registrationtest.SoftTPM, p *registration.Policy) {
			p.Platform = platform(t)
		}, registration.ErrTemplate},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, maker := softWorld(t)
			ctx := t.Context()
			tpm := maker.TPM(t, nil)
			open, err := w.Begin(ctx, tpm.BeginRequest())
			must(t, err)
			ch, err := w.Join(ctx, open.ID, tpm.Join(t, w, open, "Ada Lovelace"))
			must(t, err)
			mac := registrationtest.MAC(t, tpm.Answer(t, ch), open.ID)
			p := w.Policy()
			c.change(t, tpm, &p)
			must(t, w.Reload(ctx, p))
			_, err = w.Activate(ctx, open.ID, mac)
			wantErr(t, err, c.want)
			_, err = w.Member(ctx, open.ID)
			wantErr(t, err, registration.ErrNotFound)
		})
	}
}

// TestAManufacturersKindStays: with the other kind each of his TPMs could become a
// member once more.
func TestAManufacturersKindStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "register.db")
	open := func() *sqlite.Register {
		r, err := sqlite.OpenRegister(t.Context(), path, sqlite.Options{})
		must(t, err)
		return r
	}
	r := open()
	w := registrationtest.NewWorld(t, bench, func(c *registration.Config) { c.Register = r })
	ctx := t.Context()
	pem, err := bench.RootsPEM(ctx)
	must(t, err)
	policy := func(roots *attest.Roots) registration.Policy {
		p := w.Config.Policy
		p.EKRoots = roots
		return p
	}
	rsa, p384 := policy(w.Config.EKRoots), policy(registrationtest.Roots(t, pem, "p384"))
	none := policy(registrationtest.NewMaker(t).Roots(t))
	must(t, w.Reload(ctx, p384)) // nobody is there yet
	must(t, w.Reload(ctx, rsa))
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	c.Enrol(t, w, "Ada Lovelace")
	wantErr(t, w.Reload(ctx, p384), registration.ErrPolicy)
	must(t, w.Reload(ctx, none)) // and by no detour
	wantErr(t, w.Reload(ctx, p384), registration.ErrPolicy)
	begin := func(p registration.Policy) error {
		cfg := w.Config
		cfg.Policy, cfg.Register = p, r
		_, err := registration.New(ctx, cfg)
		return err
	}
	wantErr(t, begin(p384), registration.ErrPolicy)
	must(t, begin(rsa))

	// A register of before has none put down: those in force were used.
	must(t, r.Close())
	db, err := sql.Open("sqlite", path)
	must(t, err)
	_, err = db.Exec("DELETE FROM meta WHERE name='ek-kinds'")
	must(t, errors.Join(err, db.Close()))
	r = open()
	defer r.Close()
	must(t, begin(rsa))
	wantErr(t, begin(p384), registration.ErrPolicy)
}

// TestABeginEndsNobodysRegistration: a stranger who knows the certificate repeats
// it.
func TestABeginEndsNobodysRegistration(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	ctx := t.Context()
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	s := c.Begin(t, w)
	for range 5 {
		c.Begin(t, w)
	}
	ch, err := w.Join(ctx, s.ID, c.JoinFor(t, w, s, c.EKID(t, w), "Ada Lovelace"))
	must(t, err)
	for range 40 {
		c.Begin(t, w)
	}
	if n, err := w.Counts(ctx); err != nil || n.Sessions > 16 {
		t.Fatalf("%d registrations of one TPM, %v", n.Sessions, err)
	}
	_, err = w.Activate(ctx, s.ID, registrationtest.MAC(t, c.Answer(t, ch), s.ID))
	must(t, err)
}

func TestADocumentKeptIsReadLater(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	seen := w.ReadDocument(t)
	jws, err := w.Config.Keeper.Last(t.Context())
	must(t, err)
	doc, err := groupdoc.ParseKept(w.Group.Root, jws)
	must(t, err)
	if doc.Digest != seen.Digest {
		t.Fatal("another document was kept than shown")
	}
}

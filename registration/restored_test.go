package registration_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/ledger/sqlite"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/trust"
)

// backup is a world whose register was copied before its last warrant.
type backup struct {
	*registrationtest.World
	jws     [][]byte
	entries []warrant.Entry
	path    string
}

func newBackup(t *testing.T) *backup {
	t.Helper()
	b := &backup{path: filepath.Join(t.TempDir(), "backup.db")}
	path := filepath.Join(t.TempDir(), "register.db")
	r, err := sqlite.OpenRegister(t.Context(), path, sqlite.Options{})
	must(t, err)
	b.World = registrationtest.NewWorld(t, bench, func(c *registration.Config) { c.Register = r })
	b.Enter(t, warrant.Open, warrant.Case([32]byte{1}))
	must(t, r.Close())
	raw, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(b.path, raw, 0o600))
	r, err = sqlite.OpenRegister(t.Context(), path, sqlite.Options{})
	must(t, err)
	defer r.Close()
	cfg := b.Config
	cfg.Register = r
	b.Manager, err = registration.New(t.Context(), cfg)
	must(t, err)
	b.jws, _ = b.Enter(t, warrant.Trace, warrant.Membership{Member: enrol.ID{1}}.Subject())
	b.Clock.Forward(time.Minute)
	must(t, b.Reload(t.Context(), b.Policy()))
	b.entries, err = b.Warrants(t.Context(), 0)
	must(t, err)
	return b
}

// begin begins on the backup.
func (b *backup) begin(t *testing.T, change func(*registration.Config)) (*registration.Manager, error) {
	t.Helper()
	r, err := sqlite.OpenRegister(t.Context(), b.path, sqlite.Options{})
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	cfg := b.Config
	cfg.Register = r
	if change != nil {
		change(&cfg)
	}
	return registration.New(t.Context(), cfg)
}

func TestARegisterThatWasRestored(t *testing.T) {
	b := newBackup(t)
	published := b.ReadDocument(t)
	_, err := b.begin(t, nil)
	wantErr(t, err, registration.ErrRestored)
	_, err = b.begin(t, func(c *registration.Config) { c.Restored = &registration.Restored{} })
	wantErr(t, err, registration.ErrRestored) // a warrant is lost
	other := b.entries[1]
	other.Warrant[0] ^= 1
	_, err = b.begin(t, func(c *registration.Config) {
		c.Restored = &registration.Restored{Entries: []warrant.Entry{b.entries[0], other}}
	})
	wantErr(t, err, registration.ErrRestored)

	m, err := b.begin(t, func(c *registration.Config) { c.Restored = &registration.Restored{Entries: b.entries} })
	must(t, err)
	b.Manager = m
	must(t, b.ReadDocument(t).After(published))
	_, err = m.WarrantPapers(t.Context(), b.entries[1].Warrant)
	wantErr(t, err, registration.ErrNoPapers)
	_, err = m.EnterWarrant(t.Context(), b.jws[:1])
	wantErr(t, err, registration.ErrWarrant)
	e, err := m.EnterWarrant(t.Context(), b.jws)
	must(t, err)
	papers, err := m.WarrantPapers(t.Context(), e.Warrant)
	must(t, err)
	if *e != b.entries[1] || string(papers[0]) != string(b.jws[0]) {
		t.Fatal("another entry, or other papers")
	}
	_, err = b.begin(t, nil) // and from now on it is whole
	must(t, err)
}

func TestANumberIsNotUsedAgainAfterARestore(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	seen := w.ReadDocument(t)
	cfg := w.Config
	cfg.Register = registrationtest.EmptyRegister(t)
	w.Clock.Forward(time.Minute)
	_, err := registration.New(t.Context(), cfg)
	wantErr(t, err, registration.ErrRestored)
	cfg.Restored = &registration.Restored{}
	w.Manager, err = registration.New(t.Context(), cfg)
	must(t, err)
	if doc := w.ReadDocument(t); doc.Seq <= seen.Seq {
		t.Fatalf("number %d after %d", doc.Seq, seen.Seq)
	}
}

func TestTheDocumentKeptBesideARegister(t *testing.T) {
	t.Run("is that of another register of the group", func(t *testing.T) {
		w := registrationtest.NewWorld(t, bench)
		w.Enter(t, warrant.Open, warrant.Case([32]byte{1}))
		cfg := w.Config
		cfg.Register, cfg.Keeper = registrationtest.EmptyRegister(t), nil
		other, err := registration.New(t.Context(), cfg)
		must(t, err)
		same := *w
		same.Manager = other
		same.Enter(t, warrant.Open, warrant.Case([32]byte{1}))
		cfg.Keeper, cfg.Restored = w.Config.Keeper, &registration.Restored{}
		_, err = registration.New(t.Context(), cfg)
		wantErr(t, err, registration.ErrRegister)
	})
	t.Run("is that of another group", func(t *testing.T) {
		w, other := registrationtest.NewWorld(t, bench), registrationtest.NewWorld(t, bench)
		cfg := w.Config // the same root and name, another issuing key
		cfg.Issuer, cfg.Register, cfg.Keeper = other.Config.Issuer, registrationtest.EmptyRegister(t), &registrationtest.Keeper{}
		_, err := registration.New(t.Context(), cfg)
		must(t, err)
		w.Config.Keeper = cfg.Keeper
		_, err = registration.New(t.Context(), w.Config)
		wantErr(t, err, registration.ErrOtherGroup)
		w.Config.Keeper = other.Config.Keeper // another root
		_, err = registration.New(t.Context(), w.Config)
		wantErr(t, err, trust.ErrChain)
	})
	t.Run("is missing, and there are members", func(t *testing.T) {
		w, maker := softWorld(t)
		cfg := w.Config
		cfg.Keeper = &registrationtest.Keeper{}
		_, err := registration.New(t.Context(), cfg) // nobody is there yet
		must(t, err)
		enrolSoft(t, w, maker.TPM(t, nil))
		cfg.Keeper = &registrationtest.Keeper{}
		_, err = registration.New(t.Context(), cfg)
		wantErr(t, err, registration.ErrRestored)
		cfg.Restored = &registration.Restored{}
		before := w.ReadDocument(t)
		w.Manager, err = registration.New(t.Context(), cfg)
		must(t, err)
		if doc := w.ReadDocument(t); doc.Seq < before.Seq+1000 {
			t.Fatalf("number %d, which may have been used", doc.Seq)
		}
	})
	t.Run("can't be written", func(t *testing.T) {
		k := &fullDisk{}
		w := registrationtest.NewWorld(t, bench, func(c *registration.Config) { c.Keeper = k })
		before := w.ReadDocument(t)
		k.full = true
		wantErr(t, w.Reload(t.Context(), w.Policy()), registration.ErrUnavailable)
		if w.ReadDocument(t).Seq != before.Seq {
			t.Fatal("a document is shown that was not kept")
		}
	})
}

type fullDisk struct {
	registrationtest.Keeper
	full bool
}

func (k *fullDisk) Keep(ctx context.Context, jws []byte) error {
	if k.full {
		return errors.New("no space left on device")
	}
	return k.Keeper.Keep(ctx, jws)
}

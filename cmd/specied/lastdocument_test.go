package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/registration/registrationtest"
)

func TestTheDocumentIsKeptBesideTheDatabase(t *testing.T) {
	dir := t.TempDir()
	cfg := groupConfig{Database: "group.db"}
	f := base(dir).lastDocument(&cfg)
	if want := filepath.Join(dir, "group.db.last-document.jws"); string(f) != want {
		t.Fatalf("in %s, not in %s", f, want)
	}
	if jws, err := f.Last(t.Context()); err != nil || jws != nil {
		t.Fatalf("nothing is kept yet: %q, %v", jws, err)
	}
	for _, jws := range []string{"a.b.c", "d.e.f"} {
		if err := f.Keep(t.Context(), []byte(jws)); err != nil {
			t.Fatal(err)
		}
		if got, err := f.Last(t.Context()); err != nil || string(got) != jws {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if files := must(os.ReadDir(dir))(t); len(files) != 1 {
		t.Fatalf("%d files are left", len(files))
	}
	cfg.LastDocument = "elsewhere/last.jws"
	f = base(dir).lastDocument(&cfg)
	if want := filepath.Join(dir, "elsewhere", "last.jws"); string(f) != want {
		t.Fatalf("in %s, not in %s", f, want)
	}
	if err := f.Keep(t.Context(), []byte("a.b.c")); err == nil {
		t.Fatal("it was kept in a directory that is not there")
	}
	if err := os.MkdirAll(string(f), 0o700); err != nil { // a directory in its place
		t.Fatal(err)
	}
	if err := f.Keep(t.Context(), []byte("a.b.c")); err == nil {
		t.Fatal("it was kept")
	}
	if files := must(os.ReadDir(filepath.Dir(string(f))))(t); len(files) != 1 {
		t.Fatalf("%d files are left", len(files))
	}
}

// TestARestoredDatabaseIsExplained: as the operator meets it.
func TestARestoredDatabaseIsExplained(t *testing.T) {
	lab := registrationtest.NewLab(t.TempDir())
	maker := registrationtest.NewMaker(t)
	last := lastDocument(filepath.Join(t.TempDir(), "last.jws"))
	w := registrationtest.NewWorld(t, lab, func(c *registration.Config) {
		c.Policy, c.Keeper = registration.Policy{EKRoots: maker.Roots(t)}, last
	})
	_, entry := w.Enter(t, warrant.Open, warrant.Case([32]byte{1}))
	published := w.ReadDocument(t)
	cfg := w.Config
	cfg.Register = registrationtest.EmptyRegister(t)
	_, err := registration.New(t.Context(), cfg)
	if err = last.explain(err); !errors.Is(err, registration.ErrRestored) || !strings.Contains(err.Error(), "--accept-restored") || !strings.Contains(err.Error(), string(last)) {
		t.Fatalf("got %v", err)
	}

	file := filepath.Join(t.TempDir(), "register.json")
	register := warrant.Register{Group: w.Name(), Entries: []warrant.Entry{entry}}
	raw := must(register.Marshal())(t)
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (groupCmd{Warrants: file}).restored(); !errors.Is(err, cli.ErrUsage) {
		t.Fatalf("warrants without --accept-restored: %v", err)
	}
	if r, err := (groupCmd{}).restored(); r != nil || err != nil {
		t.Fatalf("got %v, %v", r, err)
	}
	cfg.Restored = must(groupCmd{AcceptRestored: true, Warrants: file}.restored())(t)
	w.Manager = must(registration.New(t.Context(), cfg))(t)
	if err := w.ReadDocument(t).After(published); err != nil {
		t.Fatal(err)
	}
}

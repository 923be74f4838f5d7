package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/docstest"
)

// TestDocs runs docs/operator.md in its order, against a bank that starts where
// a comment of the page says so, and docs/restoring.md, in which it is lost.
func TestDocs(t *testing.T) {
	before, after := docstest.Read(t, "docs/operator.md").Until(t, "start")
	h := newHouse(t, 4, 2)
	build(t, "specie") // beside the other
	h.env = append(h.env, "PATH="+filepath.Dir(h.bin)+string(filepath.ListSeparator)+os.Getenv("PATH"),
		"BANK=http://"+h.issuer, "ADMIN="+freeAddress(t), "SIGNER="+h.metrics)
	run := func(page *docstest.Page) string {
		cmd := exec.Command("sh", "-c", page.Shell())
		cmd.Env, cmd.Dir = h.env, h.dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	run(before)
	h.startSigner()
	bank := h.startIssuer("issuer.yaml")
	said := run(after)
	h.lost(bank, run)
	for _, want := range []string{"WIRE-4713", "because   complaint 17", "camt.053", "the bank redeems only", "this one", "operator/", "closing", "http://127.0.0.1:"} {
		if !strings.Contains(said, want) {
			t.Errorf("nothing says %q:\n%s", want, said)
		}
	}
	if xml := string(must(os.ReadFile(h.path("statement.xml")))(t)); !strings.Contains(xml, "camt.053.001.08") || !strings.Contains(xml, "WIRE-4712") {
		t.Errorf("the statement's file: %s", xml)
	}
	for _, secret := range []string{"alice.token", "olga.token", "till2.token"} {
		if token := strings.TrimSpace(string(must(os.ReadFile(h.path(secret)))(t))); strings.Contains(said, token) {
			t.Errorf("%s was shown", secret)
		}
	}
}

// lost runs docs/restoring.md.
func (h *house) lost(bank *daemon, run func(*docstest.Page) string) {
	t := h.t
	t.Helper()
	var accounts []struct{ ID, Name string }
	unmarshal(t, h.run("--json", "account", "list", "--socket", "issuer.sock"), &accounts)
	alice := ""
	for _, a := range accounts {
		if a.Name == "Alice" {
			alice = a.ID
		}
	}
	h.env = append(h.env, "ALICE="+alice)
	check(t, os.Mkdir(h.path("backup"), 0o700))
	before, after := docstest.Read(t, "docs/restoring.md").Until(t, "stopped")
	run(before)
	h.run("fund", "12.00", "--socket", "issuer.sock", "--account", alice, "--reference", "WIRE-4720") // which the backup lacks
	bank.stop()
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(h.path("issuer.db" + end)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	restore, work := after.Until(t, "started")
	run(restore)
	h.startIssuer("issuer.yaml")
	if said := run(work); !strings.Contains(said, "reconciling since") || !strings.Contains(said, "WIRE-4720") {
		t.Errorf("the restoration says:\n%s", said)
	}
}

// TestDocsOfManufacturers runs docs/ek-roots.md, with manufacturers of its own
// and a review that answers each question of the draft with one name.
func TestDocsOfManufacturers(t *testing.T) {
	dir := t.TempDir()
	check(t, os.CopyFS(filepath.Join(dir, "ek-roots"), os.DirFS(manufacturers(t))))
	manifest := filepath.Join(dir, "ek-roots", attest.Manifest)
	check(t, os.Remove(manifest))
	draft, checked := docstest.Read(t, "docs/ek-roots.md").Until(t, "reviewed")
	bin := filepath.Dir(buildSpecied(t))
	run := func(page *docstest.Page) string {
		cmd := exec.Command("sh", "-c", page.Shell())
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	run(draft)
	text := string(must(os.ReadFile(manifest))(t))
	check(t, os.WriteFile(manifest, []byte(strings.ReplaceAll(text, `"?"`, "INTC")), 0o600))
	if said := run(checked); !strings.Contains(said, "manifest_sha256") {
		t.Errorf("the check says:\n%s", said)
	}
}

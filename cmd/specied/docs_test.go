package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/speciecash/specie/docstest"
)

// TestDocs runs every block of commands of docs/operator.md in its order,
// against a bank that starts where a comment of the page says so.
func TestDocs(t *testing.T) {
	before, after := docstest.Read(t, "docs/operator.md").Until(t, "start")
	h := newHouse(t, 4, 2)
	build(t, "specie") // beside the other
	h.env = append(h.env, "PATH="+filepath.Dir(h.bin)+string(filepath.ListSeparator)+os.Getenv("PATH"),
		"BANK=http://"+h.issuer, "ADMIN="+freeAddress(t))
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
	h.startIssuer("issuer.yaml")
	said := run(after)
	for _, want := range []string{"WIRE-4713", "because   complaint 17", "camt.053", "the bank redeems only", "this one", "operator/", "closing"} {
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

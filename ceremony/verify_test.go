package ceremony_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/officer"
)

// TestEveryCeremonyIsVerifiedFromWhatItLeft holds a whole bank's life and
// verifies it on a machine that has copies of the outputs and nothing else.
func TestEveryCeremonyIsVerifiedFromWhatItLeft(t *testing.T) {
	w := newTown(t, "root", "offline", "online", "manager")
	w.tick = time.Second // nothing takes no time
	w.mustRun(t, rootText)
	must(officer.Create(w.path("alice"), "ALICE", nil))(t)
	follow := func(text, before string) string { return text + "follows: " + before + "\n" }
	w.mustRun(t, follow(issuerText, "root.log"))
	w.mustRun(t, follow(signingText, "issuer.log"))
	w.mustRun(t, follow(denominationsText, "signing.log"))
	w.mustRun(t, follow(groupText, "keyset-1.log"))
	w.mustRun(t, follow(certifyText, "group.log"))
	w.mustRun(t, follow(restoreText, "alice.log"))
	w.mustRun(t, follow(rotateText, "restore.log"))
	w.mustRun(t, follow(orderText, "keyset-2.log"))
	kids := []string{}
	for _, d := range w.keyset(t, "keyset-2.jws").Denominations {
		kids = append(kids, d.KeyID.String())
	}
	revoke := change(t, revokeText, "sequence: 2", "sequence: 3", "previous: keyset-1.jws", "previous: keyset-2.jws",
		"keyset: keyset-2.jws", "keyset: keyset-3.jws", "REVOKED", strings.Join(kids, ", "))
	w.mustRun(t, follow(revoke, "order.log"))
	destroy := change(t, destroyText, "keyset-2.jws", "keyset-3.jws", "so_pin:", "also: [receipts, receipts-b]\nso_pin:")
	w.mustRun(t, follow(destroy, "revoke.log"))

	auditor := t.TempDir()
	logs := []string{"root", "issuer", "signing", "keyset-1", "group", "alice", "restore", "keyset-2", "order", "revoke", "destroy"}
	for _, name := range append([]string{"root.pem", "issuer.pem", "signing.pem", "signing-b.pem", "keyset-1.jws", "keyset-2.jws", "keyset-3.jws",
		"group.pem", "group.sealed", "alice/request.csr", "alice.pem", "order.jws"}, suffixed(logs, ".log")...) {
		if err := os.WriteFile(filepath.Join(auditor, filepath.Base(name)), w.file(t, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SOFTHSM2_CONF", filepath.Join(auditor, "none"))
	v := &ceremony.Verifier{Root: w.root(t), Roster: must(approval.ParseRoster(w.file(t, "officers.yaml")))(t), Dir: auditor}
	for _, name := range logs {
		r, err := v.Verify(w.file(t, name+".log"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, c := range r.Claims {
			if c.Standing != ceremony.Holds {
				t.Errorf("%s: %+v", name, c)
			}
		}
		if len(r.Approved) != 2 || r.By == "" || !slices.ContainsFunc(r.Claims, func(c ceremony.Claim) bool {
			return strings.Contains(c.Claim, "follows") || name == "root"
		}) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func suffixed(list []string, suffix string) (out []string) {
	for _, s := range list {
		out = append(out, s+suffix)
	}
	return out
}

package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/speciecash/specie/client/issuerclient"
)

// stolen keeps a copy of the purse, as a thief of his own money would.
func (s *street) stolen() {
	s.t.Helper()
	check(s.t, errors.Join(os.RemoveAll(s.path("stale")), os.CopyFS(s.path("stale"), os.DirFS(s.path(atPurse)))))
}

// crookPays has the copy of the purse pay a new offer, as if nothing had
// happened before.
func (s *street) crookPays(statuses ...int) {
	s.t.Helper()
	check(s.t, errors.Join(os.RemoveAll(s.path("crook")), os.CopyFS(s.path("crook"), os.DirFS(s.path("stale")))))
	s.peopleAny("crook", statuses, "pay", "--yes", "--kind", "bearer", s.offer("0.05"))
}

// dispossess stops the bank and takes its ledger away.
func (s *street) dispossess() {
	s.t.Helper()
	s.bank.stop()
	for _, end := range []string{"", "-wal", "-shm"} {
		check(s.t, s.remove("issuer.db"+end))
	}
}

// refusesToOpen starts the bank, which must not open and say why.
func (s *street) refusesToOpen(why string) {
	s.t.Helper()
	_, errs := s.fails(1, "issuer", "--config", "inprocess.yaml")
	if !strings.Contains(errs, why) || !strings.Contains(errs, "hint:") || !strings.Contains(errs, "reconcile begin") {
		s.t.Fatalf("the bank does not say why it stays shut: %s", errs)
	}
}

// reconciles goes from a bank that does not open to one that works again, and
// tries meanwhile to spend what was spent.
func (s *street) reconciles(epoch int64) {
	t := s.t
	t.Helper()
	s.run("reconcile", "begin", "--config", "inprocess.yaml")
	s.openBank()
	if out := s.run("reconcile", "status", "--socket", "issuer.sock"); !strings.Contains(out, "reconciling since") {
		t.Errorf("status: %s", out)
	}
	status, body := get("http://" + s.issuer + "/v1/info")
	var info issuerclient.Info
	unmarshal(t, body, &info)
	if status != http.StatusOK || info.RestoreEpoch != epoch || info.Reconciling == nil {
		t.Errorf("info: %d %s", status, body)
	}
	s.crookPays(3)                                                                          // open: the bank says later
	s.peopleAny(atTill, []int{0, 1, 3}, "merchant", "resume")                               // hands in again; the crook's stays open
	s.run("reconcile", "finish", "--socket", "issuer.sock", "--reason", "all tills called") // the bank works again
	s.people(atTill, 0, "merchant", "resume")
	s.peopleAny("crook", []int{1, 3}, "resume")
}

// takings are the till's payments by state.
func (s *street) takings() map[string]int {
	s.t.Helper()
	var list []struct {
		State string `json:"state"`
	}
	unmarshal(s.t, s.people(atTill, 0, "--json", "merchant", "takings"), &list)
	out := map[string]int{}
	for _, x := range list {
		out[x.State]++
	}
	return out
}

func TestAnOldLedgerIsNotBelieved(t *testing.T) {
	s := newStreet(t)
	s.people(atPurse, 0, "withdraw", "0.05")
	s.run("backup", "--socket", "issuer.sock", "--to", "bank.backup")
	if fi := must(os.Stat(s.path("bank.backup")))(t); fi.Mode().Perm() != 0o600 {
		t.Errorf("the backup's mode is %v", fi.Mode())
	}
	s.fails(1, "backup", "--socket", "issuer.sock", "--to", "bank.backup") // nothing is written over
	s.stolen()
	s.people(atPurse, 0, "refund", s.refundable()[0])
	s.crookPays(1) // while the ledger is whole

	// The disk is lost.
	s.dispossess()
	if out := s.run("restore", "--from", "bank.backup", "--config", "inprocess.yaml"); !strings.Contains(out, "restored: bank "+bankID) {
		t.Errorf("restore: %s", out)
	}
	s.fails(1, "restore", "--from", "bank.backup", "--config", "inprocess.yaml") // it is not empty any more
	s.refusesToOpen("restored from a backup")
	s.reconciles(1)
	if got := s.takings(); got["deposited"] != 1 || got["submitted"] != 0 {
		t.Errorf("takings %v", got)
	}
	s.settled("after the restoration") // the merchant is debited for the refund again
	if got := s.sum("refunds", "done"); got != 3 {
		t.Errorf("%d were given back", got)
	}
	s.run("audit", "--socket", "issuer.sock")
	s.bank.stop()
	s.openBank() // the witness knows of the restoration

	// Somebody puts an old copy of the file back.
	s.people(atPurse, 0, "withdraw", "0.05")
	s.stolen()
	db := must(sql.Open("sqlite", s.path("issuer.db")))(t)
	must(db.Exec("VACUUM INTO ?", s.path("old.db")))(t)
	check(t, db.Close())
	s.people(atPurse, 0, "pay", "--yes", "--kind", "bearer", s.offer("0.05"))
	s.dispossess()
	check(t, os.Rename(s.path("old.db"), s.path("issuer.db")))
	s.refusesToOpen("journal records known to be missing: ")
	s.reconciles(2)
	s.settled("after the old copy")
	s.run("audit", "--socket", "issuer.sock")

	// The first backup again, from before either: tills must notice all the same.
	s.dispossess()
	s.run("restore", "--from", "bank.backup", "--config", "inprocess.yaml")
	s.refusesToOpen("restored from a backup")
	s.reconciles(3)
	if got := s.takings(); got["deposited"] != 2 || got["submitted"] != 0 {
		t.Errorf("takings %v", got)
	}
}

func TestABackupIsTheWayFromSQLiteToPostgreSQL(t *testing.T) {
	h := newHouse(t, 2, 2)
	bank := h.startIssuer("inprocess.yaml")
	d := &h.keyset.Denominations[1]
	alice, shop := h.newPayer("alice", "1.00"), h.newPayee("shop")
	c, kept := alice.draw(d), alice.draw(d)
	payment := shop.payment(t, &c, d.Value)
	if status, code, err := shop.deposit(t.Context(), h.issuer, payment); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s %v", status, code, err)
	}
	made := h.run("backup", "--socket", "issuer.sock", "--to", "bank.backup")
	books := h.run("books", "--socket", "issuer.sock")
	bank.stop()

	configs, addresses := h.share(cluster(t), 1)
	h.run("restore", "--from", "bank.backup", "--config", configs[0])
	h.startSigner()
	if _, errs := h.fails(1, "issuer", "--config", configs[0]); !strings.Contains(errs, "restored from a backup") || strings.Contains(errs, "not-a-secret") {
		t.Errorf("the bank opens, or says: %s", errs)
	}
	h.run("reconcile", "begin", "--config", configs[0])
	h.startAll(configs, addresses)
	h.run("reconcile", "finish", "--socket", "issuer.sock", "--reason", "moved to a server, nothing happened meanwhile")
	if now := h.run("books", "--socket", "issuer.sock"); now != books {
		t.Errorf("books were\n%s\nand are\n%s", books, now)
	}
	if status, code, _ := shop.deposit(t.Context(), h.issuer, shop.payment(t, &c, d.Value)); status != http.StatusConflict || code != "double-spend" {
		t.Errorf("spent again: %d %s", status, code)
	}
	if status, code, _ := shop.deposit(t.Context(), h.issuer, shop.payment(t, &kept, d.Value)); status != http.StatusOK {
		t.Errorf("a good coin: %d %s", status, code)
	}
	audited := h.run("audit", "--backup", "bank.backup", "--keyset", "keyset.jws", "--root", "root.pem")
	if _, head, _ := strings.Cut(made, "\n"); head == "" || !strings.HasSuffix(audited, head) {
		t.Errorf("the backup was written with\n%s\nand audited with\n%s", made, audited)
	}
	h.run("audit", "--socket", "issuer.sock")
	if raw := must(os.ReadFile(h.path("issuer0.log")))(t); strings.Contains(string(raw), must(url.QueryUnescape("not-a-secret"))(t)) {
		t.Error("the database's password is in the log")
	}
	var header struct {
		Records int `json:"records"`
	}
	h.run("backup", "--socket", "issuer.sock", "--to", "again.backup")
	check(t, json.Unmarshal([]byte(h.run("--json", "backup", "--socket", "issuer.sock", "--to", "third.backup")), &header))
	if header.Records == 0 {
		t.Error("an empty backup")
	}
}

package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/hsm"
)

// A thief has the use of the bank's key, and a till to pass his coins at.
type thief struct {
	h     *house
	key   *hsm.RSAKey
	d     *coin.Denomination
	till  ed25519.PrivateKey
	token string // of the till's account
	made  uint64
}

func newThief(h *house, key *hsm.RSAKey) *thief {
	h.t.Helper()
	th := &thief{h: h, key: key, d: &h.keyset.Denominations[len(h.keyset.Denominations)-1]}
	var err error
	_, th.till, err = ed25519.GenerateKey(rand.Reader)
	check(h.t, err)
	h.write("request.jws", must(coin.SignMerchantRequest(bankID, th.till))(h.t))
	h.run("account", "--socket", "issuer.sock", "--kind", "merchant", "--name", "Fence", "--merchant-request", "request.jws", "--token-out", "fence.token")
	th.token = strings.TrimSpace(string(must(os.ReadFile(h.path("fence.token")))(h.t)))
	return th
}

// pass forges a coin and deposits it.
func (th *thief) pass() {
	t := th.h.t
	t.Helper()
	var seed coin.Seed
	th.made++
	owner := must(coin.OwnerKey(seed, bankID, th.d.KeyID, th.made))(t)
	planchet := must(coin.NewPlanchet(seed, bankID, th.d, th.made, coin.Owner(owner.Public().(ed25519.PublicKey))))(t)
	forged := must(planchet.Finalize(must(th.key.BlindSign(t.Context(), planchet.Blinded()))(t)))(t)
	offer := must(coin.NewOffer(coin.Offer{
		Mode: coin.Online, Till: "1", Acquirer: bankID, Amount: th.d.Value, Currency: "XTS",
		Expires: now().Add(time.Hour), Kinds: []coin.Kind{coin.Bearer},
	}, coin.PrivateOffer{Name: "Fence"}, th.till))(t)
	spend := must(coin.NewSpend(coin.Spend{
		Purpose: coin.Pay, Bank: bankID, OfferDigest: offer.Digest, Amount: th.d.Value, Currency: "XTS",
		Coins: []coin.Coin{*forged}, IssuedAt: now().Unix(),
	}))(t)
	bearer := must(spend.SignBearer(func(*coin.Coin) (ed25519.PrivateKey, error) { return owner, nil }))(t)
	j := must(coin.NewSpendJSON(spend, &coin.Authorisation{Bearer: bearer}))(t)
	body := must(json.Marshal(issuerclient.DepositRequest{Offer: offer.Public, PayeeSalt: offer.Private.PayeeSalt[:], Spend: *j}))(t)
	req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+th.h.issuer+"/v1/deposits", bytes.NewReader(body)))(t)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+th.token)
	resp := must(http.DefaultClient.Do(req))(t)
	defer resp.Body.Close()
	if answer := must(io.ReadAll(resp.Body))(t); resp.StatusCode != http.StatusOK {
		t.Fatalf("deposit: %d %s", resp.StatusCode, answer)
	}
}

// fails runs one of the operator's commands, which must end with a status.
func (h *house) fails(status int, args ...string) (stdout, stderr string) {
	h.t.Helper()
	cmd := exec.Command(h.bin, args...)
	cmd.Env, cmd.Dir = h.env, h.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != status {
		h.t.Fatalf("%v: status %d, want %d\n%s%s", args, got, status, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

func TestAnOperatorFindsALeakedKey(t *testing.T) {
	h := newHouse(t, 1, 2)
	key := h.mint()
	h.publish()
	issuer := h.startIssuer("inprocess.yaml")
	th := newThief(h, key)
	kid := th.d.KeyID.String()
	check(t, h.withdraw(t.Context(), h.account("alice", "10.00"), th.d, 1))
	th.pass() // as good as the honest coin, which may be lost
	if out := h.run("audit", "--socket", "issuer.sock"); strings.Contains(out, "LEAKED") || !strings.Contains(out, "journal main ends with record ") {
		t.Errorf("audit before:\n%s", out)
	}
	if strings.Contains(issuer.said(), "ALARM") {
		t.Fatal("a false alarm")
	}

	th.pass()
	if said := issuer.said(); strings.Count(said, "ALARM") != 1 || !strings.Contains(said, kid) {
		t.Errorf("the log does not name the key:\n%s", said)
	}
	status, metrics := getOn(t, h.path("issuer.sock"), "/metrics")
	if line := fmt.Sprintf(`specie_key_alarm{kid="%s",kind="bearer",value="2"} 1`, kid); status != http.StatusOK || !strings.Contains(metrics, line) {
		t.Errorf("no line %s in the metrics", line)
	}
	if status, _ := get("http://" + h.issuer + "/readyz"); status != http.StatusOK {
		t.Errorf("readyz %d: an alarm does not stop the bank", status)
	}
	out, errs := h.fails(1, "audit", "--socket", "issuer.sock")
	if !strings.Contains(out, "LEAKED  "+kid) || !strings.Contains(errs, "a key has leaked: revoke it: "+kid) {
		t.Errorf("audit:\n%s%s", out, errs)
	}
	if code := issuer.stop(); code != 0 {
		t.Errorf("the issuer ended with %d", code)
	}

	papers := []string{"--database", "issuer.db", "--keyset", "keyset.jws", "--root", "root.pem"}
	again, errs := h.fails(1, append([]string{"audit"}, papers...)...)
	if again != out || !strings.Contains(errs, kid) {
		t.Errorf("the file alone tells another story:\n%s%s", again, errs)
	}
	out, _ = h.fails(1, append([]string{"--json", "audit"}, papers...)...)
	var report issuerclient.AuditReport
	unmarshal(t, out, &report)
	if report.Sound || report.Found != 0 || !report.Keys[1].Leaked || report.Keys[1].Redeemed != 4 || report.Keys[1].Issued != 2 || report.Coins != 2 {
		t.Errorf("report %s", out)
	}

	db := must(sql.Open("sqlite", h.path("issuer.db")))(t)
	must(db.Exec("UPDATE ops SET account = 'holder/eve' WHERE kind = 'deposit'"))(t)
	check(t, db.Close())
	out, errs = h.fails(1, append([]string{"audit"}, papers...)...)
	if !strings.Contains(out, "problem: ops: op ") || !strings.Contains(errs, "the ledger is wrong") {
		t.Errorf("altered rows:\n%s%s", out, errs)
	}
}

func TestAnAuditIsRefusedWithoutWhatItNeeds(t *testing.T) {
	h := newHouse(t, 1, 2)
	issuer := h.startIssuer("inprocess.yaml")
	h.fails(2, "audit")
	h.fails(2, "audit", "--socket", "issuer.sock", "--database", "issuer.db")
	h.fails(2, "audit", "--socket", "issuer.sock", "--keyset", "keyset.jws")
	h.fails(2, "audit", "--database", "issuer.db")
	h.fails(1, "audit", "--socket", "nowhere.sock")
	// A file may be looked at while the daemon works on it.
	h.run("audit", "--database", "issuer.db", "--keyset", "keyset.jws", "--root", "root.pem")
	// Certificates that have run out: as of when they had not.
	_, errs := h.fails(1, "audit", "--database", "issuer.db", "--keyset", "keyset.jws", "--root", "root.pem", "--at", "2099-01-01T00:00:00Z")
	if !strings.Contains(errs, "outside its validity") {
		t.Errorf("refused for another reason: %s", errs)
	}
	// The keyset before the one that the ledger has seen lacks a revocation.
	before := must(os.ReadFile(h.path("keyset.jws")))(t)
	h.publish()
	eventually(t, "the bank does not take the next keyset", func() bool { return strings.Contains(issuer.said(), "keyset in force") })
	h.write("old.jws", before)
	_, errs = h.fails(1, "audit", "--database", "issuer.db", "--keyset", "old.jws", "--root", "root.pem")
	if !strings.Contains(errs, "older than the known one") {
		t.Errorf("refused for another reason: %s", errs)
	}
}

// getOn is get on a UNIX socket.
func getOn(t testing.TB, socket, path string) (int, string) {
	t.Helper()
	r := must(onSocket(socket).Get("http://operator" + path))(t)
	defer r.Body.Close()
	return r.StatusCode, string(must(io.ReadAll(r.Body))(t))
}

package main

import (
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/api/apitest"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/groupdoc/warrant/warranttest"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/opening/openingtest"
	"github.com/speciecash/specie/server"
)

// alone runs the test once more, in a process of its own, and returns true
// there: issuertest's bank keeps the PKCS #11 module open to the process's end,
// and other tests open it too.
func alone(t *testing.T) bool {
	t.Helper()
	const name = "SPECIED_TEST_ALONE"
	if os.Getenv(name) == t.Name() {
		return true
	}
	dir := must(os.MkdirTemp("", "alone"))(t)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cmd := exec.Command(must(os.Executable())(t), "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), name+"="+t.Name(), "TMPDIR="+dir, lent+"="+filepath.Dir(filepath.Dir(buildSpecied(t))))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

// counter is a bank behind its operator's socket, with a till and a customer.
type counter struct {
	*issuertest.Bank
	bin, socket string
	till        *issuertest.Till
	purse       *issuertest.Purse
}

func newCounter(t *testing.T) *counter {
	t.Helper()
	house := issuertest.NewHouse(t)
	c := &counter{Bank: house.NewBank(t, nil), bin: buildSpecied(t), purse: house.NewPurse(t)}
	c.till = c.NewTill(t)
	h := server.NewIssuer(c.Bank.Bank, server.IssuerOptions{Root: house.Root})
	// A socket's path is short.
	dir := must(os.MkdirTemp("", "bank"))(t)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c.socket = filepath.Join(dir, "admin.sock")
	l := must(net.Listen("unix", c.socket))(t)
	admin := &http.Server{Handler: apitest.Read(t, apitest.Issuer).Watch(t, h.Admin), ReadHeaderTimeout: time.Second}
	go func() { _ = admin.Serve(l) }()
	t.Cleanup(func() { _ = admin.Close() })
	return c
}

// pay withdraws a coin of 4 for the member and spends it so many times.
func (c *counter) pay(t *testing.T, m *issuertest.Member, times int) {
	t.Helper()
	batch := c.purse.PrepareBound(t, m, 4)
	account, _ := c.Funded(t, 4)
	signed := must(c.Withdraw(t.Context(), account, batch.Outputs))(t)
	coins := batch.Finalize(t, signed.Signatures)
	for i := range times {
		offer := c.till.Offer(t, 4, nil)
		spend, authorisation := c.purse.AuthoriseBound(t, m, issuertest.Payment(offer, coins, nil))
		if _, err := c.Deposit(t.Context(), c.till.Account, c.till.Deposit(offer, spend, authorisation)); (err == nil) != (i == 0) {
			t.Fatalf("payment %d: %v", i+1, err)
		}
	}
}

func (c *counter) run(t *testing.T, command string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	a := &authority{t: t, bin: c.bin}
	return a.run(slices.Concat([]string{command, "--socket", c.socket}, args)...)
}

func TestACaseIsFoundByTheBeginningOfItsId(t *testing.T) {
	if !alone(t) {
		return
	}
	c := newCounter(t)
	if out, said, status := c.run(t, "case"); status != 0 || strings.Count(out, "\n") != 1 {
		t.Fatalf("no cases: status %d, %s\n%s", status, said, out)
	}
	member := c.House.Admit(t)
	c.pay(t, member, 2)
	c.pay(t, member, 2)
	var list struct{ Cases []struct{ ID string } }
	out, _, _ := c.run(t, "case", "--json")
	unmarshal(t, out, &list)
	if len(list.Cases) != 2 {
		t.Fatalf("cases: %s", out)
	}
	for i, id := range []string{list.Cases[0].ID[:6], list.Cases[1].ID} {
		file := filepath.Join(t.TempDir(), "case.json")
		out, said, status := c.run(t, "case", "--out", file, id)
		if status != 0 {
			t.Fatal(said)
		}
		subject := must(opening.ParseCase(must(os.ReadFile(file))(t)))(t).Subject()
		if out != file+"\nsubject of a warrant to open it: "+string(subject)+"\n" {
			t.Errorf("written: %s", out)
		}
		var written struct{ Case, Subject string }
		out, _, _ = c.run(t, "case", "--json", "--out", file+"2", id)
		unmarshal(t, out, &written)
		if written.Subject != string(subject) || written.Case != list.Cases[i].ID {
			t.Errorf("written as %+v", written)
		}
		out, said, _ = c.run(t, "case", "--", id)
		if !json.Valid([]byte(out)) || !strings.Contains(said, string(subject)) {
			t.Errorf("shown: %s\n%s", said, out)
		}
	}
	if _, said, status := c.run(t, "case", "--", list.Cases[0].ID[:5]); status != 1 || !strings.Contains(said, "at least 6 characters") {
		t.Errorf("too little of an id: status %d, %s", status, said)
	}
}

func TestOneCaseOfAllPagesIsMeantOrNone(t *testing.T) {
	id := func(begin string, last byte) string {
		raw := must(base64.RawURLEncoding.DecodeString(begin + strings.Repeat("A", 43-len(begin))))(t)
		raw[31] = last
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	one, twin, other := id("-abcdef", 0x10), id("-abcdef", 0x20), id("-abxyz", 1)
	bank := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := issuerclient.Cases{}
		for i, x := range []string{one, other, twin} {
			next := string(rune('1' + i))
			if after := r.URL.Query().Get("after"); after == "" && i == 0 || after == string(rune('0'+i)) {
				page.Cases = []issuerclient.CaseHead{{Id: x, At: now()}}
				if i < 2 {
					page.Next = &next
				}
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(page)
	}))
	t.Cleanup(bank.Close)
	api := must(issuerclient.NewClientWithResponses(bank.URL))(t)
	for _, c := range []struct{ name, begin, want, refusal string }{
		{"an id of the second page", "-abxyz", other, ""},
		{"a whole id", twin, twin, ""},
		{"all of an id but its end", twin[:42], twin, ""},
		{"the beginning of two", "-abcde", "", "several cases"},
		{"the beginning of none", "abcdef", "", "no case's id"},
		{"five characters", "-abxy", "", "at least 6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := findCase(t.Context(), api, c.begin)
			if got != c.want || (err != nil) != (c.refusal != "") || err != nil && !strings.Contains(err.Error(), c.refusal) {
				t.Fatalf("got %q, %v", got, err)
			}
		})
	}
}

func TestATraceSaysWhatItsAmountsAreIn(t *testing.T) {
	if !alone(t) {
		return
	}
	c := newCounter(t)
	g := *c.House.Group
	contents := *g.Contents
	g.Contents = &contents
	court := warranttest.New(&g)
	doc := g.Document(t)
	key := must(openingtest.NewKey())(t)
	eva := must(openingtest.Admit(t.Context(), doc.Parameters(), g.Issuer, doc.Current.Number, "Eva", key, nil))(t)
	c.pay(t, &issuertest.Member{Member: eva.Member, Key: eva.Key, Join: eva.Join}, 1)
	token := put(t, t.TempDir(), "token.json", openingtest.Token(t, court, eva, warrant.Trace, issuertest.Now), 0o600)
	out, said, status := c.run(t, "trace", "--json", token)
	if status != 0 {
		t.Fatal(said)
	}
	var found struct {
		Currency string
		Exponent int
		Member   string
		Hits     []struct{ Amount int }
	}
	unmarshal(t, out, &found)
	if k := c.House.Keyset; found.Currency != k.Currency || found.Exponent != k.Exponent || len(found.Hits) != 1 || found.Hits[0].Amount != 4 || found.Member == "" {
		t.Fatalf("found %+v", found)
	}
}

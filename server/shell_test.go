package server

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/trust"
)

// clerk is a merchant who has nothing but the script of contrib/shell.
type clerk struct {
	*branch
	dir      string
	url      string
	deposits atomic.Int64 // requests that reached the bank
	// instead, if set, answers a deposit; false passes it on.
	instead atomic.Pointer[answerer]
}

type answerer func(w http.ResponseWriter, r *http.Request, pass http.Handler) bool

// answer has deposits answered by f from now on.
func (c *clerk) answer(f answerer) { c.instead.Store(&f) }

func newClerk(t *testing.T) *clerk {
	t.Helper()
	c := &clerk{branch: newBranch(t, readContract(t, "issuer.yaml")), dir: t.TempDir()}
	pass := c.public.Config.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/deposits" {
			c.deposits.Add(1)
			if f := c.instead.Load(); f != nil && (*f)(w, r, pass) {
				return
			}
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	c.url = srv.URL
	c.file(t, "root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.House.Root.Certificate().Raw}))
	c.file(t, "token", []byte(c.till.Token+"\n"))
	return c
}

func (c *clerk) file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs the script over the offer and payment in the clerk's directory.
func (c *clerk) run(t *testing.T, more ...string) (stdout, stderr string, status int) {
	t.Helper()
	in := func(name string) string { return filepath.Join(c.dir, name) }
	args := append([]string{
		"--bank", c.url, "--root", in("root.pem"), "--token-file", in("token"), "--offer", in("offer"), "--payment", in("payment"),
		"--out", in("out"), "--at", strconv.FormatInt(issuertest.Now.Unix(), 10),
	}, more...)
	cmd := exec.CommandContext(t.Context(), "../contrib/shell/specie-deposit.sh", args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if strings.Contains(said.String(), string(c.till.Token)) {
		t.Error("the script shows the token")
	}
	return out.String(), said.String(), cmd.ProcessState.ExitCode()
}

// offer writes an offer's link and returns the offer.
func (c *clerk) offer(t *testing.T, amount coin.Amount) *coin.SignedOffer {
	t.Helper()
	o := c.till.Offer(t, amount, nil)
	link, err := o.Link("http://127.0.0.1:1/pay")
	fatal(t, err)
	text, err := link.Text()
	fatal(t, err)
	c.file(t, "offer", []byte(text+"\n"))
	return o
}

// paid writes what a payer posts.
func (c *clerk) paid(t *testing.T, s *coin.Spend, a *coin.Authorisation) []byte {
	t.Helper()
	data, err := coin.EncodeSpend(s, a)
	fatal(t, err)
	c.file(t, "payment", data)
	return data
}

// spoil alters the payment's JSON.
func (c *clerk) spoil(t *testing.T, payment []byte, change func(map[string]any)) {
	t.Helper()
	var m map[string]any
	fatal(t, json.Unmarshal(payment, &m))
	change(m)
	data, err := json.Marshal(m)
	fatal(t, err)
	c.file(t, "payment", data)
}

// text of a coin whose fields were altered.
func altered(t *testing.T, text any, change func(*coin.Coin)) string {
	t.Helper()
	k, err := coin.ParseCoin(text.(string))
	fatal(t, err)
	change(k)
	out, err := k.Text()
	fatal(t, err)
	return out
}

func flip64(text any) string {
	b, err := base64.RawURLEncoding.DecodeString(text.(string))
	if err != nil {
		panic(err)
	}
	b[len(b)/2] ^= 1
	return base64.RawURLEncoding.EncodeToString(b)
}

func TestTheShellClientDepositsAPayment(t *testing.T) {
	c := newClerk(t)
	o := c.offer(t, 10)
	change := c.purse.Prepare(t, 2, 4)
	s, a := c.purse.Pay(t, o, c.withdraw(t, 8, 8), change.Outputs)
	c.paid(t, s, a)

	if _, said, status := c.run(t, "--check"); status != 0 || c.deposits.Load() != 0 || !strings.Contains(said, "2 coins worth 16, 10 to you, 6 change") {
		t.Fatalf("--check: status %d, %d deposits: %s", status, c.deposits.Load(), said)
	}
	op := s.Op()
	for _, round := range []string{"first", "again"} {
		out, said, status := c.run(t)
		if status != 0 || strings.TrimSpace(out) != base64.RawURLEncoding.EncodeToString(op[:]) {
			t.Fatalf("%s: status %d, op %s: %s", round, status, out, said)
		}
		receipt, err := os.ReadFile(filepath.Join(c.dir, "out", "receipt.jws"))
		fatal(t, err)
		read, err := coin.VerifyDepositReceipt(c.House.Root, receipt, issuertest.Now)
		fatal(t, err)
		fatal(t, read.Covers(s, o.Offer.Payee))
		var answer issuerclient.Deposited
		raw_, err := os.ReadFile(filepath.Join(c.dir, "out", "answer.json"))
		fatal(t, err)
		fatal(t, json.Unmarshal(raw_, &answer))
		change.Finalize(t, raw(answer.Signatures))
	}
	c.CheckBooks(t, 84, 10, 6)
}

func TestTheShellClientWaitsForABankThatCanNot(t *testing.T) {
	c := newClerk(t)
	s, a := c.purse.Pay(t, c.offer(t, 8), c.withdraw(t, 8), nil)
	c.paid(t, s, a)
	for _, lost := range []string{"refused for now", "an answer that is lost"} {
		done := false
		c.answer(func(w http.ResponseWriter, r *http.Request, pass http.Handler) bool {
			if done {
				return false
			}
			done = true
			if lost != "refused for now" {
				pass.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		})
		if out, said, status := c.run(t); status != 0 || out == "" {
			t.Errorf("%s: status %d: %s", lost, status, said)
		}
	}
	c.CheckBooks(t, 92, 8, 0)
}

func TestTheShellClientRefusesBeforeItAsksTheBank(t *testing.T) {
	c := newClerk(t)
	o := c.offer(t, 10)
	coins := c.withdraw(t, 8, 8, 4)
	change := c.purse.Prepare(t, 2, 4)
	s, a := c.purse.Pay(t, o, coins[:2], change.Outputs)
	good := c.paid(t, s, a)
	first := func(m map[string]any, member string) []any { return m[member].([]any) }
	for name, change := range map[string]func(map[string]any){
		"a coin whose signature was altered": func(m map[string]any) {
			first(m, "coins")[0] = altered(t, first(m, "coins")[0], func(k *coin.Coin) { k.Signature[100] ^= 1 })
		},
		"a coin with another owner": func(m map[string]any) {
			first(m, "coins")[0] = altered(t, first(m, "coins")[0], func(k *coin.Coin) { k.Owner[3] ^= 1 })
		},
		"a coin that calls itself worth more": func(m map[string]any) {
			kid := c.House.Key(t, coin.Bearer, 16).KeyID
			first(m, "coins")[0] = altered(t, first(m, "coins")[0], func(k *coin.Coin) { k.KeyID = kid })
		},
		"a coin of another bank": func(m map[string]any) {
			first(m, "coins")[0] = altered(t, first(m, "coins")[0], func(k *coin.Coin) { k.Bank = "OTHERBANK" })
		},
		"a coin twice":                 func(m map[string]any) { first(m, "coins")[1] = first(m, "coins")[0] },
		"coins in another order":       func(m map[string]any) { l := first(m, "coins"); l[0], l[1] = l[1], l[0] },
		"rubbish for a coin":           func(m map[string]any) { first(m, "coins")[0] = "specie1AAAA" },
		"an owner's signature altered": func(m map[string]any) { first(m, "bearer")[0] = flip64(first(m, "bearer")[0]) },
		"an owner's signature missing": func(m map[string]any) { m["bearer"] = first(m, "bearer")[:1] },
		"another amount":               func(m map[string]any) { m["amount"] = 9 },
		"another currency":             func(m map[string]any) { m["currency"] = "USD" },
		"another offer":                func(m map[string]any) { m["offer"] = flip64(m["offer"]) },
		"another purpose":              func(m map[string]any) { m["purpose"] = "exchange" },
		"another date":                 func(m map[string]any) { m["issued_at"] = "2026-05-01T12:00:01Z" },
		"change left out":              func(m map[string]any) { m["to_issuer"] = first(m, "to_issuer")[:1] },
		"change that was swapped": func(m map[string]any) {
			o := first(m, "to_issuer")[0].(map[string]any)
			o["blinded"] = flip64(o["blinded"])
		},
		"a presentation":                func(m map[string]any) { m["presentation"] = "AAAA"; m["group"] = m["offer"] },
		"something for another issuer":  func(m map[string]any) { m["bank"] = "OTHERBANK" },
		"a payment of no known version": func(m map[string]any) { m["v"] = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			c.spoil(t, good, change)
			if _, said, status := c.run(t); status != 2 || c.deposits.Load() != 0 {
				t.Errorf("status %d, %d deposits: %s", status, c.deposits.Load(), said)
			}
		})
	}
	t.Run("a keyset under another root", func(t *testing.T) {
		c.file(t, "payment", good)
		der, err := trust.CreateRoot(c.House.Master.Key, issuertest.Now.AddDate(-1, 0, 0), issuertest.Now.AddDate(1, 0, 0))
		fatal(t, err)
		honest, err := os.ReadFile(filepath.Join(c.dir, "root.pem"))
		fatal(t, err)
		defer c.file(t, "root.pem", honest)
		c.file(t, "root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		if _, said, status := c.run(t); status != 2 || c.deposits.Load() != 0 || !strings.Contains(said, "under the root") {
			t.Errorf("status %d, %d deposits: %s", status, c.deposits.Load(), said)
		}
	})
	t.Run("a coin whose time is over", func(t *testing.T) {
		late := strconv.FormatInt(issuertest.SpendUntil.Unix(), 10)
		if _, said, status := c.run(t, "--at", late); status != 2 || c.deposits.Load() != 0 || !strings.Contains(said, "expired") {
			t.Errorf("status %d, %d deposits: %s", status, c.deposits.Load(), said)
		}
	})
	if _, said, status := c.run(t); status != 0 {
		t.Errorf("the good payment: status %d: %s", status, said)
	}
}

func TestTheShellClientShowsADoubleSpendAndBelievesNoOther(t *testing.T) {
	c := newClerk(t)
	coins := c.withdraw(t, 8, 4)
	earlier, consent := c.purse.Pay(t, c.offer(t, 8), coins[:1], nil)
	c.paid(t, earlier, consent)
	if _, said, status := c.run(t); status != 0 {
		t.Fatalf("status %d: %s", status, said)
	}
	s, a := c.purse.Pay(t, c.offer(t, 12), coins, nil)
	c.paid(t, s, a)
	id := coins[0].ID()
	_, said, status := c.run(t)
	if status != 3 || !strings.Contains(said, "double-spend") || !strings.Contains(said, "coin "+base64.RawURLEncoding.EncodeToString(id[:])+" was spent before") {
		t.Errorf("status %d: %s", status, said)
	}
	for name, change := range map[string]func(conflict map[string]any){
		"a proof whose owner did not sign": func(m map[string]any) {
			s := m["spend"].(map[string]any)
			s["bearer"].([]any)[0] = flip64(s["bearer"].([]any)[0])
		},
		"a proof of another coin": func(m map[string]any) {
			other := coins[1].ID()
			m["coin"] = base64.RawURLEncoding.EncodeToString(other[:])
		},
		"no proof": func(m map[string]any) { delete(m, "v") },
	} {
		t.Run(name, func(t *testing.T) {
			c.answer(func(w http.ResponseWriter, r *http.Request, pass http.Handler) bool {
				return forge(t, w, r, pass, func(m map[string]any) { change(m["conflict"].(map[string]any)) })
			})
			if _, said, status := c.run(t); status != 4 {
				t.Errorf("status %d: %s", status, said)
			}
		})
	}
}

// forge passes a request on and alters the answer.
func forge(t *testing.T, w http.ResponseWriter, r *http.Request, pass http.Handler, change func(map[string]any)) bool {
	rec := httptest.NewRecorder()
	pass.ServeHTTP(rec, r)
	var m map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &m); err != nil {
		t.Error(err)
	}
	change(m)
	w.WriteHeader(rec.Code)
	if err := json.NewEncoder(w).Encode(m); err != nil {
		t.Error(err)
	}
	return true
}

func TestTheShellClientBelievesAGoodReceiptOnly(t *testing.T) {
	c := newClerk(t)
	s, a := c.purse.Pay(t, c.offer(t, 8), c.withdraw(t, 8), nil)
	c.paid(t, s, a)
	for name, change := range map[string]func(string) string{
		"signature altered": func(jws string) string {
			head, sig, _ := cutLast(jws)
			return head + "." + flip64(sig)
		},
		"signed by the master": func(jws string) string {
			payload, err := base64.RawURLEncoding.DecodeString(strings.Split(jws, ".")[1])
			fatal(t, err)
			out, err := trust.Sign(trust.TypReceipt, payload, c.House.Master.Key, c.House.Master.Chain)
			fatal(t, err)
			return string(out)
		},
		"of another deposit": func(jws string) string {
			payload, err := base64.RawURLEncoding.DecodeString(strings.Split(jws, ".")[1])
			fatal(t, err)
			payload = bytes.Replace(payload, []byte(`"amount":8`), []byte(`"amount":9`), 1)
			out, err := trust.Sign(trust.TypReceipt, payload, c.House.Receipts.Key, c.House.Receipts.Chain)
			fatal(t, err)
			return string(out)
		},
		"none": func(string) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			c.answer(func(w http.ResponseWriter, r *http.Request, pass http.Handler) bool {
				return forge(t, w, r, pass, func(m map[string]any) { m["receipt"] = change(m["receipt"].(string)) })
			})
			if _, said, status := c.run(t); status != 4 || strings.Contains(said, "is good") {
				t.Errorf("status %d: %s", status, said)
			}
		})
	}
	c.instead.Store(nil)
	if _, said, status := c.run(t); status != 0 {
		t.Errorf("the good one: status %d: %s", status, said)
	}
}

func cutLast(jws string) (head, sig string, ok bool) {
	i := strings.LastIndex(jws, ".")
	return jws[:i], jws[i+1:], i >= 0
}

func TestTheShellClientSaysHowItIsUsed(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "../contrib/shell/specie-deposit.sh", "--help")
	out, err := cmd.Output()
	if err != nil || !bytes.Contains(out, []byte("exit status")) {
		t.Errorf("%s, %v", out, err)
	}
	cmd = exec.CommandContext(t.Context(), "../contrib/shell/specie-deposit.sh", "--bank", "http://bank.example",
		"--root", "r", "--offer", "o", "--payment", "p", "--token-file", "t")
	cmd.Stderr = io.Discard
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("a token over plain http: %v", err)
	}
}

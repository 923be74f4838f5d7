package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
)

// try withdraws one coin under a key over HTTP.
func (b *branch) try(t *testing.T, d *coin.Denomination) (answer, *issuertest.Batch) {
	t.Helper()
	batch := b.purse.PrepareUnder(t, d)
	return b.post(t, "/v1/withdrawals", b.holderToken, withdrawal(batch)), batch
}

// draw withdraws one coin under a key, and wants it.
func (b *branch) draw(t *testing.T, d *coin.Denomination) coin.Coin {
	t.Helper()
	a, batch := b.try(t, d)
	return batch.Finalize(t, raw(decode[issuerclient.Signed](t, a, 200).Signatures))[0]
}

// pay deposits a coin over HTTP.
func (b *branch) pay(t *testing.T, d *coin.Denomination, c coin.Coin) answer {
	t.Helper()
	offer := b.till.Offer(t, d.Value, func(o *coin.Offer) { o.Expires = b.Clock.Now().Add(time.Minute) })
	spend, authorisation := b.purse.Pay(t, offer, []coin.Coin{c}, nil)
	return b.post(t, "/v1/deposits", b.till.Token, deposit(t, offer, spend, authorisation))
}

// swap exchanges a coin for two of half its value over HTTP.
func (b *branch) swap(t *testing.T, d *coin.Denomination, c coin.Coin) answer {
	t.Helper()
	fresh := b.purse.Prepare(t, d.Value/2, d.Value/2)
	spend, authorisation := b.purse.Exchange(t, []coin.Coin{c}, fresh.Outputs)
	return b.post(t, "/v1/exchanges", "", issuerclient.ExchangeRequest{Spend: spendJSON(t, spend, authorisation)})
}

// keyset reads /v1/keys and its ETag.
func (b *branch) keyset(t *testing.T) (*coin.Keyset, string) {
	t.Helper()
	a := b.send(t, http.MethodGet, b.public.URL+"/v1/keys", "", nil)
	k, err := coin.ParseKeyset(b.House.Root, []byte(decode[issuerclient.Keys](t, a, 200).Keyset), b.Clock.Now())
	fatal(t, err)
	return k, a.header.Get("ETag")
}

func (b *branch) reload(t *testing.T, change func(*coin.Keyset)) {
	t.Helper()
	fatal(t, b.Reload(t.Context(), b.House.Successor(t, b.Keyset(), change), issuer.ReceiptSigner{}))
}

func TestAKeyLivesByItsInstants(t *testing.T) {
	b := newBranch(t, readContract(t, "issuer.yaml"))
	// Announced by the next ceremony, for a month from tomorrow.
	d := b.House.NewKey(t, b.House.Key(t, coin.Bearer, 16))
	d.IssueFrom, d.IssueUntil = issuertest.Now.AddDate(0, 0, 1), issuertest.Now.AddDate(0, 1, 0)
	d.SpendUntil = issuertest.Now.AddDate(0, 2, 0)
	if a, _ := b.try(t, &d); a.status != http.StatusUnprocessableEntity {
		t.Errorf("an unknown key answers %d", a.status)
	}
	_, before := b.keyset(t)
	b.reload(t, func(k *coin.Keyset) { k.Denominations = append(k.Denominations, d) })
	k, etag := b.keyset(t)
	if _, err := k.Find(d.KeyID); err != nil || k.Seq != 2 || etag == before {
		t.Fatalf("keyset %d (%s, before %s) does not announce the key: %v", k.Seq, etag, before, err)
	}

	at := func(when time.Time) { b.Clock.Set(when) }
	refuses := func(name string, a answer, code Code) {
		t.Helper()
		t.Run(name, func(t *testing.T) { refused(t, a, http.StatusUnprocessableEntity, code) })
	}
	a, _ := b.try(t, &d)
	refuses("announced", a, "key-not-yet")
	at(d.IssueFrom.Add(-time.Second))
	a, _ = b.try(t, &d)
	refuses("a second before issue", a, "key-not-yet")
	at(d.IssueFrom)
	coins := []coin.Coin{b.draw(t, &d), b.draw(t, &d), b.draw(t, &d)}
	at(d.IssueUntil.Add(-time.Second))
	coins = append(coins, b.draw(t, &d))
	at(d.IssueUntil)
	a, _ = b.try(t, &d)
	refuses("issue is over", a, "key-expired")
	decode[issuerclient.Deposited](t, b.pay(t, &d, coins[0]), 200)
	at(d.SpendUntil.Add(-time.Second))
	decode[issuerclient.Deposited](t, b.pay(t, &d, coins[1]), 200)
	at(d.SpendUntil)
	refuses("spending is over, at the till", b.pay(t, &d, coins[2]), "key-expired")
	refuses("spending is over, for an exchange", b.swap(t, &d, coins[3]), "key-expired")
}

func TestARevokedKeyIsRefusedAtOnceAndALostOneIsStillRedeemed(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(*coin.Denomination)
		spending int
	}{
		"revoked": {func(d *coin.Denomination) { d.Revoked = true }, http.StatusUnprocessableEntity},
		"lost":    {func(d *coin.Denomination) { d.Lost = true }, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBranch(t, readContract(t, "issuer.yaml"))
			d := b.House.Key(t, coin.Bearer, 8)
			coins := []coin.Coin{b.draw(t, d), b.draw(t, d), b.draw(t, d)}
			a, batch := b.try(t, d)
			first := decode[issuerclient.Signed](t, a, 200)
			decode[issuerclient.Deposited](t, b.pay(t, d, coins[0]), 200)
			b.reload(t, func(k *coin.Keyset) {
				for i := range k.Denominations {
					if k.Denominations[i].KeyID == d.KeyID {
						c.change(&k.Denominations[i])
					}
				}
			})
			a, _ = b.try(t, d)
			refused(t, a, http.StatusUnprocessableEntity, "key-revoked")
			for kind, a := range map[string]answer{"deposit": b.pay(t, d, coins[1]), "exchange": b.swap(t, d, coins[2])} {
				if a.status != c.spending {
					t.Errorf("%s: %d, want %d: %s", kind, a.status, c.spending, a.body)
				}
				if c.spending != http.StatusOK {
					refused(t, a, c.spending, "key-revoked")
				}
			}
			// What was recorded before is still owed, and answered the same.
			again := decode[issuerclient.Signed](t, b.post(t, "/v1/withdrawals", b.holderToken, withdrawal(batch)), 200)
			if !slices.EqualFunc(raw(first.Signatures), raw(again.Signatures), slices.Equal[[]byte]) {
				t.Error("a repeated withdrawal got other signatures")
			}
		})
	}
}

// scrape reads a handler's metrics.
func scrape(t *testing.T, h http.Handler) string {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("metrics answer %d: %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

func wantLines(t *testing.T, metrics string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("no line %q in the metrics", line)
		}
	}
}

func TestAReloadIsCounted(t *testing.T) {
	b := newBranch(t, readContract(t, "issuer.yaml"))
	h := NewIssuer(b.Bank.Bank, IssuerOptions{})
	wantLines(t, scrape(t, h.Metrics), "specie_keyset_seq 1", `specie_keyset_reload_total{result="ok"} 0`, `specie_keyset_reload_total{result="fork"} 0`)
	b.reload(t, nil)
	if err := b.Reload(t.Context(), []byte("half a f"), issuer.ReceiptSigner{}); err == nil {
		t.Fatal("taken")
	}
	until := b.House.Receipts.Chain[0].NotAfter
	soon := b.House.ReceiptsUntil(t, issuertest.Now.AddDate(0, 0, 7))
	for _, handler := range []http.Handler{h.Admin, h.Metrics} {
		wantLines(t, scrape(t, handler), "specie_keyset_seq 2", `specie_keyset_reload_total{result="ok"} 1`,
			`specie_keyset_reload_total{result="malformed"} 1`,
			fmt.Sprintf("specie_receipts_certificate_expiry_timestamp_seconds %v", float64(until.Unix())))
	}
	_, signed := b.SignedKeyset()
	fatal(t, b.Reload(t.Context(), signed, soon))
	wantLines(t, scrape(t, h.Metrics),
		fmt.Sprintf("specie_receipts_certificate_expiry_timestamp_seconds %v", float64(soon.Chain[0].NotAfter.Unix())))
}

// robbed is a branch one of whose keys, of value 16, a thief has too.
func robbed(t *testing.T, c *contract) (*branch, *issuertest.LeakedKey, *coin.Denomination) {
	t.Helper()
	h := issuertest.NewHouse(t)
	key := issuertest.NewLeakedKey(t)
	d := key.Denomination(t, h.Key(t, coin.Bearer, 16))
	k := h.Draft
	k.Denominations = append([]coin.Denomination{d}, k.Denominations...)
	b := openBranch(t, c, h.NewBank(t, func(c *issuer.Config) { c.Keyset, c.Signer = h.SignKeyset(t, k), key.Signer(h) }))
	return b, key, &d
}

func TestTheOperatorSeesALeakedKeyAndStrangersDoNot(t *testing.T) {
	b, key, d := robbed(t, readContract(t, "issuer.yaml"))
	h := NewIssuer(b.Bank.Bank, IssuerOptions{})
	labels := fmt.Sprintf(`{kid="%s",kind="bearer",value="16"}`, d.KeyID)
	honest := b.draw(t, d)
	forged := key.Forge(t, b.purse, d, 1)[0]
	decode[issuerclient.Deposited](t, b.pay(t, d, forged), 200)
	wantLines(t, scrape(t, h.Metrics), "specie_key_issued_minor_units"+labels+" 16",
		"specie_key_redeemed_minor_units"+labels+" 16", "specie_key_alarm"+labels+" 0")
	decode[issuerclient.Deposited](t, b.pay(t, d, honest), 200)
	for _, handler := range []http.Handler{h.Metrics, h.Admin} {
		wantLines(t, scrape(t, handler), "specie_key_issued_minor_units"+labels+" 16",
			"specie_key_redeemed_minor_units"+labels+" 32", "specie_key_alarm"+labels+" 1")
	}
	rec := httptest.NewRecorder()
	h.Public.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusNotFound {
		t.Error("strangers see metrics")
	}
	for _, path := range []string{"/readyz", "/livez"} {
		for _, handler := range []http.Handler{h.Admin, h.Metrics} {
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
			if rec.Code != http.StatusOK {
				t.Errorf("%s answers %d: an alarm does not stop the bank", path, rec.Code)
			}
		}
	}
	rec = httptest.NewRecorder()
	h.Metrics.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/v1/keys", nil))
	checkProblem(t, rec, http.StatusNotFound, CodeNotFound)

	operator, err := issuerclient.NewClientWithResponses(b.admin.URL)
	fatal(t, err)
	books, err := operator.GetBooksWithResponse(t.Context())
	fatal(t, err)
	if books.JSON200 == nil || books.JSON200.Balanced || !books.JSON200.Keys[0].Leaked || books.JSON200.Keys[1].Leaked {
		t.Errorf("books: %s", books.Body)
	}
	report := auditNow(t, operator).Report
	if report == nil || report.Sound || !report.Keys[0].Leaked || report.Keys[0].Kid != d.KeyID.String() || report.Found != 0 {
		t.Errorf("audit: %+v", report)
	}
}

// auditNow starts an audit and waits for its end.
func auditNow(t *testing.T, operator *issuerclient.ClientWithResponses) *issuerclient.Audit {
	t.Helper()
	started, err := operator.StartAuditWithResponse(t.Context())
	fatal(t, err)
	if started.JSON202 == nil {
		t.Fatalf("audit: %s", started.Body)
	}
	return auditEnd(t, operator)
}

// auditEnd waits for the end of the audit that runs.
func auditEnd(t *testing.T, operator *issuerclient.ClientWithResponses) *issuerclient.Audit {
	t.Helper()
	for {
		now, err := operator.GetAuditWithResponse(t.Context())
		fatal(t, err)
		if now.JSON200 == nil {
			t.Fatalf("audit: %s", now.Body)
		}
		if now.JSON200.State != issuerclient.AuditStateRunning {
			return now.JSON200
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// slowLedger verifies when it is let, and then as err says.
type slowLedger struct {
	ledger.Ledger
	let chan error
}

func (l *slowLedger) Verify(ctx context.Context, v ledger.Verification) (*ledger.Audit, error) {
	select {
	case err := <-l.let:
		if err != nil {
			return nil, err
		}
		return l.Ledger.Verify(ctx, v)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestThereIsOneAuditAtATimeAndItEndsWithTheDaemon(t *testing.T) {
	h := issuertest.NewHouse(t)
	slow := &slowLedger{let: make(chan error)}
	bank := h.NewBank(t, func(c *issuer.Config) { slow.Ledger, c.Ledger = c.Ledger, slow })
	handlers := NewIssuer(bank.Bank, IssuerOptions{})
	admin := httptest.NewServer(readContract(t, "issuer.yaml").watch(t, handlers.Admin))
	t.Cleanup(admin.Close)
	operator, err := issuerclient.NewClientWithResponses(admin.URL)
	fatal(t, err)
	none, err := operator.GetAuditWithResponse(t.Context())
	fatal(t, err)
	if none.StatusCode() != http.StatusNotFound {
		t.Errorf("before the first: %d %s", none.StatusCode(), none.Body)
	}
	start := func() *issuerclient.Audit {
		t.Helper()
		r, err := operator.StartAuditWithResponse(t.Context())
		fatal(t, err)
		if r.JSON202 == nil {
			t.Fatalf("start: %s", r.Body)
		}
		return r.JSON202
	}
	first := start()
	bank.Clock.Set(issuertest.Now.Add(time.Hour))
	if again := start(); again.State != issuerclient.AuditStateRunning || !again.StartedAt.Equal(first.StartedAt) {
		t.Errorf("a second one began: %+v", again)
	}
	slow.let <- errors.New("disk on fire")
	ended := auditEnd(t, operator)
	if ended.State != issuerclient.AuditStateFailed || ended.Report != nil || ended.Error == nil || !strings.Contains(*ended.Error, "disk on fire") {
		t.Errorf("failed: %+v", ended)
	}
	if next := start(); next.StartedAt.Equal(first.StartedAt) {
		t.Error("no other began after the first")
	}
	handlers.Stop() // returns though nobody lets it verify
	if ended := auditEnd(t, operator); ended.State != issuerclient.AuditStateFailed {
		t.Errorf("stopped: %+v", ended)
	}
	late, err := operator.StartAuditWithResponse(t.Context())
	fatal(t, err)
	if late.StatusCode() != http.StatusServiceUnavailable {
		t.Errorf("after the end: %d %s", late.StatusCode(), late.Body)
	}
}

package dashboard_test

import (
	"context"
	"crypto"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/speciecash/specie/browsertest"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/dashboard"
	"github.com/speciecash/specie/gate"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger/postgres"
	"github.com/speciecash/specie/ledger/postgres/pgtest"
	"github.com/speciecash/specie/server"
)

func TestMain(m *testing.M) { os.Exit(issuertest.Main(m)) }

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// board is a dashboard before a real bank on a real token, and the bank's
// metrics.
type board struct {
	*issuertest.Bank
	t       testing.TB
	purse   *issuertest.Purse
	till    *issuertest.Till
	signs   *switched
	url     string
	gate    *gate.Gate
	metrics http.Handler
	admin   *httptest.Server
}

// switched is the token's key for receipts with a switch before it.
type switched struct {
	crypto.Signer
	off atomic.Bool
}

func (s *switched) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.off.Load() {
		return nil, issuertest.ErrInjected
	}
	return s.Signer.Sign(r, digest, opts)
}

func newBoard(t testing.TB, change func(*issuer.Config)) *board {
	t.Helper()
	house := issuertest.NewHouse(t)
	b := &board{t: t, purse: house.NewPurse(t), signs: &switched{Signer: house.Receipts.Key}}
	b.Bank = house.NewBank(t, func(c *issuer.Config) {
		c.Receipts.Key = b.signs
		if change != nil {
			change(c)
		}
	})
	b.till = b.NewTill(t)
	tokens := server.NewHSMMetrics(house.Token.Info(), house.Token.Stats)
	h := server.NewIssuer(b.Bank.Bank, server.IssuerOptions{Root: house.Root, Metrics: []prometheus.Collector{tokens}})
	t.Cleanup(h.Stop)
	b.metrics = h.Metrics
	b.admin = httptest.NewServer(h.Admin)
	t.Cleanup(b.admin.Close)
	page := httptest.NewUnstartedServer(nil)
	b.gate = gate.New(gate.Config{Cookie: "board", Hosts: gate.HostsOf(page.Listener.Addr())})
	d, err := dashboard.New(dashboard.Config{
		Bank: must(issuerclient.NewClientWithResponses(b.admin.URL))(t), Gate: b.gate,
		Token: func(ctx context.Context) ([]byte, error) { return []byte(b.scrape()), nil },
	})
	check(t, err)
	page.Config.Handler = d.Handler()
	page.Start()
	t.Cleanup(page.Close)
	b.url = page.URL + "/"
	return b
}

func (b *board) scrape() string {
	w := httptest.NewRecorder()
	b.metrics.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// at sets the bank's clock to so long before the tests' present.
func (b *board) at(ago time.Duration) { b.Clock.Set(issuertest.Now.Add(-ago)) }

// pay withdraws coins and pays with all of them.
func (b *board) pay(values ...coin.Amount) {
	b.t.Helper()
	b.deposit(b.purse.Withdraw(b.t, b.Bank, values...))
}

func (b *board) deposit(coins []coin.Coin) {
	b.t.Helper()
	var sum coin.Amount
	for i := range coins {
		sum += must(b.House.Keyset.Find(coins[i].KeyID))(b.t).Value
	}
	offer := b.till.Offer(b.t, sum, func(o *coin.Offer) { o.Expires = b.Now().Add(5 * time.Minute) })
	spend, authorisation := b.purse.Pay(b.t, offer, coins, nil)
	must(b.Deposit(b.t.Context(), b.till.Account, b.till.Deposit(offer, spend, authorisation)))(b.t)
}

// browser is an HTTP client that was let in.
func (b *board) browser() *http.Client {
	b.t.Helper()
	c := &http.Client{Jar: must(cookiejar.New(nil))(b.t)}
	r := must(c.PostForm(b.url+"enter", url.Values{"code": {b.gate.Code()}}))(b.t)
	check(b.t, r.Body.Close())
	if r.StatusCode != http.StatusOK || r.Request.Method != http.MethodGet {
		b.t.Fatalf("the code opens nothing: %d", r.StatusCode)
	}
	return c
}

// page is what a browser that was let in gets.
func (b *board) page(view string) string {
	b.t.Helper()
	r := must(b.browser().Get(b.url + "?view=" + view))(b.t)
	defer r.Body.Close()
	return string(must(io.ReadAll(r.Body))(b.t))
}

// later waits until the page shows all texts: what is asked often is remembered
// for a second.
func (b *board) later(texts ...string) string {
	b.t.Helper()
	var page, missing string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		page, missing = b.page("day"), ""
		plain := text(page)
		for _, want := range texts {
			if !strings.Contains(plain, want) {
				missing = want
			}
		}
		if missing == "" {
			return page
		}
	}
	b.t.Fatalf("the page does not say %q:\n%s", missing, page)
	return ""
}

// text is what a page says, with blanks that break.
func text(page string) string { return strings.ReplaceAll(html.UnescapeString(page), "\u00a0", " ") }

// shown are the figures of a page by the metric that each names.
func shown(t testing.TB, page string) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for _, m := range regexp.MustCompile(`data-metric="([^"]+)" data-value="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		name, value := html.UnescapeString(m[1]), must(strconv.ParseFloat(html.UnescapeString(m[2]), 64))(t)
		if was, twice := out[name]; twice && was != value {
			t.Errorf("%s is %v and %v", name, was, value)
		}
		out[name] = value
	}
	return out
}

// agree fails unless each figure of a page is a metric of that name and value.
func (b *board) agree(page string) map[string]float64 {
	b.t.Helper()
	scraped := map[string]float64{}
	for line := range strings.Lines(b.scrape()) {
		if at := strings.LastIndexByte(line, ' '); at > 0 && line[0] != '#' {
			scraped[line[:at]], _ = strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
		}
	}
	figures := shown(b.t, page)
	for name, value := range figures {
		if got, ok := scraped[name]; !ok || got != value {
			b.t.Errorf("the page has %s %v, the metrics %v (%v)", name, value, got, ok)
		}
	}
	return figures
}

func wantFigures(t testing.TB, got map[string]float64, want map[string]float64) {
	t.Helper()
	for name, value := range want {
		if v, ok := got[name]; !ok || v != value {
			t.Errorf("%s is %v (%v), want %v", name, v, ok, value)
		}
	}
}

func TestThePageShowsWhatTheLedgerHasAndSoDoTheMetrics(t *testing.T) {
	b := newBoard(t, nil)
	if page := b.page(""); !strings.Contains(page, "No money has moved yet") || !strings.Contains(page, "specied account --socket issuer.sock") {
		t.Errorf("an empty bank's page does not say what to do first:\n%s", page)
	}
	b.at(2 * time.Hour)
	b.pay(8, 4)
	b.at(0)
	b.purse.Withdraw(t, b.Bank, 16, 2)
	must(b.Audit(t.Context(), func(int64, int64) {}))(t)
	page := b.later("0.18 EUR")
	kid := func(value coin.Amount) string {
		return fmt.Sprintf(`{kid="%s",kind="bearer",value="%d"}`, b.House.Key(t, coin.Bearer, value).KeyID, value)
	}
	figures := b.agree(page)
	if len(figures) < 40 {
		t.Errorf("%d figures on the page", len(figures))
	}
	wantFigures(t, figures, map[string]float64{
		`specie_class_balance_minor_units{class="circulation"}`: 18, `specie_class_balance_minor_units{class="merchant"}`: 12,
		`specie_circulation_minor_units{kind="bearer"}`: 18, `specie_circulation_minor_units{kind="bound"}`: 0,
		`specie_day_operations{kind="withdrawal"}`: 2, `specie_day_minor_units{kind="withdrawal"}`: 30,
		`specie_day_operations{kind="deposit"}`: 1, `specie_day_minor_units{kind="deposit"}`: 12,
		"specie_key_issued_minor_units" + kid(8): 8, "specie_key_redeemed_minor_units" + kid(8): 8,
		"specie_key_issued_minor_units" + kid(16): 16, "specie_key_redeemed_minor_units" + kid(16): 0,
		`specie_up{part="token"}`: 1, "specie_books_balanced": 1, "specie_fence_raised": 0,
	})
	// The same money by the hour: 0 before, 12 in and out, 18 now.
	for _, said := range []string{"bearer 0.18 EUR", "1 operation, 0.12 EUR", "1 operation, 0.18 EUR"} {
		if !strings.Contains(text(page), said) {
			t.Errorf("no step of a chart says %q", said)
		}
	}
	for _, view := range []string{"hour", "month", "year", "nonsense", ""} {
		if page := b.page(view); !strings.Contains(page, "In circulation") || strings.Count(page, `aria-current="page"`) != 1 {
			t.Errorf("view %q: %s", view, page)
		}
	}
}

func TestThePageOfABankOnPostgreSQL(t *testing.T) {
	cluster := must(pgtest.Start())(t)
	t.Cleanup(func() { check(t, cluster.Close()) })
	l := must(postgres.OpenLedger(t.Context(), cluster.Database(t), postgres.Options{}))(t)
	b := newBoard(t, func(c *issuer.Config) { c.Ledger = l })
	t.Cleanup(func() { check(t, l.Close()) })
	b.at(time.Hour)
	b.pay(8, 4)
	b.at(0)
	b.purse.Withdraw(t, b.Bank, 16)
	page := b.later("0.16 EUR", "postgres 15", "The database server answers before a second machine has what was written")
	figures := b.agree(page)
	wantFigures(t, figures, map[string]float64{
		`specie_circulation_minor_units{kind="bearer"}`: 16, `specie_day_minor_units{kind="deposit"}`: 12,
		`specie_store_replicas{driver="postgres"}`: 0,
	})
	if figures[`specie_store_bytes{driver="postgres"}`] < 1e6 {
		t.Error("the database has no size")
	}
}

func TestWhatIsWrongStandsAboveEverything(t *testing.T) {
	house := issuertest.NewHouse(t)
	key := issuertest.NewLeakedKey(t)
	d := key.Denomination(t, house.Key(t, coin.Bearer, 16))
	b := newBoard(t, func(c *issuer.Config) {
		k := house.Draft
		k.Denominations = append([]coin.Denomination{d}, k.Denominations...)
		c.Keyset, c.Signer = house.SignKeyset(t, k), key.Signer(house)
	})
	quiet := b.later("All is well", "No audit has ended", "No backup was made")
	if strings.Contains(quiet, `class="alarm now"`) {
		t.Error("an alarm where nothing is wrong")
	}
	hostile := `<script>alert(1)</script>"><img src=x onerror=alert(2)>` + "\x1b[31m"
	account, _, err := b.CreateAccount(t.Context(), issuer.Holder, hostile, "")
	check(t, err)
	check(t, b.Suspend(t.Context(), account.ID, hostile))
	check(t, b.SetDraining(t.Context(), true))
	forged := key.Forge(t, b.purse, &d, 1)
	offer := b.till.Offer(t, 16, nil)
	spend, authorisation := b.purse.Pay(t, offer, forged, nil)
	must(b.Deposit(t.Context(), b.till.Account, b.till.Deposit(offer, spend, authorisation)))(t)
	b.signs.off.Store(true)
	page := b.later("More was redeemed than was ever issued under the bearer key of 0.16", "Stop issuing with \"specied drain on\"",
		"The bank drains", "Suspended: 1 account.", "The token can't sign", "injected failure")
	if strings.Contains(page, "All is well") || strings.Contains(page, "<script>alert") || strings.Contains(page, "<img") {
		t.Errorf("%s", page)
	}
	figures := b.agree(page)
	wantFigures(t, figures, map[string]float64{"specie_books_balanced": 0, `specie_up{part="token"}`: 0})
	if now, soon := strings.Index(page, `class="alarm now"`), strings.Index(page, `class="alarm soon"`); now < 0 || soon < now {
		t.Error("the worst does not come first")
	}
	for _, m := range regexp.MustCompile(`href="([^"]*/docs/[^"]*)"`).FindAllStringSubmatch(page, -1) {
		file, anchor, _ := strings.Cut(strings.TrimPrefix(html.UnescapeString(m[1]), dashboard.Docs), "#")
		text, err := os.ReadFile("../docs/" + file)
		if err != nil {
			t.Errorf("%s: %v", m[1], err)
		}
		if anchor != "" && !strings.Contains(strings.ToLower(string(text)), "# "+strings.ReplaceAll(anchor, "-", " ")) {
			t.Errorf("%s has no section %s", file, anchor)
		}
	}

	browser := browsertest.Start(t)
	p := browser.Open(t, b.gate.Link(b.url), browsertest.Desk)
	p.See(".people", `<script>alert(1)</script>"><img src=x onerror=alert(2)>`)
	b.admin.Close()
	if r := must(b.browser().Get(b.url + "?view=month"))(t); r.StatusCode != http.StatusBadGateway {
		t.Errorf("status %d without a bank", r.StatusCode)
	} else if said := string(must(io.ReadAll(r.Body))(t)); !strings.Contains(said, "The bank does not answer") {
		t.Error(said)
	}
	p.Expect("502")
	p.See(".alarm.now", "The bank does not answer") // by itself
}

func TestWhoHasNotTheCodeSeesNothing(t *testing.T) {
	b := newBoard(t, nil)
	stranger := &http.Client{Jar: must(cookiejar.New(nil))(t), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, path := range []string{"", "?view=day"} {
		r := must(stranger.Get(b.url + path))(t)
		page := string(must(io.ReadAll(r.Body))(t))
		if strings.Contains(page, "circulation") || !strings.Contains(page, `id="enter"`) || r.Header.Get("Content-Security-Policy") != dashboard.CSP {
			t.Errorf("%q: %s", path, page)
		}
	}
	r := must(stranger.PostForm(b.url+"enter", url.Values{"code": {"0000-0000-0000"}}))(t)
	if r.StatusCode != http.StatusForbidden || len(r.Cookies()) != 0 {
		t.Errorf("a wrong code: %d %v", r.StatusCode, r.Cookies())
	}
	req := must(http.NewRequest("GET", b.url, nil))(t)
	req.Host = "evil.example"
	if r := must(stranger.Do(req))(t); r.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another host: %d", r.StatusCode)
	}
	c := b.browser()
	r = must(c.Post(b.url+"leave", "", nil))(t)
	if page := string(must(io.ReadAll(r.Body))(t)); !strings.Contains(page, `id="enter"`) {
		t.Error("it is in after it left")
	}
	for _, method := range []string{"PUT", "DELETE", "POST"} {
		req := must(http.NewRequest(method, b.url, nil))(t)
		if r := must(b.browser().Do(req))(t); r.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, r.StatusCode)
		}
	}
}

// aDay is a day in the life of a bank, busiest at noon and before supper.
func (b *board) aDay() {
	b.t.Helper()
	m := b.House.AdmitKnown(b.t)
	members, _ := b.Funded(b.t, 4000)
	busy := []int{0, 0, 0, 0, 0, 0, 1, 2, 3, 2, 3, 5, 7, 6, 3, 2, 3, 4, 6, 7, 4, 2, 1, 1}
	first := issuertest.Now.Add(-23 * time.Hour).Hour()
	var kept [][]coin.Coin
	for hour := range 24 {
		b.at(time.Duration(23-hour) * time.Hour)
		for i := range busy[(first+hour)%24] {
			kept = append(kept, b.purse.Withdraw(b.t, b.Bank, 16, 16, 8, 4, 2))
			if i%2 == 0 {
				batch := b.purse.PrepareBound(b.t, m, 8, 8, 4)
				must(b.Withdraw(b.t.Context(), members, batch.Outputs))(b.t)
			}
			if i%3 != 2 && len(kept) > 1 {
				b.deposit(kept[0][:3+i%2])
				kept = kept[1:]
			}
		}
		if hour%5 == 4 && len(kept) > 0 {
			spend, authorisation := b.purse.Exchange(b.t, kept[0][:1], b.purse.Prepare(b.t, 8, 8).Outputs)
			must(b.Exchange(b.t.Context(), spend, authorisation))(b.t)
			kept = kept[1:]
		}
	}
	b.at(0)
}

func TestTheDashboardInABrowser(t *testing.T) {
	b := newBoard(t, nil)
	b.aDay()
	check(t, b.Suspend(t.Context(), b.till.Account.ID, "complaint 17"))
	browser := browsertest.Start(t)

	p := browser.Open(t, b.url, browsertest.View{Width: 1180, Height: 1000})
	p.See("main", "Type the code")
	p.Expect("403")
	p.Fill("#code", "wrong")
	p.Press("Enter")
	p.See(".refused", "That is not the code.")
	p.Fill("#code", strings.ToLower(b.gate.Code()))
	p.Press("Enter")
	p.See("h1", issuertest.BankID)
	if at := browsertest.Eval[string](p, "location.href"); at != b.url {
		t.Errorf("the address is %s", at)
	}
	p.See(".alarm.soon", "Suspended: 1 account.")
	p.Picture("dashboard")
	p.Press("30 days")
	p.See("nav [aria-current]", "30 days")
	p.Press("24 hours")
	p.See("nav [aria-current]", "24 hours")

	// The link once more, by who is in already.
	browsertest.Eval[bool](p, fmt.Sprintf("(location.hash = %q, true)", b.gate.Code()))
	p.Wait("!location.hash")

	// It follows the bank by itself.
	before := p.Text(".tile .big")
	b.purse.Withdraw(t, b.Bank, 16, 16)
	p.Wait(fmt.Sprintf("document.querySelector('.tile .big').textContent !== %q", before))

	dark := browser.Open(t, b.gate.Link(b.url), browsertest.View{Width: 1180, Height: 1000, Dark: true})
	dark.See("h1", issuertest.BankID)
	if at := browsertest.Eval[string](dark, "location.href"); strings.Contains(at, "#") {
		t.Errorf("the code stays in the address: %s", at)
	}
	dark.Picture("dashboard-dark")
	phone := browser.Open(t, b.gate.Link(b.url), browsertest.Phone)
	phone.See("h1", issuertest.BankID)
	if over := browsertest.Eval[float64](phone, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
		t.Errorf("a telephone has to scroll sideways by %v", over)
	}
	phone.Picture("dashboard-phone")
}

package desktest_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/browsertest"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/gate"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/merchant/desk"
	"github.com/speciecash/specie/qr"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/wallet/wallettest"
)

func TestMain(m *testing.M) { os.Exit(wallettest.Main(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stage is a till with its desk, and who comes to it.
type stage struct {
	*wallettest.Town
	shop    *wallettest.Shop
	desk    *httptest.Server
	gate    *gate.Gate
	guesses atomic.Int64 // seconds that the gate's clock has gone since the start
	browser *browsertest.Browser
	away    atomic.Bool // the desk answers nobody
	lose    atomic.Bool // a proxy loses what the desk answers to the next refund
	// alice has bound coins on a TPM of her own, bob bearer coins.
	alice, bob *wallettest.Holder
}

// coinsUp makes the town's coins worth more, for prices that people know: from 0.64
// to 10.24, so that 3.20, 6.40 and 12.80 can be paid.
const coinsUp = 64

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{Town: wallettest.New(t), browser: browsertest.Start(t)}
	s.Rotate(t, func(k *coin.Keyset) {
		for i := range k.Denominations {
			k.Denominations[i].Value *= coinsUp
		}
	})
	s.shop = s.NewShop(t)
	s.desk = httptest.NewUnstartedServer(nil)
	s.gate = gate.New(gate.Config{Cookie: desk.Cookie(false), Hosts: gate.HostsOf(s.desk.Listener.Addr()), Clock: s.gateClock})
	d, err := desk.New(desk.Config{Till: s.shop.Till, To: s.shop.URL, Gate: s.gate, Now: s.Now, Zone: time.UTC})
	must(t, err)
	handler := d.Handler()
	s.desk.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.away.Load() {
			panic(http.ErrAbortHandler)
		}
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/refunds") && s.lose.CompareAndSwap(true, false) {
			handler.ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		handler.ServeHTTP(w, r)
	})
	s.desk.Start()
	t.Cleanup(s.desk.Close)
	t.Cleanup(d.Close) // before: streams of events have no end of their own
	s.alice = s.NewHolder(t, 12800)
	s.alice.Enrol(t, registrationtest.TPMA)
	s.alice.Draw(t, 9600, coin.Bound)
	s.bob = s.NewHolder(t, 6400)
	s.bob.Draw(t, 4800, coin.Bearer)
	return s
}

// gateClock stands still: how fast codes are tried does not depend on this machine.
func (s *stage) gateClock() time.Time { return time.Unix(1_800_000_000+s.guesses.Load(), 0) }

// open is a browser that followed the link with the code.
func (s *stage) open(t *testing.T, v browsertest.View) *browsertest.Page {
	t.Helper()
	p := s.browser.Open(t, s.gate.Link(s.desk.URL+"/"), v)
	p.See("#shop-name", "Café Central")
	return p
}

// offer types an amount and returns the link that the code on the screen says.
func (s *stage) offer(t *testing.T, p *browsertest.Page, keys string) string {
	t.Helper()
	p.See("#keys", "7")
	p.Keys(keys + browsertest.Enter)
	return s.link(t, p)
}

// link reads the code on the screen as a telephone does, one picture after the other
// where there are several.
func (s *stage) link(t *testing.T, p *browsertest.Page) string {
	t.Helper()
	const shown = "(() => { const c = document.getElementById('qr'); return c.checkVisibility() && c.complete && c.naturalWidth > 0; })()"
	var parts []string
	for {
		p.Wait(shown)
		browsertest.Eval[bool](p, "(document.getElementById('qr').scrollIntoView({block: 'center'}), true)")
		texts, err := qr.Read(p.Screenshot())
		must(t, err)
		parts = append(parts, texts...)
		if !qr.IsPart(texts[0]) {
			return texts[0]
		}
		if whole, err := qr.Join(parts); err == nil {
			return whole
		}
		if len(parts) > 8 {
			t.Fatalf("%d pictures make no link", len(parts))
		}
		p.Press("Next part")
	}
}

// theft is a payment with coins out of alice's purse, by a member who stole it and
// has a TPM of his own.
func (s *stage) theft(t *testing.T, link string) []byte {
	t.Helper()
	hers, err := s.alice.PreparePayment(t.Context(), link, coin.Bound)
	must(t, err)
	spend, _, err := coin.DecodeSpend(hers.Spend)
	must(t, err)
	thief := s.NewCrook(t, registrationtest.TPMB)
	his, err := coin.Claims((&coin.Spend{Coins: thief.Draw(t, coin.Bound, coinsUp)}).BoundClaims())
	must(t, err)
	return thief.Authorise(t, *spend, func(frame []byte, _ []group.Claim) []byte { return thief.Present(t, frame, his) })
}

// post sends a payment to the till, as any program can.
func (s *stage) post(t *testing.T, spend []byte) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.shop.URL, bytes.NewReader(spend))
	must(t, err)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	must(t, err)
	must(t, resp.Body.Close())
	return resp.StatusCode
}

// The windows of the pictures: a small laptop's, and a telephone's.
var (
	wide  = browsertest.View{Width: 1120, Height: 680}
	phone = browsertest.Phone
)

package merchant_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/evidence"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// state fails unless a sale is in a state and has gone those steps.
func state(t testing.TB, shop *wallettest.Shop, offer *coin.SignedOffer, want string, steps ...string) *merchant.Sale {
	t.Helper()
	s, err := shop.Sale(t.Context(), offer.Digest)
	must(t, err)
	var got []string
	for _, x := range s.Steps {
		got = append(got, x.Step)
	}
	if s.State != want || !slices.Equal(got, steps) {
		t.Errorf("the sale is %s (%s) after %v, want %s after %v", s.State, s.Reason, got, want, steps)
	}
	return s
}

// deposits deposits what was kept and returns the states that came of it.
func deposits(t testing.TB, shop *wallettest.Shop) (states []string) {
	t.Helper()
	list, err := shop.DepositKept(t.Context())
	must(t, err)
	for _, d := range list {
		states = append(states, d.State)
	}
	return states
}

func TestAPaymentIsKeptWhileTheBankIsAway(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	must(t, shop.SetLimits(t.Context(), merchant.Limits{Sale: 20, Total: 30}))
	alice := town.NewHolder(t, 64)
	alice.Enrol(t, registrationtest.TPMA)
	alice.Draw(t, 32, coin.Bound)
	alice.Draw(t, 16, coin.Bearer)
	offer, link := shop.Offer(t, merchant.OfferRequest{Amount: 11})
	town.BankGate.Shut(true)
	p, err := alice.Pay(t.Context(), link, coin.Bound)
	must(t, err)
	if !p.Kept || p.Receipt == "" || p.BankReceipt != "" {
		t.Fatalf("%+v", p)
	}
	state(t, shop, offer, "kept", "waiting", "coins-checked", "binding-verified", "depositing", "kept")
	t.Run("with its papers, of both sides", func(t *testing.T) {
		root, err := trust.ParseRoot(town.RootPEM)
		must(t, err)
		his, err := alice.Evidence(t.Context(), p.ID, true)
		must(t, err)
		ours, err := shop.Evidence(t.Context(), coinOp(t, p.Spend), true)
		must(t, err)
		for name, f := range map[string]*evidence.File{"payer": his, "merchant": ours} {
			if len(f.MerchantReceipt) == 0 || len(f.BankReceipt) != 0 || evidence.Verify(f, root, nil).Failed() {
				t.Errorf("%s: %+v", name, evidence.Verify(f, root, nil))
			}
		}
	})
	t.Run("and its coins are not taken back by mistake", func(t *testing.T) {
		want(t, alice.Reclaim(t.Context(), p.ID), wallet.ErrAccepted)
	})
	t.Run("the payer asks again, and gets the same receipt", func(t *testing.T) {
		again, err := alice.Pay(t.Context(), link)
		must(t, err)
		if !again.Kept || again.Receipt != p.Receipt {
			t.Error("another receipt")
		}
	})
	t.Run("bearer coins are not kept unless the merchant says so", func(t *testing.T) {
		other, link := shop.Offer(t, merchant.OfferRequest{Amount: 3})
		_, err := alice.Pay(t.Context(), link, coin.Bearer)
		want(t, err, wallet.ErrOpen)
		s := state(t, shop, other, "depositing", "waiting", "coins-checked", "depositing", "refused")
		if s.Code != "unavailable" || s.Reason == "" {
			t.Errorf("the merchant is told %q %q", s.Code, s.Reason)
		}
	})
	if got := deposits(t, shop); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("the bank is still away: %v", got)
	}
	if list, err := shop.DepositKept(t.Context()); err != nil || list[0].Code != "unavailable" || list[0].Reason != merchant.ErrUnreachable.Error() {
		t.Errorf("why it is still kept: %+v %v", list, err)
	}
	town.BankGate.Shut(false)
	answerWith(&town.BankGate, "/v1/deposits", 403, "application/problem+json", `{"status":403,"code":"suspended","title":"x","detail":"the account is suspended"}`)
	if list, err := shop.DepositKept(t.Context()); err != nil || list[0].State != "kept" || !strings.Contains(list[0].Reason, "the account is suspended") {
		t.Errorf("why it is still kept: %+v %v", list, err)
	}
	town.BankGate.Instead("/v1/deposits", nil)
	town.BankGate.Shut(true)
	shop.Reopen(t)
	town.BankGate.Shut(false)
	_, err = alice.Resume(t.Context())
	must(t, err) // through the till, which deposits now
	state(t, shop, offer, "deposited", "waiting", "coins-checked", "binding-verified", "depositing", "kept", "deposited")
	must(t, shop.Resume(t.Context()))
	holds(t, town, shop.Account, 14)
	if fresh, open := alice.Worth(t); fresh != 48-14 || open != 0 {
		t.Errorf("the payer has %d, and %d open", fresh, open)
	}
	town.CheckBooks(t)
}

// hang makes the bank take requests and answer none; the clock and the machine go on.
func hang(town *wallettest.Town, paths ...string) (resume func()) {
	for _, p := range paths {
		town.BankGate.Instead(p, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // so that the server sees it leave
			<-r.Context().Done()
		})
	}
	return func() {
		for _, p := range paths {
			town.BankGate.Instead(p, nil)
		}
	}
}

func TestNobodyWaitsLongForABankThatIsAway(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	must(t, shop.SetLimits(t.Context(), merchant.Limits{Sale: 4, Total: 40, Bearer: true}))
	crook := town.NewCrook(t, -1)
	coins := crook.Draw(t, coin.Bearer, 4, 4)
	pay := func(c coin.Coin) (kept bool, took time.Duration) {
		offer, _ := shop.Offer(t, merchant.OfferRequest{Amount: 4})
		spend := crook.Authorise(t, crook.Payment(offer, c), nil)
		began := time.Now()
		a, err := shop.Accept(t.Context(), spend)
		must(t, err)
		return a.Kept, time.Since(began)
	}
	_, err := shop.Keyset(t.Context())
	must(t, err)
	resume := hang(town, "/v1/keys", "/v1/deposits", "/v1/info")
	brief, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := shop.Probe(brief, 0); err == nil {
		t.Fatal("the bank answers")
	}
	if kept, took := pay(coins[0]); !kept || took > 4*time.Second {
		t.Errorf("kept %t after %s, by a bank that is known to be away", kept, took)
	}
	resume()
	must(t, shop.Probe(t.Context(), time.Hour)) // asked a moment ago, and not answered
	if info, err := shop.Info(t.Context()); err != nil || !info.BankReachable {
		t.Errorf("%+v %v", info, err)
	}
	if kept, _ := pay(coins[1]); kept {
		t.Error("kept, and the bank is back")
	}
	if got := deposits(t, shop); !slices.Equal(got, []string{"deposited"}) {
		t.Errorf("%v", got)
	}
}

func TestPapersAreRefreshedBeforeAnybodyWaitsForThem(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	_, err := shop.Keyset(t.Context())
	must(t, err)
	shop.Offer(t, merchant.OfferRequest{Amount: 1}) // which names the group
	asked := func(f func()) (bank, group int) {
		_, _ = town.BankGate.Count(), town.GroupGate.Count()
		f()
		return town.BankGate.Count(), town.GroupGate.Count()
	}
	refresh := func() { shop.Refresh(t.Context()) }
	offer := func() { shop.Offer(t, merchant.OfferRequest{Amount: 1}) }
	if b, g := asked(refresh); b != 0 || g != 0 {
		t.Errorf("young papers are fetched again: %d and %d requests", b, g)
	}
	for _, away := range []bool{false, true} {
		town.BankGate.Shut(away)
		town.GroupGate.Shut(away)
		for range 4 {
			town.Group.Clock.Forward(4 * time.Minute)
			if b, g := asked(refresh); b == 0 || g == 0 {
				t.Errorf("away %t: papers of four minutes are not refreshed: %d and %d requests", away, b, g)
			}
			if b, g := asked(offer); b != 0 || g != 0 {
				t.Errorf("away %t: somebody waits for papers: %d and %d requests", away, b, g)
			}
		}
	}
	// What it has learnt is in the file.
	town.BankGate.Shut(false)
	town.GroupGate.Shut(false)
	town.Revoke(t, coin.Bearer, 16)
	town.Group.Clock.Forward(4 * time.Minute)
	refresh()
	town.BankGate.Shut(true)
	shop.Reopen(t)
	k, err := shop.Keyset(t.Context())
	must(t, err)
	if !slices.ContainsFunc(k.Denominations, func(d coin.Denomination) bool { return d.Revoked }) {
		t.Error("the keyset of before")
	}
}

func coinOp(t testing.TB, spend []byte) [32]byte {
	t.Helper()
	s, _, err := coin.DecodeSpend(spend)
	must(t, err)
	return s.Op()
}

func TestNothingIsKeptPastTheLimitsWithFiftyAtOnce(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	must(t, shop.SetLimits(t.Context(), merchant.Limits{Sale: 4, Total: 39, Bearer: true}))
	crook := town.NewCrook(t, -1)
	var spends [][]byte
	values := slices.Repeat([]coin.Amount{4}, 25)
	coins := append(crook.Draw(t, coin.Bearer, values...), crook.Draw(t, coin.Bearer, values...)...)
	for i := range coins {
		offer, _ := shop.Offer(t, merchant.OfferRequest{Amount: 4})
		spends = append(spends, crook.Authorise(t, crook.Payment(offer, coins[i]), nil))
	}
	town.BankGate.Shut(true)
	var wg sync.WaitGroup
	var mu sync.Mutex
	accepted := 0
	for _, s := range spends {
		wg.Go(func() {
			if a, err := shop.Accept(t.Context(), s); err == nil && a.Kept {
				mu.Lock()
				accepted++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	o, err := shop.Offline(t.Context())
	must(t, err)
	if accepted != 9 || o.KeptCount != 9 || o.KeptAmount != 36 || o.Oldest == nil {
		t.Errorf("%d accepted, %+v", accepted, o)
	}
	town.BankGate.Shut(false)
	if got := deposits(t, shop); len(got) != 9 || slices.ContainsFunc(got, func(s string) bool { return s != "deposited" }) {
		t.Errorf("%v", got)
	}
	must(t, shop.Resume(t.Context())) // the 41 that were not kept
	holds(t, town, shop.Account, 200)
}

func TestWhatIsNotKept(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	crook := town.NewCrook(t, -1)
	coins := crook.Draw(t, coin.Bearer, 4, 4, 4, 4, 4, 16, 4)
	limits := merchant.Limits{Sale: 8, Total: 20, Bearer: true}
	problem := func(status int, code string) func() {
		return func() {
			answerWith(&town.BankGate, "/v1/deposits", status, "application/problem+json",
				`{"type":"urn:specie:problem:`+code+`","title":"x","status":`+strconv.Itoa(status)+`,"code":"`+code+`","detail":"x"}`)
		}
	}
	away := func() { town.BankGate.Shut(true) }
	for _, x := range []struct {
		name   string
		limits merchant.Limits
		coin   coin.Coin
		before func()
		kept   bool
	}{
		{"within the limits", limits, coins[0], away, true},
		{"the same coin, shown to this till before", limits, coins[0], away, false},
		{"at a till without limits", merchant.Limits{}, coins[1], away, false},
		{"when the bank answers that it can't now", limits, coins[2], problem(503, "unavailable"), false},
		{"when the bank answers something else", limits, coins[3], problem(500, "internal"), false},
		{"when somebody else holds the coin", limits, coins[4], problem(409, "coin-held"), false},
		{"more than one sale may be", limits, coins[5], away, false},
		{"by keys that the till saw two days ago", limits, coins[6], func() { away(); town.Group.Clock.Forward(48 * time.Hour) }, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			defer func() { town.BankGate.Shut(false); town.BankGate.Instead("/v1/deposits", nil) }()
			must(t, shop.SetLimits(t.Context(), x.limits))
			amount := coin.Amount(4)
			if x.coin.ID() == coins[5].ID() {
				amount = 16
			}
			offer, _ := shop.Offer(t, merchant.OfferRequest{Amount: amount, Lifetime: 72 * time.Hour})
			x.before()
			a, err := shop.Accept(t.Context(), crook.Authorise(t, crook.Payment(offer, x.coin), nil))
			if (err == nil && a.Kept) != x.kept {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
	for name, l := range map[string]merchant.Limits{"less than nothing": {Sale: -1, Total: 5}, "no total": {Sale: 5}, "a sale above the total": {Sale: 6, Total: 5}} {
		if err := shop.SetLimits(t.Context(), l); !errors.Is(err, merchant.ErrLimits) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatWasRecordedByOlderPapersIsJudgedAgainBeforeItIsKept(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	must(t, shop.SetLimits(t.Context(), merchant.Limits{Sale: 8, Total: 20, Bearer: true}))
	crook := town.NewCrook(t, -1)
	offer, _ := shop.Offer(t, merchant.OfferRequest{Amount: 4, Lifetime: 72 * time.Hour})
	spend := crook.Authorise(t, crook.Payment(offer, crook.Draw(t, coin.Bearer, 4)...), nil)
	answerWith(&town.BankGate, "/v1/deposits", 503, "application/json", "{}")
	_, err := shop.Accept(t.Context(), spend)
	want(t, err, merchant.ErrOpen)
	town.Revoke(t, coin.Bearer, 4)
	town.Group.Clock.Forward(time.Hour)
	_, err = shop.Keyset(t.Context()) // the till learns of it
	must(t, err)
	town.BankGate.Shut(true)
	a, err := shop.Accept(t.Context(), spend)
	want(t, err, merchant.ErrOpen)
	if a != nil {
		t.Errorf("kept with a revoked key: %+v", a)
	}
	if s := state(t, shop, offer, "depositing", "waiting", "coins-checked", "depositing", "refused"); !strings.Contains(s.Reason, "revoked") {
		t.Errorf("the merchant is told %q", s.Reason)
	}
}

// TestAKeptPaymentIsDepositedWhenItsOfferIsOver: banks stay away for longer than
// offers are open.
func TestAKeptPaymentIsDepositedWhenItsOfferIsOver(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	must(t, shop.SetLimits(t.Context(), merchant.Limits{Sale: 20, Total: 40, Bearer: true}))
	alice := town.NewHolder(t, 32)
	alice.Enrol(t, registrationtest.TPMA)
	alice.Draw(t, 16, coin.Bearer)
	alice.Draw(t, 16, coin.Bound)
	shop.Ask(t, 1) // it has seen the bank's keys
	town.BankGate.Shut(true)
	for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
		p, err := alice.Pay(t.Context(), shop.Ask(t, 5), kind)
		must(t, err)
		if !p.Kept {
			t.Fatalf("%s coins are not kept", kind)
		}
	}
	town.Group.Clock.Forward(merchant.KeptFor - time.Hour)
	town.BankGate.Shut(false)
	if got := deposits(t, shop); !slices.Equal(got, []string{"deposited", "deposited"}) {
		t.Errorf("%v", got)
	}
	_, err := alice.Resume(t.Context())
	must(t, err)
	if fresh, open := alice.Worth(t); fresh != 22 || open != 0 {
		t.Errorf("the payer has %d, and %d open", fresh, open)
	}
	town.CheckBooks(t)
}

// TestAReceiptThatIsNotForThisPaymentIsNone: the till says "kept" and gives another one.
func TestAReceiptThatIsNotForThisPaymentIsNone(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	must(t, shop.SetLimits(t.Context(), merchant.Limits{Sale: 20, Total: 40, Bearer: true}))
	alice := town.NewHolder(t, 32)
	alice.Draw(t, 32, coin.Bearer)
	_, first := shop.Offer(t, merchant.OfferRequest{Amount: 16})
	_, second := shop.Offer(t, merchant.OfferRequest{Amount: 16})
	town.BankGate.Shut(true)
	good, err := alice.Pay(t.Context(), first)
	must(t, err)
	shop.Gate.Spoil("/pay", func(a map[string]any) { a["receipt"] = good.Receipt })
	p, err := alice.Pay(t.Context(), second)
	want(t, err, wallet.ErrOpen)
	if p.Receipt != "" {
		t.Error("it is stored")
	}
	town.BankGate.Shut(false)
	must(t, alice.Reclaim(t.Context(), p.ID)) // nobody has accepted it
	want(t, alice.Reclaim(t.Context(), good.ID), wallet.ErrAccepted)
}

// TestAnOfferIsKeptOnce: and not for another payer.
func TestAnOfferIsKeptOnce(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	must(t, shop.SetLimits(t.Context(), merchant.Limits{Sale: 20, Total: 40, Bearer: true}))
	crook := town.NewCrook(t, -1)
	coins := crook.Draw(t, coin.Bearer, 4, 4)
	offer, _ := shop.Offer(t, merchant.OfferRequest{Amount: 4})
	town.BankGate.Shut(true)
	_, err := shop.Accept(t.Context(), crook.Authorise(t, crook.Payment(offer, coins[0]), nil))
	must(t, err)
	var refused *merchant.Refusal
	_, err = shop.Accept(t.Context(), crook.Authorise(t, crook.Payment(offer, coins[1]), nil))
	if !errors.As(err, &refused) || refused.Code != "conflict" {
		t.Errorf("got %v", err)
	}
}

// TestWhatTheBankMightNotTakeLaterIsNotKept: from a payer who is honest or not.
func TestWhatTheBankMightNotTakeLaterIsNotKept(t *testing.T) {
	for name, x := range map[string]struct {
		kind   coin.Kind
		before func(town *wallettest.Town, shop *wallettest.Shop) *coin.SignedOffer // nil is a good offer
		change func(s *coin.Spend, offer *coin.SignedOffer)
		kept   bool
	}{
		"all is well": {coin.Bound, nil, nil, true},
		"an offer of before there were limits": {kind: coin.Bound, before: func(_ *wallettest.Town, shop *wallettest.Shop) *coin.SignedOffer {
			must(t, shop.SetLimits(t.Context(), merchant.Limits{}))
			offer, _ := shop.Offer(t, merchant.OfferRequest{Amount: 4})
			return offer
		}},
		"made after the offer's end, by the payer's clock": {kind: coin.Bound, change: func(s *coin.Spend, offer *coin.SignedOffer) {
			s.IssuedAt = offer.Offer.Expires.Unix()
		}},
		"when the epoch ends soon": {kind: coin.Bound, before: func(town *wallettest.Town, _ *wallettest.Shop) *coin.SignedOffer {
			town.Group.Clock.Forward(registrationtest.EpochLength - time.Hour - merchant.KeptFor + time.Minute)
			return nil
		}},
		"when the coin's key ends soon": {kind: coin.Bearer, before: func(town *wallettest.Town, _ *wallettest.Shop) *coin.SignedOffer {
			town.Group.Clock.Forward(town.Key(t, coin.Bearer, 4).SpendUntil.Sub(town.Now()) - merchant.KeptFor + time.Minute)
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			town := wallettest.New(t)
			shop := town.NewShop(t)
			crook := town.NewCrook(t, registrationtest.TPMA)
			coins := crook.Draw(t, x.kind, 4)
			var offer *coin.SignedOffer
			if x.before != nil {
				offer = x.before(town, shop)
			}
			must(t, shop.SetLimits(t.Context(), merchant.Limits{Sale: 20, Total: 40, Bearer: true}))
			if offer == nil {
				offer, _ = shop.Offer(t, merchant.OfferRequest{Amount: 4})
			}
			town.BankGate.Shut(true)
			spend := crook.Payment(offer, coins...)
			if x.change != nil {
				x.change(&spend, offer)
			}
			a, err := shop.Accept(t.Context(), crook.Authorise(t, spend, nil))
			if (err == nil && a.Kept) != x.kept {
				t.Errorf("%+v, %v", a, err)
			}
			s, err := shop.Sale(t.Context(), offer.Digest)
			must(t, err)
			if !x.kept && (s.State != "depositing" || s.Reason == "") {
				t.Errorf("the sale is %s: %s", s.State, s.Reason) // it did not come to that
			}
		})
	}
}

func TestAKeptPaymentThatTurnsOutToBeSpentIsRefusedWithItsEvidence(t *testing.T) {
	town := wallettest.New(t)
	shop, elsewhere := town.NewShop(t), town.NewShop(t)
	must(t, shop.SetLimits(t.Context(), merchant.Limits{Sale: 20, Total: 40, Bearer: true}))
	crook := town.NewCrook(t, registrationtest.TPMB)
	coins := crook.Draw(t, coin.Bound, 4)
	offer, _ := shop.Offer(t, merchant.OfferRequest{Amount: 4})
	other, _ := elsewhere.Offer(t, merchant.OfferRequest{Amount: 4})
	spend := crook.Authorise(t, crook.Payment(offer, coins...), nil)
	town.BankGate.Shut(true)
	a, err := shop.Accept(t.Context(), spend)
	must(t, err)
	town.BankGate.Shut(false)
	_, err = elsewhere.Accept(t.Context(), crook.Authorise(t, crook.Payment(other, coins...), nil))
	must(t, err)

	// And a payer who takes back what the merchant has accepted.
	alice := town.NewHolder(t, 16)
	alice.Draw(t, 16, coin.Bearer)
	second, link := shop.Offer(t, merchant.OfferRequest{Amount: 6})
	town.BankGate.Shut(true)
	p, err := alice.Pay(t.Context(), link)
	must(t, err)
	town.BankGate.Shut(false)
	must(t, alice.ReclaimAccepted(t.Context(), p.ID))

	list, err := shop.DepositKept(t.Context())
	must(t, err)
	if len(list) != 2 || list[0].State != "refused" || list[0].Code != "double-spend" || list[1].State != "refused" || list[1].Code != "conflict" {
		t.Fatalf("%+v", list)
	}
	s := state(t, shop, offer, "refused", "waiting", "coins-checked", "binding-verified", "depositing", "kept", "refused")
	if s.Code != "double-spend" || s.Reason == "" || !s.Proof || s.Bound != 1 {
		t.Errorf("%+v", s)
	}
	state(t, shop, second, "refused", "waiting", "coins-checked", "depositing", "kept", "refused")
	root, err := trust.ParseRoot(town.RootPEM)
	must(t, err)
	for _, op := range [][32]byte{coinOp(t, spend), coinOp(t, p.Spend)} {
		f, err := shop.Evidence(t.Context(), op, true)
		must(t, err)
		if len(f.MerchantReceipt) == 0 || evidence.Verify(f, root, nil).Failed() {
			t.Errorf("%+v", evidence.Verify(f, root, nil))
		}
		raw, err := f.Encode()
		must(t, err)
		again, err := evidence.Parse(raw)
		must(t, err)
		claims := evidence.Verify(again, root, nil).Claims
		if last := claims[len(claims)-1]; last.Name != evidence.ClaimConflict || last.Status != evidence.Proven {
			t.Errorf("the bank's proof: %+v", last)
		}
	}
	if x := taking(t, shop); x.State != "refused" || !x.Proof {
		t.Errorf("the takings say %+v", x)
	}
	if a.Receipt == "" {
		t.Error("no receipt")
	}
	day, err := shop.Sales(t.Context(), town.Now().Add(-time.Hour), town.Now().Add(time.Hour))
	must(t, err)
	if sum, err := merchant.Sum(day); err != nil || sum.Count != 0 || sum.Kept != 0 {
		t.Errorf("%+v %v", sum, err)
	}
	town.CheckBooks(t)
}

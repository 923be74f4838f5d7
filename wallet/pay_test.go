package wallet_test

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

func TestPay(t *testing.T) {
	for _, c := range []struct {
		name          string
		bearer, bound coin.Amount
		amount        coin.Amount
		kinds         []coin.Kind
		spent         []coin.Kind // kinds of the coins that are spent
	}{
		{"bearer coins, to the cent", 13, 0, 13, nil, []coin.Kind{coin.Bearer}},
		{"bearer coins, with change", 32, 0, 13, nil, []coin.Kind{coin.Bearer}},
		{"bound coins, to the cent", 0, 13, 13, nil, []coin.Kind{coin.Bound}},
		{"bound coins, with change", 0, 32, 13, nil, []coin.Kind{coin.Bound}},
		{"bound coins first, where there are both", 31, 31, 13, nil, []coin.Kind{coin.Bound}},
		{"bearer coins, if they are asked for", 31, 31, 13, []coin.Kind{coin.Bearer}, []coin.Kind{coin.Bearer}},
		{"both, where neither reaches, with change", 8, 8, 13, nil, []coin.Kind{coin.Bearer, coin.Bound}},
		{"everything there is", 8, 8, 16, nil, []coin.Kind{coin.Bearer, coin.Bound}},
	} {
		t.Run(c.name, func(t *testing.T) {
			town := wallettest.New(t)
			shop, alice := town.NewShop(t), town.NewHolder(t, 100)
			if c.bound > 0 {
				alice.Enrol(t, registrationtest.TPMA)
				alice.Draw(t, c.bound, coin.Bound)
			}
			if c.bearer > 0 {
				alice.Draw(t, c.bearer, coin.Bearer)
			}
			offer, link := shop.Offer(t, merchant.OfferRequest{Amount: c.amount, Order: "table 7"})
			p, err := alice.Pay(t.Context(), link, c.kinds...)
			must(t, err)
			worth(t, alice, c.bearer+c.bound-c.amount, 0)
			holds(t, town, shop.Account, c.amount)
			holds(t, town, alice.Account, 100-c.bearer-c.bound)
			town.CheckBooks(t)
			state(t, alice, wallet.KindPay, wallet.OpDone)

			var kinds []coin.Kind
			for _, x := range p.Coins {
				kinds = append(kinds, x.Kind)
			}
			slices.Sort(kinds)
			if !slices.Equal(slices.Compact(kinds), c.spent) {
				t.Errorf("spent %v", kinds)
			}
			checkReceipts(t, town, offer, p)
			if got := last(t, alice, wallet.KindPay); got.Amount != -int64(c.amount) || got.Note != "Café Central" {
				t.Errorf("history has %+v", got)
			}
		})
	}
}

// checkReceipts verifies both receipts as a stranger would.
func checkReceipts(t *testing.T, town *wallettest.Town, offer *coin.SignedOffer, p *wallet.Payment) {
	t.Helper()
	spend, _, err := coin.DecodeSpend(p.Spend)
	must(t, err)
	r, err := coin.VerifyHolderReceipt([]byte(p.Receipt), offer.Private.MerchantID)
	must(t, err)
	must(t, r.Covers(spend))
	b, err := coin.VerifyDepositReceipt(town.Group.Group.Root, []byte(p.BankReceipt), town.Now())
	must(t, err)
	must(t, b.Covers(spend, offer.Offer.Payee))
}

func TestThePurseChoosesNothingItCantPayWith(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	t.Run("an empty purse", func(t *testing.T) {
		_, err := town.NewHolder(t, 0).Pay(t.Context(), shop.Ask(t, 1))
		want(t, err, wallet.ErrFunds)
	})
	t.Run("too little in it", func(t *testing.T) {
		alice := town.NewHolder(t, 100)
		alice.Draw(t, 12, coin.Bearer)
		_, err := alice.Pay(t.Context(), shop.Ask(t, 13))
		want(t, err, wallet.ErrFunds)
		worth(t, alice, 12, 0)
	})
	t.Run("enough, but in coins whose TPM is elsewhere", func(t *testing.T) {
		alice := town.NewHolder(t, 100)
		alice.Enrol(t, registrationtest.TPMA)
		alice.Draw(t, 12, coin.Bearer)
		alice.Draw(t, 12, coin.Bound)
		alice.Reopen(t)
		_, err := alice.Pay(t.Context(), shop.Ask(t, 13))
		want(t, err, wallet.ErrNoTPM)
		_, err = alice.Withdraw(t.Context(), 4, coin.Bound, wallet.Steps{})
		want(t, err, wallet.ErrNoTPM)
		_, err = alice.Pay(t.Context(), shop.Ask(t, 12))
		must(t, err)
	})
	t.Run("a kind that the merchant does not take", func(t *testing.T) {
		alice := town.NewHolder(t, 100)
		alice.Draw(t, 12, coin.Bearer)
		_, link := shop.Offer(t, merchant.OfferRequest{Amount: 5, Kinds: []coin.Kind{coin.Bound}})
		_, err := alice.Pay(t.Context(), link)
		want(t, err, wallet.ErrFunds)
		_, err = alice.Pay(t.Context(), shop.Ask(t, 5), coin.Bound)
		want(t, err, wallet.ErrFunds)
	})
	t.Run("coins that can be spent no more", func(t *testing.T) {
		other := wallettest.New(t)
		alice, shop := other.NewHolder(t, 100), other.NewShop(t)
		alice.Draw(t, 12, coin.Bearer)
		other.Group.Clock.Forward(7 * 30 * 24 * time.Hour)
		_, link := shop.Offer(t, merchant.OfferRequest{Amount: 5, Kinds: []coin.Kind{coin.Bearer}})
		_, err := alice.Pay(t.Context(), link)
		want(t, err, wallet.ErrFunds)
	})
}

func TestOffersThatAreNotPaid(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Draw(t, 31, coin.Bearer)
	key := newMerchantKey(t)
	made := func(change func(*coin.Offer)) string {
		o := coin.Offer{
			Mode: coin.Online, Till: "1", Acquirer: wallettest.BankID, Amount: 5, Currency: wallettest.Currency,
			Expires: town.Now().Add(time.Hour).Truncate(time.Second), Kinds: []coin.Kind{coin.Bearer},
		}
		change(&o)
		signed, err := coin.NewOffer(o, coin.PrivateOffer{Name: "Somebody"}, key)
		must(t, err)
		l, err := signed.Link("http://127.0.0.1:1/pay")
		must(t, err)
		text, err := l.Text()
		must(t, err)
		return text
	}
	good := shop.Ask(t, 5)
	for _, c := range []struct {
		name, link string
		want       error
	}{
		{"of another bank", made(func(o *coin.Offer) { o.Acquirer = "OTHERBANK" }), coin.ErrBank},
		{"in another currency", made(func(o *coin.Offer) { o.Currency = "USD" }), coin.ErrCurrency},
		{"expired", made(func(o *coin.Offer) { o.Expires = town.Now().Add(-time.Second).Truncate(time.Second) }), coin.ErrOfferExpired},
		{"that is no link", "https://bank.example", coin.ErrMalformed},
		{"cut off", good[:len(good)-9], coin.ErrMalformed},
		{"too long", good + strings.Repeat("A", coin.MaxLink), coin.ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := alice.Pay(t.Context(), c.link)
			want(t, err, wallet.ErrOffer)
			want(t, err, c.want)
			if _, err := alice.Inspect(t.Context(), c.link); !errorsIs(err, wallet.ErrOffer) {
				t.Errorf("Inspect: %v", err)
			}
		})
	}
	worth(t, alice, 31, 0)
}

// TestAnOfferIsPaidOnce: whoever repeats a command must not pay twice.
func TestAnOfferIsPaidOnce(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Draw(t, 62, coin.Bearer)
	link := shop.Ask(t, 5)
	first, err := alice.PreparePayment(t.Context(), link)
	must(t, err)
	alice.Reopen(t)
	again, err := alice.PreparePayment(t.Context(), link, coin.Bound)
	must(t, err)
	if !bytes.Equal(first.ID, again.ID) || !bytes.Equal(first.Spend, again.Spend) || first.Change != again.Change || len(again.Coins) != len(first.Coins) {
		t.Fatalf("another payment: %+v, first %+v", again, first)
	}
	must(t, alice.Submit(t.Context(), again))
	_, err = alice.Pay(t.Context(), link)
	want(t, err, wallet.ErrPaid)
	want(t, alice.Submit(t.Context(), first), wallet.ErrPaid)
	want(t, alice.Reclaim(t.Context(), first.ID), wallet.ErrPaid)
	worth(t, alice, 57, 0)
	holds(t, town, shop.Account, 5)
}

func TestALostPaymentIsTakenUp(t *testing.T) {
	town := wallettest.New(t)
	for _, c := range []struct {
		name string
		lose func(alice *wallettest.Holder, shop *wallettest.Shop)
		// receipt says whether the merchant's receipt comes in the end.
		receipt bool
	}{
		{"on the way to the till", func(a *wallettest.Holder, _ *wallettest.Shop) { a.Wire.Once("/pay", wallettest.LoseRequest) }, true},
		{"on the way from the till", func(a *wallettest.Holder, _ *wallettest.Shop) { a.Wire.Once("/pay", wallettest.LoseAnswer) }, false},
		{"on the way to the bank", func(_ *wallettest.Holder, s *wallettest.Shop) { s.Wire.Once("/deposits", wallettest.LoseRequest) }, true},
		{"on the way from the bank", func(_ *wallettest.Holder, s *wallettest.Shop) { s.Wire.Once("/deposits", wallettest.LoseAnswer) }, false},
		{"with the till dead", func(_ *wallettest.Holder, s *wallettest.Shop) { s.Gate.Shut(true) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			shop, alice := town.NewShop(t), town.NewHolder(t, 100)
			alice.Draw(t, 16, coin.Bearer)
			c.lose(alice, shop)
			_, err := alice.Pay(t.Context(), shop.Ask(t, 5))
			want(t, err, wallet.ErrOpen)
			_, committed := alice.Worth(t)
			if committed == 0 {
				t.Fatal("the coins are not promised")
			}
			shop.Gate.Shut(false)
			alice.Reopen(t)
			shop.Reopen(t)
			resume(t, alice)
			state(t, alice, wallet.KindPay, wallet.OpDone)
			worth(t, alice, 11, 0)
			must(t, shop.Resume(t.Context()))
			holds(t, town, shop.Account, 5)
			var first []byte
			for _, s := range alice.Wire.Sent() {
				if s.Path == "/pay" && first == nil {
					first = s.Body
				}
				if s.Path == "/pay" && !bytes.Equal(first, s.Body) {
					t.Error("the payment was repeated with other bytes")
				}
			}
		})
	}
}

// TestTheMerchantVanishes: he deposited and is gone. The bank has the change.
func TestTheMerchantVanishes(t *testing.T) {
	for name, later := range map[string]time.Duration{
		"the payer asks at once": 0,
		"the payer asks when the bank's certificate of that day has run out": 100 * 24 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			town := wallettest.New(t)
			shop, alice := town.NewShop(t), town.NewHolder(t, 100)
			alice.Draw(t, 16, coin.Bearer)
			alice.Wire.Once("/pay", wallettest.LoseAnswer)
			_, err := alice.Pay(t.Context(), shop.Ask(t, 5))
			want(t, err, wallet.ErrOpen)
			shop.Gate.Shut(true)
			town.Group.Clock.Forward(later)
			alice.Reopen(t)
			resume(t, alice)
			worth(t, alice, 11, 0)
			state(t, alice, wallet.KindPay, wallet.OpDone)
		})
	}
}

// TestABanksReceiptUnderARevokedKeyIsNotBelieved, from the till or from the
// bank; the bank signs it again for who asks.
func TestABanksReceiptUnderARevokedKeyIsNotBelieved(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Draw(t, 16, coin.Bearer)
	alice.Wire.Once("/pay", wallettest.LoseAnswer)
	p, err := alice.Pay(t.Context(), shop.Ask(t, 5))
	want(t, err, wallet.ErrOpen)
	spend, _, err := coin.DecodeSpend(p.Spend)
	must(t, err)
	op := spend.Op()
	path := "/v1/ops/" + base64.RawURLEncoding.EncodeToString(op[:])
	done, err := town.Bank.Operation(t.Context(), spend.Op())
	must(t, err)
	town.RevokeReceipts(t)
	town.Group.Clock.Forward(2 * time.Hour) // the wallet asks for a newer keyset
	alice.Reopen(t)

	town.BankGate.Spoil(path, func(a map[string]any) { a["receipt"] = string(done.Receipt) })
	_, err = alice.Resume(t.Context())
	want(t, err, coin.ErrRevokedSigner)
	state(t, alice, wallet.KindPay, wallet.OpSubmitted)
	worth(t, alice, 0, 16)
	town.BankGate.Instead(path, nil)
	resume(t, alice)
	worth(t, alice, 11, 0)
	state(t, alice, wallet.KindPay, wallet.OpDone)
}

func TestATillThatAnswersWronglyIsNotBelieved(t *testing.T) {
	town := wallettest.New(t)
	shop, other := town.NewShop(t), town.NewShop(t)
	bob := town.NewHolder(t, 100)
	bob.Draw(t, 31, coin.Bearer)
	strange, err := bob.Pay(t.Context(), other.Ask(t, 5))
	must(t, err)
	bobs, err := bob.Pay(t.Context(), shop.Ask(t, 5))
	must(t, err)
	for name, change := range map[string]func(map[string]any){
		"another payment's receipts":      func(a map[string]any) { a["receipt"], a["bank_receipt"] = strange.Receipt, strange.BankReceipt },
		"its receipt for somebody else":   func(a map[string]any) { a["receipt"] = bobs.Receipt },
		"the bank's receipt is another's": func(a map[string]any) { a["bank_receipt"] = strange.BankReceipt },
		"no receipt of the bank":          func(a map[string]any) { a["bank_receipt"] = "" },
		"no receipt of its own":           func(a map[string]any) { delete(a, "receipt") },
		"no change":                       func(a map[string]any) { a["change"] = []any{} },
		"change that is no signature": func(a map[string]any) {
			for i := range a["change"].([]any) {
				a["change"].([]any)[i] = strings.Repeat("A", 342)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			alice := town.NewHolder(t, 100)
			alice.Draw(t, 16, coin.Bearer)
			shop.Gate.Spoil("/pay", change)
			_, err := alice.Pay(t.Context(), shop.Ask(t, 5))
			want(t, err, wallet.ErrOpen)
			state(t, alice, wallet.KindPay, wallet.OpSubmitted)
			resume(t, alice) // the bank tells the truth
			worth(t, alice, 11, 0)
		})
	}
}

// TestARefusalAloneMovesNoCoin: the till could deposit what it was given.
func TestARefusalAloneMovesNoCoin(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Draw(t, 16, coin.Bearer)
	_, link := shop.Offer(t, merchant.OfferRequest{Amount: 5})
	shop.Gate.Instead("/pay", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(`{"code":"coin-signature","detail":"your money is no good here"}`))
	})
	p, err := alice.Pay(t.Context(), link)
	want(t, err, wallet.ErrPromised)
	state(t, alice, wallet.KindPay, wallet.OpSubmitted)
	if _, committed := alice.Worth(t); committed == 0 {
		t.Fatal("the coins were freed")
	}
	_, err = alice.Resume(t.Context())
	want(t, err, wallet.ErrPromised)
	must(t, alice.Reclaim(t.Context(), p.ID))
	worth(t, alice, 16, 0)
}

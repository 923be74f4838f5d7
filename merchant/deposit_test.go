package merchant_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/wallet/wallettest"
)

func TestAPaymentIsDepositedOnce(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	offer, spend := payment(t, town, shop)
	first, err := shop.Accept(t.Context(), spend)
	must(t, err)
	holds(t, town, shop.Account, 5)
	s, _, err := coin.DecodeSpend(spend)
	must(t, err)
	own, err := coin.VerifyHolderReceipt([]byte(first.Receipt), shop.MerchantID())
	must(t, err)
	must(t, own.Covers(s))
	bank, err := coin.VerifyDepositReceipt(town.Group.Group.Root, []byte(first.BankReceipt), town.Now())
	must(t, err)
	must(t, bank.Covers(s, offer.Offer.Payee))

	for name, before := range map[string]func(){
		"at once":                    func() {},
		"with the bank gone":         func() { town.BankGate.Shut(true) },
		"after a crash":              func() { shop.Reopen(t) },
		"when the offer has expired": func() { town.Group.Clock.Forward(time.Hour) },
	} {
		t.Run("and answered again "+name, func(t *testing.T) {
			before()
			again, err := shop.Accept(t.Context(), spend)
			must(t, err)
			if diff := cmp.Diff(first, again); diff != "" {
				t.Error(diff)
			}
			town.BankGate.Shut(false)
			holds(t, town, shop.Account, 5)
		})
	}
	got := taking(t, shop)
	if got.State != merchant.StateDeposited || got.Order != "table 7" || got.Amount != 5 || !bytes.Equal(got.Offer, offer.Digest[:]) {
		t.Errorf("%+v", got)
	}
	must(t, shop.Resume(t.Context()))
	town.CheckBooks(t)
}

// TestAnOfferIsPaidOnce: with other coins it is paid by somebody who follows
// the same link, or by a payer who forgot.
func TestAnOfferIsPaidOnce(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	crook := town.NewCrook(t, -1)
	coins := crook.Draw(t, coin.Bearer, 4, 4, 4)
	offer, _ := shop.Offer(t, merchant.OfferRequest{Amount: 4})
	pay := func(i int) []byte { return crook.Authorise(t, crook.Payment(offer, coins[i]), nil) }

	t.Run("not while another payment is open", func(t *testing.T) {
		shop.Wire.Once("/deposits", wallettest.LoseRequest)
		_, err := shop.Accept(t.Context(), pay(0))
		want(t, err, merchant.ErrOpen)
		_, err = shop.Accept(t.Context(), pay(1))
		refused(t, err, "conflict")
	})
	t.Run("not after it", func(t *testing.T) {
		_, err := shop.Accept(t.Context(), pay(0))
		must(t, err)
		_, err = shop.Accept(t.Context(), pay(1))
		refused(t, err, "conflict")
		holds(t, town, shop.Account, 4)
	})
	t.Run("but after one that the bank refused", func(t *testing.T) {
		next, _ := shop.Offer(t, merchant.OfferRequest{Amount: 4})
		spent := crook.Authorise(t, crook.Payment(next, coins[0]), nil)
		_, err := shop.Accept(t.Context(), spent)
		r := refused(t, err, "double-spend")
		var proof coin.ConflictProof
		must(t, json.Unmarshal(r.Conflict, &proof))
		if got := taking(t, shop); got.State != merchant.StateRefused || !strings.HasPrefix(got.Reason, "double-spend: ") {
			t.Errorf("%+v", got)
		}
		shop.Reopen(t)
		_, err = shop.Accept(t.Context(), spent)
		if again := refused(t, err, "double-spend"); !bytes.Equal(again.Conflict, r.Conflict) || again.Error() != r.Error() {
			t.Errorf("another refusal: %v", again)
		}
		_, err = shop.Accept(t.Context(), crook.Authorise(t, crook.Payment(next, coins[1]), nil))
		must(t, err)
		holds(t, town, shop.Account, 8)
	})
}

// TestManyTillsAtOnce: two processes on one file, many payers at each.
func TestManyTillsAtOnce(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	twin, err := merchant.Open(t.Context(), shop.Path, merchant.Options{Now: town.Now})
	must(t, err)
	defer twin.Close()
	crook := town.NewCrook(t, -1)
	coins := crook.Draw(t, coin.Bearer, slices.Repeat([]coin.Amount{1}, 12)...)
	offer, _ := shop.Offer(t, merchant.OfferRequest{Amount: 1})
	_, err = twin.Keyset(t.Context())
	must(t, err)

	type outcome struct {
		answer *client.TillAnswer
		err    error
	}
	rush := func(spends [][]byte) []outcome {
		out := make([]outcome, len(spends))
		var wg sync.WaitGroup
		for i, spend := range spends {
			wg.Go(func() {
				till := shop.Till
				if i%2 == 1 {
					till = twin
				}
				out[i].answer, out[i].err = till.Accept(t.Context(), spend)
			})
		}
		wg.Wait()
		return out
	}
	var spends [][]byte
	for i := range coins {
		spends = append(spends, crook.Authorise(t, crook.Payment(offer, coins[i]), nil))
	}
	var paid []byte
	for i, o := range rush(spends) {
		switch {
		case o.err == nil && paid != nil:
			t.Fatal("the offer was paid twice")
		case o.err == nil:
			paid = spends[i]
		default:
			refused(t, o.err, "conflict")
		}
	}
	holds(t, town, shop.Account, 1)
	t.Run("and the same bytes from everywhere", func(t *testing.T) {
		next, _ := shop.Offer(t, merchant.OfferRequest{Amount: 1})
		i := slices.IndexFunc(spends, func(s []byte) bool { return !bytes.Equal(s, paid) })
		out := rush(slices.Repeat([][]byte{crook.Authorise(t, crook.Payment(next, coins[i]), nil)}, 12))
		for _, o := range out {
			must(t, o.err)
			if diff := cmp.Diff(out[0].answer, o.answer); diff != "" {
				t.Fatal(diff)
			}
		}
		holds(t, town, shop.Account, 2)
	})
}

func TestALostDepositIsTakenUp(t *testing.T) {
	town := wallettest.New(t)
	for name, fate := range map[string]wallettest.Fate{"the request": wallettest.LoseRequest, "the answer": wallettest.LoseAnswer} {
		t.Run(name, func(t *testing.T) {
			shop := town.NewShop(t)
			_, spend := payment(t, town, shop)
			shop.Wire.Always("/deposits", fate)
			_, err := shop.Accept(t.Context(), spend)
			refused(t, err, "unavailable")
			want(t, err, merchant.ErrOpen)
			want(t, shop.Resume(t.Context()), merchant.ErrOpen)
			if got := taking(t, shop); got.State != merchant.StateSubmitted {
				t.Errorf("%+v", got)
			}
			shop.Wire.Decree(nil)
			shop.Reopen(t)
			must(t, shop.Resume(t.Context()))
			if got := taking(t, shop); got.State != merchant.StateDeposited {
				t.Errorf("%+v", got)
			}
			holds(t, town, shop.Account, 5)
			var bodies [][]byte
			for _, s := range shop.Wire.Sent() {
				if s.Path == "/v1/deposits" {
					bodies = append(bodies, s.Body)
				} else if s.Authorized {
					t.Errorf("%s was asked with the token", s.Path)
				}
			}
			if len(slices.CompactFunc(bodies, bytes.Equal)) != 1 {
				t.Error("the deposit was repeated with other bytes")
			}
		})
	}
}

// TestADepositTakenUpMuchLater, when the certificate that the bank signed its
// receipt under has run out.
func TestADepositTakenUpMuchLater(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	_, spend := payment(t, town, shop)
	shop.Wire.Once("/deposits", wallettest.LoseAnswer)
	_, err := shop.Accept(t.Context(), spend)
	want(t, err, merchant.ErrOpen)
	town.Group.Clock.Forward(100 * 24 * time.Hour)
	must(t, shop.Resume(t.Context()))
	if got := taking(t, shop); got.State != merchant.StateDeposited {
		t.Errorf("%+v", got)
	}
}

// TestAReceiptUnderARevokedKeyIsNotBelieved, whatever its date; the bank signs
// it again for a till that repeats the deposit.
func TestAReceiptUnderARevokedKeyIsNotBelieved(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	offer, spend := payment(t, town, shop)
	s, _, err := coin.DecodeSpend(spend)
	must(t, err)
	shop.Wire.Once("/deposits", wallettest.LoseAnswer)
	_, err = shop.Accept(t.Context(), spend)
	want(t, err, merchant.ErrOpen)
	op, err := town.Bank.Operation(t.Context(), s.Op())
	must(t, err)
	town.RevokeReceipts(t)
	town.Group.Clock.Forward(time.Hour) // the till asks for a newer keyset

	town.BankGate.Spoil("/v1/deposits", func(a map[string]any) { a["receipt"] = string(op.Receipt) })
	want(t, shop.Resume(t.Context()), coin.ErrRevokedSigner)
	if got := taking(t, shop); got.State != merchant.StateSubmitted {
		t.Errorf("%+v", got)
	}
	town.BankGate.Instead("/v1/deposits", nil)
	must(t, shop.Resume(t.Context()))
	answer, err := shop.Accept(t.Context(), spend)
	must(t, err)
	receipt, err := town.Bank.Keyset().VerifyDepositReceipt(town.Group.Group.Root, []byte(answer.BankReceipt), town.Now())
	must(t, err)
	must(t, receipt.Covers(s, offer.Offer.Payee))
}

// TestAPaymentIsDepositedThoughThePayerHangsUp.
func TestAPaymentIsDepositedThoughThePayerHangsUp(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	_, spend := payment(t, town, shop)
	ctx, hangUp := context.WithCancel(t.Context())
	shop.Wire.Decree(func(r *http.Request) wallettest.Fate {
		if strings.Contains(r.URL.Path, "/deposits") {
			hangUp()
		}
		return wallettest.Deliver
	})
	_, err := shop.Accept(ctx, spend)
	must(t, err)
	holds(t, town, shop.Account, 5)
}

func TestResumeSettlesRefusalsToo(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	_, spend := payment(t, town, shop)
	shop.Wire.Once("/deposits", wallettest.LoseRequest)
	_, err := shop.Accept(t.Context(), spend)
	want(t, err, merchant.ErrOpen)
	town.Group.Clock.Forward(time.Hour) // the offer expires
	must(t, shop.Resume(t.Context()))
	if got := taking(t, shop); got.State != merchant.StateRefused || !strings.HasPrefix(got.Reason, "offer-expired: ") {
		t.Errorf("%+v", got)
	}
	_, err = shop.Accept(t.Context(), spend)
	refused(t, err, "offer-expired")
	holds(t, town, shop.Account, 0)
}

// TestABankIsBelievedWithItsPapersOnly.
func TestABankIsBelievedWithItsPapersOnly(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	crook := town.NewCrook(t, -1)
	coins := crook.Draw(t, coin.Bearer, 4, 4, 4)
	first, _ := shop.Offer(t, merchant.OfferRequest{Amount: 4})
	paid, err := shop.Accept(t.Context(), crook.Authorise(t, crook.Payment(first, coins[0]), nil))
	must(t, err)
	second, _ := shop.Offer(t, merchant.OfferRequest{Amount: 4})
	_, err = shop.Accept(t.Context(), crook.Authorise(t, crook.Payment(second, coins[0]), nil))
	otherProof, err := json.Marshal(map[string]any{"code": "double-spend", "conflict": refused(t, err, "double-spend").Conflict})
	must(t, err)

	offer, _ := shop.Offer(t, merchant.OfferRequest{Amount: 4})
	spend := crook.Authorise(t, crook.Payment(offer, coins[1]), nil)
	const jsonType, problemType = "application/json", "application/problem+json"
	for _, c := range []struct {
		name              string
		status            int
		contentType, body string
	}{
		{"a receipt for another payment", 200, jsonType, `{"op":"AAAA","signatures":[],"receipt":"` + paid.BankReceipt + `"}`},
		{"no receipt", 200, jsonType, `{"op":"AAAA","signatures":[]}`},
		{"a receipt that nobody signed", 200, jsonType, `{"op":"AAAA","signatures":[],"receipt":"a.b.c"}`},
		{"spent, without proof", 409, problemType, `{"code":"double-spend"}`},
		{"spent, with a proof about another coin", 409, problemType, string(otherProof)},
		{"spent, with an empty proof", 409, problemType, `{"code":"double-spend","conflict":null}`},
		{"taken back, without proof", 409, problemType, `{"code":"conflict"}`},
		{"not now", 503, problemType, `{"code":"unavailable"}`},
		{"not with this token", 401, problemType, `{"code":"unauthorized"}`},
		{"not for this account", 403, problemType, `{"code":"forbidden"}`},
		{"a page", 422, "text/html", `<html>`},
		{"later", 202, jsonType, `{}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			answerWith(&town.BankGate, "/v1/deposits", c.status, c.contentType, c.body)
			_, err := shop.Accept(t.Context(), spend)
			refused(t, err, "unavailable")
			want(t, err, merchant.ErrOpen)
			if got := taking(t, shop); got.State != merchant.StateSubmitted {
				t.Errorf("%+v", got)
			}
		})
	}
	town.BankGate.Instead("/v1/deposits", nil)
	_, err = shop.Accept(t.Context(), spend)
	must(t, err)
	holds(t, town, shop.Account, 8)
}

// TestADepositWithoutTheChangeIsNotAnswered: the payer would be told that he
// paid, and be short of his change.
func TestADepositWithoutTheChangeIsNotAnswered(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	_, spend := payment(t, town, shop)
	town.BankGate.Spoil("/v1/deposits", func(a map[string]any) { a["signatures"] = a["signatures"].([]any)[1:] })
	_, err := shop.Accept(t.Context(), spend)
	want(t, err, merchant.ErrOpen)
	town.BankGate.Instead("/v1/deposits", nil)
	answer, err := shop.Accept(t.Context(), spend)
	must(t, err)
	if len(answer.Change) != 3 {
		t.Errorf("%d change coins", len(answer.Change))
	}
}

// TestAVoidedPaymentIsRefusedWithTheVoid.
func TestAVoidedPaymentIsRefusedWithTheVoid(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 16)
	alice.Draw(t, 16, coin.Bearer)
	p, err := alice.PreparePayment(t.Context(), shop.Ask(t, 5))
	must(t, err)
	must(t, alice.Reclaim(t.Context(), p.ID))
	_, err = shop.Accept(t.Context(), p.Spend)
	r := refused(t, err, "conflict")
	var proof coin.ConflictProof
	must(t, json.Unmarshal(r.Conflict, &proof))
	spend, _, err := coin.DecodeSpend(p.Spend)
	must(t, err)
	must(t, proof.Verify(spend, &town.Keyset, nil))
	if proof.Spend.Purpose != coin.Void || taking(t, shop).State != merchant.StateRefused {
		t.Errorf("shown a %s", proof.Spend.Purpose)
	}
}

// TestATillLearnsOfALoginBesideIt: "merchant login" while "merchant serve" runs.
func TestATillLearnsOfALoginBesideIt(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	_, spend := payment(t, town, shop)
	twin, err := merchant.Open(t.Context(), shop.Path, merchant.Options{Now: town.Now})
	must(t, err)
	defer twin.Close()
	_, stranger := town.Account(t, issuer.Holder, "", 0)
	must(t, twin.SetToken(t.Context(), stranger))
	_, err = shop.Accept(t.Context(), spend)
	want(t, err, merchant.ErrOpen)
	var p *client.Problem
	if !errors.As(err, &p) || p.Code != "forbidden" {
		t.Fatalf("got %v", err)
	}
	must(t, twin.SetToken(t.Context(), shop.Token))
	_, err = shop.Accept(t.Context(), spend)
	must(t, err)
}

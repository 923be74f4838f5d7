package server

import (
	"slices"
	"strconv"
	"testing"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
)

// holdBody is a request to hold what a deposit redeems.
func holdBody(t *testing.T, d issuerclient.DepositRequest) issuerclient.HoldRequest {
	t.Helper()
	spend := d.Spend
	spend.Bearer, spend.Presentation, spend.Stead = nil, "", nil
	return issuerclient.HoldRequest{Offer: d.Offer, PayeeSalt: d.PayeeSalt, Spend: spend}
}

// refundBody orders a refund of a deposit into a batch.
func (b *branch) refundBody(t *testing.T, op string, batch *issuertest.Batch, amount coin.Amount) issuerclient.RefundRequest {
	t.Helper()
	id, err := parseID(op)
	fatal(t, err)
	order := coin.RefundOrder{
		Bank: issuertest.BankID, Deposit: id, Outputs: coin.OutputsDigest(batch.Outputs), Amount: amount, Currency: "EUR", At: issuertest.Now,
	}
	jws, err := order.Sign(b.till.Key)
	fatal(t, err)
	return issuerclient.RefundRequest{Order: string(jws), Outputs: coin.NewOutputsJSON(batch.Outputs)}
}

// drawn are bearer coins of these values, of the branch's holder.
func (b *branch) drawn(t *testing.T, values ...coin.Amount) []coin.Coin {
	t.Helper()
	batch := b.purse.Prepare(t, values...)
	signed := decode[issuerclient.Signed](t, b.post(t, "/v1/withdrawals", b.holderToken, withdrawal(batch)), 200)
	return batch.Finalize(t, raw(signed.Signatures))
}

// checkHolds holds, deposits and refunds over HTTP, and asks the operator's side
// what happened to merchants.
func (b *branch) checkHolds(t *testing.T, operator *issuerclient.ClientWithResponses) {
	t.Helper()
	ctx := t.Context()
	bob, err := issuerclient.NewClientWithResponses(b.public.URL, bearer(string(b.till.Token)))
	fatal(t, err)
	coins := b.drawn(t, 2, 2)
	offer := b.till.Offer(t, 2, nil)
	s, a := b.purse.Pay(t, offer, coins[:1], nil)
	body := deposit(t, offer, s, a)
	held, err := bob.HoldWithResponse(ctx, holdBody(t, body))
	fatal(t, err)
	if held.JSON200 == nil || held.JSON200.Op != id64(s.Op()) || !held.JSON200.Until.Equal(b.Now().Add(b.Limits().HoldTime)) {
		t.Fatalf("hold: %s", held.Body)
	}
	wrong := body
	wrong.Spend.Bearer = slices.Clone(body.Spend.Bearer)
	wrong.Spend.Bearer[0] = strings64(wrong.Spend.Bearer[0], 3)
	refused(t, b.post(t, "/v1/deposits", b.till.Token, wrong), 422, CodeOwnerSignature)
	paid, err := bob.DepositWithResponse(ctx, body)
	fatal(t, err)
	if paid.JSON200 == nil {
		t.Fatalf("deposit: %s", paid.Body)
	}
	batch := b.purse.Prepare(t, 1)
	refunded, err := bob.RefundWithResponse(ctx, b.refundBody(t, paid.JSON200.Op, batch, 1))
	fatal(t, err)
	if refunded.JSON200 == nil {
		t.Fatalf("refund: %s", refunded.Body)
	}
	batch.Finalize(t, raw(refunded.JSON200.Signatures))
	op, err := bob.GetOpWithResponse(ctx, refunded.JSON200.Op)
	fatal(t, err)
	if op.JSON200 == nil || op.JSON200.Kind != "refund" {
		t.Fatalf("operation: %s", op.Body)
	}
	state, err := bob.GetDepositWithResponse(ctx, paid.JSON200.Op)
	fatal(t, err)
	if d := state.JSON200; d == nil || d.Paid != 2 || d.Refunded != 1 || d.Refundable != 1 || d.Settled {
		t.Fatalf("deposit: %s", state.Body)
	}
	offer = b.till.Offer(t, 2, nil)
	s, a = b.purse.Pay(t, offer, coins[1:], nil)
	held, err = bob.HoldWithResponse(ctx, holdBody(t, deposit(t, offer, s, a)))
	fatal(t, err)
	if held.JSON200 == nil {
		t.Fatalf("hold: %s", held.Body)
	}
	released, err := bob.ReleaseHoldWithResponse(ctx, held.JSON200.Op)
	fatal(t, err)
	if released.StatusCode() != 204 {
		t.Fatalf("release: %d %s", released.StatusCode(), released.Body)
	}
	strikes, err := operator.GetStrikesWithResponse(ctx, &issuerclient.GetStrikesParams{})
	fatal(t, err)
	if strikes.JSON200 == nil || !slices.ContainsFunc(strikes.JSON200.Strikes, func(x issuerclient.Strike) bool {
		return x.Kind == "strike" && x.Account == b.till.Account.ID && x.Hold != nil && x.Deposit != nil && x.Reason != ""
	}) {
		t.Fatalf("strikes: %s", strikes.Body)
	}
}

// strings64 is base64url text with another character at that place.
func strings64(text string, at int) string {
	c := []byte(text)
	if c[at] == 'A' {
		c[at] = 'B'
	} else {
		c[at] = 'A'
	}
	return string(c)
}

func TestHoldsAndRefundsAreRefusedWithTheirCodes(t *testing.T) {
	c := readContract(t, "issuer.yaml")
	limits := issuer.DefaultLimits()
	limits.OpenHolds = 2
	b := openBranch(t, c, issuertest.NewHouse(t).NewBank(t, func(cfg *issuer.Config) { cfg.Limits = &limits }))
	coins := b.drawn(t, 8, 4, 2, 1)
	other := b.NewTill(t)
	pay := func(till *issuertest.Till, amount coin.Amount, coins ...coin.Coin) issuerclient.DepositRequest {
		offer := till.Offer(t, amount, nil)
		s, a := b.purse.Pay(t, offer, coins, nil)
		return deposit(t, offer, s, a)
	}
	const holds, refunds = "/v1/holds", "/v1/refunds"
	right := pay(b.till, 8, coins[0])
	held := decode[issuerclient.Held](t, b.post(t, holds, b.till.Token, holdBody(t, right)), 200)
	elsewhere := b.post(t, holds, other.Token, holdBody(t, pay(other, 8, coins[0])))
	refused(t, elsewhere, 409, CodeCoinHeld)
	if wait, err := strconv.Atoi(elsewhere.header.Get("Retry-After")); err != nil || wait != 60 {
		t.Errorf("Retry-After is %q", elsewhere.header.Get("Retry-After"))
	}
	refused(t, b.post(t, holds, b.till.Token, right), 400, CodeMalformed) // with its authorisation
	refused(t, b.post(t, holds, b.holderToken, holdBody(t, right)), 403, CodeForbidden)
	refused(t, b.post(t, holds, "", holdBody(t, right)), 401, CodeUnauthorized)
	refused(t, b.post(t, holds, other.Token, holdBody(t, right)), 409, CodeCoinHeld)
	short := holdBody(t, right)
	short.PayeeSalt = short.PayeeSalt[1:]
	refused(t, b.post(t, holds, b.till.Token, short), 400, CodeMalformed)
	decode[issuerclient.Held](t, b.post(t, holds, b.till.Token, holdBody(t, pay(b.till, 4, coins[1]))), 200)
	full := b.post(t, holds, b.till.Token, holdBody(t, pay(b.till, 2, coins[2])))
	refused(t, full, 429, CodeLimit)
	if full.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	b.Clock.Set(held.Until)
	refused(t, b.post(t, holds, b.till.Token, holdBody(t, right)), 409, CodeHoldEnded)
	b.Clock.Set(issuertest.Now)

	done := decode[issuerclient.Deposited](t, b.post(t, "/v1/deposits", b.till.Token, right), 200)
	refused(t, b.post(t, holds, b.till.Token, holdBody(t, right)), 409, CodeConflict)
	refused(t, b.post(t, holds, other.Token, holdBody(t, pay(other, 8, coins[0]))), 409, CodeDoubleSpend)
	refused(t, b.post(t, refunds, b.till.Token, b.refundBody(t, done.Op, b.purse.Prepare(t, 16), 16)), 409, CodeRefund)
	refused(t, b.post(t, refunds, b.till.Token, b.refundBody(t, done.Op, b.purse.Prepare(t, 1), 2)), 422, CodeWrongAmount)
	refused(t, b.post(t, refunds, other.Token, b.refundBody(t, done.Op, b.purse.Prepare(t, 1), 1)), 403, CodeForbidden)
	refused(t, b.post(t, refunds, b.holderToken, b.refundBody(t, done.Op, b.purse.Prepare(t, 1), 1)), 403, CodeForbidden)
	refused(t, b.post(t, refunds, b.till.Token, b.refundBody(t, id64([32]byte{1}), b.purse.Prepare(t, 1), 1)), 404, CodeNotFound)
	_, err := b.Payout(t.Context(), b.till.Account.ID, 1, "wire")
	fatal(t, err)
	refused(t, b.post(t, refunds, b.till.Token, b.refundBody(t, done.Op, b.purse.Prepare(t, 1), 1)), 409, CodeSettled)

	// Guessing: three different ones under a hold.
	guess := pay(b.till, 2, coins[2])
	decode[issuerclient.Held](t, b.post(t, holds, b.till.Token, holdBody(t, guess)), 200)
	for i, want := range []Code{CodeOwnerSignature, CodeOwnerSignature, CodeCoinHeld, CodeCoinHeld} {
		wrong := guess
		wrong.Spend.Bearer = []string{strings64(guess.Spend.Bearer[0], i+1)}
		status := 422
		if want == CodeCoinHeld {
			status = 409
		}
		refused(t, b.post(t, "/v1/deposits", b.till.Token, wrong), status, want)
	}
	refused(t, b.post(t, "/v1/deposits", b.till.Token, guess), 409, CodeCoinHeld)
	refused(t, b.post(t, holds, b.till.Token, holdBody(t, pay(b.till, 1, coins[3]))), 403, CodeSuspended)
	refused(t, b.post(t, refunds, b.till.Token, b.refundBody(t, done.Op, b.purse.Prepare(t, 1), 1)), 403, CodeSuspended)
}

package server

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/successor"
	"github.com/speciecash/specie/issuer/issuertest"
)

// widow is a member since this epoch, who was another one in the last, with
// bound coins of 8 and 4 from then.
type widow struct {
	*branch
	old, now *issuertest.Member
	word     []byte
	coins    []coin.Coin
	claims   map[[32]byte]coin.Claim
}

func newWidow(t *testing.T, b *branch) *widow {
	t.Helper()
	h := b.House
	w := &widow{branch: b, old: h.AdmitFor(t, h.Contents.Current.Number-1), now: h.AdmitKnown(t), claims: map[[32]byte]coin.Claim{}}
	w.word = h.Succession(t, w.old, w.now, h.Contents.Current.Starts)
	account, _ := b.Funded(t, 12)
	batch := b.purse.PrepareHeld(t, w.old, 8, 4)
	signed, err := b.Withdraw(t.Context(), account, batch.Outputs)
	fatal(t, err)
	w.coins = batch.Finalize(t, signed.Signatures)
	for i, p := range batch.Planchets {
		w.claims[p.ID()] = p.Claim(signed.Op, i)
	}
	return w
}

// recover is the request of a recover, with claims for coins without signature.
func (w *widow) recover(t *testing.T, s coin.Spend) issuerclient.RecoverRequest {
	t.Helper()
	spend, a := w.purse.AuthoriseRecover(t, w.now, [][]byte{w.word}, s)
	r := issuerclient.RecoverRequest{Spend: spendJSON(t, spend, a)}
	var claims []coin.Claim
	for i := range spend.Coins {
		if !spend.Coins[i].Signed() {
			claims = append(claims, w.claims[spend.Coins[i].ID()])
		}
	}
	if len(claims) > 0 {
		wire := coin.NewClaimsJSON(claims)
		r.Claims = &wire
	}
	return r
}

func TestARecoverOverHTTP(t *testing.T) {
	const recoveries = "/v1/recoveries"
	b := newBranch(t, readContract(t, "issuer.yaml"))
	w := newWidow(t, b)
	fresh := b.purse.Prepare(t, 8)
	type req = issuerclient.RecoverRequest
	edited := func(edit func(r *req)) req {
		r := w.recover(t, coin.Spend{Coins: w.coins[:1], ToIssuer: fresh.Outputs})
		edit(&r)
		return r
	}
	unsigned := w.coins[1]
	unsigned.Signature = nil
	for _, tt := range []struct {
		name   string
		body   any
		status int
		code   Code
	}{
		{"without a spend", map[string]any{"claims": []coin.ClaimJSON{}}, 400, CodeMalformed},
		{"with a member that is unknown", json.RawMessage(`{"account":"holder/x"}`), 400, CodeMalformed},
		{"with a claim for a coin that has its signature", edited(func(r *req) {
			wire := coin.NewClaimsJSON([]coin.Claim{w.claims[w.coins[0].ID()]})
			r.Claims = &wire
		}), 422, CodeClaim},
		{"without the claim for one that has none", func() req {
			r := w.recover(t, coin.Spend{Coins: []coin.Coin{unsigned}, Amount: 4})
			r.Claims = nil
			return r
		}(), 422, CodeClaim},
		{"with half a claim", edited(func(r *req) { r.Claims = &[]coin.ClaimJSON{{Op: "AAAA"}} }), 400, CodeMalformed},
		{"without a stead", edited(func(r *req) { r.Spend.Stead = nil }), 422, CodeBinding},
		{"of another year", edited(func(r *req) { r.Spend.IssuedAt = "1970-01-01T00:00:01Z" }), 422, CodeWrongDate},
		{"without a succession", edited(func(r *req) { r.Spend.Stead.Successions = []string{} }), 422, CodeSuccession},
		{"with a succession that is none", edited(func(r *req) { r.Spend.Stead.Successions = []string{"a.b.c"} }), 422, CodeSuccession},
		{"with another key to a holding", edited(func(r *req) { r.Spend.Stead.Holdings[0].Key = r.Spend.Stead.Key }), 422, CodeHolding},
		{"with half a key", edited(func(r *req) { r.Spend.Stead.Key = r.Spend.Stead.Key[:20] }), 400, CodeMalformed},
		{"with another coin's place", edited(func(r *req) { r.Spend.Stead.Held[0].Claim ^= 1 }), 422, CodeHolding},
		{"with a place that can't be", edited(func(r *req) { r.Spend.Stead.Held[0].Holding = 7 }), 422, CodeHolding},
		{"by a stranger", edited(func(r *req) { r.Spend.Presentation = r.Spend.Stead.Holdings[0].Presentation }), 422, CodeEpoch},
		{"for another purpose", edited(func(r *req) { r.Spend.Purpose = coin.Exchange }), 422, CodeBinding},
		{"for less", w.recover(t, coin.Spend{Coins: w.coins, ToIssuer: fresh.Outputs}), 422, CodeWrongAmount},
		{"that is too large", map[string]string{"x": strings.Repeat("x", maxRecoup)}, 413, CodeTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) { refused(t, b.post(t, recoveries, "", tt.body), tt.status, tt.code) })
	}
	t.Run("too early", func(t *testing.T) {
		until := b.House.EpochEnds()
		early := *w
		early.word = b.House.Succession(t, w.old, w.now, until)
		p := refused(t, b.post(t, recoveries, "", early.recover(t, coin.Spend{Coins: w.coins[:1], ToIssuer: fresh.Outputs})), 422, CodeTooEarly)
		if p.NotBefore == nil || !p.NotBefore.Equal(until.Add(groupdoc.EpochSkew)) {
			t.Errorf("not before %v", p.NotBefore)
		}
	})
	for _, path := range []string{"/v1/exchanges", "/v1/recoups", "/v1/deposits"} {
		t.Run("sent to "+path, func(t *testing.T) {
			r := edited(func(*req) {})
			var body any = issuerclient.ExchangeRequest{Spend: r.Spend}
			switch path {
			case "/v1/recoups":
				body = issuerclient.RecoupRequest{Spend: r.Spend, Claims: []coin.ClaimJSON{}}
			case "/v1/deposits":
				body = issuerclient.DepositRequest{Offer: []byte("x"), PayeeSalt: make([]byte, 32), Spend: r.Spend}
			}
			refused(t, b.post(t, path, b.till.Token, body), 400, CodeMalformed)
		})
	}
	b.CheckBooks(t, 100, 0, 12)

	good := edited(func(*req) {})
	first := b.post(t, recoveries, "", good)
	made := decode[issuerclient.Signed](t, first, 200)
	fresh.Finalize(t, raw(made.Signatures))
	if again := b.post(t, recoveries, "", good); !slices.Equal(again.body, first.body) {
		t.Errorf("the repetition got %s", again.body)
	}
	op := decode[issuerclient.Op](t, b.send(t, http.MethodGet, b.public.URL+"/v1/ops/"+made.Op, "", nil), 200)
	if op.Kind != issuerclient.OpKindRecover || len(op.Signatures) != 1 {
		t.Errorf("the operation is %+v", op)
	}
	// One spent coin holds up the other, and the refusal shows how.
	both := w.recover(t, coin.Spend{Coins: w.coins, ToIssuer: b.purse.Prepare(t, 8, 4).Outputs})
	p := refused(t, b.post(t, recoveries, "", both), http.StatusConflict, CodeDoubleSpend)
	var proof coin.ConflictProof
	fatal(t, json.Unmarshal(*p.Conflict, &proof))
	spend, _, err := both.Spend.Parse()
	fatal(t, err)
	doc := b.House.Document(t)
	v, err := doc.Verifier(issuertest.Now)
	fatal(t, err)
	fatal(t, proof.Verify(spend, b.Keyset(), coin.WithSuccessors(coin.NewPresentationVerifier(v),
		&successor.Verifier{Root: b.House.Root, Doc: doc})))
	// The other, as money: nobody's token is needed, it goes where it came from.
	decode[issuerclient.Signed](t, b.post(t, recoveries, "", w.recover(t, coin.Spend{Coins: []coin.Coin{unsigned}, Amount: 4})), 200)
	b.CheckBooks(t, 104, 0, 8)
}

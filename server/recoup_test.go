package server

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer/issuertest"
)

// revoke publishes a keyset that revokes a key.
func (b *branch) revoke(t *testing.T, d *coin.Denomination) {
	t.Helper()
	b.reload(t, func(k *coin.Keyset) {
		for i := range k.Denominations {
			if k.Denominations[i].KeyID == d.KeyID {
				k.Denominations[i].Revoked = true
			}
		}
	})
}

// recoup claims coins of a batch, by their places among the outputs of op.
func (b *branch) recoup(t *testing.T, draft coin.Spend, op string, batch *issuertest.Batch, places ...int) issuerclient.RecoupRequest {
	t.Helper()
	id, err := base64.RawURLEncoding.DecodeString(op)
	fatal(t, err)
	claims := map[[32]byte]coin.Claim{}
	draft.Purpose, draft.Bank, draft.Currency, draft.IssuedAt = coin.Recoup, issuertest.BankID, issuertest.Currency, issuertest.Now.Unix()
	for _, i := range places {
		p := batch.Planchets[i]
		claims[p.ID()] = p.Claim([32]byte(id), i)
		draft.Coins = append(draft.Coins, *p.Unsigned())
	}
	spend, authorisation := b.purse.Authorise(t, draft)
	var ordered []coin.Claim
	for _, id := range spend.CoinIDs() {
		ordered = append(ordered, claims[id])
	}
	return issuerclient.RecoupRequest{Spend: spendJSON(t, spend, authorisation), Claims: coin.NewClaimsJSON(ordered)}
}

func TestARecoupOverHTTP(t *testing.T) {
	const recoups = "/v1/recoups"
	b := newBranch(t, readContract(t, "issuer.yaml"))
	d := b.House.Key(t, coin.Bearer, 16)
	batch := b.purse.Prepare(t, 16, 16, 16, 1)
	signed := decode[issuerclient.Signed](t, b.post(t, "/v1/withdrawals", b.holderToken, withdrawal(batch)), 200)
	coins := batch.Finalize(t, raw(signed.Signatures))
	claim := func(draft coin.Spend, places ...int) issuerclient.RecoupRequest {
		return b.recoup(t, draft, signed.Op, batch, places...)
	}
	fresh := b.purse.Prepare(t, 8, 8)
	refused(t, b.post(t, recoups, "", claim(coin.Spend{ToIssuer: fresh.Outputs}, 0)), 422, CodeKeyNotRevoked)
	decode[issuerclient.Deposited](t, b.pay(t, d, coins[1]), 200)
	b.revoke(t, d)

	edited := func(edit func(r *issuerclient.RecoupRequest)) issuerclient.RecoupRequest {
		r := claim(coin.Spend{ToIssuer: fresh.Outputs}, 0)
		edit(&r)
		return r
	}
	type req = issuerclient.RecoupRequest
	for _, tt := range []struct {
		name   string
		body   any
		at     time.Time
		status int
		code   Code
	}{
		{"without claims", edited(func(r *req) { r.Claims = []coin.ClaimJSON{} }), time.Time{}, 422, CodeClaim},
		{"without a spend", map[string]any{"claims": []coin.ClaimJSON{}}, time.Time{}, 400, CodeMalformed},
		{"with a member that is unknown", json.RawMessage(`{"claims":[],"account":"holder/x"}`), time.Time{}, 400, CodeMalformed},
		{"of another output", edited(func(r *req) { r.Claims[0].Index = 2 }), time.Time{}, 422, CodeClaim},
		{"of an output that can't be", edited(func(r *req) { r.Claims[0].Index = 256 }), time.Time{}, 400, CodeMalformed},
		{"with another secret", edited(func(r *req) { r.Claims[0].Secret = r.Claims[0].Op }), time.Time{}, 422, CodeClaim},
		{"with half a secret", edited(func(r *req) { r.Claims[0].Secret = r.Claims[0].Secret[:20] }), time.Time{}, 400, CodeMalformed},
		{"of no operation", edited(func(r *req) { r.Claims[0].Op = strings.Repeat("A", 43) }), time.Time{}, 422, CodeClaim},
		{"by a stranger", edited(func(r *req) { r.Spend.Bearer[0] = strings.Repeat("A", 86) }), time.Time{}, 422, CodeOwnerSignature},
		{"for another purpose", edited(func(r *req) { r.Spend.Purpose = coin.Exchange }), time.Time{}, 400, CodeMalformed},
		{"for less", claim(coin.Spend{ToIssuer: fresh.Outputs[:1]}, 0), time.Time{}, 422, CodeWrongAmount},
		{"after the legal end", edited(func(*req) {}), d.LegalUntil, 422, CodeKeyExpired},
		{"that is too large", map[string]string{"x": strings.Repeat("x", maxRecoup)}, time.Time{}, 413, CodeTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !tt.at.IsZero() {
				b.Clock.Set(tt.at)
				defer b.Clock.Set(issuertest.Now)
			}
			refused(t, b.post(t, recoups, "", tt.body), tt.status, tt.code)
		})
	}
	for _, path := range []string{"/v1/exchanges", "/v1/deposits"} {
		t.Run("sent to "+path, func(t *testing.T) {
			r := claim(coin.Spend{ToIssuer: fresh.Outputs}, 0)
			var body any = issuerclient.ExchangeRequest{Spend: r.Spend}
			if path == "/v1/deposits" {
				body = issuerclient.DepositRequest{Offer: []byte("x"), PayeeSalt: make([]byte, 32), Spend: r.Spend}
			}
			refused(t, b.post(t, path, b.till.Token, body), 400, CodeMalformed)
		})
	}

	// One spent coin holds up the other, and the refusal shows how.
	both := claim(coin.Spend{ToIssuer: b.purse.Prepare(t, 8, 8, 8, 8).Outputs}, 0, 1)
	p := refused(t, b.post(t, recoups, "", both), http.StatusConflict, CodeDoubleSpend)
	var proof coin.ConflictProof
	fatal(t, json.Unmarshal(*p.Conflict, &proof))
	spend, _, err := both.Spend.Parse()
	fatal(t, err)
	fatal(t, proof.Verify(spend, b.Keyset(), nil))

	good := claim(coin.Spend{ToIssuer: fresh.Outputs}, 0)
	first := b.post(t, recoups, "", good)
	made := decode[issuerclient.Signed](t, first, 200)
	fresh.Finalize(t, raw(made.Signatures))
	if again := b.post(t, recoups, "", good); !slices.Equal(again.body, first.body) {
		t.Errorf("the repetition got %s", again.body)
	}
	op := decode[issuerclient.Op](t, b.send(t, http.MethodGet, b.public.URL+"/v1/ops/"+made.Op, "", nil), 200)
	if op.Kind != issuerclient.OpKindRecoup || len(op.Signatures) != 2 {
		t.Errorf("the operation is %+v", op)
	}
	// The other, as money: nobody's token is needed, it goes where it came from.
	decode[issuerclient.Signed](t, b.post(t, recoups, "", claim(coin.Spend{Amount: 16}, 2)), 200)
	account := decode[issuerclient.Account](t, b.send(t, http.MethodGet, b.public.URL+"/v1/account", b.holderToken, nil), 200)
	if account.Balance != 67 {
		t.Errorf("the account holds %d", account.Balance)
	}
	b.CheckBooks(t, 67, 16, 17)
}

package server

import (
	"bytes"
	"net/http"
	"slices"
	"testing"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
)

// checkRestore loses a wallet with one coin spent and one not, and finds both,
// and the keyset that they were made under.
func (b *branch) checkRestore(t *testing.T, anybody *issuerclient.ClientWithResponses) {
	t.Helper()
	ctx := t.Context()
	batch, never := b.purse.Prepare(t, 1, 1), b.purse.Prepare(t, 1)
	signed := decode[issuerclient.Signed](t, b.post(t, "/v1/withdrawals", b.holderToken, withdrawal(batch)), 200)
	coins := batch.Finalize(t, raw(signed.Signatures))
	s, a := b.purse.Exchange(t, coins[:1], b.purse.Prepare(t, 1).Outputs)
	decode[issuerclient.Signed](t, b.post(t, "/v1/exchanges", "", issuerclient.ExchangeRequest{Spend: spendJSON(t, s, a)}), 200)

	found, err := anybody.RestoreWithResponse(ctx, issuerclient.RestoreJSONRequestBody{
		Outputs: coin.NewOutputsJSON(append(never.Outputs, batch.Outputs...)),
	})
	fatal(t, err)
	if found.JSON200 == nil || len(found.JSON200.Outputs) != 3 {
		t.Fatalf("restore: %s", found.Body)
	}
	if none := found.JSON200.Outputs[0]; none.Op != nil || none.Index != nil || none.Signature != nil {
		t.Errorf("an output that was never signed is %+v", none)
	}
	for i, o := range found.JSON200.Outputs[1:] {
		if o.Op == nil || *o.Op != signed.Op || *o.Index != i || !bytes.Equal(*o.Signature, signed.Signatures[i]) {
			t.Errorf("output %d is %+v", i, o)
		}
	}
	var refs []issuerclient.CoinRef
	for i := range coins {
		id := coins[i].ID()
		refs = append(refs, issuerclient.CoinRef{Kid: coins[i].KeyID[:], Id: id[:]})
	}
	states, err := anybody.CoinStatesWithResponse(ctx, issuerclient.CoinStatesRequest{Coins: refs})
	fatal(t, err)
	if states.JSON200 == nil || !slices.Equal(states.JSON200.States, []issuerclient.CoinStatesStates{"spent", "unspent"}) {
		t.Fatalf("states: %s", states.Body)
	}
	keyset, err := anybody.GetKeysetWithResponse(ctx, 1)
	fatal(t, err)
	if keyset.JSON200 == nil || keyset.JSON200.Keyset != string(b.House.KeysetJWS) {
		t.Fatalf("keyset: %s", keyset.Body)
	}
}

func TestWhatARestoreAsksForMustBeThere(t *testing.T) {
	b := newBranch(t, readContract(t, "issuer.yaml"))
	used := b.purse.Prepare(t, 1)
	decode[issuerclient.Signed](t, b.post(t, "/v1/withdrawals", b.holderToken, withdrawal(used)), 200)
	coins := b.withdraw(t, 1)
	s, a := b.purse.Exchange(t, coins, used.Outputs)
	strange := withdrawal(b.purse.Prepare(t, 1))
	strange.Outputs[0].KeyID = withKey(coin.KeyID{1})
	id := make([]byte, 32)
	ref := func(kid, id []byte) any {
		return issuerclient.CoinStatesRequest{Coins: []issuerclient.CoinRef{{Kid: kid, Id: id}}}
	}
	one := b.House.Key(t, coin.Bearer, 1).KeyID
	many := make([]issuerclient.CoinRef, 257)
	for i := range many {
		many[i] = issuerclient.CoinRef{Kid: one[:], Id: id}
	}
	tests := []struct {
		name   string
		path   string
		token  issuer.Token
		body   any
		status int
		code   Code
	}{
		{"no output", "/v1/restore", "", issuerclient.WithdrawalRequest{Outputs: []coin.OutputJSON{}}, 400, CodeMalformed},
		{"one output twice", "/v1/restore", "", issuerclient.WithdrawalRequest{Outputs: slices.Repeat(coin.NewOutputsJSON(used.Outputs), 2)}, 400, CodeMalformed},
		{"more outputs than the bank answers", "/v1/restore", "", issuerclient.WithdrawalRequest{Outputs: slices.Repeat(strange.Outputs, 257)}, 413, CodeTooLarge},
		{"an output of a key that is not there", "/v1/restore", "", strange, 422, CodeUnknownKey},
		{"no coin", "/v1/coins", "", issuerclient.CoinStatesRequest{Coins: []issuerclient.CoinRef{}}, 400, CodeMalformed},
		{"more coins than the bank answers", "/v1/coins", "", issuerclient.CoinStatesRequest{Coins: many}, 413, CodeTooLarge},
		{"a coin of a key that is not there", "/v1/coins", "", ref(id, id), 422, CodeUnknownKey},
		{"a coin with a short id", "/v1/coins", "", ref(one[:], id[1:]), 400, CodeMalformed},
		{"an exchange for an output that is used", "/v1/exchanges", "", issuerclient.ExchangeRequest{Spend: spendJSON(t, s, a)}, 409, CodeOutputUsed},
		{"a withdrawal of more than an output that is used", "/v1/withdrawals", b.holderToken,
			withdrawal(&issuertest.Batch{Outputs: append(b.purse.Prepare(t, 2).Outputs, used.Outputs...)}), 409, CodeOutputUsed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			refused(t, b.post(t, tt.path, tt.token, tt.body), tt.status, tt.code)
		})
	}
	for path, want := range map[string]struct {
		status int
		code   Code
	}{
		"/v1/keysets/2":   {404, CodeNotFound},
		"/v1/keysets/0":   {400, CodeMalformed},
		"/v1/keysets/one": {400, CodeMalformed},
	} {
		refused(t, b.send(t, http.MethodGet, b.public.URL+path, "", nil), want.status, want.code)
	}
	b.CheckBooks(t, 98, 0, 2)
}

// withKey is a key id as outputs have it on the wire.
func withKey(kid coin.KeyID) string {
	return coin.NewOutputsJSON([]coin.Output{{KeyID: kid, Blinded: make([]byte, 256)}})[0].KeyID
}

package wallet_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// proofIn reads the proof in a refusal and verifies it as a stranger would.
func proofIn(t *testing.T, town *wallettest.Town, code string, err error, spend []byte) *coin.ConflictProof {
	t.Helper()
	var p *client.Problem
	if !errors.As(err, &p) || p.Code != code || p.Status != http.StatusConflict {
		t.Fatalf("got %v", err)
	}
	var proof coin.ConflictProof
	must(t, json.Unmarshal(p.Conflict, &proof))
	s, _, err := coin.DecodeSpend(spend)
	must(t, err)
	var v coin.PresentationVerifier
	if proof.Spend.Group != [32]byte{} {
		presentation, err := group.ParsePresentation(proof.Authorisation.Presentation)
		must(t, err)
		gv, err := group.NewVerifier(town.Group.ReadDocument(t).Parameters(), presentation.Epoch)
		must(t, err)
		v = coin.NewPresentationVerifier(gv)
	}
	must(t, proof.Verify(s, &town.Keyset, v))
	return &proof
}

// coinStates are the values of a purse's coins by state.
func coinStates(t *testing.T, h *wallettest.Holder) map[string]coin.Amount {
	t.Helper()
	all, err := h.Coins(t.Context())
	must(t, err)
	out := map[string]coin.Amount{}
	for _, c := range all {
		out[c.State] += c.Value
	}
	return out
}

func TestACopiedPurseIsRefusedWithProof(t *testing.T) {
	for _, c := range []struct {
		name  string
		kind  coin.Kind
		later time.Duration
		cases int
	}{
		{"bearer coins", coin.Bearer, 0, 0},
		{"bound coins, on the machine that they are bound to", coin.Bound, 0, 1},
		{"bound coins, two epochs later", coin.Bound, 2 * registrationtest.EpochLength, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			town := wallettest.New(t)
			first, second := town.NewShop(t), town.NewShop(t)
			alice := town.NewHolder(t, 100)
			if c.kind == coin.Bound {
				alice.Enrol(t, registrationtest.TPMA)
			}
			alice.Draw(t, 24, c.kind) // 16 and 8
			copied := alice.Copy(t)
			attach(t, town, alice)
			_, err := alice.Pay(t.Context(), first.Ask(t, 13), c.kind) // with the 16
			must(t, err)
			alice.Reopen(t)

			town.Group.Clock.Forward(c.later)
			attach(t, town, copied)
			p, err := copied.Pay(t.Context(), second.Ask(t, 20), c.kind) // with both
			want(t, err, wallet.ErrSpent)
			proof := proofIn(t, town, "double-spend", err, p.Spend)
			if proof.Spend.Amount != 13 {
				t.Errorf("the proof is of a spend of %d", proof.Spend.Amount)
			}
			state(t, copied, wallet.KindPay, wallet.OpRefused)
			if got := coinStates(t, copied); got[wallet.CoinSpent] != 16 || got[wallet.CoinFresh] != 8 || len(got) != 2 {
				t.Errorf("coins are %v", got)
			}
			holds(t, town, second.Account, 0)
			if got := town.Cases(t); got != c.cases {
				t.Errorf("%d cases", got)
			}
			// The coin that was not spent twice is good.
			_, err = copied.Pay(t.Context(), second.Ask(t, 8), c.kind)
			must(t, err)
			worth(t, copied, 0, 0)
			town.CheckBooks(t)
		})
	}
}

// attach attaches the first TPM to an enrolled purse.
func attach(t *testing.T, town *wallettest.Town, h *wallettest.Holder) {
	t.Helper()
	if h.Enrolled() {
		must(t, h.AttachTPM(t.Context(), wallet.TPM{Address: town.TPM(t, registrationtest.TPMA)}))
	}
}

// TestACopyPaysTheSameOfferWithTheSameCoins: the bank knows one operation, and
// it is not this purse's.
func TestACopyPaysTheSameOfferWithTheSameCoins(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Draw(t, 16, coin.Bearer)
	copied := alice.Copy(t)
	link := shop.Ask(t, 5)
	_, err := alice.Pay(t.Context(), link)
	must(t, err)
	town.Group.Clock.Forward(time.Minute) // so that the copy's spend differs
	_, err = copied.Pay(t.Context(), link)
	want(t, err, wallet.ErrOpen) // the till's receipt is for the first
	_, err = copied.Resume(t.Context())
	want(t, err, wallet.ErrSpent)
	state(t, copied, wallet.KindPay, wallet.OpRefused)
	if got := coinStates(t, copied); got[wallet.CoinSpent] != 16 || len(got) != 1 {
		t.Errorf("coins are %v", got)
	}
	resume(t, copied)
	holds(t, town, shop.Account, 5)
}

// refuseWith makes a till answer with a double spend and that proof.
func refuseWith(t *testing.T, shop *wallettest.Shop, conflict json.RawMessage) {
	t.Helper()
	shop.Gate.Instead("/pay", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusConflict)
		body := map[string]any{"code": "double-spend", "detail": "spent"}
		if conflict != nil {
			body["conflict"] = conflict
		}
		if err := json.NewEncoder(w).Encode(body); err != nil {
			t.Error(err)
		}
	})
}

// TestFalseProofsFreeNoCoin: a dishonest till refuses with a proof of its own
// making, and deposits afterwards. Freed coins would be spent twice, and the
// change would be lost.
func TestFalseProofsFreeNoCoin(t *testing.T) {
	town := wallettest.New(t)
	honest, cheat := town.NewShop(t), town.NewShop(t)
	alice := town.NewHolder(t, 100)
	alice.Draw(t, 24, coin.Bearer)
	copied := alice.Copy(t)
	_, err := copied.Pay(t.Context(), honest.Ask(t, 16)) // with the 16, and no change
	must(t, err)
	never, err := alice.Pay(t.Context(), honest.Ask(t, 20)) // with both: never deposited
	want(t, err, wallet.ErrSpent)
	true16 := proofIn(t, town, "double-spend", err, never.Spend)
	neverSpend, neverAuth, err := coin.DecodeSpend(never.Spend)
	must(t, err)

	offer := cheat.Ask(t, 5)
	p, err := alice.PreparePayment(t.Context(), offer) // with the 8
	must(t, err)
	spend, auth, err := coin.DecodeSpend(p.Spend)
	must(t, err)
	forged := *auth
	forged.Bearer = [][]byte{make([]byte, 64)}
	other := *spend
	other.IssuedAt++
	encode := func(proof *coin.ConflictProof) json.RawMessage {
		raw, err := json.Marshal(proof)
		must(t, err)
		return raw
	}
	for name, conflict := range map[string]json.RawMessage{
		"none":                                 nil,
		"null":                                 json.RawMessage("null"),
		"an empty object":                      json.RawMessage("{}"),
		"a text":                               json.RawMessage(`"spent"`),
		"of another coin":                      encode(true16),
		"this very spend":                      encode(&coin.ConflictProof{CoinID: spend.CoinIDs()[0], Spend: spend, Authorisation: auth}),
		"another spend with a made-up consent": encode(&coin.ConflictProof{CoinID: spend.CoinIDs()[0], Spend: &other, Authorisation: &forged}),
		"a spend that was authorised and never deposited": encode(&coin.ConflictProof{CoinID: spend.CoinIDs()[0], Spend: neverSpend, Authorisation: neverAuth}),
	} {
		t.Run(name, func(t *testing.T) {
			refuseWith(t, cheat, conflict)
			want(t, alice.Submit(t.Context(), p), wallet.ErrPromised)
			worth(t, alice, 0, 8)
			state(t, alice, wallet.KindPay, wallet.OpSubmitted)
		})
	}
	t.Run("and the bank can't be asked", func(t *testing.T) {
		town.BankGate.Shut(true)
		defer town.BankGate.Shut(false)
		refuseWith(t, cheat, encode(&coin.ConflictProof{CoinID: spend.CoinIDs()[0], Spend: neverSpend, Authorisation: neverAuth}))
		want(t, alice.Submit(t.Context(), p), wallet.ErrPromised)
		worth(t, alice, 0, 8)
	})
	// The till deposits after all: the payment is settled, the change is there.
	_, err = cheat.Accept(t.Context(), p.Spend)
	must(t, err)
	resume(t, alice)
	worth(t, alice, 3, 0)
	holds(t, town, cheat.Account, 5)
}

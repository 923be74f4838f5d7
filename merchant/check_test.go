package merchant_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/wallet/wallettest"
)

// TestATillChecksOnItsOwn: neither bank nor group manager is asked.
func TestATillChecksOnItsOwn(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	alice.Enrol(t, registrationtest.TPMA)
	alice.Draw(t, 24, coin.Bound)
	alice.Draw(t, 24, coin.Bearer)
	var spends [][]byte
	for _, c := range []struct {
		kind  coin.Kind
		price coin.Amount
	}{{coin.Bearer, 9}, {coin.Bound, 9}} {
		p, err := alice.PreparePayment(t.Context(), shop.Ask(t, c.price), c.kind)
		must(t, err)
		spends = append(spends, p.Spend)
	}
	town.BankGate.Shut(true)
	town.GroupGate.Shut(true)
	town.BankGate.Count()
	town.GroupGate.Count()
	check := func(t *testing.T) {
		t.Helper()
		for i, spend := range spends {
			checked, err := shop.Check(t.Context(), spend)
			must(t, err)
			if (checked.Bound > 0) != (i == 1) || checked.Spend.Amount != 9 {
				t.Errorf("%d of %d coins are bound", checked.Bound, len(checked.Spend.Coins))
			}
		}
	}
	t.Run("with the papers in memory", check)
	t.Run("with the papers in the file", func(t *testing.T) {
		shop.Reopen(t)
		check(t)
		if n := town.BankGate.Count() + town.GroupGate.Count(); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
	t.Run("with papers that are no longer fresh", func(t *testing.T) {
		town.Group.Clock.Forward(10 * time.Minute)
		check(t)
	})
	t.Run("and does not accept: nobody has credited it", func(t *testing.T) {
		_, err := shop.Accept(t.Context(), spends[0])
		refused(t, err, "unavailable")
		want(t, err, merchant.ErrOpen)
	})
}

// TestWhatATillRefuses: each forgery beside the check that stops it, in a
// program of the payer's own.
func TestWhatATillRefuses(t *testing.T) {
	town := wallettest.New(t)
	shop, other := town.NewShop(t), town.NewShop(t)
	crook := town.NewCrook(t, -1)
	coins := crook.Draw(t, coin.Bearer, 4, 1, 1, 8)
	four, one, more, eight := coins[0], coins[1], coins[2], coins[3]
	offer := func(shop *wallettest.Shop, amount coin.Amount) *coin.SignedOffer {
		o, _ := shop.Offer(t, merchant.OfferRequest{Amount: amount})
		return o
	}
	five := offer(shop, 5)
	good := crook.Payment(five, four, one)
	spend := func(change func(*coin.Spend)) []byte {
		s := good
		s.Coins = slices.Clone(s.Coins)
		change(&s)
		return crook.Authorise(t, s, nil)
	}
	honest := spend(func(*coin.Spend) {})
	if _, err := shop.Check(t.Context(), honest); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, code string
		spend      []byte
	}{
		{"an offer of another shop", "foreign-offer", spend(func(s *coin.Spend) { s.OfferDigest = offer(other, 5).Digest })},
		{"an offer that nobody made", "foreign-offer", spend(func(s *coin.Spend) { s.OfferDigest[0] ^= 1 })},
		{"too little, for a smaller offer's amount", "wrong-amount", spend(func(s *coin.Spend) { s.Amount, s.Coins = 4, []coin.Coin{four} })},
		{"coins that don't make up the amount", "wrong-amount", spend(func(s *coin.Spend) { s.Coins = []coin.Coin{four} })},
		{"coins beyond the amount, and no change", "wrong-amount", spend(func(s *coin.Spend) { s.Coins = []coin.Coin{eight} })},
		{"more change than there is", "wrong-amount", spend(func(s *coin.Spend) {
			_, s.ToIssuer = crook.Outputs(t, coin.Bearer, 4)
			s.Coins = []coin.Coin{eight}
		})},
		{"another currency", "wrong-currency", spend(func(s *coin.Spend) { s.Currency = "USD" })},
		{"an exchange in place of a payment", "foreign-offer", spend(func(s *coin.Spend) {
			s.Purpose, s.Amount, s.OfferDigest = coin.Exchange, 0, [32]byte{}
		})},
		{"a void in place of a payment", "malformed", spend(func(s *coin.Spend) { s.Purpose, s.Amount = coin.Void, 0 })},
		{"part of the amount back to the payer", "malformed", spend(func(s *coin.Spend) { _, s.ToAcquirer = crook.Outputs(t, coin.Bearer, 1) })},
		{"a flipped byte in a coin's signature", "coin-signature", spend(func(s *coin.Spend) {
			s.Coins[0].Signature = bytes.Clone(s.Coins[0].Signature)
			s.Coins[0].Signature[17] ^= 1
		})},
		{"a coin of another owner's", "coin-signature", spend(func(s *coin.Spend) {
			s.Coins[0].Owner = bytes.Clone(s.Coins[0].Owner)
			s.Coins[0].Owner[3] ^= 1
		})},
		{"a coin under a key of a higher value", "coin-signature", spend(func(s *coin.Spend) { s.Coins = []coin.Coin{four, four}; s.Coins[1].KeyID = one.KeyID })},
		{"a coin under a key that the bank does not have", "unknown-key", spend(func(s *coin.Spend) { s.Coins[0].KeyID[0] ^= 1 })},
		{"a coin that says it is bound", "unknown-key", edit(t, honest, func(m map[string]any) {
			m["coins"], m["presentation"] = []any{asBound(t, four)}, strings.Repeat("A", 616)
			delete(m, "bearer")
			m["group"] = groupText(town)
		})},
		{"an owner's signature of another payment", "owner-signature", edit(t, honest, func(m map[string]any) {
			m["issued_at"] = town.Now().Add(time.Hour).Truncate(time.Second).Format(time.RFC3339)
		})},
		{"somebody else's coin", "owner-signature", somebodyElses(t, town, shop)},
		{"one coin twice", "duplicate-coin", edit(t, honest, func(m map[string]any) {
			first := m["coins"].([]any)[0]
			m["coins"], m["bearer"] = []any{first, first}, []any{m["bearer"].([]any)[0], m["bearer"].([]any)[0]}
		})},
		{"coins in another order", "malformed", edit(t, honest, func(m map[string]any) { slices.Reverse(m["coins"].([]any)) })},
		{"a member that nobody knows", "malformed", edit(t, honest, func(m map[string]any) { m["tip"] = 1 })},
		{"no JSON", "malformed", []byte("here are five euros")},
		{"nothing", "malformed", nil},
		{"too much", "too-large", bytes.Repeat([]byte(" "), coin.MaxSpendJSON+1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := shop.Check(t.Context(), c.spend)
			refused(t, err, c.code)
			_, err = shop.Accept(t.Context(), c.spend)
			refused(t, err, c.code)
		})
	}
	if all, err := shop.Takings(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("refused payments left %v, %v", all, err)
	}
	holds(t, town, shop.Account, 0)
	t.Run("a good one is good after all that", func(t *testing.T) {
		_, err := shop.Accept(t.Context(), honest)
		must(t, err)
		holds(t, town, shop.Account, 5)
	})
	t.Run("an expired offer", func(t *testing.T) {
		late := crook.Authorise(t, crook.Payment(offer(shop, 1), more), nil)
		town.Group.Clock.Forward(time.Hour)
		_, err := shop.Check(t.Context(), late)
		refused(t, err, "offer-expired")
	})
	t.Run("change under a key that signs no more", func(t *testing.T) {
		town.Group.Clock.Forward(40 * 24 * time.Hour)
		s := crook.Payment(bearerOffer(t, shop, 5), eight)
		_, s.ToIssuer = crook.Outputs(t, coin.Bearer, 2, 1)
		_, err := shop.Accept(t.Context(), crook.Authorise(t, s, nil))
		refused(t, err, "key-expired")
	})
	t.Run("coins that can be spent no more", func(t *testing.T) {
		town.Group.Clock.Forward(200 * 24 * time.Hour)
		_, err := shop.Accept(t.Context(), crook.Authorise(t, crook.Payment(bearerOffer(t, shop, 1), more), nil))
		refused(t, err, "key-expired")
	})
	t.Run("coins under a revoked key", func(t *testing.T) {
		town := wallettest.New(t)
		shop, crook := town.NewShop(t), town.NewCrook(t, -1)
		spend := crook.Authorise(t, crook.Payment(bearerOffer(t, shop, 4), crook.Draw(t, coin.Bearer, 4)...), nil)
		town.Rotate(t, func(k *coin.Keyset) { k.Denominations[2].Revoked = true })
		town.Group.Clock.Forward(10 * time.Minute)
		_, err := shop.Accept(t.Context(), spend)
		refused(t, err, "key-revoked")
	})
}

func bearerOffer(t *testing.T, shop *wallettest.Shop, amount coin.Amount) *coin.SignedOffer {
	o, _ := shop.Offer(t, merchant.OfferRequest{Amount: amount, Kinds: []coin.Kind{coin.Bearer}})
	return o
}

// TestWhatATillRefusesOfBoundCoins: the wallet of a member whose own TPM is
// genuine, and who has got hold of another's coins.
func TestWhatATillRefusesOfBoundCoins(t *testing.T) {
	town := wallettest.New(t)
	shop := town.NewShop(t)
	alice, mallory := town.NewCrook(t, registrationtest.TPMA), town.NewCrook(t, registrationtest.TPMB)
	theirs := alice.Draw(t, coin.Bound, 8, 4)
	mine := mallory.Draw(t, coin.Bound, 8, 4)
	offer, _ := shop.Offer(t, merchant.OfferRequest{Amount: 12})
	another, _ := shop.Offer(t, merchant.OfferRequest{Amount: 12})
	_, overheard, err := coin.DecodeSpend(alice.Authorise(t, alice.Payment(another, theirs...), nil))
	must(t, err)
	steal := alice.Payment(offer, theirs...)
	mixed := alice.Payment(offer, theirs[0], mine[1])
	claimsOf := func(coins ...coin.Coin) []group.Claim {
		var bound []coin.BoundClaim
		for i := range coins {
			b, err := coins[i].BoundClaim()
			must(t, err)
			bound = append(bound, b)
		}
		claims, err := coin.Claims(bound)
		must(t, err)
		return claims
	}
	for _, c := range []struct {
		name    string
		spend   coin.Spend
		present func(frame []byte, claims []group.Claim) []byte
	}{
		{"another member's presentation, which claims nothing", steal,
			func(frame []byte, _ []group.Claim) []byte { return mallory.Present(t, frame, nil) }},
		{"another member's, which claims his own coins", steal,
			func(frame []byte, _ []group.Claim) []byte { return mallory.Present(t, frame, claimsOf(mine...)) }},
		{"the owner's, overheard from another payment", steal,
			func([]byte, []group.Claim) []byte { return overheard.Presentation }},
		{"the owner's over other words", steal,
			func(frame []byte, claims []group.Claim) []byte {
				return alice.Present(t, append([]byte("x"), frame...), claims)
			}},
		{"the owner's for one coin of two", steal,
			func(frame []byte, claims []group.Claim) []byte { return alice.Present(t, frame, claims[:1]) }},
		{"the owner's for the coins in another order", steal,
			func(frame []byte, claims []group.Claim) []byte {
				return alice.Present(t, frame, []group.Claim{claims[1], claims[0]})
			}},
		{"one of each, presented by one", mixed,
			func(frame []byte, _ []group.Claim) []byte { return mallory.Present(t, frame, claimsOf(mine[1])) }},
		{"a flipped byte", steal, func(frame []byte, claims []group.Claim) []byte {
			p := alice.Present(t, frame, claims)
			p[len(p)-1] ^= 1
			return p
		}},
		{"noise", steal, func([]byte, []group.Claim) []byte { return bytes.Repeat([]byte{2}, group.PresentationSize) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			spend := alice.Authorise(t, c.spend, c.present)
			_, err := shop.Check(t.Context(), spend)
			refused(t, err, "binding")
			_, err = shop.Accept(t.Context(), spend)
			refused(t, err, "binding")
		})
	}
	t.Run("another group's id", func(t *testing.T) {
		spend := edit(t, alice.Authorise(t, steal, nil), func(m map[string]any) { m["group"] = flip(m["group"].(string)) })
		_, err := shop.Accept(t.Context(), spend)
		refused(t, err, "binding")
	})
	t.Run("bound coins for an offer that takes none", func(t *testing.T) {
		spend := alice.Authorise(t, alice.Payment(bearerOffer(t, shop, 12), theirs...), nil)
		_, err := shop.Accept(t.Context(), spend)
		refused(t, err, "unknown-key")
	})
	t.Run("a presentation of an epoch that is over", func(t *testing.T) {
		town.Group.Clock.Forward(2 * registrationtest.EpochLength)
		offer, _ := shop.Offer(t, merchant.OfferRequest{Amount: 12})
		_, err := shop.Accept(t.Context(), alice.Authorise(t, alice.Payment(offer, theirs...), nil))
		refused(t, err, "binding")
		town.Group.Clock.Forward(-2 * registrationtest.EpochLength)
	})
	t.Run("the owner's own payment is good", func(t *testing.T) {
		_, err := shop.Accept(t.Context(), alice.Authorise(t, steal, nil))
		must(t, err)
		holds(t, town, shop.Account, 12)
	})
}

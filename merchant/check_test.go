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

// counter is a till and a payer whose program signs whatever it is told to.
type counter struct {
	town        *wallettest.Town
	shop, other *wallettest.Shop
	crook       *wallettest.Crook
	// four, one and eight are his coins by value; good pays an offer of 5.
	four, one, eight coin.Coin
	good             coin.Spend
}

func newCounter(t *testing.T) *counter {
	t.Helper()
	town := wallettest.New(t)
	c := &counter{town: town, shop: town.NewShop(t), other: town.NewShop(t), crook: town.NewCrook(t, -1)}
	coins := c.crook.Draw(t, coin.Bearer, 4, 1, 8)
	c.four, c.one, c.eight = coins[0], coins[1], coins[2]
	c.good = c.crook.Payment(offerOf(t, c.shop, 5), c.four, c.one)
	return c
}

func offerOf(t *testing.T, shop *wallettest.Shop, amount coin.Amount) *coin.SignedOffer {
	t.Helper()
	o, _ := shop.Offer(t, merchant.OfferRequest{Amount: amount})
	return o
}

// spend is the good payment, altered and authorised.
func (c *counter) spend(t *testing.T, change func(*coin.Spend)) []byte {
	t.Helper()
	s := c.good
	s.Coins = slices.Clone(s.Coins)
	if change != nil {
		change(&s)
	}
	return c.crook.Authorise(t, s, nil)
}

// forgery is a payment and the code that it is refused with.
type forgery struct {
	name, code string
	spend      []byte
}

// falseTerms are payments of other things than what the offer says.
func (c *counter) falseTerms(t *testing.T) []forgery {
	return []forgery{
		{"an offer of another shop", "foreign-offer", c.spend(t, func(s *coin.Spend) { s.OfferDigest = offerOf(t, c.other, 5).Digest })},
		{"an offer that nobody made", "foreign-offer", c.spend(t, func(s *coin.Spend) { s.OfferDigest[0] ^= 1 })},
		{"too little, for a smaller offer's amount", "wrong-amount", c.spend(t, func(s *coin.Spend) { s.Amount, s.Coins = 4, []coin.Coin{c.four} })},
		{"coins that don't make up the amount", "wrong-amount", c.spend(t, func(s *coin.Spend) { s.Coins = []coin.Coin{c.four} })},
		{"coins beyond the amount, and no change", "wrong-amount", c.spend(t, func(s *coin.Spend) { s.Coins = []coin.Coin{c.eight} })},
		{"more change than there is", "wrong-amount", c.spend(t, func(s *coin.Spend) {
			_, s.ToIssuer = c.crook.Outputs(t, coin.Bearer, 4)
			s.Coins = []coin.Coin{c.eight}
		})},
		{"another currency", "wrong-currency", c.spend(t, func(s *coin.Spend) { s.Currency = "USD" })},
		{"an exchange in place of a payment", "foreign-offer", c.spend(t, func(s *coin.Spend) {
			s.Purpose, s.Amount, s.OfferDigest = coin.Exchange, 0, [32]byte{}
		})},
		{"a void in place of a payment", "malformed", c.spend(t, func(s *coin.Spend) { s.Purpose, s.Amount = coin.Void, 0 })},
		{"part of the amount back to the payer", "malformed", c.spend(t, func(s *coin.Spend) {
			_, s.ToAcquirer = c.crook.Outputs(t, coin.Bearer, 1)
		})},
	}
}

// falseCoins are payments with coins that are none, or somebody else's.
func (c *counter) falseCoins(t *testing.T) []forgery {
	return []forgery{
		{"a flipped byte in a coin's signature", "coin-signature", c.spend(t, func(s *coin.Spend) {
			s.Coins[0].Signature = bytes.Clone(s.Coins[0].Signature)
			s.Coins[0].Signature[17] ^= 1
		})},
		{"a coin of another owner's", "coin-signature", c.spend(t, func(s *coin.Spend) {
			s.Coins[0].Owner = bytes.Clone(s.Coins[0].Owner)
			s.Coins[0].Owner[3] ^= 1
		})},
		{"a coin under a key of a higher value", "coin-signature", c.spend(t, func(s *coin.Spend) {
			s.Coins = []coin.Coin{c.four, c.four}
			s.Coins[1].KeyID = c.one.KeyID
		})},
		{"a coin under a key that the bank does not have", "unknown-key", c.spend(t, func(s *coin.Spend) { s.Coins[0].KeyID[0] ^= 1 })},
		{"a coin that says it is bound", "unknown-key", edit(t, c.spend(t, nil), func(m map[string]any) {
			m["coins"], m["presentation"] = []any{asBound(t, c.four)}, strings.Repeat("A", 616)
			delete(m, "bearer")
			m["group"] = groupText(c.town)
		})},
		{"somebody else's coin", "owner-signature", somebodyElses(t, c.town, c.shop)},
	}
}

// falseBytes are payments that were altered after they were authorised.
func (c *counter) falseBytes(t *testing.T) []forgery {
	honest := c.spend(t, nil)
	return []forgery{
		{"an owner's signature of another payment", "owner-signature", edit(t, honest, func(m map[string]any) {
			m["issued_at"] = c.town.Now().Add(time.Hour).Truncate(time.Second).Format(time.RFC3339)
		})},
		{"one coin twice", "duplicate-coin", edit(t, honest, func(m map[string]any) {
			first := m["coins"].([]any)[0]
			m["coins"], m["bearer"] = []any{first, first}, []any{m["bearer"].([]any)[0], m["bearer"].([]any)[0]}
		})},
		{"coins in another order", "malformed", edit(t, honest, func(m map[string]any) { slices.Reverse(m["coins"].([]any)) })},
		{"a member that nobody knows", "malformed", edit(t, honest, func(m map[string]any) { m["tip"] = 1 })},
		{"no JSON", "malformed", []byte("here are five euros")},
		{"nothing", "malformed", nil},
		{"too much", "too-large", bytes.Repeat([]byte(" "), coin.MaxSpendJSON+1)},
	}
}

// TestWhatATillRefuses: each forgery with the check that stops it, in a
// program of the payer's own.
func TestWhatATillRefuses(t *testing.T) {
	c := newCounter(t)
	for _, f := range slices.Concat(c.falseTerms(t), c.falseCoins(t), c.falseBytes(t)) {
		t.Run(f.name, func(t *testing.T) {
			_, err := c.shop.Check(t.Context(), f.spend)
			refused(t, err, f.code)
			_, err = c.shop.Accept(t.Context(), f.spend)
			refused(t, err, f.code)
		})
	}
	if all, err := c.shop.Takings(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("refused payments left %v, %v", all, err)
	}
	holds(t, c.town, c.shop.Account, 0)
	t.Run("a good one is good after all that", func(t *testing.T) {
		_, err := c.shop.Accept(t.Context(), c.spend(t, nil))
		must(t, err)
		holds(t, c.town, c.shop.Account, 5)
	})
}

func TestWhatATillRefusesAsTimeGoesBy(t *testing.T) {
	c := newCounter(t)
	t.Run("an expired offer", func(t *testing.T) {
		late := c.spend(t, nil)
		c.town.Group.Clock.Forward(time.Hour)
		_, err := c.shop.Check(t.Context(), late)
		refused(t, err, "offer-expired")
	})
	t.Run("change under a key that signs no more", func(t *testing.T) {
		c.town.Group.Clock.Forward(40 * 24 * time.Hour)
		s := c.crook.Payment(bearerOffer(t, c.shop, 5), c.eight)
		_, s.ToIssuer = c.crook.Outputs(t, coin.Bearer, 2, 1)
		_, err := c.shop.Check(t.Context(), c.crook.Authorise(t, s, nil))
		refused(t, err, "key-expired")
	})
	t.Run("coins under a revoked key", func(t *testing.T) {
		spend := c.crook.Authorise(t, c.crook.Payment(bearerOffer(t, c.shop, 4), c.four), nil)
		c.town.Rotate(t, func(k *coin.Keyset) { k.Denominations[2].Revoked = true })
		c.town.Group.Clock.Forward(10 * time.Minute)
		_, err := c.shop.Check(t.Context(), spend)
		refused(t, err, "key-revoked")
	})
	t.Run("coins that can be spent no more", func(t *testing.T) {
		c.town.Group.Clock.Forward(160 * 24 * time.Hour)
		_, err := c.shop.Check(t.Context(), c.crook.Authorise(t, c.crook.Payment(bearerOffer(t, c.shop, 1), c.one), nil))
		refused(t, err, "key-expired")
	})
}

func bearerOffer(t *testing.T, shop *wallettest.Shop, amount coin.Amount) *coin.SignedOffer {
	o, _ := shop.Offer(t, merchant.OfferRequest{Amount: amount, Kinds: []coin.Kind{coin.Bearer}})
	return o
}

// theft is a member whose own TPM is genuine, and who has got hold of
// another's coins.
type theft struct {
	town           *wallettest.Town
	shop           *wallettest.Shop
	alice, mallory *wallettest.Crook
	theirs, mine   []coin.Coin // of 8 and 4
	offer          *coin.SignedOffer
	steal          coin.Spend // of 12, with Alice's coins
}

func newTheft(t *testing.T) *theft {
	t.Helper()
	town := wallettest.New(t)
	x := &theft{
		town: town, shop: town.NewShop(t),
		alice: town.NewCrook(t, registrationtest.TPMA), mallory: town.NewCrook(t, registrationtest.TPMB),
	}
	x.theirs, x.mine = x.alice.Draw(t, coin.Bound, 8, 4), x.mallory.Draw(t, coin.Bound, 8, 4)
	x.offer = offerOf(t, x.shop, 12)
	x.steal = x.alice.Payment(x.offer, x.theirs...)
	return x
}

func claimsOf(t *testing.T, coins ...coin.Coin) []group.Claim {
	t.Helper()
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

// falsePresentations are what may stand where the owner's should.
func (x *theft) falsePresentations(t *testing.T) map[string][]byte {
	overheardAt := x.alice.Payment(offerOf(t, x.shop, 12), x.theirs...)
	_, overheard, err := coin.DecodeSpend(x.alice.Authorise(t, overheardAt, nil))
	must(t, err)
	by := func(present func(frame []byte, claims []group.Claim) []byte) []byte {
		return x.alice.Authorise(t, x.steal, present)
	}
	mixed := x.alice.Payment(x.offer, x.theirs[0], x.mine[1])
	return map[string][]byte{
		"another member's, which claims nothing": by(func(frame []byte, _ []group.Claim) []byte {
			return x.mallory.Present(t, frame, nil)
		}),
		"another member's, which claims his own coins": by(func(frame []byte, _ []group.Claim) []byte {
			return x.mallory.Present(t, frame, claimsOf(t, x.mine...))
		}),
		"the owner's, overheard from another payment": by(func([]byte, []group.Claim) []byte { return overheard.Presentation }),
		"the owner's, over other words": by(func(frame []byte, claims []group.Claim) []byte {
			return x.alice.Present(t, append([]byte("x"), frame...), claims)
		}),
		"the owner's, for one coin of two": by(func(frame []byte, claims []group.Claim) []byte {
			return x.alice.Present(t, frame, claims[:1])
		}),
		"the owner's, for the coins in another order": by(func(frame []byte, claims []group.Claim) []byte {
			return x.alice.Present(t, frame, []group.Claim{claims[1], claims[0]})
		}),
		"for one coin of each, by one of the two": x.alice.Authorise(t, mixed, func(frame []byte, _ []group.Claim) []byte {
			return x.mallory.Present(t, frame, claimsOf(t, x.mine[1]))
		}),
		"with a flipped byte": by(func(frame []byte, claims []group.Claim) []byte {
			p := x.alice.Present(t, frame, claims)
			p[len(p)-1] ^= 1
			return p
		}),
		"of noise": by(func([]byte, []group.Claim) []byte { return bytes.Repeat([]byte{2}, group.PresentationSize) }),
		"of another group": edit(t, x.alice.Authorise(t, x.steal, nil), func(m map[string]any) {
			m["group"] = flip(m["group"].(string))
		}),
	}
}

func TestWhatATillRefusesOfBoundCoins(t *testing.T) {
	x := newTheft(t)
	for name, spend := range x.falsePresentations(t) {
		t.Run("a presentation "+name, func(t *testing.T) {
			_, err := x.shop.Check(t.Context(), spend)
			refused(t, err, "binding")
			_, err = x.shop.Accept(t.Context(), spend)
			refused(t, err, "binding")
		})
	}
	t.Run("bound coins for an offer that takes none", func(t *testing.T) {
		spend := x.alice.Authorise(t, x.alice.Payment(bearerOffer(t, x.shop, 12), x.theirs...), nil)
		_, err := x.shop.Check(t.Context(), spend)
		refused(t, err, "unknown-key")
	})
	t.Run("a presentation of an epoch that is over", func(t *testing.T) {
		x.town.Group.Clock.Forward(2 * registrationtest.EpochLength)
		spend := x.alice.Authorise(t, x.alice.Payment(offerOf(t, x.shop, 12), x.theirs...), nil)
		_, err := x.shop.Check(t.Context(), spend)
		refused(t, err, "binding")
		x.town.Group.Clock.Forward(-2 * registrationtest.EpochLength)
	})
	t.Run("but not the owner's own payment", func(t *testing.T) {
		_, err := x.shop.Accept(t.Context(), x.alice.Authorise(t, x.steal, nil))
		must(t, err)
		holds(t, x.town, x.shop.Account, 12)
	})
}

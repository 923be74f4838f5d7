package issuertest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"sync/atomic"
	"testing"

	"github.com/speciecash/specie/coin"
)

// Purse is a holder's side: it makes blinded messages, unblinds what the bank
// signed, and authorises spends.
type Purse struct {
	house *House
	seed  coin.Seed
	next  atomic.Uint64
	held  map[[32]byte]held // by coin, see PrepareHeld
}

// NewPurse returns an empty purse with a random seed.
func (h *House) NewPurse(t testing.TB) *Purse {
	t.Helper()
	p := &Purse{house: h, held: map[[32]byte]held{}}
	if _, err := rand.Read(p.seed[:]); err != nil {
		t.Fatal(err)
	}
	return p
}

// Batch are coins that the bank has not struck yet.
type Batch struct {
	Planchets []*coin.Planchet
	Outputs   []coin.Output
}

// Prepare makes bearer coins to be of the given values.
func (p *Purse) Prepare(t testing.TB, values ...coin.Amount) *Batch {
	t.Helper()
	ds := make([]*coin.Denomination, len(values))
	for i, value := range values {
		ds[i] = p.house.Key(t, coin.Bearer, value)
	}
	return p.PrepareUnder(t, ds...)
}

// PrepareUnder makes bearer coins under the given keys.
func (p *Purse) PrepareUnder(t testing.TB, keys ...*coin.Denomination) *Batch {
	t.Helper()
	b := &Batch{}
	for _, d := range keys {
		i := p.next.Add(1)
		owner := must(coin.OwnerKey(p.seed, BankID, d.KeyID, i))(t)
		b.add(t, must(coin.NewPlanchet(p.seed, BankID, d, i, coin.Owner(owner.Public().(ed25519.PublicKey))))(t))
	}
	return b
}

func (b *Batch) add(t testing.TB, planchet *coin.Planchet) {
	t.Helper()
	b.Planchets = append(b.Planchets, planchet)
	b.Outputs = append(b.Outputs, planchet.Output())
}

// Finalize unblinds the bank's signatures and verifies the coins.
func (b *Batch) Finalize(t testing.TB, signatures [][]byte) []coin.Coin {
	t.Helper()
	if len(signatures) != len(b.Planchets) {
		t.Fatalf("%d signatures for %d outputs", len(signatures), len(b.Planchets))
	}
	coins := make([]coin.Coin, len(signatures))
	for i, s := range signatures {
		coins[i] = *must(b.Planchets[i].Finalize(s))(t)
	}
	return coins
}

// Withdraw withdraws bearer coins of the given values from a new account that
// is funded for them.
func (p *Purse) Withdraw(t testing.TB, b *Bank, values ...coin.Amount) []coin.Coin {
	t.Helper()
	var sum coin.Amount
	for _, v := range values {
		sum = must(sum.Add(v))(t)
	}
	account, _ := b.Funded(t, sum)
	batch := p.Prepare(t, values...)
	signed := must(b.Bank.Withdraw(t.Context(), account, batch.Outputs))(t)
	return batch.Finalize(t, signed.Signatures)
}

// OwnerKey finds the owner's key of a bearer coin of this purse.
func (p *Purse) OwnerKey(c *coin.Coin) (ed25519.PrivateKey, error) {
	for i := p.next.Load(); i > 0; i-- {
		key, err := coin.OwnerKey(p.seed, BankID, c.KeyID, i)
		if err != nil {
			return nil, err
		}
		if bytes.Equal(key.Public().(ed25519.PublicKey), c.Owner) {
			return key, nil
		}
	}
	return nil, coin.ErrOwner
}

// Authorise signs a spend of bearer coins.
func (p *Purse) Authorise(t testing.TB, s coin.Spend) (*coin.Spend, *coin.Authorisation) {
	t.Helper()
	spend := must(coin.NewSpend(s))(t)
	return spend, &coin.Authorisation{Bearer: must(spend.SignBearer(p.OwnerKey))(t)}
}

// Exchange makes an authorised exchange of the coins for the outputs.
func (p *Purse) Exchange(t testing.TB, coins []coin.Coin, outputs []coin.Output) (*coin.Spend, *coin.Authorisation) {
	t.Helper()
	return p.Authorise(t, coin.Spend{
		Purpose: coin.Exchange, Bank: BankID, Currency: Currency, Coins: coins, ToIssuer: outputs, IssuedAt: Now.Unix(),
	})
}

// Pay makes an authorised payment of an offer, with change.
func (p *Purse) Pay(t testing.TB, offer *coin.SignedOffer, coins []coin.Coin, change []coin.Output) (*coin.Spend, *coin.Authorisation) {
	t.Helper()
	return p.Authorise(t, Payment(offer, coins, change))
}

// Void makes an authorised void of a payment of an offer with the same coins.
func (p *Purse) Void(t testing.TB, offer *coin.SignedOffer, coins []coin.Coin, outputs []coin.Output) (*coin.Spend, *coin.Authorisation) {
	t.Helper()
	return p.Authorise(t, coin.Spend{
		Purpose: coin.Void, Bank: BankID, OfferDigest: offer.Digest, Currency: Currency,
		Coins: coins, ToIssuer: outputs, IssuedAt: Now.Unix(),
	})
}

// Payment is a payment before anybody authorised it.
func Payment(offer *coin.SignedOffer, coins []coin.Coin, change []coin.Output) coin.Spend {
	return coin.Spend{
		Purpose: coin.Pay, Bank: BankID, OfferDigest: offer.Digest, Amount: offer.Offer.Amount,
		Currency: offer.Offer.Currency, Coins: coins, ToIssuer: change, IssuedAt: Now.Unix(),
	}
}

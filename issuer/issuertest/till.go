package issuertest

import (
	"crypto/ed25519"
	"crypto/rand"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
)

// Till is a merchant with an account at a bank.
type Till struct {
	Account *issuer.Account
	Token   issuer.Token
	Key     ed25519.PrivateKey
	house   *House
}

// NewTill opens a merchant's account.
func (b *Bank) NewTill(t testing.TB) *Till {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	till := &Till{Key: private, house: b.House}
	till.Account, till.Token, err = b.CreateAccount(t.Context(), issuer.Merchant, t.Name(), coin.MerchantID(public))
	if err != nil {
		t.Fatal(err)
	}
	return till
}

// Offer makes an offer of an amount, open for a quarter of an hour from Now.
// change, if not nil, may alter it before it is signed.
func (m *Till) Offer(t testing.TB, amount coin.Amount, change func(*coin.Offer)) *coin.SignedOffer {
	t.Helper()
	o := coin.Offer{
		Mode: coin.Online, Till: "1", Acquirer: BankID, Amount: amount, Currency: Currency,
		Expires: Now.Add(15 * time.Minute), Kinds: []coin.Kind{coin.Bearer, coin.Bound},
		Groups: [][32]byte{m.house.Document(t).GroupID()}, Epoch: uint32(m.house.Contents.Current.Number),
	}
	if change != nil {
		change(&o)
	}
	private := coin.PrivateOffer{Name: "Till of " + t.Name(), Order: "1", Purpose: "test"}
	return must(coin.NewOffer(o, private, m.Key))(t)
}

// Deposit is the request that redeems a payment of an offer.
func (m *Till) Deposit(offer *coin.SignedOffer, s *coin.Spend, a *coin.Authorisation) *issuer.DepositRequest {
	return &issuer.DepositRequest{
		Offer: offer.Public, PayeeSalt: offer.Private.PayeeSalt, Spend: s, Authorisation: a,
	}
}

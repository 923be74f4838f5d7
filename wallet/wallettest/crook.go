package wallettest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/registration/registrationtest"
)

// Crook is a payer with a program of his own: it signs whatever it is told to.
type Crook struct {
	town *Town
	seed coin.Seed
	next uint64
	// Computer and Member are his TPM and his membership, if he has one.
	Computer *registrationtest.Computer
	Member   *group.Member
}

// NewCrook makes one. tpm is the number of his TPM in the lab, or negative.
func (w *Town) NewCrook(t testing.TB, tpm int) *Crook {
	t.Helper()
	c := &Crook{town: w}
	_, err := rand.Read(c.seed[:])
	must(t, err)
	if tpm >= 0 {
		c.Computer = registrationtest.NewComputer(t, w.lab, tpm, "rsa2048")
		_, c.Member = c.Computer.Enrol(t, w.Group, "A Crook")
	}
	return c
}

// Outputs makes blinded messages for coins of a kind and of the given values.
func (c *Crook) Outputs(t testing.TB, kind coin.Kind, values ...coin.Amount) ([]*coin.Planchet, []coin.Output) {
	t.Helper()
	var planchets []*coin.Planchet
	var outputs []coin.Output
	for _, v := range values {
		d := c.town.Key(t, kind, v)
		c.next++
		owner := c.owner(t, d, c.next)
		p, err := coin.NewPlanchet(c.seed, BankID, d, c.next, owner)
		must(t, err)
		planchets, outputs = append(planchets, p), append(outputs, p.Output())
	}
	return planchets, outputs
}

func (c *Crook) owner(t testing.TB, d *coin.Denomination, index uint64) coin.Owner {
	t.Helper()
	if d.Kind == coin.Bearer {
		key, err := coin.OwnerKey(c.seed, BankID, d.KeyID, index)
		must(t, err)
		return coin.Owner(key.Public().(ed25519.PublicKey))
	}
	nonce, err := coin.BoundNonce(c.seed, BankID, d.KeyID, index)
	must(t, err)
	tag, err := group.CoinTag(t.Context(), c.Computer.Key, nonce)
	must(t, err)
	return coin.BoundOwner(nonce, tag)
}

// Draw gets coins of a kind and of the given values from a new account.
func (c *Crook) Draw(t testing.TB, kind coin.Kind, values ...coin.Amount) []coin.Coin {
	t.Helper()
	var sum coin.Amount
	for _, v := range values {
		sum += v
	}
	account, _, err := c.town.Bank.CreateAccount(t.Context(), issuer.Holder, "crook", "")
	must(t, err)
	c.town.Fund(t, account.ID, sum)
	planchets, outputs := c.Outputs(t, kind, values...)
	signed, err := c.town.Bank.Withdraw(t.Context(), account, outputs)
	must(t, err)
	coins := make([]coin.Coin, len(planchets))
	for i, s := range signed.Signatures {
		made, err := planchets[i].Finalize(s)
		must(t, err)
		coins[i] = *made
	}
	return coins
}

// Payment is a payment of an offer, before anybody authorised it.
func (c *Crook) Payment(offer *coin.SignedOffer, coins ...coin.Coin) coin.Spend {
	return coin.Spend{
		Purpose: coin.Pay, Bank: BankID, OfferDigest: offer.Digest, Amount: offer.Offer.Amount,
		Currency: offer.Offer.Currency, Coins: coins, IssuedAt: c.town.Now().Unix(),
	}
}

// Authorise signs a spend with the keys of bearer coins, and with present for
// the bound ones; nil is his own honest presentation.
func (c *Crook) Authorise(t testing.TB, s coin.Spend, present func(frame []byte, claims []group.Claim) []byte) []byte {
	t.Helper()
	for _, x := range s.Coins {
		if x.Kind == coin.Bound {
			s.Group = c.town.Group.GroupID()
		}
	}
	spend, err := coin.NewSpend(s)
	must(t, err)
	auth := &coin.Authorisation{}
	for i := range spend.Coins {
		if x := &spend.Coins[i]; x.Kind == coin.Bearer {
			key, err := c.ownerKey(x)
			must(t, err)
			auth.Bearer = append(auth.Bearer, ed25519.Sign(key, spend.Frame()))
		}
	}
	if bound := spend.BoundClaims(); len(bound) > 0 {
		claims, err := coin.Claims(bound)
		must(t, err)
		if present == nil {
			present = func(frame []byte, claims []group.Claim) []byte { return c.Present(t, frame, claims) }
		}
		auth.Presentation = present(spend.Frame(), claims)
	}
	body, err := coin.EncodeSpend(spend, auth)
	must(t, err)
	return body
}

// Present makes a presentation with his own TPM.
func (c *Crook) Present(t testing.TB, frame []byte, claims []group.Claim) []byte {
	t.Helper()
	p, err := c.Member.Present(t.Context(), c.Computer.Key, frame, claims)
	must(t, err)
	return p.Bytes()
}

func (c *Crook) ownerKey(x *coin.Coin) (ed25519.PrivateKey, error) {
	for i := c.next; i > 0; i-- {
		key, err := coin.OwnerKey(c.seed, BankID, x.KeyID, i)
		if err != nil {
			return nil, err
		}
		if bytes.Equal(key.Public().(ed25519.PublicKey), x.Owner) {
			return key, nil
		}
	}
	// Somebody else's coin: he signs with what he has.
	return coin.OwnerKey(c.seed, BankID, x.KeyID, 0)
}

// Key is the key of that kind and value.
func (w *Town) Key(t testing.TB, kind coin.Kind, value coin.Amount) *coin.Denomination {
	t.Helper()
	for i := range w.Keyset.Denominations {
		if d := &w.Keyset.Denominations[i]; d.Kind == kind && d.Value == value {
			return d
		}
	}
	t.Fatalf("no %s key of value %d", kind, value)
	return nil
}

package issuer_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
)

// forgetful is the token with keys taken out of it.
type forgetful struct {
	issuer.BlindSigner
	mu   sync.Mutex
	gone map[coin.KeyID]bool
}

func (s *forgetful) lose(kid coin.KeyID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone[kid] = true
}

func (s *forgetful) has(kid coin.KeyID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone[kid] {
		return coin.ErrUnknownKey
	}
	return nil
}

func (s *forgetful) Has(ctx context.Context, kid coin.KeyID) error {
	return errors.Join(s.has(kid), s.BlindSigner.Has(ctx, kid))
}

func (s *forgetful) BlindSign(ctx context.Context, kid coin.KeyID, blinded []byte) ([]byte, error) {
	if err := s.has(kid); err != nil {
		return nil, err
	}
	return s.BlindSigner.BlindSign(ctx, kid, blinded)
}

// rescue is a bank whose keys leak or get lost, and a purse that knows which
// operation each of its coins came from.
type rescue struct {
	*issuertest.Bank
	token  *forgetful
	keyset *coin.Keyset
	purse  *issuertest.Purse
	till   *issuertest.Till
	holder *issuer.Account
	claims map[[32]byte]coin.Claim
}

func newRescue(t *testing.T) *rescue {
	t.Helper()
	h := issuertest.NewHouse(t)
	s := &rescue{keyset: h.Keyset, purse: h.NewPurse(t), claims: map[[32]byte]coin.Claim{}}
	s.Bank = h.NewBank(t, func(c *issuer.Config) {
		s.token = &forgetful{BlindSigner: c.Signer, gone: map[coin.KeyID]bool{}}
		c.Signer = s.token
	})
	s.till = s.NewTill(t)
	s.holder, _ = s.Funded(t, 100)
	return s
}

// learn remembers where coins come from.
func (s *rescue) learn(op ledger.ID, b *issuertest.Batch) {
	for i, p := range b.Planchets {
		s.claims[p.ID()] = p.Claim(op, i)
	}
}

func (s *rescue) withdraw(t *testing.T, account *issuer.Account, b *issuertest.Batch) []coin.Coin {
	t.Helper()
	signed, err := s.Withdraw(t.Context(), account, b.Outputs)
	expect(t, err, nil)
	s.learn(signed.Op, b)
	return b.Finalize(t, signed.Signatures)
}

func (s *rescue) draw(t *testing.T, values ...coin.Amount) []coin.Coin {
	t.Helper()
	return s.withdraw(t, s.holder, s.purse.Prepare(t, values...))
}

// publish brings a successor of the keyset into force.
func (s *rescue) publish(t *testing.T, change func(k *coin.Keyset)) {
	t.Helper()
	jws := s.House.Successor(t, s.keyset, change)
	expect(t, s.Reload(t.Context(), jws, issuer.ReceiptSigner{}), nil)
	s.keyset = s.Keyset()
}

func (s *rescue) mark(t *testing.T, mark func(*coin.Denomination), kids ...coin.KeyID) {
	t.Helper()
	s.publish(t, func(k *coin.Keyset) {
		for i := range k.Denominations {
			if slices.Contains(kids, k.Denominations[i].KeyID) {
				mark(&k.Denominations[i])
			}
		}
	})
}

func (s *rescue) revoke(t *testing.T, kids ...coin.KeyID) {
	t.Helper()
	s.mark(t, func(d *coin.Denomination) { d.Revoked = true }, kids...)
}

func (s *rescue) lost(t *testing.T, kids ...coin.KeyID) {
	t.Helper()
	for _, kid := range kids {
		s.token.lose(kid)
	}
	s.mark(t, func(d *coin.Denomination) { d.Lost = true }, kids...)
}

func (s *rescue) kid(t *testing.T, value coin.Amount) coin.KeyID {
	t.Helper()
	return s.House.Key(t, coin.Bearer, value).KeyID
}

// request is a recoup, ready to be sent.
type request struct {
	spend         *coin.Spend
	authorisation *coin.Authorisation
	claims        []coin.Claim
}

func (s *rescue) send(r *request) (*issuer.Signed, error) {
	return s.Recoup(context.Background(), r.spend, r.authorisation, r.claims)
}

// draft is a recoup that nobody has authorised: coins of keys that are revoked
// or lost are claimed.
func (s *rescue) draft(t *testing.T, coins []coin.Coin, outputs ...coin.Output) coin.Spend {
	t.Helper()
	out := coin.Spend{Purpose: coin.Recoup, Bank: issuertest.BankID, Currency: issuertest.Currency, ToIssuer: outputs, IssuedAt: issuertest.Now.Unix()}
	for _, c := range coins {
		d, err := s.keyset.Find(c.KeyID)
		expect(t, err, nil)
		if d.Revoked || d.Lost {
			c.Signature = nil
		}
		out.Coins = append(out.Coins, c)
	}
	return out
}

// claim authorises a draft and puts the claims beside it.
func (s *rescue) claim(t *testing.T, draft coin.Spend) *request {
	t.Helper()
	spend, authorisation := s.purse.Authorise(t, draft)
	return s.with(spend, authorisation)
}

func (s *rescue) with(spend *coin.Spend, authorisation *coin.Authorisation) *request {
	r := &request{spend: spend, authorisation: authorisation}
	for i := range spend.Coins {
		if !spend.Coins[i].Signed() {
			r.claims = append(r.claims, s.claims[spend.Coins[i].ID()])
		}
	}
	return r
}

func (s *rescue) keyBalance(t *testing.T, kid coin.KeyID) issuer.KeyBalance {
	t.Helper()
	keys, err := s.KeyBalances(t.Context())
	expect(t, err, nil)
	return keys[slices.IndexFunc(keys, func(k issuer.KeyBalance) bool { return k.KeyID == kid })]
}

// claimAnyway claims a coin whose key is good.
func (s *rescue) claimAnyway(t *testing.T, c coin.Coin) *request {
	t.Helper()
	c.Signature = nil
	d := s.draft(t, nil, s.purse.Prepare(t, 8, 8).Outputs...)
	d.Coins = []coin.Coin{c}
	return s.claim(t, d)
}

func audit(t *testing.T, b *issuertest.Bank) {
	t.Helper()
	report, err := b.Audit(t.Context(), nil)
	expect(t, err, nil)
	expect(t, report.Err(), nil)
}

package issuer_test

import (
	"errors"
	"math/big"
	"slices"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/opening"
)

// TestACoinThatWasSpentIsNotMadeGood, and the refusal shows the spend.
func TestACoinThatWasSpentIsNotMadeGood(t *testing.T) {
	s := newRescue(t)
	coins := s.draw(t, 16, 16, 16)
	offer := s.till.Offer(t, 16, nil)
	spend, authorisation := s.purse.Pay(t, offer, coins[:1], nil)
	_, err := s.Deposit(t.Context(), s.till.Account, s.till.Deposit(offer, spend, authorisation))
	expect(t, err, nil)
	k16 := s.kid(t, 16)
	s.revoke(t, k16)
	made, err := s.send(s.claim(t, s.draft(t, coins[1:2], s.purse.Prepare(t, 8, 8).Outputs...)))
	expect(t, err, nil)
	for name, earlier := range map[string][]coin.Coin{"paid with": coins[:1], "made good before": coins[1:2]} {
		t.Run(name, func(t *testing.T) {
			r := s.claim(t, s.draft(t, append(slices.Clone(earlier), coins[2]), s.purse.Prepare(t, 8, 8, 8, 8).Outputs...))
			_, err := s.send(r)
			var refusal *issuer.DoubleSpendError
			if !errors.As(err, &refusal) {
				t.Fatalf("got %v", err)
			}
			expect(t, refusal.Proof.Verify(r.spend, s.keyset, nil), nil)
			if name == "made good before" && refusal.Op != made.Op {
				t.Error("another operation is shown")
			}
		})
	}
	s.CheckBooks(t, 52, 16, 32)
}

// TestAThiefGetsNothingByALeakedKey: the token's own signing operation stands
// in for the private half that he has.
func TestAThiefGetsNothingByALeakedKey(t *testing.T) {
	s := newRescue(t)
	d := s.House.Key(t, coin.Bearer, 16)
	victims := s.draw(t, 16, 16)
	claim := s.claims[victims[0].ID()]
	op, err := s.Operation(t.Context(), claim.Op)
	expect(t, err, nil)
	thief := s.House.NewPurse(t)
	forge := func() (*coin.Planchet, coin.Coin) {
		b := thief.PrepareUnder(t, d)
		sig, err := s.token.BlindSign(t.Context(), d.KeyID, b.Outputs[0].Blinded)
		expect(t, err, nil)
		return b.Planchets[0], b.Finalize(t, [][]byte{sig})[0]
	}
	// Forged coins spent in time are the bank's loss, and there it ends.
	offer := s.till.Offer(t, 16, nil)
	for range 2 {
		_, c := forge()
		spend, authorisation := thief.Pay(t, offer, []coin.Coin{c}, nil)
		_, err := s.Deposit(t.Context(), s.till.Account, s.till.Deposit(offer, spend, authorisation))
		expect(t, err, nil)
	}
	mine, forged := forge()
	s.revoke(t, d.KeyID)

	// He opens the recorded output to his own coin: b = EM'·r'^e, where
	// r' = (b/EM')^d = b^d/s'.
	n := d.PublicKey.N
	b, sig := new(big.Int).SetBytes(op.Outputs[0].Blinded), new(big.Int).SetBytes(forged.Signature)
	root := new(big.Int).SetBytes(op.Signatures[0])
	factor := root.Mul(root, new(big.Int).ModInverse(sig, n)).Mod(root, n)
	e := big.NewInt(int64(d.PublicKey.E))
	check := new(big.Int).Exp(factor, e, n)
	if check.Mul(check, new(big.Int).Exp(sig, e, n)).Mod(check, n); check.Cmp(b) != 0 {
		t.Fatal("the attack is not the one meant")
	}
	steal := func(claim coin.Claim) error {
		forged.Signature = nil
		spend, authorisation := thief.Authorise(t, coin.Spend{
			Purpose: coin.Recoup, Bank: issuertest.BankID, Currency: issuertest.Currency, Coins: []coin.Coin{forged},
			ToIssuer: thief.Prepare(t, 8, 8).Outputs, IssuedAt: issuertest.Now.Unix(),
		})
		_, err := s.Recoup(t.Context(), spend, authorisation, []coin.Claim{claim})
		return err
	}
	mineAt := mine.Claim(claim.Op, claim.Index)
	expect(t, steal(mineAt), coin.ErrClaim)
	expect(t, steal(claim), coin.ErrClaim) // with the victim's secret, which he can't have
	bytesOf := factor.FillBytes(make([]byte, 256))
	expect(t, steal(coin.Claim{Op: claim.Op, Index: claim.Index, Secret: coin.BlindSecret(bytesOf[:32])}), coin.ErrClaim)

	// Every honest holder is paid in full, the last one too, though the key's
	// books are below zero by then.
	if k := s.keyBalance(t, d.KeyID); !(k.Issued == 32 && k.Redeemed == 32) {
		t.Fatalf("the key's books: %+v", k)
	}
	for i := range victims {
		_, err := s.send(s.claim(t, s.draft(t, victims[i:i+1], s.purse.Prepare(t, 8, 8).Outputs...)))
		expect(t, err, nil)
	}
	if k := s.keyBalance(t, d.KeyID); k.Redeemed-k.Issued != 32 {
		t.Errorf("the bank lost something else than what was forged: %+v", k)
	}
}

// TestARecoupAndItsLikeAreOneOperation: a bank must not be able to show two
// authorised uses of a coin of somebody who only wanted his money.
func TestARecoupAndItsLikeAreOneOperation(t *testing.T) {
	s := newRescue(t)
	member := s.House.Admit(t)
	k8 := s.House.Key(t, coin.Bound, 8).KeyID
	bound := s.withdraw(t, s.holder, s.purse.PrepareBound(t, member, 8, 8, 8))
	offer := s.till.Offer(t, 8, nil)
	pay := func(c coin.Coin) *issuer.DepositRequest {
		spend, authorisation := s.purse.AuthoriseBound(t, member, issuertest.Payment(offer, []coin.Coin{c}, nil))
		return s.till.Deposit(offer, spend, authorisation)
	}
	exchange := func(c coin.Coin) (*coin.Spend, *coin.Authorisation) {
		return s.purse.AuthoriseBound(t, member, coin.Spend{
			Purpose: coin.Exchange, Bank: issuertest.BankID, Currency: issuertest.Currency, Coins: []coin.Coin{c},
			ToIssuer: s.purse.Prepare(t, 8).Outputs, IssuedAt: issuertest.Now.Unix(),
		})
	}
	recoup := func(c coin.Coin, offer [32]byte) *request {
		d := s.draft(t, []coin.Coin{c}, s.purse.Prepare(t, 8).Outputs...)
		d.OfferDigest = offer
		return s.with(s.purse.AuthoriseBound(t, member, d))
	}
	exchanged, consent := exchange(bound[0])
	_, err := s.Exchange(t.Context(), exchanged, consent)
	expect(t, err, nil)
	paid, late := pay(bound[1]), pay(bound[2])
	_, err = s.Deposit(t.Context(), s.till.Account, paid)
	expect(t, err, nil)
	s.lost(t, k8) // lost and not revoked: the coins' signatures still count

	conflict := func(err error, by *coin.Spend, refused *coin.Spend) {
		t.Helper()
		expect(t, err, issuer.ErrConflict)
		var refusal *issuer.VoidError
		if !errors.As(err, &refusal) || refusal.Proof.Spend.Digest() != by.Digest() {
			t.Fatalf("got %v", err)
		}
		doc := s.House.Document(t)
		v, err := doc.Verifier(issuertest.Now)
		expect(t, err, nil)
		expect(t, refusal.Proof.Verify(refused, s.keyset, coin.NewPresentationVerifier(v)), nil)
	}
	r := recoup(bound[0], [32]byte{})
	_, err = s.send(r)
	conflict(err, exchanged, r.spend)
	r = recoup(bound[1], offer.Digest)
	_, err = s.send(r)
	conflict(err, paid.Spend, r.spend)
	// And the other way about.
	r = recoup(bound[2], offer.Digest)
	_, err = s.send(r)
	expect(t, err, nil)
	_, err = s.Deposit(t.Context(), s.till.Account, late)
	conflict(err, r.spend, late.Spend)
	if text := err.Error(); text != "issuer: already used otherwise: the payer has taken these coins back" {
		t.Errorf("the merchant is told: %s", text)
	}
	again := s.draw(t, 4)
	s.lost(t, s.kid(t, 4))
	b := s.purse.Prepare(t, 2, 2)
	r = s.claim(t, s.draft(t, again, b.Outputs...))
	_, err = s.send(r)
	expect(t, err, nil)
	spend, authorisation := s.purse.Exchange(t, again, b.Outputs)
	_, err = s.Exchange(t.Context(), spend, authorisation)
	conflict(err, r.spend, spend)

	cases, _, err := s.Cases(t.Context(), ledger.Page{})
	expect(t, err, nil)
	if len(cases) != 0 {
		t.Error("an honest holder has a case against him")
	}
	audit(t, s.Bank)
}

func TestABoundCoinIsMadeGoodByItsTPMOnly(t *testing.T) {
	s := newRescue(t)
	member, stranger := s.House.Admit(t), s.House.Admit(t)
	bound := s.withdraw(t, s.holder, s.purse.PrepareBound(t, member, 8, 8))
	s.revoke(t, s.House.Key(t, coin.Bound, 8).KeyID)
	draft := func(outputs ...coin.Output) coin.Spend { return s.draft(t, bound[:1], outputs...) }
	outputs := s.purse.Prepare(t, 8).Outputs
	repay := draft()
	repay.Amount = 8
	// Who withdrew it, and has the purse, is not who owns it: his TPM has
	// nothing to say about that coin.
	for _, d := range []coin.Spend{draft(outputs...), repay} {
		d.Group = s.House.Document(t).GroupID()
		spend, err := coin.NewSpend(d)
		expect(t, err, nil)
		presentation, err := stranger.Present(t.Context(), stranger.Key, spend.Frame(), nil)
		expect(t, err, nil)
		_, err = s.send(s.with(spend, &coin.Authorisation{Presentation: presentation.Bytes()}))
		expect(t, err, coin.ErrBinding)
	}
	s.CheckBooks(t, 84, 0, 16)

	_, err := s.send(s.with(s.purse.AuthoriseBound(t, member, draft(outputs...))))
	expect(t, err, nil)
	s.CheckBooks(t, 84, 0, 16)
	audit(t, s.Bank)

	// Once more, with another coin: his TPM has signed twice for the first.
	twice := s.draft(t, bound, s.purse.Prepare(t, 16).Outputs...)
	_, err = s.send(s.with(s.purse.AuthoriseBound(t, member, twice)))
	expect(t, err, issuer.ErrDoubleSpend)
	cases, _, err := s.Cases(t.Context(), ledger.Page{})
	expect(t, err, nil)
	if len(cases) != 1 {
		t.Fatalf("%d cases", len(cases))
	}
	if _, err := opening.ParseCase(cases[0].JSON); err != nil {
		t.Errorf("the case does not read: %v", err)
	}
}

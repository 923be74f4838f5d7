package coin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/cloudflare/circl/blindsign/blindrsa"
	"github.com/speciecash/specie/coin"
)

// recoup is a recoup of a bearer 8 and a bound 8, whose keys are revoked, and
// of a bearer 4 whose key is lost, with a bearer 1 that is good: 21 in all. Two
// operations issued them.
type recoup struct {
	spend   coin.Spend
	claims  map[[32]byte]coin.Claim // by coin id
	issued  map[[32]byte][]coin.Output
	keyset  *coin.Keyset
	at      time.Time
	present func(*coin.Spend, *coin.Authorisation)
}

func (m *mint) recoup() *recoup {
	r := &recoup{claims: map[[32]byte]coin.Claim{}, issued: map[[32]byte][]coin.Output{}, at: now}
	r.keyset = m.keysetWith(func(k *coin.Keyset) {
		k.Denominations[1].Lost = true    // four
		k.Denominations[2].Revoked = true // eight
		k.Denominations[3].Revoked = true // bound8
		more := m.denomination(m.spare, 16, coin.Bearer)
		k.Denominations = append(k.Denominations, more)
	})
	withdrawal, change := [32]byte{'w'}, [32]byte{'c'}
	for _, d := range []struct {
		op  [32]byte
		key coin.Denomination
	}{{withdrawal, m.one}, {withdrawal, m.eight}, {change, m.bound8}, {change, m.four}} {
		p := m.planchet(d.key, 20)
		r.claims[p.ID()] = p.Claim(d.op, len(r.issued[d.op]))
		r.issued[d.op] = append(r.issued[d.op], p.Output())
		if d.key.KeyID == m.one.KeyID {
			delete(r.claims, p.ID()) // it is good
			r.spend.Coins = append(r.spend.Coins, m.coin(d.key, 20))
			continue
		}
		r.spend.Coins = append(r.spend.Coins, *p.Unsigned())
	}
	s := &r.spend
	s.Purpose, s.Bank, s.Currency, s.Group, s.IssuedAt = coin.Recoup, bankID, "EUR", theGroup.id, now.Unix()
	for i := range uint64(5) {
		s.ToIssuer = append(s.ToIssuer, m.output(m.one, 60+i))
	}
	s.ToIssuer = append(s.ToIssuer, m.output(r.keyset.Denominations[4], 60))
	return r
}

// ordered are the claims in the order of a spend's coins.
func (r *recoup) ordered(s *coin.Spend) (out []coin.Claim) {
	for i := range s.Coins {
		if c, ok := r.claims[s.Coins[i].ID()]; ok {
			out = append(out, c)
		}
	}
	return out
}

func (r *recoup) outputs(op [32]byte) ([]coin.Output, error) {
	if o, ok := r.issued[op]; ok {
		return o, nil
	}
	return nil, coin.ErrClaim
}

func (r *recoup) verify(t *testing.T, change func(claims *[]coin.Claim, a *coin.Authorisation)) error {
	t.Helper()
	s, err := coin.NewSpend(r.spend)
	if err != nil {
		return err
	}
	s, a := signed(s)
	claims := r.ordered(s)
	if change != nil {
		change(&claims, a)
	}
	return coin.VerifyRecoup(s, a, claims, r.keyset, theGroup, r.at, r.outputs)
}

func (r *recoup) of(kid coin.KeyID) *coin.Coin {
	return &r.spend.Coins[slices.IndexFunc(r.spend.Coins, func(c coin.Coin) bool { return c.KeyID == kid })]
}

func (r *recoup) claim(id [32]byte, change func(*coin.Claim)) {
	c := r.claims[id]
	change(&c)
	r.claims[id] = c
}

func TestARecoupIsGood(t *testing.T) {
	m := theMint()
	expect(t, m.recoup().verify(t, nil), nil)
	for name, change := range map[string]func(r *recoup){
		"as the void of a payment":        func(r *recoup) { r.spend.OfferDigest = [32]byte{5} },
		"for money on an account":         func(r *recoup) { r.spend.Amount, r.spend.ToIssuer = 21, nil },
		"for money and coins":             func(r *recoup) { r.spend.Amount, r.spend.ToIssuer = 16, r.spend.ToIssuer[:5] },
		"after spend_until":               func(r *recoup) { r.atKey(m.eight, func(d *coin.Denomination) { d.SpendUntil = d.IssueUntil }) },
		"of a key both revoked and lost":  func(r *recoup) { r.atKey(m.eight, func(d *coin.Denomination) { d.Lost = true }) },
		"a second before the legal end":   func(r *recoup) { r.atKey(m.eight, func(d *coin.Denomination) { d.LegalUntil = now.Add(time.Second) }) },
		"of two coins of one operation":   func(r *recoup) { r.move(m.planchet(m.four, 20), [32]byte{'w'}) },
		"of one coin that two operations": func(r *recoup) { r.issued[[32]byte{'x'}] = r.issued[[32]byte{'w'}] },
	} {
		t.Run(name, func(t *testing.T) {
			r := m.recoup()
			change(r)
			expect(t, r.verify(t, nil), nil)
		})
	}
}

// atKey changes a key of the recoup's keyset.
func (r *recoup) atKey(d coin.Denomination, change func(*coin.Denomination)) {
	k := *r.keyset
	k.Denominations = slices.Clone(k.Denominations)
	for i := range k.Denominations {
		if k.Denominations[i].KeyID == d.KeyID {
			change(&k.Denominations[i])
		}
	}
	r.keyset = &k
}

// move makes a coin an output of another operation.
func (r *recoup) move(p *coin.Planchet, op [32]byte) {
	r.claims[p.ID()] = p.Claim(op, len(r.issued[op]))
	r.issued[op] = append(r.issued[op], p.Output())
}

func TestARecoupIsRefused(t *testing.T) {
	m := theMint()
	eight := m.planchet(m.eight, 20)
	tests := []struct {
		name   string
		change func(r *recoup)
		want   error
	}{
		{"of another purpose", func(r *recoup) { r.spend.Purpose = coin.Exchange }, coin.ErrMalformed},
		{"with outputs for another bank", func(r *recoup) { r.spend.ToAcquirer = r.spend.ToIssuer[:1] }, coin.ErrAmount},
		{"of another bank", func(r *recoup) { r.keyset = m.keysetWith(func(k *coin.Keyset) { k.Bank = "OTHERBANK" }) }, coin.ErrBank},
		{"in another currency", func(r *recoup) { r.spend.Currency = "USD" }, coin.ErrCurrency},
		{"for less", func(r *recoup) { r.spend.ToIssuer = r.spend.ToIssuer[1:] }, coin.ErrAmount},
		{"for more", func(r *recoup) { r.spend.Amount = 1 }, coin.ErrAmount},
		{"for nothing", func(r *recoup) { r.spend.ToIssuer = nil }, coin.ErrAmount},
		{"for coins under the revoked key", func(r *recoup) { r.spend.ToIssuer[4] = m.output(m.eight, 61) }, coin.ErrRevoked},
		{"for coins under the lost key", func(r *recoup) { r.spend.ToIssuer[4] = m.output(m.four, 61) }, coin.ErrLost},
		{"of a coin whose key is neither", func(r *recoup) { r.atKey(m.eight, func(d *coin.Denomination) { d.Revoked = false }) }, coin.ErrNotRevoked},
		{"at the legal end", func(r *recoup) { r.atKey(m.eight, func(d *coin.Denomination) { d.LegalUntil = now }) }, coin.ErrKeyExpired},
		{"of a revoked coin by its signature", func(r *recoup) { *r.of(m.eight.KeyID) = m.coin(m.eight, 20) }, coin.ErrRevoked},
		{"of a good coin that its signature does not prove", func(r *recoup) { r.of(m.one.KeyID).Signature[9] ^= 1 }, coin.ErrCoinSignature},
		{"of a good coin that expired", func(r *recoup) { r.atKey(m.one, func(d *coin.Denomination) { d.SpendUntil = now }) }, coin.ErrKeyExpired},
		{"of one coin twice", func(r *recoup) { r.spend.Coins = append(r.spend.Coins, *r.of(m.eight.KeyID)) }, coin.ErrDuplicateCoin},
		{"of an operation that never was", func(r *recoup) { r.claim(eight.ID(), func(c *coin.Claim) { c.Op[5] ^= 1 }) }, coin.ErrClaim},
		{"of another operation", func(r *recoup) { r.claim(eight.ID(), func(c *coin.Claim) { c.Op = [32]byte{'c'} }) }, coin.ErrClaim},
		{"of another output", func(r *recoup) { r.claim(eight.ID(), func(c *coin.Claim) { c.Index-- }) }, coin.ErrClaim},
		{"of an output past the last", func(r *recoup) { r.claim(eight.ID(), func(c *coin.Claim) { c.Index = 2 }) }, coin.ErrClaim},
		{"of an output before the first", func(r *recoup) { r.claim(eight.ID(), func(c *coin.Claim) { c.Index = -1 }) }, coin.ErrClaim},
		{"with another secret", func(r *recoup) { r.claim(eight.ID(), func(c *coin.Claim) { c.Secret[31] ^= 1 }) }, coin.ErrClaim},
		{"of another coin of that output", func(r *recoup) {
			c := r.of(m.eight.KeyID)
			claim := r.claims[c.ID()]
			c.Randomizer[0] ^= 1
			r.claims[c.ID()] = claim
		}, coin.ErrClaim},
		{"of a coin for another owner", func(r *recoup) {
			c := r.of(m.eight.KeyID)
			claim := r.claims[c.ID()]
			c.Owner = m.planchet(m.eight, 21).Unsigned().Owner // whose key signs
			r.claims[c.ID()] = claim
		}, coin.ErrClaim},
		{"of an output twice, as another coin", func(r *recoup) {
			other := m.planchet(m.eight, 21)
			claim := r.claims[eight.ID()]
			r.spend.Coins = append(r.spend.Coins, *other.Unsigned())
			r.claims[other.ID()] = claim
			r.spend.Amount = 8
		}, coin.ErrClaim},
		// Withdrawn as a small coin, blinded as a large one.
		{"of an output under another key", func(r *recoup) {
			r.issued[[32]byte{'w'}][1].KeyID = m.one.KeyID
		}, coin.ErrClaim},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := m.recoup()
			tt.change(r)
			expect(t, r.verify(t, nil), tt.want)
		})
	}
	t.Run("when the operations can't be read", func(t *testing.T) {
		r := m.recoup()
		broken := errors.New("disk")
		s, a := signed(must(coin.NewSpend(r.spend)))
		err := coin.VerifyRecoup(s, a, r.ordered(s), r.keyset, theGroup, now, func([32]byte) ([]coin.Output, error) { return nil, broken })
		expect(t, err, broken)
	})
	for name, change := range map[string]struct {
		change func(claims *[]coin.Claim, a *coin.Authorisation)
		want   error
	}{
		"with a claim too few":            {func(c *[]coin.Claim, _ *coin.Authorisation) { *c = (*c)[1:] }, coin.ErrClaim},
		"with a claim too many":           {func(c *[]coin.Claim, _ *coin.Authorisation) { *c = append(*c, (*c)[0]) }, coin.ErrClaim},
		"with claims in another order":    {func(c *[]coin.Claim, _ *coin.Authorisation) { slices.Reverse(*c) }, coin.ErrClaim},
		"that a bearer did not authorise": {func(_ *[]coin.Claim, a *coin.Authorisation) { a.Bearer[1] = a.Bearer[0] }, coin.ErrOwner},
		"that no TPM authorised":          {func(_ *[]coin.Claim, a *coin.Authorisation) { a.Presentation = flipLast(a.Presentation) }, coin.ErrBinding},
		"without a presentation":          {func(_ *[]coin.Claim, a *coin.Authorisation) { a.Presentation = nil }, coin.ErrBinding},
	} {
		t.Run(name, func(t *testing.T) { expect(t, m.recoup().verify(t, change.change), change.want) })
	}
	t.Run("by a stranger, before any operation is looked up", func(t *testing.T) {
		r := m.recoup()
		s, a := signed(must(coin.NewSpend(r.spend)))
		a.Presentation = flipLast(a.Presentation)
		err := coin.VerifyRecoup(s, a, r.ordered(s), r.keyset, theGroup, now, func([32]byte) ([]coin.Output, error) {
			t.Error("looked up")
			return nil, nil
		})
		expect(t, err, coin.ErrBinding)
	})
	t.Run("of nothing but good coins", func(t *testing.T) {
		r := m.recoup()
		r.spend.Coins, r.spend.Group, r.spend.ToIssuer = []coin.Coin{m.coin(m.one, 20)}, [32]byte{}, r.spend.ToIssuer[:1]
		expect(t, r.verify(t, nil), coin.ErrClaim)
	})
	t.Run("where a payment or an exchange is due", func(t *testing.T) {
		s, a := signed(must(coin.NewSpend(m.recoup().spend)))
		expect(t, coin.Verify(s, a, m.keyset, theGroup, now), coin.ErrPurpose)
		e := m.unsignedSpend()
		e.Purpose, e.OfferDigest, e.Amount = coin.Exchange, [32]byte{}, 0
		s, a = signed(must(coin.NewSpend(e)))
		expect(t, coin.VerifyRecoup(s, a, nil, m.keyset, theGroup, now, nil), coin.ErrPurpose)
	})
}

// TestAThiefWithThePrivateKeyOpensABlindedMessageOnceOnly: with the key, any
// blinded message is that of any coin, under a factor chosen for it. A claim
// has no place for a factor.
func TestAThiefWithThePrivateKeyOpensABlindedMessageOnceOnly(t *testing.T) {
	m := theMint()
	r := m.recoup()
	key := m.private[m.eight.KeyID]
	victim := m.planchet(m.eight, 20) // its output is recorded, its coin perhaps spent
	b := new(big.Int).SetBytes(victim.Blinded())

	// The thief's own coin, signed by himself.
	mine := m.planchet(m.eight, 77)
	forged := must(mine.Finalize(m.rawSign(m.eight.KeyID, mine.Blinded())))
	// r' = (b/EM')^d = b^d / s', and indeed b = EM'·r'^e.
	s := new(big.Int).SetBytes(forged.Signature)
	factor := new(big.Int).Exp(b, key.D, key.N)
	factor.Mul(factor, new(big.Int).ModInverse(s, key.N)).Mod(factor, key.N)
	em := new(big.Int).Exp(s, big.NewInt(int64(key.E)), key.N)
	again := new(big.Int).Exp(factor, big.NewInt(int64(key.E)), key.N)
	if again.Mul(again, em).Mod(again, key.N); again.Cmp(b) != 0 {
		t.Fatal("the attack is not the one meant")
	}
	verifier := must(blindrsa.NewVerifier(blindrsa.SHA384PSSRandomized, m.eight.PublicKey))
	expect(t, verifier.Verify(forged.Prepared(), forged.Signature), nil)

	// What he can say in a claim: his own coin's secret, the victim's if he
	// learned it, or bytes of the factor.
	secrets := []coin.BlindSecret{mine.Claim([32]byte{}, 0).Secret, victim.Claim([32]byte{}, 0).Secret, coin.BlindSecret(factor.FillBytes(make([]byte, 256))[:32])}
	for _, secret := range secrets {
		r.spend.Coins = []coin.Coin{*mine.Unsigned()}
		r.spend.Group, r.spend.ToIssuer, r.spend.Amount = [32]byte{}, nil, 8
		r.claims = map[[32]byte]coin.Claim{mine.ID(): {Op: [32]byte{'w'}, Index: 1, Secret: secret}}
		expect(t, r.verify(t, nil), coin.ErrClaim)
	}
	// The output opens to the coin that it was made for.
	r.spend.Coins = []coin.Coin{*victim.Unsigned()}
	r.claims = map[[32]byte]coin.Claim{victim.ID(): victim.Claim([32]byte{'w'}, 1)}
	expect(t, r.verify(t, nil), nil)
}

func TestABlindSecretCoversKeyAndMessage(t *testing.T) {
	m := theMint()
	seen := map[string]bool{}
	for _, d := range []coin.Denomination{m.one, m.four, m.eight} {
		for i := range uint64(3) {
			p := m.planchet(d, i)
			c := p.Claim([32]byte{1}, 2)
			if c.Op != [32]byte{1} || c.Index != 2 {
				t.Fatalf("the claim is for %x, %d", c.Op, c.Index)
			}
			if seen[string(c.Secret[:])] {
				t.Fatal("a secret came twice: one claim would open another coin")
			}
			seen[string(c.Secret[:])] = true
			if p.Unsigned().ID() != p.ID() || p.Unsigned().Signed() {
				t.Fatal("the coin without its signature is another, or has one")
			}
		}
	}
}

func TestCoinsWithoutASignatureAreForRecoupsOnly(t *testing.T) {
	m := theMint()
	c := m.planchet(m.eight, 20).Unsigned()
	back, err := coin.DecodeCoin(must(c.Encode()))
	expect(t, err, nil)
	if back.ID() != c.ID() || back.Signed() {
		t.Error("another coin came back")
	}
	data := must(c.Encode())
	if !bytes.HasSuffix(data, []byte{0x06, 0x40}) {
		t.Fatalf("no signature is written as %x", data[len(data)-2:])
	}
	null := append(bytes.Clone(data[:len(data)-1]), 0xf6)
	left := bytes.Clone(data[:len(data)-2])
	left[0]-- // one member less
	for _, other := range [][]byte{null, left} {
		_, err := coin.DecodeCoin(other)
		expect(t, err, coin.ErrMalformed) // none has one form
	}
	_, err = m.keyset.VerifyCoin(c)
	expect(t, err, coin.ErrMalformed)
	s := m.unsignedSpend()
	s.Coins[0].Signature = nil
	for _, purpose := range []coin.Purpose{coin.Pay, coin.Exchange, coin.Void} {
		s.Purpose = purpose
		if purpose == coin.Exchange {
			s.OfferDigest, s.Amount = [32]byte{}, 0
		} else if purpose == coin.Void {
			s.OfferDigest, s.Amount = [32]byte{1}, 0
		}
		_, err := coin.NewSpend(s)
		expect(t, err, coin.ErrMalformed)
	}
}

func TestARecoupProvesThatACoinIsGone(t *testing.T) {
	m := theMint()
	r := m.recoup()
	earlier, a := signed(must(coin.NewSpend(r.spend)))
	later := coin.Spend{
		Purpose: coin.Pay, Bank: bankID, OfferDigest: [32]byte{9}, Amount: 4, Currency: "EUR",
		Coins: []coin.Coin{m.coin(m.four, 20)}, IssuedAt: now.Unix(),
	}
	next := must(coin.NewSpend(later))
	proof := &coin.ConflictProof{CoinID: next.Coins[0].ID(), Spend: earlier, Authorisation: a}
	var back coin.ConflictProof
	expect(t, json.Unmarshal(must(json.Marshal(proof)), &back), nil)
	expect(t, back.Verify(next, r.keyset, theGroup), nil)
	back.Spend.IssuedAt++ // which nobody consented to
	expect(t, back.Verify(next, r.keyset, theGroup), coin.ErrOwner)
}

func TestAWithdrawalsOpCoversAccountAndOutputs(t *testing.T) {
	m := theMint()
	one, other := m.output(m.one, 1), m.output(m.one, 2)
	four := coin.Output{KeyID: m.four.KeyID, Blinded: one.Blinded}
	seen := map[[32]byte]string{}
	for what, op := range map[string][32]byte{
		"one":                 coin.WithdrawalOp("holder/a", []coin.Output{one}),
		"another account":     coin.WithdrawalOp("holder/b", []coin.Output{one}),
		"another message":     coin.WithdrawalOp("holder/a", []coin.Output{other}),
		"another key":         coin.WithdrawalOp("holder/a", []coin.Output{four}),
		"two":                 coin.WithdrawalOp("holder/a", []coin.Output{one, other}),
		"two the other way":   coin.WithdrawalOp("holder/a", []coin.Output{other, one}),
		"of nothing at all":   coin.WithdrawalOp("holder/a", nil),
		"of nothing, account": coin.WithdrawalOp("holder/b", nil),
	} {
		if first, ok := seen[op]; ok {
			t.Errorf("%s and %s have one op", what, first)
		}
		seen[op] = what
	}
}

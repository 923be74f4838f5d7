package coin_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

// claim asks for 9 of the payment of unsignedSpend back, as 8 and 1.
func (m *mint) claim() coin.Spend {
	s := m.unsignedSpend()
	s.Purpose, s.ToIssuer = coin.Refund, []coin.Output{m.output(m.eight, 70), m.output(m.one, 70)}
	return s
}

func TestOnlyThePayerIsRefunded(t *testing.T) {
	m := theMint()
	paid, _ := m.spend()
	tests := []struct {
		name   string
		change func(*coin.Spend)
		spoil  func(*coin.Spend, *coin.Authorisation)
		want   error
	}{
		{"all of it", nil, nil, nil},
		{"a part of it", func(s *coin.Spend) { s.Amount, s.ToIssuer = 1, s.ToIssuer[1:] }, nil, nil},
		{"with a payment's consent", func(s *coin.Spend) { s.Purpose = coin.Pay }, nil, coin.ErrPurpose},
		{"of another offer", func(s *coin.Spend) { s.OfferDigest[0] ^= 1 }, nil, coin.ErrForeignOffer},
		{"with a part of the coins", func(s *coin.Spend) { s.Coins = s.Coins[:2] }, nil, coin.ErrForeignOffer},
		{"with his own coins", func(s *coin.Spend) { s.Coins = []coin.Coin{m.coin(m.eight, 5), m.coin(m.bound8, 5), m.coin(m.four, 5)} }, nil, coin.ErrForeignOffer},
		{"of another bank", func(s *coin.Spend) {
			s.Bank = "OTHERBANK"
			for i := range s.Coins {
				s.Coins[i].Bank = "OTHERBANK"
			}
		}, nil, coin.ErrBank},
		{"in another currency", func(s *coin.Spend) { s.Currency = "USD" }, nil, coin.ErrCurrency},
		{"of more than was paid", func(s *coin.Spend) { s.Amount = 10; s.ToIssuer = append(s.ToIssuer, m.output(m.one, 71)) }, nil, coin.ErrAmount},
		{"of more than the outputs", func(s *coin.Spend) { s.ToIssuer = s.ToIssuer[:1] }, nil, coin.ErrAmount},
		{"into nothing", func(s *coin.Spend) { s.ToIssuer = nil }, nil, coin.ErrAmount},
		{"of nothing", func(s *coin.Spend) { s.Amount = 0 }, nil, coin.ErrAmount},
		{"without an owner's consent", nil, func(_ *coin.Spend, a *coin.Authorisation) { a.Bearer[1][3] ^= 1 }, coin.ErrOwner},
		{"without the TPM's", nil, func(_ *coin.Spend, a *coin.Authorisation) { a.Presentation[3] ^= 1 }, coin.ErrBinding},
		{"with the consent to the payment", nil, func(_ *coin.Spend, a *coin.Authorisation) { _, p := m.spend(); *a = *p }, coin.ErrOwner},
		{"into outputs that were swapped", nil, func(s *coin.Spend, _ *coin.Authorisation) {
			s.ToIssuer = []coin.Output{m.output(m.eight, 80), m.output(m.one, 80)}
		}, coin.ErrOwner},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := m.claim()
			if tt.change != nil {
				tt.change(&c)
			}
			c.Coins = slices.Clone(c.Coins)
			s, err := coin.NewSpend(c)
			var a *coin.Authorisation
			if err == nil {
				s, a = signed(s)
				if tt.spoil != nil {
					tt.spoil(s, a)
				}
				err = coin.VerifyRefund(s, a, paid, m.keyset, theGroup, now)
			}
			expect(t, err, tt.want)
		})
	}
}

func TestARefundSpendsNothing(t *testing.T) {
	m := theMint()
	paid, _ := m.spend()
	s, a := signed(must(coin.NewSpend(m.claim())))
	expect(t, coin.Verify(s, a, m.keyset, theGroup, now), coin.ErrPurpose)
	expect(t, coin.VerifyShown(s, m.keyset, now), coin.ErrPurpose)
	proof := coin.ConflictProof{CoinID: s.CoinIDs()[0], Spend: s, Authorisation: a}
	expect(t, proof.Verify(paid, m.keyset, theGroup), coin.ErrNoConflict)
	if !coin.TakenBack(paid, s) {
		t.Error("a refund beside its payment looks like a double spend")
	}
}

func TestWhatIsShownIsCheckedWithoutConsent(t *testing.T) {
	m := theMint()
	s, a := m.spend()
	shown := must(coin.EncodeShown(s))
	back := must(coin.DecodeShown(shown))
	if diff := cmp.Diff(s, back); diff != "" {
		t.Fatal(diff)
	}
	expect(t, coin.VerifyShown(back, m.keyset, now), nil)
	_, err := coin.DecodeShown(must(coin.EncodeSpend(s, a)))
	expect(t, err, coin.ErrMalformed)
	_, _, err = coin.DecodeSpend(shown)
	expect(t, err, coin.ErrOwner)
	expect(t, coin.VerifyShown(s, m.keyset, spendUntil), coin.ErrKeyExpired)
	expect(t, coin.VerifyShown(s, m.keysetWith(func(k *coin.Keyset) { k.Bank = "OTHERBANK" }), now), coin.ErrBank)
	for name, tt := range map[string]struct {
		change func(*coin.Spend)
		want   error
	}{
		"another currency": {func(s *coin.Spend) { s.Currency = "USD" }, coin.ErrCurrency},
		"wrong sums":       {func(s *coin.Spend) { s.Amount++ }, coin.ErrAmount},
		"a coin that the bank did not sign": {func(s *coin.Spend) {
			s.Coins[1].Signature = bytes.Clone(s.Coins[1].Signature)
			s.Coins[1].Signature[7] ^= 1
		}, coin.ErrCoinSignature},
		"a coin twice": {func(s *coin.Spend) { s.Coins[1] = s.Coins[0] }, coin.ErrDuplicateCoin},
	} {
		t.Run(name, func(t *testing.T) {
			bad := *s
			bad.Coins = slices.Clone(s.Coins)
			tt.change(&bad)
			expect(t, coin.VerifyShown(&bad, m.keyset, now), tt.want)
		})
	}
}

func refundOrder(t testing.TB) (*coin.RefundOrder, ed25519.PrivateKey, []byte) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o := &coin.RefundOrder{Bank: bankID, Deposit: [32]byte{1}, Outputs: [32]byte{2}, Amount: 5, Currency: "EUR", At: now}
	return o, key, must(o.Sign(key))
}

func TestARefundOrderIsTheMerchantsWord(t *testing.T) {
	o, key, jws := refundOrder(t)
	got, by, err := coin.VerifyRefundOrder(jws)
	expect(t, err, nil)
	if diff := cmp.Diff(o, got); diff != "" || by != coin.MerchantID(key.Public().(ed25519.PublicKey)) {
		t.Fatalf("signed by %s: %s", by, diff)
	}
	if got.Op() == (&coin.RefundOrder{Deposit: [32]byte{1}, Outputs: [32]byte{3}}).Op() || got.Op() == (&coin.RefundOrder{Deposit: [32]byte{3}, Outputs: [32]byte{2}}).Op() {
		t.Error("the op does not hang on both")
	}
	doc := must(trust.VerifyKeyed(jws, coin.TypRefund))
	with := func(old, new string) []byte {
		return must(trust.SignKeyed(coin.TypRefund, changed(t, doc.Payload, old, new), key))
	}
	for name, tt := range map[string]struct {
		jws  []byte
		want error
	}{
		"of version 2":                {with(`"v":1`, `"v":2`), coin.ErrMalformed},
		"with an unknown member":      {with(`{`, `{"x":1,`), coin.ErrMalformed},
		"spelt otherwise":             {with(`"v":1`, `"v": 1`), coin.ErrMalformed},
		"of nothing":                  {with(`"amount":5`, `"amount":0`), coin.ErrAmount},
		"of less than nothing":        {with(`"amount":5`, `"amount":-5`), coin.ErrOverflow},
		"in a currency that is none":  {with(`"EUR"`, `"eur"`), coin.ErrMalformed},
		"to a bank that is none":      {with(`"DEMOBANK"`, `"x"`), coin.ErrMalformed},
		"that is another document":    {must(trust.SignKeyed(coin.TypMerchant, doc.Payload, key)), trust.ErrType},
		"that is longer than allowed": {bytes.Repeat([]byte("A"), coin.MaxRefundOrder+1), coin.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := coin.VerifyRefundOrder(tt.jws)
			expect(t, err, tt.want)
		})
	}
	for i := range jws {
		bad := bytes.Clone(jws)
		bad[i] ^= 1
		if _, who, err := coin.VerifyRefundOrder(bad); err == nil && who == by {
			t.Fatalf("byte %d flipped, still his", i)
		}
	}
	if _, err := (&coin.RefundOrder{Bank: bankID, Currency: "EUR", At: time.Unix(1, 0)}).Sign(key); err == nil {
		t.Error("an order over nothing was signed")
	}
}

func FuzzVerifyRefundOrder(f *testing.F) {
	_, _, jws := refundOrder(f)
	f.Add(jws)
	f.Add([]byte("e30.e30.AA"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, id, err := coin.VerifyRefundOrder(b); err == nil && (len(id) != 43 || o.Amount <= 0) {
			t.Fatalf("accepted %+v of %q", o, id)
		}
	})
}

func FuzzDecodeShown(f *testing.F) {
	s, a := theMint().spend()
	f.Add(must(coin.EncodeShown(s)))
	f.Add(must(coin.EncodeSpend(s, a)))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := coin.DecodeShown(b)
		if err != nil {
			return
		}
		again, err := coin.DecodeShown(must(coin.EncodeShown(s)))
		if err != nil || again.Op() != s.Op() {
			t.Fatalf("what was read is written otherwise: %v", err)
		}
	})
}

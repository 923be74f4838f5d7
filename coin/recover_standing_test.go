package coin_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/successor"
	"github.com/speciecash/specie/opening/openingtest"
	"github.com/speciecash/specie/trust"
)

// Everybody who is shown a recover later judges it at its own date.
func TestARecoverIsDatedWhenTheBankGetsIt(t *testing.T) {
	p, m := theParish(), theMint()
	for _, tt := range []struct {
		name  string
		after time.Duration
		want  error
	}{
		{"five minutes ahead", coin.RecoverAhead, nil},
		{"a second more than that ahead", coin.RecoverAhead + time.Second, coin.ErrDate},
		{"a day old", -coin.RecoverAge, nil},
		{"a second older", -coin.RecoverAge - time.Second, coin.ErrDate},
		{"of the year 1970", -p.at.Sub(time.Unix(1, 0)), coin.ErrDate},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := p.recovery(m)
			r.spend.IssuedAt = p.at.Add(tt.after).Unix()
			expect(t, r.verify(t, nil), tt.want)
		})
	}
}

// asked notes when the manager's word was to count.
type asked struct {
	coin.Successors
	at *[]time.Time
}

func (a asked) Succession(jws []byte, at time.Time) (from, to [33]byte, over time.Time, err error) {
	*a.at = append(*a.at, at)
	return a.Successors.Succession(jws, at)
}

func TestTheManagersWordIsJudgedAtTheRecoversDate(t *testing.T) {
	p, m := theParish(), theMint()
	r := p.recovery(m)
	r.spend.IssuedAt = p.at.Add(-time.Hour).Unix()
	s, a := r.sign(t)
	var at []time.Time
	plain := coin.NewPresentationVerifier(must(p.doc.Verifier(p.at)))
	v := coin.WithSuccessors(plain, asked{p.verifier().(coin.Successors), &at})
	expect(t, coin.VerifyRecover(s, a, nil, m.keyset, v, p.at, r.outputs), nil)
	bound := s.Coins[0]
	for _, c := range s.Coins {
		if c.Kind == coin.Bound {
			bound = c
		}
	}
	other := *s
	other.IssuedAt++
	proof := coin.ConflictProof{CoinID: bound.ID(), Spend: s, Authorisation: a}
	expect(t, proof.Verify(&other, m.keyset, v), nil)
	if len(at) != 2 || at[0].Unix() != s.IssuedAt || at[1].Unix() != s.IssuedAt {
		t.Fatalf("judged at %v", at)
	}
	t.Run("and when his certificate had run out it is refused", func(t *testing.T) {
		r.spend.IssuedAt = p.at.AddDate(2, 0, 0).Unix()
		s, a := r.sign(t)
		other := *s
		other.IssuedAt++
		err := (&coin.ConflictProof{CoinID: bound.ID(), Spend: s, Authorisation: a}).Verify(&other, m.keyset, v)
		if !errors.Is(err, coin.ErrSuccession) || !errors.Is(err, trust.ErrExpired) {
			t.Fatalf("got %v", err)
		}
	})
}

// struck is a list of expelled members on which the maker of one presentation
// stands.
type struck []byte

func (l struck) Match(p *group.Presentation) (int, bool) { return 0, bytes.Equal(p.Bytes(), l) }

func TestAMemberWhoWasStruckOffRecoversNothing(t *testing.T) {
	p, m := theParish(), theMint()
	r := p.recovery(m)
	planchets, holding := p.strike(m, p.ada, 400, 1)
	r.hold(planchets, 400, holding)
	r.spend.ToIssuer = append(r.spend.ToIssuer, m.output(m.eight, 62))
	s, a := r.sign(t)
	plain := coin.NewPresentationVerifier(must(p.doc.Verifier(p.at)))
	for name, list := range map[string]struck{
		"as the heir":                   a.Presentation,
		"as the owner of some coins":    a.Stead.Holdings[0].Presentation,
		"as the owner of the last coin": a.Stead.Holdings[1].Presentation,
	} {
		for order, verifier := range map[string]coin.PresentationVerifier{
			"alone":            coin.Refusing(plain, list),
			"among more lists": coin.Refusing(coin.Refusing(plain, list), struck(nil)),
		} {
			t.Run(name+", "+order, func(t *testing.T) {
				v := coin.WithSuccessors(verifier, p.verifier().(coin.Successors))
				expect(t, coin.VerifyRecover(s, a, nil, m.keyset, v, p.at, r.outputs), coin.ErrExpelled)
			})
		}
	}
	v := coin.WithSuccessors(coin.Refusing(plain, struck(nil)), p.verifier().(coin.Successors))
	expect(t, coin.VerifyRecover(s, a, nil, m.keyset, v, p.at, r.outputs), nil)
}

// A presentation without claims does not show that its signer's key is public;
// opened it does. What the old TPM held is good whoever knows its key by now.
func TestAnHeirWhoseKeyIsPublicRecoversNothing(t *testing.T) {
	p, m := theParish(), theMint()
	r := p.recovery(m)
	s, a := r.sign(t)
	for _, tt := range []struct {
		name   string
		member *openingtest.Member
		want   error
	}{
		{"the heir's key", p.adaSecond, group.ErrLeaked},
		{"the old TPM's key", p.ada, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := tt.member.Key.(*openingtest.Key).F.Bytes()
			doc := *p.doc
			doc.Leaked = [][]byte{f[:]}
			v := coin.WithSuccessors(coin.NewPresentationVerifier(must(doc.Verifier(p.at))), &successor.Verifier{Root: p.g.Root, Doc: &doc})
			err := coin.VerifyRecover(s, a, nil, m.keyset, v, p.at, r.outputs)
			expect(t, err, tt.want)
			if tt.want != nil {
				expect(t, err, coin.ErrBinding)
			}
		})
	}
}

// untouched is a verifier that nothing may be asked.
type untouched struct {
	coin.PresentationVerifier
	t *testing.T
}

func (u untouched) GroupID() [32]byte { return u.PresentationVerifier.GroupID() }

func (u untouched) VerifyPresentation([]byte, []byte, []coin.BoundClaim) error {
	u.t.Error("a presentation is verified")
	return nil
}

// Whoever has no coins costs the bank little.
func TestARecoverOfNothingIsRefusedBeforeItsStead(t *testing.T) {
	p, m := theParish(), theMint()
	for name, change := range map[string]func(r *recovery){
		"a coin that the bank did not sign": func(r *recovery) { r.spend.Coins[0].Signature[9] ^= 1 },
		"a claim that opens nothing": func(r *recovery) {
			r.unsign()
			r.issued = nil
		},
		"another date": func(r *recovery) { r.spend.IssuedAt = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			r := p.recovery(m)
			change(r)
			s, a := r.sign(t)
			v := coin.WithSuccessors(untouched{p.verifier(), t}, p.verifier().(coin.Successors))
			if err := coin.VerifyRecover(s, a, r.ordered(s), r.keyset, v, p.at, r.outputs); err == nil {
				t.Fatal("taken")
			}
		})
	}
	t.Run("a coin that is not in its holding", func(t *testing.T) {
		r := p.recovery(m)
		s, a := r.sign(t)
		a.Stead.Held[0].Blind[31] ^= 1
		v := coin.WithSuccessors(p.verifier(), noSigner{p.verifier().(coin.Successors), t, a.Presentation})
		expect(t, coin.VerifyRecover(s, a, nil, r.keyset, v, p.at, r.outputs), coin.ErrHolding)
	})
}

// noSigner may be asked about the heir's presentation and about no other.
type noSigner struct {
	coin.Successors
	t    *testing.T
	heir []byte
}

func (n noSigner) Signer(it group.Item, key [32]byte) (tag [33]byte, over time.Time, err error) {
	if !bytes.Equal(it.Presentation, n.heir) {
		n.t.Error("a holding is verified")
	}
	return n.Successors.Signer(it, key)
}

package coin_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/opening/openingtest"
	"github.com/speciecash/specie/trust"
)

func TestARecoverIsGood(t *testing.T) {
	p, m := theParish(), theMint()
	expect(t, p.recovery(m).verify(t, nil), nil)
	for name, change := range map[string]func(r *recovery){
		"as the void of a payment": func(r *recovery) { r.spend.OfferDigest = [32]byte{5} },
		"for bound coins again": func(r *recovery) {
			planchets, _ := p.strike(m, p.adaSecond, 300, 2)
			r.spend.ToIssuer[0], r.spend.ToIssuer[1] = planchets[0].Output(), planchets[1].Output()
		},
		"by proof of withdrawal, for money on the account": func(r *recovery) {
			r.unsign()
			r.spend.Coins, r.spend.Amount, r.spend.ToIssuer = r.spend.Coins[:2], 16, nil
		},
		"of coins whose key is revoked": func(r *recovery) {
			r.unsign()
			r.atKey(func(d *coin.Denomination) { d.Revoked = true })
		},
		"of coins whose key is lost": func(r *recovery) { r.atKey(func(d *coin.Denomination) { d.Lost = true }) },
		"after spend_until":          func(r *recovery) { r.atKey(func(d *coin.Denomination) { d.SpendUntil = d.IssueUntil }) },
		"a second before the legal end": func(r *recovery) {
			r.atKey(func(d *coin.Denomination) { d.LegalUntil = p.at.Add(time.Second) })
		},
		"after a second succession": func(r *recovery) {
			r.heir, r.stead.Successions = p.adaThird, [][]byte{p.firstToSecond, p.secondToLast}
		},
		"of coins of both former memberships at once": func(r *recovery) {
			second := p.admit(p.doc, 8, p.adaSecond.Key.(*openingtest.Key))
			r.heir = p.adaThird
			r.stead.Successions = [][]byte{p.firstToSecond, p.succession(p.adaSecond, p.adaThird, p.doc.Current.Starts)}
			planchets, holding := p.strike(m, second, 400, 1)
			r.hold(planchets, 400, holding)
			r.spend.ToIssuer = append(r.spend.ToIssuer, m.output(m.eight, 62))
		},
		"the second the old membership is over": func(r *recovery) {
			r.stead.Successions[0] = p.succession(p.ada, p.adaSecond, p.at.Add(-groupdoc.EpochSkew))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := p.recovery(m)
			r.stead.Successions = slices.Clone(r.stead.Successions)
			change(r)
			expect(t, r.verify(t, nil), nil)
		})
	}
}

func TestARecoverIsRefused(t *testing.T) {
	p, m := theParish(), theMint()
	tests := []struct {
		name   string
		change func(r *recovery)
		want   error
	}{
		{"with outputs for another bank", func(r *recovery) { r.spend.ToAcquirer = r.spend.ToIssuer[:1] }, coin.ErrAmount},
		{"of another bank", func(r *recovery) { r.keyset = m.keysetWith(func(k *coin.Keyset) { k.Bank = "OTHERBANK" }) }, coin.ErrBank},
		{"for more", func(r *recovery) { r.spend.ToIssuer = append(r.spend.ToIssuer, m.output(m.one, 60)) }, coin.ErrAmount},
		{"of another group", func(r *recovery) { r.spend.Group[0] ^= 1 }, coin.ErrBinding},
		{"at the legal end", func(r *recovery) { r.atKey(func(d *coin.Denomination) { d.LegalUntil = p.at }) }, coin.ErrKeyExpired},
		{"of coins whose key issues later", func(r *recovery) { r.atKey(func(d *coin.Denomination) { d.IssueFrom = p.at.Add(time.Second) }) }, coin.ErrKeyNotYet},
		{"of a revoked coin by its signature", func(r *recovery) { r.atKey(func(d *coin.Denomination) { d.Revoked = true }) }, coin.ErrRevoked},
		{"of a coin that the bank did not sign", func(r *recovery) { r.spend.Coins[0].Signature[9] ^= 1 }, coin.ErrCoinSignature},
		{"of a coin without signature or claim", func(r *recovery) {
			r.unsign()
			r.claims = nil
		}, coin.ErrClaim},
		{"of a coin that no operation made", func(r *recovery) {
			r.unsign()
			r.issued = nil
		}, coin.ErrClaim},

		// Whose word it is.
		{"by a member whom the manager does not call the successor", func(r *recovery) { r.heir = p.bobNow }, coin.ErrSuccession},
		{"with a succession by somebody else", func(r *recovery) { r.stead.Successions[0][len(r.stead.Successions[0])-9] ^= 1 }, coin.ErrSuccession},
		{"with a succession by a supervisor", func(r *recovery) {
			doc := must(r.g.Root.Verify(p.firstToSecond, trust.TypSuccession, trust.RoleGroup, p.at))
			r.stead.Successions[0] = must(trust.Sign(trust.TypSuccession, doc.Payload, p.g.Officers[0].Key, p.g.Officers[0].Chain))
		}, coin.ErrSuccession},
		{"with a succession by another group's manager", func(r *recovery) {
			other := p.g.Certify(&testing.T{}, trust.Name{Role: trust.RoleGroup, ID: "OTHERGROUP"}, now)
			r.stead.Successions[0] = must(enrol.SignSuccession(&enrol.Succession{
				Group: "OTHERGROUP", Old: tagOf(p.ada), New: tagOf(p.adaSecond), At: p.at, GoodUntil: now,
			}, other.Key, other.Chain))
		}, coin.ErrSuccession},
		{"without the first of two successions", func(r *recovery) {
			r.heir, r.stead.Successions = p.adaThird, [][]byte{p.secondToLast}
		}, coin.ErrHolding},
		{"without the last of two successions", func(r *recovery) { r.heir = p.adaThird }, coin.ErrSuccession},
		{"with successions in the wrong order", func(r *recovery) {
			r.heir, r.stead.Successions = p.adaThird, [][]byte{p.secondToLast, p.firstToSecond}
		}, coin.ErrSuccession},
		{"with a succession beside the chain", func(r *recovery) {
			r.stead.Successions = [][]byte{p.succession(p.bob, p.bobNow2(), now), p.firstToSecond}
		}, coin.ErrSuccession},
		{"by the first successor, of what was held under the second", func(r *recovery) {
			planchets, holding := p.strike(m, p.adaSecond, 400, 1)
			r.hold(planchets, 400, holding)
			r.spend.ToIssuer = append(r.spend.ToIssuer, m.output(m.eight, 62))
		}, coin.ErrHolding},

		// When.
		{"a second before the old membership is over", func(r *recovery) {
			r.stead.Successions[0] = p.succession(p.ada, p.adaSecond, p.at.Add(-groupdoc.EpochSkew+time.Second))
		}, coin.ErrTooEarly},
		{"of what was held in this epoch, whatever the manager says", func(r *recovery) {
			now := p.admit(p.doc, 9, p.ada.Key.(*openingtest.Key))
			planchets, holding := p.strike(m, now, 400, 1)
			r.hold(planchets, 400, holding)
			r.spend.ToIssuer = append(r.spend.ToIssuer, m.output(m.eight, 62))
		}, coin.ErrTooEarly},
		{"with a holding of an epoch that was never announced", func(r *recovery) {
			later := p.admit(p.doc, 11, p.ada.Key.(*openingtest.Key))
			planchets, holding := p.strike(m, later, 400, 1)
			r.hold(planchets, 400, holding)
			r.spend.ToIssuer = append(r.spend.ToIssuer, m.output(m.eight, 62))
		}, coin.ErrHolding},
		{"by a successor whose own epoch is over", func(r *recovery) {
			r.heir = p.admit(p.doc, 7, p.adaSecond.Key.(*openingtest.Key))
		}, coin.ErrBinding},

		// Whose coins they were.
		{"of another member's coins, by their holding", func(r *recovery) {
			planchets, holding := p.strike(m, p.bob, 400, 1)
			r.hold(planchets, 400, holding)
			r.spend.ToIssuer = append(r.spend.ToIssuer, m.output(m.eight, 62))
		}, coin.ErrHolding},
		{"of another member's coins, by one's own holding", func(r *recovery) {
			planchets, holding := p.strike(m, p.bob, 400, 1)
			r.hold(planchets, 400, holding)
			at := r.places[planchets[0].ID()]
			at.Holding = 0
			r.places[planchets[0].ID()] = at
			r.stead.Holdings = r.stead.Holdings[:1]
			r.spend.ToIssuer = append(r.spend.ToIssuer, m.output(m.eight, 62))
		}, coin.ErrHolding},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := p.recovery(m)
			r.stead.Successions = [][]byte{bytes.Clone(p.firstToSecond)}
			tt.change(r)
			expect(t, r.verify(t, nil), tt.want)
		})
	}
}

// bobNow2 is a membership that Bob never had.
func (p *parish) bobNow2() *openingtest.Member { return p.admit(p.doc, 9, nil) }

func TestTheBanksVerifierDecidesWhoMayRecover(t *testing.T) {
	p, m := theParish(), theMint()
	r := p.recovery(m)
	s, a := r.sign(t)
	verify := func(v coin.PresentationVerifier) error {
		return coin.VerifyRecover(s, a, nil, m.keyset, v, p.at, r.outputs)
	}
	expect(t, verify(p.verifier()), nil)
	expect(t, verify(nil), coin.ErrBinding)
	plain := coin.NewPresentationVerifier(must(p.doc.Verifier(p.at)))
	expect(t, verify(plain), coin.ErrBinding) // it knows no successors
	expect(t, verify(coin.WithSuccessors(coin.Refusing(plain, everybody{}), p.verifier().(coin.Successors))), coin.ErrExpelled)
	expect(t, coin.Verify(s, a, m.keyset, p.verifier(), p.at), coin.ErrPurpose)
	expect(t, coin.VerifyRecoup(s, a, nil, m.keyset, p.verifier(), p.at, r.outputs), coin.ErrPurpose)

	t.Run("and a stead is for a recover only", func(t *testing.T) {
		s, good := m.spend()
		good.Stead = a.Stead
		expect(t, coin.Verify(s, good, m.keyset, theGroup, now), coin.ErrBinding)
		expect(t, coin.VerifyRecover(s, good, nil, m.keyset, theGroup, now, r.outputs), coin.ErrPurpose)
	})
	t.Run("and a recover is of bound coins", func(t *testing.T) {
		r := p.recovery(m)
		r.spend.Coins, r.spend.ToIssuer, r.spend.Group = r.spend.Coins[2:], r.spend.ToIssuer[2:], [32]byte{}
		_, err := coin.NewSpend(r.spend)
		expect(t, err, coin.ErrBinding)
	})
	t.Run("and says from when on", func(t *testing.T) {
		r := p.recovery(m)
		until := p.at.Add(time.Minute)
		r.stead.Successions = [][]byte{p.succession(p.ada, p.adaSecond, until)}
		var early *coin.TooEarlyError
		if err := r.verify(t, nil); !errors.As(err, &early) || !early.From.Equal(until.Add(groupdoc.EpochSkew)) {
			t.Fatalf("got %v", err)
		}
		r.time = early.From
		expect(t, r.verify(t, nil), nil)
	})
}

type everybody struct{}

func (everybody) Match(*group.Presentation) (int, bool) { return 0, true }

func TestAHoldingShowsNothingOfCoinsThatAreNotRecovered(t *testing.T) {
	p, m := theParish(), theMint()
	for _, n := range []int{1, 7, 8, 9} {
		planchets, h := p.strike(m, p.ada, 500, n)
		want := 8
		if n > 8 {
			want = 16
		}
		if got := len(h.Claims) / group.BlindedClaimSize; got != want {
			t.Errorf("%d coins make a holding of %d claims", n, got)
		}
		claims := parseClaims(t, h)
		if !slices.IsSortedFunc(claims, func(a, b group.Claim) int { return bytes.Compare(a.Encoded(), b.Encoded()) }) {
			t.Error("the order of the claims tells that of the coins")
		}
		for i, c := range planchets {
			owner := c.Unsigned().Owner
			if bytes.Contains(h.Claims, owner[coin.NonceSize:]) {
				t.Error("the coin's tag stands in the holding")
			}
			claim := must(c.Unsigned().BoundClaim())
			at := must(h.Find(claim, blindOf(m, 500+uint64(i))))
			if _, err := h.Find(claim, blindOf(m, 600)); !errors.Is(err, coin.ErrHolding) {
				t.Errorf("found with another factor: %v", err)
			}
			if !claims[at].Blinds(must(group.CoinClaim(claim.Nonce, claim.Tag)), blindOf(m, 500+uint64(i))) {
				t.Error("found in another's place")
			}
		}
	}
	if _, err := coin.HoldingClaims(make([]group.Claim, coin.MaxHolding+1), p.ada.BlankClaim); !errors.Is(err, coin.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if must(coin.HoldingBlind(seed, bankID, m.bound8.KeyID, 1)) == must(coin.HoldingBlind(seed, bankID, m.bound8.KeyID, 2)) {
		t.Error("two coins share a factor")
	}
}

func TestARecoverProvesThatACoinIsGone(t *testing.T) {
	p, m := theParish(), theMint()
	r := p.recovery(m)
	first, a := r.sign(t)
	second := p.recovery(m)
	second.spend.Coins = r.spend.Coins[:1]
	second.spend.Purpose, second.spend.OfferDigest, second.spend.Amount, second.spend.ToIssuer = coin.Pay, [32]byte{1}, 8, nil
	later := must(coin.NewSpend(second.spend))
	for _, id := range first.CoinIDs() {
		if !slices.Contains(later.CoinIDs(), id) {
			continue
		}
		proof := coin.ConflictProof{CoinID: id, Spend: first, Authorisation: a}
		data := must(proof.MarshalJSON())
		var again coin.ConflictProof
		expect(t, again.UnmarshalJSON(data), nil)
		expect(t, again.Verify(later, m.keyset, p.verifier()), nil)
		// The same long after, and however early the manager's word came.
		again.Authorisation.Stead.Successions[0] = p.succession(p.ada, p.adaSecond, p.at.AddDate(1, 0, 0))
		expect(t, again.Verify(later, m.keyset, p.verifier()), nil)
		expect(t, again.Verify(later, m.keyset, coin.NewPresentationVerifier(must(p.doc.Verifier(p.at)))), coin.ErrBinding)
		again.Authorisation.Stead.Successions[0] = p.succession(p.bob, p.adaSecond, now)
		expect(t, again.Verify(later, m.keyset, p.verifier()), coin.ErrHolding)
	}
}

func TestARecoverComesBackFromTheWire(t *testing.T) {
	p, m := theParish(), theMint()
	r := p.recovery(m)
	s, a := r.sign(t)
	data := must(coin.EncodeSpend(s, a))
	s2, a2, err := coin.DecodeSpend(data)
	expect(t, err, nil)
	expect(t, coin.VerifyRecover(s2, a2, nil, m.keyset, p.verifier(), p.at, r.outputs), nil)
	if !bytes.Equal(must(coin.EncodeSpend(s2, a2)), data) {
		t.Error("written again it is another")
	}
	expect(t, a2.VerifyOwners(s2), nil)
	if text := fmt.Sprintf("%v %+v %#v %s", *a.Stead, a.Stead, a.Stead, a.Stead); strings.Trim(text, " redact[&]") != "" {
		t.Errorf("a stead prints as %s", text)
	}
	for name, edit := range map[string][2]string{
		"a key that is not 32 bytes":      {`"stead":{`, `"stead":{"key":"AAAA","x":`},
		"a member that is not known":      {`"held":[{`, `"held":[{"note":1,`},
		"a blinding factor cut short":     {`"blind":"`, `"blind":"AA`},
		"a presentation that is too long": {`"holdings":[{"presentation":"`, `"holdings":[{"presentation":"AAAA`},
		"claims that are not base64url":   {`"claims":"`, `"claims":"+`},
	} {
		bad := strings.Replace(string(data), edit[0], edit[1], 1)
		if _, _, err := coin.DecodeSpend([]byte(bad)); bad == string(data) || !errors.Is(err, coin.ErrMalformed) && !errors.Is(err, coin.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTheWireFormOfARecoverStays: a request that a wallet has on disk is sent
// again byte for byte, whatever version it was made by.
func TestTheWireFormOfARecoverStays(t *testing.T) {
	data := bytes.TrimSpace(must(os.ReadFile("testdata/recover.json")))
	s, a, err := coin.DecodeSpend(data)
	expect(t, err, nil)
	if len(s.Coins) != 3 || len(a.Stead.Successions) != 1 || len(a.Stead.Holdings) != 1 || len(a.Stead.Held) != 2 {
		t.Fatalf("%d coins, %d places", len(s.Coins), len(a.Stead.Held))
	}
	if !bytes.Equal(must(coin.EncodeSpend(s, a)), data) {
		t.Fatal("it is written otherwise now")
	}
}

func FuzzDecodeStead(f *testing.F) {
	f.Add(bytes.TrimSpace(must(os.ReadFile("testdata/recover.json"))))
	f.Add([]byte(`{"v":1,"purpose":"recover","stead":{"successions":["a.b.c"],"key":"","holdings":[],"held":[]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, a, err := coin.DecodeSpend(data)
		if err != nil || a.Stead == nil {
			return
		}
		again, err := coin.EncodeSpend(s, a)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := coin.DecodeSpend(again); err != nil {
			t.Fatal(err)
		}
		if len(s.BoundClaims()) == 0 || len(a.Stead.Held) != len(s.BoundClaims()) || len(a.Stead.Holdings) == 0 {
			t.Fatal("a recover of nothing")
		}
	})
}

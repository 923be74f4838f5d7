package officer

import (
	"crypto/rand"
	"errors"
	"testing"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/groupdoc"
)

// rogueKeys are what a dishonest third officer would like the others to sign:
// polynomials of degree 2 through their shares' public images, with constant
// terms that he alone knows. Every honest share fits them, and only he opens.
func rogueKeys(t *testing.T, honest *groupdoc.Supervision) []byte {
	t.Helper()
	n := fp256bn.ScalarFromUint64
	half := n(2).Inverse()
	o, o2 := must(fp256bn.RandomScalar(rand.Reader))(t), must(fp256bn.RandomScalar(rand.Reader))(t)
	image1 := func(x uint64) fp256bn.G1 { return honest.Key.Opening[0].Add(honest.Key.Opening[1].Mul(n(x))) }
	image2 := func(x uint64) fp256bn.G2 { return honest.Key.Tracing[0].Add(honest.Key.Tracing[1].Mul(n(x))) }
	a, b := fp256bn.Generator1().Mul(o), fp256bn.Generator2().Mul(o2)
	minus := n(3).Mul(half).Neg()
	rogue := groupdoc.Supervision{Group: honest.Group, Supervisors: honest.Supervisors, Key: group.SupervisionKey{
		N: 3, K: 3,
		Opening: []fp256bn.G1{a,
			a.Mul(minus).Add(image1(1).Mul(n(2))).Sub(image1(2).Mul(half)),
			a.Mul(half).Sub(image1(1)).Add(image1(2).Mul(half))},
		Tracing: []fp256bn.G2{b,
			b.Mul(minus).Add(image2(1).Mul(n(2))).Sub(image2(2).Mul(half)),
			b.Mul(half).Sub(image2(1)).Add(image2(2).Mul(half))},
	}}
	return must(rogue.Marshal())(t)
}

func TestAnOfficerSignsNothingButWhatHeCombined(t *testing.T) {
	p := newPanel(t, "ALICE", "BORIS", "MALLORY")
	alice := p.officers[0]
	honest := must(alice.Combine(p.root, "TESTGROUP", p.dealings, at))(t)
	payload := rogueKeys(t, honest)
	// What makes the check necessary: her own share does fit.
	s := must(groupdoc.ReadSupervision(payload))(t)
	if err := s.Key.CheckShare(must(alice.Share("TESTGROUP"))(t)); err != nil {
		t.Fatalf("the rogue keys should fit an honest share: %v", err)
	}
	if _, err := alice.Sign(p.root, payload, at); !errors.Is(err, ErrForeign) {
		t.Fatalf("got %v", err)
	}
	must(alice.Sign(p.root, must(honest.Marshal())(t), at))(t)
}

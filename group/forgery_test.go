package group

import (
	"fmt"
	"testing"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group/fp256bn"
)

// weakened is the verifier with exactly one of its checks removed. It is put
// together from the pieces of the real one; with nothing removed it must
// agree with it (TestWeakenedVerifierWithNothingRemovedIsTheVerifier).
type weakened struct {
	omit       [6]bool // T_i is neither recomputed nor hashed
	noPairing  bool
	noInfinity bool
	heEpoch    uint64 // not 0: B0+[t]He is taken for this epoch instead
	fold       bool   // T6 is added into T2
	oneWeights bool   // ρ_i = 1
	weightsNoY bool   // ρ_i from a statement without the Y_i
}

func (wk weakened) weights(p *Presentation, id ID, msg []byte, claims []Claim) []fp256bn.Scalar {
	if wk.oneWeights {
		out := make([]fp256bn.Scalar, len(claims))
		for i := range out {
			out[i] = fp256bn.ScalarFromUint64(1)
		}
		return out
	}
	st := p.statement(id, msg, claims)
	if wk.weightsNoY {
		blind := make([]Claim, len(claims))
		for i, c := range claims {
			blind[i] = Claim{kind: c.kind, input: c.input}
		}
		st = p.statement(id, msg, blind)
	}
	return weights(st, len(claims))
}

func (wk weakened) delta(p *Presentation, id ID, msg []byte, claims []Claim, t [6]fp256bn.G1) [32]byte {
	var c commitments
	for i := range t {
		if wk.omit[i] || (i == 5 && (len(claims) == 0 || wk.fold)) {
			continue
		}
		c[i] = g1(t[i])
	}
	if wk.fold {
		c[1] = g1(t[1].Add(t[5]))
	}
	return delta(p.statement(id, msg, claims), c)
}

func (wk weakened) verify(v *Verifier, p *Presentation, msg []byte, claims []Claim) error {
	if !wk.noInfinity {
		if _, err := ParsePresentation(p.Bytes()); err != nil {
			return err
		}
	}
	rho := wk.weights(p, v.id, msg, claims)
	b, c := fixedBases(), p.C.Neg()
	base := epochBase(p.Epoch)
	if wk.heEpoch != 0 {
		base = epochBase(wk.heEpoch)
	}
	t := [6]fp256bn.G1{
		p.D.Mul(p.SR1).Sub(p.APrime.Mul(p.SE)).Add(p.BBar.Mul(c)),
		p.D.Mul(p.SR3).Sub(b.hf.Point.Mul(p.SF)).Sub(b.hu.Mul(p.SU)).Add(base.Mul(c)),
		b.g.Mul(p.SK).Add(p.E1.Mul(c)),
		b.hf.Point.Mul(p.SF).Add(v.params.O.Mul(p.SK)).Add(p.E2.Mul(c)),
		traceBase(p.APrime).Mul(p.SU).Add(p.V.Mul(c)),
		foldX(claims, rho).Mul(p.SF).Add(foldY(claims, rho).Mul(c)),
	}
	if !challenge(p.Nu, wk.delta(p, v.id, msg, claims, t)).Equal(p.C) {
		return ErrProof
	}
	if !wk.noPairing && !v.checkPairing(p.APrime, p.BBar) {
		return ErrCredential
	}
	return nil
}

// foldX is P1 = Σρ_i·X_i and foldY Σρ_i·Y_i for any weights, one by one.
func foldX(claims []Claim, rho []fp256bn.Scalar) (sum fp256bn.G1) {
	for i, c := range claims {
		sum = sum.Add(c.x.Mul(rho[i]))
	}
	return sum
}

func foldY(claims []Claim, rho []fp256bn.Scalar) (sum fp256bn.G1) {
	for i, c := range claims {
		sum = sum.Add(c.y.Mul(rho[i]))
	}
	return sum
}

// witness is what a cheating prover claims to know.
type witness struct{ f, u, e, r1, r3, k fp256bn.Scalar }

// prove answers honestly for whatever witness and points it is given: the
// relations that the witness satisfies verify, the others don't.
func (wk weakened) prove(t testing.TB, v *Verifier, p Presentation, w witness, msg []byte, claims []Claim) *Presentation {
	t.Helper()
	b, key := fixedBases(), &softKey{f: w.f}
	rho := wk.weights(&p, v.id, msg, claims)
	p1 := foldX(claims, rho)
	_, l, e, ctr, err := key.Commit(t.Context(), &p1, b.hf.S2, b.hf.Y2)
	must(t, err)
	eT, r1T, r3T, uT, kT := scalar(t), scalar(t), scalar(t), scalar(t), scalar(t)
	if wk.fold {
		// ρ is known before r3 is answered for: Y = [f]X + [x]D goes into r3.
		w.r3 = w.r3.Add(rho[0].Mul(foldedShift))
	}
	first := [6]fp256bn.G1{
		p.D.Mul(r1T).Sub(p.APrime.Mul(eT)),
		p.D.Mul(r3T).Sub(l).Sub(b.hu.Mul(uT)),
		b.g.Mul(kT),
		l.Add(v.params.O.Mul(kT)),
		traceBase(p.APrime).Mul(uT),
		e,
	}
	d := wk.delta(&p, v.id, msg, claims, first)
	nu, s, err := key.Sign(t.Context(), d, ctr)
	must(t, err)
	copy(p.Nu[:], nu)
	p.C = challenge(p.Nu, d)
	p.SF, p.SE = s, eT.Add(p.C.Mul(w.e))
	p.SR1, p.SR3 = r1T.Add(p.C.Mul(w.r1)), r3T.Add(p.C.Mul(w.r3))
	p.SU, p.SK = uT.Add(p.C.Mul(w.u)), kT.Add(p.C.Mul(w.k))
	return &p
}

// foldedShift is the x by which the folded forgery shifts a coin's tag.
var foldedShift = fp256bn.ScalarFromUint64(11)

// honest fills points and witness as Present does, for tests to spoil.
func (c *citizen) honest(t testing.TB, pp *Parameters) (Presentation, witness) {
	t.Helper()
	r1, r2, k := scalar(t), scalar(t), scalar(t)
	b := fixedBases()
	d := credentialBase(c.tag, b.hu.Mul(c.w.u), c.cred.Epoch).Mul(r2)
	a := c.cred.A.Mul(r1.Mul(r2))
	p := Presentation{
		Epoch: c.cred.Epoch, APrime: a, D: d, BBar: d.Mul(r1).Sub(a.Mul(c.cred.E)),
		E1: b.g.Mul(k), E2: c.tag.Add(pp.O.Mul(k)), V: traceBase(a).Mul(c.w.u),
	}
	return p, witness{f: c.key.f, u: c.w.u, e: c.cred.E, r1: r1, r3: r2.Inverse(), k: k}
}

// A forgery spoils an honest attempt; it must pass the verifier without the
// named check, and fail the real one, also when it is proved for the real one.
type forgery struct {
	name    string
	without weakened
	spoil   func(t *testing.T, s *scene)
	want    error
}

type scene struct {
	w      *world
	m      *citizen // the attacker, a member with a software key
	victim *citizen
	p      Presentation
	wit    witness
	claims []Claim
	weak   weakened
}

func omit(i int) weakened { var w weakened; w.omit[i-1] = true; return w }

// stranger replaces the attacker's certified scalars by fresh ones, and the
// certificate by one seen in somebody's payment.
func stranger(t *testing.T, s *scene) {
	seen := s.victim.present(t, "somebody's payment")
	b := fixedBases()
	s.wit.f, s.wit.u = scalar(t), scalar(t)
	r2 := scalar(t)
	own := epochBase(epoch0).Add(b.hf.Point.Mul(s.wit.f)).Add(b.hu.Mul(s.wit.u))
	s.p.APrime, s.p.BBar = seen.APrime, seen.BBar
	s.p.D, s.wit.r3 = own.Mul(r2), r2.Inverse()
	s.p.E2 = b.hf.Point.Mul(s.wit.f).Add(s.w.params.O.Mul(s.wit.k))
	s.p.V = traceBase(s.p.APrime).Mul(s.wit.u)
}

func random1(t *testing.T) fp256bn.G1 { return fixedBases().g.Mul(scalar(t)) }

var forgeries = []forgery{
	{"a stranger's uncertified scalars beside a certificate seen in a payment", omit(1), stranger, ErrProof},
	{"D = B̄ with r1 = 1 and e = 0", omit(2), func(t *testing.T, s *scene) {
		stranger(t, s)
		s.p.D, s.wit.r1, s.wit.e = s.p.BBar, fp256bn.ScalarFromUint64(1), fp256bn.Scalar{}
	}, ErrProof},
	{"a later epoch than the credential's", weakened{heEpoch: epoch0}, func(t *testing.T, s *scene) {
		s.p.Epoch = epoch0 + 1
	}, ErrProof},
	{"a random E1, so that opening names nobody", omit(3), func(t *testing.T, s *scene) {
		s.p.E1 = random1(t)
	}, ErrProof},
	{"the victim's tag in E2, so that opening names him", omit(4), func(t *testing.T, s *scene) {
		s.p.E2 = s.victim.tag.Add(s.w.params.O.Mul(s.wit.k))
	}, ErrProof},
	{"a random V, so that tracing misses", omit(5), func(t *testing.T, s *scene) {
		s.p.V = random1(t)
	}, ErrProof},
	{"a coin bound to another TPM", omit(6), func(t *testing.T, s *scene) {
		s.claims = s.victim.coins(t, 1)
	}, ErrProof},
	{"a random A' under nobody's key", weakened{noPairing: true}, func(t *testing.T, s *scene) {
		s.p.APrime = random1(t)
		s.p.BBar = s.p.D.Mul(s.wit.r1).Sub(s.p.APrime.Mul(s.wit.e))
		s.p.V = traceBase(s.p.APrime).Mul(s.wit.u)
	}, ErrCredential},
	{"A' = B̄ = 0, which pairs with everything", weakened{noInfinity: true}, func(t *testing.T, s *scene) {
		stranger(t, s)
		s.p.APrime, s.p.BBar, s.wit.r1 = fp256bn.G1{}, fp256bn.G1{}, fp256bn.Scalar{}
		s.p.V = traceBase(s.p.APrime).Mul(s.wit.u)
	}, ErrMalformed},
	{"a coin shifted by [x]D, with T6 folded into T2", weakened{fold: true}, func(t *testing.T, s *scene) {
		s.claims = s.m.coins(t, 1)
		s.claims[0].y = s.claims[0].y.Add(s.p.D.Mul(foldedShift))
	}, ErrProof},
	{"two foreign coins whose errors cancel under constant weights", weakened{oneWeights: true}, func(t *testing.T, s *scene) {
		s.claims = s.m.coins(t, 2)
		shift := random1(t)
		s.claims[0].y = s.claims[0].y.Add(shift)
		s.claims[1].y = s.claims[1].y.Sub(shift)
	}, ErrProof},
	{"two foreign coins fitted to weights that don't cover the tags", weakened{weightsNoY: true}, func(t *testing.T, s *scene) {
		s.claims = s.m.coins(t, 2)
		rho := s.weak.weights(&s.p, s.w.params.ID(), []byte("m"), s.claims)
		shift := random1(t)
		s.claims[0].y = s.claims[0].y.Add(shift.Mul(rho[1]))
		s.claims[1].y = s.claims[1].y.Sub(shift.Mul(rho[0]))
	}, ErrProof},
}

func TestForgeriesPassExactlyWhenTheirCheckIsRemoved(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, epoch0, epoch0+1)
	for _, f := range forgeries {
		t.Run(f.name, func(t *testing.T) {
			s := &scene{w: w, m: w.admit(t), victim: w.admit(t), weak: f.without}
			s.p, s.wit = s.m.honest(t, w.params)
			f.spoil(t, s)
			forged := f.without.prove(t, v, s.p, s.wit, []byte("m"), s.claims)
			if err := f.without.verify(v, forged, []byte("m"), s.claims); err != nil {
				t.Fatalf("without its check the forgery should pass: %v", err)
			}
			best := weakened{}.prove(t, v, s.p, s.wit, []byte("m"), s.claims)
			for name, p := range map[string]*Presentation{"forged": forged, "proved for the real verifier": best} {
				if err := v.Verify(p.Bytes(), []byte("m"), s.claims); err == nil {
					t.Fatalf("%s: the verifier accepts it", name)
				}
			}
			wantErr(t, v.verify(best, []byte("m"), s.claims), f.want)
		})
	}
}

func TestWeakenedVerifierWithNothingRemovedIsTheVerifier(t *testing.T) {
	w := newWorld(t)
	v, m := w.verifier(t), w.admit(t)
	for n := range 4 {
		claims := m.coins(t, n)
		p, wit := m.honest(t, w.params)
		proved := weakened{}.prove(t, v, p, wit, []byte("m"), claims)
		must(t, weakened{}.verify(v, proved, []byte("m"), claims))
		must(t, v.Verify(proved.Bytes(), []byte("m"), claims))
		made := m.present(t, "m", claims...)
		must(t, weakened{}.verify(v, made, []byte("m"), claims))
	}
}

func TestOpeningKeyInBothGroupsNamesEverybody(t *testing.T) {
	w := newWorld(t)
	m, other := w.admit(t), w.admit(t)
	p := m.present(t, "m")
	// Were [o]P2 published, e(E2, P2)/e(E1, [o]P2) = e(F, P2) would be a test
	// for every F that anybody can run.
	idx := []int{1, 2}
	l := lagrange(idx)
	o := w.shares[0].o.Mul(l[0]).Add(w.shares[1].o.Mul(l[1]))
	leaked := fixedBases().p2.Mul(o)
	named := func(f fp256bn.G1) bool {
		return fp256bn.PairingCheck([]fp256bn.G1{p.E2.Sub(f), p.E1.Neg()}, []fp256bn.G2{fixedBases().p2, leaked})
	}
	if !named(m.tag) || named(other.tag) {
		t.Fatal("the attack that forbids [o]P2 does not work as described")
	}
	// What is public: no pairing with O2 in its place names him.
	if fp256bn.PairingCheck([]fp256bn.G1{p.E2.Sub(m.tag), p.E1.Neg()}, []fp256bn.G2{fixedBases().p2, w.params.O2}) {
		t.Fatal("the published keys link")
	}
}

func TestEveryFlippedByteIsRefused(t *testing.T) {
	w := newWorld(t)
	v, m := w.verifier(t, epoch0, epoch0^1), w.admit(t)
	claims := m.coins(t, 2)
	good := m.present(t, "m", claims...).Bytes()
	if len(good) != 462 {
		t.Fatalf("%d bytes, want 462", len(good))
	}
	for i := range good {
		bad := append([]byte{}, good...)
		bad[i] ^= 1
		if err := v.Verify(bad, []byte("m"), claims); err == nil {
			t.Fatalf("byte %d flipped, still accepted", i)
		}
	}
	join := m.join.Bytes()
	for i := range join {
		bad := append([]byte{}, join...)
		bad[i] ^= 1
		j, err := ParseJoin(bad)
		if err == nil {
			err = VerifyJoin(w.params, j, m.key.q(), m.jc)
		}
		if err == nil {
			t.Fatalf("join byte %d flipped, still accepted", i)
		}
	}
}

func TestClaimsArePartOfTheStatement(t *testing.T) {
	w := newWorld(t)
	v, m := w.verifier(t), w.admit(t)
	claims := m.coins(t, 3)
	p := m.present(t, "m", claims...).Bytes()
	must(t, v.Verify(p, []byte("m"), claims))
	swapped := []Claim{claims[1], claims[0], claims[2]}
	cases := []struct {
		name   string
		msg    string
		claims []Claim
		want   error
	}{
		{"another message", "n", claims, ErrProof},
		{"a claim left out", "m", claims[:2], ErrProof},
		{"no claim", "m", nil, ErrProof},
		{"claims in another order", "m", swapped, ErrProof},
		{"a claim twice", "m", append(claims[:3:3], claims[0]), ErrClaim},
		{"one claim more", "m", append(claims[:3:3], m.coins(t, 1)...), ErrProof},
		{"an unknown kind of claim", "m", []Claim{{kind: 9, input: []byte("x"), x: claims[0].x, y: claims[0].y}}, ErrClaim},
		{"too many claims", "m", make([]Claim, maxClaims+1), ErrClaim},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { wantErr(t, v.Verify(p, []byte(c.msg), c.claims), c.want) })
	}
	t.Run("another epoch", func(t *testing.T) {
		wantErr(t, w.verifier(t, epoch0+1).Verify(p, []byte("m"), claims), ErrEpoch)
	})
	t.Run("another group", func(t *testing.T) {
		wantErr(t, newWorld(t).verifier(t).Verify(p, []byte("m"), claims), ErrProof)
	})
	t.Run("a leaked key", func(t *testing.T) {
		f := m.key.f.Bytes()
		lv, err := v.WithLeaked([][]byte{f[:]})
		must(t, err)
		wantErr(t, lv.Verify(p, []byte("m"), claims), ErrLeaked)
		o := w.admit(t)
		oc := o.coins(t, 1)
		must(t, lv.Verify(o.present(t, "m", oc...).Bytes(), []byte("m"), oc))
	})
	t.Run("statement separates its parts", func(t *testing.T) {
		if frame.Digest([]byte("a"), []byte("b")) == frame.Digest([]byte("ab")) {
			t.Fatal("frames collide")
		}
	})
}

func TestBatch(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	var items []Item
	for i := range 6 {
		m := w.admit(t)
		claims := m.coins(t, i%3)
		items = append(items, Item{m.present(t, fmt.Sprint(i), claims...).Bytes(), []byte(fmt.Sprint(i)), claims})
	}
	for i, err := range v.VerifyBatch(items) {
		if err != nil {
			t.Fatalf("item %d: %v", i, err)
		}
	}
	// An uncertified A' in the middle, and a wrong message at the end.
	m := w.admit(t)
	p, wit := m.honest(t, w.params)
	p.APrime = random1(t)
	p.BBar = p.D.Mul(wit.r1).Sub(p.APrime.Mul(wit.e))
	p.V = traceBase(p.APrime).Mul(wit.u)
	items[2] = Item{weakened{}.prove(t, v, p, wit, []byte("m"), nil).Bytes(), []byte("m"), nil}
	items[5].Message = []byte("another")
	for i, err := range v.VerifyBatch(items) {
		switch i {
		case 2:
			wantErr(t, err, ErrCredential)
		case 5:
			wantErr(t, err, ErrProof)
		default:
			must(t, err)
		}
	}
}

package group

import (
	"context"
	"testing"

	"github.com/speciecash/specie/group/fp256bn"
)

// Two strangers, certified by nobody, choose A' and B̄ so that the errors of
// their two pairings cancel: A'₂ = −A'₁ and B̄₂ = −B̄₁. Only the random weights
// stand between them and a batch.
func TestTwoStrangersCancelInABatchWithoutWeights(t *testing.T) {
	w := newWorld(t)
	v, b := w.verifier(t), fixedBases()
	one, two := fp256bn.ScalarFromUint64(1), fp256bn.ScalarFromUint64(2)
	var wit [2]witness
	var base [2]fp256bn.G1
	for i := range wit {
		wit[i] = witness{f: scalar(t), u: scalar(t), k: scalar(t), r1: scalar(t)}
		base[i] = epochBase(epoch0).Add(b.hf.Point.Mul(wit[i].f)).Add(b.hu.Mul(wit[i].u))
	}
	// A'₁ = B₁+B₂ and e = 2, 1: then B̄₁ = [r1]D₁ − [2]A'₁ = −B₁−[2]B₂ and
	// B̄₂ = [r1]D₂ + A'₁ = B₁+[2]B₂, with [r1]D = B in both.
	wit[0].e, wit[1].e = two, one
	aPrime := base[0].Add(base[1])
	ps := [2]Presentation{{APrime: aPrime}, {APrime: aPrime.Neg()}}
	items := make([]Item, 2)
	for i := range ps {
		p := &ps[i]
		wit[i].r3 = wit[i].r1 // [r3]D = B
		p.Epoch, p.D = epoch0, base[i].Mul(wit[i].r1.Inverse())
		p.BBar = base[i].Sub(p.APrime.Mul(wit[i].e))
		p.E1 = b.g.Mul(wit[i].k)
		p.E2 = b.hf.Point.Mul(wit[i].f).Add(w.params.O.Mul(wit[i].k))
		p.V = traceBase(p.APrime).Mul(wit[i].u)
		items[i] = Item{weakened{}.prove(t, v, *p, wit[i], []byte("m"), nil).Bytes(), []byte("m"), nil}
	}
	if !v.checkPairing(ps[0].APrime.Add(ps[1].APrime), ps[0].BBar.Add(ps[1].BBar)) {
		t.Fatal("without weights the two should cancel")
	}
	for _, err := range v.VerifyBatch(items) {
		wantErr(t, err, ErrCredential)
	}
	// Beside honest items neither passes, and the honest ones are not blamed.
	honest := w.admit(t).present(t, "m")
	errs := v.VerifyBatch([]Item{items[0], {honest.Bytes(), []byte("m"), nil}, items[1]})
	wantErr(t, errs[0], ErrCredential)
	must(t, errs[1])
	wantErr(t, errs[2], ErrCredential)
}

// Adding [x]G and [x]O to the encrypted tag and c·x to its response leaves all
// six first moves as they are. A verifier whose challenge didn't cover E1 and
// E2 would take such a copy of somebody's presentation, and a supervisor would
// decrypt what its bearer chose.
func TestThePresentationIsNotRerandomised(t *testing.T) {
	w := newWorld(t)
	v, m := w.verifier(t), w.admit(t)
	claims := m.coins(t, 2)
	good := m.present(t, "m", claims...)
	bad := *good
	x := scalar(t)
	bad.E1 = bad.E1.Add(fixedBases().g.Mul(x))
	bad.E2 = bad.E2.Add(w.params.O.Mul(x))
	bad.SK = bad.SK.Add(bad.C.Mul(x))
	rho := weights(good.statement(v.id, []byte("m"), claims), len(claims))
	was, is := v.recomputed(good, claims, rho), v.recomputed(&bad, claims, rho)
	for i := range was {
		if string(was[i]) != string(is[i]) {
			t.Fatalf("T%d changed: the attack is not the one described", i+1)
		}
	}
	it := Item{bad.Bytes(), []byte("m"), claims}
	wantErr(t, v.Verify(it.Presentation, it.Message, it.Claims), ErrProof)
	_, err := OpenPartial(v, w.key, w.shares[0], it)
	wantErr(t, err, ErrProof)
}

// recomputed are the first moves of p as the verifier sees them.
func (v *Verifier) recomputed(p *Presentation, claims []Claim, rho []fp256bn.Scalar) commitments {
	a := &attempt{p: p, claims: claims, rho: rho}
	fold([]*attempt{a})
	return v.firstMoves([]*attempt{a})[0]
}

// stuckKey is a TPM that uses one r for ever. Its f is lost to whoever sees
// two of its signatures bare; the host's own nonces must not follow it.
type stuckKey struct {
	*softKey
	r fp256bn.Scalar
}

func (k *stuckKey) Commit(ctx context.Context, p1 *fp256bn.G1, s2 []byte, y2 [32]byte) (kk, l, e fp256bn.G1, counter uint16, err error) {
	kk, _, _, counter, err = k.softKey.Commit(ctx, p1, s2, y2)
	k.pending[counter] = k.r
	if p1 != nil {
		e = p1.Mul(k.r)
	}
	return kk, fixedBases().hf.Point.Mul(k.r), e, counter, err
}

func TestEveryTryDrawsEveryNonceAfresh(t *testing.T) {
	w := newWorld(t)
	v, m := w.verifier(t), w.admit(t)
	claims := m.coins(t, 1)
	key := &stuckKey{softKey: m.key, r: scalar(t)}
	pr, err := m.prepare()
	must(t, err)
	try := func() (*Presentation, commitments) {
		p, err := pr.sign(t.Context(), key, []byte("m"), claims)
		must(t, err)
		must(t, v.verify(p, []byte("m"), claims))
		return p, v.recomputed(p, claims, weights(p.statement(v.id, []byte("m"), claims), len(claims)))
	}
	p1, t1 := try()
	p2, t2 := try()
	if !p1.E1.Equal(p2.E1) || !p1.APrime.Equal(p2.APrime) {
		t.Fatal("the points should survive a retry")
	}
	for i := range t1 {
		if string(t1[i]) == string(t2[i]) {
			t.Errorf("two tries share T%d: their responses give its secret away", i+1)
		}
	}
	// f = (s₁−s₂)/(c₁−c₂) would follow from one r; the host's r' hides it.
	f := p1.SF.Sub(p2.SF).Mul(p1.C.Sub(p2.C).Inverse())
	if f.Equal(m.key.f) {
		t.Error("two tries give f away")
	}
}

// That a supervisor's share fits a published key proves nothing about who
// knows its secret. Of 2 of 3, one rogue raises the threshold to 3 in the
// payload, picks o' and o2' himself, and draws the polynomials through the
// honest two's shares, which he needs in the exponent only. Why a supervisor
// signs no payload but the one that he combined himself.
func TestAShareThatFitsDoesNotProveTheKey(t *testing.T) {
	w := newWorld(t)
	i := fp256bn.ScalarFromUint64
	half := i(2).Inverse()
	// Lagrange over 0, 1 and 2: rows are the coefficients of x⁰, x¹, x².
	rows := [3][3]fp256bn.Scalar{
		{i(1), i(0), i(0)},
		{i(3).Mul(half).Neg(), i(2), half.Neg()},
		{half, i(1).Neg(), half},
	}
	o, o2 := scalar(t), scalar(t)
	at1 := []fp256bn.G1{fixedBases().g.Mul(o), w.key.openingShare(1), w.key.openingShare(2)}
	at2 := []fp256bn.G2{fixedBases().p2.Mul(o2), w.key.tracingShare(1), w.key.tracingShare(2)}
	forged := &SupervisionKey{N: 3, K: 3}
	for _, row := range rows {
		forged.Opening = append(forged.Opening, fp256bn.MSM1(at1, row[:]))
		forged.Tracing = append(forged.Tracing, fp256bn.MSM2(at2, row[:]))
	}
	must(t, forged.Check())
	must(t, forged.CheckShare(w.shares[0]))
	must(t, forged.CheckShare(w.shares[1]))

	// He names every payer alone, unnoticed.
	w.params.O, w.params.O2 = forged.O(), forged.O2()
	m := w.admit(t)
	p := m.present(t, "m")
	if !p.E2.Sub(p.E1.Mul(o)).Equal(m.tag) {
		t.Fatal("the attack that forbids signing a foreign payload does not work as described")
	}
}

// With the right O and other commitments, a supervision key could claim a
// lower threshold or shares that its bearer knows. It still opens nothing.
func TestCommitmentsOfOnesOwnOpenNothing(t *testing.T) {
	w := newWorld(t)
	v, m := w.verifier(t), w.admit(t)
	it := Item{m.present(t, "m").Bytes(), []byte("m"), nil}
	alone := &SupervisionKey{N: 1, K: 1, Opening: w.key.Opening[:1], Tracing: w.key.Tracing[:1]}
	_, err := OpenPartial(v, alone, w.shares[0], it)
	wantErr(t, err, ErrShare)
	po, err := OpenPartial(v, w.key, w.shares[0], it)
	must(t, err)
	_, err = CombineOpening(v, alone, it, []*PartialOpening{po})
	wantErr(t, err, ErrPartial)

	// His own share at index 1 known to him as s: [s]G = O + [1]X.
	s := scalar(t)
	bent := &SupervisionKey{N: 3, K: 2, Tracing: w.key.Tracing,
		Opening: []fp256bn.G1{w.key.O(), fixedBases().g.Mul(s).Sub(w.key.O())}}
	own := *w.shares[0]
	own.o = s
	po1, err := OpenPartial(v, bent, &own, it)
	must(t, err) // one known share is easy, a second is o itself
	own.Index = 2
	_, err = OpenPartial(v, bent, &own, it)
	wantErr(t, err, ErrShare)
	_, err = CombineOpening(v, bent, it, []*PartialOpening{po1, po})
	wantErr(t, err, ErrPartial)
}

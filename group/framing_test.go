package group

import (
	"fmt"
	"slices"
	"testing"

	"github.com/speciecash/specie/group/fp256bn"
)

// insider is what a dishonest manager knows of a member who joined: γ, the
// join transcript with the escrow, the credential he issued, and every payment
// that the member made. He does not know f, which is in the TPM, and u, which
// is in the wallet. (A tracing token [u]P2 is of no use here: V is in G1.)
type insider struct {
	w      *world
	victim *citizen
	seen   []Item
}

// framing is one attempt to make a presentation over msg that opens to the
// victim. f is the scalar that the attempt would need; the insider puts in
// what he has.
type framing struct {
	name string
	make func(t *testing.T, in *insider, f, u fp256bn.Scalar, v *Verifier, msg []byte) *Presentation
	want error
	// alone: the attempt fails also for who knows f and u, having used neither.
	alone bool
}

// certified has the manager certify F and Uh, and fills points and witness by
// the rules for these f and u.
func (in *insider) certified(t *testing.T, f, u fp256bn.Scalar, tag, uh fp256bn.G1) (Presentation, witness) {
	t.Helper()
	cred, err := in.w.issuer.Issue(tag, uh, epoch0)
	must(t, err)
	c := &citizen{Member: &Member{params: in.w.params, tag: tag, cred: cred}, key: &softKey{f: f}}
	c.Member.w.u = u
	p, wit := c.honest(t, in.w.params)
	// D is over the victim's Uh, whatever u the insider believes in.
	p.D = credentialBase(tag, uh, epoch0).Mul(wit.r3.Inverse())
	p.BBar = p.D.Mul(wit.r1).Sub(p.APrime.Mul(wit.e))
	return p, wit
}

var frames = []framing{
	{"a second credential on the victim's own F and Uh", func(t *testing.T, in *insider, f, u fp256bn.Scalar, v *Verifier, msg []byte) *Presentation {
		p, wit := in.certified(t, f, u, in.victim.tag, in.victim.join.Uh)
		return weakened{}.prove(t, v, p, wit, msg, nil)
	}, ErrProof, false},
	{"a credential on the victim's F with a u of the manager's own", func(t *testing.T, in *insider, f, _ fp256bn.Scalar, v *Verifier, msg []byte) *Presentation {
		u := scalar(t)
		p, wit := in.certified(t, f, u, in.victim.tag, fixedBases().hu.Mul(u))
		return weakened{}.prove(t, v, p, wit, msg, nil)
	}, ErrProof, false},
	{"a credential on scalars of his own, with the victim's tag in E2", func(t *testing.T, in *insider, _, _ fp256bn.Scalar, v *Verifier, msg []byte) *Presentation {
		b, f, u := fixedBases(), scalar(t), scalar(t)
		p, wit := in.certified(t, f, u, b.hf.Point.Mul(f), b.hu.Mul(u))
		p.E2 = in.victim.tag.Add(in.w.params.O.Mul(wit.k))
		return weakened{}.prove(t, v, p, wit, msg, nil)
	}, ErrProof, true},
	{"a credential on the victim's tag shifted by a known multiple", func(t *testing.T, in *insider, f, _ fp256bn.Scalar, v *Verifier, msg []byte) *Presentation {
		b, x, u := fixedBases(), scalar(t), scalar(t)
		p, wit := in.certified(t, f.Add(x), u, in.victim.tag.Add(b.hf.Point.Mul(x)), b.hu.Mul(u))
		p.E2 = in.victim.tag.Add(in.w.params.O.Mul(wit.k))
		return weakened{}.prove(t, v, p, wit, msg, nil)
	}, ErrProof, true},
	{"a payment of the victim's over another message", func(t *testing.T, in *insider, _, _ fp256bn.Scalar, _ *Verifier, _ []byte) *Presentation {
		p, err := ParsePresentation(in.seen[0].Presentation)
		must(t, err)
		return p
	}, ErrProof, true},
	{"the responses of the victim's join beside points for the same f", func(t *testing.T, in *insider, _, u fp256bn.Scalar, v *Verifier, msg []byte) *Presentation {
		p, wit := in.certified(t, scalar(t), u, in.victim.tag, in.victim.join.Uh)
		out := weakened{}.prove(t, v, p, wit, msg, nil)
		j := in.victim.join
		out.C, out.Nu, out.SF, out.SU = j.C, j.Nu, j.SF, j.SU
		return out
	}, ErrProof, true},
	{"f guessed from two responses, as if their nonces were one", func(t *testing.T, in *insider, _, u fp256bn.Scalar, v *Verifier, msg []byte) *Presentation {
		a, err := ParsePresentation(in.seen[0].Presentation)
		must(t, err)
		j := in.victim.join
		f := a.SF.Sub(j.SF).Mul(a.C.Sub(j.C).Inverse())
		p, wit := in.certified(t, f, u, in.victim.tag, in.victim.join.Uh)
		return weakened{}.prove(t, v, p, wit, msg, nil)
	}, ErrProof, true},
	{"the victim's E1 and E2 in a presentation of the manager's own", func(t *testing.T, in *insider, _, _ fp256bn.Scalar, v *Verifier, msg []byte) *Presentation {
		b, f, u := fixedBases(), scalar(t), scalar(t)
		p, wit := in.certified(t, f, u, b.hf.Point.Mul(f), b.hu.Mul(u))
		seen, err := ParsePresentation(in.seen[0].Presentation)
		must(t, err)
		p.E1, p.E2 = seen.E1, seen.E2
		return weakened{}.prove(t, v, p, wit, msg, nil)
	}, ErrProof, true},
}

// Neither the manager nor all supervisors can make a payment that opens to a
// member. What they lack is f and nothing else: with it, the attempts that
// need it succeed.
func TestNobodyFramesAMember(t *testing.T) {
	w := newWorld(t)
	v, victim := w.verifier(t), w.admit(t)
	in := &insider{w: w, victim: victim}
	for i := range 2 {
		msg := []byte(fmt.Sprint("payment ", i))
		in.seen = append(in.seen, Item{victim.present(t, string(msg)).Bytes(), msg, nil})
	}
	for _, a := range frames {
		t.Run(a.name, func(t *testing.T) {
			msg := []byte("a purchase that the victim never made")
			p := a.make(t, in, scalar(t), scalar(t), v, msg)
			wantErr(t, v.Verify(p.Bytes(), msg, nil), a.want)
			p = a.make(t, in, victim.key.f, victim.w.u, v, msg)
			if a.alone {
				wantErr(t, v.Verify(p.Bytes(), msg, nil), a.want)
				return
			}
			it := Item{p.Bytes(), msg, nil}
			must(t, v.Verify(it.Presentation, msg, nil))
			f, err := CombineOpening(v, w.key, it, w.partials(t, v, it, 1, 2))
			must(t, err)
			if f != victim.tag.Bytes() {
				t.Error("with f, it should open to the victim")
			}
		})
	}
}

// All supervisors together know o, and give partial decryptions whose proofs
// they can't bend: no set of parts opens a payment to somebody else.
func TestAllSupervisorsTogetherNameNobodyElse(t *testing.T) {
	w := newWorld(t)
	v, payer, victim := w.verifier(t), w.admit(t), w.admit(t)
	it := Item{payer.present(t, "m").Bytes(), []byte("m"), nil}
	p, err := ParsePresentation(it.Presentation)
	must(t, err)
	// The D that would make F = E2 − ΣλD the victim's tag.
	parts := w.partials(t, v, it, 1, 2)
	lambda := lagrange([]int{1, 2})
	parts[0].D = p.E2.Sub(victim.tag).Sub(parts[1].D.Mul(lambda[1])).Mul(lambda[0].Inverse())
	_, err = CombineOpening(v, w.key, it, parts)
	wantErr(t, err, ErrPartial)
	// A proof for that D, made with the share's exponent.
	r := scalar(t)
	parts[0].C = parts[0].challenge(v.id, w.key, p, fixedBases().g.Mul(r), p.E1.Mul(r))
	parts[0].S = r.Add(parts[0].C.Mul(w.shares[0].o))
	_, err = CombineOpening(v, w.key, it, parts)
	wantErr(t, err, ErrPartial)
}

// A manager can make members out of nothing. What he can't do is to have them
// joined: the payment opens to a tag of no join transcript, which is how the
// court sees whose doing it was.
func TestAMembershipOfTheManagersMakingOpensToATagNobodyJoinedWith(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	joined := make(map[[33]byte]bool)
	for range 3 {
		joined[w.admit(t).join.F.Bytes()] = true
	}
	b, f, u := fixedBases(), scalar(t), scalar(t)
	tag := b.hf.Point.Mul(f)
	cred, err := w.issuer.Issue(tag, b.hu.Mul(u), epoch0)
	must(t, err)
	ghost, err := NewMember(w.params, tag.Bytes(), WalletSecret{u}, cred)
	must(t, err)
	p, err := ghost.Present(t.Context(), &softKey{f: f}, []byte("m"), nil)
	must(t, err)
	it := Item{p.Bytes(), []byte("m"), nil}
	must(t, v.Verify(it.Presentation, it.Message, nil))
	named, err := CombineOpening(v, w.key, it, w.partials(t, v, it, 1, 3))
	must(t, err)
	if joined[named] {
		t.Fatal("a membership out of nothing opens to a member")
	}
	// Nor can he make up the victim's join: the proof needs f as well.
	victim := w.admit(t)
	other := &softKey{f: scalar(t)}
	j, _ := forgedJoin(t, w, other, u, b.hu.Mul(u), victim.jc)
	j.Q, j.F = victim.join.Q, victim.join.F
	wantErr(t, VerifyJoin(w.params, j, victim.key.q(), victim.jc), ErrProof)
}

// k−1 shares say nothing about o and o2: for every value that the secret could
// have there is exactly one polynomial through it and the shares.
func TestFewerSharesThanTheThresholdFitEverySecret(t *testing.T) {
	for _, c := range []struct{ n, k int }{{3, 2}, {5, 3}, {7, 7}} {
		w := newWorldOf(t, c.n, c.k)
		for _, secret := range []func(*Share) fp256bn.Scalar{
			func(s *Share) fp256bn.Scalar { return s.o }, func(s *Share) fp256bn.Scalar { return s.o2 },
		} {
			known := w.shares[c.n-c.k+1:] // k−1 of them
			for range 4 {
				candidate := scalar(t)
				coefficients := through(candidate, known, secret)
				if len(coefficients) != c.k || !coefficients[0].Equal(candidate) {
					t.Fatal("no polynomial of the right degree has that secret")
				}
				for _, s := range known {
					if !evaluate(coefficients, s.Index).Equal(secret(s)) {
						t.Errorf("%d of %d: a secret is excluded by %d shares", c.k, c.n, c.k-1)
					}
				}
			}
		}
	}
}

// through is the polynomial of degree len(known) with the secret at 0 and the
// known shares at their indices, by Newton's divided differences.
func through(secret fp256bn.Scalar, known []*Share, of func(*Share) fp256bn.Scalar) []fp256bn.Scalar {
	xs, ys := []fp256bn.Scalar{{}}, []fp256bn.Scalar{secret}
	for _, s := range known {
		xs, ys = append(xs, fp256bn.ScalarFromUint64(uint64(s.Index))), append(ys, of(s))
	}
	for level := 1; level < len(ys); level++ {
		for i := len(ys) - 1; i >= level; i-- {
			ys[i] = ys[i].Sub(ys[i-1]).Mul(xs[i].Sub(xs[i-level]).Inverse())
		}
	}
	out := []fp256bn.Scalar{ys[len(ys)-1]}
	for i := len(ys) - 2; i >= 0; i-- { // out = out·(x−xs[i]) + ys[i]
		next := append([]fp256bn.Scalar{{}}, out...)
		for m := range out {
			next[m] = next[m].Sub(out[m].Mul(xs[i]))
		}
		next[0] = next[0].Add(ys[i])
		out = next
	}
	return out
}

// What k−1 supervisors and the manager can do with all that they know, short
// of breaking the curve.
func TestFewerSupervisorsThanTheThresholdNeitherOpenNorTrace(t *testing.T) {
	w := newWorldOf(t, 5, 3)
	v, m := w.verifier(t), w.admit(t)
	it := Item{m.present(t, "m").Bytes(), []byte("m"), nil}
	p, err := ParsePresentation(it.Presentation)
	must(t, err)
	two := w.partials(t, v, it, 2, 5)
	renamed := *two[0]
	renamed.Index = 1
	// A third part of their own making: their guess at the third share.
	guess := &Share{Index: 1, o: scalar(t), o2: w.shares[0].o2}
	_, err = OpenPartial(v, w.key, guess, it)
	wantErr(t, err, ErrShare)
	r := scalar(t)
	made := &PartialOpening{Index: 1, D: p.E1.Mul(guess.o)}
	made.C = made.challenge(v.id, w.key, p, fixedBases().g.Mul(r), p.E1.Mul(r))
	made.S = r.Add(made.C.Mul(guess.o))
	for _, c := range []struct {
		name  string
		parts []*PartialOpening
		want  error
	}{
		{"two parts", two, ErrQuorum},
		{"one of them twice", append(slices.Clone(two), two[1]), ErrQuorum},
		{"one of them under another's index", append(slices.Clone(two), &renamed), ErrPartial},
		{"a third made with a guessed share", append(slices.Clone(two), made), ErrPartial},
	} {
		t.Run("opening: "+c.name, func(t *testing.T) {
			_, err := CombineOpening(v, w.key, it, c.parts)
			wantErr(t, err, c.want)
		})
	}
	// Their parts combined as if two were enough are no member's tag.
	sum := p.E2.Sub(fp256bn.MSM1([]fp256bn.G1{two[0].D, two[1].D}, lagrange([]int{2, 5})))
	if sum.Equal(m.tag) {
		t.Error("two of three shares open")
	}

	var traces []*PartialTrace
	for _, i := range []int{2, 5} {
		pt, err := TracePartial(w.params, w.key, w.shares[i-1], m.join, m.jc)
		must(t, err)
		traces = append(traces, pt)
	}
	moved := *traces[0]
	moved.Index = 1
	for _, c := range []struct {
		name  string
		parts []*PartialTrace
		want  error
	}{
		{"two parts", traces, ErrQuorum},
		{"one of them twice", append(slices.Clone(traces), traces[0]), ErrQuorum},
		{"one of them under another's index", append(slices.Clone(traces), &moved), ErrPartial},
	} {
		t.Run("tracing: "+c.name, func(t *testing.T) {
			_, err := CombineTrace(w.params, w.key, m.join, c.parts)
			wantErr(t, err, c.want)
		})
	}
	tau := TracingToken{m.join.C2.Sub(fp256bn.MSM2([]fp256bn.G2{traces[0].D, traces[1].D}, lagrange([]int{2, 5})))}
	wantErr(t, tau.Check(m.join.Uh), ErrEscrow)
	if Trace(tau, p) {
		t.Error("two of three shares trace")
	}
}

// An escrow that is another's, or rubbish, does not pass for the member's: the
// supervisors would trace somebody else, or nobody.
func TestAnEscrowIsItsMembersOwn(t *testing.T) {
	w := newWorld(t)
	a, b := w.admit(t), w.admit(t)
	swapped := *a.join
	swapped.C1, swapped.C2 = b.join.C1, b.join.C2
	wantErr(t, VerifyJoin(w.params, &swapped, a.key.q(), a.jc), ErrProof)
	_, err := TracePartial(w.params, w.key, w.shares[0], &swapped, a.jc)
	wantErr(t, err, ErrProof)
	// Parts of b's escrow given for a's join.
	var parts []*PartialTrace
	for i := range 2 {
		pt, err := TracePartial(w.params, w.key, w.shares[i], b.join, b.jc)
		must(t, err)
		parts = append(parts, pt)
	}
	_, err = CombineTrace(w.params, w.key, a.join, parts)
	wantErr(t, err, ErrPartial)
	// Without the proof, the public check of the token still holds it to Uh.
	wantErr(t, w.trace(t, b).Check(a.join.Uh), ErrEscrow)
}

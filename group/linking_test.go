package group

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/speciecash/specie/group/fp256bn"
)

// seen is everything that a payment shows of its signer in G1.
func seen(p *Presentation) map[string]fp256bn.G1 {
	return map[string]fp256bn.G1{
		"A'": p.APrime, "B̄": p.BBar, "D": p.D, "E1": p.E1, "E2": p.E2, "V": p.V, "J": traceBase(p.APrime),
	}
}

// products are the pairing values that can be made of one payment: e(X, Q),
// and e(X, Q)·e(Y, R) and e(X, Q)/e(Y, R) for X and Y among its points and Q
// and R among the given points of G2. A product is named by how it is made.
func products(p *Presentation, g2s map[string]fp256bn.G2) map[string]fp256bn.GT {
	type value struct{ plus, minus fp256bn.GT }
	single := make(map[string]value)
	for x, pt := range seen(p) {
		for q, r := range g2s {
			single[x+","+q] = value{fp256bn.Pair(pt, r), fp256bn.Pair(pt.Neg(), r)}
		}
	}
	names := slices.Sorted(maps.Keys(single))
	out := make(map[string]fp256bn.GT)
	for i, a := range names {
		out[a] = single[a].plus
		for _, b := range names[i+1:] {
			out[a+" · "+b] = single[a].plus.Mul(single[b].plus)
			out[a+" / "+b] = single[a].plus.Mul(single[b].minus)
		}
	}
	return out
}

// coincidences are the products that have the same value in two payments.
// They link the payments if they are others for two payments of one member
// than for payments of two.
func coincidences(p, q map[string]fp256bn.GT) []string {
	where := make(map[[fp256bn.GTSize]byte][]string)
	for name, v := range p {
		b := v.Bytes()
		where[b] = append(where[b], name)
	}
	var out []string
	for name, v := range q {
		for _, other := range where[v.Bytes()] {
			out = append(out, other+" = "+name)
		}
	}
	slices.Sort(out)
	return out
}

// public are the points of G2 that anybody has.
func (w *world) public() map[string]fp256bn.G2 {
	return map[string]fp256bn.G2{"P2": fixedBases().p2, "W": w.params.W, "O2": w.params.O2}
}

// opener recovers o, as k supervisors could.
func (w *world) opener() fp256bn.Scalar {
	l := lagrange([]int{1, 2})
	return w.shares[0].o.Mul(l[0]).Add(w.shares[1].o.Mul(l[1]))
}

func TestNoPairingOfPublicValuesLinksTwoPayments(t *testing.T) {
	w := newWorld(t)
	a, b := w.admit(t), w.admit(t)
	claims := a.coins(t, 1)
	one, two := a.present(t, "one", claims...), a.present(t, "two")
	other := b.present(t, "two")

	link := func(g2s map[string]fp256bn.G2) (same, different []string) {
		first := products(one, g2s)
		return coincidences(first, products(two, g2s)), coincidences(first, products(other, g2s))
	}
	same, different := link(w.public())
	if !slices.Equal(same, different) {
		t.Errorf("public values link: %q for one member, %q for two", same, different)
	}
	// The search does find what is the same everywhere: B̄ = [γ]A' in every
	// payment of whomever.
	if !slices.Contains(same, "A',W / B̄,P2 = A',W / B̄,P2") {
		t.Errorf("the search does not see e(A', W) = e(B̄, P2): %q", same)
	}

	// The member's own tag and Uh, which the manager has, link no more: he
	// would have to decide DDH in G1.
	t.Run("nor do they for the manager, who has F and Uh", func(t *testing.T) {
		for _, p := range []*Presentation{one, other} {
			known := map[string]fp256bn.G1{"F": a.tag, "Uh": a.join.Uh, "Q": a.join.Q, "A": a.cred.A, "B": credentialBase(a.tag, a.join.Uh, epoch0)}
			for name, pt := range known {
				for x, y := range seen(p) {
					for _, q := range w.public() {
						for _, r := range w.public() {
							if fp256bn.Pair(pt, q).Equal(fp256bn.Pair(y, r)) {
								t.Errorf("%s of the member pairs like %s of a payment", name, x)
							}
						}
					}
				}
			}
		}
	})

	// With o in both groups the same search links: it could have found it.
	t.Run("with o in both groups, they do", func(t *testing.T) {
		g2s := w.public()
		g2s["[o]P2"] = fixedBases().p2.Mul(w.opener())
		same, different := link(g2s)
		if want := "E1,[o]P2 / E2,P2 = E1,[o]P2 / E2,P2"; !slices.Contains(same, want) || slices.Contains(different, want) {
			t.Errorf("the search misses the attack: %q for one member, %q for two", same, different)
		}
	})
	// So does a tracing token, for its member's payments.
	t.Run("with a tracing token, they do", func(t *testing.T) {
		g2s := w.public()
		g2s["τ"] = w.trace(t, a).tau
		same, different := link(g2s)
		if want := "J,τ / V,P2 = J,τ / V,P2"; !slices.Contains(same, want) || slices.Contains(different, want) {
			t.Errorf("the search misses the token: %q for one member, %q for two", same, different)
		}
	})
}

// fields cuts an encoded presentation into its fields, after the epoch.
func fields(b []byte) map[string][]byte {
	out, rest := make(map[string][]byte), b[8:]
	for _, point := range []string{"A'", "B̄", "D", "E1", "E2", "V"} {
		out[point], rest = rest[:33], rest[33:]
	}
	for _, scalar := range []string{"c", "ν", "s_f", "s_e", "s_r1", "s_r3", "s_u", "s_k"} {
		out[scalar], rest = rest[:32], rest[32:]
	}
	return out
}

// No field of a payment ever comes again, in none of the member's payments:
// not for the same message, not for the same coins.
func TestNoFieldOfAPaymentComesAgain(t *testing.T) {
	w := newWorld(t)
	m := w.admit(t)
	claims := m.coins(t, 2)
	once := make(map[string]string)
	for i := range 6 {
		b := m.present(t, "m", claims...).Bytes()
		if !bytes.Equal(b[:8], []byte{0, 0, 0, 0, 0, 0, 0, epoch0}) {
			t.Fatal("the epoch is not where it should be")
		}
		for name, f := range fields(b) {
			// A point and its opposite differ in the sign only.
			key := string(f)
			if len(f) == 33 {
				key = string(f[1:])
			}
			if was, ok := once[key]; ok {
				t.Errorf("%s of payment %d was %s before", name, i, was)
			}
			once[key] = fmt.Sprintf("%s of payment %d", name, i)
		}
	}
}

// A self-opened presentation shows its own signer and nobody else's, nor any
// other of his: k opens one ciphertext.
func TestASelfOpeningTellsNothingOfOtherPayments(t *testing.T) {
	w := newWorld(t)
	v, m, other := w.verifier(t), w.admit(t), w.admit(t)
	it, k := m.kept(t, "m")
	opened, err := SelfOpen(v, it, k)
	must(t, err)
	for name, p := range map[string]*Presentation{"another of his": m.present(t, "m"), "somebody else's": other.present(t, "m")} {
		_, err := SelfOpen(v, Item{p.Bytes(), []byte("m"), nil}, k)
		wantErr(t, err, ErrOpeningKey)
		if p.E2.Sub(w.params.O.Mul(k.k)).Bytes() == opened {
			t.Errorf("%s opens under the same key", name)
		}
		// Nor does the k, as an exponent in G2, add a pairing that links.
		g2s := w.public()
		g2s["[k]P2"] = fixedBases().p2.Mul(k.k)
		own, err := ParsePresentation(it.Presentation)
		must(t, err)
		linked := coincidences(products(own, g2s), products(p, g2s))
		if !slices.Equal(linked, coincidences(products(own, g2s), products(w.admit(t).present(t, "n"), g2s))) {
			t.Errorf("k links %s: %q", name, linked)
		}
	}
}

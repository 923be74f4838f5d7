package group

import (
	"fmt"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group/fp256bn"
)

// SupervisionKey is the public outcome of the supervisors' key generation:
// Feldman commitments to the opening secret o in G1 only and to the tracing
// secret o2 in G2 only. K of N supervisors together can act.
type SupervisionKey struct {
	N, K int
	// Opening has K points: [a_m]G for the coefficients of o's polynomial.
	Opening []fp256bn.G1
	// Tracing has K points: [b_m]P2 for the coefficients of o2's polynomial.
	Tracing []fp256bn.G2
}

// MaxSupervisors bounds N.
const MaxSupervisors = 32

// Share is one supervisor's share of both secrets. It doesn't print.
type Share struct {
	// Index is the supervisor's, 1 … N.
	Index int
	o, o2 fp256bn.Scalar
}

// shareSize is index (1) ‖ o_j (32) ‖ o2_j (32).
const shareSize = 65

// Format keeps shares out of every verb of fmt.
func (*Share) Format(f fmt.State, _ rune) { redact(f) }

// Bytes encodes the share, 65 bytes, to be encrypted to its officer and
// nothing else.
func (s *Share) Bytes() []byte { return appendScalars([]byte{byte(s.Index)}, s.o, s.o2) }

// ParseShare reads the 65 bytes of [Share.Bytes].
func ParseShare(b []byte) (*Share, error) {
	if len(b) != shareSize || b[0] == 0 || b[0] > MaxSupervisors {
		return nil, fmt.Errorf("share: %w", ErrMalformed)
	}
	r := reader{b: b[1:]}
	s := &Share{Index: int(b[0]), o: r.scalar(), o2: r.scalar()}
	if r.err != nil {
		return nil, fmt.Errorf("share: %w", r.err)
	}
	return s, nil
}

// O is the opening key [o]G.
func (k *SupervisionKey) O() fp256bn.G1 { return k.Opening[0] }

// O2 is the tracing key [o2]P2.
func (k *SupervisionKey) O2() fp256bn.G2 { return k.Tracing[0] }

// Check refuses a key of the wrong shape or with a degenerate secret.
func (k *SupervisionKey) Check() error {
	if k.N < 1 || k.N > MaxSupervisors || k.K < 1 || k.K > k.N ||
		len(k.Opening) != k.K || len(k.Tracing) != k.K {
		return fmt.Errorf("supervision key: %w: %d of %d with %d and %d commitments",
			ErrMalformed, k.K, k.N, len(k.Opening), len(k.Tracing))
	}
	if k.O().IsInfinity() || k.O2().IsInfinity() {
		return fmt.Errorf("supervision key: %w: infinity", ErrMalformed)
	}
	return nil
}

// CheckShare verifies a share against the commitments ([ErrShare]).
func (k *SupervisionKey) CheckShare(s *Share) error {
	if s.Index < 1 || s.Index > k.N {
		return fmt.Errorf("share: %w: index %d of %d", ErrShare, s.Index, k.N)
	}
	b := fixedBases()
	if !b.g.Mul(s.o).Equal(k.openingShare(s.Index)) || !b.p2.Mul(s.o2).Equal(k.tracingShare(s.Index)) {
		return fmt.Errorf("share %d: %w", s.Index, ErrShare)
	}
	return nil
}

// openingShare is [o_j]G, from the commitments.
func (k *SupervisionKey) openingShare(index int) fp256bn.G1 {
	return fp256bn.MSM1(k.Opening, powers(index, k.K))
}

// tracingShare is [o2_j]P2, from the commitments.
func (k *SupervisionKey) tracingShare(index int) fp256bn.G2 {
	return fp256bn.MSM2(k.Tracing, powers(index, k.K))
}

func powers(x, n int) []fp256bn.Scalar {
	out := make([]fp256bn.Scalar, n)
	xs, acc := fp256bn.ScalarFromUint64(uint64(x)), fp256bn.ScalarFromUint64(1)
	for i := range out {
		out[i] = acc
		acc = acc.Mul(xs)
	}
	return out
}

// lagrange returns the coefficients at 0 for distinct indices.
func lagrange(indices []int) []fp256bn.Scalar {
	out := make([]fp256bn.Scalar, len(indices))
	for i, xi := range indices {
		num, den := fp256bn.ScalarFromUint64(1), fp256bn.ScalarFromUint64(1)
		for j, xj := range indices {
			if i == j {
				continue
			}
			x := fp256bn.ScalarFromUint64(uint64(xj))
			num = num.Mul(x)
			den = den.Mul(x.Sub(fp256bn.ScalarFromUint64(uint64(xi))))
		}
		out[i] = num.Mul(den.Inverse())
	}
	return out
}

// Dealing is what one supervisor publishes in the distributed key generation
// (Feldman 1987; Pedersen 1991): commitments to his two polynomials and proofs
// that he knows their constant terms, so that nobody can choose his own part
// to cancel the others'.
type Dealing struct {
	Dealer, N, K int
	Opening      []fp256bn.G1
	Tracing      []fp256bn.G2
	// ProofO and ProofO2 are Schnorr proofs (c, s), 64 bytes each.
	ProofO, ProofO2 [64]byte
}

// Deal draws one supervisor's two polynomials. shares[j−1] goes to supervisor
// j over a channel that only he reads; group names the ceremony.
func Deal(group string, dealer, n, k int) (*Dealing, []*Share, error) {
	d := &Dealing{Dealer: dealer, N: n, K: k}
	if n < 1 || n > MaxSupervisors || k < 1 || k > n || dealer < 1 || dealer > n {
		return nil, nil, fmt.Errorf("deal: %w: dealer %d, %d of %d", ErrMalformed, dealer, k, n)
	}
	rnd, err := randomScalars(2*k + 2)
	if err != nil {
		return nil, nil, fmt.Errorf("deal: %w", err)
	}
	a, b := rnd[:k], rnd[k:2*k]
	for m := range k {
		d.Opening = append(d.Opening, fixedBases().g.Mul(a[m]))
		d.Tracing = append(d.Tracing, fixedBases().p2.Mul(b[m]))
	}
	d.ProofO = schnorr(a[0], rnd[2*k], d.challengeO(group, fixedBases().g.Mul(rnd[2*k])))
	d.ProofO2 = schnorr(b[0], rnd[2*k+1], d.challengeO2(group, fixedBases().p2.Mul(rnd[2*k+1])))
	shares := make([]*Share, n)
	for j := 1; j <= n; j++ {
		shares[j-1] = &Share{Index: j, o: evaluate(a, j), o2: evaluate(b, j)}
	}
	return d, shares, nil
}

func evaluate(coefficients []fp256bn.Scalar, x int) fp256bn.Scalar {
	xs := fp256bn.ScalarFromUint64(uint64(x))
	var acc fp256bn.Scalar
	for i := len(coefficients) - 1; i >= 0; i-- {
		acc = acc.Mul(xs).Add(coefficients[i])
	}
	return acc
}

func (d *Dealing) challengeO(group string, r fp256bn.G1) fp256bn.Scalar {
	h := frame.Digest([]byte("specie/dealing/o/1"), []byte(group), []byte{byte(d.Dealer)}, g1(d.Opening[0]), g1(r))
	return fp256bn.ReduceScalar(h[:])
}

func (d *Dealing) challengeO2(group string, r fp256bn.G2) fp256bn.Scalar {
	h := frame.Digest([]byte("specie/dealing/o2/1"), []byte(group), []byte{byte(d.Dealer)}, g2(d.Tracing[0]), g2(r))
	return fp256bn.ReduceScalar(h[:])
}

// schnorr is (c, s = r + c·x).
func schnorr(x, r, c fp256bn.Scalar) (out [64]byte) {
	copy(out[:], appendScalars(nil, c, r.Add(c.Mul(x))))
	return out
}

// Verify checks the dealing's shape and both proofs ([ErrProof]).
func (d *Dealing) Verify(group string) error {
	key := SupervisionKey{N: d.N, K: d.K, Opening: d.Opening, Tracing: d.Tracing}
	if err := key.Check(); err != nil {
		return fmt.Errorf("dealing %d: %w", d.Dealer, err)
	}
	if d.Dealer < 1 || d.Dealer > d.N {
		return fmt.Errorf("dealing: %w: dealer %d of %d", ErrMalformed, d.Dealer, d.N)
	}
	ro, ro2 := reader{b: d.ProofO[:]}, reader{b: d.ProofO2[:]}
	c, s, c2, s2 := ro.scalar(), ro.scalar(), ro2.scalar(), ro2.scalar()
	if ro.err != nil || ro2.err != nil {
		return fmt.Errorf("dealing %d: %w", d.Dealer, ErrMalformed)
	}
	r := fp256bn.MSM1([]fp256bn.G1{fixedBases().g, d.Opening[0]}, []fp256bn.Scalar{s, c.Neg()})
	r2 := fp256bn.MSM2([]fp256bn.G2{fixedBases().p2, d.Tracing[0]}, []fp256bn.Scalar{s2, c2.Neg()})
	if !d.challengeO(group, r).Equal(c) || !d.challengeO2(group, r2).Equal(c2) {
		return fmt.Errorf("dealing %d: %w", d.Dealer, ErrProof)
	}
	return nil
}

// CombineDealings adds all N dealings up to the public key.
func CombineDealings(group string, dealings []*Dealing) (*SupervisionKey, error) {
	if len(dealings) == 0 || len(dealings) != dealings[0].N {
		return nil, fmt.Errorf("combine dealings: %w: %d dealings", ErrQuorum, len(dealings))
	}
	key := &SupervisionKey{N: dealings[0].N, K: dealings[0].K}
	key.Opening = make([]fp256bn.G1, key.K)
	key.Tracing = make([]fp256bn.G2, key.K)
	seen := make(map[int]bool)
	for _, d := range dealings {
		if err := d.Verify(group); err != nil {
			return nil, err
		}
		if d.N != key.N || d.K != key.K || seen[d.Dealer] {
			return nil, fmt.Errorf("combine dealings: %w: dealing %d stands twice or has another threshold", ErrMalformed, d.Dealer)
		}
		seen[d.Dealer] = true
		for m := range key.K {
			key.Opening[m] = key.Opening[m].Add(d.Opening[m])
			key.Tracing[m] = key.Tracing[m].Add(d.Tracing[m])
		}
	}
	return key, key.Check()
}

// CombineShares checks the shares that every dealer sent to supervisor index,
// dealings[i] with received[i], and adds them up to his share. [ErrShare]
// names the dealer who sent a wrong one.
func CombineShares(key *SupervisionKey, index int, dealings []*Dealing, received []*Share) (*Share, error) {
	if len(dealings) != key.N || len(received) != key.N {
		return nil, fmt.Errorf("combine shares: %w: %d dealings, %d shares", ErrQuorum, len(dealings), len(received))
	}
	out := &Share{Index: index}
	for i, d := range dealings {
		part := SupervisionKey{N: d.N, K: d.K, Opening: d.Opening, Tracing: d.Tracing}
		if received[i].Index != index {
			return nil, fmt.Errorf("dealer %d: %w: share for %d", d.Dealer, ErrShare, received[i].Index)
		}
		if err := part.CheckShare(received[i]); err != nil {
			return nil, fmt.Errorf("dealer %d: %w", d.Dealer, err)
		}
		out.o, out.o2 = out.o.Add(received[i].o), out.o2.Add(received[i].o2)
	}
	return out, key.CheckShare(out)
}

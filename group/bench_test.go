package group

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/speciecash/specie/group/fp256bn"
)

// inPairings times work, which does `per` things, in turns with the yardstick,
// gnark-crypto's pairing on BLS12-381, and reports the median of the one over
// the median of the other. Both are processor times of one thread: on a machine
// that others use as well, the wall's clock says little.
func inPairings(b *testing.B, per int, work func()) {
	b.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_, _, p, q := bls12381.Generators()
	ps, qs := []bls12381.G1Affine{p}, []bls12381.G2Affine{q}
	var works, pairings []time.Duration
	for b.Loop() {
		start := cpuTime()
		work()
		mid := cpuTime()
		if _, err := bls12381.Pair(ps, qs); err != nil {
			b.Fatal(err)
		}
		works, pairings = append(works, mid-start), append(pairings, cpuTime()-mid)
	}
	each := float64(median(works)) / float64(per)
	b.ReportMetric(each, "ns/op")
	b.ReportMetric(each/float64(median(pairings)), "pairings")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// coin is a bound coin as a payment carries it.
type coin struct {
	nonce [32]byte
	tag   [33]byte
}

// claimsOf is what a verifier does with the coins of a payment first.
func claimsOf(b testing.TB, coins []coin) []Claim {
	out := make([]Claim, len(coins))
	for i, c := range coins {
		var err error
		out[i], err = CoinClaim(c.nonce, c.tag)
		must(b, err)
	}
	return out
}

func (c *citizen) payment(b testing.TB, n int) (coins []coin, presentation []byte) {
	claims := c.coins(b, n)
	for _, cl := range claims {
		coins = append(coins, coin{[32]byte(cl.input), cl.y.Bytes()})
	}
	return coins, c.present(b, "m", claims...).Bytes()
}

// BenchmarkVerify is the whole check of one payment from its bytes, the coins'
// nonces and tags included.
func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	v, m := w.verifier(b), w.admit(b)
	for _, n := range []int{0, 1, 8, 32} {
		coins, p := m.payment(b, n)
		b.Run(fmt.Sprintf("coins=%d", n), func(b *testing.B) {
			inPairings(b, 1, func() { must(b, v.Verify(p, []byte("m"), claimsOf(b, coins))) })
		})
	}
}

// BenchmarkCoinClaim is the part of it that every coin costs before the proof
// is looked at: its base hashed to the curve and its tag decoded.
func BenchmarkCoinClaim(b *testing.B) {
	coins, _ := newWorld(b).admit(b).payment(b, 64)
	inPairings(b, len(coins), func() { claimsOf(b, coins) })
}

// BenchmarkVerifyBatch64 is the same per payment, in batches of 64.
func BenchmarkVerifyBatch64(b *testing.B) {
	w := newWorld(b)
	v, m := w.verifier(b), w.admit(b)
	for _, n := range []int{1, 4} {
		coins := make([][]coin, 64)
		items := make([]Item, 64)
		for i := range items {
			items[i].Message = []byte("m")
			coins[i], items[i].Presentation = m.payment(b, n)
		}
		b.Run(fmt.Sprintf("coins=%d", n), func(b *testing.B) {
			inPairings(b, len(items), func() {
				for i := range items {
					items[i].Claims = claimsOf(b, coins[i])
				}
				for _, err := range v.VerifyBatch(items) {
					must(b, err)
				}
			})
		})
	}
}

// BenchmarkPresent is the host's part of a presentation with the check of its
// result. The key is arithmetic here, and answers in the time of three
// multiplications; ../bench has the TPM's part.
func BenchmarkPresent(b *testing.B) {
	w := newWorld(b)
	m := w.admit(b)
	for _, n := range []int{0, 1, 8, 32} {
		claims := m.coins(b, n)
		b.Run(fmt.Sprintf("coins=%d", n), func(b *testing.B) {
			inPairings(b, 1, func() {
				m.key.pending = m.key.pending[:0]
				m.present(b, "m", claims...)
			})
		})
	}
}

func BenchmarkVerifyJoin(b *testing.B) {
	w := newWorld(b)
	m := w.admit(b)
	inPairings(b, 1, func() { must(b, VerifyJoin(w.params, m.join, m.key.q(), m.jc)) })
}

func BenchmarkIssue(b *testing.B) {
	w := newWorld(b)
	m := w.admit(b)
	inPairings(b, 1, func() {
		_, err := w.issuer.Issue(m.join.F, m.join.Uh, epoch0)
		must(b, err)
	})
}

// BenchmarkLeakedKey is what one entry of the list of leaked keys adds to a
// verification.
func BenchmarkLeakedKey(b *testing.B) {
	w := newWorld(b)
	m := w.admit(b)
	claims := m.coins(b, 1)
	for _, n := range []int{1, 64, 1024} {
		var keys [][]byte
		for range n {
			f := scalar(b).Bytes()
			keys = append(keys, f[:])
		}
		v, err := w.verifier(b).WithLeaked(keys)
		must(b, err)
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			inPairings(b, n, func() { must(b, v.checkLeaked(claims)) })
		})
	}
}

// BenchmarkRevocationList is what one token on the list adds to the check of a
// payment; e(V, P2), which comes once, is in the figure for one.
func BenchmarkRevocationList(b *testing.B) {
	w := newWorld(b)
	p := w.admit(b).present(b, "m")
	var tokens []TracingToken
	for range 64 {
		tokens = append(tokens, TracingToken{fixedBases().p2.Mul(scalar(b))})
	}
	for _, n := range []int{1, 64} {
		list := NewRevocationList(tokens[:n]...)
		b.Run(fmt.Sprintf("tokens=%d", n), func(b *testing.B) {
			inPairings(b, n, func() {
				if _, ok := list.Match(p); ok {
					b.Fatal("a stranger is hit")
				}
			})
		})
	}
}

// BenchmarkTrace is one token looked for in one presentation, without
// preparation.
func BenchmarkTrace(b *testing.B) {
	w := newWorld(b)
	tok, p := w.trace(b, w.admit(b)), w.admit(b).present(b, "m")
	inPairings(b, 1, func() {
		if Trace(tok, p) {
			b.Fatal("a stranger is hit")
		}
	})
}

// BenchmarkPairing is the pairing of the TPM's own curve.
func BenchmarkPairing(b *testing.B) {
	p, q := fp256bn.Generator1(), fp256bn.Generator2()
	inPairings(b, 1, func() { fp256bn.Pair(p, q) })
}

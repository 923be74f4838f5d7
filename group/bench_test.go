package group

import (
	"fmt"
	"testing"
)

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	v, m := w.verifier(b), w.admit(b)
	for _, n := range []int{0, 1, 8, 32} {
		claims := m.coins(b, n)
		p := m.present(b, "m", claims...).Bytes()
		b.Run(fmt.Sprintf("coins=%d", n), func(b *testing.B) {
			for b.Loop() {
				if err := v.Verify(p, []byte("m"), claims); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerifyBatch64(b *testing.B) {
	w := newWorld(b)
	v, m := w.verifier(b), w.admit(b)
	claims := m.coins(b, 1)
	items := make([]Item, 64)
	for i := range items {
		items[i] = Item{m.present(b, "m", claims...).Bytes(), []byte("m"), claims}
	}
	for b.Loop() {
		for _, err := range v.VerifyBatch(items) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/64, "µs/payment")
}

// BenchmarkPresentHost is the host's part of a presentation: the key is
// arithmetic here, and answers in the time of two multiplications.
func BenchmarkPresentHost(b *testing.B) {
	w := newWorld(b)
	m := w.admit(b)
	for _, n := range []int{0, 1, 8} {
		claims := m.coins(b, n)
		b.Run(fmt.Sprintf("coins=%d", n), func(b *testing.B) {
			for b.Loop() {
				m.key.pending = m.key.pending[:0]
				m.present(b, "m", claims...)
			}
		})
	}
}

func BenchmarkVerifyJoin(b *testing.B) {
	w := newWorld(b)
	m := w.admit(b)
	for b.Loop() {
		if err := VerifyJoin(w.params, m.join, m.key.q(), m.jc); err != nil {
			b.Fatal(err)
		}
	}
}

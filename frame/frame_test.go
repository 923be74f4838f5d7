package frame_test

import (
	"bytes"
	"testing"

	"github.com/speciecash/specie/frame"
)

func TestJoinIsInjective(t *testing.T) {
	cases := []struct {
		name string
		a, b [][]byte
	}{
		{"a boundary moved", [][]byte{[]byte("ab"), []byte("c")}, [][]byte{[]byte("a"), []byte("bc")}},
		{"an empty part dropped", [][]byte{[]byte("a"), {}}, [][]byte{[]byte("a")}},
		{"two parts made one", [][]byte{[]byte("a"), []byte("b")}, [][]byte{[]byte("ab")}},
		{"a length forged inside a part", [][]byte{{0, 0, 0, 0}}, [][]byte{{}, {}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if bytes.Equal(frame.Join(c.a...), frame.Join(c.b...)) {
				t.Fatalf("%x and %x give the same frame", c.a, c.b)
			}
			if frame.Digest(c.a...) == frame.Digest(c.b...) {
				t.Fatal("same digest")
			}
		})
	}
}

func TestJoinFormat(t *testing.T) {
	got := frame.Join([]byte("hi"), nil, frame.Uint64(5))
	want := []byte{0, 0, 0, 2, 'h', 'i', 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 5}
	if !bytes.Equal(got, want) {
		t.Fatalf("got %x, want %x", got, want)
	}
}

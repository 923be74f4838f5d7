package group

import (
	"bytes"
	"context"
	"testing"

	"github.com/speciecash/specie/group/fp256bn"
)

// codec is a decoder of foreign bytes and the encoder that must undo it.
type codec struct {
	parse func([]byte) (interface{ Bytes() []byte }, error)
	seed  func(t testing.TB) []byte
}

func codecs() map[string]codec {
	return map[string]codec{
		"presentation": {
			func(b []byte) (interface{ Bytes() []byte }, error) { return ParsePresentation(b) },
			func(t testing.TB) []byte { return newWorld(t).admit(t).present(t, "m").Bytes() },
		},
		"join": {
			func(b []byte) (interface{ Bytes() []byte }, error) { return ParseJoin(b) },
			func(t testing.TB) []byte { return newWorld(t).admit(t).join.Bytes() },
		},
		"credential": {
			func(b []byte) (interface{ Bytes() []byte }, error) { return ParseCredential(b) },
			func(t testing.TB) []byte { return newWorld(t).admit(t).cred.Bytes() },
		},
		"partial opening": {
			func(b []byte) (interface{ Bytes() []byte }, error) { return ParsePartialOpening(b) },
			func(t testing.TB) []byte {
				w := newWorld(t)
				it := Item{Presentation: w.admit(t).present(t, "m").Bytes(), Message: []byte("m")}
				return w.partials(t, w.verifier(t), it, 1)[0].Bytes()
			},
		},
		"partial trace": {
			func(b []byte) (interface{ Bytes() []byte }, error) { return ParsePartialTrace(b) },
			func(t testing.TB) []byte {
				w := newWorld(t)
				c := w.admit(t)
				p, err := TracePartial(w.params, w.key, w.shares[0], c.join, c.jc)
				must(t, err)
				return p.Bytes()
			},
		},
		"tracing token": {
			func(b []byte) (interface{ Bytes() []byte }, error) { return ParseTracingToken(b) },
			func(t testing.TB) []byte { w := newWorld(t); return w.trace(t, w.admit(t)).Bytes() },
		},
	}
}

func TestEncodings(t *testing.T) {
	for name, c := range codecs() {
		t.Run(name, func(t *testing.T) {
			good := c.seed(t)
			v, err := c.parse(good)
			must(t, err)
			if !bytes.Equal(v.Bytes(), good) {
				t.Fatal("encoding is not canonical")
			}
			for _, bad := range [][]byte{nil, good[1:], append([]byte{0}, good...), make([]byte, len(good)), bytes.Repeat([]byte{0xff}, len(good))} {
				if _, err := c.parse(bad); err == nil {
					t.Fatalf("%d bytes accepted", len(bad))
				} else {
					wantErr(t, err, ErrMalformed)
				}
			}
		})
	}
}

// fuzzCodec says: whatever is accepted is canonical.
func fuzzCodec(f *testing.F, c codec) {
	f.Add(c.seed(f))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := c.parse(b); err == nil && !bytes.Equal(v.Bytes(), b) {
			t.Fatalf("accepted %x, which encodes as %x", b, v.Bytes())
		}
	})
}

func FuzzParsePresentation(f *testing.F)   { fuzzCodec(f, codecs()["presentation"]) }
func FuzzParseJoin(f *testing.F)           { fuzzCodec(f, codecs()["join"]) }
func FuzzParseCredential(f *testing.F)     { fuzzCodec(f, codecs()["credential"]) }
func FuzzParsePartialOpening(f *testing.F) { fuzzCodec(f, codecs()["partial opening"]) }
func FuzzParsePartialTrace(f *testing.F)   { fuzzCodec(f, codecs()["partial trace"]) }
func FuzzParseTracingToken(f *testing.F)   { fuzzCodec(f, codecs()["tracing token"]) }

func TestHashToCurve(t *testing.T) {
	a, b := HashToCurve("l", []byte("x")), HashToCurve("l", []byte("y"))
	if a.Point.Equal(b.Point) || a.Point.Equal(HashToCurve("m", []byte("x")).Point) {
		t.Fatal("two inputs, one point")
	}
	if HashToCurve("ab", []byte("c")).Point.Equal(HashToCurve("a", []byte("bc")).Point) {
		t.Fatal("a boundary moved between label and data")
	}
	x, y := a.Point.XY()
	if y != a.Y2 || len(a.S2) != 33 {
		t.Fatal("Y2 is not the point's y")
	}
	neg := a.Point.Neg()
	if _, ny := neg.XY(); bytes.Compare(y[:], ny[:]) >= 0 {
		t.Fatal("not the smaller root")
	}
	if _, err := fp256bn.G1FromXY(x[:], y[:]); err != nil {
		t.Fatal(err)
	}
}

func TestAShortTPMNonceIsRetriedWithFreshNonces(t *testing.T) {
	w := newWorld(t)
	m := w.admit(t)
	m.key.shortNonces = 5
	p := m.present(t, "m")
	must(t, w.verifier(t).Verify(p.Bytes(), []byte("m"), nil))
	m.key.shortNonces = signTries
	_, err := m.Present(t.Context(), m.key, []byte("m"), nil)
	wantErr(t, err, ErrKey)
	bad := *p
	bad.Nu[0] = 0
	_, err = ParsePresentation(bad.Bytes())
	wantErr(t, err, ErrMalformed)
}

// oldFirmware computes the challenge without the nonce.
type oldFirmware struct{ *softKey }

func (k oldFirmware) Sign(ctx context.Context, d [32]byte, ctr uint16) ([]byte, fp256bn.Scalar, error) {
	nu, _, err := k.softKey.Sign(ctx, d, ctr)
	return nu, k.pending[ctr].Add(fp256bn.ReduceScalar(d[:]).Mul(k.f)), err
}

func TestFaultyKeysAreFoundBeforeAnythingIsSent(t *testing.T) {
	w := newWorld(t)
	m, other := w.admit(t), w.admit(t)
	_, err := m.Present(t.Context(), oldFirmware{m.key}, []byte("m"), nil)
	wantErr(t, err, ErrKey)
	_, err = m.Present(t.Context(), other.key, []byte("m"), nil)
	wantErr(t, err, ErrKey)
	_, err = m.Present(t.Context(), m.key, []byte("m"), other.coins(t, 1))
	wantErr(t, err, ErrKey)
	_, err = NewJoin(t.Context(), w.params, oldFirmware{m.key}, m.key.q(), m.w, m.jc)
	wantErr(t, err, ErrKey)
	_, err = NewJoin(t.Context(), w.params, m.key, other.key.q(), m.w, m.jc)
	wantErr(t, err, ErrKey)
	_, err = NewMember(w.params, other.tag.Bytes(), m.w, m.cred)
	wantErr(t, err, ErrCredential)
	later := m.cred
	later.Epoch++
	_, err = NewMember(w.params, m.tag.Bytes(), m.w, later)
	wantErr(t, err, ErrCredential)
}

func TestIssuerKey(t *testing.T) {
	w := newWorld(t)
	proof, err := w.issuer.Prove("G")
	must(t, err)
	must(t, VerifyIssuerKey("G", w.params.W, proof))
	wantErr(t, VerifyIssuerKey("ANOTHER", w.params.W, proof), ErrProof)
	wantErr(t, VerifyIssuerKey("G", newWorld(t).params.W, proof), ErrProof)
	for i := range proof {
		bad := proof
		bad[i] ^= 1
		if VerifyIssuerKey("G", w.params.W, bad) == nil {
			t.Fatalf("byte %d flipped, still accepted", i)
		}
	}
	back, err := ParseIssuerKey(w.issuer.Bytes())
	must(t, err)
	if !back.Public().Equal(w.params.W) {
		t.Fatal("another key came back")
	}
	_, err = ParseIssuerKey(make([]byte, 32))
	wantErr(t, err, ErrMalformed)
	_, err = NewVerifier(&Parameters{Name: "X", O: w.params.O, O2: w.params.O2}, 1)
	wantErr(t, err, ErrMalformed)
}

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
		"share": {
			func(b []byte) (interface{ Bytes() []byte }, error) { return ParseShare(b) },
			func(t testing.TB) []byte { return newWorld(t).shares[1].Bytes() },
		},
		"issuer key": {
			func(b []byte) (interface{ Bytes() []byte }, error) { return ParseIssuerKey(b) },
			func(t testing.TB) []byte { return newWorld(t).issuer.Bytes() },
		},
		"opening key": {
			func(b []byte) (interface{ Bytes() []byte }, error) { return ParseOpeningKey(b) },
			func(t testing.TB) []byte { _, k := newWorld(t).admit(t).kept(t, "m"); return k.Bytes() },
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

// seeds are a good encoding, and what is next to it: of every length around,
// and with runs of a point's or a scalar's size that are zero, infinity, the
// field's or the group's modulus, or all ones.
func seeds(good []byte) [][]byte {
	out := [][]byte{good, nil, good[1:], good[:len(good)-1], append(append([]byte{}, good...), 0), make([]byte, len(good))}
	n := fp256bn.ScalarFromUint64(1).Neg().Bytes() // n−1; n is one more
	n[31]++
	p := [32]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xfc, 0xf0, 0xcd, 0x46, 0xe5, 0xf2, 0x5e, 0xee, 0x71, 0xa4, 0x9f,
		0x0c, 0xdc, 0x65, 0xfb, 0x12, 0x98, 0x0a, 0x82, 0xd3, 0x29, 0x2d, 0xdb, 0xae, 0xd3, 0x30, 0x13}
	for at := 0; at+32 <= len(good); at += 32 {
		for _, run := range [][]byte{make([]byte, 32), n[:], p[:], bytes.Repeat([]byte{0xff}, 32)} {
			bad := append([]byte{}, good...)
			copy(bad[at:], run)
			out = append(out, bad)
		}
	}
	return out
}

// fuzzCodec says: whatever is accepted is canonical, and a refusal is
// ErrMalformed.
func fuzzCodec(f *testing.F, c codec) {
	for _, s := range seeds(c.seed(f)) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := c.parse(b)
		if err != nil {
			wantErr(t, err, ErrMalformed)
		} else if !bytes.Equal(v.Bytes(), b) {
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

func FuzzParseShare(f *testing.F)      { fuzzCodec(f, codecs()["share"]) }
func FuzzParseIssuerKey(f *testing.F)  { fuzzCodec(f, codecs()["issuer key"]) }
func FuzzParseOpeningKey(f *testing.F) { fuzzCodec(f, codecs()["opening key"]) }

// FuzzVerify: of all bytes and messages, the verifier takes the one that was
// signed, and answers anything else with an error.
func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	v, m := w.verifier(f), w.admit(f)
	claims := m.coins(f, 1)
	good := m.present(f, "m", claims...).Bytes()
	for _, s := range seeds(good) {
		f.Add(s, []byte("m"), claims[0].input, g1(claims[0].y))
	}
	f.Add(good, []byte("n"), claims[0].input, g1(claims[0].y))
	f.Add(good, []byte("m"), make([]byte, 32), g1(claims[0].y))
	f.Add(good, []byte("m"), claims[0].input, g1(m.tag))
	f.Fuzz(func(t *testing.T, b, msg, nonce, tag []byte) {
		if len(nonce) != 32 || len(tag) != 33 {
			return
		}
		claim, err := CoinClaim([32]byte(nonce), [33]byte(tag))
		if err != nil {
			wantErr(t, err, ErrClaim)
			return
		}
		it := Item{b, msg, []Claim{claim}}
		err = v.Verify(b, msg, it.Claims)
		signed := bytes.Equal(b, good) && string(msg) == "m" &&
			bytes.Equal(nonce, claims[0].input) && bytes.Equal(tag, g1(claims[0].y))
		if (err == nil) != signed {
			t.Fatalf("%x over %q: %v", b, msg, err)
		}
		if inBatch := v.VerifyBatch([]Item{it})[0]; (inBatch == nil) != signed {
			t.Fatalf("%x over %q in a batch: %v", b, msg, inBatch)
		}
	})
}

// FuzzVerifyJoin: of all bytes, the manager takes the join that was made.
func FuzzVerifyJoin(f *testing.F) {
	w := newWorld(f)
	m := w.admit(f)
	good := m.join.Bytes()
	for _, s := range seeds(good) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := ParseJoin(b)
		if err == nil {
			err = VerifyJoin(w.params, j, m.key.q(), m.jc)
		}
		if (err == nil) != bytes.Equal(b, good) {
			t.Fatalf("%x: %v", b, err)
		}
	})
}

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

package tpm_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/tpm"
)

var _ group.Key = (*tpm.GroupKey)(nil)

// base is a point of which nobody knows the logarithm, in the form that
// TPM2_Commit takes.
func base(t testing.TB, data string) (p fp256bn.G1, s2 []byte, y2 [32]byte) {
	t.Helper()
	h := sha256.Sum256([]byte(data))
	for i := range 256 {
		s2 = append([]byte{byte(i)}, h[:]...)
		x := sha256.Sum256(s2)
		if p, ok := fp256bn.LiftX(x[:]); ok {
			_, y2 = p.XY()
			return p, s2, y2
		}
	}
	t.Fatal("no point found")
	return
}

func randomPoint(t *testing.T) fp256bn.G1 {
	t.Helper()
	r, err := fp256bn.RandomScalar(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return fp256bn.Generator1().Mul(r)
}

// challenge is c of an ECDAA signature.
func challenge(nu []byte, digest [32]byte) fp256bn.Scalar {
	c := sha256.Sum256(append(bytes.Clone(nu), digest[:]...))
	return fp256bn.ReduceScalar(c[:])
}

func TestCommitAndSignProveTheScalar(t *testing.T) {
	onEach(t, func(t *testing.T, d *tpm.Device, _ transport.TPM) {
		if err := d.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, key := newKey(t, d, nil)
		p2, s2, y2 := base(t, "coin")
		g := fp256bn.Generator1()
		for i, p1 := range []fp256bn.G1{g, randomPoint(t), randomPoint(t)} {
			k, l, e, counter, err := key.Commit(t.Context(), &p1, s2, y2)
			if err != nil {
				t.Fatal(err)
			}
			digest := sha256.Sum256([]byte{byte(i)})
			nu, s, err := key.Sign(t.Context(), digest, counter)
			if err != nil {
				t.Fatal(err)
			}
			if len(nu) == 0 || len(nu) > 32 {
				t.Fatalf("nonce of %d bytes", len(nu))
			}
			c := challenge(nu, digest)
			if !p2.Mul(s).Sub(k.Mul(c)).Equal(l) {
				t.Fatal("[s]P2 - [c]K is not L")
			}
			if i == 0 && !g.Mul(s).Sub(key.Point().Mul(c)).Equal(e) {
				t.Fatal("[s]G - [c]Q is not E")
			}
			// E = [r]P1 for the r of L: both show when P1 is P2.
			_, l2, e2, _, err := key.Commit(t.Context(), &p2, s2, y2)
			if err != nil || !l2.Equal(e2) {
				t.Fatalf("E of P1 = P2 is not L: %v", err)
			}
			other := challenge(nu, sha256.Sum256([]byte("another message")))
			if p2.Mul(s).Sub(k.Mul(other)).Equal(l) {
				t.Fatal("the signature holds for another message")
			}
		}
	})
}

func TestKIsTheSameEachTimeAndRIsNot(t *testing.T) {
	onEach(t, func(t *testing.T, d *tpm.Device, _ transport.TPM) {
		_, key := newKey(t, d, nil)
		_, s2, y2 := base(t, "tag")
		k1, l1, e1, n1, err := key.Commit(t.Context(), nil, s2, y2)
		if err != nil {
			t.Fatal(err)
		}
		k2, l2, _, n2, err := key.Commit(t.Context(), nil, s2, y2)
		if err != nil {
			t.Fatal(err)
		}
		if !e1.IsInfinity() {
			t.Fatal("without P1 there is an E")
		}
		if !k1.Equal(k2) || l1.Equal(l2) || n1 == n2 || k1.IsInfinity() || l1.IsInfinity() {
			t.Fatal("K differs, or r does not")
		}
		if _, _, err := key.Sign(t.Context(), sha256.Sum256(nil), n1); err != nil {
			t.Fatalf("sign with a commitment that had no P1: %v", err)
		}
	})
}

func TestBadInputIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, d *tpm.Device, _ transport.TPM) {
		_, key := newKey(t, d, nil)
		_, s2, y2 := base(t, "tag")
		off := y2
		off[31] ^= 1
		for name, f := range map[string]func() error{
			"a y that is not on the curve": func() error { _, _, _, _, err := key.Commit(t.Context(), nil, s2, off); return err },
			"no s2":                        func() error { _, _, _, _, err := key.Commit(t.Context(), nil, nil, y2); return err },
			"an s2 that is too long":       func() error { _, _, _, _, err := key.Commit(t.Context(), nil, make([]byte, 65), y2); return err },
			"P1 at infinity":               func() error { _, _, _, _, err := key.Commit(t.Context(), &fp256bn.G1{}, s2, y2); return err },
			"an unknown kind of endorsement key": func() error {
				_, err := key.ActivateCredential(t.Context(), "rsa1024", nil, nil)
				return err
			},
			"a challenge that is too long": func() error {
				_, err := key.ActivateCredential(t.Context(), "rsa2048", make([]byte, 2000), nil)
				return err
			},
			"an authorisation value that is too long": func() error {
				_, err := d.CreateGroupKey(t.Context(), attest.GroupKeyTemplate(), make(tpm.Auth, 33))
				return err
			},
			"an authorisation value that ends in zero": func() error {
				_, err := d.CreateGroupKey(t.Context(), attest.GroupKeyTemplate(), tpm.Auth("1234\x00"))
				return err
			},
			"an empty template": func() error { _, err := d.CreateGroupKey(t.Context(), nil, nil); return err },
			"an empty blob":     func() error { _, err := d.LoadGroupKey(t.Context(), tpm.Blob{}, nil); return err },
		} {
			if err := f(); !errors.Is(err, tpm.ErrInput) {
				t.Errorf("%s: got %v, want ErrInput", name, err)
			}
		}
	})
}

func TestACommitmentSignsOnce(t *testing.T) {
	onEach(t, func(t *testing.T, d *tpm.Device, _ transport.TPM) {
		_, key := newKey(t, d, nil)
		_, s2, y2 := base(t, "tag")
		_, _, _, counter, err := key.Commit(t.Context(), nil, s2, y2)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := key.Sign(t.Context(), [32]byte{}, counter+1); !errors.Is(err, tpm.ErrCommitment) {
			t.Fatalf("with a counter never given: got %v, want ErrCommitment", err)
		}
		if _, _, err := key.Sign(t.Context(), [32]byte{}, counter); err != nil {
			t.Fatal(err)
		}
		if _, _, err := key.Sign(t.Context(), [32]byte{1}, counter); !errors.Is(err, tpm.ErrCommitment) {
			t.Fatalf("for the second time: got %v, want ErrCommitment", err)
		}
	})
}

func TestAKeyOfAnotherTPMIsTold(t *testing.T) {
	one, two := open(t, emulator(t, "one").TCTI()), open(t, emulator(t, "two").TCTI())
	blob, key := newKey(t, one, nil)
	if _, err := two.LoadGroupKey(t.Context(), blob, nil); !errors.Is(err, tpm.ErrWrongTPM) {
		t.Fatalf("the key of another TPM: got %v, want ErrWrongTPM", err)
	}
	if !bytes.Equal(key.Public(), blob.Public) {
		t.Fatal("the public area has changed")
	}
	altered := tpm.Blob{Public: blob.Public, Private: bytes.Clone(blob.Private)}
	altered.Private[len(altered.Private)-1] ^= 1
	if _, err := one.LoadGroupKey(t.Context(), altered, nil); !errors.Is(err, tpm.ErrWrongTPM) {
		t.Fatalf("an altered private part: got %v, want ErrWrongTPM", err)
	}
	altered.Private = blob.Private[:10]
	if _, err := one.LoadGroupKey(t.Context(), altered, nil); !errors.Is(err, tpm.ErrInput) && !errors.Is(err, tpm.ErrWrongTPM) {
		t.Fatalf("a cut private part: got %v, want ErrInput or ErrWrongTPM", err)
	}
	if err := key.Close(); err != nil { // its slot is needed
		t.Fatal(err)
	}
	_, other := newKey(t, one, nil)
	if _, err := one.LoadGroupKey(t.Context(), tpm.Blob{Public: other.Public(), Private: blob.Private}, nil); !errors.Is(err, tpm.ErrWrongTPM) {
		t.Fatalf("the public part of another key: got %v, want ErrWrongTPM", err)
	}
}

func TestTheAuthorisationValueIsNeeded(t *testing.T) {
	onEach(t, func(t *testing.T, d *tpm.Device, _ transport.TPM) {
		blob, key := newKey(t, d, tpm.Auth("2468"))
		_, s2, y2 := base(t, "tag")
		if _, _, _, _, err := key.Commit(t.Context(), nil, s2, y2); err != nil {
			t.Fatalf("the right value: %v", err)
		}
		guess, err := d.LoadGroupKey(t.Context(), blob, tpm.Auth("1234"))
		if err != nil {
			t.Fatal(err)
		}
		defer guess.Close()
		var last error
		for range 40 { // swtpm locks after 3, the simulator's default is another
			if _, _, _, _, last = guess.Commit(t.Context(), nil, s2, y2); !errors.Is(last, tpm.ErrAuth) {
				break
			}
		}
		if !errors.Is(last, tpm.ErrLockout) {
			t.Fatalf("after many wrong values: got %v, want ErrLockout", last)
		}
		if _, _, _, _, err := key.Commit(t.Context(), nil, s2, y2); !errors.Is(err, tpm.ErrLockout) {
			t.Fatalf("the right value in lock-out: got %v, want ErrLockout", err)
		}
	})
}

func TestTheAuthorisationValueDoesNotPrint(t *testing.T) {
	for _, format := range []string{"%v", "%s", "%x", "%q", "%#v", "%d"} {
		if got := fmt.Sprintf(format, tpm.Auth("2468")); got != "[redacted]" {
			t.Errorf("%s prints %q", format, got)
		}
	}
	if _, err := tpm.Auth("2468").MarshalText(); err == nil {
		t.Error("it marshals")
	}
}

func TestAKeyOutlivesAResetOfItsTPM(t *testing.T) {
	e := emulator(t, "one")
	d := open(t, e.TCTI())
	_, first := newKey(t, d, tpm.Auth("1"))
	_, second := newKey(t, d, tpm.Auth("2"))
	_, s2, y2 := base(t, "tag")
	before := make([]fp256bn.G1, 2)
	var counter uint16
	var err error
	for i, key := range []*tpm.GroupKey{first, second} {
		if before[i], _, _, counter, err = key.Commit(t.Context(), nil, s2, y2); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	// In the other order, so that the slots change hands.
	for i, key := range []*tpm.GroupKey{second, first} {
		after, _, _, _, err := key.Commit(t.Context(), nil, s2, y2)
		if err != nil {
			t.Fatal(err)
		}
		if !after.Equal(before[1-i]) {
			t.Fatal("another key after the reset")
		}
	}
	if _, _, err := second.Sign(t.Context(), [32]byte{}, counter+100); !errors.Is(err, tpm.ErrCommitment) {
		t.Fatalf("a commitment from before: got %v, want ErrCommitment", err)
	}
}

func TestAfterCloseNothingWorks(t *testing.T) {
	onEach(t, func(t *testing.T, d *tpm.Device, _ transport.TPM) {
		blob, key := newKey(t, d, nil)
		_, s2, y2 := base(t, "tag")
		if err := key.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, _, _, err := key.Commit(t.Context(), nil, s2, y2); !errors.Is(err, tpm.ErrClosed) {
			t.Fatalf("closed key: got %v, want ErrClosed", err)
		}
		if err := key.Close(); err != nil {
			t.Fatalf("closed twice: %v", err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := d.LoadGroupKey(t.Context(), blob, nil); !errors.Is(err, tpm.ErrClosed) {
			t.Fatalf("closed device: got %v, want ErrClosed", err)
		}
		if err := d.Probe(context.Background()); !errors.Is(err, tpm.ErrClosed) {
			t.Fatalf("closed device: got %v, want ErrClosed", err)
		}
	})
}

package hsm_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/hsm"
)

// SoftHSM ends the process over a long message, signs a short one and answers
// GENERAL_ERROR to one above the modulus: that the count of C_Sign stays the
// same is the point.
func TestBlindSignRefusesBeforeTheModuleSeesIt(t *testing.T) {
	key := newRSA(t, newToken(t), "k")
	n := key.Modulus()
	size := key.Size()
	fill := func(x *big.Int) []byte { return x.FillBytes(make([]byte, size)) }
	cases := []struct {
		name string
		m    []byte
	}{
		{"an empty message", nil},
		{"a message one byte short", bytes.Repeat([]byte{1}, size-1)},
		{"a message one byte long", append([]byte{0}, bytes.Repeat([]byte{1}, size)...)},
		{"a very long message", bytes.Repeat([]byte{1}, 1<<20)},
		{"zero", make([]byte, size)},
		{"the modulus", fill(n)},
		{"one above the modulus", fill(new(big.Int).Add(n, big.NewInt(1)))},
		{"all ones", bytes.Repeat([]byte{0xff}, size)},
	}
	before, _ := fault.counts()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := key.BlindSign(t.Context(), c.m); !errors.Is(err, hsm.ErrInput) {
				t.Fatalf("got %v, want ErrInput", err)
			}
		})
	}
	if after, _ := fault.counts(); after != before {
		t.Fatalf("%d messages reached the module", after-before)
	}
}

func TestBlindSignTakesTheEndsOfItsRange(t *testing.T) {
	key := newRSA(t, newToken(t), "k")
	for _, x := range []*big.Int{big.NewInt(1), new(big.Int).Sub(key.Modulus(), big.NewInt(1))} {
		m := x.FillBytes(make([]byte, key.Size()))
		sig, err := key.BlindSign(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(sig, m) { // 1 and N-1 are their own roots, as e is odd
			t.Fatalf("signature of %x is %x", m, sig)
		}
	}
}

func TestBlindSignReleasesNoFaultySignature(t *testing.T) {
	key := newRSA(t, newToken(t), "k")
	sig, m := known(t, key)
	cases := []struct {
		name   string
		damage func([]byte) []byte
	}{
		{"a flipped bit at the end", func(s []byte) []byte { s[len(s)-1] ^= 1; return s }},
		{"a flipped bit in the middle", func(s []byte) []byte { s[len(s)/2] ^= 0x10; return s }},
		{"the message itself", func([]byte) []byte { return m }},
		{"a signature cut short", func(s []byte) []byte { return s[1:] }},
		{"a byte too much", func(s []byte) []byte { return append([]byte{0}, s...) }},
		{"s + N where it fits", func(s []byte) []byte {
			x := new(big.Int).Add(new(big.Int).SetBytes(s), key.Modulus())
			return x.FillBytes(make([]byte, len(s)+1))
		}},
		{"nothing", func([]byte) []byte { return nil }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fault.set(t, func() {
				fault.sign = func(s []byte, err error) ([]byte, error) { return c.damage(s), err }
			})
			got, err := key.BlindSign(t.Context(), m)
			if !errors.Is(err, hsm.ErrFaulty) || got != nil {
				t.Fatalf("got %x, %v, want ErrFaulty", got, err)
			}
			if err := key.Check(t.Context()); !errors.Is(err, hsm.ErrFaulty) {
				t.Fatalf("Check: got %v, want ErrFaulty", err)
			}
		})
	}
	got, err := key.BlindSign(t.Context(), m)
	if err != nil || !bytes.Equal(got, sig) {
		t.Fatalf("an undamaged signature: %x, %v", got, err)
	}
}

func TestGenerateRSARefuses(t *testing.T) {
	tok := newToken(t)
	newRSA(t, tok, "taken")
	if _, err := tok.GenerateAES(t.Context(), "secret"); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name  string
		label string
		bits  int
		want  error
	}{
		{"a label that is taken", "taken", 2048, hsm.ErrDuplicateLabel},
		{"a label that a key of another kind bears", "secret", 2048, hsm.ErrDuplicateLabel},
		{"no label", "", 2048, hsm.ErrInput},
		{"a label with a line end", "a\nb", 2048, hsm.ErrInput},
		{"a label of 65 bytes", string(bytes.Repeat([]byte{'a'}, 65)), 2048, hsm.ErrInput},
		{"a short key", "short", 1024, hsm.ErrInput},
		{"an odd size", "odd", 2049, hsm.ErrInput},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := tok.GenerateRSA(t.Context(), c.label, c.bits); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestRSAKeysListsByLabelAfterReopening(t *testing.T) {
	cfg := newConfig(t)
	tok, err := module.Token(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	public := make(map[string]*big.Int)
	for _, label := range []string{"b", "c", "a"} {
		public[label] = newRSA(t, tok, label).Public().N
	}
	if err := tok.Close(); err != nil {
		t.Fatal(err)
	}
	keys, err := openToken(t, cfg).RSAKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, k := range keys {
		got += k.Label()
		if k.Public().N.Cmp(public[k.Label()]) != 0 {
			t.Errorf("key %q has another modulus", k.Label())
		}
	}
	if got != "abc" {
		t.Fatalf("keys %q", got)
	}
}

func TestRSAKeysRefusesTwoKeysOfOneLabel(t *testing.T) {
	tok := newToken(t)
	newRSA(t, tok, "twin")
	id := bytes.Repeat([]byte{7}, 16)
	write(t, tok, func(ctx *pkcs11.Ctx, s pkcs11.SessionHandle) error {
		_, _, err := ctx.GenerateKeyPair(s, mechanism(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN), hsm.RSAPublicTemplate("twin", id), hsm.RSATemplate("twin", id))
		return err
	})
	if _, err := tok.RSAKeys(t.Context()); !errors.Is(err, hsm.ErrDuplicateLabel) {
		t.Fatalf("got %v, want ErrDuplicateLabel", err)
	}
}

// More goroutines than sessions, several keys, everything verified; with -race
// this is the test of exclusive sessions.
func TestManyGoroutinesShareFewSessions(t *testing.T) {
	cfg := newConfig(t)
	cfg.Sessions = 3
	tok := openToken(t, cfg)
	keys := []*hsm.RSAKey{newRSA(t, tok, "a"), newRSA(t, tok, "b")}
	var wg sync.WaitGroup
	errs := make(chan error, 16)
	for g := range 16 {
		key := keys[g%2]
		wg.Go(func() {
			for range 10 {
				sig, m, err := key.Known()
				if err != nil {
					errs <- err
					return
				}
				got, err := key.BlindSign(t.Context(), m)
				if err != nil || !bytes.Equal(got, sig) {
					errs <- fmt.Errorf("wrong signature, %w", err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

func TestRawSignRate(t *testing.T) {
	key := newRSA(t, newToken(t), "k")
	rate, err := key.RawSignRate(t.Context(), 4, 50*time.Millisecond)
	if err != nil || rate <= 0 {
		t.Fatalf("%v signatures a second, %v", rate, err)
	}
	if rate, err = key.RawSignRate(t.Context(), 1, time.Nanosecond); err != nil || rate <= 0 {
		t.Fatalf("in less time than a signature takes: %v a second, %v", rate, err)
	}
	for _, workers := range []int{0, 257} {
		if _, err := key.RawSignRate(t.Context(), workers, time.Second); !errors.Is(err, hsm.ErrInput) {
			t.Fatalf("%d workers: got %v, want ErrInput", workers, err)
		}
	}
}

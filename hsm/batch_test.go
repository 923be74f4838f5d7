package hsm_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/speciecash/specie/hsm"
)

func TestABatchIsSignedEachUnderItsOwnKey(t *testing.T) {
	tok := newToken(t)
	small := newRSA(t, tok, "small")
	large, err := tok.GenerateRSA(t.Context(), "large", 3072)
	if err != nil {
		t.Fatal(err)
	}
	var keys []*hsm.RSAKey
	var messages, want [][]byte
	for _, k := range []*hsm.RSAKey{small, large, small, large} {
		sig, m := known(t, k)
		keys, messages, want = append(keys, k), append(messages, m), append(want, sig)
	}
	got, err := tok.BlindSignBatch(t.Context(), keys, messages)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("signature %d is %x, want %x", i, got[i], want[i])
		}
	}
	if none, err := tok.BlindSignBatch(t.Context(), nil, nil); err != nil || len(none) != 0 {
		t.Errorf("nothing to sign: %x, %v", none, err)
	}
}

func TestABatchIsRefusedWholeBeforeTheModuleSeesIt(t *testing.T) {
	tok := newToken(t)
	key, stranger := newRSA(t, tok, "k"), newRSA(t, newToken(t), "k")
	_, m := known(t, key)
	_, foreign := known(t, stranger)
	for _, c := range []struct {
		name     string
		keys     []*hsm.RSAKey
		messages [][]byte
	}{
		{"the last message is short", []*hsm.RSAKey{key, key}, [][]byte{m, m[1:]}},
		{"the last message is long", []*hsm.RSAKey{key, key}, [][]byte{m, append([]byte{0}, m...)}},
		{"the last message is zero", []*hsm.RSAKey{key, key}, [][]byte{m, make([]byte, len(m))}},
		{"the last message is not below the modulus", []*hsm.RSAKey{key, key}, [][]byte{m, bytes.Repeat([]byte{255}, len(m))}},
		{"the last key is another token's", []*hsm.RSAKey{key, stranger}, [][]byte{m, foreign}},
		{"there are fewer keys than messages", []*hsm.RSAKey{key}, [][]byte{m, m}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, _ := fault.counts()
			got, err := tok.BlindSignBatch(t.Context(), c.keys, c.messages)
			if !errors.Is(err, hsm.ErrInput) || got != nil {
				t.Fatalf("got %x, %v, want ErrInput", got, err)
			}
			if after, _ := fault.counts(); after != before {
				t.Errorf("the module was asked for %d signatures", after-before)
			}
		})
	}
}

func TestABatchWithOneFaultySignatureReleasesNone(t *testing.T) {
	tok := newToken(t)
	small := newRSA(t, tok, "small")
	large, err := tok.GenerateRSA(t.Context(), "large", 3072)
	if err != nil {
		t.Fatal(err)
	}
	_, ms := known(t, small)
	_, ml := known(t, large)
	for name, last := range map[string]*hsm.RSAKey{"of 2048 bits": small, "of 3072 bits": large} {
		t.Run(name, func(t *testing.T) {
			keys, messages := []*hsm.RSAKey{large, small, last}, [][]byte{ml, ms, ml}
			if last == small {
				messages[2] = ms
			}
			n := 0
			fault.set(t, func() {
				fault.sign = func(s []byte, err error) ([]byte, error) {
					if n++; n == len(keys) {
						s[len(s)-1] ^= 1
					}
					return s, err
				}
			})
			if got, err := tok.BlindSignBatch(t.Context(), keys, messages); !errors.Is(err, hsm.ErrFaulty) || got != nil {
				t.Fatalf("got %x, %v, want ErrFaulty", got, err)
			}
		})
	}
}

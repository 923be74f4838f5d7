package hsm_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/hsm"
)

func TestSealAndOpen(t *testing.T) {
	tok := newToken(t)
	made, err := tok.GenerateAES(t.Context(), "seal")
	if err != nil {
		t.Fatal(err)
	}
	key, err := tok.FindAES(t.Context(), "seal")
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 15, 16, 17, 1000, hsm.MaxPlaintext} {
		plain := bytes.Repeat([]byte{0x5a}, size)
		for _, aad := range [][]byte{nil, []byte("context")} {
			box, err := made.Seal(t.Context(), plain, aad)
			if err != nil {
				t.Fatal(size, err)
			}
			if len(box) != size+hsm.Overhead {
				t.Fatalf("box of %d bytes for %d", len(box), size)
			}
			got, err := key.Open(t.Context(), box, aad)
			if err != nil || !bytes.Equal(got, plain) {
				t.Fatal(size, err)
			}
			again, err := made.Seal(t.Context(), plain, aad)
			if err != nil || bytes.Equal(box[:12], again[:12]) {
				t.Fatal("a nonce came twice", err)
			}
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	tok := newToken(t)
	key, err := tok.GenerateAES(t.Context(), "seal")
	if err != nil {
		t.Fatal(err)
	}
	other, err := tok.GenerateAES(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	plain, aad := []byte("a secret worth keeping"), []byte("context")
	box, err := key.Seal(t.Context(), plain, aad)
	if err != nil {
		t.Fatal(err)
	}
	flip := func(i int) []byte { b := bytes.Clone(box); b[i] ^= 1; return b }
	cases := []struct {
		name string
		key  *hsm.AESKey
		box  []byte
		aad  []byte
	}{
		{"another nonce", key, flip(0), aad},
		{"another ciphertext", key, flip(12), aad},
		{"another tag", key, flip(len(box) - 1), aad},
		{"other associated data", key, box, []byte("contexT")},
		{"no associated data", key, box, nil},
		{"another key", other, box, aad},
		{"a box cut short", key, box[:len(box)-1], aad},
		{"a box of nonce and tag only", key, box[:hsm.Overhead], aad},
		{"no box", key, nil, aad},
		{"a box too large", key, make([]byte, hsm.MaxPlaintext+hsm.Overhead+1), aad},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got, err := c.key.Open(t.Context(), c.box, c.aad); !errors.Is(err, hsm.ErrSealed) || got != nil {
				t.Fatalf("got %q, %v, want ErrSealed", got, err)
			}
		})
	}
	for _, size := range []int{0, hsm.MaxPlaintext + 1} {
		if _, err := key.Seal(t.Context(), make([]byte, size), nil); !errors.Is(err, hsm.ErrInput) {
			t.Fatalf("%d bytes: got %v, want ErrInput", size, err)
		}
	}
	if _, err := tok.FindAES(t.Context(), "nobody"); !errors.Is(err, hsm.ErrKeyNotFound) {
		t.Fatalf("got %v, want ErrKeyNotFound", err)
	}
}

func TestSealReleasesNoFaultyBox(t *testing.T) {
	key, err := newToken(t).GenerateAES(t.Context(), "seal")
	if err != nil {
		t.Fatal(err)
	}
	fault.set(t, func() {
		fault.encrypt = func(b []byte, err error) ([]byte, error) { b[0] ^= 1; return b, err }
	})
	if box, err := key.Seal(t.Context(), []byte("secret"), nil); !errors.Is(err, hsm.ErrFaulty) || box != nil {
		t.Fatalf("got %x, %v, want ErrFaulty", box, err)
	}
}

// A token that breaks down during Open must not be taken for a forged box.
func TestABrokenTokenIsNotAForgedBox(t *testing.T) {
	key, err := newToken(t).GenerateAES(t.Context(), "seal")
	if err != nil {
		t.Fatal(err)
	}
	box, err := key.Seal(t.Context(), []byte("secret"), nil)
	if err != nil {
		t.Fatal(err)
	}
	fault.set(t, func() {
		fault.encrypt = func([]byte, error) ([]byte, error) { return nil, pkcs11.Error(pkcs11.CKR_GENERAL_ERROR) }
	})
	box[20] ^= 1
	if _, err := key.Open(t.Context(), box, nil); errors.Is(err, hsm.ErrSealed) || !errors.Is(err, hsm.ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
}

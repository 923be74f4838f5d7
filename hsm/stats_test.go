package hsm_test

import (
	"context"
	"crypto/elliptic"
	"errors"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/hsm"
)

func TestStatsCountWhatTheTokenWasAsked(t *testing.T) {
	tok := newToken(t)
	key := newRSA(t, tok, "k")
	ec, err := tok.GenerateECDSA(t.Context(), "e", elliptic.P256())
	if err != nil {
		t.Fatal(err)
	}
	aes, err := tok.GenerateAES(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	before := count(tok)
	for _, check := range []func(context.Context) error{key.Check, ec.Check, ec.Check, aes.Check} {
		if err := check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	after := count(tok)
	for call, want := range map[string]uint64{"C_SignInit": 3, "C_Sign": 3, "C_EncryptInit": 1, "C_Encrypt": 1, "C_DecryptInit": 1, "C_Decrypt": 1} {
		if got := after[call] - before[call]; got != want {
			t.Errorf("%s: %d calls, want %d", call, got, want)
		}
	}
	for call, want := range map[string]uint64{"C_OpenSession": 8 + 3, "C_Login": 1, "C_GenerateKeyPair": 2, "C_GenerateKey": 1} {
		if got := after[call]; got != want {
			t.Errorf("%s: %d calls, want %d", call, got, want)
		}
	}
	s := tok.Stats()
	for _, c := range s.Calls {
		if c.Time <= 0 {
			t.Errorf("%s took no time", c.Call)
		}
	}
	if len(s.Errors) != 0 || !s.Available || s.Sessions != (hsm.SessionStats{Open: 8}) {
		t.Errorf("%+v", s)
	}
	last := uint64(0)
	for _, b := range s.Queue.Buckets {
		if b.Count < last || b.UpTo <= 0 {
			t.Errorf("bucket %+v after %d", b, last)
		}
		last = b.Count
	}
	if last == 0 || last > s.Queue.Count {
		t.Errorf("%d in the buckets of %d", last, s.Queue.Count)
	}
}

func count(tok *hsm.Token) map[string]uint64 {
	counts := make(map[string]uint64)
	for _, c := range tok.Stats().Calls {
		counts[c.Call] = c.Count
	}
	return counts
}

func TestStatsCountFailuresByCallAndCode(t *testing.T) {
	p := newPatient(t)
	code := uint(pkcs11.CKR_DEVICE_ERROR)
	fault.set(t, func() {
		fault.sign = func([]byte, error) ([]byte, error) { return nil, pkcs11.Error(code) }
	})
	for range 2 { // each is tried twice
		if err := p.signs(t.Context()); !errors.Is(err, hsm.ErrUnavailable) {
			t.Fatalf("got %v, want ErrUnavailable", err)
		}
	}
	code = 0x80000042
	if err := p.signs(t.Context()); err == nil {
		t.Fatal("signed")
	}
	want := []hsm.ErrorStats{
		{Call: "C_Sign", Name: "CKR_DEVICE_ERROR", Code: 0x30, Count: 4},
		{Call: "C_Sign", Name: "CKR_VENDOR_DEFINED+0x42", Code: 0x80000042, Count: 1},
	}
	got := p.tok.Stats().Errors
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

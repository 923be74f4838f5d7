package coin_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

func TestAMerchantAsksForHisOwnAccountOnly(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := coin.SignMerchantRequest("DEMOBANK", private)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := coin.VerifyMerchantRequest(jws, "DEMOBANK"); err != nil || id != coin.MerchantID(public) {
		t.Fatalf("got %q, %v", id, err)
	}
	if _, err := coin.VerifyMerchantRequest(jws, "OTHERBANK"); !errors.Is(err, coin.ErrBank) {
		t.Errorf("a request to another bank: %v", err)
	}
	receipt := coin.HolderReceipt{Amount: 1, Currency: "XTS", At: time.Unix(1, 0).UTC()}
	other, err := receipt.Sign(private)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := coin.VerifyMerchantRequest(other, "DEMOBANK"); !errors.Is(err, trust.ErrType) {
		t.Errorf("another document of his: %v", err)
	}
	for i := range jws {
		bad := bytes.Clone(jws)
		bad[i] ^= 1
		if id, err := coin.VerifyMerchantRequest(bad, "DEMOBANK"); err == nil && id == coin.MerchantID(public) {
			t.Fatalf("byte %d flipped, still accepted", i)
		}
	}
	if _, err := coin.VerifyMerchantRequest(make([]byte, coin.MaxMerchantRequest+1), "DEMOBANK"); !errors.Is(err, coin.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func FuzzVerifyMerchantRequest(f *testing.F) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	jws, err := coin.SignMerchantRequest("DEMOBANK", private)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(jws)
	f.Add([]byte("e30.e30.AA"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := coin.VerifyMerchantRequest(b, "DEMOBANK"); err == nil && len(id) != 43 {
			t.Fatalf("accepted with id %q", id)
		}
	})
}

package hsm_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/speciecash/specie/hsm"
)

// Stock is taken of everything, also of what an audit would refuse.
func TestItemsAreAllThatLiesOnTheToken(t *testing.T) {
	tok := newToken(t)
	rsaKey, err1 := tok.GenerateRSA(t.Context(), "b-rsa", 2048)
	ecKey, err2 := tok.GenerateECDSA(t.Context(), "c-ec", elliptic.P256())
	_, err3 := tok.GenerateAES(t.Context(), "d-aes")
	err4 := tok.WithWriteSession(func(s pkcs11.SessionHandle) error {
		_, err := fault.raw.CreateObject(s, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_DATA), pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
			pkcs11.NewAttribute(pkcs11.CKA_LABEL, "a-note"), pkcs11.NewAttribute(pkcs11.CKA_VALUE, []byte("hello")),
		})
		return err
	})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	items, err := tok.Items(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		class, typ, label string
		public            bool
	}{
		{hsm.ClassOther, "", "a-note", false},
		{hsm.ClassPrivate, "RSA", "b-rsa", true},
		{hsm.ClassPrivate, "EC", "c-ec", true},
		{hsm.ClassPublic, "RSA", "b-rsa", true},
		{hsm.ClassPublic, "EC", "c-ec", true},
		{hsm.ClassSecret, "AES", "d-aes", false},
	}
	if len(items) != len(want) {
		t.Fatalf("%d items: %+v", len(items), items)
	}
	for i, w := range want {
		got := items[i]
		if got.Class != w.class || got.Type != w.typ || got.Label != w.label || (got.Public != nil) != w.public {
			t.Errorf("item %d is %+v, want %+v", i, got, w)
		}
	}
	if !items[1].Public.(*rsa.PublicKey).Equal(rsaKey.Public()) || !items[2].Public.(*ecdsa.PublicKey).Equal(ecKey.Public()) {
		t.Error("an item has another public key than its key")
	}
	if string(items[2].ID) != string(ecKey.ID()) {
		t.Error("an item has another id than its key")
	}
}

func TestALabelIsTakenByAnyObject(t *testing.T) {
	tok := newToken(t)
	if _, err := tok.GenerateAES(t.Context(), "taken"); err != nil {
		t.Fatal(err)
	}
	if err := tok.Unused(t.Context(), "free", "free-too"); err != nil {
		t.Errorf("free labels: %v", err)
	}
	if err := tok.Unused(t.Context(), "free", "taken"); !errors.Is(err, hsm.ErrDuplicateLabel) {
		t.Errorf("got %v, want ErrDuplicateLabel", err)
	}
	if err := tok.Unused(t.Context(), "a\nb"); !errors.Is(err, hsm.ErrInput) {
		t.Errorf("got %v, want ErrInput", err)
	}
}

func TestFindRSA(t *testing.T) {
	tok := newToken(t)
	made, err := tok.GenerateRSA(t.Context(), "one", 2048)
	if err != nil {
		t.Fatal(err)
	}
	found, err := tok.FindRSA(t.Context(), "one")
	if err != nil || !found.Public().Equal(made.Public()) {
		t.Errorf("found another key, %v", err)
	}
	if _, err := tok.FindRSA(t.Context(), "two"); !errors.Is(err, hsm.ErrKeyNotFound) {
		t.Errorf("got %v, want ErrKeyNotFound", err)
	}
}

package hsm_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cloudflare/circl/blindsign/blindrsa"

	"github.com/speciecash/specie/hsm"
)

// library finds a PKCS#11 library of a Debian package. It is no reason to skip
// a test that it is not there.
func library(t *testing.T, name, pkg string) string {
	t.Helper()
	for _, pattern := range []string{"/usr/lib/*/pkcs11/", "/usr/lib/*/", "/usr/lib64/pkcs11/", "/usr/lib64/"} {
		if found, _ := filepath.Glob(pattern + name); len(found) > 0 {
			return found[0]
		}
	}
	t.Fatalf("no %s: run scripts/setup, or install the package %s", name, pkg)
	return ""
}

// useOf returns what a report says about one use.
func useOf(t *testing.T, r *hsm.Report, name string) hsm.Use {
	t.Helper()
	i := slices.IndexFunc(r.Uses, func(u hsm.Use) bool { return strings.Contains(u.Name, name) })
	if i < 0 {
		t.Fatalf("nothing about %s in %+v", name, r.Uses)
	}
	return r.Uses[i]
}

// stock counts what lies on the token.
func stock(t *testing.T, tok *hsm.Token) int {
	t.Helper()
	items, err := tok.Items(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(items)
}

// signsDocuments has the key sign a digest and verifies it.
func signsDocuments(t *testing.T, key *hsm.ECDSAKey) {
	t.Helper()
	digest := make([]byte, 32)
	digest[0] = 7
	sig, err := key.SignDigest(t.Context(), digest, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if !ecdsa.VerifyASN1(key.Public().(*ecdsa.PublicKey), digest, sig) {
		t.Fatal("a wrong signature")
	}
}

// idOf returns the CKA_ID of the key under label.
func idOf(t *testing.T, tok *hsm.Token, label string) []byte {
	t.Helper()
	items, err := tok.Items(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		if item.Label == label {
			return item.ID
		}
	}
	t.Fatalf("no key %q", label)
	return nil
}

// blindSigns has the key sign for circl's client, who verifies.
func blindSigns(t *testing.T, key *hsm.RSAKey) {
	t.Helper()
	client, err := blindrsa.NewClient(blindrsa.SHA384PSSRandomized, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	message, err := client.Prepare(rand.Reader, []byte("a coin"))
	if err != nil {
		t.Fatal(err)
	}
	blinded, state, err := client.Blind(rand.Reader, message)
	if err != nil {
		t.Fatal(err)
	}
	blind, err := key.BlindSign(t.Context(), blinded)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := client.Finalize(state, blind)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Verify(message, sig); err != nil {
		t.Fatal(err)
	}
}

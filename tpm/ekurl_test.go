package tpm

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

// The endorsement key that tpm2-tools tests its tpm2_getekcertificate with, and
// the address that Intel's server knows it by.
const intelKey = `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwyDi8kSoYBqs8+AdJsZl
JJk1Vi3h2hl+nn8HbEaWE8+2U+mOwsOG/B0TPyyMbMM4tzLwsgi9g4qHej5bvD4d
QIToNcfIkGocBbTS0w/b68HbrZUPprFlvUtqhkYDFGFkwMT1nUiQEe8fko3upukA
YfPTdeVkYnMVHvYiJSCYvhpKsB3AoSInxgn9rOsRWvQI1Gk6b0mRl3RpWwwSvBih
/3EgpzN7L7XxlR2Lt/CU1bVUwRyVI7MHKf5keH0KE7nmMEiNq039hmNKUnDscvzF
pE3GeajzKTjdgZfina6Dn1tMoPXeJ8lSLCPFThws5XhZUlEYvURwsYGA7veK5CZ7
zQIDAQAB
-----END PUBLIC KEY-----`

func TestVendorsKnowAKeyByItsDigest(t *testing.T) {
	block, _ := pem.Decode([]byte(intelKey))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	modulus := key.(*rsa.PublicKey).N.Bytes()
	rsaEK := tpm2.RSAEKTemplate
	rsaEK.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: modulus})
	x, y := []byte(strings.Repeat("x", 32)), []byte(strings.Repeat("y", 32))
	eccEK := tpm2.ECCEKTemplate
	eccEK.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: x}, Y: tpm2.TPM2BECCParameter{Buffer: y}})
	amdRSA := sha256.Sum256(append([]byte{0, 0, 0x22, 0x22, 0, 1, 0, 1}, modulus...))
	amdECC := sha256.Sum256([]byte("\x00\x00\x44\x44" + string(x) + string(y)))
	for _, c := range []struct {
		name         string
		manufacturer uint32
		public       []byte
		want         string
	}{
		{"Intel's RSA key", vendorIntel, tpm2.Marshal(rsaEK), "https://ekop.intel.com/ekcertservice/WVEG2rRwkQ7m3RpXlUphgo6Y2HLxl18h6ZZkkOAdnBE%3D"},
		{"AMD's RSA key", vendorAMD, tpm2.Marshal(rsaEK), "https://ftpm.amd.com/pki/aia/" + hex.EncodeToString(amdRSA[:16])},
		{"AMD's ECC key", vendorAMD, tpm2.Marshal(eccEK), "https://ftpm.amd.com/pki/aia/" + hex.EncodeToString(amdECC[:16])},
		{"another manufacturer's", 0x49465800, tpm2.Marshal(rsaEK), ""},
		{"no key", vendorIntel, []byte{1}, ""},
	} {
		if got := vendorURL(c.manufacturer, c.public); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestARowOfCertificatesIsBounded(t *testing.T) {
	sequence := func(n int) []byte { // of so many bytes, four of them before the contents
		return append([]byte{0x30, 0x82, byte((n - 4) >> 8), byte(n - 4)}, make([]byte, n-4)...)
	}
	for _, c := range []struct {
		name string
		data []byte
		want int
	}{
		{"nothing", nil, 0},
		{"one and padding", append(sequence(300), 0xff, 0xff), 1},
		{"as many as are believed, and one", bytes.Repeat(sequence(300), maxChain+1), maxChain},
		{"one of the largest size", sequence(maxCertificate), 1},
		{"one that is larger", sequence(maxCertificate + 1), 0},
		{"one that is cut short", sequence(300)[:299], 0},
		{"another type of value", []byte{4, 1, 0}, 0},
	} {
		if got := splitCertificates(c.data); len(got) != c.want {
			t.Errorf("%s: %d, want %d", c.name, len(got), c.want)
		}
	}
}

func FuzzSplitCertificates(f *testing.F) {
	f.Add([]byte{0x30, 3, 2, 1, 1, 0x30, 0, 0xff, 0xff})
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		for _, c := range splitCertificates(data) {
			if len(c) == 0 || len(c) > maxCertificate || c[0] != 0x30 {
				t.Fatalf("certificate of %d bytes", len(c))
			}
			n += len(c)
		}
		if n > len(data) {
			t.Fatal("more certificates than there are bytes")
		}
	})
}

package attest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	oracle "github.com/google/go-attestation/attest"
	x509ext "github.com/google/go-attestation/x509"
	"github.com/speciecash/specie/attest"
)

// google reads a file that comes with go-tpm-tools: the authorities of Google's
// cloud, and certificates that they gave to its TPMs.
func google(t testing.TB) func(name string) []byte {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/google/go-tpm-tools").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(string(out))
	return func(name string) []byte {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
}

// googleRoots are the authorities of Google's TPMs.
func googleRoots(t testing.TB, kind string) *attest.Roots {
	t.Helper()
	read := google(t)
	files := make(map[string][]byte)
	for _, name := range []string{"tpm_ek_root_1.cer", "tpm_ek_intermediate_2.crt", "tpm_ek_intermediate_3.crt", "gcp_ek_ak_ca_root.crt", "gcp_ek_ak_ca_intermediate_v3.crt"} {
		files[name] = read("server/ca-certs/" + name)
	}
	r, err := attest.ParseRoots(manifestOf(t, kind, files), files)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// googleCertificate is a certificate, and the TPMT_PUBLIC of its key.
func googleCertificate(t testing.TB, name string) (der, public []byte) {
	t.Helper()
	block, _ := pem.Decode(google(t)("internal/test/certificates/" + name + ".pem"))
	if block == nil {
		t.Fatal("no PEM")
	}
	switch key := parse(t, block.Bytes).PublicKey.(type) {
	case *rsa.PublicKey:
		return block.Bytes, rsaPublic(key)
	case *ecdsa.PublicKey:
		return block.Bytes, ecPublic(t, key)
	default:
		t.Fatalf("a key of type %T", key)
		return nil, nil
	}
}

func TestCertificatesOfGooglesTPMs(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, kind string
		want       error
	}{
		{"uca_tpm_rsa_enc_cert", "rsa2048", nil},
		{"uca_tpm_ecc_enc_cert", "p256", nil},
		{"uca_tpm_rsa_enc_cert", "p256", attest.ErrEKKind},
		{"uca_tpm_ecc_enc_cert", "rsa2048", attest.ErrEKKind},
		// Keys that sign.
		{"uca_tpm_rsa_sign_cert", "rsa2048", attest.ErrEKProfile},
		{"uca_tpm_ecc_sign_cert", "p256", attest.ErrEKProfile},
		// Certificates without an extended key usage and without a TPM's name.
		{"pca_tpm_rsa_enc_cert", "rsa2048", attest.ErrEKProfile},
		{"pca_tpm_ecc_enc_cert", "p256", attest.ErrEKProfile},
	} {
		der, public := googleCertificate(t, c.name)
		ek, err := attest.VerifyEK([][]byte{der}, public, googleRoots(t, c.kind), attest.Policy{At: at})
		if !errors.Is(err, c.want) {
			t.Errorf("%s where %s is taken: got %v, want %v", c.name, c.kind, err, c.want)
		}
		if err == nil && (ek.Manufacturer != "GOOG" || ek.Model != "vTPM" || ek.Version != "id:20160511" || ek.Software) {
			t.Errorf("%s: got %+v", c.name, ek)
		}
	}
}

// TestAsAnotherVerifierReadsThem holds what is accepted here against Google's own
// reader of such certificates.
func TestAsAnotherVerifierReadsThem(t *testing.T) {
	root := newAuthority(t, "root", nil)
	key := ecKey(t)
	at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	rsaDER, rsaArea := googleCertificate(t, "uca_tpm_rsa_enc_cert")
	eccDER, eccArea := googleCertificate(t, "uca_tpm_ecc_enc_cert")
	made := root.endorse(t, key, nil)
	for name, c := range map[string]struct {
		stored, public []byte
		roots          *attest.Roots
		at             time.Time
	}{
		"Google's, RSA":          {rsaDER, rsaArea, googleRoots(t, "rsa2048"), at},
		"Google's, ECC":          {eccDER, eccArea, googleRoots(t, "p256"), at},
		"swtpm's, RSA":           {fixture(t, "rsa2048.der"), fixture(t, "rsa2048.pub"), rootsTaking(t, "rsa2048", fixture(t, "roots.pem")), at},
		"swtpm's, ECC":           {fixture(t, "p384.der"), fixture(t, "p384.pub"), rootsTaking(t, "p384", fixture(t, "roots.pem")), at},
		"a test's":               {made, ecPublic(t, key), rootsOf(t, root.pem()), noon()},
		"with padding":           {append(bytes.Clone(made), 0xff, 0xff), ecPublic(t, key), rootsOf(t, root.pem()), noon()},
		"with a header":          {append([]byte{0x10, 0x01, 0x00, byte(len(made) >> 8), byte(len(made))}, made...), ecPublic(t, key), rootsOf(t, root.pem()), noon()},
		"with a date in 9999":    {root.endorse(t, key, func(c *x509.Certificate) { c.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }), ecPublic(t, key), rootsOf(t, root.pem()), noon()},
		"with a default written": {root.resign(t, made, func(tbs []byte) []byte { return inserted(t, tbs, "\x06\x03\x55\x1d\x25", "\x01\x01\x00") }), ecPublic(t, key), rootsOf(t, root.pem()), noon()},
	} {
		ek, err := attest.VerifyEK([][]byte{c.stored}, c.public, c.roots, anyTPM(c.at))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		cert, err := oracle.ParseEKCertificate(c.stored)
		if err != nil {
			t.Errorf("%s: the other can't read it: %v", name, err)
			continue
		}
		other, err := x509ext.ToEKCertificate(cert)
		if err != nil {
			t.Errorf("%s: the other refuses it: %v", name, err)
			continue
		}
		id := strings.TrimPrefix(other.TpmManufacturer, "id:")
		if maker := manufacturer(t, id); maker != ek.Manufacturer || other.TpmModel != ek.Model || other.TpmVersion != ek.Version {
			t.Errorf("%s: got %+v, the other reads %s, %s, %s", name, ek, maker, other.TpmModel, other.TpmVersion)
		}
	}
}

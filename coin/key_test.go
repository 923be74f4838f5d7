package coin_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"testing"

	"github.com/speciecash/specie/coin"
)

// How every 2048-bit token key of the Privacy Pass deployments begins:
// id-RSASSA-PSS with SHA-384, no parameters beside the hashes, salt 48.
const privacyPassPrefix = "MIIBUjA9BgkqhkiG9w0BAQowMKANMAsGCWCGSAFlAwQCAqEaMBgGCSqGSIb3DQEBCDALBglghkgBZQMEAgKiAwIBMAOCAQ8A"

func TestKeyIsWrittenAsInPrivacyPass(t *testing.T) {
	m := theMint()
	der, err := coin.MarshalKey(m.one.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix([]byte(base64.StdEncoding.EncodeToString(der)), []byte(privacyPassPrefix)) {
		t.Fatalf("got %x", der[:80])
	}
	if m.one.KeyID != sha256.Sum256(der) {
		t.Fatal("key id is not the hash")
	}
	back, err := coin.ParseKey(der)
	if err != nil || !back.Equal(m.one.PublicKey) {
		t.Fatalf("another key came back, %v", err)
	}
	kid, err := coin.ParseKeyID(m.one.KeyID.String())
	if err != nil || kid != m.one.KeyID {
		t.Fatalf("another id came back, %v", err)
	}
}

func TestKeysAreRefused(t *testing.T) {
	odd := func(bits uint) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return n.Add(n, big.NewInt(12345))
	}
	for _, bits := range []uint{2048, 3072, 4096} {
		if _, err := coin.MarshalKey(&rsa.PublicKey{N: odd(bits), E: 65537}); err != nil {
			t.Fatalf("%d bits: %v", bits, err)
		}
	}
	cases := []struct {
		name string
		pub  *rsa.PublicKey
	}{
		{"no key", nil},
		{"no modulus", &rsa.PublicKey{E: 65537}},
		{"a negative modulus", &rsa.PublicKey{N: new(big.Int).Neg(odd(2048)), E: 65537}},
		{"1024 bits", &rsa.PublicKey{N: odd(1024), E: 65537}},
		{"2047 bits", &rsa.PublicKey{N: odd(2047), E: 65537}},
		{"2049 bits", &rsa.PublicKey{N: odd(2049), E: 65537}},
		{"8192 bits", &rsa.PublicKey{N: odd(8192), E: 65537}},
		{"exponent 3", &rsa.PublicKey{N: odd(2048), E: 3}},
		{"exponent 65539", &rsa.PublicKey{N: odd(2048), E: 65539}},
		{"an even modulus", &rsa.PublicKey{N: new(big.Int).Add(odd(2048), big.NewInt(1)), E: 65537}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := coin.MarshalKey(c.pub)
			expect(t, err, coin.ErrMalformed)
			_, err = coin.NewKeyID(c.pub)
			expect(t, err, coin.ErrMalformed)
		})
	}
}

func TestParseKeyRefuses(t *testing.T) {
	m := theMint()
	good, err := coin.MarshalKey(m.one.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := x509.MarshalPKIXPublicKey(m.one.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	salt := bytes.Index(good, []byte{0xa2, 3, 2, 1, 48})
	change := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		return b
	}
	cases := []struct {
		name string
		der  []byte
	}{
		{"nothing", nil},
		{"rsaEncryption in place of RSASSA-PSS", plain},
		{"a salt of 32", change(salt+4, 32)},
		{"SHA-256 in place of SHA-384", change(bytes.Index(good, []byte{3, 4, 2, 2})+3, 1)},
		{"bytes after the key", append(bytes.Clone(good), 0)},
		{"the last byte missing", good[:len(good)-1]},
		{"unused bits in the bit string", change(bytes.Index(good, []byte{3, 0x82, 1, 15, 0})+4, 4)},
		{"exponent 65539", change(len(good)-1, 3)},
		{"too many bytes", make([]byte, 5000)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := coin.ParseKey(c.der)
			expect(t, err, coin.ErrMalformed)
		})
	}
}

func TestParseKeyIDRefuses(t *testing.T) {
	good := theMint().one.KeyID.String()
	for name, s := range map[string]string{
		"nothing": "", "short": good[:42], "long": good + "A", "padding": good + "=", "line break": good[:20] + "\n" + good[20:],
		"the other alphabet": "+" + good[1:], "stray last bits": good[:42] + "_",
	} {
		if _, err := coin.ParseKeyID(s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	m := theMint()
	for _, d := range m.keyset.Denominations {
		f.Add(must(coin.MarshalKey(d.PublicKey)))
	}
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, der []byte) {
		pub, err := coin.ParseKey(der)
		if err != nil {
			expect(t, err, coin.ErrMalformed)
			return
		}
		again, err := coin.MarshalKey(pub)
		if err != nil || !bytes.Equal(again, der) {
			t.Fatalf("not canonical, %v", err)
		}
	})
}

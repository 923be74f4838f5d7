package attest

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// checkLeaf checks that a certificate is an endorsement key's of that kind (TCG EK
// Credential Profile, §3.2), which Go's verifier can't: it has the extended key
// usage tcg-kp-EKCertificate, says that it issues no certificates, and that its
// key takes part in the transport of keys and signs nothing. What the profile asks
// for besides helps to find issuers and lists of revoked certificates, and says
// nothing about the key: its absence is no reason to refuse anybody.
func checkLeaf(leaf *x509.Certificate, kind string) error {
	if !leaf.BasicConstraintsValid || leaf.IsCA {
		return errors.New("the certificate does not say that it is no certificate authority's")
	}
	use, name := x509.KeyUsageKeyAgreement, "key agreement"
	if kind == "rsa2048" {
		use, name = x509.KeyUsageKeyEncipherment, "key encipherment"
	}
	if leaf.KeyUsage&use == 0 {
		return fmt.Errorf("the certificate lacks the key usage %s", name)
	}
	if leaf.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment|x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0 {
		return errors.New("the certificate is for a key that signs")
	}
	if !slices.ContainsFunc(leaf.UnknownExtKeyUsage, asn1.ObjectIdentifier{2, 23, 133, 8, 1}.Equal) {
		return errors.New("the certificate lacks the extended key usage 2.23.133.8.1")
	}
	return nil
}

// checkCertified checks that a certificate is for that key.
func checkCertified(leaf *x509.Certificate, key crypto.PublicKey) error {
	certified, err := certifiedKey(leaf)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEKProfile, err)
	}
	if k, ok := key.(interface{ Equal(crypto.PublicKey) bool }); !ok || !k.Equal(certified) {
		return ErrEKMismatch
	}
	return nil
}

// certifiedKey returns the key of a certificate. Some manufacturers mark RSA keys
// as id-RSAES-OAEP (RFC 4055 §4.1), which Go's parser leaves alone.
func certifiedKey(leaf *x509.Certificate) (crypto.PublicKey, error) {
	if leaf.PublicKey != nil {
		return leaf.PublicKey, nil
	}
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(leaf.RawSubjectPublicKeyInfo, &spki); err != nil {
		return nil, err
	}
	if !spki.Algorithm.Algorithm.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 7}) {
		return nil, fmt.Errorf("key algorithm %s", spki.Algorithm.Algorithm)
	}
	return x509.ParsePKCS1PublicKey(spki.Key.RightAlign())
}

// roca tells whether a modulus of 2048 bits has the fingerprint of the keys that
// Infineon's firmware made until 2017, whose factors can be found (CVE-2017-15361;
// Nemec et al., "The Return of Coppersmith's Attack", §2): modulo each of the first
// 126 primes it is a power of 65537. Of other moduli one in 2^167 is so.
func roca(n *big.Int) bool {
	const largest = 701 // the 126th prime
	for p := int64(3); p <= largest; p += 2 {
		prime := big.NewInt(p)
		if !prime.ProbablyPrime(0) {
			continue
		}
		want := new(big.Int).Mod(n, prime).Int64()
		power, found := int64(1), false
		for range p - 1 {
			found = found || power == want
			power = power * rsaExponent % p
		}
		if !found {
			return false
		}
	}
	return true
}

package attest

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// MaxChain is the largest number of certificates that VerifyEK looks at, and
	// MaxCertificate the largest size of each in bytes.
	MaxChain       = 6
	MaxCertificate = 8 << 10
)

// EK is an endorsement key that VerifyEK has found to be genuine.
type EK struct {
	// Kind is "rsa2048", "p256" or "p384".
	Kind string
	// Public is the key's TPMT_PUBLIC.
	Public []byte
	// ID is SHA-256 of the key in SubjectPublicKeyInfo form: the same however the
	// key is shown and whoever certified it.
	ID [32]byte
	// Root is SHA-256 of the root certificate that the chain leads to.
	Root [32]byte
}

// VerifyEK checks that an endorsement key belongs to a genuine TPM: that the
// certificate chain, DER and leaf first, leads to one of the roots at the time
// given; that the leaf is certified as an endorsement key (TCG EK Credential
// Profile, §3.2); that ekPublic, a TPMT_PUBLIC, is made from one of the profile's
// templates; and that it is the certified key. The chain may contain
// intermediates in any order after the leaf, or none where the roots' file has
// them.
//
// Errors: ErrChain, ErrEKProfile, ErrEKMismatch.
func VerifyEK(chain [][]byte, ekPublic []byte, roots *Roots, at time.Time) (*EK, error) {
	if at.IsZero() { // which x509 takes for now
		return nil, fmt.Errorf("%w: no time to check it at", ErrChain)
	}
	leaf, intermediates, err := parseChain(chain, roots)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChain, err)
	}
	// The subject alternative name of an EK certificate is critical and names the
	// TPM's model, of which Go's parser knows nothing.
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(leaf.UnhandledCriticalExtensions, func(id asn1.ObjectIdentifier) bool {
		return id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17})
	})
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots.pool, Intermediates: intermediates, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, // the usage that counts, Go has no name for
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChain, err)
	}
	if err := checkUsage(leaf); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEKProfile, err)
	}
	kind, key, err := matchProfile(ekPublic)
	if err != nil {
		return nil, err
	}
	certified, err := certifiedKey(leaf)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEKProfile, err)
	}
	if k, ok := key.(interface{ Equal(crypto.PublicKey) bool }); !ok || !k.Equal(certified) {
		return nil, ErrEKMismatch
	}
	id, err := keyID(key)
	if err != nil {
		return nil, err
	}
	root := chains[0][len(chains[0])-1]
	return &EK{Kind: kind, Public: slices.Clone(ekPublic), ID: id, Root: sha256.Sum256(root.Raw)}, nil
}

// parseChain reads the leaf, and gathers the intermediates of the sender with
// those of the verifier.
func parseChain(chain [][]byte, roots *Roots) (*x509.Certificate, *x509.CertPool, error) {
	if len(chain) == 0 || len(chain) > MaxChain {
		return nil, nil, fmt.Errorf("chain of %d certificates, 1 to %d are possible", len(chain), MaxChain)
	}
	intermediates := roots.intermediates.Clone()
	var leaf *x509.Certificate
	for i, der := range chain {
		cert, err := parseCertificate(der)
		if err != nil {
			return nil, nil, fmt.Errorf("certificate %d: %w", i, err)
		}
		if i == 0 {
			leaf = cert
		} else {
			intermediates.AddCert(cert)
		}
	}
	return leaf, intermediates, nil
}

// parseCertificate reads a certificate as it lies in a TPM, where 0xFF follows up
// to the end of the index.
func parseCertificate(der []byte) (*x509.Certificate, error) {
	if len(der) > MaxCertificate {
		return nil, fmt.Errorf("%d bytes, at most %d are possible", len(der), MaxCertificate)
	}
	var outer asn1.RawValue
	rest, err := asn1.Unmarshal(der, &outer)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(rest, func(b byte) bool { return b != 0xff }) {
		return nil, errors.New("followed by something else")
	}
	return x509.ParseCertificate(outer.FullBytes)
}

// checkUsage checks that a certificate is an endorsement key's, which Go's
// verifier can't: it has the extended key usage tcg-kp-EKCertificate, and is not
// one that issues certificates.
func checkUsage(leaf *x509.Certificate) error {
	if leaf.IsCA || leaf.KeyUsage&x509.KeyUsageCertSign != 0 {
		return errors.New("the certificate is a certificate authority's")
	}
	if !slices.ContainsFunc(leaf.UnknownExtKeyUsage, asn1.ObjectIdentifier{2, 23, 133, 8, 1}.Equal) {
		return errors.New("the certificate lacks the key usage 2.23.133.8.1")
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

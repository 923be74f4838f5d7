package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"
)

// CreateRoot makes the self-signed root certificate (DER) of a P-384 key.
// It is valid from notBefore to notAfter, in whole seconds, both included.
func CreateRoot(signer crypto.Signer, notBefore, notAfter time.Time) ([]byte, error) {
	if err := checkKey(signer.Public(), true); err != nil {
		return nil, err
	}
	t, err := template(Name{Role: RoleRoot}, notBefore, notAfter)
	if err != nil {
		return nil, err
	}
	t.IsCA = true
	t.MaxPathLen = 1
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, signer.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("trust: create root certificate: %w", err)
	}
	return der, nil
}

// Issue certifies pub as name under parent (DER of the new certificate).
// The root certifies banks, group managers and supervisors; a bank's master
// certificate with isCA certifies that bank's signing keys. Only a bank's
// certificate can be a CA, and a CA's key is on P-384; other keys are on
// P-256 or P-384. The validity must lie within the parent's.
//
// It returns ErrRole when parent may not certify that name, ErrMalformed for
// a bad name, key or validity, ErrChain when parentSigner is not the
// parent's key.
func Issue(parent *x509.Certificate, parentSigner crypto.Signer, name Name, pub crypto.PublicKey, notBefore, notAfter time.Time, isCA bool) ([]byte, error) {
	if err := name.Check(); err != nil {
		return nil, err
	}
	issuer, err := NameOf(parent)
	if err != nil {
		return nil, err
	}
	if !mayCertify(issuer, name) || !parent.IsCA {
		return nil, fmt.Errorf("%w: %s can't certify %s", ErrRole, issuer, name)
	}
	if isCA && name.Role != RoleBank {
		return nil, fmt.Errorf("%w: %s can't be a CA", ErrRole, name)
	}
	if err := checkKey(pub, isCA); err != nil {
		return nil, err
	}
	if key, ok := parent.PublicKey.(*ecdsa.PublicKey); !ok || !key.Equal(parentSigner.Public()) {
		return nil, fmt.Errorf("%w: the signer is not the parent's key", ErrChain)
	}
	t, err := template(name, notBefore, notAfter)
	if err != nil {
		return nil, err
	}
	if t.NotBefore.Before(parent.NotBefore) || t.NotAfter.After(parent.NotAfter) {
		return nil, fmt.Errorf("%w: validity beyond the parent's", ErrMalformed)
	}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	if isCA {
		t.IsCA, t.MaxPathLenZero = true, true
		t.KeyUsage |= x509.KeyUsageCertSign
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, pub, parentSigner)
	if err != nil {
		return nil, fmt.Errorf("trust: create certificate of %s: %w", name, err)
	}
	return der, nil
}

// mayCertify is the tree of doc.go.
func mayCertify(issuer, subject Name) bool {
	switch subject.Role {
	case RoleBank, RoleGroup, RoleSupervisor:
		return issuer.Role == RoleRoot
	case RoleSigning:
		return issuer.Role == RoleBank && issuer.ID == subject.ID
	}
	return false
}

func template(name Name, notBefore, notAfter time.Time) (*x509.Certificate, error) {
	notBefore, notAfter = notBefore.UTC().Truncate(time.Second), notAfter.UTC().Truncate(time.Second)
	if !notBefore.Before(notAfter) {
		return nil, fmt.Errorf("%w: validity ends before it begins", ErrMalformed)
	}
	// 128 random bits, never zero (RFC 5280 §4.1.2.2).
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, fmt.Errorf("trust: serial number: %w", err)
	}
	cn := "Specie " + string(name.Role)
	if name.ID != "" {
		cn += " " + name.ID
	}
	t := &x509.Certificate{
		SerialNumber:          serial.Add(serial, big.NewInt(1)),
		Subject:               pkix.Name{CommonName: cn},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		BasicConstraintsValid: true,
	}
	t.URIs = append(t.URIs, name.uri())
	return t, nil
}

// checkKey returns ErrMalformed unless pub is an ECDSA key on P-384 or, for
// what is not a CA, P-256.
func checkKey(pub crypto.PublicKey, isCA bool) error {
	key, ok := pub.(*ecdsa.PublicKey)
	switch {
	case !ok:
		return fmt.Errorf("%w: a certified key is ECDSA, not %T", ErrMalformed, pub)
	case key.Curve == elliptic.P384():
		return nil
	case key.Curve == elliptic.P256() && !isCA:
		return nil
	}
	return fmt.Errorf("%w: key on an unexpected curve", ErrMalformed)
}

package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// MaxRootPEM bounds the root certificate's file, in bytes.
const MaxRootPEM = 16 << 10

// Root is the pinned root certificate. The zero value trusts nothing.
type Root struct {
	cert *x509.Certificate
	pool *x509.CertPool
}

// ParseRoot reads the root certificate: one PEM block of type CERTIFICATE,
// a self-signed P-384 CA named urn:specie:root. Its validity is checked at
// each Verify, not here.
func ParseRoot(data []byte) (*Root, error) {
	if len(data) > MaxRootPEM {
		return nil, fmt.Errorf("%w: root certificate of %d bytes", ErrMalformed, len(data))
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("%w: the root file is not one PEM certificate", ErrMalformed)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: root certificate: %v", ErrMalformed, err)
	}
	return NewRoot(cert)
}

// NewRoot pins a certificate under the same checks as ParseRoot.
func NewRoot(cert *x509.Certificate) (*Root, error) {
	name, err := NameOf(cert)
	if err != nil {
		return nil, err
	}
	if name.Role != RoleRoot {
		return nil, fmt.Errorf("%w: %s is not a root", ErrRole, name)
	}
	if err := checkKey(cert.PublicKey, true); err != nil {
		return nil, err
	}
	if !cert.BasicConstraintsValid || !cert.IsCA || cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, fmt.Errorf("%w: the root is not a CA", ErrChain)
	}
	if err := cert.CheckSignatureFrom(cert); err != nil {
		return nil, fmt.Errorf("%w: the root is not self-signed", ErrChain)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &Root{cert: cert, pool: pool}, nil
}

// Fingerprint returns SHA-256 of the certificate's DER: what people compare.
func (r *Root) Fingerprint() [32]byte { return sha256.Sum256(r.cert.Raw) }

// Certificate returns the pinned certificate, not to be modified.
func (r *Root) Certificate() *x509.Certificate { return r.cert }

// PEM returns the certificate in the form that ParseRoot reads.
func (r *Root) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.cert.Raw})
}

// CheckChain checks that chain, leaf first and without the root, is one of
// the accepted shapes at the given time, and returns the leaf's name. It
// returns ErrChain, ErrRole or ErrExpired.
func (r *Root) CheckChain(chain []*x509.Certificate, at time.Time) (Name, error) {
	if r == nil || r.cert == nil {
		return Name{}, fmt.Errorf("%w: no root is pinned", ErrChain)
	}
	if len(chain) < 1 || len(chain) > 2 {
		return Name{}, fmt.Errorf("%w: %d certificates, 1 or 2 expected", ErrChain, len(chain))
	}
	if err := checkValidity(r.cert, at); err != nil {
		return Name{}, fmt.Errorf("root: %w", err)
	}
	parent, issuer := r.cert, Name{Role: RoleRoot}
	for i := len(chain) - 1; i >= 0; i-- {
		name, err := checkLink(chain[i], parent, issuer, at)
		if err != nil {
			return Name{}, err
		}
		parent, issuer = chain[i], name
	}
	// A second opinion: the standard library's path building sees what the
	// shape above does not ask for (critical extensions, name constraints).
	opts := x509.VerifyOptions{
		Roots:         r.pool,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(opts); err != nil {
		return Name{}, fmt.Errorf("%w: %v", ErrChain, err)
	}
	return issuer, nil
}

// checkLink checks one certificate against its parent and returns its name.
func checkLink(cert, parent *x509.Certificate, issuer Name, at time.Time) (Name, error) {
	name, err := NameOf(cert)
	if err != nil {
		return Name{}, err
	}
	if !mayCertify(issuer, name) {
		return Name{}, fmt.Errorf("%w: %s can't certify %s", ErrRole, issuer, name)
	}
	if err := checkValidity(cert, at); err != nil {
		return Name{}, fmt.Errorf("%s: %w", name, err)
	}
	if !parent.IsCA || !bytes.Equal(cert.RawIssuer, parent.RawSubject) {
		return Name{}, fmt.Errorf("%w: %s is not issued by the next certificate", ErrChain, name)
	}
	if err := cert.CheckSignatureFrom(parent); err != nil {
		return Name{}, fmt.Errorf("%w: signature on the certificate of %s", ErrChain, name)
	}
	if cert.IsCA && name.Role != RoleBank {
		return Name{}, fmt.Errorf("%w: %s is a CA", ErrChain, name)
	}
	if err := checkKey(cert.PublicKey, cert.IsCA); err != nil {
		return Name{}, errors.Join(ErrChain, err)
	}
	if cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return Name{}, fmt.Errorf("%w: %s may not sign documents", ErrChain, name)
	}
	return name, nil
}

func checkValidity(cert *x509.Certificate, at time.Time) error {
	if at.Before(cert.NotBefore) || at.After(cert.NotAfter) {
		return fmt.Errorf("%w: valid from %s to %s", ErrExpired,
			cert.NotBefore.Format(time.RFC3339), cert.NotAfter.Format(time.RFC3339))
	}
	return nil
}

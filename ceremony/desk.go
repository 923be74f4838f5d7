package ceremony

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/trust"
)

const (
	maxCertificate = trust.MaxRootPEM
	typeCert       = "CERTIFICATE"
	typeRequest    = "CERTIFICATE REQUEST"
)

// act is the part of a ceremony that touches tokens.
type act func(ctx context.Context, b *bench) error

// desk is where inputs are read, before any token is touched.
type desk struct {
	dir string
	at  time.Time
}

func (d *desk) read(path string, max int) ([]byte, error) {
	return paper.Read(inDir(d.dir, path), max)
}

// root reads and pins a root certificate.
func (d *desk) root(path string) (*trust.Root, error) {
	b, err := d.read(path, maxCertificate)
	if err != nil {
		return nil, err
	}
	root, err := trust.ParseRoot(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInput, path, err)
	}
	return root, nil
}

// pem reads a file of one PEM block.
func (d *desk) pem(path, kind string) ([]byte, error) {
	b, err := d.read(path, maxCertificate)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != kind || len(rest) != 0 {
		return nil, fmt.Errorf("%w: %s is not one PEM %s", ErrInput, path, kind)
	}
	return block.Bytes, nil
}

// authority is a key that certifies or signs in a ceremony: root or master.
type authority struct {
	Token       tokenRef `yaml:"token"`
	Key         string   `yaml:"key"`
	Certificate string   `yaml:"certificate"`
}

func (a *authority) validate(field string) error {
	return first(
		a.Token.validate(field+".token"),
		checkLabel(field+".key", a.Key),
		checkPaths(map[string]string{field + ".certificate": a.Certificate}),
	)
}

// certified is a certificate that was verified, and where its key lies.
type certified struct {
	root *trust.Root
	cert *x509.Certificate
	ref  *authority
}

// asRoot reads the authority's certificate as the root's.
func (a *authority) asRoot(d *desk) (*certified, error) {
	root, err := d.root(a.Certificate)
	if err != nil {
		return nil, err
	}
	c := &certified{root: root, cert: root.Certificate(), ref: a}
	if d.at.Before(c.cert.NotBefore) || d.at.After(c.cert.NotAfter) {
		return nil, fmt.Errorf("%w: %s: %w", ErrInput, a.Certificate, trust.ErrExpired)
	}
	return c, nil
}

// asMaster reads the authority's certificate as that of a bank's master key
// under the pinned root.
func (a *authority) asMaster(d *desk, rootPath, bank string) (*certified, error) {
	root, err := d.root(rootPath)
	if err != nil {
		return nil, err
	}
	der, err := d.pem(a.Certificate, typeCert)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInput, a.Certificate, err)
	}
	name, err := root.CheckChain([]*x509.Certificate{cert}, d.at)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInput, a.Certificate, err)
	}
	if want := (trust.Name{Role: trust.RoleBank, ID: bank}); name != want {
		return nil, fmt.Errorf("%w: %s: %w: it is the certificate of %s, not of %s", ErrInput, a.Certificate, trust.ErrRole, name, want)
	}
	return &certified{root: root, cert: cert, ref: a}, nil
}

// covers refuses a validity that the certificate under c could not have.
func (c *certified) covers(v validity) error {
	if v.From.Before(c.cert.NotBefore) || v.Until.After(c.cert.NotAfter) {
		return fmt.Errorf("%w: valid: beyond the issuer's own, %s to %s", ErrPlan,
			c.cert.NotBefore.Format(instantLayout), c.cert.NotAfter.Format(instantLayout))
	}
	return nil
}

// signer finds and audits the certified key in its token. A token with
// another key under that label signs nothing.
func (c *certified) signer(ctx context.Context, b *bench) (*hsm.ECDSAKey, error) {
	t, err := b.token(ctx, &c.ref.Token)
	if err != nil {
		return nil, err
	}
	key, err := t.FindECDSA(ctx, c.ref.Key)
	if err != nil {
		return nil, err
	}
	if pub, ok := c.cert.PublicKey.(*ecdsa.PublicKey); !ok || !pub.Equal(key.Public()) {
		return nil, fmt.Errorf("%w: key %q in token %q", ErrKey, c.ref.Key, c.ref.Token.Label)
	}
	return key, nil
}

// issue certifies pub under c and verifies the new certificate as a stranger
// would. The result is PEM, leaf first; the root is never part of it.
func (c *certified) issue(signer crypto.Signer, name trust.Name, pub crypto.PublicKey, v validity, isCA bool) ([]byte, *x509.Certificate, error) {
	der, err := trust.Issue(c.cert, signer, name, pub, v.From.Time, v.Until.Time, isCA)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("ceremony: the new certificate: %w", err)
	}
	chain := []*x509.Certificate{cert}
	if c.cert != c.root.Certificate() {
		chain = append(chain, c.cert)
	}
	if _, err := c.root.CheckChain(chain, v.From.Time); err != nil {
		return nil, nil, fmt.Errorf("ceremony: the new certificate: %w", err)
	}
	var out []byte
	for _, link := range chain {
		out = append(out, encodePEM(link.Raw)...)
	}
	return out, cert, nil
}

func encodePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: typeCert, Bytes: der})
}

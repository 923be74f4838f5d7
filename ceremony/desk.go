package ceremony

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/trust"
)

const (
	maxCertificate = trust.MaxRootPEM
	typeCert       = "CERTIFICATE"
	typeRequest    = "CERTIFICATE REQUEST"
)

// act is the part of a ceremony that touches tokens. It returns who answers
// for the ceremony and closes its transcript.
type act func(ctx context.Context, b *bench) (*signatory, error)

// desk is where inputs are read and judged, before any token is touched.
type desk struct {
	plan *Plan // its inputs are loaded
	at   time.Time
}

// read returns an input by its field.
func (d *desk) read(field string) ([]byte, error) {
	for _, f := range d.plan.files {
		if f.Field == field {
			return f.data, nil
		}
	}
	return nil, fmt.Errorf("ceremony: %s is not an input of this plan", field)
}

// began refuses a clock that stands before something that has happened.
func (d *desk) began(what string, since time.Time) error {
	if d.at.Before(since) {
		return fmt.Errorf("%w: it says %s, and %s is of %s", ErrClock, d.at.Format(instantLayout), what, since.Format(instantLayout))
	}
	return nil
}

// maxWait is how long after its last approval a ceremony may begin. A clock
// further ahead is wrong, or the approval is stale; what a wrong clock signs
// says for years that keys are over which are not.
const maxWait = 30 * 24 * time.Hour

// recent refuses to begin at a time that is long after the last approval.
func recent(approvals [][]byte, begins time.Time) error {
	var last time.Time
	for _, data := range approvals {
		a, err := approval.Parse(data)
		if err != nil {
			return err
		}
		if a.At.After(last) {
			last = a.At
		}
	}
	if begins.After(last.Add(maxWait)) {
		return fmt.Errorf("%w: it says %s, and the last approval is of %s: a ceremony begins within %d days, or is approved again",
			ErrClock, begins.Format(instantLayout), last.Format(instantLayout), maxWait/(24*time.Hour))
	}
	return nil
}

// root reads and pins a root certificate.
func (d *desk) root(field string) (*trust.Root, error) {
	b, err := d.read(field)
	if err != nil {
		return nil, err
	}
	root, err := trust.ParseRoot(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInput, field, err)
	}
	return root, d.began(field, root.Certificate().NotBefore)
}

// pem reads a file of one PEM block.
func (d *desk) pem(field, kind string) ([]byte, error) {
	b, err := d.read(field)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != kind || len(rest) != 0 {
		return nil, fmt.Errorf("%w: %s is not one PEM %s", ErrInput, field, kind)
	}
	return block.Bytes, nil
}

// certificate reads the certificate of name, given by the root itself.
func (d *desk) certificate(field string, root *trust.Root, name trust.Name) (*x509.Certificate, error) {
	der, err := d.pem(field, typeCert)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInput, field, err)
	}
	if err := d.began(field, cert.NotBefore); err != nil {
		return nil, err
	}
	got, err := root.CheckChain([]*x509.Certificate{cert}, d.at)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInput, field, err)
	}
	if got != name {
		return nil, fmt.Errorf("%w: %s: %w: it is the certificate of %s, not of %s", ErrInput, field, trust.ErrRole, got, name)
	}
	return cert, nil
}

// record reads the transcript of an earlier ceremony, which must be its word
// under the root. One that was abandoned is read too: transcript.ErrAbandoned.
func (d *desk) record(field string, root *trust.Root) (*transcript.Transcript, error) {
	b, err := d.read(field)
	if err != nil {
		return nil, err
	}
	t, err := transcript.Read(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInput, field, err)
	}
	if err := word(root, t); err != nil {
		return t, fmt.Errorf("%w: %s: %w", ErrInput, field, err)
	}
	return t, d.began(field, t.Entries[len(t.Entries)-1].At)
}

// before is the transcript of the ceremony that this one follows, nil if the
// plan names none.
func (d *desk) before() (*transcript.Transcript, error) {
	if d.plan.body.base().Follows == "" {
		return nil, nil
	}
	field := "root"
	if _, err := d.read(field); err != nil {
		field = "root.certificate"
	}
	root, err := d.root(field)
	if err != nil {
		return nil, err
	}
	return d.record("follows", root)
}

// certified is a certificate that was verified, and where its key lies.
type certified struct {
	root *trust.Root
	cert *x509.Certificate
	name trust.Name
	key  uri
}

// signatory is who signs with the certificate's key.
func (c *certified) signatory(key *hsm.ECDSAKey) *signatory {
	s := &signatory{name: c.name, root: c.root, key: key}
	if c.name.Role != trust.RoleRoot {
		s.chain = []*x509.Certificate{c.cert}
	}
	return s
}

// asRoot reads the authority's certificate as the root's.
func (a *authority) asRoot(d *desk, field string) (*certified, error) {
	root, err := d.root(field + ".certificate")
	if err != nil {
		return nil, err
	}
	c := &certified{root: root, cert: root.Certificate(), name: trust.Name{Role: trust.RoleRoot}, key: a.Key}
	if d.at.After(c.cert.NotAfter) {
		return nil, fmt.Errorf("%w: %s.certificate: %w", ErrInput, field, trust.ErrExpired)
	}
	return c, nil
}

// as reads the authority's certificate as that of name under the root that
// the plan pins in its field "root".
func (a *authority) as(d *desk, field string, name trust.Name) (*certified, error) {
	root, err := d.root("root")
	if err != nil {
		return nil, err
	}
	cert, err := d.certificate(field+".certificate", root, name)
	if err != nil {
		return nil, err
	}
	return &certified{root: root, cert: cert, name: name, key: a.Key}, nil
}

// asMaster is as for a bank's master key.
func (a *authority) asMaster(d *desk, bank string) (*certified, error) {
	return a.as(d, "master", trust.Name{Role: trust.RoleBank, ID: bank})
}

// covers refuses a validity that the certificate under c could not have.
func (c *certified) covers(v validity) error {
	if v.From.Before(c.cert.NotBefore) || v.Until.After(c.cert.NotAfter) {
		return fmt.Errorf("%w: valid: beyond the issuer's own, %s to %s", ErrPlan,
			c.cert.NotBefore.Format(instantLayout), c.cert.NotAfter.Format(instantLayout))
	}
	return nil
}

func encodePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: typeCert, Bytes: der})
}

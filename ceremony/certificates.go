package ceremony

import (
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/speciecash/specie/trust"
)

// rootPlan makes the central bank's root.
type rootPlan struct {
	common `yaml:",inline"`
	Key    uri      `yaml:"key"`
	Valid  validity `yaml:"valid"`
	Output struct {
		record      `yaml:",inline"`
		Certificate string `yaml:"certificate"`
	} `yaml:"output"`
}

func (p *rootPlan) validate() error {
	if p.Follows != "" {
		return fmt.Errorf("%w: follows: nothing comes before the root", ErrPlan)
	}
	return first(p.Key.checkNewKey("key"), p.Valid.validate("valid"))
}

func (p *rootPlan) transcript() string { return p.Output.Transcript }
func (p *rootPlan) inputs() []input    { return nil }
func (p *rootPlan) outputs() []product {
	return []product{{"certificate", p.Output.Certificate, false}}
}
func (p *rootPlan) tokens() []named { return []named{{"key", p.Key}} }
func (p *rootPlan) made() []newKey  { return []newKey{{p.Key.URI, kindP384}} }

func (p *rootPlan) prepare(*desk) (act, error) { return p.perform, nil }

func (p *rootPlan) perform(ctx context.Context, b *bench) (*signatory, error) {
	key, err := b.newEC(ctx, p.Key.URI, elliptic.P384())
	if err != nil {
		return nil, err
	}
	text, err := b.output("certificate", func() ([]byte, error) {
		der, err := trust.CreateRoot(key, p.Valid.From.Time, p.Valid.Until.Time)
		return encodePEM(der), err
	})
	if err != nil {
		return nil, err
	}
	root, err := trust.ParseRoot(text)
	if err != nil {
		return nil, fmt.Errorf("ceremony: the new root: %w", err)
	}
	return &signatory{name: trust.Name{Role: trust.RoleRoot}, root: root, key: key}, nil
}

// issuerPlan makes a bank's master key.
type issuerPlan struct {
	common `yaml:",inline"`
	Bank   string    `yaml:"bank"`
	Key    uri       `yaml:"key"`
	Valid  validity  `yaml:"valid"`
	Root   authority `yaml:"root"`
	Output struct {
		record      `yaml:",inline"`
		Certificate string `yaml:"certificate"`
	} `yaml:"output"`
}

func (p *issuerPlan) validate() error {
	return first(checkID("bank", p.Bank), p.Key.checkNewKey("key"), p.Valid.validate("valid"), p.Root.validate("root"))
}

func (p *issuerPlan) transcript() string { return p.Output.Transcript }
func (p *issuerPlan) inputs() []input    { return []input{p.Root.input("root")} }
func (p *issuerPlan) outputs() []product {
	return []product{{"certificate", p.Output.Certificate, false}}
}
func (p *issuerPlan) tokens() []named { return []named{p.Root.named("root"), {"key", p.Key}} }
func (p *issuerPlan) made() []newKey  { return []newKey{{p.Key.URI, kindP384}} }

func (p *issuerPlan) prepare(d *desk) (act, error) {
	root, err := p.Root.asRoot(d, "root")
	if err != nil {
		return nil, err
	}
	n := newCertificate{
		by: root, name: trust.Name{Role: trust.RoleBank, ID: p.Bank}, curve: elliptic.P384(), isCA: true,
		key: p.Key, valid: p.Valid, output: "certificate",
	}
	return n.perform, root.covers(p.Valid)
}

// signingPlan makes a bank's online signing key.
type signingPlan struct {
	common `yaml:",inline"`
	Bank   string    `yaml:"bank"`
	Key    uri       `yaml:"key"`
	Valid  validity  `yaml:"valid"`
	Root   string    `yaml:"root"`
	Master authority `yaml:"master"`
	Output struct {
		record `yaml:",inline"`
		Chain  string `yaml:"chain"`
	} `yaml:"output"`
}

func (p *signingPlan) validate() error {
	return first(checkID("bank", p.Bank), p.Key.checkNewKey("key"), p.Valid.validate("valid"), p.Master.validate("master"))
}

func (p *signingPlan) transcript() string { return p.Output.Transcript }
func (p *signingPlan) inputs() []input {
	return []input{{"root", p.Root, maxCertificate}, p.Master.input("master")}
}
func (p *signingPlan) outputs() []product { return []product{{"chain", p.Output.Chain, false}} }
func (p *signingPlan) tokens() []named    { return []named{p.Master.named("master"), {"key", p.Key}} }
func (p *signingPlan) made() []newKey     { return []newKey{{p.Key.URI, kindP256}} }

func (p *signingPlan) prepare(d *desk) (act, error) {
	master, err := p.Master.asMaster(d, p.Bank)
	if err != nil {
		return nil, err
	}
	n := newCertificate{
		by: master, name: trust.Name{Role: trust.RoleSigning, ID: p.Bank}, curve: elliptic.P256(),
		key: p.Key, valid: p.Valid, output: "chain",
	}
	return n.perform, master.covers(p.Valid)
}

// newCertificate is a key to be made and certified.
type newCertificate struct {
	by     *certified
	name   trust.Name
	curve  elliptic.Curve
	isCA   bool
	key    uri
	valid  validity
	output string // field
}

// perform finds the certifying key first: a key that nobody can certify
// would only take up its label.
func (n *newCertificate) perform(ctx context.Context, b *bench) (*signatory, error) {
	s, err := b.signatory(ctx, n.by)
	if err != nil {
		return nil, err
	}
	return s, n.make(ctx, b, s)
}

func (n *newCertificate) make(ctx context.Context, b *bench, s *signatory) error {
	key, err := b.newEC(ctx, n.key.URI, n.curve)
	if err != nil {
		return err
	}
	_, err = b.output(n.output, func() ([]byte, error) {
		return s.certify(n.name, key.Public(), n.valid, n.isCA)
	})
	return err
}

// certifyPlan certifies a supervisor's own key from his request.
type certifyPlan struct {
	common     `yaml:",inline"`
	Supervisor string    `yaml:"supervisor"`
	Request    string    `yaml:"request"`
	Valid      validity  `yaml:"valid"`
	Root       authority `yaml:"root"`
	Output     struct {
		record      `yaml:",inline"`
		Certificate string `yaml:"certificate"`
	} `yaml:"output"`
}

func (p *certifyPlan) validate() error {
	return first(checkID("supervisor", p.Supervisor), p.Valid.validate("valid"), p.Root.validate("root"))
}

func (p *certifyPlan) transcript() string { return p.Output.Transcript }
func (p *certifyPlan) inputs() []input {
	return []input{{"request", p.Request, maxCertificate}, p.Root.input("root")}
}
func (p *certifyPlan) outputs() []product {
	return []product{{"certificate", p.Output.Certificate, false}}
}
func (p *certifyPlan) tokens() []named { return []named{p.Root.named("root")} }
func (p *certifyPlan) made() []newKey  { return nil }

func (p *certifyPlan) prepare(d *desk) (act, error) {
	root, err := p.Root.asRoot(d, "root")
	if err != nil {
		return nil, err
	}
	if err := root.covers(p.Valid); err != nil {
		return nil, err
	}
	name := trust.Name{Role: trust.RoleSupervisor, ID: p.Supervisor}
	request, err := readRequest(d, "request", name)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, b *bench) (*signatory, error) {
		s, err := b.signatory(ctx, root)
		if err != nil {
			return nil, err
		}
		_, err = b.output("certificate", func() ([]byte, error) {
			return s.certify(name, request.PublicKey, p.Valid, false)
		})
		return s, err
	}, nil
}

// readRequest reads a certificate request: signed by the key that is to be
// certified, and for that name and no other.
func readRequest(d *desk, field string, name trust.Name) (*x509.CertificateRequest, error) {
	der, err := d.pem(field, typeRequest)
	if err != nil {
		return nil, err
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInput, field, err)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInput, field, errors.Join(trust.ErrSignature, err))
	}
	asked := &x509.Certificate{
		URIs: request.URIs, DNSNames: request.DNSNames, EmailAddresses: request.EmailAddresses, IPAddresses: request.IPAddresses,
	}
	if got, err := trust.NameOf(asked); err != nil || got != name {
		return nil, fmt.Errorf("%w: %s: %w: the request is not for %s", ErrInput, field, trust.ErrRole, name)
	}
	return request, nil
}

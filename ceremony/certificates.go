package ceremony

import (
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/trust"
)

// rootPlan makes the central bank's root.
type rootPlan struct {
	head   `yaml:",inline"`
	Token  tokenRef `yaml:"token"`
	Key    string   `yaml:"key"`
	Valid  validity `yaml:"valid"`
	Output struct {
		Certificate string `yaml:"certificate"`
	} `yaml:"output"`
}

func (p *rootPlan) validate() error {
	return first(p.Token.validate("token"), checkLabel("key", p.Key), p.Valid.validate(), checkPaths(nil, p.outputs()...))
}

func (p *rootPlan) outputs() []string { return []string{p.Output.Certificate} }

func (p *rootPlan) prepare(*desk) (act, error) { return p.perform, nil }

func (p *rootPlan) perform(ctx context.Context, b *bench) error {
	key, err := b.newECDSA(ctx, &p.Token, p.Key, elliptic.P384())
	if err != nil {
		return err
	}
	der, err := trust.CreateRoot(key, p.Valid.From.Time, p.Valid.Until.Time)
	if err != nil {
		return err
	}
	out := encodePEM(der)
	if _, err := trust.ParseRoot(out); err != nil {
		return fmt.Errorf("ceremony: the new root: %w", err)
	}
	return b.write(p.Output.Certificate, out, false)
}

// newECDSA generates a key under an unused label; package hsm audits it and
// tries it.
func (b *bench) newECDSA(ctx context.Context, ref *tokenRef, label string, curve elliptic.Curve) (*hsm.ECDSAKey, error) {
	t, err := b.token(ctx, ref)
	if err != nil {
		return nil, err
	}
	key, err := t.GenerateECDSA(ctx, label, curve)
	if err != nil {
		return nil, err
	}
	id, err := keyID(key.Public())
	if err != nil {
		return nil, err
	}
	b.made(t, label, "EC "+curve.Params().Name, id)
	return key, nil
}

// issuerPlan makes a bank's master key.
type issuerPlan struct {
	head   `yaml:",inline"`
	Bank   string    `yaml:"bank"`
	Token  tokenRef  `yaml:"token"`
	Key    string    `yaml:"key"`
	Valid  validity  `yaml:"valid"`
	Root   authority `yaml:"root"`
	Output struct {
		Certificate string `yaml:"certificate"`
	} `yaml:"output"`
}

func (p *issuerPlan) validate() error {
	return first(checkID("bank", p.Bank), p.Token.validate("token"), checkLabel("key", p.Key), p.Valid.validate(),
		p.Root.validate("root"), checkPaths(nil, p.outputs()...))
}

func (p *issuerPlan) outputs() []string { return []string{p.Output.Certificate} }

func (p *issuerPlan) prepare(d *desk) (act, error) {
	root, err := p.Root.asRoot(d)
	if err != nil {
		return nil, err
	}
	if err := root.covers(p.Valid); err != nil {
		return nil, err
	}
	n := newCertificate{
		by: root, name: trust.Name{Role: trust.RoleBank, ID: p.Bank}, curve: elliptic.P384(), isCA: true,
		token: &p.Token, key: p.Key, valid: p.Valid, output: p.Output.Certificate,
	}
	return n.perform, nil
}

// signingPlan makes a bank's online signing key.
type signingPlan struct {
	head   `yaml:",inline"`
	Bank   string    `yaml:"bank"`
	Token  tokenRef  `yaml:"token"`
	Key    string    `yaml:"key"`
	Valid  validity  `yaml:"valid"`
	Root   string    `yaml:"root"`
	Master authority `yaml:"master"`
	Output struct {
		Chain string `yaml:"chain"`
	} `yaml:"output"`
}

func (p *signingPlan) validate() error {
	return first(checkID("bank", p.Bank), p.Token.validate("token"), checkLabel("key", p.Key), p.Valid.validate(),
		p.Master.validate("master"), checkPaths(map[string]string{"root": p.Root}, p.outputs()...))
}

func (p *signingPlan) outputs() []string { return []string{p.Output.Chain} }

func (p *signingPlan) prepare(d *desk) (act, error) {
	master, err := p.Master.asMaster(d, p.Root, p.Bank)
	if err != nil {
		return nil, err
	}
	if err := master.covers(p.Valid); err != nil {
		return nil, err
	}
	n := newCertificate{
		by: master, name: trust.Name{Role: trust.RoleSigning, ID: p.Bank}, curve: elliptic.P256(),
		token: &p.Token, key: p.Key, valid: p.Valid, output: p.Output.Chain,
	}
	return n.perform, nil
}

// newCertificate is a key to be generated and certified.
type newCertificate struct {
	by     *certified
	name   trust.Name
	curve  elliptic.Curve
	isCA   bool
	token  *tokenRef
	key    string
	valid  validity
	output string
}

// perform finds the certifying key first: a key that nobody can certify
// would only take up its label.
func (n *newCertificate) perform(ctx context.Context, b *bench) error {
	signer, err := n.by.signer(ctx, b)
	if err != nil {
		return err
	}
	key, err := b.newECDSA(ctx, n.token, n.key, n.curve)
	if err != nil {
		return err
	}
	out, _, err := n.by.issue(signer, n.name, key.Public(), n.valid, n.isCA)
	if err != nil {
		return err
	}
	return b.write(n.output, out, false)
}

// certifyPlan certifies a supervisor's own key from his request.
type certifyPlan struct {
	head       `yaml:",inline"`
	Supervisor string    `yaml:"supervisor"`
	Request    string    `yaml:"request"`
	Valid      validity  `yaml:"valid"`
	Root       authority `yaml:"root"`
	Output     struct {
		Certificate string `yaml:"certificate"`
	} `yaml:"output"`
}

func (p *certifyPlan) validate() error {
	return first(checkID("supervisor", p.Supervisor), p.Valid.validate(), p.Root.validate("root"),
		checkPaths(map[string]string{"request": p.Request}, p.outputs()...))
}

func (p *certifyPlan) outputs() []string { return []string{p.Output.Certificate} }

func (p *certifyPlan) prepare(d *desk) (act, error) {
	root, err := p.Root.asRoot(d)
	if err != nil {
		return nil, err
	}
	if err := root.covers(p.Valid); err != nil {
		return nil, err
	}
	name := trust.Name{Role: trust.RoleSupervisor, ID: p.Supervisor}
	request, err := readRequest(d, p.Request, name)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, b *bench) error {
		signer, err := root.signer(ctx, b)
		if err != nil {
			return err
		}
		out, _, err := root.issue(signer, name, request.PublicKey, p.Valid, false)
		if err != nil {
			return err
		}
		return b.write(p.Output.Certificate, out, false)
	}, nil
}

// readRequest reads a certificate request: signed by the key that is to be
// certified, and for that name and no other.
func readRequest(d *desk, path string, name trust.Name) (*x509.CertificateRequest, error) {
	der, err := d.pem(path, typeRequest)
	if err != nil {
		return nil, err
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInput, path, err)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInput, path, errors.Join(trust.ErrSignature, err))
	}
	asked := &x509.Certificate{
		URIs: request.URIs, DNSNames: request.DNSNames, EmailAddresses: request.EmailAddresses, IPAddresses: request.IPAddresses,
	}
	if got, err := trust.NameOf(asked); err != nil || got != name {
		return nil, fmt.Errorf("%w: %s: %w: the request is not for %s", ErrInput, path, trust.ErrRole, name)
	}
	return request, nil
}

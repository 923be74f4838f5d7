package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/trust"
)

// maxFile bounds every file that a configuration names, in bytes.
const maxFile = 8 << 20

var errConfig = errors.New("configuration")

// hsmConfig names a token. The PIN comes from a file of mode 0600.
type hsmConfig struct {
	Module   string `yaml:"module"`
	Token    string `yaml:"token"`
	PINFile  string `yaml:"pin_file"`
	Sessions int    `yaml:"sessions"`
}

// issuerConfig is issuer.yaml. Relative paths are taken from its directory.
type issuerConfig struct {
	Root         string        `yaml:"root"`
	Keyset       string        `yaml:"keyset"`
	SigningChain string        `yaml:"signing_chain"`
	SigningKey   string        `yaml:"signing_key"`
	HSM          hsmConfig     `yaml:"hsm"`
	Database     string        `yaml:"database"`
	Listen       string        `yaml:"listen"`
	AdminSocket  string        `yaml:"admin_socket"`
	Groups       []groupSource `yaml:"groups"`
}

// groupSource is a group manager whose members' coins the bank takes back.
type groupSource struct {
	ID  string `yaml:"id"`
	URL string `yaml:"url"`
}

// groupConfig is group.yaml.
type groupConfig struct {
	ID          string      `yaml:"id"`
	Root        string      `yaml:"root"`
	Chain       string      `yaml:"chain"`
	SigningKey  string      `yaml:"signing_key"`
	SealKey     string      `yaml:"seal_key"`
	Sealed      string      `yaml:"sealed"`
	Supervision []string    `yaml:"supervision"`
	EKRoots     string      `yaml:"ek_roots"`
	HSM         hsmConfig   `yaml:"hsm"`
	Database    string      `yaml:"database"`
	Listen      string      `yaml:"listen"`
	AdminSocket string      `yaml:"admin_socket"`
	Epoch       epochConfig `yaml:"epoch"`
}

// epochConfig numbers the epochs from Start, which is epoch 1.
type epochConfig struct {
	Start  time.Time     `yaml:"start"`
	Length time.Duration `yaml:"length"`
}

// loadYAML reads a strict configuration: an unknown field is an error.
func loadYAML(path string, into any) (base, error) {
	b, err := readFile(path)
	if err != nil {
		return "", err
	}
	if err := yaml.Load(b, into, yaml.WithKnownFields()); err != nil {
		return "", fmt.Errorf("%w: %s: %w", errConfig, path, err)
	}
	return base(filepath.Dir(path)), nil
}

// base is the directory that relative paths are taken from.
type base string

func (b base) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(string(b), p)
}

func (b base) read(p string) ([]byte, error) {
	if p == "" {
		return nil, fmt.Errorf("%w: a file is missing", errConfig)
	}
	return readFile(b.path(p))
}

func readFile(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if fi.Size() > maxFile {
		return nil, fmt.Errorf("%w: %s: %d bytes", errConfig, path, fi.Size())
	}
	return os.ReadFile(path)
}

func (b base) root(p string) (*trust.Root, error) {
	raw, err := b.read(p)
	if err != nil {
		return nil, err
	}
	return trust.ParseRoot(raw)
}

// chain reads a file of PEM certificates, leaf first.
func (b base) chain(p string) ([]*x509.Certificate, error) {
	raw, err := b.read(p)
	if err != nil {
		return nil, err
	}
	chain, err := parseChain(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	return chain, nil
}

// parseChain reads PEM certificates, leaf first.
func parseChain(raw []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, raw = pem.Decode(raw); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errConfig, err)
		}
		out = append(out, cert)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: no certificate in it", errConfig)
	}
	return out, nil
}

func (b base) token(ctx context.Context, c hsmConfig, a *app) (*hsm.Token, error) {
	pin, err := hsm.ReadPIN(b.path(c.PINFile))
	if err != nil {
		return nil, err
	}
	defer pin.Destroy()
	return hsm.Open(ctx, hsm.Config{Module: c.Module, TokenLabel: c.Token, PIN: pin, Sessions: c.Sessions, Logger: a.log})
}

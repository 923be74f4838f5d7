package ceremony

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/hsm"
)

// tokenRef names a token in a plan.
type tokenRef struct {
	Module  string `yaml:"module"`
	Label   string `yaml:"label"`
	Serial  string `yaml:"serial,omitempty"`
	PINFile string `yaml:"pin_file"`
}

func (r *tokenRef) validate(field string) error {
	if !filepath.IsAbs(r.Module) {
		return fmt.Errorf("%w: %s.module is not an absolute path: a search path finds what somebody put there", ErrPlan, field)
	}
	if r.Label == "" {
		return fmt.Errorf("%w: %s.label is missing", ErrPlan, field)
	}
	return checkPaths(map[string]string{field + ".pin_file": r.PINFile})
}

// Key is a key that a ceremony made.
type Key struct {
	Token string `json:"token"`
	Label string `json:"label"`
	Kind  string `json:"kind"` // "EC P-384", "RSA 3072", "AES 256"
	// ID is the hex SHA-256 of the public key's SubjectPublicKeyInfo, for a
	// denomination key its key id; empty for a secret key.
	ID string `json:"id,omitempty"`
}

// Output is a file that a ceremony left.
type Output struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"` // hex
}

// Result says what a ceremony did.
type Result struct {
	Ceremony Kind            `json:"ceremony"`
	Plan     string          `json:"plan_sha256"` // hex
	At       time.Time       `json:"at"`
	Tokens   []hsm.TokenInfo `json:"tokens"`
	Keys     []Key           `json:"keys"`
	Outputs  []Output        `json:"outputs"`
}

// Runner runs plans.
type Runner struct {
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Logger gets one record per step; nil is silence.
	Logger *slog.Logger
	// Modules are PKCS#11 libraries that this process has open already; they
	// are used and left open. A library can't be opened twice.
	Modules []*hsm.Module
	// Progress is called after each of the total keys of a plan was made;
	// nil is silence.
	Progress func(done, total int)
}

// Run checks the plan, opens its tokens and performs it. On an error after a
// key was made, the returned Result says which keys are there.
func (r *Runner) Run(ctx context.Context, p *Plan) (*Result, error) {
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	at := now().UTC().Truncate(time.Second)
	perform, err := p.prepare(at)
	if err != nil {
		return nil, err
	}
	b := &bench{dir: p.dir, at: at, log: r.Logger, progress: r.Progress, given: r.Modules, result: &Result{
		Ceremony: p.Kind, Plan: hex.EncodeToString(p.Digest[:]), At: at,
		Tokens: []hsm.TokenInfo{}, Keys: []Key{}, Outputs: []Output{},
	}}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	err = perform(ctx, b)
	if err != nil && len(b.result.Keys) > 0 {
		err = fmt.Errorf("%w (labels taken meanwhile: %s)", err, b.labels())
	}
	return b.result, errors.Join(err, b.close())
}

// labels are those of the keys that were made.
func (b *bench) labels() string {
	var out []string
	for _, k := range b.result.Keys {
		out = append(out, k.Token+"/"+k.Label)
	}
	return strings.Join(out, ", ")
}

// bench is where the act happens: tokens that are open, and what was done.
type bench struct {
	dir      string
	at       time.Time
	log      *slog.Logger
	progress func(done, total int)
	given    []*hsm.Module
	modules  []*hsm.Module
	tokens   []openToken
	result   *Result
}

type openToken struct {
	ref   tokenRef
	token *hsm.Token
}

// token opens the token once; a plan may name it in several places.
func (b *bench) token(ctx context.Context, ref *tokenRef) (*hsm.Token, error) {
	for _, o := range b.tokens {
		if o.ref.Module == ref.Module && o.ref.Label == ref.Label && o.ref.Serial == ref.Serial {
			return o.token, nil
		}
	}
	pin, err := hsm.ReadPIN(inDir(b.dir, ref.PINFile))
	if err != nil {
		return nil, err
	}
	defer pin.Destroy()
	m, err := b.module(ref.Module)
	if err != nil {
		return nil, err
	}
	t, err := m.Token(ctx, hsm.Config{TokenLabel: ref.Label, Serial: ref.Serial, PIN: pin, Sessions: 1, Logger: b.log})
	if err != nil {
		return nil, err
	}
	b.tokens = append(b.tokens, openToken{ref: *ref, token: t})
	b.result.Tokens = append(b.result.Tokens, t.Info())
	return t, nil
}

func (b *bench) module(path string) (*hsm.Module, error) {
	for _, m := range slices.Concat(b.given, b.modules) {
		if m.Path() == path {
			return m, nil
		}
	}
	m, err := hsm.OpenModule(path)
	if err != nil {
		return nil, err
	}
	b.modules = append(b.modules, m)
	return m, nil
}

// close closes the tokens, and the modules that were opened here.
func (b *bench) close() error {
	var errs []error
	for _, o := range b.tokens {
		errs = append(errs, o.token.Close())
	}
	for _, m := range b.modules {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

// made notes a key.
func (b *bench) made(t *hsm.Token, label, kind, id string) {
	b.result.Keys = append(b.result.Keys, Key{Token: t.Info().Label, Label: label, Kind: kind, ID: id})
	b.log.Info("key made and audited", "token", t.Info().Label, "label", label, "kind", kind, "id", id)
}

// write leaves an output.
func (b *bench) write(path string, data []byte, secret bool) error {
	mode := paper.Public
	if secret {
		mode = paper.Secret
	}
	path = inDir(b.dir, path)
	if err := paper.Write(path, data, mode); err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	b.result.Outputs = append(b.result.Outputs, Output{Path: path, SHA256: hex.EncodeToString(sum[:])})
	b.log.Info("output written", "path", path)
	return nil
}

// keyID names a public key: hex SHA-256 of its SubjectPublicKeyInfo.
func keyID(pub any) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", fmt.Errorf("ceremony: public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

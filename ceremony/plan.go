package ceremony

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/trust"
)

// MaxPlan bounds a plan file, in bytes.
const MaxPlan = 64 << 10

// Kind says which ceremony a plan is for.
type Kind string

// The ceremonies.
const (
	KindRoot          Kind = "root"
	KindIssuer        Kind = "issuer"
	KindSigning       Kind = "signing"
	KindDenominations Kind = "denominations"
	KindGroup         Kind = "group"
	KindCertify       Kind = "certify"
)

// Plan is a plan that was read and makes sense by itself.
type Plan struct {
	Kind Kind
	// Digest is SHA-256 of the plan's bytes, comments included.
	Digest [32]byte
	dir    string
	body   body
}

// body is what the plans of the several kinds have in common.
type body interface {
	// validate checks the plan by itself: no file, no token, no clock.
	validate() error
	// outputs are the files that the ceremony leaves.
	outputs() []string
	// prepare reads and verifies the inputs, and returns the act itself.
	prepare(d *desk) (act, error)
}

// head is the first line of every plan.
type head struct {
	Ceremony Kind `yaml:"ceremony"`
}

// Parse reads a plan. Relative paths in it are taken from dir, the plan's own
// directory. Unknown fields, fields named twice and a second document are
// refused. Errors: ErrPlan, ErrWeak.
func Parse(data []byte, dir string) (*Plan, error) {
	if len(data) > MaxPlan {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrPlan, len(data), MaxPlan)
	}
	var h head
	if err := yaml.Load(data, &h); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlan, err)
	}
	b, err := newBody(h.Ceremony)
	if err != nil {
		return nil, err
	}
	if err := yaml.Load(data, b, yaml.WithKnownFields()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlan, err)
	}
	if err := b.validate(); err != nil {
		return nil, err
	}
	return &Plan{Kind: h.Ceremony, Digest: sha256.Sum256(data), dir: dir, body: b}, nil
}

// ReadPlan reads a plan file.
func ReadPlan(path string) (*Plan, error) {
	data, err := paper.Read(path, MaxPlan)
	if err != nil {
		return nil, err
	}
	p, err := Parse(data, filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func newBody(k Kind) (body, error) {
	switch k {
	case KindRoot:
		return &rootPlan{}, nil
	case KindIssuer:
		return &issuerPlan{}, nil
	case KindSigning:
		return &signingPlan{}, nil
	case KindDenominations:
		return &denominationsPlan{}, nil
	case KindGroup:
		return &groupPlan{}, nil
	case KindCertify:
		return &certifyPlan{}, nil
	case "":
		return nil, fmt.Errorf("%w: it does not say which ceremony it is for", ErrPlan)
	}
	return nil, fmt.Errorf("%w: unknown ceremony %q", ErrPlan, k)
}

// Outputs are the files that running the plan leaves.
func (p *Plan) Outputs() []string {
	var out []string
	for _, path := range p.body.outputs() {
		out = append(out, inDir(p.dir, path))
	}
	return out
}

// Check does everything that Run does before it touches a token: outputs are
// free, inputs are there and verify at the given time.
func (p *Plan) Check(at time.Time) error {
	_, err := p.prepare(at)
	return err
}

func (p *Plan) prepare(at time.Time) (act, error) {
	if err := paper.Free(p.Outputs()...); err != nil {
		return nil, err
	}
	return p.body.prepare(&desk{dir: p.dir, at: at})
}

func inDir(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// instant is a time in a plan: RFC 3339, UTC, whole seconds.
type instant struct{ time.Time }

const instantLayout = "2006-01-02T15:04:05Z"

// UnmarshalYAML takes the text as it is written: YAML's own timestamps have a
// dozen forms, and a date without a zone means another moment to each reader.
func (i *instant) UnmarshalYAML(node *yaml.Node) error {
	t, err := time.Parse(instantLayout, node.Value)
	if err != nil || node.Kind != yaml.ScalarNode || t.Format(instantLayout) != node.Value {
		return fmt.Errorf("line %d: a time is written like %s", node.Line, instantLayout)
	}
	i.Time = t.UTC()
	return nil
}

// validity is how long a certificate is to be valid.
type validity struct {
	From  instant `yaml:"from"`
	Until instant `yaml:"until"`
}

func (v validity) validate() error {
	if v.From.IsZero() || v.Until.IsZero() || !v.From.Before(v.Until.Time) {
		return fmt.Errorf("%w: valid: from must lie before until", ErrPlan)
	}
	return nil
}

// labelForm is what a key label looks like: people type it, and it must show
// the same in every tool.
var labelForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,47}$`)

func checkLabel(field, label string) error {
	if !labelForm.MatchString(label) {
		return fmt.Errorf("%w: %s: a key label is 1 to 48 of A-Z a-z 0-9 . _ -, beginning with a letter or digit", ErrPlan, field)
	}
	return nil
}

func checkID(field, id string) error {
	if err := trust.CheckID(id); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrPlan, field, err)
	}
	return nil
}

// checkPaths demands that every named file is given, and no two outputs are
// the same.
func checkPaths(fields map[string]string, outputs ...string) error {
	for field, path := range fields {
		if path == "" {
			return fmt.Errorf("%w: %s is missing", ErrPlan, field)
		}
	}
	seen := make(map[string]bool)
	for _, path := range outputs {
		if path == "" {
			return fmt.Errorf("%w: an output is missing", ErrPlan)
		}
		if seen[filepath.Clean(path)] {
			return fmt.Errorf("%w: two outputs are the same file", ErrPlan)
		}
		seen[filepath.Clean(path)] = true
	}
	return nil
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

package ceremony

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/hsm"
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
	KindSupervisors   Kind = "supervisors" // see Runner.Step
	KindRotate        Kind = "rotate"
	KindRevoke        Kind = "revoke"
	KindRestore       Kind = "restore"
	KindDestroy       Kind = "destroy"
	KindPlatform      Kind = "platform"
)

// Plan is a plan that was read and makes sense by itself. Its input files are
// read once, when they are first needed: what was digested is what is used.
// A Plan belongs to one goroutine at a time.
type Plan struct {
	Kind Kind

	text  []byte
	dir   string
	body  body
	files []file // nil until the inputs are read
}

// common is what stands in every plan.
type common struct {
	Ceremony Kind `yaml:"ceremony"`
	// Officers is the roster's file: who approves, and how many must.
	Officers string `yaml:"officers"`
	// Follows is the transcript of the ceremony before this one.
	Follows string `yaml:"follows,omitempty"`
	// Absent names attributes that the tokens may lack (hsm.Config.Absent).
	Absent []string `yaml:"absent,omitempty"`
}

func (c *common) base() *common { return c }

// record is the part of every plan's output that says where the transcript
// goes.
type record struct {
	Transcript string `yaml:"transcript"`
}

// body is what the plans of the several kinds have in common.
type body interface {
	base() *common
	transcript() string
	// validate checks the plan by itself: no file, no token, no clock.
	validate() error
	// inputs are the files that it reads besides roster and transcript before,
	// outputs those that it leaves besides the transcript. Fields that are
	// optional and empty are left out.
	inputs() []input
	outputs() []product
	// tokens are all tokens and keys that it names, made those that come into
	// being, in the order in which they do.
	tokens() []named
	made() []newKey
	// prepare reads and verifies the inputs, and returns the act itself.
	prepare(d *desk) (act, error)
	// describe adds to the table what this kind has to say.
	describe(t *Table)
	// answers are those of whom one must close the transcript, verify the
	// claims of this kind, from what the ceremony left.
	answers() []trust.Name
	verify(c *check)
}

// maxOutput bounds what a ceremony writes, in bytes.
const maxOutput = trust.MaxJWS

// input is a file that a plan reads, by the field that names it.
type input struct {
	field, path string
	max         int // bytes
}

// product is a file that a ceremony leaves.
type product struct {
	field, path string
	secret      bool
}

func (o product) mode() fs.FileMode {
	if o.secret {
		return paper.Secret
	}
	return paper.Public
}

// named is a URI in a plan, by its field.
type named struct {
	field string
	uri   uri
}

// newKey is a key that is to be made.
type newKey struct {
	uri  *hsm.URI // with the label as object
	kind string   // "EC P-384", "RSA 3072", "AES 256"
}

// Parse reads a plan. Relative paths in it are taken from dir, the plan's own
// directory; no file is opened. Unknown fields, fields named twice, anchors,
// aliases, merge keys and a second document are refused. Errors: ErrPlan,
// ErrWeak.
func Parse(data []byte, dir string) (*Plan, error) {
	if len(data) > MaxPlan {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrPlan, len(data), MaxPlan)
	}
	var tree yaml.Node
	if err := yaml.Load(data, &tree); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlan, paper.YAMLError(err))
	}
	if err := checkPlain(&tree); err != nil {
		return nil, err
	}
	var head common
	if err := yaml.Load(data, &head); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlan, paper.YAMLError(err))
	}
	b, err := newBody(head.Ceremony)
	if err != nil {
		return nil, err
	}
	if err := yaml.Load(data, b, yaml.WithKnownFields()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlan, paper.YAMLError(err))
	}
	if err := b.validate(); err != nil {
		return nil, err
	}
	if err := first(checkFiles(b, dir), checkTokens(b), checkMade(b)); err != nil {
		return nil, err
	}
	return &Plan{Kind: head.Ceremony, text: data, dir: dir, body: b}, nil
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
		return &mintPlan{}, nil
	case KindGroup:
		return &groupPlan{}, nil
	case KindCertify:
		return &certifyPlan{}, nil
	case KindSupervisors:
		return &supervisorsPlan{}, nil
	case KindRotate:
		return &rotatePlan{}, nil
	case KindRevoke:
		return &revokePlan{}, nil
	case KindRestore:
		return &restorePlan{}, nil
	case KindDestroy:
		return &destroyPlan{}, nil
	case KindPlatform:
		return &platformPlan{}, nil
	case "":
		return nil, fmt.Errorf("%w: it does not say which ceremony it is for", ErrPlan)
	}
	return nil, fmt.Errorf("%w: unknown ceremony %q", ErrPlan, k)
}

// Text is the plan as it was written, not to be modified.
func (p *Plan) Text() []byte { return p.text }

// Outputs are the files that running the plan leaves, besides the transcript.
func (p *Plan) Outputs() []string {
	var out []string
	for _, o := range p.body.outputs() {
		out = append(out, p.path(o.path))
	}
	return out
}

// TranscriptPath is where the ceremony is recorded.
func (p *Plan) TranscriptPath() string { return p.path(p.body.transcript()) }

// product is an output by its field.
func (p *Plan) product(field string) product {
	all := p.body.outputs()
	return all[slices.IndexFunc(all, func(o product) bool { return o.field == field })]
}

func (p *Plan) path(path string) string { return inDir(p.dir, path) }

func inDir(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// file is an input that was read.
type file struct {
	transcript.Input
	data []byte
}

// inputsOf are all files that a plan reads, in the order in which the digest
// takes them: the roster, the transcript before, then those of the kind.
func inputsOf(b body) []input {
	all := []input{{"officers", b.base().Officers, approval.MaxRoster}}
	if b.base().Follows != "" {
		all = append(all, input{"follows", b.base().Follows, transcript.MaxSize})
	}
	return append(all, b.inputs()...)
}

// load reads the inputs, once.
func (p *Plan) load() error {
	if p.files != nil {
		return nil
	}
	var files []file
	for _, in := range inputsOf(p.body) {
		data, err := paper.Read(p.path(in.path), in.max)
		if err != nil {
			return fmt.Errorf("%s: %w", in.field, err)
		}
		files = append(files, file{transcript.Input{Field: in.field, Path: in.path, SHA256: sha256.Sum256(data)}, data})
	}
	p.files = files
	return nil
}

// Inputs are the files that the plan reads, in the order of the digest. It
// returns the error of a file that can't be read.
func (p *Plan) Inputs() ([]transcript.Input, error) {
	if err := p.load(); err != nil {
		return nil, err
	}
	return p.inputs(), nil
}

// inputs are those of a plan that was loaded.
func (p *Plan) inputs() []transcript.Input {
	var out []transcript.Input
	for _, f := range p.files {
		out = append(out, f.Input)
	}
	return out
}

// Digest is what officers approve: it covers the plan, comments included, and
// every input, so that a changed input is a changed plan. PIN files are none.
func (p *Plan) Digest() ([32]byte, error) {
	inputs, err := p.Inputs()
	if err != nil {
		return [32]byte{}, err
	}
	return transcript.PlanDigest(p.text, inputs), nil
}

// Roster is who approves this plan.
func (p *Plan) Roster() (*approval.Roster, error) {
	if err := p.load(); err != nil {
		return nil, err
	}
	return approval.ParseRoster(p.files[0].data)
}

// Rosters are those of whom each must reach its own threshold: the plan's own
// first, and that of the ceremony before if the officers change. Officers of
// any of them approve. That the transcript before is a good one, Check and Run
// find out. Errors: approval.ErrRoster, transcript.ErrBroken.
func (p *Plan) Rosters() ([]*approval.Roster, error) {
	all, _, err := p.rosters()
	return all, err
}

// rosters are Rosters, and the files that they were read from.
func (p *Plan) rosters() (all []*approval.Roster, texts [][]byte, err error) {
	own, err := p.Roster()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: officers: %w", ErrInput, err)
	}
	all, texts = []*approval.Roster{own}, [][]byte{p.files[0].data}
	if p.body.base().Follows == "" {
		return all, texts, nil
	}
	old, text, err := rosterBefore(p.files[1].data)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: follows: %w", ErrInput, err)
	}
	if old.Digest() != own.Digest() {
		all, texts = append(all, old), append(texts, text)
	}
	return all, texts, nil
}

// rosterBefore is the roster in a transcript.
func rosterBefore(data []byte) (*approval.Roster, []byte, error) {
	before, err := transcript.Read(data)
	if err != nil {
		return nil, nil, err
	}
	opened, err := before.Opened()
	if err != nil {
		return nil, nil, err
	}
	roster, err := approval.ParseRoster([]byte(opened.Roster))
	return roster, []byte(opened.Roster), err
}

// checkFiles demands that every file is named, and that no output is another
// output or an input, however the paths are written. Without a directory, as
// when others read the plan later, relative paths are only compared with each
// other.
func checkFiles(b body, dir string) error {
	if dir != "" {
		whole, err := filepath.Abs(dir)
		if err != nil {
			return fmt.Errorf("ceremony: the plan's directory: %w", err)
		}
		dir = whole
	}
	where := func(path string) string { return filepath.Clean(inDir(dir, path)) }
	taken := make(map[string]string)
	for _, in := range inputsOf(b) {
		if in.path == "" {
			return fmt.Errorf("%w: %s is missing", ErrPlan, in.field)
		}
		taken[where(in.path)] = in.field
	}
	for _, out := range append(b.outputs(), product{field: "transcript", path: b.transcript()}) {
		clean := where(out.path)
		switch {
		case out.path == "":
			return fmt.Errorf("%w: output %s is missing", ErrPlan, out.field)
		case taken[clean] != "":
			return fmt.Errorf("%w: output %s and %s are the same file", ErrPlan, out.field, taken[clean])
		case strings.HasSuffix(clean, paper.PartSuffix):
			return fmt.Errorf("%w: output %s: %s is what an unfinished output is called", ErrPlan, out.field, paper.PartSuffix)
		}
		taken[clean] = "output " + out.field
	}
	return nil
}

// checkTokens demands that a token's label means one token throughout the
// plan, read with one PIN.
func checkTokens(b body) error {
	seen := make(map[string]string)
	for _, n := range b.tokens() {
		if n.uri.URI == nil {
			return fmt.Errorf("%w: %s is missing", ErrPlan, n.field)
		}
		if n.uri.ModulePath == "" {
			return fmt.Errorf("%w: %s: module-path is missing", ErrPlan, n.field)
		}
		whole := n.uri.WithObject("").String()
		if before, ok := seen[n.uri.Token]; ok && before != whole {
			return fmt.Errorf("%w: %s: token %q is described in two ways", ErrPlan, n.field, n.uri.Token)
		}
		seen[n.uri.Token] = whole
	}
	return nil
}

// checkMade demands that no label is to be given twice in a token, or is that
// of a key that the plan uses.
func checkMade(b body) error {
	seen := make(map[string]*hsm.URI)
	take := func(u *hsm.URI) error {
		name := keyName(u.Token, u.Object)
		if other := seen[name]; other != nil && other != u {
			return fmt.Errorf("%w: two keys have the label %s", ErrPlan, name)
		}
		seen[name] = u
		return nil
	}
	for _, n := range b.tokens() {
		if n.uri.Object == "" {
			continue
		}
		if err := take(n.uri.URI); err != nil {
			return err
		}
	}
	for _, k := range b.made() {
		if err := take(k.uri); err != nil {
			return err
		}
	}
	return nil
}

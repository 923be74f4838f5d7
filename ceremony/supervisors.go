package ceremony

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/trust"
)

// supervisorsPlan generates a group's opening and tracing keys. No machine
// ever holds the secrets: each supervisor runs the plan on his own, step by
// step (Runner.Step), and files are carried between the machines.
type supervisorsPlan struct {
	common      `yaml:",inline"`
	Group       string   `yaml:"group"`
	Supervisors []string `yaml:"supervisors"`
	Threshold   int      `yaml:"threshold"`
	Root        string   `yaml:"root"`
	// Exchange is the directory whose files are carried to the others.
	Exchange string `yaml:"exchange"`
	// Document and Transcript are each supervisor's own, so his id is put into
	// their names: "supervision" is supervision-ALICE.jws.
	Output struct {
		record   `yaml:",inline"`
		Document string `yaml:"document"`
	} `yaml:"output"`

	me string // whose part this is, "" for the plan as such
}

// Fields and names of what supervisors leave.
const (
	fieldDealing  = "dealing"
	fieldDocument = "document"
	typeDocument  = ".jws"
)

func (p *supervisorsPlan) validate() error {
	if err := checkID("group", p.Group); err != nil {
		return err
	}
	for i, id := range p.Supervisors {
		if err := checkID("supervisors", id); err != nil {
			return err
		}
		if slices.Contains(p.Supervisors[:i], id) {
			return fmt.Errorf("%w: supervisors: %s stands twice", ErrPlan, id)
		}
	}
	// One supervisor alone must never be able to open.
	if n := len(p.Supervisors); p.Threshold < 2 || p.Threshold > n || n > group.MaxSupervisors {
		return fmt.Errorf("%w: threshold %d of %d supervisors; at least 2 come together, of at most %d", ErrPlan, p.Threshold, n, group.MaxSupervisors)
	}
	if p.Exchange == "" {
		return fmt.Errorf("%w: exchange is missing", ErrPlan)
	}
	if p.dealing("X") == p.document("X") {
		return fmt.Errorf("%w: output document: that is what dealings are called", ErrPlan)
	}
	return nil
}

// owned puts a supervisor's id into the name of a file.
func owned(path, id, extension string) string {
	ext := filepath.Ext(path)
	stem := strings.TrimSuffix(path, ext)
	if ext == "" {
		ext = extension
	}
	return stem + "-" + id + ext
}

// document and dealing are where a supervisor leaves his, beside each other.
func (p *supervisorsPlan) document(id string) string {
	return owned(p.Output.Document, id, typeDocument)
}

func (p *supervisorsPlan) dealing(id string) string {
	return filepath.Join(filepath.Dir(p.Output.Document), "dealing-"+id+typeDocument)
}

// exchanged is a file in the directory that is carried to the others.
func (p *supervisorsPlan) exchanged(kind, id string) string {
	return filepath.Join(p.Exchange, kind+"-"+id+typeDocument)
}

func (p *supervisorsPlan) transcript() string {
	if p.me == "" || p.Output.Transcript == "" {
		return p.Output.Transcript
	}
	return owned(p.Output.Transcript, p.me, "")
}

func (p *supervisorsPlan) inputs() []input { return []input{{"root", p.Root, maxCertificate}} }

func (p *supervisorsPlan) outputs() []product {
	if p.me == "" {
		return []product{{fieldDocument, p.Output.Document, false}}
	}
	return []product{{fieldDealing, p.dealing(p.me), false}, {fieldDocument, p.document(p.me), false}}
}

func (p *supervisorsPlan) tokens() []named { return nil }
func (p *supervisorsPlan) made() []newKey  { return nil }

// prepare judges the root. The act is not one that a Runner can perform alone.
func (p *supervisorsPlan) prepare(d *desk) (act, error) {
	root, err := d.root("root")
	if err != nil {
		return nil, err
	}
	if d.at.After(root.Certificate().NotAfter) {
		return nil, fmt.Errorf("%w: root: %w", ErrInput, trust.ErrExpired)
	}
	return func(context.Context, *bench) (*signatory, error) { return nil, errByStep() }, nil
}

func errByStep() error {
	return fmt.Errorf("%w: %s are generated step by step, by each supervisor on his own machine", ErrPlan, KindSupervisors)
}

func (p *supervisorsPlan) describe(t *Table) {
	t.row("supervision", p.Group, strings.Join(p.Supervisors, ", "), fmt.Sprintf("any %d of them together can open and trace, fewer can't", p.Threshold))
	t.row("exchange", p.Exchange, "cards, dealings, signed documents", "carried from machine to machine; no secret is in it")
	t.row("secret", "share of each supervisor", "on his machine", "encrypted to his key; the secrets themselves never exist anywhere")
	if p.Threshold == len(p.Supervisors) {
		t.warn("all %d must come together: when one share is lost, nothing can be opened any more", p.Threshold)
	}
}

// As is the plan for one of its supervisors: with his own outputs and
// transcript. The digest is the same. It returns ErrPlan for another kind of
// plan, or for somebody whom the plan does not name.
func (p *Plan) As(supervisor string) (*Plan, error) {
	body, ok := p.body.(*supervisorsPlan)
	if !ok {
		return nil, fmt.Errorf("%w: %s is no ceremony of supervisors", ErrPlan, p.Kind)
	}
	if !slices.Contains(body.Supervisors, supervisor) {
		return nil, fmt.Errorf("%w: %s is not one of its supervisors", ErrPlan, supervisor)
	}
	own := *body
	own.me = supervisor
	return &Plan{Kind: p.Kind, text: p.text, dir: p.dir, body: &own, files: p.files}, nil
}

package ceremony

import (
	"fmt"
	"regexp"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/trust"
)

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

func (i instant) String() string { return i.Format(instantLayout) }

// validity is how long a certificate is to be valid.
type validity struct {
	From  instant `yaml:"from"`
	Until instant `yaml:"until"`
}

func (v validity) validate(field string) error {
	if v.From.IsZero() || v.Until.IsZero() || !v.From.Before(v.Until.Time) {
		return fmt.Errorf("%w: %s: from must lie before until", ErrPlan, field)
	}
	return nil
}

// uri is a PKCS#11 URI in a plan; nil inside if it does not stand there.
type uri struct{ *hsm.URI }

// UnmarshalYAML implements yaml.Unmarshaler.
func (u *uri) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: a key or token is named by one pkcs11: URI", node.Line)
	}
	parsed, err := hsm.ParseURI(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	u.URI = parsed
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

// checkKey demands the URI of a key that is there already.
func (u uri) checkKey(field string) error {
	if u.URI == nil {
		return fmt.Errorf("%w: %s is missing", ErrPlan, field)
	}
	if u.Type != "" && u.Type != "private" {
		return fmt.Errorf("%w: %s: it signs, so its type is private", ErrPlan, field)
	}
	return checkLabel(field+" (object)", u.Object)
}

// checkNewKey demands the URI of a key that is to be made.
func (u uri) checkNewKey(field string) error {
	if u.URI == nil {
		return fmt.Errorf("%w: %s is missing", ErrPlan, field)
	}
	if len(u.ID) > 0 || u.Type != "" {
		return fmt.Errorf("%w: %s: a key that is to be made has no id or type yet", ErrPlan, field)
	}
	return checkLabel(field+" (object)", u.Object)
}

// checkToken demands the URI of a token.
func (u uri) checkToken(field string) error {
	if u.URI == nil {
		return fmt.Errorf("%w: %s is missing", ErrPlan, field)
	}
	if u.Object != "" || len(u.ID) > 0 || u.Type != "" {
		return fmt.Errorf("%w: %s: it names a key where a token is meant", ErrPlan, field)
	}
	return nil
}

func checkID(field, id string) error {
	if err := trust.CheckID(id); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrPlan, field, err)
	}
	return nil
}

// authority is a key that certifies or signs in a ceremony: the root's, a
// bank's master key, a group manager's.
type authority struct {
	Key         uri    `yaml:"key"`
	Certificate string `yaml:"certificate"`
}

func (a *authority) validate(field string) error { return a.Key.checkKey(field + ".key") }

func (a *authority) input(field string) input {
	return input{field + ".certificate", a.Certificate, maxCertificate}
}

func (a *authority) named(field string) named { return named{field + ".key", a.Key} }

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkPlain refuses what makes YAML say in one place what is written in
// another: officers approve what they read.
func checkPlain(n *yaml.Node) error {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return fmt.Errorf("%w: line %d: a plan has no anchors (&) and no aliases (*)", ErrPlan, n.Line)
	case n.Kind == yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			if n.Content[i].Value == "<<" {
				return fmt.Errorf("%w: line %d: a plan has no merge keys (<<)", ErrPlan, n.Content[i].Line)
			}
		}
	}
	for _, child := range n.Content {
		if err := checkPlain(child); err != nil {
			return err
		}
	}
	return nil
}

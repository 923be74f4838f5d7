package ceremony

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/speciecash/specie/trust"
)

// Table says what a plan would do, for people to read before they approve.
type Table struct {
	Ceremony Kind     `json:"ceremony"`
	Rows     []Row    `json:"rows"`
	Warnings []string `json:"warnings"` // what a careful officer would ask about

	at   time.Time
	dir  string // of the plan
	desk *desk  // nil if an input can't be read
}

// Row is one thing that the plan does or uses.
type Row struct {
	Part   string `json:"part"`   // "officers", "input", "token", "key", "certificate", "keyset", "order", "output", …
	Name   string `json:"name"`   // what it is called
	Value  string `json:"value"`  // what the plan says about it
	Effect string `json:"effect"` // what happens to it, may be empty
}

func (t *Table) row(part, name, value, effect string) {
	t.Rows = append(t.Rows, Row{part, name, value, effect})
}

func (t *Table) warn(format string, args ...any) {
	t.Warnings = append(t.Warnings, fmt.Sprintf(format, args...))
}

// Table describes the plan as of the given time. It needs no input: one that
// can't be read is a warning, as is a roster that can't be understood.
func (p *Plan) Table(at time.Time) *Table {
	t := &Table{Ceremony: p.Kind, Rows: []Row{}, Warnings: []string{}, at: at, dir: p.dir}
	if err := p.load(); err != nil {
		t.warn("%v", err)
	} else {
		t.desk = &desk{plan: p, at: at}
		p.describeOfficers(t)
	}
	if p.Kind != KindRoot && p.body.base().Follows == "" {
		t.warn("it follows no ceremony: only the officers that it names itself have to approve")
	}
	t.row("clock", "this machine", instant{at.UTC()}.String(), "what is signed will carry the time of the ceremony's machine: compare it with a clock that you trust")
	p.describeInputs(t)
	p.describeTokens(t)
	for _, k := range p.body.made() {
		t.row("key", keyName(k.uri.Token, k.uri.Object), k.kind, "made inside the token, audited and tried")
	}
	p.body.describe(t)
	for _, o := range p.body.outputs() {
		effect := "written, never over a file"
		if o.secret {
			effect += ", mode 0600"
		}
		t.row("output", o.field, o.path, effect)
	}
	t.row("output", "transcript", p.body.transcript(), "everything that is done, closed by a signature")
	for _, name := range p.body.base().Absent {
		t.warn("the tokens may lack %s", name)
	}
	return t
}

func (p *Plan) describeOfficers(t *Table) {
	rosters, err := p.Rosters()
	if err != nil {
		t.row("officers", p.body.base().Officers, "", "")
		t.warn("%v", err)
		return
	}
	name, form := p.body.base().Officers, "%d of %d must approve"
	for _, roster := range rosters {
		var names []string
		for _, o := range roster.Officers {
			names = append(names, o.Name)
		}
		t.row("officers", name, strings.Join(names, ", "), fmt.Sprintf(form, roster.Threshold, len(names)))
		name, form = p.body.base().Follows, "also %d of %d of the officers before must approve"
	}
	if rosters[0].Threshold == 1 {
		t.warn("a single officer is enough")
	}
}

func (p *Plan) describeInputs(t *Table) {
	for _, in := range inputsOf(p.body) {
		effect := ""
		for _, f := range p.files {
			if f.Field == in.field {
				effect = "sha256 " + f.SHA256.String()
			}
		}
		t.row("input", in.field, in.path, effect)
	}
}

func (p *Plan) describeTokens(t *Table) {
	seen := make(map[string]bool)
	for _, n := range p.body.tokens() {
		u := n.uri
		if seen[u.Token] {
			continue
		}
		seen[u.Token] = true
		value := u.ModulePath
		if u.Serial != "" {
			value += ", serial " + u.Serial
		}
		pin := u.PINSource
		if pin == "" {
			pin = "asked for"
		}
		t.row("token", u.Token, value, "opened; PIN "+pin)
		if u.Serial == "" && slices.ContainsFunc(p.body.made(), func(k newKey) bool { return k.uri.Token == u.Token }) {
			t.warn("token %s has no serial number in the plan: keys are made in whatever token has that label, and the same approvals serve for another one", u.Token)
		}
		t.pin(u.Token, u.PINSource)
		if strings.Contains(strings.ToLower(filepath.Base(u.ModulePath)), "softhsm") {
			t.warn("token %s is in software: whoever copies its files has its keys", u.Token)
		}
	}
}

// pin warns of a PIN file that is not there: the run would stop at it, and it
// is no input, so that nothing else says so before.
func (t *Table) pin(whose, source string) {
	path, ok := strings.CutPrefix(source, "file:")
	if !ok {
		return
	}
	if _, err := os.Stat(inDir(t.dir, path)); errors.Is(err, fs.ErrNotExist) {
		t.warn("token %s: the PIN file %s is not there", whose, path)
	}
}

// usual is how many years a certificate is usually valid, by role.
func usual(r trust.Role) int {
	switch r {
	case trust.RoleRoot:
		return 30
	case trust.RoleBank:
		return 20
	case trust.RoleSigning:
		return 3
	}
	return 10
}

// certificate describes a certificate that is to be made.
func (t *Table) certificate(name trust.Name, v validity, by string) {
	t.row("certificate", name.URN(), fmt.Sprintf("%s to %s", v.From, v.Until), "signed by "+by)
	years := v.Until.Sub(v.From.Time).Hours() / 24 / 365.25
	if most := usual(name.Role); years > float64(most)+0.01 {
		t.warn("the certificate of %s is valid for %.0f years; %d are usual", name, years, most)
	}
	if t.at.After(v.Until.Time) {
		t.warn("the certificate of %s is over before it is made", name)
	}
	if t.at.Before(v.From.Time) {
		t.warn("the certificate of %s begins in the future", name)
	}
}

// instants describes the life of a row of denomination keys.
func (t *Table) instants(name string, s *series) {
	switch {
	case !t.at.Before(s.IssueUntil.Time):
		t.warn("%s: issue_until is over: the keys would never sign", name)
	case t.at.After(s.IssueFrom.Time):
		t.warn("%s: issue_from has begun: nobody learns of these keys before they sign", name)
	}
	if years := s.SpendUntil.Sub(s.IssueUntil.Time).Hours() / 24 / 365.25; years > 15 {
		t.warn("%s: coins are spent for %.0f years after the last is issued", name, years)
	}
}

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

type registerCmd struct {
	Verify registerVerify `cmd:"" help:"Verify that the register only grew between published documents, and count its warrants."`
}

type registerVerify struct {
	rootFlag
	atFlag
	Old      []string `required:"" sep:"none" placeholder:"FILE" type:"existingfile" help:"A group document from before; or an opening, evidence or token, which carry one. Any number of them."`
	New      string   `required:"" placeholder:"FILE" type:"existingfile" help:"The group document that is published now."`
	Register []string `arg:"" type:"existingfile" help:"The register of warrants, from its first entry; several files in order, if it came in parts."`
}

// Help is shown below the flags.
func (registerVerify) Help() string {
	return `Each signed group document holds the head of the register at its time. All heads
must lie on one chain: then no warrant was taken out, changed or put in between.
If this fails with a document that the manager signed, keep both documents: they
convict him.

Examples:
  specie-ceremony register verify --root root.pem --old group-march.jws --new group.jws register.json
  specie-ceremony register verify --root root.pem --old evidence.json --new group.jws register.json`
}

// Run implements the command.
func (c *registerVerify) Run(a *app) error {
	root, err := c.read()
	if err != nil {
		return err
	}
	r, err := readRegister(c.Register)
	if err != nil {
		return err
	}
	published, err := c.document(root, c.New)
	if err != nil {
		return err
	}
	if r.Group != published.ID {
		return fmt.Errorf("%w: the register is of %s, the document of %s", warrant.ErrGroup, r.Group, published.ID)
	}
	for _, path := range c.Old {
		old, err := c.document(root, path)
		if err != nil {
			return err
		}
		if err := published.After(old); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := r.Check(old.Warrants); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	// From the empty register on, so that the counts are of all.
	if err := r.Check(groupdoc.WarrantHead{}, published.Warrants); err != nil {
		return fmt.Errorf("%s: %w", c.New, err)
	}
	return a.print(newRegisterView(r, published, len(c.Old)))
}

// document reads a group document, by itself or out of a file that carries it.
func (c *registerVerify) document(root *trust.Root, path string) (*groupdoc.Document, error) {
	b, err := paper.Read(path, opening.MaxOpening)
	if err != nil {
		return nil, err
	}
	jws := trimLine(b)
	if len(jws) > 0 && jws[0] == '{' {
		var carrier struct {
			Group string `json:"group"`
		}
		if err := strictjson.UnmarshalOpen(jws, opening.MaxOpening, &carrier); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		jws = []byte(carrier.Group)
	}
	d, err := groupdoc.Parse(root, jws, c.time())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// registerView counts the warrants that had been entered when the newest
// document was signed.
type registerView struct {
	Group     string         `json:"group"`
	Documents int            `json:"documents"`
	Entries   uint64         `json:"entries"`
	Head      string         `json:"head"`
	Counts    map[string]int `json:"counts"` // by scope
	Months    []monthView    `json:"months"`
	issued    time.Time
}

type monthView struct {
	Month string `json:"month"` // as 2026-03, UTC
	Open  int    `json:"open"`
	Trace int    `json:"trace"`
	Expel int    `json:"expel"`
}

func newRegisterView(r *warrant.Register, d *groupdoc.Document, old int) *registerView {
	v := &registerView{
		Group: d.ID, Documents: old + 1, Entries: d.Warrants.Size, Head: hexDigest(d.Warrants.Head),
		Counts: map[string]int{}, Months: []monthView{}, issued: d.IssuedAt,
	}
	months := make(map[string]map[warrant.Scope]int)
	for _, e := range r.Entries[:d.Warrants.Size] {
		month := e.At.UTC().Format("2006-01")
		if months[month] == nil {
			months[month] = make(map[warrant.Scope]int)
		}
		months[month][e.Scope]++
		v.Counts[string(e.Scope)]++
	}
	for _, month := range slices.Sorted(maps.Keys(months)) {
		m := months[month]
		v.Months = append(v.Months, monthView{month, m[warrant.Open], m[warrant.Trace], m[warrant.Expel]})
	}
	return v
}

func (v *registerView) text(w io.Writer) {
	fmt.Fprintf(w, "register of %s: %d warrants until %s\n", v.Group, v.Entries, when(v.issued))
	fmt.Fprintf(w, "  it only grew\tbetween the %d documents\n", v.Documents)
	fmt.Fprintf(w, "  head\t%s\n", groups(v.Head))
	if len(v.Months) == 0 {
		return
	}
	fmt.Fprintf(w, "\nmonth\topen\ttrace\texpel\n")
	for _, m := range v.Months {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", m.Month, m.Open, m.Trace, m.Expel)
	}
	fmt.Fprintf(w, "in all\t%d\t%d\t%d\n", v.Counts["open"], v.Counts["trace"], v.Counts["expel"])
}

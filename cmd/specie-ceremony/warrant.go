package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/trust"
)

type warrantCmd struct {
	Draft  warrantDraft  `cmd:"" help:"Write down what is to be allowed, about whom, why and until when."`
	Sign   warrantSign   `cmd:"" help:"Sign a warrant as a supervisor, after its facts were verified and shown."`
	Show   warrantShow   `cmd:"" help:"Show a draft or signed warrant."`
	Verify warrantVerify `cmd:"" help:"Verify that enough supervisors signed, and that it was entered."`
}

// groupFlags are the pinned root and the group's document.
type groupFlags struct {
	rootFlag
	GroupDocument string `required:"" placeholder:"FILE" type:"existingfile" help:"The signed group document."`
}

func (f groupFlags) read(at time.Time) (*trust.Root, *groupdoc.Document, error) {
	root, err := f.rootFlag.read()
	if err != nil {
		return nil, nil, err
	}
	jws, err := readDocument(f.GroupDocument)
	if err != nil {
		return nil, nil, err
	}
	doc, err := groupdoc.Parse(root, jws, at)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.GroupDocument, err)
	}
	return root, doc, nil
}

type warrantDraft struct {
	groupFlags
	factFlags
	Scope     warrant.Scope   `required:"" enum:"open,trace,expel" help:"open: name the payer of one case. trace: find all payments of one member. expel: refuse one member's payments until his epoch ends."`
	Subject   warrant.Subject `placeholder:"SUBJECT" help:"The member, as the group's manager writes it; or give --evidence."`
	Reference string          `required:"" placeholder:"TEXT" help:"File number of the court or authority; at most 64 characters."`
	Reason    string          `required:"" placeholder:"TEXT" help:"Why, in one line and without a name; at most 512 characters."`
	Until     cli.Time        `placeholder:"TIME" help:"The first instant at which it allows nothing any more: a date, or RFC 3339; after 30 days by default, after 366 at most."`
	Out       string          `required:"" placeholder:"FILE" type:"path" help:"Where the draft goes."`
}

// Help is shown below the flags.
func (warrantDraft) Help() string {
	return `Anybody may draft a warrant; it counts with the signatures of as many supervisors
as it takes to open. Banks that trace read reference and reason: no names there.

Examples:
  specie-ceremony warrant draft --scope open --case case.json --keyset keyset-1.jws \
    --group-document group.jws --root root.pem --reference "2 BvR 173/26" \
    --reason "one coin spent twice" --out warrant.json
  specie-ceremony warrant draft --scope trace --evidence evidence.json \
    --group-document group.jws --root root.pem --reference "2 BvR 173/26" \
    --reason "order of the district court" --out warrant.json`
}

// Run implements the command.
func (c *warrantDraft) Run(a *app) error {
	now := time.Now().UTC().Truncate(time.Second)
	root, doc, err := c.groupFlags.read(now)
	if err != nil {
		return err
	}
	if err := paper.Free(c.Out); err != nil {
		return err
	}
	w := warrant.Warrant{
		Group: doc.ID, Scope: c.Scope, Subject: c.Subject, Reference: c.Reference, Reason: c.Reason,
		IssuedAt: now, Until: c.Until.UTC(),
	}
	if c.Until.IsZero() {
		w.Until = now.AddDate(0, 0, 30)
	}
	found, err := c.facts(root, c.GroupDocument, now)
	if err != nil {
		return err
	}
	if w.Subject == "" {
		w.Subject = found.subject
	}
	if w.Subject == "" {
		return errors.New("whom is it about? give --case, --evidence or --subject")
	}
	w.Order = found.order
	if err := found.fit(&w); err != nil {
		return err
	}
	payload, err := warrant.Draft(w)
	if err != nil {
		return err
	}
	if err := paper.Write(c.Out, payload, paper.Public); err != nil {
		return err
	}
	return a.print(&files{
		Done:    fmt.Sprintf("draft of a warrant to %s, for %d of the supervisors of %s to sign", w.Scope, doc.Supervision.Key.K, doc.ID),
		Written: []string{c.Out}, Digest: hexDigest(sha256.Sum256(payload)),
	})
}

type warrantSign struct {
	officerFlags
	groupFlags
	factFlags
	Draft string `arg:"" type:"existingfile" help:"The draft."`
	Out   string `required:"" placeholder:"FILE" type:"path" help:"Where the signature goes."`
	Yes   bool   `help:"Don't ask: it was read before."`
}

// Help is shown below the flags.
func (warrantSign) Help() string {
	return `Verifies and shows what the warrant is about, and asks. A warrant to open is
signed only with its case at hand, one behind which an order of the officers
stands only with that order. For a member, --evidence shows who he is, if an
opening has named him; else you sign for an id.

Examples:
  specie-ceremony warrant sign warrant.json --dir alice --root root.pem \
    --group-document group.jws --case case.json --keyset keyset-1.jws --out warrant-alice.jws
  specie-ceremony warrant sign warrant.json --dir alice --root root.pem \
    --group-document group.jws --evidence evidence.json --out warrant-alice.jws`
}

// Run implements the command.
func (c *warrantSign) Run(a *app) error {
	now := time.Now()
	root, doc, err := c.groupFlags.read(now)
	if err != nil {
		return err
	}
	payload, err := paper.Read(c.Draft, warrant.MaxPayload)
	if err != nil {
		return err
	}
	w, err := warrant.Read(payload)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Draft, err)
	}
	found, err := c.facts(root, c.GroupDocument, now)
	if err != nil {
		return err
	}
	if err := found.demand(w); err != nil {
		return err
	}
	if err := found.fit(w); err != nil {
		return err
	}
	if err := paper.Free(c.Out); err != nil {
		return err
	}
	o, err := c.open(a)
	if err != nil {
		return err
	}
	if err := c.ask(a, o.ID, w, found); err != nil {
		return err
	}
	jws, err := o.SignWarrant(root, doc.Supervision, payload, now)
	if err != nil {
		return err
	}
	if err := paper.Write(c.Out, jws, paper.Public); err != nil {
		return err
	}
	return a.print(&files{Done: o.ID + " signed the warrant " + w.Reference, Written: []string{c.Out}, Digest: hexDigest(w.Digest)})
}

// ask lets the supervisor see what he signs.
func (c *warrantSign) ask(a *app, id string, w *warrant.Warrant, found *facts) error {
	view := newWarrantView(w)
	if err := (&app{ctx: a.ctx, out: a.out.Beside()}).print(&toSign{view, found}); err != nil {
		return err
	}
	if c.Yes {
		return nil
	}
	yes, err := a.out.Confirm(id + ": do you sign this?")
	if err != nil {
		return err
	}
	if !yes {
		return errors.New("not signed")
	}
	return nil
}

// toSign is a warrant with the facts that were verified.
type toSign struct {
	warrantView
	facts *facts
}

func (v *toSign) text(w io.Writer) {
	fmt.Fprintf(w, "warrant for group %s\n", v.Group)
	v.lines(w)
	v.facts.lines(w)
	fmt.Fprintf(w, "  compare\t%s\n", groups(v.Digest))
}

type warrantShow struct {
	rootFlag
	atFlag
	Files []string `arg:"" type:"existingfile" help:"A draft, or supervisors' signatures on one warrant."`
}

// Help is shown below the flags.
func (warrantShow) Help() string {
	return `Shows what a warrant says, and who signed it. Whether they are enough, and
supervisors of that group, is for: specie-ceremony warrant verify.

Example:
  specie-ceremony warrant show --root root.pem warrant-alice.jws warrant-carol.jws`
}

// Run implements the command.
func (c *warrantShow) Run(a *app) error {
	root, err := c.read()
	if err != nil {
		return err
	}
	var shown *warrant.Warrant
	for _, path := range c.Files {
		b, err := readDocument(path)
		if err != nil {
			return err
		}
		w, by, err := readWarrant(root, b, c.time())
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if shown == nil {
			shown = w
		}
		if w.Digest != shown.Digest {
			return fmt.Errorf("%s: %w: another warrant", path, warrant.ErrSigner)
		}
		if by != "" {
			shown.Signers = append(shown.Signers, by)
		}
	}
	return a.print((*shownWarrant)(shown))
}

// readWarrant reads a draft, or one supervisor's signature.
func readWarrant(root *trust.Root, b []byte, at time.Time) (w *warrant.Warrant, by string, err error) {
	if len(b) > 0 && b[0] == '{' {
		w, err = warrant.Read(b)
		return w, "", err
	}
	w, _, by, err = warrant.Signed(root, b, at)
	return w, by, err
}

// shownWarrant is a warrant whose signatures verify; how many are needed it
// doesn't say.
type shownWarrant warrant.Warrant

func (v *shownWarrant) text(w io.Writer) {
	view := newWarrantView((*warrant.Warrant)(v))
	fmt.Fprintf(w, "warrant for group %s\n", v.Group)
	view.lines(w)
	by := "nobody"
	if len(v.Signers) > 0 {
		by = strings.Join(v.Signers, ", ")
	}
	fmt.Fprintf(w, "  signed by\t%s\n", by)
	fmt.Fprintf(w, "  compare\t%s\n", groups(view.Digest))
}

type warrantVerify struct {
	groupFlags
	atFlag
	Register   []string `sep:"none" placeholder:"FILE" type:"existingfile" help:"The register of warrants: verifies that it was entered too."`
	Signatures []string `arg:"" type:"existingfile" help:"The supervisors' signatures."`
}

// Help is shown below the flags.
func (warrantVerify) Help() string {
	return `Example:
  specie-ceremony warrant verify --root root.pem --group-document group.jws \
    --register register.json warrant-alice.jws warrant-carol.jws`
}

// Run implements the command.
func (c *warrantVerify) Run(a *app) error {
	root, doc, err := c.read(c.time())
	if err != nil {
		return err
	}
	signatures, err := readDocuments(c.Signatures)
	if err != nil {
		return err
	}
	if len(c.Register) == 0 {
		w, err := warrant.Parse(root, doc.Supervision, signatures, c.time())
		if err != nil {
			return err
		}
		return a.print(&verifiedWarrant{warrantView: newWarrantView(w)})
	}
	register, err := readRegister(c.Register)
	if err != nil {
		return err
	}
	_, e, err := warrant.Prove(root, doc, signatures, register)
	if err != nil {
		return err
	}
	if err := e.InForce(c.time()); err != nil {
		return err
	}
	return a.print(&verifiedWarrant{warrantView: newWarrantView(e.Warrant), Entry: e.Entry.Seq, At: &e.Entry.At})
}

// verifiedWarrant is one that k supervisors signed.
type verifiedWarrant struct {
	warrantView
	Entry uint64     `json:"entry,omitempty"`
	At    *time.Time `json:"entered_at,omitempty"`
}

func (v *verifiedWarrant) text(w io.Writer) {
	fmt.Fprintf(w, "warrant for group %s, in force\n", v.Group)
	v.lines(w)
	fmt.Fprintf(w, "  signed by\t%s\n", strings.Join(v.Signers, ", "))
	if v.At == nil {
		fmt.Fprintf(w, "  register\tnot looked at: give --register\n")
	} else {
		fmt.Fprintf(w, "  register\tentry %d, %s\n", v.Entry, when(*v.At))
	}
	fmt.Fprintf(w, "  compare\t%s\n", groups(v.Digest))
}

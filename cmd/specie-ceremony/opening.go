package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/opening"
)

type openingCmd struct {
	Partial openingPartial `cmd:"" help:"Make a supervisor's part: verify the case, then use his share."`
	Combine openingCombine `cmd:"" help:"Put the parts of enough supervisors together."`
	Attach  openingAttach  `cmd:"" help:"Add the group manager's statement: evidence."`
	Verify  openingVerify  `cmd:"" help:"Verify evidence offline and say who it was."`
}

// atFlag is the time at which certificates are judged.
type atFlag struct {
	At cli.Time `placeholder:"TIME" help:"Judge certificates at this time instead of now: a date, or RFC 3339."`
}

func (f atFlag) time() time.Time {
	if f.At.IsZero() {
		return time.Now()
	}
	return f.At.Time
}

// caseFlags are the bank's case and the documents that it is judged by.
type caseFlags struct {
	rootFlag
	Case          string `required:"" placeholder:"FILE" type:"existingfile" help:"The bank's case file."`
	Keyset        string `required:"" placeholder:"FILE" type:"existingfile" help:"The bank's signed keyset."`
	GroupDocument string `required:"" placeholder:"FILE" type:"existingfile" help:"The signed group document."`
}

func (f caseFlags) read(at time.Time) (*opening.Papers, *opening.Case, error) {
	root, err := f.rootFlag.read()
	if err != nil {
		return nil, nil, err
	}
	docs, err := readDocuments([]string{f.Keyset, f.GroupDocument})
	if err != nil {
		return nil, nil, err
	}
	papers, err := opening.ReadPapers(root, docs[0], docs[1], at)
	if err != nil {
		return nil, nil, err
	}
	c, err := readCase(f.Case)
	return papers, c, err
}

func readCase(path string) (*opening.Case, error) {
	b, err := paper.Read(path, opening.MaxCase)
	if err != nil {
		return nil, err
	}
	c, err := opening.ParseCase(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

type openingPartial struct {
	caseFlags
	warrantFlags
	officerFlags
	Out string `required:"" placeholder:"FILE" type:"path" help:"Where the part goes."`
}

// Help is shown below the flags.
func (openingPartial) Help() string {
	return `The warrant is verified first: enough supervisors signed it, for this very case,
it is in force now, and it stands in the register that the group document
publishes. Then the case: one bound coin of the bank in two payments, both
authorised by its owner and not the same payment twice. Only then is the share
used, and on nothing else.

Example:
  specie-ceremony opening partial --dir alice --root root.pem --case case.json \
    --keyset keyset-1.jws --group-document group.jws --register register.json \
    --warrant warrant-alice.jws --warrant warrant-carol.jws --out part-alice.json`
}

// Run implements the command.
func (c *openingPartial) Run(a *app) error {
	papers, cs, err := c.read(time.Now())
	if err != nil {
		return err
	}
	proof, err := c.prove(papers)
	if err != nil {
		return err
	}
	if err := paper.Free(c.Out); err != nil {
		return err
	}
	o, err := c.open(a)
	if err != nil {
		return err
	}
	share, err := o.Share(papers.Group.ID)
	if err != nil {
		return err
	}
	part, err := opening.Partial(papers, cs, proof, share)
	if err != nil {
		return err
	}
	b, err := part.Marshal()
	if err != nil {
		return err
	}
	if err := paper.Write(c.Out, b, paper.Public); err != nil {
		return err
	}
	return a.print(&files{Done: "part of " + o.ID + " in the opening", Written: []string{c.Out}, Digest: hexDigest(part.Case)})
}

type openingCombine struct {
	caseFlags
	atFlag
	warrantFlags
	Out   string   `required:"" placeholder:"FILE" type:"path" help:"Where the opening goes."`
	Parts []string `arg:"" type:"existingfile" help:"The supervisors' parts."`
}

// Help is shown below the flags.
func (openingCombine) Help() string {
	return `Verifies the warrant, the case and every part. The result goes to the group
manager, who looks the tag up and states whose it is (specied identify).

Example:
  specie-ceremony opening combine --root root.pem --case case.json --keyset keyset-1.jws \
    --group-document group.jws --register register.json --warrant warrant-alice.jws \
    --warrant warrant-carol.jws --out opening.json part-alice.json part-carol.json`
}

// readParts reads the files of supervisors' parts, of at most so many bytes.
func readParts[T any](paths []string, read func(path string, most int) ([]byte, error), most int, parse func([]byte) (T, error)) ([]T, error) {
	var parts []T
	for _, path := range paths {
		b, err := read(path, most)
		if err != nil {
			return nil, err
		}
		part, err := parse(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// Run implements the command.
func (c *openingCombine) Run(a *app) error {
	papers, cs, err := c.read(c.time())
	if err != nil {
		return err
	}
	proof, err := c.prove(papers)
	if err != nil {
		return err
	}
	if err := paper.Free(c.Out); err != nil {
		return err
	}
	parts, err := readParts(c.Parts, paper.Read, opening.MaxPart, opening.ParsePart)
	if err != nil {
		return err
	}
	o, found, err := opening.Combine(papers, cs, proof, parts)
	if err != nil {
		return err
	}
	b, err := o.Marshal()
	if err != nil {
		return err
	}
	if err := paper.Write(c.Out, b, paper.Public); err != nil {
		return err
	}
	return a.print(&files{
		Done:    "opened by " + strings.Join(found.Supervisors, " and ") + fmt.Sprintf(": tag %x", found.Tag),
		Written: []string{c.Out},
	})
}

type openingAttach struct {
	rootFlag
	atFlag
	Opening   string `required:"" placeholder:"FILE" type:"existingfile" help:"What combine wrote."`
	Statement string `required:"" placeholder:"FILE" type:"existingfile" help:"The manager's signed statement."`
	Out       string `required:"" placeholder:"FILE" type:"path" help:"Where the evidence goes."`
}

// Help is shown below the flags.
func (openingAttach) Help() string {
	return `Example:
  specie-ceremony opening attach --root root.pem --opening opening.json \
    --statement statement.jws --out evidence.json`
}

// Run implements the command.
func (c *openingAttach) Run(a *app) error {
	root, err := c.read()
	if err != nil {
		return err
	}
	if err := paper.Free(c.Out); err != nil {
		return err
	}
	b, err := paper.Read(c.Opening, opening.MaxOpening)
	if err != nil {
		return err
	}
	o, err := opening.ParseOpening(b)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Opening, err)
	}
	statement, err := readDocument(c.Statement)
	if err != nil {
		return err
	}
	e, v, err := opening.Attach(root, o, statement, c.time())
	if err != nil {
		return err
	}
	if b, err = e.Marshal(); err != nil {
		return err
	}
	if err := paper.Write(c.Out, b, paper.Public); err != nil {
		return err
	}
	return a.print(newVerdict(v))
}

type openingVerify struct {
	Evidence string `arg:"" type:"existingfile" help:"The evidence file."`
	rootFlag
	atFlag
}

// Help is shown below the flags.
func (openingVerify) Help() string {
	return `Needs nothing but the root certificate. It checks every certificate and
signature, that enough supervisors signed a warrant for this case and that it
was entered in the register while it was in force, that both payments are of one coin and authorised by its owner, the
supervisors' proofs and their number, and that the member's own TPM signed the
registration form, with his name in it, when it made the opened tag. That the
register was not rewritten since, shows: specie-ceremony register verify.

Example:
  specie-ceremony opening verify evidence.json --root root.pem`
}

// Run implements the command.
func (c *openingVerify) Run(a *app) error {
	root, err := c.read()
	if err != nil {
		return err
	}
	b, err := paper.Read(c.Evidence, opening.MaxOpening)
	if err != nil {
		return err
	}
	e, err := opening.ParseEvidence(b)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Evidence, err)
	}
	v, err := e.Verify(root, c.time())
	if err != nil {
		return err
	}
	return a.print(newVerdict(v))
}

package main

import (
	"fmt"
	"io"
	"time"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/opening"
)

type traceCmd struct {
	Partial tracePartial `cmd:"" help:"Make a supervisor's part: verify the warrant and the member's join, then use his share."`
	Combine traceCombine `cmd:"" help:"Put the parts of enough supervisors together: a tracing token."`
	Show    traceShow    `cmd:"" help:"Verify a tracing token as a bank does, and show its warrant."`
}

// memberFlags are a member whom a warrant is about and the group's document.
type memberFlags struct {
	rootFlag
	GroupDocument string `required:"" placeholder:"FILE" type:"existingfile" help:"The signed group document."`
	Statement     string `required:"" placeholder:"FILE" type:"existingfile" help:"The manager's signed statement, with the member's join."`
}

// read returns the papers and the statement.
func (f memberFlags) read(at time.Time) (*opening.Papers, []byte, error) {
	root, err := f.rootFlag.read()
	if err != nil {
		return nil, nil, err
	}
	docs, err := readDocuments([]string{f.GroupDocument, f.Statement})
	if err != nil {
		return nil, nil, err
	}
	papers, err := opening.ReadGroup(root, docs[0], at)
	return papers, docs[1], err
}

type tracePartial struct {
	memberFlags
	warrantFlags
	officerFlags
	Out string `required:"" placeholder:"FILE" type:"path" help:"Where the part goes."`
}

// Help is shown below the flags.
func (tracePartial) Help() string {
	return `The warrant is verified first: enough supervisors signed it, for this very member,
it is in force now, and it stands in the register that the group document
publishes. Then the member's join: only his own escrow is ever decrypted. The
manager hands out the join on the warrant, or evidence was made with it. The
member's TPM signed his name with it: if it is not the one that you mean, give
the part to nobody.

Example:
  specie-ceremony trace partial --dir alice --root root.pem --statement statement.jws \
    --group-document group.jws --register register.json \
    --warrant trace-alice.jws --warrant trace-carol.jws --out token-alice.json`
}

// Run implements the command.
func (c *tracePartial) Run(a *app) error {
	papers, statement, err := c.read(time.Now())
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
	part, err := opening.TracePartial(papers, proof, statement, share)
	if err != nil {
		return err
	}
	member, err := papers.Statement(statement)
	if err != nil {
		return err
	}
	b, err := part.Marshal()
	if err != nil {
		return err
	}
	if err := paper.Write(c.Out, b, paper.Secret); err != nil {
		return err
	}
	return a.print(&files{Done: "part of " + o.ID + " in the trace of " + member.Name, Written: []string{c.Out}, Digest: hexDigest(part.Member)})
}

type traceCombine struct {
	memberFlags
	warrantFlags
	Out   string   `required:"" placeholder:"FILE" type:"path" help:"Where the token goes."`
	Parts []string `arg:"" type:"existingfile" help:"The supervisors' parts."`
}

// Help is shown below the flags.
func (traceCombine) Help() string {
	return `The token goes to the banks that the warrant is for (specied trace). It finds all
payments that this member ever made, so parts and token are secret files; destroy
them when the warrant ends. Neither name nor TPM of the member stand in it.

Example:
  specie-ceremony trace combine --root root.pem --statement statement.jws \
    --group-document group.jws --register register.json --warrant trace-alice.jws \
    --warrant trace-carol.jws --out token.json token-alice.json token-carol.json`
}

// Run implements the command.
func (c *traceCombine) Run(a *app) error {
	papers, statement, err := c.read(time.Now())
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
	parts, err := readParts(c.Parts, paper.ReadSecret, opening.MaxTracePart, opening.ParseTracePart)
	if err != nil {
		return err
	}
	token, err := opening.CombineTrace(papers, proof, statement, parts)
	if err != nil {
		return err
	}
	b, err := token.Marshal()
	if err != nil {
		return err
	}
	if err := paper.Write(c.Out, b, paper.Secret); err != nil {
		return err
	}
	return a.print(newTokenView(token, time.Now(), c.Out))
}

type traceShow struct {
	rootFlag
	atFlag
	Token string `arg:"" type:"existingfile" help:"The tracing token."`
}

// Help is shown below the flags.
func (traceShow) Help() string {
	return `Needs nothing but the root certificate: it verifies that enough supervisors
signed the warrant, that it was entered in the register while it was in force,
and that the token is the one of the member whom it is about. The token itself
is not shown.

Example:
  specie-ceremony trace show token.json --root root.pem`
}

// Run implements the command.
func (c *traceShow) Run(a *app) error {
	root, err := c.read()
	if err != nil {
		return err
	}
	b, err := paper.ReadSecret(c.Token, opening.MaxToken)
	if err != nil {
		return err
	}
	token, err := opening.InspectToken(root, b, c.time())
	if err != nil {
		return fmt.Errorf("%s: %w", c.Token, err)
	}
	return a.print(newTokenView(token, c.time(), ""))
}

// tokenView shows what a token is for, and not the token.
type tokenView struct {
	enteredView
	Member  string `json:"member"`
	InForce bool   `json:"in_force"`
	Written string `json:"written,omitempty"`
}

func newTokenView(t *opening.Token, at time.Time, written string) *tokenView {
	return &tokenView{
		enteredView: newEnteredView(t.Warrant), Member: t.Member.Member.String(),
		InForce: t.Warrant.InForce(at) == nil, Written: written,
	}
}

func (v *tokenView) text(w io.Writer) {
	fmt.Fprintf(w, "tracing token of member %s of %s\n", v.Member, v.Group)
	fmt.Fprintf(w, "  scope\t%s: %s\n", v.Scope, v.what())
	v.enteredView.lines(w)
	term := "in force"
	if !v.InForce {
		term = "not in force"
	}
	fmt.Fprintf(w, "  %s\t%s to %s\n", term, when(v.IssuedAt), when(v.Until))
	if v.Written != "" {
		fmt.Fprintf(w, "  written\t%s; destroy it when the warrant ends\n", v.Written)
	}
}

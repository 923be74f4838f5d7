package main

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/hsm"
)

type planCmd struct {
	Plan string `arg:"" help:"Plan file (YAML)." type:"existingfile"`
}

// Help is shown below the flags.
func (planCmd) Help() string {
	return `Reads the plan and its inputs, touches no token, and says what would happen.
The digest covers the plan and every file that it reads: read the words to each
other, and let the officers approve.

Example:
  specie-ceremony plan ceremonies/04-keyset-1.yaml`
}

// Run implements the command.
func (c *planCmd) Run(a *app) error {
	plan, err := ceremony.ReadPlan(c.Plan)
	if err != nil {
		return err
	}
	now := time.Now()
	if err := plan.Check(now); err != nil {
		return err
	}
	view, err := newPlanView(plan, now)
	if err != nil {
		return err
	}
	return a.print(view)
}

type runCmd struct {
	Plan      string   `arg:"" help:"Plan file (YAML)." type:"existingfile"`
	Approvals []string `name:"approval" sep:"none" placeholder:"FILE" type:"existingfile" help:"An officer's approval; by default all files PLAN.*.approval."`

	As             string `placeholder:"ID" help:"In a ceremony of supervisors: which of them this is."`
	Dir            string `placeholder:"DIR" type:"path" help:"The supervisor's own directory."`
	PassphraseFile string `placeholder:"FILE" type:"existingfile" help:"File with the passphrase of the supervisor's key file."`
}

// Help is shown below the flags.
func (runCmd) Help() string {
	return `Needs the approvals of as many officers as the roster says. The whole plan is
rehearsed on a throw-away SoftHSM token first; then it is done, and every step
is in the transcript before it is taken. A run that was interrupted is given
again, and goes on where it stopped.

Examples:
  specie-ceremony run ceremonies/01-root.yaml
  specie-ceremony run ceremonies/04-keyset-1.yaml --json
  specie-ceremony run ceremonies/07-supervisors.yaml --as ALICE --dir ALICE`
}

// Run implements the command.
func (c *runCmd) Run(a *app) error {
	plan, err := ceremony.ReadPlan(c.Plan)
	if err != nil {
		return err
	}
	approvals, err := c.approvals()
	if err != nil {
		return err
	}
	if plan.Kind == ceremony.KindSupervisors {
		return c.step(a, plan, approvals)
	}
	if c.As != "" || c.Dir != "" || c.PassphraseFile != "" {
		return fmt.Errorf("--as, --dir and --passphrase-file are for a ceremony of supervisors; this plan is for ceremony %s", plan.Kind)
	}
	runner := &ceremony.Runner{Progress: a.out.Bar("keys, rehearsed and made"), Approvals: approvals, AskPIN: a.askPIN}
	result, err := runner.Run(a.ctx, plan)
	if err != nil {
		return err
	}
	return a.print((*ceremonyResult)(result))
}

// approvals are the files that were named, or those beside the plan.
func (c *runCmd) approvals() ([][]byte, error) {
	paths := c.Approvals
	if len(paths) == 0 {
		var err error
		if paths, err = approvalsBeside(c.Plan); err != nil {
			return nil, err
		}
	}
	var out [][]byte
	for _, path := range paths {
		data, err := paper.Read(path, approval.MaxApproval)
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}

// askPIN asks for a PIN that a URI names no source for.
func (a *app) askPIN(prompt string) (hsm.PIN, error) {
	text, err := a.out.AskSecret(prompt)
	if err != nil {
		return hsm.PIN{}, err
	}
	defer clear(text)
	return hsm.NewPIN(bytes.TrimRight(text, "\r\n"))
}

type ceremonyResult ceremony.Result

func (r *ceremonyResult) text(w io.Writer) {
	fmt.Fprintf(w, "ceremony %s done, begun at %s\n", r.Ceremony, when(r.At))
	if r.Resumed {
		fmt.Fprintf(w, "  resumed\tan earlier run was interrupted\n")
	}
	fmt.Fprintf(w, "  plan\tdigest %s\n", groups(r.Plan))
	for _, t := range r.Tokens {
		fmt.Fprintf(w, "  token\t%s, serial %s, %s\n", clean(t.Label), clean(t.Serial), clean(t.Model))
	}
	for _, k := range r.Keys {
		fmt.Fprintf(w, "  key\t%s/%s\t%s\t%s\n", clean(k.Token), k.Label, k.Kind, k.ID)
	}
	for _, o := range r.Outputs {
		fmt.Fprintf(w, "  written\t%s, sha256 %s\n", o.Path, o.SHA256)
	}
	fmt.Fprintf(w, "  recorded\t%s\n", r.Transcript)
}

type abandonCmd struct {
	Plan   string `arg:"" help:"Plan file (YAML) of the ceremony that was interrupted." type:"existingfile"`
	Reason string `required:"" placeholder:"TEXT" help:"Why; it goes into the transcript."`
	As     string `placeholder:"ID" help:"In a ceremony of supervisors: which of them gives up."`
}

// Help is shown below the flags.
func (abandonCmd) Help() string {
	return `Gives up a ceremony that was interrupted: no output of it is left. Keys that
were made stay in their tokens, unused; their labels are taken and are named.

Example:
  specie-ceremony abandon ceremonies/04-keyset-1.yaml --reason "token demobank-online was dropped"`
}

// Run implements the command.
func (c *abandonCmd) Run(a *app) error {
	plan, err := ceremony.ReadPlan(c.Plan)
	if err != nil {
		return err
	}
	if c.As != "" {
		if plan, err = plan.As(c.As); err != nil {
			return err
		}
	}
	left, err := (&ceremony.Runner{}).Abandon(a.ctx, plan, c.Reason)
	if err != nil {
		return err
	}
	return a.print(&abandoned{Plan: c.Plan, Transcript: plan.TranscriptPath(), Keys: left})
}

type abandoned struct {
	Plan       string   `json:"plan"`
	Transcript string   `json:"transcript"`
	Keys       []string `json:"keys"`
}

func (v *abandoned) text(w io.Writer) {
	fmt.Fprintf(w, "abandoned: %s\n", v.Plan)
	for _, key := range v.Keys {
		fmt.Fprintf(w, "  label taken\t%s\n", clean(key))
	}
	fmt.Fprintf(w, "  recorded\t%s\n", v.Transcript)
}

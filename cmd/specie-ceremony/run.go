package main

import (
	"fmt"
	"io"
	"time"

	"github.com/speciecash/specie/ceremony"
)

type runCmd struct {
	Plan string `arg:"" help:"Plan file (YAML)." type:"existingfile"`
}

// Help is shown below the flags.
func (runCmd) Help() string {
	return `A plan says everything: token, labels, dates, inputs, outputs. Paths in it
are relative to the plan's own directory.

Examples:
  specie-ceremony run ceremonies/1-root.yaml
  specie-ceremony run ceremonies/4-denominations.yaml --json`
}

// Run implements the command.
func (c *runCmd) Run(a *app) error {
	plan, err := ceremony.ReadPlan(c.Plan)
	if err != nil {
		return err
	}
	runner := &ceremony.Runner{Progress: a.out.Bar("making keys")}
	result, err := runner.Run(a.ctx, plan)
	if err != nil {
		return err
	}
	return a.print((*ceremonyResult)(result))
}

type ceremonyResult ceremony.Result

func (r *ceremonyResult) text(w io.Writer) {
	fmt.Fprintf(w, "ceremony %s done at %s\n", r.Ceremony, when(r.At))
	fmt.Fprintf(w, "  plan\tsha256 %s\n", r.Plan)
	for _, t := range r.Tokens {
		fmt.Fprintf(w, "  token\t%s, serial %s, %s\n", clean(t.Label), clean(t.Serial), clean(t.Model))
	}
	for _, k := range r.Keys {
		fmt.Fprintf(w, "  key\t%s/%s\t%s\t%s\n", clean(k.Token), k.Label, k.Kind, k.ID)
	}
	for _, o := range r.Outputs {
		fmt.Fprintf(w, "  written\t%s, sha256 %s\n", o.Path, o.SHA256)
	}
}

type checkCmd struct {
	Plan string `arg:"" help:"Plan file (YAML)." type:"existingfile"`
}

// Help is shown below the flags.
func (checkCmd) Help() string {
	return `Does all that "run" does before it opens a token: the plan makes sense, its
inputs are there and verify, its outputs are not there yet.

Example:
  specie-ceremony check ceremonies/4-denominations.yaml`
}

// Run implements the command.
func (c *checkCmd) Run(a *app) error {
	plan, err := ceremony.ReadPlan(c.Plan)
	if err != nil {
		return err
	}
	if err := plan.Check(time.Now()); err != nil {
		return err
	}
	digest, err := plan.Digest()
	if err != nil {
		return err
	}
	return a.print(&checked{Ceremony: plan.Kind, Plan: hexDigest(digest), Outputs: plan.Outputs()})
}

type checked struct {
	Ceremony ceremony.Kind `json:"ceremony"`
	Plan     string        `json:"plan_sha256"`
	Outputs  []string      `json:"outputs"`
}

func (c *checked) text(w io.Writer) {
	fmt.Fprintf(w, "plan for ceremony %s is in order\n", c.Ceremony)
	fmt.Fprintf(w, "  plan\tsha256 %s\n", c.Plan)
	for _, path := range c.Outputs {
		fmt.Fprintf(w, "  will write\t%s\n", path)
	}
}

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/speciecash/specie/ceremony"
)

// step does a supervisor's part of a ceremony of supervisors.
func (c *runCmd) step(a *app, plan *ceremony.Plan, approvals [][]byte) error {
	if c.As == "" || c.Dir == "" {
		return fmt.Errorf("a ceremony of supervisors is run by each of them: give --as and --dir")
	}
	o, err := officerFlags{Dir: c.Dir, PassphraseFile: c.PassphraseFile}.open(a)
	if err != nil {
		return err
	}
	if o.ID != c.As {
		return fmt.Errorf("%s holds the keys of %s, not of %s", c.Dir, o.ID, c.As)
	}
	turn, err := (&ceremony.Runner{Approvals: approvals}).Step(a.ctx, plan, o)
	if err != nil {
		return err
	}
	return a.print((*turnView)(turn))
}

// turnView shows what a supervisor did and what he waits for.
type turnView ceremony.Turn

func (v *turnView) text(w io.Writer) {
	switch {
	case v.Done:
		fmt.Fprintf(w, "%s is done\n", v.Supervisor)
	case len(v.Missing) > 0:
		fmt.Fprintf(w, "%s waits for the %s of %s; give the command again when it is in the exchange directory\n",
			v.Supervisor, v.For, strings.Join(v.Missing, ", "))
	}
	for _, path := range v.Written {
		fmt.Fprintf(w, "  written\t%s\n", path)
	}
	if v.Document != "" {
		fmt.Fprintf(w, "  signed\t%s\n", v.Document)
	}
	if v.Keys != "" {
		fmt.Fprintf(w, "  compare\t%s\n", groups(v.Keys))
	}
	if v.Transcript != "" {
		fmt.Fprintf(w, "  recorded\t%s\n", v.Transcript)
	}
}

package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
)

type verifyCmd struct {
	Transcript string `arg:"" type:"existingfile" help:"Transcript of the ceremony."`
	rootFlag
	Officers string `placeholder:"FILE" type:"existingfile" help:"The roster as it was published; without it, the transcript's own is believed."`
	Dir      string `placeholder:"DIR" type:"existingdir" help:"Where the outputs are; the transcript's directory by default."`
}

// Help is shown below the flags.
func (verifyCmd) Help() string {
	return `Needs what the ceremony left and nothing else: no token, no PKCS#11 library, no
network. It checks the chain of the transcript and its closing signature, the
approvals, every output, and that each certificate and key set says what the
plan said. A claim that needs a file which is not here is "unchecked". Exit
status 1 if any claim fails.

Example:
  specie-ceremony verify 04-keyset-1.transcript --root root.pem --officers officers.yaml`
}

// Run implements the command.
func (c *verifyCmd) Run(a *app) error {
	root, err := c.read()
	if err != nil {
		return err
	}
	v := &ceremony.Verifier{Root: root, Dir: c.Dir}
	if v.Dir == "" {
		v.Dir = filepath.Dir(c.Transcript)
	}
	if c.Officers != "" {
		b, err := paper.Read(c.Officers, approval.MaxRoster)
		if err != nil {
			return err
		}
		if v.Roster, err = approval.ParseRoster(b); err != nil {
			return err
		}
	}
	data, err := paper.Read(c.Transcript, transcript.MaxSize)
	if err != nil {
		return err
	}
	report, err := v.Verify(data)
	if report == nil {
		return fmt.Errorf("%s: %w", c.Transcript, err)
	}
	if perr := a.print((*reportView)(report)); perr != nil {
		return perr
	}
	return err
}

// reportView shows what a verification found.
type reportView ceremony.Report

func (v *reportView) text(w io.Writer) {
	fmt.Fprintf(w, "ceremony %s, %s to %s, closed by %s\n", v.Ceremony, when(v.Began), when(v.Closed), v.By)
	for _, claim := range v.Claims {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", claim.Standing, clean(claim.Claim), clean(claim.Detail))
	}
	fmt.Fprintf(w, "  digest\t%s\n", groups(v.Digest.String()))
}

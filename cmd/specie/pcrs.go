package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/speciecash/specie/tpm"
)

type tpmPCRsCmd struct {
	PCRs string `arg:"" name:"pcrs" optional:"" default:"0,2,4,7" help:"Which registers, such as 7 or 0,2,4,7 (the default)."`
}

func (tpmPCRsCmd) Help() string {
	return `The state that this machine was started in, as its TPM has it: what a group manager
who approves machines needs to know. The lines go under "- name: ..." of his plan as
they are.

Example:
  specie tpm pcrs 0,2,4,7`
}

var errPCRs = errors.New("registers are numbers from 0 to 23 with commas between them")

// parsePCRs reads a list of registers, in any order.
func parsePCRs(text string) ([]int, error) {
	var list []int
	for _, field := range strings.Split(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 0 || n > 23 {
			return nil, errPCRs
		}
		list = append(list, n)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

func (c tpmPCRsCmd) Run(a *app) (err error) {
	list, err := parsePCRs(c.PCRs)
	if err != nil {
		return err
	}
	d, err := tpm.Open(a.ctx, a.tpm)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	values, err := d.PCRs(a.ctx, list)
	if err != nil {
		return err
	}
	sum := tpm.PCRDigest(values)
	digest := hex.EncodeToString(sum[:])
	var held []string
	for _, v := range values {
		held = append(held, hex.EncodeToString(v[:]))
	}
	for _, warning := range pcrWarnings(list, values) {
		a.out.Note("warning: %s", warning)
	}
	return a.out.Result(map[string]any{"pcrs": list, "values": held, "digest": digest}, func(w io.Writer) {
		fmt.Fprintf(w, "    pcrs: [%s]\n    digest: %s\n    values:\n", strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ", "), "[]"), digest)
		for i, n := range list {
			fmt.Fprintf(w, "      - %s # PCR %d\n", held[i], n)
		}
	})
}

// pcrWarnings are about registers that say nothing of how a machine was started.
func pcrWarnings(list []int, values [][32]byte) (out []string) {
	for i, n := range list {
		switch {
		case n == 16 || n == 23:
			out = append(out, fmt.Sprintf("any program can reset PCR %d: don't approve a state by it", n))
		case values[i] == [32]byte{}:
			out = append(out, fmt.Sprintf("PCR %d is all zeros: nothing was measured into it, so it says nothing of this machine", n))
		}
	}
	return out
}

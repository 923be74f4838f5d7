package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/cli"
)

type ekRootsCmd struct {
	Dir   string `arg:"" help:"Directory with manufacturers' certificates." type:"existingdir"`
	Write bool   `help:"Write the draft into the directory instead of printing it."`
}

func (ekRootsCmd) Help() string {
	return `Without a manifest in the directory, drafts one for you to review line by line.
With one, checks it and prints what is taken from whom, roots that look like another
manufacturer's, and the digest that ek_roots.manifest_sha256 can pin.

Example:
  specied ek-roots --write roots
  specied ek-roots roots`
}

// errDrafted: there is a manifest, and it is not written over.
var errDrafted = errors.New("there is a manifest already")

func (c ekRootsCmd) Run(a *app) error {
	_, err := os.Lstat(filepath.Join(c.Dir, attest.Manifest))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c.draft(a)
	case err != nil:
		return err
	case c.Write:
		return fmt.Errorf("%w: %s", errDrafted, filepath.Join(c.Dir, attest.Manifest))
	}
	roots, err := attest.LoadRoots(c.Dir, nil)
	if err != nil {
		return err
	}
	digest := roots.Digest()
	doubts := append([]string{}, roots.Doubts()...)
	return a.out.Result(map[string]any{
		"manifest_sha256": fmt.Sprintf("%x", digest), "manufacturers": roots.Manufacturers(), "doubts": doubts,
	}, func(w io.Writer) {
		var rows [][]string
		for _, m := range roots.Manufacturers() {
			emulated := ""
			if m.Software {
				emulated = "EMULATED"
			}
			rows = append(rows, []string{m.ID, m.EK, strconv.Itoa(m.Roots), strconv.Itoa(m.Intermediates), strconv.Itoa(m.FirmwareRules), emulated})
		}
		cli.Table(w, []string{"MANUFACTURER", "KEY", ">ROOTS", ">INTERMEDIATES", ">FIRMWARE RULES", ""}, rows)
		for _, d := range doubts {
			fmt.Fprintf(w, "look at this: %s\n", cli.OneLine(d))
		}
		fmt.Fprintf(w, "manifest_sha256 %x\n", digest)
	})
}

func (c ekRootsCmd) draft(a *app) error {
	if c.Write {
		if err := attest.WriteManifest(c.Dir); err != nil {
			return err
		}
		path := filepath.Join(c.Dir, attest.Manifest)
		return a.out.Result(map[string]string{"manifest": path}, func(w io.Writer) { fmt.Fprintln(w, path) })
	}
	text, err := attest.BuildManifest(c.Dir)
	if err != nil {
		return err
	}
	return a.out.Result(map[string]string{"draft": string(text)}, func(w io.Writer) { _, _ = w.Write(text) })
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
)

type verifyCmd struct {
	Transcripts []string `arg:"" name:"transcript" type:"existingfile" help:"Transcript of a ceremony; several are also checked against each other."`
	rootFlag
	Officers string `placeholder:"FILE" type:"existingfile" help:"The roster as it was published; without it, the transcript's own is believed."`
	Dir      string `placeholder:"DIR" type:"existingdir" help:"Where the outputs are; the transcript's directory by default."`

	AllowUnchecked bool `help:"Be content with claims that could not be checked."`
}

// Help is shown below the flags.
func (verifyCmd) Help() string {
	return `Needs what the ceremony left and nothing else: no token, no PKCS#11 library, no
network. It checks the chain of the transcript and its closing signature, the
approvals, every output, and that each certificate and key set says what the
plan said. A claim is "unchecked" where it needs a file that is not here, such as
sealed secrets that stayed at home, or a roster that was not given. Exit status 1
if any claim fails or, without --allow-unchecked, is unchecked.

Of several transcripts it also says whether one is missing between them, and
whether two ceremonies follow the same one.

Examples:
  specie-ceremony verify 04-keyset-1.transcript --root root.pem --officers officers.yaml
  specie-ceremony verify *.transcript --root root.pem --officers officers.yaml`
}

// Run implements the command.
func (c *verifyCmd) Run(a *app) error {
	root, err := c.read()
	if err != nil {
		return err
	}
	v := &ceremony.Verifier{Root: root}
	if c.Officers != "" {
		b, err := paper.Read(c.Officers, approval.MaxRoster)
		if err != nil {
			return err
		}
		if v.Roster, err = approval.ParseRoster(b); err != nil {
			return err
		}
	}
	var all verified
	var row []link
	var failed []error
	for _, path := range c.Transcripts {
		data, err := paper.Read(path, transcript.MaxSize)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", path, err))
			continue
		}
		one, err := c.verify(v, path, data)
		if err == nil && !c.AllowUnchecked {
			err = one.unchecked()
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", path, err))
		}
		if one != nil {
			all.Ceremonies = append(all.Ceremonies, one)
			row = append(row, link{path, data})
		}
	}
	if len(c.Transcripts) > 1 && len(failed) == 0 {
		var err error
		if all.Row, err = sequence(row); err != nil {
			failed = append(failed, err)
		}
	}
	if len(all.Ceremonies) > 0 {
		if err := a.print(&all); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

func (c *verifyCmd) verify(v *ceremony.Verifier, path string, data []byte) (*reportView, error) {
	v.Dir = c.Dir
	if v.Dir == "" {
		v.Dir = filepath.Dir(path)
	}
	report, err := v.Verify(data)
	if report == nil {
		return nil, err
	}
	return &reportView{File: path, Report: report}, err
}

// errUnchecked: nothing failed, and something could not be looked at.
var errUnchecked = errors.New("a claim is unchecked")

func (v *reportView) unchecked() error {
	for _, claim := range v.Claims {
		if claim.Standing == ceremony.Unchecked {
			return fmt.Errorf("%w: %s: %s", errUnchecked, claim.Claim, claim.Detail)
		}
	}
	return nil
}

// link is a transcript in a row of several.
type link struct {
	path string
	data []byte
}

// errSequence: the transcripts at hand are not one unbroken row.
var errSequence = errors.New("the transcripts do not follow each other")

// sequence says what is wrong with the transcripts as a row: each but the
// first follows another, and no two the same, or somebody held a ceremony
// beside the others. Supervisors' parts end where they are: each has his own.
func sequence(row []link) (notes []string, err error) {
	heads := make(map[transcript.Hash]string, len(row))
	openings := make([]*transcript.Opened, len(row))
	for i, l := range row {
		t, err := transcript.Read(l.data)
		if err != nil {
			return nil, err
		}
		if openings[i], err = t.Opened(); err != nil {
			return nil, err
		}
		heads[t.Head()] = l.path
	}
	followed := make(map[transcript.Hash]string)
	for i, l := range row {
		path, opened := l.path, openings[i]
		switch {
		case opened.Follows == nil:
			notes = append(notes, path+" follows none: it begins the row")
		case heads[*opened.Follows] == "":
			return notes, fmt.Errorf("%w: the one that %s follows is not here (its end is %s)", errSequence, path, opened.Follows)
		case opened.Ceremony == string(ceremony.KindSupervisors):
		case followed[*opened.Follows] != "":
			return notes, fmt.Errorf("%w: %s and %s both follow %s", errSequence, followed[*opened.Follows], path, heads[*opened.Follows])
		default:
			followed[*opened.Follows] = path
		}
	}
	return notes, nil
}

// verified shows what a verification found, of one ceremony or several.
type verified struct {
	Ceremonies []*reportView `json:"ceremonies"`
	Row        []string      `json:"row,omitempty"`
}

// MarshalJSON implements json.Marshaler: one ceremony is shown by itself.
func (v *verified) MarshalJSON() ([]byte, error) {
	if len(v.Ceremonies) == 1 {
		return json.Marshal(v.Ceremonies[0])
	}
	type plain verified
	return json.Marshal((*plain)(v))
}

func (v *verified) text(w io.Writer) {
	for _, one := range v.Ceremonies {
		one.text(w)
	}
	for _, note := range v.Row {
		fmt.Fprintln(w, note)
	}
}

// reportView is one ceremony's report.
type reportView struct {
	File string `json:"transcript"`
	*ceremony.Report
}

func (v *reportView) text(w io.Writer) {
	fmt.Fprintf(w, "%s: ceremony %s, %s to %s", v.File, v.Ceremony, when(v.Began), when(v.Closed))
	if v.By != "" {
		fmt.Fprintf(w, ", closed by %s", v.By)
	}
	fmt.Fprintln(w)
	for _, claim := range v.Claims {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", claim.Standing, clean(claim.Claim), clean(claim.Detail))
	}
	fmt.Fprintf(w, "  digest\t%s\n", groups(v.Digest.String()))
}

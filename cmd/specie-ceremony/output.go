package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/officer"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/softhsm"
	"github.com/speciecash/specie/trust"
)

// result is what a command has to say.
type result interface {
	// text writes it for people, columns separated by tabs.
	text(w io.Writer)
}

// print writes the result in the form that was asked for.
func (a *app) print(r result) error {
	return a.out.Result(r, func(w io.Writer) {
		tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		r.text(tw)
		_ = tw.Flush()
	})
}

// files is a result that names what was written.
type files struct {
	Done    string   `json:"done"`
	Written []string `json:"written"`
	// Digest is what people compare, hex.
	Digest string `json:"digest,omitempty"`
}

func (f *files) text(w io.Writer) {
	fmt.Fprintln(w, clean(f.Done))
	for _, path := range f.Written {
		fmt.Fprintf(w, "  written\t%s\n", path)
	}
	if f.Digest != "" {
		fmt.Fprintf(w, "  compare\t%s\n", groups(f.Digest))
	}
}

// groups writes hex in groups of four, to be read aloud.
func groups(hexText string) string {
	var out []string
	for len(hexText) > 4 {
		out, hexText = append(out, hexText[:4]), hexText[4:]
	}
	return strings.Join(append(out, hexText), " ")
}

func hexDigest(d [32]byte) string { return hex.EncodeToString(d[:]) }

func when(t time.Time) string { return cli.Moment(t) }

// clean makes a text of a document safe to show, and keeps it in its column.
func clean(s string) string { return cli.OneLine(s) }

// hint says what to do about an error, where that is not plain from it.
func hint(err error) string {
	for _, h := range []struct {
		is   error
		text string
	}{
		{paper.ErrExists, "a ceremony is held once: look at what is there with show; a new one names other files"},
		{transcript.ErrOpen, "give the same run again to go on, or: specie-ceremony abandon"},
		{ceremony.ErrInterrupted, "run that plan to its end, or give it up: specie-ceremony abandon"},
		{approval.ErrQuorum, "each officer approves with: specie-ceremony approve"},
		{approval.ErrDigest, "compare the digest: the plan or a file that it reads has changed; move old approvals away"},
		{approval.ErrUnknownOfficer, "move the file away; only those on the plan's roster approve"},
		{errUnchecked, "bring the file, or say --allow-unchecked"},
		{ceremony.ErrNeeded, "revoke the key, or wait until nothing is spent under it any more"},
		{ceremony.ErrClock, "set the machine's clock"},
		{softhsm.ErrNotInstalled, "every plan is rehearsed on SoftHSM: apt-get install softhsm2"},
		{hsm.ErrDuplicateLabel, "a label is used once and for ever; choose another in the plan"},
		{hsm.ErrPIN, "do not try again with the same PIN file: tokens lock themselves"},
		{hsm.ErrAudit, "do not use this key; make a new one in a ceremony"},
		{hsm.ErrTokenNotFound, "look with the tool of the token's maker; for SoftHSM, is SOFTHSM2_CONF set?"},
		{hsm.ErrModule, "is module-path the PKCS#11 library of the token's maker? Of SoftHSM, is SOFTHSM2_CONF set?"},
		{syscall.ENOSPC, "make room, and give the same command again"},
		{ceremony.ErrWeak, "2048 bits are for keys that issue at most 90 days and whose coins are spent before 2031"},
		{group.ErrQuorum, "collect the parts of more supervisors"},
		{warrant.ErrQuorum, "each supervisor signs with: specie-ceremony warrant sign"},
		{warrant.ErrUnregistered, "the group's manager enters it; then fetch his group document and register again"},
		{warrant.ErrRegister, "fetch the group document and the whole register again; if it stays so, keep both: they convict the manager"},
		{groupdoc.ErrRollback, "fetch the newest group document; if both are, keep them: they convict the manager"},
		{warrant.ErrExpired, "draft and sign a new one"},
		{officer.ErrNotCertified, "run: specie-ceremony supervisor accept"},
		{fs.ErrNotExist, "a file that is named is not there; paths in a plan are relative to the plan"},
		{trust.ErrExpired, "for what was made in the past, give with --at a time within those two, where the command has it"},
	} {
		if errors.Is(err, h.is) {
			return h.text
		}
	}
	return ""
}

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/groupclient"
)

type warrantCmd struct {
	Enter warrantEnterCmd `cmd:"" help:"Enter a warrant that the supervisors signed in the public register."`
	List  warrantListCmd  `cmd:"" help:"List the register."`
	Show  warrantShowCmd  `cmd:"" help:"Write out a warrant as it was entered."`
	Save  warrantSaveCmd  `cmd:"" help:"Save the whole register with the document that publishes it."`
}

// readWarrant reads the signatures under one warrant, a file each.
func readWarrant(files []string) (groupclient.WarrantPapers, error) {
	var out groupclient.WarrantPapers
	for _, f := range files {
		jws, err := readFile(f)
		if err != nil {
			return out, err
		}
		out.Warrant = append(out.Warrant, string(bytes.TrimSpace(jws)))
	}
	return out, nil
}

type warrantEnterCmd struct {
	Socket string   `help:"The group manager's admin socket." required:"" type:"path" placeholder:"SOCKET"`
	Signed []string `arg:"" help:"What \"specie-ceremony warrant sign\" wrote, one file for each supervisor." type:"existingfile"`
}

func (warrantEnterCmd) Help() string {
	return `The group's document is signed anew at once, so that everybody sees that there
is one warrant more. Repeating it is harmless.

Example:
  specied warrant enter anna.jws boris.jws --socket group.sock`
}

func (c warrantEnterCmd) Run(a *app) error {
	api, err := groupAdmin(c.Socket)
	if err != nil {
		return err
	}
	papers, err := readWarrant(c.Signed)
	if err != nil {
		return err
	}
	r, err := api.EnterWarrantWithResponse(a.ctx, papers)
	if err != nil {
		return err
	}
	if r.JSON200 == nil {
		return client.ReadProblem(r.HTTPResponse, r.Body)
	}
	e := newEntryView(r.JSON200)
	return a.out.Result(e, func(w io.Writer) {
		fmt.Fprintf(w, "number %d, to %s, digest %s\n", e.Seq, e.Scope, e.Warrant)
	})
}

// entryView is an entry of the register, with digests in hex: that is how
// supervisors compare them and how they are named on the command line.
type entryView struct {
	Seq     int64     `json:"seq"`
	At      time.Time `json:"at"`
	Scope   string    `json:"scope"`
	Warrant string    `json:"warrant"`
	Prev    string    `json:"prev"`
}

func newEntryView(e *groupclient.WarrantEntry) entryView {
	return entryView{
		Seq: e.Seq, At: time.Time(e.At), Scope: string(e.Scope),
		Warrant: hex.EncodeToString(e.Warrant), Prev: hex.EncodeToString(e.Prev),
	}
}

type warrantListCmd struct {
	Socket string `help:"The group manager's admin socket." required:"" type:"path" xor:"where" placeholder:"SOCKET"`
	URL    string `help:"Or his public address: everybody may read the register." required:"" xor:"where" placeholder:"URL"`
	After  int64  `help:"Begin behind this number." placeholder:"N"`
}

func (warrantListCmd) Help() string {
	return `At most 500 entries are shown at once.

Examples:
  specied warrant list --socket group.sock
  specied warrant list --url https://group.example`
}

func (c warrantListCmd) client() (*groupclient.ClientWithResponses, error) {
	if c.Socket != "" {
		return groupAdmin(c.Socket)
	}
	return groupclient.NewClientWithResponses(c.URL, groupclient.WithHTTPClient(&http.Client{Timeout: time.Minute}))
}

func (c warrantListCmd) Run(a *app) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	r, err := api.GetWarrantsWithResponse(a.ctx, &groupclient.GetWarrantsParams{After: &c.After})
	if err != nil {
		return err
	}
	if r.JSON200 == nil {
		return client.ReadProblem(r.HTTPResponse, r.Body)
	}
	register := struct {
		Group   string      `json:"group"`
		Entries []entryView `json:"entries"`
	}{r.JSON200.Group, make([]entryView, len(r.JSON200.Entries))}
	for i := range r.JSON200.Entries {
		register.Entries[i] = newEntryView(&r.JSON200.Entries[i])
	}
	return a.out.Result(register, func(w io.Writer) {
		var rows [][]string
		for _, e := range register.Entries {
			rows = append(rows, []string{strconv.FormatInt(e.Seq, 10), cli.When(e.At), e.Scope, e.Warrant})
		}
		cli.Table(w, []string{">NUMBER", "ENTERED", "SCOPE", "DIGEST"}, rows)
	})
}

type warrantShowCmd struct {
	Socket string `help:"The group manager's admin socket." required:"" type:"path" placeholder:"SOCKET"`
	Digest string `arg:"" help:"The warrant's digest, 64 hex digits, as the list shows it."`
	Out    string `help:"Directory for the signatures, one new file each; it is made if it is not there." required:"" type:"path" placeholder:"FILE"`
}

func (warrantShowCmd) Help() string {
	return "Example:\n  specied warrant show 3f0a… --socket group.sock --out papers"
}

func (c warrantShowCmd) Run(a *app) error {
	digest, err := hex.DecodeString(c.Digest)
	if err != nil || len(digest) != 32 {
		return cli.Usage(errors.New("a digest is 64 hex digits"))
	}
	api, err := groupAdmin(c.Socket)
	if err != nil {
		return err
	}
	r, err := api.GetWarrantPapersWithResponse(a.ctx, base64.RawURLEncoding.EncodeToString(digest))
	if err != nil {
		return err
	}
	if r.JSON200 == nil {
		return client.ReadProblem(r.HTTPResponse, r.Body)
	}
	if err := os.MkdirAll(c.Out, 0o700); err != nil {
		return err
	}
	var files []string
	for i, jws := range r.JSON200.Warrant {
		name := filepath.Join(c.Out, fmt.Sprintf("warrant-%d.jws", i+1))
		if err := writeNew(name, []byte(jws)); err != nil {
			return err
		}
		files = append(files, name)
	}
	return a.out.Result(map[string][]string{"files": files}, func(w io.Writer) {
		for _, f := range files {
			fmt.Fprintln(w, f)
		}
	})
}

type transcriptCmd struct {
	Socket  string   `help:"The group manager's admin socket." required:"" type:"path" placeholder:"SOCKET"`
	ID      string   `arg:"" help:"The member's id."`
	Warrant []string `help:"The warrant's signatures, one file for each supervisor; repeat the flag." required:"" type:"existingfile" placeholder:"FILE"`
	Out     string   `help:"Where the signed statement goes; the file must be new." required:"" type:"path" placeholder:"FILE"`
}

func (transcriptCmd) Help() string {
	return `Supervisors make a member's tracing token from his join transcript. The manager
hands it out only on their warrant to trace or expel that member, which must be
in force and stand in the register.

Example:
  specied transcript --warrant anna.jws --warrant boris.jws --socket group.sock --out member.jws -- MEMBER`
}

func (c transcriptCmd) Run(a *app) error {
	api, err := groupAdmin(c.Socket)
	if err != nil {
		return err
	}
	papers, err := readWarrant(c.Warrant)
	if err != nil {
		return err
	}
	r, err := api.HandOutTranscriptWithResponse(a.ctx, c.ID, papers)
	if err != nil {
		return err
	}
	if r.JSON200 == nil {
		return client.ReadProblem(r.HTTPResponse, r.Body)
	}
	if err := writeNew(c.Out, []byte(r.JSON200.Statement)); err != nil {
		return err
	}
	return a.out.Result(map[string]string{"statement": c.Out}, func(w io.Writer) { fmt.Fprintln(w, c.Out) })
}

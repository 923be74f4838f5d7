package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/groupclient"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/trust"
)

type warrantSaveCmd struct {
	URL      string `help:"The group manager's public address." required:"" placeholder:"URL"`
	Root     string `help:"The pinned root certificate." required:"" type:"existingfile" env:"SPECIE_ROOT" placeholder:"FILE"`
	Register string `help:"Where the register goes; the file must be new." required:"" type:"path" placeholder:"FILE"`
	Document string `help:"Where the group document goes, whose head the register leads to; the file must be new." required:"" type:"path" placeholder:"FILE"`
}

func (warrantSaveCmd) Help() string {
	return `What supervisors take to their own machines, and what everybody should keep: with
a document from before, "specie-ceremony register verify" shows that no warrant was
taken out since.

Example:
  specied warrant save --url https://group.example --root root.pem --register register.json --document group.jws`
}

func (c warrantSaveCmd) Run(a *app) error {
	pem, err := readFile(c.Root)
	if err != nil {
		return err
	}
	root, err := trust.ParseRoot(pem)
	if err != nil {
		return err
	}
	doc, register, err := saveRegister(a.ctx, root, c.URL)
	if err != nil {
		return err
	}
	b, err := register.Marshal()
	if err != nil {
		return err
	}
	if err := writeNew(c.Register, b); err != nil {
		return err
	}
	if err := writeNew(c.Document, doc); err != nil {
		return err
	}
	return a.out.Result(map[string]any{"register": c.Register, "document": c.Document, "entries": len(register.Entries)}, func(w io.Writer) {
		fmt.Fprintf(w, "%d warrants in %s, published by %s\n", len(register.Entries), c.Register, c.Document)
	})
}

// saveRegister fetches the group's document and the whole register up to the
// head in it. What is entered in between is left for the next time.
func saveRegister(ctx context.Context, root *trust.Root, url string) ([]byte, *warrant.Register, error) {
	hc := client.NewHTTP(time.Minute)
	jws, err := client.GroupDocument(ctx, hc, url)
	if err != nil {
		return nil, nil, err
	}
	doc, err := groupdoc.Parse(root, jws, time.Now())
	if err != nil {
		return nil, nil, err
	}
	api, err := groupclient.NewClientWithResponses(url, groupclient.WithHTTPClient(hc))
	if err != nil {
		return nil, nil, err
	}
	all := &warrant.Register{Group: doc.ID}
	for uint64(len(all.Entries)) < doc.Warrants.Size {
		page, err := registerPage(ctx, api, int64(len(all.Entries)))
		if err != nil {
			return nil, nil, err
		}
		if page.Group != doc.ID || len(page.Entries) == 0 {
			return nil, nil, fmt.Errorf("%w: it ends after %d entries, of which the document has %d", warrant.ErrRegister, len(all.Entries), doc.Warrants.Size)
		}
		all.Entries = append(all.Entries, page.Entries...)
	}
	all.Entries = all.Entries[:doc.Warrants.Size]
	return jws, all, all.Check(groupdoc.WarrantHead{}, doc.Warrants)
}

func registerPage(ctx context.Context, api *groupclient.ClientWithResponses, after int64) (*warrant.Register, error) {
	r, err := api.GetWarrantsWithResponse(ctx, &groupclient.GetWarrantsParams{After: &after})
	if err != nil {
		return nil, err
	}
	if r.HTTPResponse.StatusCode != http.StatusOK {
		return nil, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return warrant.ParseRegister(r.Body)
}

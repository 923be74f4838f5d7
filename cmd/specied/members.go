package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/groupclient"
)

type membersCmd struct {
	Socket string `help:"The group manager's admin socket." required:"" type:"path" placeholder:"SOCKET"`
	After  string `help:"The id of the last member of the page before." placeholder:"ID"`
	Limit  int    `help:"Members on a page, 500 at most." default:"50"`
	Names  bool   `help:"Show names too. The manager notes in his log that it was asked."`
	Count  bool   `help:"Only count them by state."`
}

func (membersCmd) Help() string {
	return "Examples:\n  specied members --socket group.sock\n  specied members --socket group.sock --names\n  specied members --socket group.sock --count"
}

func (c membersCmd) Run(a *app) error {
	api, err := groupAdmin(c.Socket)
	if err != nil {
		return err
	}
	if c.Count {
		return c.count(a, api)
	}
	if c.Limit < 1 || c.Limit > 500 {
		return cli.Usage(errors.New("--limit is 1 to 500"))
	}
	p := &groupclient.GetMembersParams{Limit: &c.Limit, Names: &c.Names}
	if c.After != "" {
		p.After = &c.After
	}
	r, err := api.GetMembersWithResponse(a.ctx, p)
	if err != nil {
		return err
	}
	if r.JSON200 == nil {
		return client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return a.out.Result(r.JSON200, func(w io.Writer) { c.table(w, r.JSON200) })
}

func (c membersCmd) table(w io.Writer, page *groupclient.Members) {
	headers := []string{"MEMBER", "STATE", ">EPOCH", "JOINED", "CONTINUES", "CONTINUED BY"}
	if c.Names {
		headers = append(headers, "NAME")
	}
	var rows [][]string
	for _, m := range page.Members {
		row := []string{m.Id, string(m.State), strconv.FormatInt(m.Epoch, 10), cli.When(m.JoinedAt), or(m.Succeeds, "-"), or(m.SucceededBy, "-")}
		if c.Names {
			row = append(row, or(m.Name, ""))
		}
		rows = append(rows, row)
	}
	cli.Table(w, headers, rows)
	if page.Next != nil {
		fmt.Fprintf(w, "more: --after=%s\n", *page.Next)
	}
}

func or(s *string, none string) string {
	if s == nil {
		return none
	}
	return *s
}

func (c membersCmd) count(a *app, api *groupclient.ClientWithResponses) error {
	r, err := api.GetStatisticsWithResponse(a.ctx)
	if err != nil {
		return err
	}
	if r.JSON200 == nil {
		return client.ReadProblem(r.HTTPResponse, r.Body)
	}
	s := r.JSON200
	return a.out.Result(s, func(w io.Writer) {
		number := func(n int64) string { return strconv.FormatInt(n, 10) }
		cli.Table(w, []string{"WHAT", ">NUMBER"}, [][]string{
			{"active members", number(s.Members.Active)},
			{"revoked, may be continued", number(s.Members.Revoked)},
			{"continued by another", number(s.Members.Succeeded)},
			{"expelled", number(s.Members.Expelled)},
			{"registrations under way", number(s.Sessions)},
			{"warrants to open", number(s.Warrants.Open)},
			{"warrants to trace", number(s.Warrants.Trace)},
			{"warrants to expel", number(s.Warrants.Expel)},
		})
	})
}

type memberCmd struct {
	Socket string `help:"The group manager's admin socket." required:"" type:"path" placeholder:"SOCKET"`
	ID     string `arg:"" help:"The member's id."`
}

func (memberCmd) Help() string {
	return "The subject is what a warrant to trace or expel him is about.\n\nExample:\n  specied member --socket group.sock -- MEMBER"
}

func (c memberCmd) Run(a *app) error {
	api, err := groupAdmin(c.Socket)
	if err != nil {
		return err
	}
	r, err := api.GetMemberWithResponse(a.ctx, c.ID)
	if err != nil {
		return err
	}
	if r.JSON200 == nil {
		return client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return printMember(a, r.JSON200)
}

func printMember(a *app, m *groupclient.Member) error {
	return a.out.Result(m, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s, %s, epoch %d, joined %s\n", m.Id, or(m.Name, ""), m.State, m.Epoch, cli.When(m.JoinedAt))
		if m.Succeeds != nil {
			fmt.Fprintf(w, "continues %s\n", *m.Succeeds)
		}
		if m.SucceededBy != nil {
			fmt.Fprintf(w, "continued by %s\n", *m.SucceededBy)
		}
		if t := m.Tpm; t != nil {
			emulated := ""
			if t.Software {
				emulated = ", EMULATED"
			}
			fmt.Fprintf(w, "TPM of %s, model %q, firmware %q%s\n", t.Manufacturer, t.Model, t.Version, emulated)
		}
		fmt.Fprintf(w, "subject %s\n", m.Subject)
	})
}

type expelCmd struct {
	Socket string `help:"The group manager's admin socket." required:"" type:"path" placeholder:"SOCKET"`
	ID     string `arg:"" help:"The member's id."`
	Yes    bool   `help:"Don't ask: it was confirmed before."`
}

const expelMeans = "This can't be undone: no credential for a later epoch, and no code to begin again."

func (expelCmd) Help() string {
	return `The member gets no credential for later epochs, and no code to begin again. This
can't be undone, so it shows who it is and asks. A person whose TPM was cleared or
is gone: see readmit.

Example:
  specied expel --socket group.sock -- MEMBER`
}

func (c expelCmd) Run(a *app) error {
	api, err := groupAdmin(c.Socket)
	if err != nil {
		return err
	}
	if err := a.consent(api, c.ID, expelMeans, "expel", c.Yes); err != nil {
		return err
	}
	r, err := api.ExpelMemberWithResponse(a.ctx, c.ID)
	if err != nil {
		return err
	}
	if r.JSON200 == nil {
		return client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return printMember(a, r.JSON200)
}

type readmitCmd struct {
	Socket string `help:"The group manager's admin socket." required:"" type:"path" placeholder:"SOCKET"`
	ID     string `arg:"" help:"The member's id."`
	Yes    bool   `help:"Don't ask: it was confirmed before."`
}

const readmitMeans = "This ends the membership at once: it is never renewed. Only the code that is printed begins another; one printed before is void."

func (readmitCmd) Help() string {
	return `For a person whose TPM was cleared or is gone, after you have seen that he is the
same person. His membership ends at once, so it shows who it is and asks. The code
that is printed lets him begin another one under the same name, once. It is shown
nowhere else; a second readmit makes another code and the first one void.

Example:
  specied readmit --socket group.sock -- MEMBER`
}

func (c readmitCmd) Run(a *app) error {
	api, err := groupAdmin(c.Socket)
	if err != nil {
		return err
	}
	if err := a.consent(api, c.ID, readmitMeans, "readmit", c.Yes); err != nil {
		return err
	}
	r, err := api.ReadmitMemberWithResponse(a.ctx, c.ID)
	if err != nil {
		return err
	}
	if r.JSON200 == nil {
		return client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return a.out.Result(r.JSON200, func(w io.Writer) {
		fmt.Fprintf(w, "%s\ngood once, until %s\n", r.JSON200.Code, cli.When(r.JSON200.Expires))
	})
}

package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/issuer"
)

type reconcileCmd struct {
	Begin  reconcileBeginCmd  `cmd:"" help:"Let the bank open on a ledger that was restored, to find out what is missing."`
	Status reconcileStatusCmd `cmd:"" help:"Say where the bank stands."`
	Finish reconcileFinishCmd `cmd:"" help:"End it: what was not handed in again counts as never recorded."`
}

func (reconcileCmd) Help() string {
	return `A ledger that was restored from a backup, or is an old copy, lacks what was recorded
after it: coins that were spent meanwhile look unspent. The bank does not open on it.

  specied reconcile begin --config issuer.yaml
  (start the issuer; tills hand in again what they have receipts for; enter fundings
  and payouts again that were made since, with the references that they had)
  specied reconcile finish --socket issuer.sock --reason "…"

docs/restoring.md says what is lost whatever one does.`
}

type reconcileBeginCmd struct {
	Config string `help:"The issuer's configuration file (YAML)." required:"" type:"existingfile" placeholder:"FILE"`
}

func (reconcileBeginCmd) Help() string {
	return "Example:\n  specied reconcile begin --config issuer.yaml"
}

// Run works on the ledger itself: the bank does not run, since it refuses to.
func (c reconcileBeginCmd) Run(a *app) (err error) {
	var cfg issuerConfig
	dir, err := loadYAML(c.Config, &cfg)
	if err != nil {
		return err
	}
	db, err := dir.openStore(a.ctx, cfg.Store, a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	r, err := issuer.BeginReconciliation(a.ctx, db, time.Now())
	if err != nil {
		return err
	}
	out := map[string]any{"restore_epoch": r.Epoch, "began": r.Began, "fence": r.Fence.String()}
	return a.out.Result(out, func(w io.Writer) {
		fmt.Fprintf(w, "%s\nThe bank may be started: it takes deposits with a receipt, and refuses the rest until \"specied reconcile finish\".\n", r.Fence)
	})
}

type reconcileStatusCmd struct {
	officeFlags
}

func (reconcileStatusCmd) Help() string {
	return "Example:\n  specied reconcile status --socket issuer.sock"
}

func (c reconcileStatusCmd) Run(a *app) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	r, err := api.GetReconciliationWithResponse(a.ctx)
	if err != nil {
		return err
	}
	if r.JSON200 == nil {
		return client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return printReconciliation(a, r.JSON200)
}

type reconcileFinishCmd struct {
	officeFlags
	Reason string `help:"What you did, for the journal." required:"" placeholder:"TEXT"`
}

func (reconcileFinishCmd) Help() string {
	return "Example:\n  specied reconcile finish --socket issuer.sock --reason 'disk lost on 3 May; all tills resubmitted; wires 4711-4720 entered again'"
}

func (c reconcileFinishCmd) Run(a *app) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	r, err := api.FinishReconciliationWithResponse(a.ctx, issuerclient.ReconciliationEnd{Reason: c.Reason})
	if err != nil {
		return err
	}
	if r.JSON200 == nil {
		return client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return printReconciliation(a, r.JSON200)
}

func printReconciliation(a *app, r *issuerclient.Reconciliation) error {
	return a.out.Result(r, func(w io.Writer) {
		if !r.Open {
			fmt.Fprintf(w, "the bank works; its ledger was restored %s\n", cli.Count(int(r.RestoreEpoch), "time"))
			return
		}
		fmt.Fprintf(w, "reconciling since %s: %s\n", cli.When(*r.Began), *r.Fence)
	})
}

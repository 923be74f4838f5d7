package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/sqlite"
	"github.com/speciecash/specie/server"
	"github.com/speciecash/specie/trust"
)

type auditCmd struct {
	officeFlags
	Database string   `help:"Audit this file instead: the ledger of a bank that is stopped, or a copy." type:"existingfile" required:"" xor:"where" placeholder:"FILE"`
	Backup   string   `help:"Audit a backup instead, in a temporary file ($TMPDIR) of its size unpacked." type:"existingfile" required:"" xor:"where" placeholder:"FILE"`
	Keyset   string   `help:"With --database or --backup: the bank's keyset." type:"existingfile" placeholder:"FILE"`
	Root     string   `help:"With --database or --backup: the root certificate." type:"existingfile" placeholder:"FILE"`
	At       cli.Time `help:"With --database or --backup: judge the keyset's certificates at this time instead of now: a date, or RFC 3339." placeholder:"TIME"`
}

func (auditCmd) Help() string {
	return `Recomputes a bank's ledger from its rows: that the journal is unbroken and agrees
with what it records, that postings sum to zero, that every operation did what its
request says and nothing else, that every coin which came back bears the bank's
signature and its owner's, and that no key redeemed more than it issued. A key that
did has leaked. The exit status is 1 if anything is wrong.

Keep the last line, the journal's head, somewhere else: a later audit whose journal
has another record there has been tampered with.

Example:
  specied audit --socket issuer.sock
  specied audit --database issuer.db --keyset keyset.jws --root root.pem
  specied audit --backup bank-2026-05-01 --keyset keyset.jws --root root.pem`
}

var (
	errLeaked   = errors.New("a key has leaked: revoke it")
	errUnsound  = errors.New("the ledger is wrong: stop the bank and find out why")
	errNoReport = errors.New("the audit did not come to its end")
)

// Run audits and prints the report; what it found is its error.
func (c auditCmd) Run(a *app) error {
	report, err := c.report(a)
	if err != nil {
		return err
	}
	if err := a.out.Result(report, func(w io.Writer) { printAudit(w, report) }); err != nil {
		return err
	}
	return auditError(report)
}

func (c auditCmd) report(a *app) (*issuerclient.AuditReport, error) {
	bar := a.out.Bar("auditing")
	progress := func(done, total int64) { bar(int(done), int(total)) }
	if c.Database == "" && c.Backup == "" {
		if c.Keyset != "" || c.Root != "" || !c.At.IsZero() {
			return nil, cli.Usage(errors.New("--keyset, --root and --at go with --database or --backup"))
		}
		return auditOnline(a.ctx, &c.officeFlags, progress)
	}
	if c.Keyset == "" || c.Root == "" {
		return nil, cli.Usage(errors.New("--database and --backup need --keyset and --root"))
	}
	return c.offline(a, progress)
}

// auditOnline has the daemon audit, and looks how far it is.
func auditOnline(ctx context.Context, office *officeFlags, progress func(done, total int64)) (*issuerclient.AuditReport, error) {
	api, err := office.api()
	if err != nil {
		return nil, err
	}
	started, err := api.StartAuditWithResponse(ctx)
	if err != nil {
		return nil, err
	}
	if started.JSON202 == nil {
		return nil, client.ReadProblem(started.HTTPResponse, started.Body)
	}
	now := started.JSON202
	err = await(ctx, func() (bool, int64, int64) {
		return now.State == issuerclient.AuditStateRunning, now.Done, now.Total
	}, func() error {
		r, err := api.GetAuditWithResponse(ctx)
		if err == nil && r.JSON200 == nil {
			err = client.ReadProblem(r.HTTPResponse, r.Body)
		}
		if err == nil {
			now = r.JSON200
		}
		return err
	}, progress)
	if err != nil {
		return nil, err
	}
	if now.Report == nil {
		reason := ""
		if now.Error != nil {
			reason = ": " + *now.Error
		}
		return nil, fmt.Errorf("%w%s", errNoReport, reason)
	}
	progress(now.Total, now.Total)
	return now.Report, nil
}

// await watches a job of the daemon's until it is over: state says whether it
// runs and how far it is, look asks for its state again.
func await(ctx context.Context, state func() (running bool, done, total int64), look func() error, progress func(done, total int64)) error {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		running, done, total := state()
		if !running {
			return nil
		}
		progress(done, total)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		if err := look(); err != nil {
			return err
		}
	}
}

// offline audits a file in this process.
func (c auditCmd) offline(a *app, progress func(done, total int64)) (_ *issuerclient.AuditReport, err error) {
	pem, err := readFile(c.Root)
	if err != nil {
		return nil, err
	}
	root, err := trust.ParseRoot(pem)
	if err != nil {
		return nil, err
	}
	signed, err := readFile(c.Keyset)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Second)
	at := c.At.Time
	if at.IsZero() {
		at = now
	}
	keyset, err := coin.ParseKeyset(root, signed, at)
	if err != nil {
		return nil, err
	}
	database := c.Database
	if c.Backup != "" {
		dir, err := os.MkdirTemp("", "specied-audit-")
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		database = filepath.Join(dir, "ledger.db")
	}
	db, err := sqlite.OpenLedger(a.ctx, database, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var header *ledger.BackupHeader
	if c.Backup != "" {
		if header, err = unpack(a, db, c.Backup); err != nil {
			return nil, err
		}
	}
	r, err := issuer.Audit(a.ctx, db, keyset, now, progress)
	if err != nil {
		return nil, err
	}
	if header != nil { // without the record that this copy was restored
		r.Rows.Heads = header.Heads
		r.Rows.Records--
	}
	// The same report as the daemon's, through the same JSON.
	raw, err := json.Marshal(server.AuditReport(r))
	if err != nil {
		return nil, err
	}
	var out issuerclient.AuditReport
	return &out, json.Unmarshal(raw, &out)
}

// unpack loads a backup into an empty store.
func unpack(a *app, db ledger.Ledger, path string) (_ *ledger.BackupHeader, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	bar := a.out.Bar("unpacking")
	return ledger.ReadBackup(a.ctx, db, f, func(done, total int64) { bar(int(done), int(total)) })
}

func printAudit(w io.Writer, r *issuerclient.AuditReport) {
	fmt.Fprintf(w, "bank %s, keyset %d: %d operations with %d postings in %d journal records; %d coins verified again\n",
		r.Bank, r.KeysetSeq, r.Ops, r.Postings, r.Records, r.Coins)
	if r.Forgotten > 0 {
		fmt.Fprintf(w, "%d operations are under keys that the keyset has forgotten: only their rows were checked\n", r.Forgotten)
	}
	rows := make([][]string, len(r.Keys))
	for i, k := range r.Keys {
		state := "ok"
		if k.Leaked {
			state = "LEAKED"
		}
		kind, value := k.Kind, k.Value.Format(r.Exponent)
		if kind == "" {
			kind, value = "?", "?"
		}
		rows[i] = []string{
			value, kind, k.Issued.Format(r.Exponent), k.Redeemed.Format(r.Exponent), signed(k.Balance, r.Exponent), state, k.Kid,
		}
	}
	cli.Table(w, []string{">" + r.Currency, "KIND", ">ISSUED", ">REDEEMED", ">OUT", "STATE", "KEY"}, rows)
	for _, p := range r.Problems {
		fmt.Fprintf(w, "problem: %s\n", cli.OneLine(p))
	}
	if more := r.Found - int64(len(r.Problems)); more > 0 {
		fmt.Fprintf(w, "and %d problems more\n", more)
	}
	for _, h := range r.Heads {
		fmt.Fprintf(w, "journal %s ends with record %d: %s\n", h.Lane, h.Seq, hex.EncodeToString(h.Hash))
	}
}

// auditError is nil for a sound ledger, and names each key that leaked.
func auditError(r *issuerclient.AuditReport) error {
	var errs []error
	for _, k := range r.Keys {
		if k.Leaked {
			errs = append(errs, fmt.Errorf("%w: %s (%s): redeemed %s %s, issued %s", errLeaked, k.Kid,
				strings.TrimSpace(k.Kind+" "+k.Value.Format(r.Exponent)), k.Redeemed.Format(r.Exponent), r.Currency, k.Issued.Format(r.Exponent)))
		}
	}
	if r.Found > 0 {
		errs = append(errs, fmt.Errorf("%w (problems found: %d)", errUnsound, r.Found))
	}
	return errors.Join(errs...)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/ledger"
)

type backupCmd struct {
	officeFlags
	To string `help:"Write the backup to this new file, mode 0600." required:"" type:"path" placeholder:"FILE"`
}

func (backupCmd) Help() string {
	return `The bank goes on working. The backup shows the ledger as it was at one moment; it is
complete or it is not there, and is read again from the disk before it gets its name.

What is recorded after it is lost with the database: see docs/restoring.md. A real bank
lets a second database server follow, and has backups besides.

Example:
  specied backup --socket issuer.sock --to /mnt/backup/bank-2026-05-01`
}

// Run fetches the backup into a file beside the one that is asked for, which
// becomes it only after it was verified.
func (c backupCmd) Run(a *app) (err error) {
	if _, err := os.Lstat(c.To); err == nil {
		return fmt.Errorf("%s: %w", c.To, os.ErrExist)
	}
	part := c.To + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreGone(os.Remove(part))) }()
	err = c.fetch(a.ctx, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	header, err := checkBackup(a, part)
	if err != nil {
		return err
	}
	// Linked and not renamed: a file that came there meanwhile stays.
	if err := os.Link(part, c.To); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(c.To)); err != nil {
		return err
	}
	return printBackup(a, c.To, header, "written and verified")
}

func ignoreGone(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// fetch takes as long as the daemon sends.
func (c backupCmd) fetch(ctx context.Context, to io.Writer) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	raw, ok := api.ClientInterface.(*issuerclient.Client)
	if !ok {
		return errors.New("the client of the back office is of another kind")
	}
	if hc, ok := raw.Client.(*http.Client); ok {
		patient := *hc
		patient.Timeout = 0
		raw.Client = &patient
	}
	resp, err := raw.GetBackup(ctx)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(resp.Body, client.MaxAnswer))
		if err != nil {
			return err
		}
		return client.ReadProblem(resp, body)
	}
	_, err = io.Copy(to, resp.Body)
	return err
}

// checkBackup reads a backup and holds all that is in it to each other.
func checkBackup(a *app, path string) (_ *ledger.BackupHeader, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	bar := a.out.Bar("verifying")
	return ledger.ReadBackup(a.ctx, onlyChecked{}, f, func(done, total int64) { bar(int(done), int(total)) })
}

// onlyChecked is a store that keeps nothing of what it is given.
type onlyChecked struct{ ledger.Ledger }

// Load implements the one method of ledger.Ledger that is called.
func (onlyChecked) Load(ctx context.Context, next func() (*ledger.Row, error)) error {
	var c ledger.RowChecker
	for {
		row, err := next()
		if errors.Is(err, io.EOF) {
			return c.Close()
		}
		if err == nil {
			err = errors.Join(ctx.Err(), c.Check(row))
		}
		if err != nil {
			return err
		}
	}
}

type restoreCmd struct {
	From   string `help:"The backup." required:"" type:"existingfile" placeholder:"FILE"`
	Config string `help:"The issuer's configuration file (YAML), which says where the new database is." required:"" type:"existingfile" placeholder:"FILE"`
}

func (restoreCmd) Help() string {
	return `Fills an empty database, a SQLite file or a PostgreSQL database whichever the backup
is from: so it is the way from one to the other too. All of it is loaded, or nothing.

The bank does not open on it before "specied reconcile begin": what was recorded after
the backup is missing, and coins that were spent meanwhile look unspent.

Example:
  specied restore --from /mnt/backup/bank-2026-05-01 --config issuer.yaml`
}

// Run loads without a witness: nothing in the new database can be held against
// what it saw.
func (c restoreCmd) Run(a *app) (err error) {
	var cfg issuerConfig
	dir, err := loadYAML(c.Config, &cfg)
	if err != nil {
		return err
	}
	f, err := os.Open(c.From)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	db, err := dir.openLedger(a.ctx, cfg.Store, nil, a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	bar := a.out.Bar("restoring")
	header, err := ledger.ReadBackup(a.ctx, db, f, func(done, total int64) { bar(int(done), int(total)) })
	if err != nil {
		return err
	}
	return printBackup(a, c.From, header, "restored")
}

func printBackup(a *app, path string, h *ledger.BackupHeader, what string) error {
	var records uint64
	for _, x := range h.Heads {
		records += x.Seq
	}
	out := map[string]any{"file": path, "bank": h.Bank, "at": h.At, "restore_epoch": h.RestoreEpoch, "records": records}
	return a.out.Result(out, func(w io.Writer) {
		fmt.Fprintf(w, "%s: bank %s as of %s, %s\n", what, h.Bank, cli.When(h.At), cli.Count(int(records), "journal record"))
		for _, x := range h.Heads {
			fmt.Fprintf(w, "journal %s ends with record %d: %x\n", x.Lane, x.Seq, x.Hash)
		}
	})
}

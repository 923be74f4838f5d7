package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/postgres"
	"github.com/speciecash/specie/ledger/sqlite"
)

// storeConfig says where a bank's ledger is.
type storeConfig struct {
	// Database is the path of a SQLite file, or the postgres:// URL of a
	// PostgreSQL database, which several processes may share.
	Database string `yaml:"database"`
	// PasswordFile holds the password for the URL, which must have none.
	PasswordFile string `yaml:"database_password_file"`
	// Lane names the journal that this process writes, "main" if empty.
	// Processes that share a database have a lane each.
	Lane string `yaml:"lane"`
	// Witness is a file that remembers how far this process's journal had come, to
	// find out a store that was put back to an earlier state. It should be on
	// another disk. Beside a SQLite file, with the ending .witness, if empty.
	Witness string `yaml:"witness"`
}

// remote says whether the database is a server's, and no file.
func (c *storeConfig) remote() bool {
	return strings.HasPrefix(c.Database, "postgres://") || strings.HasPrefix(c.Database, "postgresql://")
}

// openLedger opens what a configuration names, without its witness: see
// openStore. This is the one place that knows the drivers. onCommit may be nil.
func (b base) openLedger(ctx context.Context, c storeConfig, onCommit func(ledger.Head), a *app) (ledger.Ledger, error) {
	if c.Lane != "" && !ledger.ValidLane(c.Lane) {
		return nil, fmt.Errorf("%w: lane %q: 1 to 40 of a-z 0-9 - _", errConfig, c.Lane)
	}
	switch {
	case c.Database == "":
		return nil, fmt.Errorf("%w: database is missing: a path, or a postgres:// URL", errConfig)
	case c.remote():
		address, err := b.address(c)
		if err != nil {
			return nil, err
		}
		return postgres.OpenLedger(ctx, address, postgres.Options{Lane: c.Lane, OnCommit: onCommit, Logger: a.log})
	case strings.Contains(c.Database, "://"):
		return nil, fmt.Errorf("%w: database: neither a path nor a postgres:// URL", errConfig)
	case c.PasswordFile != "":
		return nil, fmt.Errorf("%w: database_password_file goes with a postgres:// URL", errConfig)
	}
	return sqlite.OpenLedger(ctx, b.path(c.Database), sqlite.Options{Lane: c.Lane, OnCommit: onCommit, Logger: a.log})
}

// address is a database's URL with the password in it: it must not be shown.
// No error quotes the URL either, which may hold a password against the rules.
func (b base) address(c storeConfig) (string, error) {
	u, err := url.Parse(c.Database)
	if err != nil {
		return "", fmt.Errorf("%w: database: the URL does not read", errConfig)
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") {
		return "", fmt.Errorf("%w: database: a password belongs into a file, see database_password_file", errConfig)
	}
	if c.PasswordFile == "" {
		return u.String(), nil
	}
	raw, err := b.read(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("database_password_file: %w", err)
	}
	password := bytes.TrimRight(raw, "\r\n")
	if len(password) == 0 || u.User.Username() == "" {
		return "", fmt.Errorf("%w: database_password_file: a password, and a user in the URL whose it is", errConfig)
	}
	u.User = url.UserPassword(u.User.Username(), string(password))
	return u.String(), nil
}

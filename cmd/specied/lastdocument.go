package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/registration"
)

// lastDocument is the file in which a group manager keeps the document that he
// published last, apart from his database.
type lastDocument string

// lastDocument is where the configuration says, or beside the database.
func (b base) lastDocument(cfg *groupConfig) lastDocument {
	if cfg.LastDocument != "" {
		return lastDocument(b.path(cfg.LastDocument))
	}
	return lastDocument(b.path(cfg.Database) + ".last-document.jws")
}

// Last implements registration.Keeper.
func (f lastDocument) Last(context.Context) ([]byte, error) {
	jws, err := readFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimSpace(jws), nil
}

// Keep implements registration.Keeper: a crash leaves the old document or the new
// one.
func (f lastDocument) Keep(_ context.Context, jws []byte) (err error) {
	dir := filepath.Dir(string(f))
	next, err := os.CreateTemp(dir, ".last-document-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(next.Name()))
		}
	}()
	_, err = next.Write(append(jws[:len(jws):len(jws)], '\n'))
	if err = errors.Join(err, next.Sync(), next.Close()); err != nil {
		return err
	}
	if err = os.Rename(next.Name(), string(f)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil // in place, and a directory that can't be read can't be synced
	}
	return errors.Join(d.Sync(), d.Close())
}

// restored is what the operator says of a register that was restored, nil if
// nothing.
func (c groupCmd) restored() (*registration.Restored, error) {
	if !c.AcceptRestored {
		if c.Warrants != "" {
			return nil, cli.Usage(errors.New("--warrants is for --accept-restored"))
		}
		return nil, nil
	}
	out := &registration.Restored{}
	if c.Warrants != "" {
		raw, err := readFile(c.Warrants)
		if err != nil {
			return nil, err
		}
		r, err := warrant.ParseRegister(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Warrants, err)
		}
		out.Entries = r.Entries
	}
	return out, nil
}

// explain says what to do about a register that lost something.
func (f lastDocument) explain(err error) error {
	if errors.Is(err, registration.ErrRestored) {
		return fmt.Errorf("%w\nThe document published last is kept in %s.\nIf the database was restored from a backup, see \"Backups\" in docs/group-manager.md, and start once with --accept-restored.", err, f)
	}
	return err
}

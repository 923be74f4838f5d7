package wallet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/speciecash/specie/tpm"
)

// takeUp loads the key of an enrolment that was not finished. Its PIN is the one
// that was chosen then, so the person is told.
func (c *candidate) takeUp(ctx context.Context) error {
	c.before = true
	t := c.tpm
	if ask := t.PIN; ask != nil {
		t.PIN = func(ctx context.Context) (tpm.Auth, error) {
			c.note("this takes up an attempt to enrol that was not finished: its key has the PIN that you chose then")
			if c.state.Session == "" {
				if err := c.open(ctx); err != nil {
					return nil, err
				}
			}
			return ask(ctx)
		}
	}
	opened, err := c.w.openKey(ctx, c.device, t, c.doc.Platform, c.state.keyRef, c.state.EKID)
	if err != nil {
		return err
	}
	if !opened.file.NeedsAuth {
		c.note("this takes up an attempt to enrol that was not finished: its key has no PIN")
	}
	c.key, err = opened.load(ctx, c.device, c.doc.Platform)
	return err
}

func (c *candidate) note(sentence string) {
	if c.Note != nil {
		c.Note(sentence)
	}
}

// giveUp forgets the key of an enrolment that was not finished. Where a challenge
// came back, the manager may have a member with it, whose credential was lost on
// the way: with a code he is continued, and otherwise the key is kept.
func (c *candidate) giveUp(ctx context.Context) error {
	member := c.state.Challenge != nil
	if member && c.Code.IsZero() {
		return ErrUnfinished
	}
	err := c.w.purse.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM meta WHERE key = ?", c.meta)
		return err
	})
	if err != nil {
		return fmt.Errorf("purse: %w", err)
	}
	if member {
		return nil // and its file stays
	}
	if err := os.Remove(c.w.keyPath(c.state.keyRef)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("key files: %w", err)
	}
	return nil
}

// keyError is keyError, which also says of a wrong PIN that it is of an earlier
// attempt.
func (c *candidate) keyError(err error) error {
	err = keyError(err)
	var refused *PINError
	if errors.As(err, &refused) {
		refused.Unfinished = c.before
	}
	return err
}

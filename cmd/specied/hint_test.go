package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/sqlite"
	"github.com/speciecash/specie/signer"
	"github.com/speciecash/specie/trust"
)

func TestWhatAnOperatorIsTold(t *testing.T) {
	nobody := func() error {
		_, err := net.Dial("unix", filepath.Join(t.TempDir(), "s"))
		return err
	}()
	_, nowhere := sqlite.OpenLedger(t.Context(), filepath.Join(t.TempDir(), "none", "issuer.db"), sqlite.Options{})
	if !errors.Is(nowhere, ledger.ErrUnavailable) {
		t.Fatalf("a ledger in no directory: %v", nowhere)
	}
	for name, c := range map[string]struct {
		err  error
		hint string
		code int
	}{
		"a command without its daemon":     {nobody, "is this its --socket?", cli.ExitFailed},
		"a daemon without its signer":      {fmt.Errorf("%w: %w", signer.ErrUnavailable, nobody), `does "specied signer" run`, cli.ExitFailed},
		"a PIN that is refused":            {fmt.Errorf("token: %w", hsm.ErrPIN), "before you try again", exitPIN},
		"one that the worker was refused":  {fmt.Errorf("%w: %w", errWorker, hsm.ErrPIN), "stands above", exitPIN},
		"a module that is none":            {fmt.Errorf("%w: x", hsm.ErrModule), "SOFTHSM2_CONF", cli.ExitFailed},
		"a PIN file that is not there":     {fmt.Errorf("PIN file: %w", fs.ErrNotExist), "disk mounted", cli.ExitFailed},
		"a directory that is not there":    {nowhere, "the directory is there", cli.ExitFailed},
		"a PostgreSQL server that is away": {fmt.Errorf("%w: %w", ledger.ErrUnavailable, nobody), "of PostgreSQL", cli.ExitFailed},
		"a damaged ledger":                 {fmt.Errorf("%w: x", ledger.ErrCorrupt), "docs/restoring.md", cli.ExitFailed},
		"what is no ledger":                {fmt.Errorf("%w: x", ledger.ErrSchema), "is it the right one?", cli.ExitFailed},
		"a certificate by a wrong clock":   {fmt.Errorf("%w: x", trust.ErrExpired), "clock", cli.ExitFailed},
		"an address that is taken":         {fmt.Errorf("listen: %w", syscall.EADDRINUSE), "end it, or name another", cli.ExitFailed},
		"a full disk":                      {fmt.Errorf("write: %w", syscall.ENOSPC), "make room", cli.ExitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			if hint, code := explain(c.err); !strings.Contains(hint, c.hint) || code != c.code {
				t.Errorf("%q, status %d", hint, code)
			}
		})
	}
}

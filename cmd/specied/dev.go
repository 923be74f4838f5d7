package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/speciecash/specie/devbox"
)

type devCmd struct {
	Dir string `help:"State directory; a new one under the system's temporary directory by default." type:"path" placeholder:"DIR"`

	Dashboard string        `help:"Address of the dashboard; another port if it is taken." default:"127.0.0.1:9090" placeholder:"ADDRESS"`
	Play      bool          `help:"Let a person pay now and then, so that the charts move." default:"true" negatable:""`
	Every     time.Duration `help:"How often he pays." default:"15s" placeholder:"DURATION"`
}

func (devCmd) Help() string {
	return `Founds a bank on SoftHSM, starts issuer and group manager as processes of their
own, each with a signer that holds its keys, and makes a TPM, a holder and a
merchant. Everything is software: for playing, not for money. The other programs
are looked for beside this one. It prints the address of the operator's dashboard
first; a customer of the market withdraws and pays now and then, so that there is
something to see (--no-play: nobody does). Stop with Ctrl-C.

Example:
  specied dev`
}

func (c devCmd) Run(a *app) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir := c.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "specie-dev-"); err != nil {
			return err
		}
	}
	box, err := devbox.New(dir, filepath.Dir(self))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	say := func(format string, args ...any) { a.out.Note("  "+format, args...) }
	a.out.Note("Specie in one box, in %s", box.Dir)
	if err := box.Found(a.ctx, say); err != nil {
		return err
	}
	ca, err := box.CA(a.ctx, "vendor-ca")
	if err != nil {
		return err
	}
	if err := box.Start(a.ctx, ca); err != nil {
		return err
	}
	board, err := c.dashboard(a, box)
	if err != nil {
		return err
	}
	a.out.Note("the dashboard: open %s", board.link())
	ctx, stop := context.WithCancel(a.ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer stop()
	beside.Go(func() {
		if err := board.serve(ctx, a); err != nil {
			a.log.Error("dashboard", "error", err)
		}
	})
	tcti, err := box.TPM(a.ctx, devTPM, ca)
	if err != nil {
		return err
	}
	if _, err := box.OpenHolder(a.ctx, "alice", "100.00"); err != nil {
		return err
	}
	till, err := box.OpenTill(a.ctx, "cafe")
	if err != nil {
		return err
	}
	where := map[string]string{
		"dashboard": board.link(),
		"dir":       box.Dir, "bank": box.IssuerURL, "group": box.GroupURL, "till": till, "tpm": tcti,
		"holder_home": box.Home("alice"), "merchant_home": box.Home("cafe"),
		"bank_socket": box.IssuerSocket(), "group_socket": box.GroupSocket(), "root": box.Path("bank", "root.pem"),
	}
	if err := a.out.Result(where, func(w io.Writer) { showGuide(w, box, board.link(), self, tcti, till) }); err != nil {
		return err
	}
	if c.Play {
		beside.Go(func() { c.play(ctx, a, box) })
	}
	clear := func(ctx context.Context) error { return box.ClearTPM(ctx, devTPM) }
	onFile(a.ctx, box.Path(clearFile), 500*time.Millisecond, clear, func(err error) {
		if err != nil {
			say("Alice's TPM was not cleared: %v", err)
			return
		}
		say("Alice's TPM is cleared: her key is gone. The manager readmits her, and she enrols with --again")
	})
	a.out.Note("stopping")
	return nil
}

// showGuide says where everything is, and what to try.
func showGuide(w io.Writer, box *devbox.Box, board, self, tcti, till string) {
	supervisors := devbox.Supervisors()
	fmt.Fprintf(w, guide, board, box.IssuerURL, box.GroupURL, filepath.Dir(self), box.Home("alice"), tcti,
		box.GroupURL, box.Home("cafe"), till, box.IssuerSocket(), box.Path("bank", "keyset.jws"), box.Path("bank", "root.pem"),
		box.GroupSocket(), strings.Join(supervisors, ", "), box.OfficerDir(supervisors[0]), box.Path("officers", "*.key"), box.Path(clearFile), box.GroupSocket(),
		box.Path("run"), box.Path("issuer.yaml"), strings.Join(box.Env(), " "), box.Path("issuer-signer.yaml"), box.Dir)
}

const (
	devTPM    = "laptop"
	clearFile = "clear-tpm" // in the box: whoever makes it has Alice's TPM cleared
)

// onFile does something, and takes the file away before, each time that the file
// is there, until ctx ends.
func onFile(ctx context.Context, path string, every time.Duration, do func(context.Context) error, done func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch err := os.Remove(path); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			done(err)
			return
		default:
			done(do(ctx))
		}
	}
}

const guide = `
Open this: %s
It shows how the bank stands.

The bank is at %s, the group manager at %s.
Alice has 100.00 in her account and a TPM; a café has a till. Try, in another terminal:

  export PATH=%q:$PATH SPECIE_HOME=%q SPECIE_TPM=%q
  specie enroll --group %s --name "Alice Example"
  specie withdraw 20.00 --bound
  specie balance
  specie pay "$(specie --home %q merchant offer 12.34 --order T-17 --to %s)"
  specie history
  specied books --socket %q
  specie-ceremony show %q --root %q

To type along with docs/holder.md and docs/merchant.md as somebody else, in an empty directory:

  export PATH=%[4]q:$PATH SPECIE_HOME="$PWD/home" BANK=%[2]s GROUP=%[3]s
  unset SPECIE_TPM; cp %[12]q root.pem
  specied fund 50.00 --socket %[10]q --reference ME-1 \
    --account "$(specied account create --socket %[10]q --name Me --token-out alice.token)"

As the merchant take another SPECIE_HOME; the bank opens the account that cafe.jws asks for with

  specied account create --socket %[10]q --kind merchant --name "Café Central" \
    --merchant-request cafe.jws --token-out cafe.token

The group manager listens to his operator on
  specied members --names --socket %[13]q
The supervisors are %s, two of three; each has a directory with his keys and his
share, the first %s. The officers' keys are
%s. docs/supervision.md names the spender of a coin that was
spent twice, finds a member's payments and expels.
Clear Alice's TPM with
  touch %q
and let her begin again (docs/enrolment.md):
  specied readmit --socket %q -- MEMBER

Logs are in %s. A daemon that you stopped is started again with
  specied issuer --config %q
and the one that holds its keys with
  %s specied signer --config %q
Ctrl-C stops everything; remove %s when you are done.
`

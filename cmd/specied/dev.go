package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/speciecash/specie/devbox"
)

type devCmd struct {
	Dir string `help:"State directory; a new one under the system's temporary directory by default." type:"path"`
}

func (devCmd) Help() string {
	return `Founds a bank on SoftHSM, starts issuer and group manager as processes of their
own, each with a signer that holds its keys, and makes a TPM, a holder and a
merchant. Everything is software: for playing, not for money. The other programs
are looked for beside this one. Stop with Ctrl-C.

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
	say := func(format string, args ...any) { fmt.Fprintf(a.out.Stdout, "  "+format+"\n", args...) }
	fmt.Fprintf(a.out.Stdout, "Specie in one box, in %s\n", box.Dir)
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
	tcti, err := box.TPM(a.ctx, "laptop", ca)
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
	fmt.Fprintf(a.out.Stdout, guide, box.IssuerURL, box.GroupURL, filepath.Dir(self), box.Home("alice"), tcti,
		box.GroupURL, box.Home("cafe"), till, box.IssuerSocket(), box.Path("bank", "keyset.jws"), box.Path("bank", "root.pem"),
		box.Path("run"), box.Path("issuer.yaml"), strings.Join(box.Env(), " "), box.Path("issuer-signer.yaml"), box.Dir)
	<-a.ctx.Done()
	fmt.Fprintln(a.out.Stdout, "\nstopping")
	return nil
}

const guide = `
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

Logs are in %s. A daemon that you stopped is started again with
  specied issuer --config %q
and the one that holds its keys with
  %s specied signer --config %q
Ctrl-C stops everything; remove %s when you are done.
`

package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/softhsm"
)

type practiceCmd struct {
	Dir    string   `required:"" placeholder:"DIR" type:"path" help:"Where SoftHSM keeps the tokens; made if it is not there."`
	Labels []string `arg:"" name:"label" help:"Labels of the tokens to make."`
}

// Help is shown below the flags.
func (practiceCmd) Help() string {
	return `Makes tokens in software, to learn ceremonies and to test with. For each, the
files LABEL.pin and LABEL.so-pin get random PINs, in the current directory.
Never for money: whoever copies the directory has the keys.

Example:
  specie-ceremony practice --dir hsm root demobank-offline
  export SOFTHSM2_CONF=$PWD/hsm/softhsm2.conf`
}

// Run implements the command.
func (c *practiceCmd) Run(a *app) (err error) {
	p, err := softhsm.Provision(c.Dir)
	if err != nil {
		return err
	}
	m, err := p.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	made := &practised{Config: p.Config, Module: p.Module}
	for _, label := range c.Labels {
		// Both files before the token: a token without its PIN is scrap.
		pin, soPIN := hsm.RandomPIN(), hsm.RandomPIN()
		files := []string{label + ".pin", label + ".so-pin"}
		if err := paper.Free(files...); err != nil {
			return err
		}
		if err := errors.Join(pin.Save(files[0]), soPIN.Save(files[1])); err != nil {
			return err
		}
		if _, err := p.InitToken(a.ctx, m, label, soPIN, pin); err != nil {
			return err
		}
		made.Tokens = append(made.Tokens, practiceToken{Label: label, PIN: files[0], SOPIN: files[1]})
	}
	return a.print(made)
}

type practised struct {
	Config string          `json:"softhsm2_conf"`
	Module string          `json:"module"`
	Tokens []practiceToken `json:"tokens"`
}

type practiceToken struct {
	Label string `json:"label"`
	PIN   string `json:"pin_file"`
	SOPIN string `json:"so_pin_file"`
}

func (p *practised) text(w io.Writer) {
	for _, t := range p.Tokens {
		fmt.Fprintf(w, "token %s\tin software, for practice\tPIN in %s\tsecurity officer's in %s\n", t.Label, t.PIN, t.SOPIN)
	}
	fmt.Fprintf(w, "now: export SOFTHSM2_CONF=%s\n", p.Config)
}

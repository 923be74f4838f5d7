package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/trust"
)

type officerCmd struct {
	New    officerNew    `cmd:"" help:"Make an officer's key."`
	Roster officerRoster `cmd:"" help:"Write down who may approve, and how many must."`
}

type officerNew struct {
	Name       string `required:"" placeholder:"NAME" help:"4 to 20 of A-Z and 0-9."`
	Out        string `required:"" placeholder:"FILE" type:"path" help:"Where the private key goes; the public one goes to FILE.pub."`
	Passphrase bool   `help:"Ask for a passphrase on the terminal and encrypt the key under it."`
}

// Help is shown below the flags.
func (officerNew) Help() string {
	return `An Ed25519 key as ssh-keygen makes it, in OpenSSH's format. Whoever has an SSH
key of type Ed25519 or ECDSA already, also in a hardware token, needs no other.

Example:
  specie-ceremony officer new --name ADAMS --out adams.key`
}

// Run implements the command.
func (c *officerNew) Run(a *app) error {
	public := c.Out + ".pub"
	if err := paper.Free(c.Out, public); err != nil {
		return err
	}
	var pass []byte
	if c.Passphrase {
		var err error
		if pass, err = a.newPassphrase(c.Out); err != nil {
			return err
		}
		defer clear(pass)
	}
	private, line, err := approval.GenerateKey(c.Name, pass)
	if err != nil {
		return err
	}
	defer clear(private)
	if err := paper.Write(c.Out, private, paper.Secret); err != nil {
		return err
	}
	if err := paper.Write(public, []byte(line+"\n"), paper.Public); err != nil {
		return err
	}
	return a.print(&files{Done: "key of officer " + c.Name, Written: []string{c.Out, public}})
}

type officerRoster struct {
	Threshold int      `required:"" placeholder:"K" help:"How many officers must approve a ceremony."`
	Out       string   `required:"" placeholder:"FILE" type:"path" help:"Where the roster goes."`
	Officers  []string `arg:"" name:"name=key.pub" help:"An officer's name and the file of his public SSH key."`
}

// Help is shown below the flags.
func (officerRoster) Help() string {
	return `Publish the roster: whoever verifies a ceremony holds it against the copy that
he has from elsewhere.

Example:
  specie-ceremony officer roster --threshold 2 --out officers.yaml \
    ADAMS=adams.key.pub BAKER=baker.key.pub CLARK=clark.key.pub`
}

// Run implements the command.
func (c *officerRoster) Run(a *app) error {
	var text strings.Builder
	fmt.Fprintf(&text, "# Who may approve ceremonies, and how many of them must.\nthreshold: %d\nofficers:\n", c.Threshold)
	for _, pair := range c.Officers {
		name, file, found := strings.Cut(pair, "=")
		if !found {
			return fmt.Errorf("%q is not NAME=FILE", pair)
		}
		if err := trust.CheckID(name); err != nil {
			return err
		}
		key, err := paper.Read(file, approval.MaxRoster)
		if err != nil {
			return err
		}
		// Type and key only: a comment could say anything, in two lines too.
		fields := strings.Fields(string(key))
		if len(fields) < 2 {
			return fmt.Errorf("%s: %w: not an OpenSSH public key", file, approval.ErrKey)
		}
		fmt.Fprintf(&text, "  - name: %s\n    key: %s %s\n", name, fields[0], fields[1])
	}
	roster, err := approval.ParseRoster([]byte(text.String()))
	if err != nil {
		return err
	}
	if err := paper.Write(c.Out, []byte(text.String()), paper.Public); err != nil {
		return err
	}
	return a.print((*rosterView)(roster))
}

// rosterView shows a roster.
type rosterView approval.Roster

func (v *rosterView) text(w io.Writer) {
	fmt.Fprintf(w, "%d of %d officers approve\n", v.Threshold, len(v.Officers))
	for _, o := range v.Officers {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", o.Name, o.Key.Type(), ssh.FingerprintSHA256(o.Key))
	}
	fmt.Fprintf(w, "  compare\t%s\n", approval.Hex((*approval.Roster)(v).Digest()))
}

// MarshalJSON implements json.Marshaler.
func (v *rosterView) MarshalJSON() ([]byte, error) {
	type officer struct {
		Name        string `json:"name"`
		Type        string `json:"type"`
		Fingerprint string `json:"fingerprint"`
	}
	list := []officer{}
	for _, o := range v.Officers {
		list = append(list, officer{o.Name, o.Key.Type(), ssh.FingerprintSHA256(o.Key)})
	}
	return json.Marshal(map[string]any{"threshold": v.Threshold, "officers": list, "digest": hexDigest((*approval.Roster)(v).Digest())})
}

// newPassphrase asks for a new passphrase twice.
func (a *app) newPassphrase(file string) ([]byte, error) {
	first, err := a.out.AskSecret("new passphrase for " + file)
	if err != nil {
		return nil, err
	}
	second, err := a.out.AskSecret("the same again")
	if err != nil {
		return nil, err
	}
	defer clear(second)
	if len(first) == 0 || !bytes.Equal(first, second) {
		return nil, fmt.Errorf("the two passphrases differ, or are empty")
	}
	return first, nil
}

// approvalFile is where an officer's approval of a plan lies.
func approvalFile(plan, officer string) string { return plan + "." + officer + ".approval" }

// approvalsBeside are the approvals of a plan that lie in its directory.
func approvalsBeside(plan string) ([]string, error) {
	return filepath.Glob(escapeGlob(plan) + ".*.approval")
}

// escapeGlob makes a path stand for itself in a pattern.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/speciecash/specie/ceremony/officer"
	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/trust"
)

type supervisorCmd struct {
	Init    supervisorInit    `cmd:"" help:"Make a supervisor's keys and certificate request."`
	Accept  supervisorAccept  `cmd:"" help:"Take the certificate; write the card for the others."`
	Deal    supervisorDeal    `cmd:"" help:"Deal shares of a group's secrets to all supervisors."`
	Combine supervisorCombine `cmd:"" help:"Combine all dealings to an own share and the group's keys."`
	Sign    supervisorSign    `cmd:"" help:"Sign the group's keys, after comparing their digest."`
}

// rootFlag pins the root.
type rootFlag struct {
	Root string `required:"" placeholder:"FILE" type:"existingfile" env:"SPECIE_ROOT" help:"The pinned root certificate."`
}

func (f rootFlag) read() (*trust.Root, error) {
	b, err := paper.Read(f.Root, trust.MaxRootPEM)
	if err != nil {
		return nil, err
	}
	root, err := trust.ParseRoot(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Root, err)
	}
	return root, nil
}

// officerFlags find an officer's keys.
type officerFlags struct {
	Dir            string `required:"" placeholder:"DIR" type:"path" help:"The supervisor's own directory."`
	PassphraseFile string `placeholder:"FILE" type:"existingfile" help:"File with the passphrase of the key file; asked for on the terminal if it needs one."`
}

func (f officerFlags) passphrase() (*officer.Passphrase, error) {
	if f.PassphraseFile == "" {
		return nil, nil
	}
	p, err := officer.ReadPassphrase(f.PassphraseFile)
	if err != nil {
		return nil, err
	}
	return &p, nil
}

// open reads the keys; a passphrase that is needed and was not given is asked
// for, if somebody is there.
func (f officerFlags) open(a *app) (*officer.Officer, error) {
	p, err := f.passphrase()
	if err != nil {
		return nil, err
	}
	o, err := officer.Open(f.Dir, p)
	if p != nil || !errors.Is(err, officer.ErrPassphrase) || !a.out.Interactive() {
		return o, err
	}
	text, err := a.out.AskSecret("passphrase of " + filepath.Join(f.Dir, officer.KeyFile))
	if err != nil {
		return nil, err
	}
	defer clear(text)
	typed, err := officer.NewPassphrase(text)
	if err != nil {
		return nil, err
	}
	return officer.Open(f.Dir, &typed)
}

// newPassphrase is the one for a new key file: from the file, or asked for
// twice if somebody is there; nil for none.
func (f officerFlags) newPassphrase(a *app) (*officer.Passphrase, error) {
	p, err := f.passphrase()
	if err != nil || p != nil || !a.out.Interactive() {
		return p, err
	}
	text, err := a.newPassphrase(filepath.Join(f.Dir, officer.KeyFile))
	if err != nil {
		return nil, err
	}
	defer clear(text)
	typed, err := officer.NewPassphrase(text)
	return &typed, err
}

type supervisorInit struct {
	ID string `required:"" placeholder:"ID" help:"4 to 20 of A-Z and 0-9, as in the certificate to come."`
	officerFlags
}

// Help is shown below the flags.
func (supervisorInit) Help() string {
	return `Makes a signing key and an encryption key in one file of mode 0600, encrypted
under the passphrase that is given or, on a terminal, asked for, and a request
that the root certifies with a plan "ceremony: certify".

Example:
  specie-ceremony supervisor init --id ALICE --dir alice --passphrase-file alice.pass`
}

// Run implements the command.
func (c *supervisorInit) Run(a *app) error {
	p, err := c.newPassphrase(a)
	if err != nil {
		return err
	}
	o, err := officer.Create(c.Dir, c.ID, p)
	if err != nil {
		return err
	}
	if p == nil {
		a.out.Note("the keys are not encrypted; for real ones, give --passphrase-file")
	}
	return a.print(&files{
		Done:    "keys of supervisor " + o.ID + " are made",
		Written: []string{filepath.Join(c.Dir, officer.KeyFile), filepath.Join(c.Dir, officer.RequestFile)},
	})
}

type supervisorAccept struct {
	officerFlags
	rootFlag
	Certificate string `arg:"" type:"existingfile" help:"The certificate that the root made (PEM)."`
}

// Help is shown below the flags.
func (supervisorAccept) Help() string {
	return `The card names the key to which the others encrypt this supervisor's shares,
and is signed under his certificate. It is no secret.

Example:
  specie-ceremony supervisor accept --dir alice --root root.pem alice.pem`
}

// Run implements the command.
func (c *supervisorAccept) Run(a *app) error {
	o, root, err := openOfficer(a, c.officerFlags, c.rootFlag)
	if err != nil {
		return err
	}
	cert, err := paper.Read(c.Certificate, trust.MaxRootPEM)
	if err != nil {
		return err
	}
	if _, err := o.Accept(root, cert, time.Now()); err != nil {
		return err
	}
	return a.print(&files{
		Done:    "supervisor " + o.ID + " is certified",
		Written: []string{filepath.Join(c.Dir, officer.CertificateFile), filepath.Join(c.Dir, officer.CardFile)},
	})
}

func openOfficer(a *app, f officerFlags, r rootFlag) (*officer.Officer, *trust.Root, error) {
	root, err := r.read()
	if err != nil {
		return nil, nil, err
	}
	o, err := f.open(a)
	if err != nil {
		return nil, nil, err
	}
	return o, root, nil
}

type supervisorDeal struct {
	officerFlags
	rootFlag
	Group     string   `required:"" placeholder:"ID" help:"Id of the group's manager."`
	Threshold int      `required:"" placeholder:"K" help:"How many supervisors must come together to open; at least 2."`
	Out       string   `required:"" placeholder:"FILE" type:"path" help:"Where the dealing goes."`
	Cards     []string `arg:"" type:"existingfile" help:"The cards of all supervisors, the own one too."`
}

// Help is shown below the flags.
func (supervisorDeal) Help() string {
	return `Every supervisor deals once, to the same cards with the same threshold. The
dealing is signed and holds one encrypted share for each; it goes to all.

Example:
  specie-ceremony supervisor deal --dir alice --root root.pem --group DEMOGROUP \
    --threshold 2 --out dealing-alice.jws alice/card.jws boris/card.jws carol/card.jws`
}

// Run implements the command.
func (c *supervisorDeal) Run(a *app) error {
	o, root, err := openOfficer(a, c.officerFlags, c.rootFlag)
	if err != nil {
		return err
	}
	if err := paper.Free(c.Out); err != nil {
		return err
	}
	cards, err := readDocuments(c.Cards)
	if err != nil {
		return err
	}
	dealing, err := o.Deal(root, c.Group, c.Threshold, cards, time.Now())
	if err != nil {
		return err
	}
	if err := paper.Write(c.Out, dealing, paper.Public); err != nil {
		return err
	}
	return a.print(&files{
		Done:    fmt.Sprintf("%s dealt for %s to %d supervisors, of whom %d open", o.ID, c.Group, len(cards), c.Threshold),
		Written: []string{c.Out},
	})
}

type supervisorCombine struct {
	officerFlags
	rootFlag
	Group    string   `required:"" placeholder:"ID" help:"Id of the group's manager."`
	Out      string   `required:"" placeholder:"FILE" type:"path" help:"Where the group's keys go, to be signed."`
	Dealings []string `arg:"" type:"existingfile" help:"The dealings of all supervisors."`
}

// Help is shown below the flags.
func (supervisorCombine) Help() string {
	return `Checks every dealing, keeps the own share in the supervisor's directory
(encrypted to himself) and writes the group's keys. All supervisors get the
same bytes: they read the digest to each other before they sign.

Example:
  specie-ceremony supervisor combine --dir alice --root root.pem --group DEMOGROUP \
    --out supervision-alice.json dealing-*.jws`
}

// Run implements the command.
func (c *supervisorCombine) Run(a *app) error {
	o, root, err := openOfficer(a, c.officerFlags, c.rootFlag)
	if err != nil {
		return err
	}
	if err := paper.Free(c.Out); err != nil {
		return err
	}
	dealings, err := readDocuments(c.Dealings)
	if err != nil {
		return err
	}
	s, err := o.Combine(root, c.Group, dealings, time.Now())
	if err != nil {
		return err
	}
	payload, err := s.Marshal()
	if err != nil {
		return err
	}
	if err := paper.Write(c.Out, payload, paper.Public); err != nil {
		return err
	}
	return a.print(&files{
		Done:    fmt.Sprintf("%s holds share %d of %s: %d of %d supervisors open", o.ID, s.IndexOf(o.ID), c.Group, s.Key.K, s.Key.N),
		Written: []string{filepath.Join(c.Dir, officer.ShareFile(c.Group)), c.Out},
		Digest:  hexDigest(sha256.Sum256(payload)),
	})
}

type supervisorSign struct {
	officerFlags
	rootFlag
	Out  string `required:"" placeholder:"FILE" type:"path" help:"Where the signed document goes."`
	Keys string `arg:"" type:"existingfile" help:"What combine wrote."`
}

// Help is shown below the flags.
func (supervisorSign) Help() string {
	return `A supervisor signs only keys that his own share fits. The group's document
counts with the signatures of all supervisors, one file each.

Example:
  specie-ceremony supervisor sign --dir alice --root root.pem \
    --out supervision-alice.jws supervision-alice.json`
}

// Run implements the command.
func (c *supervisorSign) Run(a *app) error {
	o, root, err := openOfficer(a, c.officerFlags, c.rootFlag)
	if err != nil {
		return err
	}
	if err := paper.Free(c.Out); err != nil {
		return err
	}
	payload, err := paper.Read(c.Keys, groupdoc.MaxSupervisionPayload)
	if err != nil {
		return err
	}
	jws, err := o.Sign(root, payload, time.Now())
	if err != nil {
		return err
	}
	if err := paper.Write(c.Out, jws, paper.Public); err != nil {
		return err
	}
	return a.print(&files{Done: "signed by " + o.ID, Written: []string{c.Out}, Digest: hexDigest(sha256.Sum256(payload))})
}

// readDocument reads a compact JWS; a line end after it is none of its.
func readDocument(path string) ([]byte, error) {
	b, err := paper.Read(path, trust.MaxJWS+2)
	if err != nil {
		return nil, err
	}
	return trimLine(b), nil
}

func trimLine(b []byte) []byte { return bytes.TrimRight(b, "\r\n") }

func readDocuments(paths []string) ([][]byte, error) {
	var out [][]byte
	for _, path := range paths {
		b, err := readDocument(path)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

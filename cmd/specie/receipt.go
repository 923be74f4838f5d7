package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/evidence"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/wallet"
)

type receiptCmd struct {
	Save   receiptSaveCmd   `cmd:"" help:"Write the papers of a payment into one file."`
	Verify receiptVerifyCmd `cmd:"" help:"Say what such a file proves, offline, years later."`
}

type receiptSaveCmd struct {
	ID      string `arg:"" help:"The payment's ID, or the beginning of it, from \"specie history\"."`
	Out     string `help:"File to write; must not exist." placeholder:"FILE"`
	Private bool   `help:"Also what was bought."`
}

func (receiptSaveCmd) Help() string {
	return `The file has the merchant's signed offer, the payment with its owners' authorisation, the bank's and the merchant's receipts, and the keys of that time. Nobody can spend anything with it. Who sees it knows which coins were paid.

Example:
  specie receipt save 0f3a5c --out coffee.json`
}

func (c receiptSaveCmd) Run(a *app) error {
	return a.withWallet(func(w *wallet.Wallet) error {
		id, err := w.FindPayment(a.ctx, c.ID)
		if err != nil {
			return err
		}
		f, err := w.Evidence(a.ctx, id, c.Private)
		if err != nil {
			return err
		}
		return a.saveEvidence(f, c.Out, id.String())
	})
}

// saveEvidence writes a file of evidence to out, or to one named by id.
func (a *app) saveEvidence(f *evidence.File, out, id string) error {
	data, err := f.Encode()
	if err != nil {
		return err
	}
	if out == "" {
		out = "receipt-" + id[:min(len(id), 12)] + ".json"
	}
	if err := writeNew(out, data); err != nil {
		return err
	}
	return a.out.Result(map[string]string{"file": out}, func(w io.Writer) {
		fmt.Fprintf(w, "wrote %s; verify it with: specie receipt verify %s --root root.pem\n", out, out)
	})
}

// writeNew writes a file that only its owner reads, on the disk for good. It must not
// exist.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

type receiptVerifyCmd struct {
	File   string `arg:"" help:"File that \"receipt save\" wrote." type:"existingfile"`
	Root   string `help:"The root certificate (PEM)." required:"" type:"existingfile" placeholder:"FILE"`
	Keyset string `help:"A later keyset of the bank, as it serves it: says which keys it has revoked since." type:"existingfile" placeholder:"FILE"`
}

func (receiptVerifyCmd) Help() string {
	return `No network and no purse is used. Certificates are judged at the date of each paper. What is not in the file is "absent"; exit status 1 if anything fails, or nothing is proven.

Example:
  specie receipt verify coffee.json --root root.pem
  specie receipt verify coffee.json --root root.pem --keyset keyset-12.json`
}

var errNotProven = errors.New("the file does not prove what it says")

func (c receiptVerifyCmd) Run(a *app) error {
	file, root, newer, err := c.read()
	if err != nil {
		return err
	}
	report := evidence.Verify(file, root, newer)
	err = a.out.Result(report, func(w io.Writer) {
		rows := make([][]string, len(report.Claims))
		for i, claim := range report.Claims {
			at := ""
			if !claim.At.IsZero() {
				at = cli.When(claim.At)
			}
			rows[i] = []string{claim.Name, string(claim.Status), at, cli.OneLine(claim.By), cli.OneLine(claim.Says)}
		}
		cli.Table(w, []string{"CLAIM", "STATUS", "DATED", "BY", "WHAT"}, rows)
	})
	if err == nil && report.Failed() {
		err = errNotProven
	}
	return err
}

// read reads the files that are named.
func (c receiptVerifyCmd) read() (*evidence.File, *trust.Root, []byte, error) {
	pem, err := os.ReadFile(c.Root)
	if err != nil {
		return nil, nil, nil, err
	}
	root, err := trust.ParseRoot(pem)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", c.Root, err)
	}
	data, err := readBounded(c.File, evidence.MaxFile)
	if err != nil {
		return nil, nil, nil, err
	}
	file, err := evidence.Parse(data)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", c.File, err)
	}
	if c.Keyset == "" {
		return file, root, nil, nil
	}
	newer, err := readBounded(c.Keyset, trust.MaxJWS+1<<10)
	if err != nil {
		return nil, nil, nil, err
	}
	var served struct {
		Keyset string `json:"keyset"`
	}
	if json.Unmarshal(newer, &served) == nil {
		return file, root, []byte(served.Keyset), nil
	}
	return file, root, []byte(strings.TrimSpace(string(newer))), nil
}

// readBounded reads a file of at most so many bytes.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s: more than %d bytes", path, most)
	}
	return data, errors.Join(err, f.Close())
}

type merchantReceiptCmd struct {
	Save merchantReceiptSaveCmd `cmd:"" help:"Write the papers of a payment into one file."`
}

type merchantReceiptSaveCmd struct {
	Payment string `arg:"" help:"The order's reference, or the payment's id or the beginning of it, from \"specie merchant takings\"."`
	Out     string `help:"File to write; must not exist." placeholder:"FILE"`
	Private bool   `help:"Also what was bought."`
}

func (merchantReceiptSaveCmd) Help() string {
	return `The file is like that of "specie receipt save", and verified by "specie receipt verify". Of a payment that the bank
has refused because its coins were spent, or it was taken back, it has the bank's proof of that too.

Example:
  specie merchant receipt save T-17 --out coffee.json`
}

func (c merchantReceiptSaveCmd) Run(a *app) error {
	return a.withTill(func(t *merchant.Till) error {
		op, err := t.FindPayment(a.ctx, c.Payment)
		if err != nil {
			return err
		}
		f, err := t.Evidence(a.ctx, op, c.Private)
		if err != nil {
			return err
		}
		return a.saveEvidence(f, c.Out, hex.EncodeToString(op[:]))
	})
}

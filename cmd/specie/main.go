// Command specie is the holder's and the merchant's tool: enrol a TPM,
// withdraw, pay, and take payments.
//
// It is one static binary (CGO_ENABLED=0). Exit status: see package cli.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
)

// app is what every command gets.
type app struct {
	ctx  context.Context
	out  *cli.Out
	home string
	tpm  string
	// pinFile is where the PIN of the TPM's key is; empty is asking for it.
	pinFile string
	// passphraseFile is where the purse's passphrase or PIN is; empty is asking.
	passphraseFile string
	// purseSecret is what opened the purse, while the command runs; onePIN says
	// that it is the PIN of the TPM's key, too.
	// pursePIN, that it is the PIN of a TPM, and samePIN, that it was chosen for a
	// new key as well.
	purseSecret               []byte
	onePIN, pursePIN, samePIN bool
	// ahead is how long before coins expire their owner is told.
	ahead time.Duration
	now   func() time.Time
	// clock is compared with those of the servers that answer.
	clock *client.Clock
}

type flags struct {
	Home           string      `help:"Directory of purse and till." env:"SPECIE_HOME" placeholder:"DIR" type:"path"`
	TPM            string      `name:"tpm" help:"TPM to use: device:/dev/tpmrm0, swtpm:path=SOCKET or swtpm:host=HOST,port=PORT; the platform's device by default." env:"SPECIE_TPM" placeholder:"TCTI"`
	PINFile        string      `name:"pin-file" help:"File with the PIN of the TPM's key, mode 0600, for scripts; otherwise you are asked." env:"SPECIE_PIN_FILE" placeholder:"FILE"`
	PassphraseFile string      `name:"passphrase-file" help:"File with the passphrase of the purse, or its PIN if the TPM locks it, mode 0600, for scripts; otherwise you are asked." env:"SPECIE_PASSPHRASE_FILE" placeholder:"FILE"`
	Ahead          string      `name:"ahead" help:"How long before coins expire you are told to exchange them, such as 12h." env:"SPECIE_AHEAD" default:"30d" placeholder:"TIME"`
	JSON           bool        `name:"json" help:"Print one JSON value instead of text."`
	Version        cli.Version `name:"version" help:"Print the version."`

	Init      initCmd      `cmd:"" help:"Make a purse."`
	Words     wordsCmd     `cmd:"" help:"Show the words of the purse, once, to write them down."`
	Lock      lockCmd      `cmd:"" help:"Show what locks the purse, or change it."`
	Login     loginCmd     `cmd:"" help:"Store the account's access token in the purse."`
	Token     tokenCmd     `cmd:"" help:"Access tokens of the account: list, rotate, revoke."`
	Statement statementCmd `cmd:"" help:"Show the account's statement for a period."`
	Enroll    enrollCmd    `cmd:"" help:"Register this machine's TPM with a group manager."`
	Group     groupCmd     `cmd:"" help:"Show a group: who runs it, who supervises, and your membership."`
	Renew     renewCmd     `cmd:"" help:"Fetch the credential of the present epoch, if you lack it."`
	TPM2      tpmCmd       `cmd:"" name:"tpm" help:"Look at this machine's TPM, and change the PIN of its key."`
	Withdraw  withdrawCmd  `cmd:"" help:"Draw coins from the account."`
	Pay       payCmd       `cmd:"" help:"Pay a merchant's offer."`
	Send      sendCmd      `cmd:"" help:"Give coins to somebody: as a file, a QR code or a link."`
	Receive   receiveCmd   `cmd:"" help:"Take coins that somebody sent you."`
	Balance   balanceCmd   `cmd:"" help:"Show what is in the purse."`
	Coins     coinsCmd     `cmd:"" help:"List the coins in the purse."`
	History   historyCmd   `cmd:"" help:"List the purse's operations."`
	Exchange  exchangeCmd  `cmd:"" help:"Turn coins into new ones of equal value."`
	Resume    resumeCmd    `cmd:"" help:"Finish whatever a crash or a lost answer left open."`
	Recoup    recoupCmd    `cmd:"" help:"Have coins made good whose key the bank has revoked or lost."`
	Recover   recoverCmd   `cmd:"" help:"Have the bank repay coins whose TPM was cleared or is gone."`
	Refund    refundCmd    `cmd:"" help:"Collect what a merchant gives back of a payment."`
	Reclaim   reclaimCmd   `cmd:"" help:"Take back the coins of a payment that the merchant never deposited, or that you sent and nobody received."`
	Receipt   receiptCmd   `cmd:"" help:"Keep the papers of a payment in one file, and verify such a file."`
	Backup    backupCmd    `cmd:"" help:"Write what it takes to make this purse again."`
	Restore   restoreCmd   `cmd:"" help:"Make a lost purse again, or find what the bank signed for another copy of it."`

	Merchant merchantCmd `cmd:"" help:"Take payments."`

	Completion cli.CompletionCmd `cmd:"" help:"Print a shell completion script."`
}

const description = `Holder's and merchant's tool of the Specie electronic cash system.

Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 outcome open (run "specie resume").`

// overview is what is shown to who says only "specie".
const overview = `specie holds electronic cash: coins that your bank signed without seeing them.

To hold and pay, with the bank's address and root certificate, and an account's token in a file:
  specie init --bank URL --root root.pem --token-file token    makes your purse
  specie withdraw 20.00                                        draws coins from the account
  specie pay offer.link                                        pays what a merchant offers
  specie balance                                               what is in the purse
  specie backup purse.backup                                   what it takes to make a lost purse again

Coins that only this machine's TPM can spend, so that nobody can steal them:
  specie tpm doctor                                            is the TPM fit?
  specie enroll --group URL --name "Alice Example"             registers it with a group manager
  specie withdraw 20.00 --bound

To take payments:
  specie merchant init --bank URL --root root.pem --name "Café Central"
  specie merchant request                                      for the bank, which opens your account
  specie merchant serve                                        opens the till

All commands: specie --help. An example of one: specie COMMAND --help.
`

func main() { program(time.Now).Main() }

// program is the command by a clock.
func program(now func() time.Time) *cli.Program {
	f := flags{Completion: cli.CompletionCmd{Program: "specie"}}
	clock := client.NewClock(now)
	return &cli.Program{
		Name: "specie", Description: description, Overview: overview, Flags: &f,
		Explain: func(err error) (string, int) { return explainBy(clock, now, err) },
		Ready: func(ctx context.Context, out *cli.Out) (any, error) {
			out.JSON = f.JSON
			a := &app{ctx: ctx, out: out, home: f.Home, tpm: f.TPM, pinFile: f.PINFile, passphraseFile: f.PassphraseFile, now: now, clock: clock}
			var err error
			if a.ahead, err = parseAhead(f.Ahead); err != nil {
				return nil, err
			}
			if a.home == "" {
				dir, err := os.UserConfigDir()
				if err != nil {
					return nil, fmt.Errorf("no home directory, use --home: %w", err)
				}
				a.home = filepath.Join(dir, "specie")
			}
			return a, nil
		},
	}
}

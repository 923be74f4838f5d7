package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/speciecash/specie/trust"
)

// testkit does for scripts what is not this program's work:
//
//	testkit pretender TOKEN PINFILE    imports a root key made in software
//	testkit double-spend               plays bank, manager, and a member who
//	                                   spends one coin twice
//	testkit enter WARRANT…             plays the manager: enters a warrant and
//	                                   publishes register and document
//	testkit rewrite                    plays a manager who takes his first
//	                                   warrant out of the register again
//	testkit finds TOKEN                says which of the presentations that were
//	                                   made a tracing token finds
//	testkit specied …                  does what the daemons of bank and manager
//	                                   would, for these few of specied's commands
func testkit() {
	ctx := context.Background()
	var err error
	switch args := os.Args[2:]; os.Args[1] {
	case "pretender":
		err = importPretender(args[0], args[1])
	case "double-spend":
		err = doubleSpend(ctx)
	case "enter":
		err = enterWarrant(ctx, args)
	case "rewrite":
		err = rewriteRegister(ctx)
	case "specied":
		err = playDaemons(ctx, args)
	case "finds":
		err = findPayments(args[0])
	default:
		err = fmt.Errorf("unknown command")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testkit:", err)
		os.Exit(1)
	}
}

// importPretender makes a root key outside any token, a certificate for it
// (pretender.pem), and puts the key into a token under the label "pretender".
func importPretender(token, pinFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := trust.CreateRoot(key, time.Now().AddDate(-10, 0, 0), time.Now().AddDate(50, 0, 0))
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile("pretender.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile("pretender.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600); err != nil {
		return err
	}
	pin, err := os.ReadFile(pinFile)
	if err != nil {
		return err
	}
	out, err := exec.Command("softhsm2-util", "--import", "pretender.key", "--token", token, "--label", "pretender",
		"--id", "a1b2", "--pin", strings.TrimSpace(string(pin))).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

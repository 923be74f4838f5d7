package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/wallet/wallettest"
)

// clock sets the clock of the program in the script, and nobody else's.
func clock(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1)
	off, err := time.ParseDuration(args[0])
	ts.Check(err)
	ts.Setenv("TOWN_AHEAD", (time.Until(sceneOf(ts).Town.Now()) + off).Round(time.Second).String())
}

// keyset has the bank serve another keyset than the one in force.
func keyset(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1)
	s := sceneOf(ts)
	var jws []byte
	switch args[0] {
	case "older":
		if s.first == nil {
			s.first = s.Rotate(s.t, nil)
		}
		jws = s.first
	case "forked":
		jws = s.SignKeyset(s.t, func(k *coin.Keyset) { k.IssuedAt = k.IssuedAt.Add(time.Second) })
	case "right":
		s.BankGate.Instead("/v1/keys", nil)
		return
	default:
		ts.Fatalf("keyset %s?", args[0])
	}
	s.BankGate.Instead("/v1/keys", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(map[string]string{"keyset": string(jws)}); err != nil {
			s.t.Error(err)
		}
	})
}

// stranger writes a root certificate under which there is nobody.
func stranger(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1)
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	ts.Check(err)
	der, err := trust.CreateRoot(key, time.Now().AddDate(-1, 0, 0), time.Now().AddDate(1, 0, 0))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
}

// elsewhere writes a link to an offer of a merchant whose account is at another
// bank. Nobody but the merchant signs it.
func elsewhere(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	ts.Check(err)
	signed, err := coin.NewOffer(coin.Offer{
		Mode: coin.Online, Till: "1", Acquirer: "OTHERBANK", Amount: 20, Currency: wallettest.Currency,
		Expires: sceneOf(ts).Town.Now().Add(time.Hour).Truncate(time.Second), Kinds: []coin.Kind{coin.Bearer},
	}, coin.PrivateOffer{Name: "Kiosk"}, key)
	ts.Check(err)
	l, err := signed.Link(args[1])
	ts.Check(err)
	text, err := l.Text()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text+"\n"), 0o600))
}

package main

import (
	"crypto/ecdsa"
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

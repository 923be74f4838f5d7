package wallet_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/sqlitefile"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

func TestThePurseFile(t *testing.T) {
	town := wallettest.New(t)
	good := wallet.Settings{RootPEM: town.RootPEM, BankURL: town.BankURL}
	plain := wallet.Making{Lock: wallet.Lock{Kind: wallet.LockPlain}}
	fresh := func() string { return filepath.Join(t.TempDir(), "purse.db") }

	t.Run("is made once", func(t *testing.T) {
		path := fresh()
		must(t, wallet.Create(t.Context(), path, good, plain))
		want(t, wallet.Create(t.Context(), path, good, plain), wallet.ErrExists)
		fi, err := os.Stat(path)
		must(t, err)
		if fi.Mode().Perm() != 0o600 {
			t.Errorf("mode %v", fi.Mode())
		}
	})
	t.Run("has a root", func(t *testing.T) {
		bad := good
		bad.RootPEM = []byte("-----BEGIN CERTIFICATE-----")
		want(t, wallet.Create(t.Context(), fresh(), bad, plain), trust.ErrMalformed)
	})
	t.Run("has a bank that can be asked in secret", func(t *testing.T) {
		bad := good
		bad.BankURL = "http://bank.example"
		want(t, wallet.Create(t.Context(), fresh(), bad, plain), client.ErrAddress)
	})
	t.Run("is open in one place at a time", func(t *testing.T) {
		alice := town.NewHolder(t, 0)
		_, err := wallet.Open(t.Context(), alice.Path, wallet.Options{})
		want(t, err, sqlitefile.ErrBusy)
		if !strings.Contains(err.Error(), "another process is using this file") {
			t.Errorf("it says %q", err)
		}
	})
	t.Run("is not made by opening it", func(t *testing.T) {
		_, err := wallet.Open(t.Context(), fresh(), wallet.Options{})
		want(t, err, wallet.ErrNoPurse)
	})
	t.Run("is a database", func(t *testing.T) {
		path := fresh()
		must(t, wallet.Create(t.Context(), path, good, plain))
		must(t, os.WriteFile(path, []byte(strings.Repeat("no database at all ", 100)), 0o600))
		_, err := wallet.Open(t.Context(), path, wallet.Options{})
		want(t, err, sqlitefile.ErrDamaged)
	})
	t.Run("of a newer program is left alone", func(t *testing.T) {
		path := fresh()
		must(t, wallet.Create(t.Context(), path, good, plain))
		db, err := sqlitefile.OpenSealed(t.Context(), path, wallet.PlainKey(t, path), make([]string, 99))
		must(t, err)
		must(t, db.Close())
		_, err = wallet.Open(t.Context(), path, wallet.Options{})
		want(t, err, sqlitefile.ErrNewer)
	})
}

// TestIDsAreHexadecimal everywhere, so that what "history" prints is what
// "reclaim" takes.
func TestIDsAreHexadecimal(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	alice.Draw(t, 3, coin.Bearer)
	op := last(t, alice, wallet.KindWithdraw)
	raw, err := json.Marshal(op)
	must(t, err)
	if !strings.Contains(string(raw), `"id":"`+op.ID.String()+`"`) || len(op.ID.String()) != 32 {
		t.Errorf("%s", raw)
	}
	coins, err := alice.Coins(t.Context())
	must(t, err)
	if len(coins) != 2 || len(coins[0].ID.String()) != 64 {
		t.Errorf("%+v", coins)
	}
}

package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger"
)

func TestADatabaseIsAPathOrAURLWhosePasswordIsInAFile(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"password": "open sesame\n", "empty": "\n"} {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	a := &app{ctx: t.Context(), log: slog.New(slog.DiscardHandler)}
	tests := []struct {
		name, yaml, says string
	}{
		{"none", "{lane: main}", "database is missing"},
		{"another server's", "{database: 'mysql://bank@db/bank'}", "neither a path"},
		{"a password in the URL", "{database: 'postgres://bank:hunter2@db/bank'}", "belongs into a file"},
		{"a password in the URL's parameters", "{database: 'postgres://bank@db/bank?password=hunter2'}", "belongs into a file"},
		{"a URL that does not read", "{database: 'postgres://bank:hunter2@db:port/bank'}", "does not read"},
		{"a password file that is not there", "{database: 'postgres://bank@db/bank', database_password_file: gone}", "database_password_file"},
		{"a password file with nothing in it", "{database: 'postgres://bank@db/bank', database_password_file: empty}", "a password, and a user"},
		{"a password for nobody", "{database: 'postgres://db/bank', database_password_file: password}", "a password, and a user"},
		{"a password for a path", "{database: issuer.db, database_password_file: password}", "goes with a postgres:// URL"},
		{"a lane that is none", "{database: issuer.db, lane: 'A B'}", "lane"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var cfg issuerConfig
			check(t, os.WriteFile(filepath.Join(dir, "issuer.yaml"), []byte(tt.yaml), 0o600))
			b := must(loadYAML(filepath.Join(dir, "issuer.yaml"), &cfg))(t)
			_, err := b.openLedger(t.Context(), cfg.Store, nil, a)
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
			if tt.says != "database_password_file" && !errors.Is(err, errConfig) {
				t.Errorf("not a fault of the configuration: %v", err)
			}
		})
	}
	l := must(base(dir).openLedger(t.Context(), storeConfig{Database: "issuer.db", Lane: "second"}, nil, a))(t)
	check(t, l.SetMeta(t.Context(), "x", nil))
	audit := must(l.Verify(t.Context(), ledger.Verification{}))(t)
	if len(audit.Heads) != 1 || audit.Heads[0].Lane != "second" {
		t.Errorf("journals %+v", audit.Heads)
	}
	check(t, l.Close())
	address := must(base(dir).address(storeConfig{Database: "postgres://bank@db/bank", PasswordFile: "password"}))(t)
	if address != "postgres://bank:open%20sesame@db/bank" {
		t.Errorf("address %s", address)
	}
}

func TestALedgerThatGoesBackWhileItIsOpenIsFenced(t *testing.T) {
	a := &app{ctx: t.Context(), log: slog.New(slog.DiscardHandler)}
	b, c := base(t.TempDir()), storeConfig{Database: "issuer.db"}
	s := must(b.openStore(t.Context(), c, a))(t)
	for range 5 {
		check(t, s.SetMeta(t.Context(), "x", nil))
	}
	s.witness.Commit(ledger.Head{Lane: "main", Seq: 4}) // as of a server that lacks two records
	var fence *ledger.Fence
	for deadline := time.Now().Add(10 * time.Second); fence == nil; time.Sleep(10 * time.Millisecond) {
		if fence = must(ledger.RaisedFence(t.Context(), s))(t); time.Now().After(deadline) {
			t.Fatal("no fence is raised")
		}
	}
	if fence.Reason != ledger.FenceBehind || fence.Lost != 2 {
		t.Errorf("the fence says %s", fence)
	}
	check(t, s.Close())
}

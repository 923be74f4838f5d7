package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/sqlite"
)

// oldRegister makes a register of version 1 with one active and one expelled
// member.
func oldRegister(t *testing.T, path string) {
	t.Helper()
	script, err := os.ReadFile("testdata/register-1.sql")
	must(t, err)
	statements := []string{string(script)}
	for n, state := range []string{"active", "expelled"} {
		n++
		statements = append(statements, fmt.Sprintf(
			`INSERT INTO members VALUES (x'%032x', x'%064x', x'%066x', x'%066x', 7, '%s', x'01', x'02', x'03', 'Ada', 1000000)`, n, n, n, n, state))
	}
	raw(t, path, append(statements, "PRAGMA application_id=1397772871", "PRAGMA user_version=1")...)
}

func TestARegisterOfVersion1IsBroughtForward(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	path := filepath.Join(dir, "old.db")
	oldRegister(t, path)
	r, err := sqlite.OpenRegister(ctx, path, sqlite.Options{})
	must(t, err)
	ek := [32]byte{31: 1}
	m, err := r.MemberByEK(ctx, ek)
	must(t, err)
	want := ledger.Member{ID: [16]byte{15: 1}, EK: ek, F: [33]byte{32: 1}, Uh: [33]byte{32: 1}, Epoch: 7, State: ledger.MemberActive,
		Name: "Ada", JoinedAt: time.Unix(1, 0).UTC()}
	if m.ID != want.ID || m.F != want.F || m.Uh != want.Uh || m.Epoch != 7 || m.State != want.State || m.Name != "Ada" ||
		!m.JoinedAt.Equal(want.JoinedAt) || !bytes.Equal(m.Transcript, []byte{1}) || !bytes.Equal(m.Form, []byte{2}) || !bytes.Equal(m.Issued, []byte{3}) {
		t.Fatalf("got %+v", m)
	}
	expelled, err := r.MemberByEK(ctx, [32]byte{31: 2})
	must(t, err)
	if expelled.State != ledger.MemberExpelled {
		t.Fatalf("got %s", expelled.State)
	}
	must(t, r.Readmit(ctx, ledger.Readmission{Code: [32]byte{1}, Member: want.ID, Expires: time.Unix(100, 0)}))
	must(t, r.Close())

	fresh := filepath.Join(dir, "new.db")
	r, err = sqlite.OpenRegister(ctx, fresh, sqlite.Options{})
	must(t, err)
	must(t, r.Close())
	if got, want := shape(t, path), shape(t, fresh); !slices.Equal(got, want) {
		t.Fatalf("brought forward it is\n%s\nwhere a new one is\n%s", got, want)
	}
	r, err = sqlite.OpenRegister(ctx, path, sqlite.Options{}) // a second time there is nothing to do
	must(t, err)
	must(t, r.Close())
}

// shape lists every column and index of a file.
func shape(t *testing.T, path string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must(t, err)
	defer db.Close()
	var out []string
	for _, query := range []string{
		`SELECT m.name || '.' || c.name || ' ' || c.type || ' ' || c."notnull" || ' ' || c.pk FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type='table'`,
		`SELECT m.name || ' ' || i."unique" || ' ' || c.name FROM sqlite_master m, pragma_index_list(m.name) i, pragma_index_info(i.name) c WHERE m.type='table'`,
		`SELECT 'version ' || user_version FROM pragma_user_version`,
	} {
		rows, err := db.Query(query)
		must(t, err)
		for rows.Next() {
			var s string
			must(t, rows.Scan(&s))
			out = append(out, s)
		}
		must(t, rows.Err())
	}
	slices.Sort(out)
	return out
}

// TestALedgerOfVersion1IsBroughtForward opens a file that version 1 wrote: six
// ops in two lanes, three accounts, one of them with its second token, one with
// none.
func TestALedgerOfVersion1IsBroughtForward(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	path := filepath.Join(dir, "old.db")
	old, err := os.ReadFile("testdata/ledger-1.db")
	must(t, err)
	must(t, os.WriteFile(path, old, 0o600))
	const records = 15 // as version 1 left it
	for range 2 {      // a second time there is nothing to do
		l := openLedger(t, path)
		audit, err := l.Verify(ctx, ledger.Verification{})
		must(t, err)
		if audit.Ops != 6 || audit.Answers != 3 || audit.Accounts != 3 || audit.Records != records+3+2 || len(audit.Heads) != 2 {
			t.Fatalf("audit is %+v", audit)
		}
		must(t, l.Close())
	}
	l := openLedger(t, path)
	made := time.Unix(1_800_000_000, 0).UTC()
	h1 := ledger.Account{ID: "holder/h1", Kind: "holder", Name: "Ada ✓", Key: []byte{1, 2}, Currency: "EUR", CreatedAt: made, Suspended: true, Rev: 3}
	k, a, err := l.Token(ctx, hash("token", 2))
	must(t, err)
	if diff := cmp.Diff(&h1, a) + cmp.Diff(&ledger.AccessToken{Hash: hash("token", 2), Account: h1.ID, CreatedAt: made}, k, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("brought forward it differs (-want +got):\n%s", diff)
	}
	if _, _, err := l.Token(ctx, hash("token", 1)); !errors.Is(err, ledger.ErrNotFound) {
		t.Fatalf("a token that was replaced: %v", err)
	}
	for account, want := range map[string]int{"holder/h1": 1, "merchant/m1": 1, "holder/h2": 0} {
		if got, err := l.Tokens(ctx, account); err != nil || len(got) != want {
			t.Fatalf("tokens of %s are %v, %v", account, got, err)
		}
	}
	must(t, l.UpdateAccount(ctx, h1))
	must(t, l.RevokeToken(ctx, hash("token", 2), made))
	out, err := l.Apply(ctx, numbered(3, 3))
	must(t, err)
	if out.Status != ledger.Replayed {
		t.Fatalf("an op of version 1 is %v", out.Status)
	}
	_, err = l.Verify(ctx, ledger.Verification{})
	must(t, err)
	must(t, l.Close())

	fresh := filepath.Join(dir, "new.db")
	l = openLedger(t, fresh)
	must(t, l.OpenEpoch(ctx, "k1"))
	must(t, l.Close())
	if got, want := shape(t, path), shape(t, fresh); !slices.Equal(got, want) {
		t.Fatalf("brought forward it is\n%s\nwhere a new one is\n%s", got, want)
	}
}

package issuer_test

import (
	"bytes"
	"database/sql"
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"

	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/postgres"
	"github.com/speciecash/specie/ledger/postgres/pgtest"
	"github.com/speciecash/specie/ledger/sqlite"
)

// damage is what somebody does to a ledger who may write to its database.
type damage struct {
	name string
	sql  string // statements, divided by semicolons; SPENT is a spent set, MADE a made one
	want string // what the audit says
	both bool   // tried on PostgreSQL too
}

// damages is the list in docs/operator.md.
func damages() []damage {
	return []damage{
		{"a coin is unspent again", "DELETE FROM spent_SPENT", "spent_SPENT", true},
		{"a coin is spent by nobody", "INSERT INTO spent_SPENT (id, op) SELECT hash, (SELECT id FROM ops WHERE kind = 'deposit' LIMIT 1) FROM journal LIMIT 1", "spent_SPENT", false},
		{"a coin is spent by another operation", "UPDATE spent_SPENT SET op = (SELECT id FROM ops WHERE kind = 'funding' LIMIT 1)", "spent_SPENT", false},
		{"an output may be signed again", "DELETE FROM spent_MADE", "spent_MADE", false},
		{"a spent set is gone", "DELETE FROM epochs WHERE name = 'SPENT'", "epochs", true},
		{"a balance is higher", "UPDATE balances SET amount = amount + 1 WHERE account LIKE 'merchant/%'", "balances: merchant/", true},
		{"a posting is higher", "UPDATE postings SET amount = amount + 1 WHERE account LIKE 'holder/%'", "ops: op ", false},
		{"a posting is to another account", "UPDATE postings SET account = 'merchant/eve' WHERE account LIKE 'merchant/%'", "ops: op ", false},
		{"a posting is gone", "DELETE FROM postings WHERE account = 'reserve'", "ops: op ", true},
		{"a posting is of another day", "UPDATE postings SET at = at - 86400000000", "postings", false},
		{"a request was another", "UPDATE ops SET request = answer WHERE kind = 'deposit'", "ops: op ", true},
		{"a receipt was another", "UPDATE ops SET answer = request WHERE kind = 'deposit'", "ops: op ", false},
		{"an operation is another account's", "UPDATE ops SET account = 'merchant/eve' WHERE kind = 'deposit'", "ops: op ", true},
		{"an operation was earlier", "UPDATE ops SET at = at - 1 WHERE kind = 'funding'", "ops: op ", false},
		{"an operation is gone", "DELETE FROM ops WHERE kind = 'exchange'", "journal", true},
		{"a record and its operation are gone", "DELETE FROM journal WHERE event = 'op' AND subject = (SELECT id FROM ops WHERE kind = 'exchange' LIMIT 1); DELETE FROM ops WHERE id = (SELECT id FROM ops WHERE kind = 'exchange' LIMIT 1)", "record main/", true},
		{"a record says something else", "UPDATE journal SET digest = prev WHERE seq = 7", "record main/7", true},
		{"a record is of another event", "UPDATE journal SET event = 'account' WHERE event = 'op'", "journal", false},
		{"a token may do more", "UPDATE access_tokens SET scopes = 'withdraw'", "token", false},
		{"a token is another account's", "UPDATE access_tokens SET account = (SELECT MIN(id) FROM accounts)", "token", false},
		{"a token never ends", "UPDATE access_tokens SET expires_at = 1", "token", false},
		{"a token that nobody made", "INSERT INTO access_tokens SELECT prev, account, label, scopes, created_at, expires_at, revoked_at, 1 FROM access_tokens, journal WHERE seq = 3 LIMIT 1", "token", true},
		{"a token is gone", "DELETE FROM access_tokens", "token", false},
		{"an account has another owner", "UPDATE accounts SET name = 'Eve'", "account", true},
		{"an account has another key", "UPDATE accounts SET pubkey = X'00' WHERE kind = 'merchant'", "account", false},
		{"an account is gone", "DELETE FROM accounts WHERE kind = 'holder'", "account", false},
		{"the bank's identity was rewritten", "UPDATE meta SET rev = rev + 1 WHERE name = 'keyset'", "meta", false},
		{"a counter is lower", "UPDATE quotas SET counted = counted - 1", "quota", true},
		{"what was counted is gone", "DELETE FROM op_quotas", "ops: op ", false},
		{"a hold keeps no coin", "DELETE FROM held_coins", "hold", true},
		{"a hold keeps a coin of nowhere", "UPDATE held_coins SET epoch = 'nowhere'", "an epoch that is not open", true},
	}
}

// busy is a bank after some ordinary life, with a payout and a hold besides.
func busy(t *testing.T) (s *shop, spent, made string) {
	t.Helper()
	s = audited(t)
	_, err := s.Payout(t.Context(), s.till.Account.ID, 3, "to the bank account")
	expect(t, err, nil)
	c := s.purse.Withdraw(t, s.Bank, 8)
	offer := s.till.Offer(t, 8, nil)
	spend, _ := s.purse.Pay(t, offer, c, nil)
	_, err = s.Hold(t.Context(), s.till.Account, &issuer.HoldRequest{Offer: offer.Public, PayeeSalt: offer.Private.PayeeSalt, Spend: spend})
	expect(t, err, nil)
	d := s.House.Key(t, "bearer", 4)
	return s, hex.EncodeToString(d.KeyID[:20]), "m_" + hex.EncodeToString(d.KeyID[:19])
}

// plant does the damage by statements of SQL.
func (d *damage) plant(t *testing.T, db *sql.DB, spent, made string) {
	t.Helper()
	for statement := range strings.SplitSeq(named(d.sql, spent, made), ";") {
		r, err := db.Exec(statement)
		expect(t, err, nil)
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			t.Fatalf("%s: no row altered: %v", statement, err)
		}
	}
}

func named(text, spent, made string) string {
	return strings.NewReplacer("SPENT", spent, "MADE", made).Replace(text)
}

// found fails unless an audit names what is wrong.
func found(t *testing.T, s *shop, l ledger.Ledger, want string) {
	t.Helper()
	r, err := issuer.Audit(t.Context(), l, s.House.Keyset, issuertest.Now, nil)
	expect(t, err, nil)
	expect(t, r.Err(), issuer.ErrBooks)
	all := strings.Join(append(r.Rows.Problems, r.Problems...), "\n")
	if !strings.Contains(all, want) {
		t.Errorf("nothing of %q in:\n%s", want, all)
	}
}

func TestAnAuditNamesWhateverWasDoneToTheFile(t *testing.T) {
	s, spent, made := busy(t)
	whole := s.snapshot(t)
	sound, err := s.Audit(t.Context(), nil)
	expect(t, err, nil)
	expect(t, sound.Err(), nil)
	for _, d := range damages() {
		t.Run(d.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "copy.db")
			db, err := sql.Open("sqlite", whole)
			expect(t, err, nil)
			_, err = db.Exec("VACUUM INTO ?", path)
			expect(t, err, nil)
			expect(t, db.Close(), nil)
			db, err = sql.Open("sqlite", path)
			expect(t, err, nil)
			d.plant(t, db, spent, made)
			expect(t, db.Close(), nil)
			l, err := sqlite.OpenLedger(t.Context(), path, sqlite.Options{})
			expect(t, err, nil)
			defer func() { expect(t, l.Close(), nil) }()
			found(t, s, l, named(d.want, spent, made))
		})
	}
}

func TestAnAuditNamesWhateverWasDoneToTheDatabase(t *testing.T) {
	s, spent, made := busy(t)
	var whole bytes.Buffer
	expect(t, s.Backup(t.Context(), &whole), nil)
	cluster, err := pgtest.Start()
	expect(t, err, nil)
	defer func() { expect(t, cluster.Close(), nil) }()
	for _, d := range damages() {
		if !d.both {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			url := cluster.Database(t)
			l, err := postgres.OpenLedger(t.Context(), url, postgres.Options{})
			expect(t, err, nil)
			defer func() { expect(t, l.Close(), nil) }()
			_, err = ledger.ReadBackup(t.Context(), l, bytes.NewReader(whole.Bytes()), nil)
			expect(t, err, nil)
			cluster.Exec(t, url, strings.Split(named(d.sql, spent, made), ";")...)
			found(t, s, l, named(d.want, spent, made))
		})
	}
}

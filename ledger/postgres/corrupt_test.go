package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/batch"
)

// soundLedger writes a ledger with something in each table, in two lanes.
func soundLedger(t *testing.T) *Ledger {
	t.Helper()
	ctx := context.Background()
	l := at(t, cluster.Database(t), Options{})
	must(t, l.OpenEpoch(ctx, "k1"))
	must(t, l.OpenEpoch(ctx, "k2"))
	must(t, l.SetMeta(ctx, ledger.MetaBank, []byte("BANKA")))
	must(t, l.SetMeta(ctx, ledger.MetaBank, []byte("BANKB")))
	for _, id := range []string{"holder/h1", "merchant/m1"} {
		a := ledger.Account{ID: id, Kind: "holder", Currency: "EUR", CreatedAt: time.Unix(1, 0)}
		k := ledger.AccessToken{Hash: hash("token "+id, 1), Account: id, Label: "till", Scopes: []string{"deposit"}, CreatedAt: time.Unix(1, 0)}
		live := k
		live.Hash = hash("token "+id, 2)
		must(t, l.CreateAccount(ctx, a, k, live))
		must(t, l.RevokeToken(ctx, k.Hash, time.Unix(9, 0)))
		a.Rev, a.Suspended = 1, true
		must(t, l.UpdateAccount(ctx, a))
	}
	for n := range 6 {
		op := deposit(n, "merchant/m1", n)
		op.State = ledger.StatePending
		if n%2 == 1 {
			op.Lane = "side"
		}
		op.Quotas = []ledger.Quota{{Name: "day/m1", Amount: 5, Max: 100}}
		if n == 5 { // of the balances, too, there is one row each
			for _, account := range []string{"merchant/m1", "circulation/k1"} {
				l.fold[batch.Purse{Account: account, Currency: "EUR"}] = struct{}{}
			}
		}
		_, err := l.Apply(ctx, op)
		must(t, err)
	}
	for n := range 3 {
		h := ledger.Hold{ID: hash("op", 100+n), Account: "merchant/m1", Coins: deposit(0, "m", 100+n).Spends,
			At: moment(10), Until: moment(70)}
		_, err := l.PlaceHold(ctx, h, ledger.HoldLimits{})
		must(t, err)
		_, err = l.Strike(ctx, h.ID, hash("try", n))
		must(t, err)
	}
	must(t, l.ReleaseHold(ctx, hash("op", 102)))
	for n := range 3 {
		must(t, l.SetAnswer(ctx, hash("op", n), ledger.StateDone, nil))
		must(t, l.SetAnswer(ctx, hash("op", n), ledger.StateDone, []byte("receipt")))
	}
	sound(t, l)
	return l
}

// TestVerifyFindsPlantedCorruption changes one thing behind the store's back;
// Verify must name the table.
func TestVerifyFindsPlantedCorruption(t *testing.T) {
	ctx := context.Background()
	l := soundLedger(t)
	const first = "lane='main' AND seq=(SELECT MIN(seq) FROM ops WHERE lane='main')"
	id := "'\\x" + strings.Repeat("ab", 32) + "'::bytea"
	for _, c := range []struct {
		table, name string
		sql         []string
	}{
		{"meta", "a value changed", []string{"UPDATE meta SET value='\\x00'::bytea"}},
		{"meta", "a version put back", []string{"UPDATE meta SET value='BANKA'::bytea, rev=1"}},
		{"meta", "a row gone", []string{"DELETE FROM meta"}},
		{"meta", "a row planted", []string{"INSERT INTO meta VALUES ('x', '\\x00'::bytea, 1)"}},

		{"accounts", "a suspension lifted", []string{"UPDATE accounts SET suspended=FALSE WHERE id='holder/h1'"}},
		{"accounts", "a version put back", []string{"UPDATE accounts SET suspended=FALSE, rev=1 WHERE id='holder/h1'"}},
		{"accounts", "a row gone", []string{"DELETE FROM accounts WHERE id='holder/h1'"}},
		{"accounts", "a row planted", []string{
			"INSERT INTO accounts SELECT 'holder/h9', kind, name, pubkey, currency, created_at, FALSE, '', 1 FROM accounts LIMIT 1"}},

		{"access_tokens", "a scope added", []string{"UPDATE access_tokens SET scopes='deposit operate'"}},
		{"access_tokens", "a revocation lifted", []string{"UPDATE access_tokens SET revoked_at=0"}},
		{"access_tokens", "a revocation lifted, with its version", []string{"UPDATE access_tokens SET revoked_at=0, rev=1"}},
		{"access_tokens", "a token that opens another account", []string{"UPDATE access_tokens SET account='holder/h1'"}},
		{"access_tokens", "a token that never ends", []string{"UPDATE access_tokens SET expires_at=1"}},
		{"access_tokens", "a row gone", []string{"DELETE FROM access_tokens WHERE revoked_at=0 AND account='holder/h1'"}},
		{"access_tokens", "a row planted", []string{
			"INSERT INTO access_tokens SELECT " + id + ", account, label, scopes, created_at, 0, 0, 1 FROM access_tokens LIMIT 1"}},

		{"quotas", "a counter put back", []string{"UPDATE quotas SET counted=0"}},
		{"quotas", "a counter gone", []string{"DELETE FROM quotas"}},
		{"quotas", "a counter planted", []string{"INSERT INTO quotas VALUES ('day/m2', 1)"}},
		{"ops", "what an op counted changed, with the counter", []string{
			"UPDATE op_quotas SET amount=4 WHERE " + first, "UPDATE quotas SET counted=counted-1"}},
		{"ops", "what an op counted gone, with the counter", []string{
			"DELETE FROM op_quotas WHERE " + first, "UPDATE quotas SET counted=counted-5"}},
		{"ops", "what an op counted under another name, with the counters", []string{
			"UPDATE op_quotas SET name='day/m2' WHERE " + first, "UPDATE quotas SET counted=counted-5",
			"INSERT INTO quotas VALUES ('day/m2', 5)"}},
		{"op_quotas", "a count planted", []string{
			"INSERT INTO op_quotas VALUES ('zzz', 1, 0, 'day/m1', 1)", "UPDATE quotas SET counted=counted+1"}},

		{"holds", "a hold that keeps nothing", []string{"DELETE FROM held_coins WHERE hold=(SELECT id FROM holds ORDER BY id LIMIT 1)"}},
		{"holds", "a hold that ends before it begins", []string{"UPDATE holds SET until=at-1"}},
		{"holds", "a hold of nobody", []string{"UPDATE holds SET account='' WHERE id=(SELECT id FROM holds ORDER BY id LIMIT 1)"}},
		{"holds", "a coin that another spent while it was held", []string{
			"UPDATE held_coins SET id=(SELECT id FROM spent_k1 WHERE op=(SELECT id FROM ops WHERE " + first +
				")) WHERE hold=(SELECT id FROM holds WHERE NOT released ORDER BY id LIMIT 1)"}},
		{"holds", "a coin that two hold at once", []string{
			"UPDATE held_coins SET id=(SELECT id FROM held_coins WHERE hold IN (SELECT id FROM holds WHERE NOT released) ORDER BY id LIMIT 1) WHERE hold IN (SELECT id FROM holds WHERE NOT released)"}},
		{"holds", "a released hold taken up again", []string{
			"UPDATE held_coins SET id=(SELECT id FROM held_coins WHERE hold=(SELECT id FROM holds WHERE NOT released ORDER BY id LIMIT 1)) WHERE hold=(SELECT id FROM holds WHERE released)",
			"UPDATE holds SET released=FALSE"}},
		{"held_coins", "coins of no hold", []string{"DELETE FROM hold_tries", "DELETE FROM holds WHERE id=(SELECT id FROM holds ORDER BY id LIMIT 1)"}},
		{"held_coins", "a coin of an epoch that is not open", []string{"UPDATE held_coins SET epoch='k9'"}},
		{"hold_tries", "a try under no hold", []string{"INSERT INTO hold_tries VALUES (" + id + ", " + id + ")"}},

		{"epochs", "a row gone", []string{"DELETE FROM epochs WHERE name='k2'"}},
		{"epochs", "a row planted", []string{"INSERT INTO epochs VALUES ('k3')"}},
		{"op_spends", "a used epoch gone", []string{"DELETE FROM epochs WHERE name='k1'"}},

		{"ops", "a request changed", []string{"UPDATE ops SET request='x'::bytea WHERE " + first}},
		{"ops", "an answer planted", []string{"UPDATE ops SET answer='\\x00'::bytea WHERE " + first}},
		{"ops", "a state changed", []string{"UPDATE ops SET state='done' WHERE " + first}},
		{"ops", "an account changed", []string{"UPDATE ops SET account='merchant/m2' WHERE " + first}},
		{"ops", "an id changed", []string{"UPDATE ops SET id=" + id + " WHERE " + first}},
		{"ops", "a time changed, with its postings", []string{
			"UPDATE ops SET at=at+1 WHERE " + first, "UPDATE postings SET at=at+1 WHERE " + first}},
		{"journal", "an op gone", []string{"DELETE FROM ops WHERE " + first}},
		{"ops", "an op planted", []string{
			"INSERT INTO ops SELECT lane, 1000, " + id + ", kind, account, issuer, acquirer, state, request, answer, at FROM ops LIMIT 1"}},

		{"answers", "an answer changed", []string{"UPDATE answers SET answer='\\x00'::bytea WHERE rev=3"}},
		{"answers", "a state changed", []string{"UPDATE answers SET state='refused'"}},
		{"answers", "a row gone", []string{"DELETE FROM answers WHERE rev=3"}},
		{"answers", "an answer given to another op", []string{
			"UPDATE answers SET op_seq=(SELECT MAX(seq) FROM ops WHERE lane='main') WHERE seq=(SELECT MIN(seq) FROM answers)"}},
		{"answers", "a row planted", []string{"INSERT INTO answers SELECT 'x', 1, lane, seq, 2, 'done', '\\x00'::bytea FROM ops WHERE seq=(SELECT MAX(seq) FROM ops WHERE lane='side') AND lane='side'"}},

		{"postings", "an amount changed", []string{"UPDATE postings SET amount=amount+1 WHERE n=0 AND " + first}},
		{"ops", "both amounts changed, with the balances", []string{
			"UPDATE postings SET amount=2*amount WHERE " + first,
			"UPDATE balances SET amount=(SELECT SUM(amount) FROM postings p WHERE p.account=balances.account)"}},
		{"ops", "an amount sent elsewhere, with the balances", []string{
			"UPDATE postings SET account='merchant/thief' WHERE n=1 AND " + first,
			"INSERT INTO balances VALUES ('merchant/thief', 'EUR', 1, TRUE)",
			"UPDATE balances SET amount=amount-1 WHERE account='merchant/m1'"}},
		{"postings", "a row gone", []string{"DELETE FROM postings WHERE n=1 AND " + first}},
		{"postings", "a time changed", []string{"UPDATE postings SET at=at-1000000 WHERE n=1 AND " + first}},
		{"postings", "a pair planted in the midst of a lane", []string{
			"INSERT INTO postings SELECT 'main', 1, n, account, amount, currency, at FROM postings WHERE " + first}},
		{"postings", "a pair planted at the end", []string{
			"INSERT INTO postings SELECT 'zzz', 1, n, account, amount, currency, at FROM postings WHERE " + first}},

		{"ops", "a spend's value changed", []string{"UPDATE op_spends SET value=1000 WHERE " + first}},
		{"spent_k1", "a spend gone", []string{"DELETE FROM op_spends WHERE " + first}},
		{"spent_k1", "a spend of another coin", []string{"UPDATE op_spends SET id=" + id + " WHERE " + first}},
		{"op_spends", "a spend planted", []string{"INSERT INTO op_spends VALUES ('zzz', 1, 0, 'k1', " + id + ", 1)"}},

		{"spent_k1", "a coin unspent", []string{"DELETE FROM spent_k1 WHERE op=(SELECT id FROM ops WHERE " + first + ")"}},
		{"spent_k1", "a coin spent by nobody", []string{"INSERT INTO spent_k1 VALUES (" + id + ", " + id + ")"}},
		{"spent_k1", "a coin blamed on another op", []string{
			"UPDATE spent_k1 SET op=(SELECT id FROM ops WHERE " + first + ")"}},
		{"spent_k1", "a coin exchanged for another", []string{
			"UPDATE spent_k1 SET id=" + id + " WHERE op=(SELECT id FROM ops WHERE " + first + ")"}},
		{"spent_k1", "the set emptied", []string{"DELETE FROM spent_k1"}},
		{"spent_k1", "the set dropped", []string{"DROP TABLE spent_k1"}},

		{"balances", "a balance changed", []string{"UPDATE balances SET amount=amount+1 WHERE account='merchant/m1'"}},
		{"balances", "a unit moved", []string{"UPDATE balances SET amount=amount+1 WHERE account='merchant/m1'",
			"UPDATE balances SET amount=amount-1 WHERE account='circulation/k1'"}},
		{"balances", "a row gone", []string{"DELETE FROM balances WHERE account='merchant/m1'"}},
		{"balances", "a row planted", []string{"INSERT INTO balances VALUES ('merchant/thief', 'EUR', 5, TRUE)"}},
		{"balances", "a row of nothing planted", []string{"INSERT INTO balances VALUES ('merchant/thief', 'EUR', 0, TRUE)"}},
		{"balances", "an amount hidden", []string{"UPDATE balances SET posted=FALSE WHERE account='merchant/m1'"}},
		{"balances", "a delta planted", []string{"INSERT INTO deltas VALUES ('merchant/m1', 'EUR', 'main', 1, 5)"}},

		{"lanes", "an end put back", []string{"UPDATE lanes SET seq=seq-1 WHERE lane='main'"}},
		{"lanes", "an end changed", []string{"UPDATE lanes SET hash=" + id + " WHERE lane='side'"}},
		{"lanes", "a lane gone", []string{"DELETE FROM lanes WHERE lane='side'"}},
		{"lanes", "a lane planted", []string{"INSERT INTO lanes VALUES ('x', 1, " + id + ")"}},
		{"lanes", "the newest record of a lane gone", []string{
			"DELETE FROM journal WHERE lane='side' AND seq=(SELECT MAX(seq) FROM journal WHERE lane='side')"}},
		{"holds", "a strike forgiven", []string{"UPDATE holds SET strikes=0"}},

		{"journal", "a hash changed", []string{"UPDATE journal SET hash=" + id + " WHERE seq=2"}},
		{"journal", "a link changed", []string{"UPDATE journal SET prev=" + id + " WHERE seq=2"}},
		{"journal", "a digest changed", []string{"UPDATE journal SET digest=" + id + " WHERE seq=2"}},
		{"journal", "a record of a kind unknown", []string{"UPDATE journal SET event='other' WHERE seq=2"}},
		{"journal", "a record gone", []string{"DELETE FROM journal WHERE lane='main' AND seq=2"}},
		{"ops", "the newest record of a lane gone", []string{
			"DELETE FROM journal WHERE lane='side' AND seq=(SELECT MAX(seq) FROM journal WHERE lane='side')"}},
		{"ops", "a whole lane gone", []string{"DELETE FROM journal WHERE lane='side'"}},
	} {
		t.Run(c.table+": "+c.name, func(t *testing.T) {
			conn, err := l.acquire(ctx)
			must(t, err)
			defer conn.Release()
			begin(t, conn.Conn(), append([]string{"BEGIN"}, c.sql...)...)
			defer begin(t, conn.Conn(), "ROLLBACK")
			audit := newAudit(ledger.Verification{})
			err = errors.Join(audit.run(&snapshot{ctx: ctx, conn: conn.Conn()}), audit.out.Err())
			if !errors.Is(err, ledger.ErrCorrupt) {
				t.Fatalf("Verify says %v", err)
			}
			if !strings.Contains("\n"+strings.Join(audit.out.Problems, "\n"), "\n"+c.table+":") {
				t.Fatalf("Verify does not name %s:\n%s", c.table, strings.Join(audit.out.Problems, "\n"))
			}
		})
	}
	sound(t, l)
}

// begin runs statements as they are.
func begin(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := conn.Exec(context.Background(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

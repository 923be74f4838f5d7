package postgres

import (
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/speciecash/specie/ledger"
)

// balances compares each balance with its postings folded. The journal walk
// has vouched for the postings.
func (a *audit) balances() error {
	return a.query(func(rows pgx.Rows) error {
		var account, currency, folded, kept string // sums can leave 64 bits where damage is
		err := rows.Scan(&account, &currency, &folded, &kept)
		a.out.Problem("balances: %s holds %s %s, its postings come to %s", account, kept, currency, folded)
		return err
	}, `SELECT account, currency, SUM(folded)::text, SUM(kept)::text FROM (
			SELECT account, currency, amount AS folded, 0 AS kept, 1 AS posts, 0 AS claims FROM postings
			UNION ALL SELECT account, currency, 0, amount, 0, CASE WHEN posted THEN 1 ELSE 0 END FROM balances
			UNION ALL SELECT account, currency, 0, amount, 0, 1 FROM deltas) AS sides
		GROUP BY account, currency
		HAVING SUM(folded) <> SUM(kept) OR (SUM(posts) > 0) <> (SUM(claims) > 0)`)
}

// quotas compares each counter with what ops counted.
func (a *audit) quotas() error {
	return a.query(func(rows pgx.Rows) error {
		var name, folded, kept string
		err := rows.Scan(&name, &folded, &kept)
		a.out.Problem("quotas: %s counts %s, its ops come to %s", name, kept, folded)
		return err
	}, `SELECT name, SUM(folded)::text, SUM(kept)::text FROM (
			SELECT name, amount AS folded, 0 AS kept FROM op_quotas
			UNION ALL SELECT name, 0, counted FROM quotas) AS sides
		GROUP BY name HAVING SUM(folded) <> SUM(kept)`)
}

// spentSets compares each spent set with the spends of ops. Every row of a
// set must be a spend of the op it names; a set's ids are unique, so that
// equal counts then make the two the same.
func (a *audit) spentSets() error {
	spends := make(map[string]int64)
	err := a.query(func(rows pgx.Rows) error {
		var epoch string
		var n int64
		err := rows.Scan(&epoch, &n)
		spends[epoch] = n
		return err
	}, "SELECT epoch, COUNT(*) FROM op_spends GROUP BY epoch")
	if err != nil {
		return err
	}
	var epochs []string
	err = a.query(func(rows pgx.Rows) error {
		var epoch string
		err := rows.Scan(&epoch)
		epochs = append(epochs, epoch)
		return err
	}, "SELECT name FROM epochs ORDER BY name")
	if err != nil {
		return err
	}
	for _, epoch := range epochs {
		a.epochs.Current(a.out, "epochs", epoch, ledger.Version{Rev: 1, Digest: ledger.EpochDigest(epoch)})
		if !ledger.ValidEpoch(epoch) {
			continue // planted: it would be SQL
		}
		if err := a.spentSet(epoch, spends[epoch]); err != nil {
			return err
		}
		a.progress(spends[epoch])
		delete(spends, epoch)
	}
	a.epochs.Missing(a.out, "epochs")
	for epoch, n := range spends {
		a.out.Problem("op_spends: %d spends are of epoch %q, which is not open", n, epoch)
	}
	return nil
}

func (a *audit) spentSet(epoch string, spends int64) error {
	var tables, n int64
	table := "spent_" + epoch
	_, err := a.get([]any{&tables}, `SELECT COUNT(*) FROM information_schema.tables
		WHERE table_schema = current_schema() AND table_name = $1`, table)
	if err != nil {
		return err
	}
	if tables == 0 {
		a.out.Problem("%s: the table is gone", table)
		return nil
	}
	err = a.query(func(rows pgx.Rows) error {
		var id, op []byte
		err := rows.Scan(&id, &op)
		a.out.Problem("%s: %x is not a spend of op %x", table, id, op)
		return err
	}, "SELECT s.id, s.op FROM "+table+` s WHERE NOT EXISTS (SELECT 1 FROM ops o
		JOIN op_spends p ON p.lane = o.lane AND p.seq = o.seq
		WHERE o.id = s.op AND p.id = s.id AND p.epoch = $1)`, epoch)
	if err != nil {
		return err
	}
	if _, err := a.get([]any{&n}, "SELECT COUNT(*) FROM "+table); err != nil {
		return err
	}
	if n != spends {
		a.out.Problem("%s: %d ids, but ops spend %d", table, n, spends)
	}
	return nil
}

func (a *audit) accountRows() error {
	err := a.query(func(rows pgx.Rows) error {
		acct, err := scanAccount(rows)
		a.out.Accounts++
		a.accounts.Current(a.out, "accounts", acct.ID, ledger.Version{Rev: acct.Rev, Digest: acct.Digest()})
		return err
	}, "SELECT "+accountColumns+" FROM accounts ORDER BY id")
	a.accounts.Missing(a.out, "accounts")
	return err
}

func (a *audit) tokenRows() error {
	err := a.query(func(rows pgx.Rows) error {
		var rev int64
		k, err := scanToken(rows, &rev)
		a.tokens.Current(a.out, "access_tokens", fmt.Sprintf("%x", k.Hash), ledger.Version{Rev: uint64(rev), Digest: k.Digest()})
		return err
	}, "SELECT "+tokenColumns+", rev FROM access_tokens ORDER BY hash")
	a.tokens.Missing(a.out, "access_tokens")
	return err
}

func (a *audit) metaRows() error {
	err := a.query(func(rows pgx.Rows) error {
		m, err := scanMeta(rows)
		a.meta.Current(a.out, "meta", m.Key, ledger.Version{Rev: m.Rev, Digest: ledger.MetaDigest(m.Key, m.Value)})
		return err
	}, "SELECT name, value, rev FROM meta ORDER BY name")
	a.meta.Missing(a.out, "meta")
	return err
}

func scanMeta(rows pgx.Rows) (*ledger.MetaRow, error) {
	var m ledger.MetaRow
	err := rows.Scan(&m.Key, &m.Value, &m.Rev)
	return &m, err
}

// holds looks at what no journal vouches for: that each hold is well formed,
// and that nobody got what it kept from him.
func (a *audit) holds() error {
	found, err := lister(a.query).holds("holds AS h", "h.id")
	if err != nil {
		return err
	}
	for i := range found {
		if err := found[i].Validate(); err != nil {
			a.out.Problem("holds: hold %x: %v", found[i].ID, err)
		}
	}
	for _, check := range []struct{ table, problem, query string }{
		{"holds", "counts other strikes than its tries", `SELECT h.id FROM holds h
			WHERE h.strikes <> (SELECT COUNT(*) FROM hold_tries t WHERE t.hold = h.id)`},
		{"holds", "holds no coin", `SELECT h.id FROM holds h WHERE NOT EXISTS (SELECT 1 FROM held_coins c WHERE c.hold = h.id)`},
		{"held_coins", "is held by no hold", `SELECT c.id FROM held_coins c WHERE NOT EXISTS (SELECT 1 FROM holds h WHERE h.id = c.hold)`},
		{"holds", "keeps a coin that another keeps", `SELECT a.id FROM held_coins x
			JOIN held_coins y ON y.id = x.id AND y.epoch = x.epoch AND y.hold > x.hold
			JOIN holds a ON a.id = x.hold JOIN holds b ON b.id = y.hold
			WHERE NOT a.released AND NOT b.released AND a.at < b.until AND b.at < a.until`},
		{"holds", "lasted when another op spent its coin", `SELECT h.id FROM held_coins c JOIN holds h ON h.id = c.hold
			JOIN op_spends s ON s.id = c.id AND s.epoch = c.epoch JOIN ops o ON o.lane = s.lane AND o.seq = s.seq
			WHERE o.id <> h.id AND NOT h.released AND o.at < h.until`},
		{"held_coins", "is of an epoch that is not open", "SELECT id FROM held_coins WHERE epoch NOT IN (SELECT name FROM epochs)"},
		{"hold_tries", "is a try under no hold", `SELECT t.try FROM hold_tries t WHERE NOT EXISTS (SELECT 1 FROM holds h WHERE h.id = t.hold)`},
	} {
		err := a.query(func(rows pgx.Rows) error {
			var id []byte
			err := rows.Scan(&id)
			a.out.Problem("%s: %x %s", check.table, id, check.problem)
			return err
		}, check.query)
		if err != nil {
			return err
		}
	}
	return nil
}

package sqlite

import (
	"database/sql"
	"slices"

	"github.com/speciecash/specie/ledger"
)

// holds looks at what no journal vouches for: that each hold is well formed, and
// that nobody got what it kept from him.
func (a *audit) holds() error {
	found, err := listHolds(a.each, "TRUE")
	if err != nil {
		return err
	}
	for i := range found {
		if err := found[i].Validate(); err != nil {
			a.out.Problem("holds: hold %x: %v", found[i].ID, err)
		}
	}
	for _, rule := range []struct{ query, problem string }{
		{"SELECT id, id FROM holds WHERE id NOT IN (SELECT hold FROM held_coins)", "holds: hold %x keeps no coin"},
		{"SELECT DISTINCT hold, hold FROM held_coins WHERE hold NOT IN (SELECT id FROM holds)", "held_coins: there is no hold %x"},
		{"SELECT DISTINCT hold, hold FROM hold_tries WHERE hold NOT IN (SELECT id FROM holds)", "hold_tries: there is no hold %x"},
		{`SELECT DISTINCT hold, epoch FROM held_coins WHERE epoch NOT IN (SELECT name FROM epochs)`, "held_coins: a coin of hold %x is of an epoch that is not open"},
		{`SELECT a.id, b.id FROM held_coins x JOIN held_coins y ON y.id = x.id AND y.epoch = x.epoch AND y.hold > x.hold
			JOIN holds a ON a.id = x.hold JOIN holds b ON b.id = y.hold
			WHERE a.released = 0 AND b.released = 0 AND a.at < b.until AND b.at < a.until`, "holds: hold %x keeps a coin that another keeps"},
	} {
		if err := a.broken(rule.query, rule.problem); err != nil {
			return err
		}
	}
	for _, epoch := range a.open {
		err := a.broken(`SELECT h.id, s.op FROM held_coins c JOIN holds h ON h.id = c.hold JOIN spent_`+epoch+` s ON s.id = c.id
			JOIN ops o ON o.id = s.op WHERE c.epoch = ? AND s.op <> h.id AND h.released = 0 AND o.at < h.until`,
			"holds: a coin of hold %x was spent by another while it lasted", epoch)
		if err != nil {
			return err
		}
	}
	return nil
}

// broken reports a hold, the first of two columns, for each row of a query.
func (a *audit) broken(query, problem string, args ...any) error {
	var seen []ledger.ID
	return a.each(func(rows *sql.Rows) error {
		var id []byte
		var other any
		if err := rows.Scan(&id, &other); err != nil {
			return err
		}
		if !slices.Contains(seen, toID(id)) && len(seen) < ledger.MaxProblems {
			seen = append(seen, toID(id))
			a.out.Problem(problem, id)
		}
		return nil
	}, query, args...)
}

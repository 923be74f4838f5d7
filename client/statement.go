package client

import (
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
)

// MaxStatement bounds the entries that WholeStatement collects.
const MaxStatement = 100_000

// WholeStatement fetches all pages of a statement, the first with a nil cursor,
// and returns it with its entries oldest first. ErrAnswer if opening balance and
// entries don't come to the closing balance, as when something happened between
// two pages of a period that is not over.
func WholeStatement(fetch func(after *string) (*issuerclient.Statement, error)) (*issuerclient.Statement, error) {
	whole, err := fetch(nil)
	if err != nil {
		return nil, err
	}
	for next := whole.Next; next != nil; {
		page, err := fetch(next)
		if err != nil {
			return nil, err
		}
		whole.Entries = append(whole.Entries, page.Entries...)
		if next = page.Next; len(whole.Entries) > MaxStatement {
			return nil, fmt.Errorf("%w: more than %d entries; ask for a shorter period", ErrAnswer, MaxStatement)
		}
	}
	whole.Next = nil
	slices.Reverse(whole.Entries)
	sum := whole.Opening
	for i := range whole.Entries {
		sum += whole.Entries[i].Amount
	}
	if sum != whole.Closing {
		return nil, fmt.Errorf("%w: opening balance and entries don't come to the closing balance; ask again", ErrAnswer)
	}
	return whole, nil
}

// StatementTable is a statement for a person: headers, of which ">" marks those
// of numbers, and rows with the balance after each.
func StatementTable(s *issuerclient.Statement) (headers []string, rows [][]string) {
	amount := func(minor int64) string {
		if minor < 0 {
			return "-" + coin.Amount(-minor).Format(s.Exponent)
		}
		return coin.Amount(minor).Format(s.Exponent)
	}
	at := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
	rows = append(rows, []string{at(s.From), "opening", "", amount(s.Opening), ""})
	balance := s.Opening
	for i := range s.Entries {
		e := &s.Entries[i]
		balance += e.Amount
		about := e.Op
		if e.Reference != nil {
			about = *e.Reference
		}
		rows = append(rows, []string{at(e.At), printable(e.Kind), amount(e.Amount), amount(balance), printable(about)})
	}
	rows = append(rows, []string{at(s.Until), "closing", "", amount(s.Closing), ""})
	return []string{"WHEN (UTC)", "WHAT", ">" + s.Currency, ">BALANCE", "REFERENCE"}, rows
}

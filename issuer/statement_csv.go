package issuer

import (
	"encoding/base64"
	"encoding/csv"
	"io"
	"strings"
	"time"

	"github.com/speciecash/specie/coin"
)

// WriteCSV writes the statement as RFC 4180 has it: a header, the opening
// balance, the entries with the balance after each, the closing balance. Lines
// end in CRLF, times are RFC 3339 in UTC, amounts decimals with a point. A text
// that a spreadsheet would take for a formula is preceded by an apostrophe.
func (s *Statement) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	rows := [][]string{
		{"at", "kind", "amount", "currency", "balance", "reference", "op"},
		{at(s.From), "opening", "", s.Account.Currency, s.decimal(s.Opening), "", ""},
	}
	balance := s.Opening
	for i := range s.Entries {
		e := &s.Entries[i]
		balance += e.Amount
		rows = append(rows, []string{
			at(e.At), plainCell(e.Kind), s.decimal(e.Amount), e.Currency, s.decimal(balance),
			plainCell(e.Reference), plainCell(base64.RawURLEncoding.EncodeToString(e.Op[:])),
		})
	}
	rows = append(rows, []string{at(s.Until), "closing", "", s.Account.Currency, s.decimal(s.Closing), "", ""})
	return out.WriteAll(rows)
}

// decimal is an amount of the account's currency, in major units.
func (s *Statement) decimal(minor int64) string {
	if minor < 0 {
		return "-" + coin.Amount(-minor).Format(s.Exponent)
	}
	return coin.Amount(minor).Format(s.Exponent)
}

// plainCell keeps a spreadsheet from running what somebody wrote into a
// reference: what begins like a formula, blanks left aside, or with the
// apostrophe that is put before one.
func plainCell(text string) string {
	if bare := strings.TrimSpace(text); bare != "" && strings.Contains("=+-@'", bare[:1]) {
		return "'" + text
	}
	return text
}

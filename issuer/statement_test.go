package issuer_test

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
)

// bookkept is a bank with an account on which something happens in three hours.
func bookkept(t *testing.T) (*issuertest.Bank, *issuer.Account) {
	t.Helper()
	h := issuertest.NewHouse(t)
	b := h.NewBank(t, nil)
	account, _ := b.Funded(t, 100)
	b.Clock.Set(issuertest.Now.Add(hour))
	_, err := b.Withdraw(t.Context(), account, h.NewPurse(t).Prepare(t, 16).Outputs)
	expect(t, err, nil)
	_, err = b.Fund(t.Context(), account.ID, 7, "=HYPERLINK(\"evil\"); "+strings.Repeat("é", 70))
	expect(t, err, nil)
	b.Clock.Set(issuertest.Now.Add(2 * hour))
	_, err = b.Payout(t.Context(), account.ID, 30, "wire & <1>, \"quoted\"")
	expect(t, err, nil)
	b.Clock.Set(issuertest.Now.Add(3 * hour))
	_, err = b.Payout(t.Context(), account.ID, 1, "wire 2")
	expect(t, err, nil)
	return b, account
}

func TestAStatementComesFromItsOpeningToItsClosingBalance(t *testing.T) {
	b, account := bookkept(t)
	ctx := t.Context()
	at := func(d time.Duration) time.Time { return issuertest.Now.Add(d) }
	tests := []struct {
		name             string
		from, until      time.Time
		opening, closing int64
		amounts          []int64
	}{
		{"all of it", at(-hour), at(9 * hour), 0, 60, []int64{100, -16, 7, -30, -1}},
		{"from an instant that is within to one that is not", at(hour), at(2 * hour), 100, 91, []int64{-16, 7}},
		{"of a time in which nothing happened", at(hour + time.Second), at(2 * hour), 91, 91, nil},
		{"of the time before everything", at(-2 * hour), at(-hour), 0, 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := b.Statement(ctx, account, issuer.Period{From: tt.from, Until: tt.until})
			expect(t, err, nil)
			var amounts []int64
			for _, e := range s.Entries {
				amounts = append(amounts, e.Amount)
			}
			slices.Sort(amounts) // two of one second stand in any order
			want := slices.Sorted(slices.Values(tt.amounts))
			if s.Opening != tt.opening || s.Closing != tt.closing || !slices.Equal(amounts, want) {
				t.Errorf("from %d by %v to %d", s.Opening, amounts, s.Closing)
			}
			if s.Until.After(b.Now().Add(time.Second)) {
				t.Errorf("it says what will have happened by %v", s.Until)
			}
		})
	}
	for name, p := range map[string]issuer.Period{
		"one that ends first": {From: at(hour), Until: at(0)}, "none": {}, "one to come": {From: at(9 * hour), Until: at(10 * hour)},
	} {
		_, err := b.Statement(ctx, account, p)
		if !errors.Is(err, issuer.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var page ledger.Page
	var references []string
	for page.Limit = 2; ; {
		s, err := b.StatementPage(ctx, account, issuer.Period{From: at(hour), Until: at(9 * hour)}, page)
		expect(t, err, nil)
		if s.Opening != 100 || s.Closing != 60 {
			t.Errorf("a page from %d to %d", s.Opening, s.Closing)
		}
		for _, e := range s.Entries {
			if e.Reference != "" {
				references = append(references, e.Reference[:4])
			}
		}
		if page.After = s.Next; s.Next == "" {
			break
		}
	}
	if slices.Sort(references); !slices.Equal(references, []string{"=HYP", "wire", "wire"}) {
		t.Errorf("references %q", references)
	}
	_, err := b.StatementPage(ctx, account, issuer.Period{From: at(hour), Until: at(9 * hour)}, ledger.Page{After: "x"})
	expect(t, err, issuer.ErrMalformed)
}

func TestAStatementAsCSVIsReadBackAndRunsNothing(t *testing.T) {
	b, account := bookkept(t)
	s, err := b.Statement(t.Context(), account, issuer.Period{From: issuertest.Now.Add(hour), Until: issuertest.Now.Add(9 * hour)})
	expect(t, err, nil)
	var out bytes.Buffer
	expect(t, s.WriteCSV(&out), nil)
	if n := strings.Count(out.String(), "\r\n"); n != 7 || n != strings.Count(out.String(), "\n") {
		t.Errorf("%d lines end as RFC 4180 says", n)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	expect(t, err, nil)
	if len(rows) != 7 || rows[1][1] != "opening" || rows[1][4] != "1.00" || rows[6][1] != "closing" || rows[6][4] != "0.60" || rows[5][2] != "-0.01" || rows[5][4] != "0.60" {
		t.Errorf("rows %q", rows)
	}
	for _, row := range rows[1:] {
		if strings.HasPrefix(row[5], "=") || strings.HasPrefix(row[6], "-") {
			t.Errorf("a spreadsheet runs %q", row)
		}
	}
	if !slices.ContainsFunc(rows, func(r []string) bool { return strings.HasPrefix(r[5], "'=HYPERLINK") }) {
		t.Errorf("the reference is not there: %q", rows)
	}
}

func TestWhatASpreadsheetWouldRunIsQuoted(t *testing.T) {
	s := &issuer.Statement{Account: &issuer.Account{Currency: "EUR"}}
	for text, want := range map[string]string{
		"wire 1": "wire 1", "": "", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)",
		" =1": "' =1", "\t=1": "'\t=1", "\n@x": "'\n@x", "'=1": "''=1", "a=1": "a=1", "\u00a0=1": "'\u00a0=1",
	} {
		s.Entries = []issuer.StatementEntry{{Reference: text}}
		var out bytes.Buffer
		expect(t, s.WriteCSV(&out), nil)
		rows, err := csv.NewReader(&out).ReadAll()
		expect(t, err, nil)
		if got := strings.ReplaceAll(rows[2][5], "\r\n", "\n"); got != want {
			t.Errorf("%q is written %q, want %q", text, got, want)
		}
	}
}

// node is an XML element with what is in it, in order.
type node struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Children []node     `xml:",any"`
}

func (n *node) at(path string) *node {
	name, rest, more := strings.Cut(path, ">")
	for i := range n.Children {
		if c := &n.Children[i]; c.XMLName.Local == name {
			if !more {
				return c
			}
			return c.at(rest)
		}
	}
	return nil
}

// camtOrder is the order of elements in camt.053.001.08, as far as a statement
// fills them; those in required must be there (ISO 20022 message definition
// report, Bank-to-Customer Cash Management).
var camtOrder = map[string]struct{ all, required []string }{
	"Document":      {[]string{"BkToCstmrStmt"}, []string{"BkToCstmrStmt"}},
	"BkToCstmrStmt": {[]string{"GrpHdr", "Stmt"}, []string{"GrpHdr", "Stmt"}},
	"GrpHdr":        {[]string{"MsgId", "CreDtTm"}, []string{"MsgId", "CreDtTm"}},
	"Stmt": {[]string{"Id", "StmtPgntn", "ElctrncSeqNb", "CreDtTm", "FrToDt", "Acct", "Bal", "TxsSummry", "Ntry"},
		[]string{"Id", "Acct", "Bal"}},
	"Acct": {[]string{"Id", "Tp", "Ccy", "Nm", "Prxy", "Ownr", "Svcr"}, []string{"Id"}},
	"Bal":  {[]string{"Tp", "CdtLine", "Amt", "CdtDbtInd", "Dt"}, []string{"Tp", "Amt", "CdtDbtInd", "Dt"}},
	"Ntry": {[]string{"NtryRef", "Amt", "CdtDbtInd", "RvslInd", "Sts", "BookgDt", "ValDt", "AcctSvcrRef", "BkTxCd", "NtryDtls", "AddtlNtryInf"},
		[]string{"Amt", "CdtDbtInd", "Sts", "BkTxCd"}},
	"TxDtls": {[]string{"Refs", "RmtInf"}, nil},
}

func (n *node) check(t *testing.T) {
	t.Helper()
	if rule, ok := camtOrder[n.XMLName.Local]; ok {
		last := -1
		for _, c := range n.Children {
			i := slices.Index(rule.all, c.XMLName.Local)
			if i < last || i < 0 {
				t.Errorf("%s stands in %s where it may not", c.XMLName.Local, n.XMLName.Local)
			}
			last = i
		}
		for _, name := range rule.required {
			if n.at(name) == nil {
				t.Errorf("%s has no %s", n.XMLName.Local, name)
			}
		}
	}
	most := map[string]int{"MsgId": 35, "AcctSvcrRef": 35, "Ustrd": 140, "NtryRef": 35, "AddtlNtryInf": 500, "Nm": 140}[n.XMLName.Local]
	if most != 0 && len([]rune(n.Text)) > most {
		t.Errorf("%s has %d characters", n.XMLName.Local, len([]rune(n.Text)))
	}
	for i := range n.Children {
		n.Children[i].check(t)
	}
}

func TestAStatementAsCAMTHasWhatISO20022Asks(t *testing.T) {
	b, account := bookkept(t)
	s, err := b.Statement(t.Context(), account, issuer.Period{From: issuertest.Now.Add(hour), Until: issuertest.Now.Add(9 * hour)})
	expect(t, err, nil)
	var out bytes.Buffer
	expect(t, s.WriteCAMT(&out), nil)
	var doc node
	d := xml.NewDecoder(bytes.NewReader(out.Bytes()))
	expect(t, d.Decode(&doc), nil)
	if _, err := d.Token(); err != nil && err != io.EOF {
		if _, err = d.Token(); err != io.EOF {
			t.Errorf("something follows the document: %v", err)
		}
	}
	if doc.XMLName != (xml.Name{Space: "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08", Local: "Document"}) {
		t.Errorf("the document is a %v", doc.XMLName)
	}
	doc.check(t)
	stmt := doc.at("BkToCstmrStmt>Stmt")
	for path, want := range map[string]string{
		"Acct>Id>Othr>Id": account.ID, "Acct>Ccy": "EUR", "Acct>Svcr>FinInstnId>Othr>Id": issuertest.BankID,
		"Bal>Tp>CdOrPrtry>Cd": "OPBD", "Bal>Amt": "1.00", "Bal>CdtDbtInd": "CRDT", "TxsSummry>TtlNtries>NbOfNtries": "4",
		"FrToDt>FrDtTm": issuertest.Now.Add(hour).Format(time.RFC3339),
	} {
		if got := stmt.at(path); got == nil || got.Text != want {
			t.Errorf("%s is %+v, want %q", path, got, want)
		}
	}
	var debits, credits, references int
	for i := range stmt.Children {
		n := &stmt.Children[i]
		if n.XMLName.Local != "Ntry" {
			continue
		}
		switch n.at("CdtDbtInd").Text {
		case "DBIT":
			debits++
		case "CRDT":
			credits++
		}
		if r := n.at("NtryDtls>TxDtls>RmtInf>Ustrd"); r != nil {
			references++
		}
		if strings.HasPrefix(n.at("Amt").Text, "-") || n.at("Amt").Attrs[0].Value != "EUR" {
			t.Errorf("amount %+v", n.at("Amt"))
		}
	}
	if debits != 3 || credits != 1 || references != 3 {
		t.Errorf("%d debits, %d credits, %d references", debits, credits, references)
	}
	for currency, exponent := range map[string]int{"GOLD": 2, "EU1": 2, "EUR": 6} {
		other := *s
		other.Account, other.Exponent = &issuer.Account{Currency: currency}, exponent
		expect(t, other.WriteCAMT(io.Discard), issuer.ErrMalformed)
	}
}

func TestAStatementThatIsTooLongIsAskedForInParts(t *testing.T) {
	b := issuertest.NewHouse(t).NewBank(t, nil)
	account, _ := b.Funded(t, 0)
	var group sync.WaitGroup
	const writers = 128 // at once, for the ledger commits them together
	for w := range writers {
		group.Go(func() {
			for i := w; i <= issuer.MaxStatement; i += writers {
				op := ledger.Op{
					ID: [32]byte{byte(i), byte(i >> 8), 1}, Kind: "gift", State: ledger.StateDone, At: issuertest.Now,
					Postings: []ledger.Posting{{Account: "reserve", Amount: -1, Currency: "EUR"}, {Account: account.ID, Amount: 1, Currency: "EUR"}},
				}
				if i == 0 {
					op.At = op.At.Add(-hour)
				}
				if _, err := b.Ledger.Apply(t.Context(), op); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	p := issuer.Period{From: issuertest.Now.Add(-hour), Until: issuertest.Now.Add(hour)}
	_, err := b.Statement(t.Context(), account, p)
	expect(t, err, issuer.ErrLimit)
	p.From = issuertest.Now
	s, err := b.Statement(t.Context(), account, p)
	expect(t, err, nil)
	if len(s.Entries) != issuer.MaxStatement || s.Opening != 1 || coin.Amount(s.Closing) != issuer.MaxStatement+1 {
		t.Errorf("%d entries from %d to %d", len(s.Entries), s.Opening, s.Closing)
	}
}

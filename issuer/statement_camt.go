package issuer

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/speciecash/specie/coin"
)

// camtNamespace is ISO 20022 BankToCustomerStatement, version 8.
const camtNamespace = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"

// camtDecimals is how many decimals ISO 20022 has for an amount.
const camtDecimals = 5

// The elements of camt.053.001.08 that a statement fills, in the order of its
// schema; the names are those of the schema.
type (
	camtDocument struct {
		XMLName xml.Name `xml:"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08 Document"`
		Header  struct {
			ID      string `xml:"MsgId"`
			Created string `xml:"CreDtTm"`
		} `xml:"BkToCstmrStmt>GrpHdr"`
		Statement camtStatement `xml:"BkToCstmrStmt>Stmt"`
	}
	camtStatement struct {
		ID       string        `xml:"Id"`
		Created  string        `xml:"CreDtTm"`
		From     string        `xml:"FrToDt>FrDtTm"`
		To       string        `xml:"FrToDt>ToDtTm"`
		Account  camtAccount   `xml:"Acct"`
		Balances []camtBalance `xml:"Bal"`
		Entries  camtCount     `xml:"TxsSummry"`
		Lines    []camtEntry   `xml:"Ntry"`
	}
	camtAccount struct {
		ID       string `xml:"Id>Othr>Id"`
		Currency string `xml:"Ccy"`
		Owner    string `xml:"Ownr>Nm,omitempty"`
		Bank     string `xml:"Svcr>FinInstnId>Othr>Id"`
	}
	camtAmount struct {
		Currency string `xml:"Ccy,attr"`
		Value    string `xml:",chardata"`
	}
	camtBalance struct {
		Kind   string     `xml:"Tp>CdOrPrtry>Cd"`
		Amount camtAmount `xml:"Amt"`
		Sign   string     `xml:"CdtDbtInd"`
		At     string     `xml:"Dt>DtTm"`
	}
	camtCount struct {
		Number string `xml:"TtlNtries>NbOfNtries"`
	}
	camtEntry struct {
		Number  string       `xml:"NtryRef"`
		Amount  camtAmount   `xml:"Amt"`
		Sign    string       `xml:"CdtDbtInd"`
		Status  string       `xml:"Sts>Cd"`
		Booked  string       `xml:"BookgDt>DtTm"`
		Value   string       `xml:"ValDt>DtTm"`
		Bank    string       `xml:"AcctSvcrRef"`
		Kind    string       `xml:"BkTxCd>Prtry>Cd"`
		Issuer  string       `xml:"BkTxCd>Prtry>Issr"`
		Details *camtDetails `xml:"NtryDtls,omitempty"`
		Note    string       `xml:"AddtlNtryInf"`
	}
	camtDetails struct {
		Reference []string `xml:"TxDtls>RmtInf>Ustrd"`
	}
)

// WriteCAMT writes the statement as camt.053.001.08 (ISO 20022), which
// accounting programs import. The schema leaves less room than a statement
// needs in three places: an op has 43 characters and a bank's reference 35, so
// AcctSvcrRef has the first half of it in hex and AddtlNtryInf the whole; a
// reference is cut into pieces of 140; and a currency is of three letters with
// at most five decimals: ErrMalformed for another.
func (s *Statement) WriteCAMT(w io.Writer) error {
	if c := s.Account.Currency; len(c) != 3 || strings.Trim(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" || s.Exponent > camtDecimals {
		return fmt.Errorf("%w: ISO 20022 knows currencies of three letters and %d decimals only; take the CSV", ErrMalformed, camtDecimals)
	}
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	doc := camtDocument{}
	doc.Header.ID, doc.Header.Created = s.ID, at(s.At)
	doc.Statement = camtStatement{
		ID: s.ID, Created: at(s.At), From: at(s.From), To: at(s.Until),
		Account:  camtAccount{ID: s.Account.ID, Currency: s.Account.Currency, Owner: cutRunes(s.Account.Name, 140), Bank: s.Bank},
		Balances: []camtBalance{s.camtBalance("OPBD", s.Opening, s.From), s.camtBalance("CLBD", s.Closing, s.Until)},
		Entries:  camtCount{strconv.Itoa(len(s.Entries))},
	}
	for i := range s.Entries {
		e := &s.Entries[i]
		amount, sign := s.camtAmount(e.Amount)
		line := camtEntry{
			Number: strconv.Itoa(i + 1), Amount: amount, Sign: sign, Status: "BOOK", Booked: at(e.At), Value: at(e.At),
			Bank: hex.EncodeToString(e.Op[:16]), Kind: cutRunes(e.Kind, 35), Issuer: "specie",
			Note: "op " + base64.RawURLEncoding.EncodeToString(e.Op[:]),
		}
		if e.Reference != "" {
			line.Details = &camtDetails{pieces(e.Reference, 140)}
		}
		doc.Statement.Lines = append(doc.Statement.Lines, line)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(&doc); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// camtAmount is an amount without its sign, and the sign.
func (s *Statement) camtAmount(minor int64) (camtAmount, string) {
	sign := "CRDT"
	if minor < 0 {
		sign, minor = "DBIT", -minor
	}
	return camtAmount{s.Account.Currency, coin.Amount(minor).Format(s.Exponent)}, sign
}

func (s *Statement) camtBalance(kind string, minor int64, at time.Time) camtBalance {
	amount, sign := s.camtAmount(minor)
	return camtBalance{Kind: kind, Amount: amount, Sign: sign, At: at.UTC().Format(time.RFC3339)}
}

// cutRunes is at most n characters of a text.
func cutRunes(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n])
	}
	return text
}

// pieces cuts a text into pieces of at most n characters.
func pieces(text string, n int) (out []string) {
	for r := []rune(text); len(r) > 0; r = r[min(n, len(r)):] {
		out = append(out, string(r[:min(n, len(r))]))
	}
	return out
}

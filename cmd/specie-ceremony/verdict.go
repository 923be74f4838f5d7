package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/opening"
)

// verdict is what evidence shows, for printing.
type verdict struct {
	Bank        string         `json:"bank"`
	Coin        string         `json:"coin"`
	Value       string         `json:"value"`
	Spends      []verdictSpend `json:"spends"`
	Group       string         `json:"group"`
	Supervisors []string       `json:"supervisors"`
	Warrant     enteredView    `json:"warrant"`
	Tag         string         `json:"tag"`
	Member      string         `json:"member"`
	Name        string         `json:"name"`
	EK          string         `json:"ek_sha256"`
	JoinedAt    time.Time      `json:"joined_at"`
}

type verdictSpend struct {
	Purpose  coin.Purpose `json:"purpose"`
	Digest   string       `json:"digest"`
	IssuedAt time.Time    `json:"issued_at"`
}

func newVerdict(v *opening.Verdict) *verdict {
	out := &verdict{
		Bank: v.Case.Bank, Coin: hexDigest(v.Case.CoinID), Value: v.Value(),
		Group: v.Member.Group, Supervisors: v.Supervisors, Warrant: newEnteredView(v.Warrant), Tag: fmt.Sprintf("%x", v.Tag),
		Member: v.Member.Member.String(), Name: v.Member.Name, EK: hexDigest(v.Member.EK), JoinedAt: v.Member.JoinedAt,
	}
	for _, s := range v.Case.Spends {
		out.Spends = append(out.Spends, verdictSpend{
			Purpose: s.Purpose, Digest: hexDigest(s.Digest()), IssuedAt: time.Unix(s.IssuedAt, 0).UTC(),
		})
	}
	return out
}

func (v *verdict) text(w io.Writer) {
	fmt.Fprintf(w, "%s spent one coin twice\n", clean(v.Name))
	fmt.Fprintf(w, "  member\t%s of %s, joined %s\n", clean(v.Member), v.Group, when(v.JoinedAt))
	fmt.Fprintf(w, "  tag\t%s\n", v.Tag)
	fmt.Fprintf(w, "  TPM\tsha256 %s\n", v.EK)
	fmt.Fprintf(w, "  coin\t%s of %s, %s\n", v.Coin, v.Bank, v.Value)
	for i, s := range v.Spends {
		fmt.Fprintf(w, "  spend %d\t%s %s, dated %s\n", i+1, s.Purpose, s.Digest, when(s.IssuedAt))
	}
	fmt.Fprintf(w, "  opened by\t%s\n", strings.Join(v.Supervisors, ", "))
	v.Warrant.lines(w)
	fmt.Fprintf(w, "verified from the root; who uses that name rests on what %s checked\n", v.Group)
}

package issuer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// reserve is the account that fundings come from: what the bank holds for
// what it owes.
const reserve = "reserve"

const circulationClass = "circulation/"

// Coins of each key have two accounts, of which the first only grows and the
// second only falls: what is in circulation is their sum, and more redeemed
// than issued shows without a look at any coin.
const (
	issuedSuffix   = "/issued"
	redeemedSuffix = "/redeemed"
)

// postings folds amounts into one posting per account.
type postings struct {
	currency string
	sums     map[string]int64
}

func newPostings(currency string) *postings {
	return &postings{currency: currency, sums: make(map[string]int64, 8)}
}

// add posts an amount. It can't overflow: each is at most 2^53 and a spend's
// bounds on coins and outputs keep their number below 2^10; whether the sum
// is in range and all of them balance, the ledger checks.
func (p *postings) add(account string, amount int64) { p.sums[account] += amount }

// issue posts that the bank owes a coin more under a key, redeem one less.
func (p *postings) issue(kid coin.KeyID, value coin.Amount) {
	p.add(circulationClass+kid.String()+issuedSuffix, int64(value))
}

func (p *postings) redeem(kid coin.KeyID, value coin.Amount) {
	p.add(circulationClass+kid.String()+redeemedSuffix, -int64(value))
}

// circulation reads the account of a key's coins: which key, and whether it is
// the one for what was issued or the one for what was redeemed. of is false for
// an account of another class.
func circulation(account string) (kid coin.KeyID, issued, of bool, err error) {
	path, of := strings.CutPrefix(account, circulationClass)
	if !of {
		return kid, false, false, nil
	}
	text, half, _ := strings.Cut(path, "/")
	if kid, err = coin.ParseKeyID(text); err != nil {
		return kid, false, true, fmt.Errorf("account %s: %w", account, err)
	}
	switch half {
	case issuedSuffix[1:]:
		return kid, true, true, nil
	case redeemedSuffix[1:]:
		return kid, false, true, nil
	}
	return kid, false, true, fmt.Errorf("account %s is neither issued nor redeemed", account)
}

// list returns the postings in order of account, without those that cancelled
// out.
func (p *postings) list() []ledger.Posting {
	out := make([]ledger.Posting, 0, len(p.sums))
	for account, sum := range p.sums {
		if sum != 0 {
			out = append(out, ledger.Posting{Account: account, Amount: sum, Currency: p.currency})
		}
	}
	slices.SortFunc(out, func(a, b ledger.Posting) int { return strings.Compare(a.Account, b.Account) })
	return out
}

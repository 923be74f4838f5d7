package issuer

import (
	"slices"
	"strings"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// reserve is the account that fundings come from: what the bank holds for
// what it owes.
const reserve = "reserve"

const circulationClass = "circulation/"

// circulation is the account of what is in circulation under a key.
func circulation(kid coin.KeyID) string { return circulationClass + kid.String() }

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

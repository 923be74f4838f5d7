package issuer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// MaxReference bounds a funding's reference, in bytes.
const MaxReference = 200

// fundingRequest is what the ledger keeps of a funding.
type fundingRequest struct {
	Account   string      `json:"account"`
	Amount    coin.Amount `json:"amount"`
	Currency  string      `json:"currency"`
	Reference string      `json:"reference"`
}

// Fund credits an account from the reserve, for money that came in outside.
// reference names that payment and is the idempotency key: the same again
// does nothing, the same for another account or amount is ErrConflict. It
// returns the operation's id, or ErrMalformed, coin.ErrOverflow or ErrNotFound.
func (b *Bank) Fund(ctx context.Context, account string, amount coin.Amount, reference string) (ledger.ID, error) {
	if reference == "" || len(reference) > MaxReference || !utf8.ValidString(reference) || strings.ContainsRune(reference, 0) {
		return ledger.ID{}, fmt.Errorf("%w: a reference is 1 to %d bytes of UTF-8", ErrMalformed, MaxReference)
	}
	if err := checkAccountID(account, Holder, Merchant); err != nil {
		return ledger.ID{}, err
	}
	sum, err := amountOf(amount)
	if err != nil {
		return ledger.ID{}, err
	}
	request, err := json.Marshal(fundingRequest{account, amount, b.currency, reference})
	if err != nil {
		return ledger.ID{}, fmt.Errorf("issuer: funding: %w", err)
	}
	if _, err := b.cfg.Ledger.Account(ctx, account); err != nil {
		return ledger.ID{}, fmt.Errorf("issuer: funding: %w", store(err))
	}
	id := fundingID(b.id, reference)
	p := newPostings(b.currency)
	p.add(reserve, -sum)
	p.add(account, sum)
	out, err := b.cfg.Ledger.Apply(ctx, ledger.Op{
		ID: id, Kind: KindFunding, Account: account, Issuer: b.id,
		State: ledger.StateDone, Request: request, At: b.now(), Postings: p.list(),
	})
	switch {
	case errors.Is(err, ledger.ErrOverflow):
		return ledger.ID{}, fmt.Errorf("%w: the account can't hold that much", coin.ErrOverflow)
	case err != nil:
		return ledger.ID{}, fmt.Errorf("issuer: funding: %w", store(err))
	case out.Status == ledger.Replayed && !bytes.Equal(out.Existing.Request, request):
		return id, ErrConflict
	case out.Status == ledger.Applied || out.Status == ledger.Replayed:
		return id, nil
	}
	return ledger.ID{}, fmt.Errorf("issuer: funding: ledger answered %s", out.Status)
}

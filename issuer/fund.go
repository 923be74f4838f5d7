package issuer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/ledger"
)

// MaxReference bounds the reference of a funding or payout, in bytes.
const MaxReference = 200

// transferRequest is what the ledger keeps of a funding or payout.
type transferRequest struct {
	Account   string      `json:"account"`
	Amount    coin.Amount `json:"amount"`
	Currency  string      `json:"currency"`
	Reference string      `json:"reference"`
}

// Fund credits an account from the reserve, for money that came in outside.
// reference names that payment and is the idempotency key: the same again
// does nothing, the same for another account or amount is ErrConflict. A
// suspended account can be funded: the money is somebody's. It returns the
// operation's id, or ErrMalformed, coin.ErrOverflow, ErrNotFound or ErrDraining.
func (b *Bank) Fund(ctx context.Context, account string, amount coin.Amount, reference string) (ledger.ID, error) {
	r := &transferRequest{account, amount, b.currency, reference}
	return b.transfer(ctx, KindFunding, r, func(_ *Account, op *ledger.Op) error {
		return b.issuing(ctx)
	})
}

// Payout debits an account to the reserve, for money that goes out outside.
// reference names that payment and is the idempotency key, as in Fund. What was
// deposited before can't be refunded any more. It returns the operation's id,
// or ErrMalformed, ErrNotFound, ErrSuspended, ErrInsufficientFunds or
// ErrConflict.
func (b *Bank) Payout(ctx context.Context, account string, amount coin.Amount, reference string) (ledger.ID, error) {
	r := &transferRequest{account, amount, b.currency, reference}
	for {
		var settled string
		id, err := b.transfer(ctx, KindPayout, r, func(a *Account, op *ledger.Op) error {
			op.Floors = []string{a.ID}
			q, err := b.settlement(ctx, a.ID, op.At.Unix())
			op.Quotas, settled = []ledger.Quota{q}, q.Name
			return errors.Join(a.active(), err)
		})
		var over *overError
		if errors.As(err, &over) && slices.Contains(over.names, settled) {
			continue // another payout of this account came in between
		}
		return id, err
	}
}

// overError names the quotas that the ledger refused.
type overError struct{ names []string }

func (e *overError) Error() string { return "issuer: over " + strings.Join(e.names, ", ") }

const settledClass = "settled/"

// settlement is the quota that makes at, in Unix seconds, the time of an
// account's newest payout: the counter is that time. A refund of a deposit that
// is not later is refused, by a condition on the counter. A deposit that is
// recorded already counts as before the payout whatever its time says: another
// process with a clock that is ahead may have taken it.
func (b *Bank) settlement(ctx context.Context, account string, at int64) (ledger.Quota, error) {
	name := settledClass + account
	newest, _, err := b.cfg.Ledger.OpsByAccount(ctx, account, ledger.Page{Limit: 1})
	if err != nil {
		return ledger.Quota{}, fmt.Errorf("issuer: settlement: %w", store(err))
	}
	for i := range newest {
		at = max(at, newest[i].At.Unix())
	}
	last, err := b.cfg.Ledger.Count(ctx, name)
	if err != nil {
		return ledger.Quota{}, fmt.Errorf("issuer: settlement: %w", store(err))
	}
	at = max(at, last)
	return ledger.Quota{Name: name, Amount: at - last, Max: at}, nil
}

// transfer moves money between an account and the reserve, once for each
// reference. complete checks what a recorded transfer is not asked for again,
// and adds conditions.
func (b *Bank) transfer(ctx context.Context, kind string, r *transferRequest, complete func(*Account, *ledger.Op) error) (ledger.ID, error) {
	if r.Reference == "" || len(r.Reference) > MaxReference || !utf8.ValidString(r.Reference) || strings.ContainsRune(r.Reference, 0) {
		return ledger.ID{}, fmt.Errorf("%w: a reference is 1 to %d bytes of UTF-8", ErrMalformed, MaxReference)
	}
	if err := checkAccountID(r.Account, Holder, Merchant); err != nil {
		return ledger.ID{}, err
	}
	if _, err := amountOf(r.Amount); err != nil {
		return ledger.ID{}, err
	}
	request, err := json.Marshal(r)
	if err != nil {
		return ledger.ID{}, fmt.Errorf("issuer: %s: %w", kind, err)
	}
	id := transferID(kind, b.id, r.Reference)
	recorded, err := b.recorded(ctx, id)
	if err != nil {
		return ledger.ID{}, err
	}
	if recorded != nil {
		return id, sameTransfer(recorded, request)
	}
	account, err := b.Account(ctx, r.Account)
	if err != nil {
		return ledger.ID{}, err
	}
	op := ledger.Op{
		ID: id, Kind: kind, Account: r.Account, Issuer: b.id,
		State: ledger.StateDone, Request: request, At: b.now(), Postings: r.postings(kind),
	}
	if err := complete(account, &op); err != nil {
		return ledger.ID{}, err
	}
	out, err := b.cfg.Ledger.Apply(ctx, op)
	switch {
	case errors.Is(err, ledger.ErrOverflow):
		return ledger.ID{}, fmt.Errorf("%w: the account can't hold that much", coin.ErrOverflow)
	case err != nil:
		return ledger.ID{}, fmt.Errorf("issuer: %s: %w", kind, store(err))
	}
	switch out.Status {
	case ledger.Applied:
		return id, nil
	case ledger.Replayed:
		return id, sameTransfer(out.Existing, request)
	case ledger.Insufficient:
		return ledger.ID{}, fmt.Errorf("%w: less than %s", ErrInsufficientFunds, b.money(r.Amount))
	case ledger.Exceeded:
		return ledger.ID{}, &overError{out.Over}
	}
	return ledger.ID{}, fmt.Errorf("issuer: %s: ledger answered %s", kind, out.Status)
}

// sameTransfer returns ErrConflict for a reference that was used otherwise.
func sameTransfer(op *ledger.Op, request []byte) error {
	if !bytes.Equal(op.Request, request) {
		return fmt.Errorf("%w: this reference was for another account or amount", ErrConflict)
	}
	return nil
}

// postings are what a funding or payout moves.
func (r *transferRequest) postings(kind string) []ledger.Posting {
	sum := int64(r.Amount)
	if kind == KindPayout {
		sum = -sum
	}
	p := newPostings(r.Currency)
	p.add(reserve, -sum)
	p.add(r.Account, sum)
	return p.list()
}

func transferID(kind, bank, reference string) ledger.ID {
	return frame.Digest([]byte("specie/"+kind+"/1"), []byte(bank), []byte(reference))
}

func (f *inForce) rebuildTransfer(op *ledger.Op) (*rebuilt, error) {
	var r transferRequest
	if err := json.Unmarshal(op.Request, &r); err != nil {
		return nil, fmt.Errorf("request does not read: %v", err)
	}
	out := &rebuilt{id: transferID(op.Kind, f.keyset.Bank, r.Reference), postings: r.postings(op.Kind)}
	if op.Kind == KindPayout {
		// By how much the counter rose is how long ago the payout before was.
		for _, q := range op.Quotas {
			out.quotas = append(out.quotas, ledger.Quota{Name: settledClass + r.Account, Amount: q.Amount})
		}
	}
	return out, nil
}

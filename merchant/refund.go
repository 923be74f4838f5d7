package merchant

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
)

// States of a refund at the till.
const (
	RefundOffered   = "offered"   // the payer may collect it
	RefundSubmitted = "submitted" // he has asked, and the order to the bank was sent, or is about to be
	RefundDone      = "done"
	RefundRefused   = "refused"   // the bank refused it for good
	RefundCancelled = "cancelled" // the merchant took the offer back
)

// RefundIDSize is the size of a refund's id in bytes.
const RefundIDSize = 16

// Errors of refunds, matched with errors.Is.
var (
	// ErrNoPayment: no such payment at this till, or it was not deposited.
	ErrNoPayment = errors.New("no such payment")
	// ErrRefund: more than is left of what was paid.
	ErrRefund = errors.New("more than is left of the payment")
	// ErrRefundID: the id is that of a refund of another payment or amount, or none.
	ErrRefundID = errors.New("that id is not this refund's")
	// ErrSettled: the bank has paid the merchant out since, and refunds nothing of
	// before.
	ErrSettled = errors.New("the bank has paid this out already; give the money back in another way")
)

// Refund is money of a payment that goes back to its payer.
type Refund struct {
	ID      api.Bytes   `json:"id"`
	Payment api.Bytes   `json:"payment"`
	Amount  coin.Amount `json:"amount"`
	State   string      `json:"state"`
	Created time.Time   `json:"created"`
	Reason  string      `json:"reason,omitempty"`

	op, request, answer []byte
	asked               coin.Amount // 0 for all that was left
}

const refundColumns = "SELECT id, payment, amount, state, created, reason, op, request, answer, asked FROM refunds "

func (t *Till) refunds(ctx context.Context, where string, args ...any) ([]Refund, error) {
	rows, err := t.db.QueryContext(ctx, refundColumns+where+" ORDER BY created DESC, id", args...)
	if err != nil {
		return nil, fmt.Errorf("till: refunds: %w", err)
	}
	defer rows.Close()
	var out []Refund
	for rows.Next() {
		var r Refund
		var at int64
		err := rows.Scan((*[]byte)(&r.ID), (*[]byte)(&r.Payment), &r.Amount, &r.State, &at, &r.Reason, &r.op, &r.request, &r.answer, &r.asked)
		if err != nil {
			return nil, fmt.Errorf("till: refunds: %w", err)
		}
		r.Created = time.UnixMicro(at).UTC()
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("till: refunds: %w", err)
	}
	return out, nil
}

// Refunds lists refunds, newest first.
func (t *Till) Refunds(ctx context.Context) ([]Refund, error) { return t.refunds(ctx, "") }

// FindPayment returns the op of the payment that is meant by a text: the order's
// reference, or the beginning of the payment's id (base64url, six characters at
// least). Of an order's payments the refused ones count only if there is no
// other. ErrNoPayment if there is none or more than one.
func (t *Till) FindPayment(ctx context.Context, text string) ([32]byte, error) {
	all, err := t.Takings(ctx)
	if err != nil {
		return [32]byte{}, err
	}
	var found, ordered, refused [][]byte
	for _, x := range all {
		switch {
		case len(text) >= 6 && strings.HasPrefix(base64.RawURLEncoding.EncodeToString(x.Op), text):
			found = append(found, x.Op)
		case x.Order == "" || x.Order != text:
		case x.State == StateRefused:
			refused = append(refused, x.Op)
		default:
			ordered = append(ordered, x.Op)
		}
	}
	if len(found) == 0 {
		found = ordered
	}
	if len(found) == 0 {
		found = refused
	}
	if len(found) != 1 {
		return [32]byte{}, fmt.Errorf("%w: %d have that order or an id that begins so", ErrNoPayment, len(found))
	}
	return [32]byte(found[0]), nil
}

// OfferRefund lets the payer of a payment collect an amount of it, or all that is
// left if it is zero. The bank is asked whether it will refund that; it is debited
// when the payer collects.
//
// The id, of RefundIDSize random bytes, is the caller's: asked again with the same
// one, payment and amount, it returns the refund as it is by now, collected and
// cancelled ones too, and offers nothing more. Without one (nil) each call offers
// more. ErrNoPayment, ErrRefund, ErrRefundID, ErrSettled.
func (t *Till) OfferRefund(ctx context.Context, op [32]byte, amount coin.Amount, id []byte) (*Refund, error) {
	if id == nil {
		id = make([]byte, RefundIDSize)
		_, _ = rand.Read(id) // never fails
	} else if len(id) != RefundIDSize {
		return nil, fmt.Errorf("%w: it has %d bytes, not %d", ErrRefundID, len(id), RefundIDSize)
	}
	// The bank is not asked about what is offered already: it may be settled by now.
	if r, err := t.offeredRefund(ctx, op, amount, id); err != nil || r != nil {
		return r, err
	}
	p, err := t.payment(ctx, op)
	if err != nil {
		return nil, err
	}
	if p == nil || p.state != StateDeposited {
		return nil, fmt.Errorf("%w that is deposited", ErrNoPayment)
	}
	left, err := t.refundable(ctx, op)
	if err != nil {
		return nil, err
	}
	k, err := t.lastKeyset(ctx)
	if err != nil {
		return nil, err
	}
	r := &Refund{ID: id, Payment: op[:], Amount: amount, State: RefundOffered, Created: t.now().UTC(), asked: amount}
	meanwhile := false
	err = t.change(ctx, "refund", func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM refunds WHERE id = ?)", id).Scan(&meanwhile)
		if err != nil || meanwhile {
			return err
		}
		return t.insertRefund(ctx, tx, r, p.offer, left, k)
	})
	if err != nil {
		return nil, err
	}
	if meanwhile { // by the same request, sent twice at once
		return t.offeredRefund(ctx, op, amount, id)
	}
	return r, nil
}

// offeredRefund finds the refund that was asked for with an id before, nil if there
// is none. ErrRefundID if something else was asked for.
func (t *Till) offeredRefund(ctx context.Context, op [32]byte, amount coin.Amount, id []byte) (*Refund, error) {
	list, err := t.refunds(ctx, "WHERE id = ?", id)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	r := &list[0]
	if [32]byte(r.Payment) != op {
		return nil, fmt.Errorf("%w: it was given to one of another payment", ErrRefundID)
	}
	if r.asked != amount {
		return nil, fmt.Errorf("%w: it was given to one of another amount", ErrRefundID)
	}
	return r, nil
}

// insertRefund offers a refund of what the bank would refund, left, less what is
// still to come off that.
func (t *Till) insertRefund(ctx context.Context, tx *sql.Tx, r *Refund, offer []byte, left coin.Amount, k *coin.Keyset) error {
	// What is not done at the bank is still to come off what it would refund.
	var pending coin.Amount
	err := tx.QueryRowContext(ctx, "SELECT coalesce(sum(amount), 0) FROM refunds WHERE payment = ? AND state IN (?, ?)",
		[]byte(r.Payment), RefundOffered, RefundSubmitted).Scan(&pending)
	if err != nil {
		return err
	}
	// And what was collected since it was asked.
	var unspent coin.Amount
	err = tx.QueryRowContext(ctx, `SELECT amount - (SELECT coalesce(sum(amount), 0) FROM refunds WHERE payment = ? AND state = ?)
			FROM offers WHERE digest = ?`, []byte(r.Payment), RefundDone, offer).Scan(&unspent)
	if err != nil {
		return err
	}
	if left = min(left, unspent) - pending; r.Amount == 0 {
		r.Amount = left
	}
	if r.Amount <= 0 || r.Amount > left {
		return fmt.Errorf("%w: %s %s", ErrRefund, max(left, 0).Format(k.Exponent), k.Currency)
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO refunds (id, payment, amount, asked, state, created) VALUES (?, ?, ?, ?, ?, ?)",
		[]byte(r.ID), []byte(r.Payment), int64(r.Amount), int64(r.asked), r.State, r.Created.UnixMicro())
	if err != nil {
		return err
	}
	return t.step(ctx, tx, StepRefundOffered, offer, r.Payment, "", "")
}

// changeRefund changes a row of a refund by a statement, and records the step if
// that has changed it. It says whether it has.
func (t *Till) changeRefund(ctx context.Context, payment []byte, step, code, reason, statement string, args ...any) (bool, error) {
	changed := false
	err := t.change(ctx, "refund", func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		if changed = n == 1; err != nil || !changed || step == "" {
			return err
		}
		var offer []byte
		if err := tx.QueryRowContext(ctx, "SELECT offer FROM payments WHERE op = ?", payment).Scan(&offer); err != nil {
			return err
		}
		return t.step(ctx, tx, step, offer, payment, code, reason)
	})
	return changed, err
}

// refundable asks the bank how much of a deposit it would refund.
func (t *Till) refundable(ctx context.Context, op [32]byte) (coin.Amount, error) {
	c, err := t.bank()
	if err != nil {
		return 0, err
	}
	r, err := c.GetDepositWithResponse(ctx, base64.RawURLEncoding.EncodeToString(op[:]), t.account)
	if err != nil {
		return 0, fmt.Errorf("bank: %w", err)
	}
	if r.JSON200 == nil {
		return 0, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	if r.JSON200.Settled {
		return 0, ErrSettled
	}
	return r.JSON200.Refundable, nil
}

// RefundOffers are what the payer of a payment may collect.
func (t *Till) RefundOffers(ctx context.Context, op [32]byte) ([]client.RefundOffer, error) {
	list, err := t.refunds(ctx, "WHERE payment = ? AND state = ?", op[:], RefundOffered)
	if err != nil {
		return nil, err
	}
	out := []client.RefundOffer{}
	for _, r := range list {
		out = append(out, client.RefundOffer{ID: r.ID, Amount: r.Amount})
	}
	return out, nil
}

// CancelRefunds takes back what of a payment waits to be collected, and returns it;
// nothing if nothing waits. A refund that a payer has claimed may be done at the bank:
// the bank is asked first, with the very order, and what it carries out then is done.
// If it can't be asked, that refund stays, and the error matches [ErrOpen].
func (t *Till) CancelRefunds(ctx context.Context, op [32]byte) ([]Refund, error) {
	if p, err := t.payment(ctx, op); err != nil || p == nil {
		return nil, errors.Join(err, ErrNoPayment)
	}
	list, err := t.refunds(ctx, "WHERE payment = ? AND state IN (?, ?)", op[:], RefundOffered, RefundSubmitted)
	if err != nil {
		return nil, err
	}
	var out []Refund
	var errs []error
	for i := range list {
		r, err := t.cancelRefund(ctx, &list[i])
		if err != nil {
			errs = append(errs, fmt.Errorf("refund %x…: %w", []byte(list[i].ID[:4]), err))
		} else if r != nil {
			out = append(out, *r)
		}
	}
	return out, errors.Join(errs...)
}

// cancelRefund returns the refund if it is cancelled now.
func (t *Till) cancelRefund(ctx context.Context, r *Refund) (*Refund, error) {
	from := RefundOffered
	if r.State == RefundSubmitted {
		_, err := t.sendRefund(ctx, r)
		var problem *client.Problem
		switch {
		case err == nil:
			return nil, nil // the payer has it
		case errors.As(err, &problem) && problem.Code == bankNoFunds:
			from = RefundSubmitted // the bank has recorded nothing
		case errors.Is(err, ErrOpen):
			return nil, err
		}
	}
	// Whoever claims it at this moment is first, or comes too late.
	changed, err := t.changeRefund(ctx, r.Payment, StepRefundCancelled, "", "",
		"UPDATE refunds SET state = ? WHERE id = ? AND state = ?", RefundCancelled, []byte(r.ID), from)
	if err != nil || !changed {
		return nil, err
	}
	return t.refund(ctx, r.ID)
}

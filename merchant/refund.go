package merchant

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/fault"
)

// States of a refund at the till.
const (
	RefundOffered   = "offered"   // the payer may collect it
	RefundSubmitted = "submitted" // he has asked, and the order to the bank was sent, or is about to be
	RefundDone      = "done"
	RefundRefused   = "refused" // the bank refused it for good
)

// Errors of refunds, matched with errors.Is.
var (
	// ErrNoPayment: no such payment at this till, or it was not deposited.
	ErrNoPayment = errors.New("no deposited payment with this id")
	// ErrRefund: more than is left of what was paid.
	ErrRefund = errors.New("more than is left of the payment")
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
}

const refundColumns = "SELECT id, payment, amount, state, created, reason, op, request, answer FROM refunds "

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
		err := rows.Scan((*[]byte)(&r.ID), (*[]byte)(&r.Payment), &r.Amount, &r.State, &at, &r.Reason, &r.op, &r.request, &r.answer)
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

// FindPayment returns the op of the payment whose id begins with text (base64url,
// six characters at least), or ErrNoPayment if there is none or more than one.
func (t *Till) FindPayment(ctx context.Context, text string) ([32]byte, error) {
	all, err := t.Takings(ctx)
	if err != nil {
		return [32]byte{}, err
	}
	var found [][32]byte
	for _, x := range all {
		if len(text) >= 6 && strings.HasPrefix(base64.RawURLEncoding.EncodeToString(x.Op), text) {
			found = append(found, [32]byte(x.Op))
		}
	}
	if len(found) != 1 {
		return [32]byte{}, ErrNoPayment
	}
	return found[0], nil
}

// OfferRefund lets the payer of a payment collect an amount of it, or all that is
// left if it is zero. The bank is asked whether it will refund that; it is debited
// when the payer collects. ErrNoPayment, ErrRefund, ErrSettled.
func (t *Till) OfferRefund(ctx context.Context, op [32]byte, amount coin.Amount) (*Refund, error) {
	p, err := t.payment(ctx, op)
	if err != nil {
		return nil, err
	}
	if p == nil || p.state != StateDeposited {
		return nil, ErrNoPayment
	}
	left, err := t.refundable(ctx, op)
	if err != nil {
		return nil, err
	}
	r := &Refund{ID: make([]byte, 16), Payment: op[:], Amount: amount, State: RefundOffered, Created: t.now().UTC()}
	if _, err := rand.Read(r.ID); err != nil {
		return nil, fmt.Errorf("till: refund: %w", err)
	}
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("till: refund: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	// What is not done at the bank is still to come off what it would refund.
	var pending coin.Amount
	err = tx.QueryRowContext(ctx, "SELECT coalesce(sum(amount), 0) FROM refunds WHERE payment = ? AND state IN (?, ?)",
		op[:], RefundOffered, RefundSubmitted).Scan(&pending)
	if err != nil {
		return nil, fmt.Errorf("till: refund: %w", err)
	}
	if left -= pending; r.Amount == 0 {
		r.Amount = left
	}
	if r.Amount <= 0 || r.Amount > left {
		return nil, fmt.Errorf("%w: %d", ErrRefund, max(left, 0))
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO refunds (id, payment, amount, state, created) VALUES (?, ?, ?, ?, ?)",
		[]byte(r.ID), op[:], int64(r.Amount), r.State, r.Created.UnixMicro())
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		return nil, fmt.Errorf("till: refund: %w", err)
	}
	return r, nil
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

// CollectRefund gives a refund to the payer: whoever shows by the consent of all
// owners of the payment's coins that he is (coin.VerifyRefund). It signs the order
// and persists it, has the bank carry it out, and returns the blind signatures. The
// same claim again gets the same answer; a refund is collected with the outputs of
// one claim only, unless the bank refused those.
//
// A [*Refusal] other than of code "unavailable" means that nothing was given for
// this claim; the payer may make another one if the refund stays offered.
func (t *Till) CollectRefund(ctx context.Context, claim *client.RefundClaim) (*client.RefundAnswer, error) {
	s, a, err := claim.Spend.Parse()
	if err != nil {
		return nil, refusal(err)
	}
	r, err := t.refund(ctx, claim.Refund)
	if err != nil {
		return nil, err
	}
	op := coin.RefundOp([32]byte(r.Payment), s.ToIssuer)
	if r.op != nil && !bytes.Equal(r.op, op[:]) {
		return nil, refuse(codeConflict, errors.New("this refund was claimed with other outputs"))
	}
	if r.State == RefundOffered {
		if err := t.checkClaim(ctx, r, s, a); err != nil {
			return nil, refusal(err)
		}
		if r, err = t.orderRefund(ctx, r, s); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), depositTimeout)
	defer cancel()
	return t.sendRefund(ctx, r)
}

// refund finds a refund by its id.
func (t *Till) refund(ctx context.Context, id []byte) (*Refund, error) {
	list, err := t.refunds(ctx, "WHERE id = ?", id)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 {
		return nil, refuse(codeNotFound, errors.New("there is no such refund"))
	}
	return &list[0], nil
}

// checkClaim says whether who claims a refund is the payer.
func (t *Till) checkClaim(ctx context.Context, r *Refund, s *coin.Spend, a *coin.Authorisation) error {
	p, err := t.payment(ctx, [32]byte(r.Payment))
	if err != nil {
		return err
	}
	paid, _, err := coin.DecodeSpend(p.spend)
	if err != nil {
		return fmt.Errorf("till: %v", err)
	}
	k, err := t.Keyset(ctx)
	if err != nil {
		return err
	}
	v, err := t.verifierFor(ctx, s)
	if err != nil {
		return err
	}
	if err := coin.VerifyRefund(s, a, paid, k, v, t.now()); err != nil {
		return err
	}
	if s.Amount != r.Amount {
		return fmt.Errorf("%w: %d of a refund of %d", coin.ErrAmount, s.Amount, r.Amount)
	}
	return nil
}

// orderRefund signs the order and persists the exact request before it is sent.
func (t *Till) orderRefund(ctx context.Context, r *Refund, s *coin.Spend) (*Refund, error) {
	order := coin.RefundOrder{
		Bank: s.Bank, Deposit: [32]byte(r.Payment), Outputs: coin.OutputsDigest(s.ToIssuer),
		Amount: s.Amount, Currency: s.Currency, At: t.now().UTC().Truncate(time.Second),
	}
	jws, err := order.Sign(t.key)
	if err != nil {
		return nil, fmt.Errorf("till: refund: %w", err)
	}
	request, err := json.Marshal(issuerclient.RefundRequest{Order: string(jws), Outputs: coin.NewOutputsJSON(s.ToIssuer)})
	if err != nil {
		return nil, fmt.Errorf("till: refund: %w", err)
	}
	op := order.Op()
	fault.Point("till.refund.record")
	done, err := t.db.ExecContext(ctx, `UPDATE refunds SET state = ?, op = ?, request = ? WHERE id = ? AND state = ?
		AND NOT EXISTS (SELECT 1 FROM refunds WHERE op = ?)`, RefundSubmitted, op[:], request, []byte(r.ID), RefundOffered, op[:])
	fault.Point("till.refund.recorded")
	if err != nil {
		return nil, fmt.Errorf("till: refund: %w", err)
	}
	if n, err := done.RowsAffected(); err != nil || n != 1 {
		return nil, errors.Join(refuse(codeConflict, errors.New("this refund, or these outputs, were claimed meanwhile")), err)
	}
	return t.refund(ctx, r.ID)
}

// sendRefund sends a recorded order, or returns what is known of it.
func (t *Till) sendRefund(ctx context.Context, r *Refund) (*client.RefundAnswer, error) {
	switch r.State {
	case RefundDone:
		var a client.RefundAnswer
		if err := json.Unmarshal(r.answer, &a); err != nil {
			return nil, fmt.Errorf("till: refund: %w", err)
		}
		return &a, nil
	case RefundRefused:
		code, text, _ := strings.Cut(r.Reason, ": ")
		return nil, refuse(code, errors.New(text))
	}
	c, err := t.bank()
	if err != nil {
		return nil, err
	}
	answer, err := c.RefundWithBodyWithResponse(ctx, "application/json", bytes.NewReader(r.request), t.account)
	if err != nil {
		return nil, openErr(fmt.Errorf("bank: %w", err))
	}
	if answer.JSON200 == nil {
		return nil, t.refundRefused(ctx, r, client.ReadProblem(answer.HTTPResponse, answer.Body))
	}
	a := &client.RefundAnswer{Signatures: answer.JSON200.Signatures}
	raw, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("till: refund: %w", err)
	}
	fault.Point("till.refund.settle")
	_, err = t.db.ExecContext(ctx, "UPDATE refunds SET state = ?, answer = ? WHERE id = ? AND state = ?", RefundDone, raw, []byte(r.ID), RefundSubmitted)
	fault.Point("till.refund.settled")
	if err != nil {
		return nil, fmt.Errorf("till: refund: %w", err)
	}
	return a, nil
}

// refundRefused stores a final refusal. One that is about the outputs leaves the
// refund to be claimed with others; nothing was recorded for these.
func (t *Till) refundRefused(ctx context.Context, r *Refund, err error) error {
	var problem *client.Problem
	if !errors.As(err, &problem) || !problem.Final() || problem.Code == "insufficient-funds" {
		return openErr(fmt.Errorf("bank: %w", err))
	}
	set, args := "state = ?, reason = ?", []any{RefundRefused, problem.Code + ": " + problem.Reason()}
	if problem.Code != "settled" && problem.Code != "refund-exceeds" {
		set, args = "state = ?, op = NULL, request = NULL", []any{RefundOffered}
	}
	_, uerr := t.db.ExecContext(ctx, "UPDATE refunds SET "+set+" WHERE id = ? AND state = ? AND op = ?",
		append(args, []byte(r.ID), RefundSubmitted, r.op)...)
	if uerr != nil {
		return fmt.Errorf("till: refund: %w", uerr)
	}
	return refuse(problem.Code, err)
}

// resumeRefunds repeats every order whose outcome is unknown.
func (t *Till) resumeRefunds(ctx context.Context) error {
	list, err := t.refunds(ctx, "WHERE state = ?", RefundSubmitted)
	if err != nil {
		return err
	}
	var errs []error
	for i := range list {
		_, err := t.sendRefund(ctx, &list[i])
		var r *Refusal
		if errors.As(err, &r) && !errors.Is(err, ErrOpen) {
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("refund %x…: %w", []byte(list[i].ID[:4]), err))
		}
	}
	return errors.Join(errs...)
}

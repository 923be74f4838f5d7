package merchant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/fault"
)

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
	if r.State != RefundCancelled && r.op != nil && !bytes.Equal(r.op, op[:]) {
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
	changed, err := t.changeRefund(ctx, r.Payment, "", "", "", `UPDATE refunds SET state = ?, op = ?, request = ? WHERE id = ? AND state = ?
		AND NOT EXISTS (SELECT 1 FROM refunds WHERE op = ?)`, RefundSubmitted, op[:], request, []byte(r.ID), RefundOffered, op[:])
	fault.Point("till.refund.recorded")
	if err != nil {
		return nil, err
	}
	if !changed {
		return nil, refuse(codeConflict, errors.New("this refund, or these outputs, were claimed meanwhile"))
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
	case RefundCancelled:
		return nil, refuse(codeNotFound, errors.New("the merchant has taken this refund back"))
	}
	a, err := t.postRefund(ctx, r)
	if err != nil {
		return nil, t.refundRefused(ctx, r, err)
	}
	raw, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("till: refund: %w", err)
	}
	fault.Point("till.refund.settle")
	// Whatever was made of it meanwhile: the bank has done it.
	_, err = t.changeRefund(ctx, r.Payment, StepRefunded, "", "", "UPDATE refunds SET state = ?, answer = ?, op = ?, request = ? WHERE id = ? AND state <> ?",
		RefundDone, raw, r.op, r.request, []byte(r.ID), RefundDone)
	fault.Point("till.refund.settled")
	if err != nil {
		return nil, err
	}
	return a, nil
}

// postRefund sends an order to the bank. A refusal for good is a *Refusal; other
// errors match ErrOpen.
func (t *Till) postRefund(ctx context.Context, r *Refund) (*client.RefundAnswer, error) {
	c, err := t.bank()
	if err != nil {
		return nil, openErr(err)
	}
	answer, err := c.RefundWithBodyWithResponse(ctx, "application/json", bytes.NewReader(r.request), t.account)
	if err != nil {
		return nil, openErr(fmt.Errorf("bank: %w", err))
	}
	if answer.JSON200 != nil {
		return &client.RefundAnswer{Signatures: answer.JSON200.Signatures}, nil
	}
	err = client.ReadProblem(answer.HTTPResponse, answer.Body)
	var problem *client.Problem
	if !errors.As(err, &problem) || !problem.Final() || problem.Code == bankNoFunds {
		return nil, openErr(fmt.Errorf("bank: %w", err))
	}
	return nil, refuse(problem.Code, err)
}

// refundRefused stores a final refusal. One that is about the outputs leaves the
// refund to be claimed with others; nothing was recorded for these.
func (t *Till) refundRefused(ctx context.Context, r *Refund, err error) error {
	var problem *client.Problem
	if errors.Is(err, ErrOpen) || !errors.As(err, &problem) {
		return err
	}
	step, set, args := StepRefundRefused, "state = ?, reason = ?", []any{RefundRefused, problem.Code + ": " + problem.Reason()}
	if problem.Code != "settled" && problem.Code != "refund-exceeds" {
		step, set, args = "", "state = ?, op = NULL, request = NULL", []any{RefundOffered}
	}
	_, uerr := t.changeRefund(ctx, r.Payment, step, problem.Code, problem.Reason(), "UPDATE refunds SET "+set+" WHERE id = ? AND state = ? AND op = ?",
		append(args, []byte(r.ID), RefundSubmitted, r.op)...)
	if uerr != nil {
		return uerr
	}
	return err
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

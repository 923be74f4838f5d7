package merchant

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/fault"
)

// States of a payment at the till.
const (
	StateChecked   = "checked"   // the coins were shown and are good; nobody has authorised them
	StateHeld      = "held"      // and the bank holds them for a moment
	StateSubmitted = "submitted" // the deposit was sent, or is about to be
	StateKept      = "kept"      // accepted without the bank, which could not be reached; see Offline
	StateDeposited = "deposited" // the bank credited it
	StateRefused   = "refused"   // the bank refused it for good
)

// depositTimeout bounds one go at a deposit.
const depositTimeout = 45 * time.Second

// payment is a row of the till's file.
type payment struct {
	op, offer, spend, request, answer []byte
	state, reason                     string
	until                             time.Time // of the hold
}

// shown says that its coins were shown and nobody has authorised them.
func (p *payment) shown() bool { return p.state == StateChecked || p.state == StateHeld }

func (t *Till) payment(ctx context.Context, op [32]byte) (*payment, error) {
	var p payment
	var until int64
	err := t.db.QueryRowContext(ctx, "SELECT op, offer, spend, request, answer, state, reason, held_until FROM payments WHERE op = ?", op[:]).
		Scan(&p.op, &p.offer, &p.spend, &p.request, &p.answer, &p.state, &p.reason, &until)
	p.until = time.UnixMicro(until).UTC()
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("till: payment: %w", err)
	}
	return &p, nil
}

// openErr is the answer while nobody here knows what the bank did.
func openErr(err error) *Refusal { return refuse(codeUnavailable, fmt.Errorf("%w: %w", ErrOpen, err)) }

// known is the recorded outcome; the error of a payment without one is
// [ErrOpen].
func (p *payment) known() (*client.TillAnswer, error) {
	switch p.state {
	case StateDeposited, StateKept:
		return client.ReadTillAnswer(p.answer)
	case StateRefused:
		var stored storedRefusal
		if err := json.Unmarshal([]byte(p.reason), &stored); err != nil {
			return nil, fmt.Errorf("till: refusal: %w", err)
		}
		return nil, &Refusal{Code: stored.Code, Conflict: stored.Conflict, err: errors.New(stored.Text)}
	}
	return nil, openErr(errors.New("it is not deposited yet"))
}

// deposit sends a recorded request, or returns what is known of it.
func (t *Till) deposit(ctx context.Context, p *payment) (*client.TillAnswer, error) {
	if p.state != StateSubmitted && p.state != StateKept {
		return p.known()
	}
	c, err := t.bank()
	if err != nil {
		return nil, err
	}
	r, err := c.DepositWithBodyWithResponse(ctx, "application/json", bytes.NewReader(p.request), t.account)
	if err != nil {
		return nil, openErr(fmt.Errorf("bank: %w", err))
	}
	if r.JSON200 == nil {
		return nil, t.bankRefused(ctx, p, client.ReadProblem(r.HTTPResponse, r.Body))
	}
	return t.deposited(ctx, p, r.JSON200)
}

// storedRefusal is a bank's final refusal in the file.
type storedRefusal struct {
	Code     string          `json:"code"`
	Text     string          `json:"text"`
	Conflict json.RawMessage `json:"conflict,omitempty"`
}

// bankRefused stores a final refusal. That a coin is spent, or that the payer
// took the payment back, is believed with the spend that shows it only:
// without it the payment stays open, and the merchant has a dispute with his
// bank.
func (t *Till) bankRefused(ctx context.Context, p *payment, err error) error {
	var problem *client.Problem
	if !errors.As(err, &problem) || !problem.Final() {
		return heldErr(problem, openErr(fmt.Errorf("bank: %w", err)))
	}
	if problem.Code == codeDoubleSpend || problem.Code == codeConflict {
		if err := t.checkConflict(ctx, p, problem.Conflict); err != nil {
			return openErr(fmt.Errorf("the bank says that the coins are spent and can't prove it: %w", err))
		}
	}
	text := problem.Detail
	if text == "" {
		text = problem.Title
	}
	stored, merr := json.Marshal(storedRefusal{Code: problem.Code, Text: text, Conflict: problem.Conflict})
	if merr != nil {
		return fmt.Errorf("till: refusal: %w", merr)
	}
	_, err = t.settle(ctx, p, StateRefused, nil, string(stored))
	return err
}

// settle moves a submitted payment to its last state and returns what stands
// there then: of two requests at once the first to get here counts.
func (t *Till) settle(ctx context.Context, p *payment, state string, answer []byte, reason string) (*client.TillAnswer, error) {
	fault.Point("till.settle")
	err := t.change(ctx, "payment", func(tx *sql.Tx) error {
		// What the payer was answered stays: his receipt is evidence.
		done, err := tx.ExecContext(ctx, "UPDATE payments SET state = ?, answer = coalesce(?, answer), reason = ? WHERE op = ? AND state IN (?, ?)",
			state, answer, reason, p.op, StateSubmitted, StateKept)
		if err != nil {
			return err
		}
		step, code, text := StepDeposited, "", ""
		if state == StateRefused {
			var stored storedRefusal
			if err := json.Unmarshal([]byte(reason), &stored); err != nil {
				return err
			}
			step, code, text = StepRefused, stored.Code, stored.Text
		}
		return t.stepIf(ctx, tx, done, step, p.offer, p.op, code, text)
	})
	if err != nil {
		return nil, err
	}
	fault.Point("till.settled")
	stored, err := t.payment(ctx, [32]byte(p.op))
	if err != nil {
		return nil, err
	}
	return stored.known()
}

// checkConflict verifies the bank's proof: it can't invent a double spend.
func (t *Till) checkConflict(ctx context.Context, p *payment, raw []byte) error {
	var proof coin.ConflictProof
	if err := json.Unmarshal(raw, &proof); err != nil {
		return err
	}
	spend, _, err := coin.DecodeSpend(p.spend)
	if err != nil {
		return err
	}
	return t.verifyConflict(ctx, &proof, spend)
}

// verifyConflict verifies that an earlier spend has coins of this one.
func (t *Till) verifyConflict(ctx context.Context, proof *coin.ConflictProof, spend *coin.Spend) error {
	if proof.Spend == nil {
		return coin.ErrNoConflict
	}
	k, err := t.Keyset(ctx)
	if err != nil {
		return err
	}
	v, err := t.proofVerifier(ctx, proof)
	if err != nil {
		return err
	}
	return proof.Verify(spend, k, v)
}

// deposited verifies the bank's receipt, signs the holder's, and stores both.
func (t *Till) deposited(ctx context.Context, p *payment, d *issuerclient.Deposited) (*client.TillAnswer, error) {
	spend, _, err := coin.DecodeSpend(p.spend)
	if err != nil {
		return nil, fmt.Errorf("till: %v", err)
	}
	offer, err := t.offer(ctx, spend.OfferDigest)
	if err != nil {
		return nil, err
	}
	if err := t.checkReceipt(ctx, d.Receipt, spend, &offer.Offer); err != nil {
		return nil, openErr(fmt.Errorf("bank's receipt: %w", err))
	}
	if len(d.Signatures) != len(spend.ToIssuer) {
		return nil, openErr(fmt.Errorf("bank: %d signatures for %d change coins", len(d.Signatures), len(spend.ToIssuer)))
	}
	own, err := t.receipt(p, spend)
	if err != nil {
		return nil, err
	}
	answer := &client.TillAnswer{Receipt: own, BankReceipt: d.Receipt, Change: append([]api.Bytes{}, d.Signatures...)}
	raw, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("till: answer: %w", err)
	}
	return t.settle(ctx, p, StateDeposited, raw, "")
}

// receipt is the merchant's: the one that the payer has, if his payment was kept.
func (t *Till) receipt(p *payment, spend *coin.Spend) (string, error) {
	if p.answer != nil {
		kept, err := client.ReadTillAnswer(p.answer)
		if err != nil {
			return "", fmt.Errorf("till: answer: %w", err)
		}
		return kept.Receipt, nil
	}
	return t.sign(spend)
}

// sign makes the merchant's receipt for a spend.
func (t *Till) sign(spend *coin.Spend) (string, error) {
	own := coin.HolderReceipt{
		OfferDigest: spend.OfferDigest, SpendDigest: spend.Digest(), Amount: spend.Amount, Currency: spend.Currency,
		At: t.now().UTC().Truncate(time.Second),
	}
	jws, err := own.Sign(t.key)
	if err != nil {
		return "", fmt.Errorf("till: receipt: %w", err)
	}
	return string(jws), nil
}

// checkReceipt verifies the bank's receipt for a deposit. A deposit may be
// taken up long after it was made, when the certificate that the bank signed
// under then has run out: it counts if it was valid then. A key that the bank
// has revoked counts at no time; the bank signs such a receipt again when the
// deposit is repeated.
func (t *Till) checkReceipt(ctx context.Context, jws string, spend *coin.Spend, offer *coin.Offer) error {
	k, err := t.Keyset(ctx)
	if err != nil {
		return err
	}
	var first error
	for _, at := range []time.Time{t.now(), time.Unix(spend.IssuedAt, 0), offer.Expires} {
		r, err := k.VerifyDepositReceipt(t.root, []byte(jws), at)
		if err == nil {
			return r.Covers(spend, offer.Payee)
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// bank is the acquirer's client.
func (t *Till) bank() (*issuerclient.ClientWithResponses, error) {
	c, err := issuerclient.NewClientWithResponses(t.settings.BankURL, issuerclient.WithHTTPClient(bankLine{t}))
	if err != nil {
		return nil, fmt.Errorf("bank: %w", err)
	}
	return c, nil
}

// account shows the access token, with deposits and with nothing else. It is
// read anew each time: a till that serves learns of a login beside it.
func (t *Till) account(ctx context.Context, r *http.Request) error {
	var s Settings
	if _, err := getMeta(ctx, t.db, metaSettings, &s); err != nil {
		return err
	}
	if s.Token != "" {
		r.Header.Set("Authorization", "Bearer "+s.Token)
	}
	return nil
}

// Resume repeats every deposit whose outcome is unknown, those that were kept too, and after the bank's
// ledger was restored from a backup those that it has answered too. Deposits
// that the bank refuses are settled too and no error, unless it gave a receipt
// for them before; those still unknown are joined in the error, which then
// matches [ErrOpen].
func (t *Till) Resume(ctx context.Context) error {
	ops, err := t.inState(ctx, StateSubmitted)
	if err != nil {
		return err
	}
	kept, err := t.inState(ctx, StateKept)
	if err != nil {
		return err
	}
	// First what the bank has promised: somebody may try to spend it again.
	errs := []error{t.resubmit(ctx)}
	for _, op := range append(ops, kept...) {
		p, err := t.payment(ctx, op)
		if err == nil {
			_, err = t.deposit(ctx, p)
		}
		var r *Refusal
		if errors.As(err, &r) && !errors.Is(err, ErrOpen) {
			err = nil
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("payment %x…: %w", op[:4], err))
		}
	}
	errs = append(errs, t.resumeRefunds(ctx))
	return errors.Join(errs...)
}

// inState lists the payments in a state, oldest first.
func (t *Till) inState(ctx context.Context, state string) ([][32]byte, error) {
	rows, err := t.db.QueryContext(ctx, "SELECT op FROM payments WHERE state = ? ORDER BY created, op", state)
	if err != nil {
		return nil, fmt.Errorf("till: payments: %w", err)
	}
	defer rows.Close()
	var ops [][32]byte
	for rows.Next() {
		var op []byte
		if err := rows.Scan(&op); err != nil {
			return nil, fmt.Errorf("till: payments: %w", err)
		}
		if len(op) != 32 {
			return nil, fmt.Errorf("till: payments: operation of %d bytes", len(op))
		}
		ops = append(ops, [32]byte(op))
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("till: payments: %w", err)
	}
	return ops, nil
}

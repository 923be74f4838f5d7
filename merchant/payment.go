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
)

// States of a payment at the till.
const (
	StateSubmitted = "submitted" // the deposit was sent, or is about to be
	StateDeposited = "deposited" // the bank credited it
	StateRefused   = "refused"   // the bank refused it for good
)

// Refusal is why a payment isn't accepted.
type Refusal struct {
	// Code is stable; see docs/protocol.md.
	Code string
	// Conflict is the bank's proof of an earlier spend, if that is the reason.
	Conflict json.RawMessage
	err      error
}

// Error says the refusal in words.
func (r *Refusal) Error() string { return r.err.Error() }

// Unwrap gives the reason.
func (r *Refusal) Unwrap() error { return r.err }

func refuse(code string, err error) *Refusal { return &Refusal{Code: code, err: err} }

// Checked is a spend that this till verified on its own.
type Checked struct {
	Offer *coin.SignedOffer
	Spend *coin.Spend
	Auth  *coin.Authorisation
	// Bound is how many coins were proven to belong to one TPM of the group.
	Bound int
}

// Check verifies a spend without any bank: the offer is this till's and open,
// amounts, keys, the bank's signatures, owners, and TPM binding. The error is
// a [*Refusal].
func (t *Till) Check(ctx context.Context, spend []byte) (*Checked, error) {
	s, a, err := coin.DecodeSpend(spend)
	if err != nil {
		return nil, t.refusal(err)
	}
	offer, err := t.offer(ctx, s.OfferDigest)
	if err != nil {
		return nil, err
	}
	if err := offer.Offer.CheckOpen(t.now()); err != nil {
		return nil, t.refusal(err)
	}
	if err := offer.Offer.CheckSpend(s); err != nil {
		return nil, t.refusal(err)
	}
	k, err := t.Keyset(ctx)
	if err != nil {
		return nil, refuse("unavailable", err)
	}
	v, err := t.verifierFor(ctx, s)
	if err != nil {
		return nil, t.refusal(err)
	}
	if err := coin.Verify(s, a, k, v, t.now()); err != nil {
		return nil, t.refusal(err)
	}
	return &Checked{Offer: offer, Spend: s, Auth: a, Bound: len(s.BoundClaims())}, nil
}

func (t *Till) refusal(err error) *Refusal {
	code := coin.Code(err)
	if code == "" {
		code = "unavailable"
	}
	return refuse(code, err)
}

// offer finds an offer of this till by digest.
func (t *Till) offer(ctx context.Context, digest [32]byte) (*coin.SignedOffer, error) {
	var jws, private []byte
	err := t.db.QueryRowContext(ctx, "SELECT jws, private FROM offers WHERE digest = ?", digest[:]).Scan(&jws, &private)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, t.refusal(fmt.Errorf("%w: this till did not make it", coin.ErrForeignOffer))
	}
	if err != nil {
		return nil, fmt.Errorf("till: offer: %w", err)
	}
	// Whether it is still open is judged after replays: see Accept.
	o, err := coin.VerifyOffer(jws, private, time.Time{})
	if err != nil {
		return nil, fmt.Errorf("till: offer: %w", err)
	}
	return o, nil
}

// Accept checks a spend, deposits it and answers with receipts and change. A
// spend seen before is not judged again: it gets the recorded answer, or its
// deposit is repeated byte for byte, also when the offer has expired since.
func (t *Till) Accept(ctx context.Context, spend []byte) (*client.TillAnswer, error) {
	s, _, err := coin.DecodeSpend(spend)
	if err != nil {
		return nil, t.refusal(err)
	}
	op := s.Op()
	p, err := t.payment(ctx, op)
	if err != nil {
		return nil, err
	}
	if p == nil {
		checked, err := t.Check(ctx, spend)
		if err != nil {
			return nil, err
		}
		if p, err = t.record(ctx, checked, spend); err != nil {
			return nil, err
		}
	}
	return t.deposit(ctx, p)
}

// payment is a row of the till's file.
type payment struct {
	op, spend, request, answer []byte
	state, reason              string
}

const paymentColumns = "op, spend, request, answer, state, reason"

func (t *Till) payment(ctx context.Context, op [32]byte) (*payment, error) {
	var p payment
	err := t.db.QueryRowContext(ctx, "SELECT "+paymentColumns+" FROM payments WHERE op = ?", op[:]).
		Scan(&p.op, &p.spend, &p.request, &p.answer, &p.state, &p.reason)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("till: payment: %w", err)
	}
	return &p, nil
}

// record persists the exact deposit request before it is sent. An offer is
// paid once: a second spend is refused while a first is open or deposited.
func (t *Till) record(ctx context.Context, c *Checked, spend []byte) (*payment, error) {
	var wire coin.SpendJSON
	if err := json.Unmarshal(spend, &wire); err != nil {
		return nil, t.refusal(coin.ErrMalformed)
	}
	request, err := json.Marshal(issuerclient.DepositRequest{
		Offer: c.Offer.Public, PayeeSalt: c.Offer.Private.PayeeSalt[:], Spend: wire,
	})
	if err != nil {
		return nil, fmt.Errorf("till: deposit request: %w", err)
	}
	op := c.Spend.Op()
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("till: payment: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	var others int
	err = tx.QueryRowContext(ctx, "SELECT count(*) FROM payments WHERE offer = ? AND op <> ? AND state <> ?",
		c.Offer.Digest[:], op[:], StateRefused).Scan(&others)
	if err != nil {
		return nil, fmt.Errorf("till: payment: %w", err)
	}
	if others > 0 {
		return nil, refuse("conflict", errors.New("this offer is paid, or being paid, with other coins"))
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO payments (op, offer, spend, request, state, created) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (op) DO NOTHING`, op[:], c.Offer.Digest[:], spend, request, StateSubmitted, t.now().Unix())
	if err != nil {
		return nil, fmt.Errorf("till: payment: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("till: payment: %w", err)
	}
	return t.payment(ctx, op)
}

// deposit sends a recorded request, or returns what is known of it.
func (t *Till) deposit(ctx context.Context, p *payment) (*client.TillAnswer, error) {
	switch p.state {
	case StateDeposited:
		return client.ReadTillAnswer(p.answer)
	case StateRefused:
		var stored storedRefusal
		if err := json.Unmarshal([]byte(p.reason), &stored); err != nil {
			return nil, fmt.Errorf("till: refusal: %w", err)
		}
		return nil, &Refusal{Code: stored.Code, Conflict: stored.Conflict, err: errors.New(stored.Text)}
	}
	c, err := t.bank()
	if err != nil {
		return nil, err
	}
	r, err := c.DepositWithBodyWithResponse(ctx, "application/json", bytes.NewReader(p.request))
	if err != nil {
		return nil, refuse("unavailable", fmt.Errorf("bank: %w", err))
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

func (t *Till) bankRefused(ctx context.Context, p *payment, err error) error {
	var problem *client.Problem
	if !errors.As(err, &problem) {
		return refuse("unavailable", fmt.Errorf("bank: %w", err))
	}
	if !problem.Final() {
		return refuse("unavailable", fmt.Errorf("bank: %w", err))
	}
	if problem.Code == "double-spend" {
		if err := t.checkConflict(ctx, p, problem.Conflict); err != nil {
			return refuse("unavailable", fmt.Errorf("the bank claims a double spend and can't prove it: %w", err))
		}
	}
	text := "the bank: " + problem.Reason()
	stored, merr := json.Marshal(storedRefusal{Code: problem.Code, Text: text, Conflict: problem.Conflict})
	if merr != nil {
		return fmt.Errorf("till: refusal: %w", merr)
	}
	if _, err := t.db.ExecContext(ctx, "UPDATE payments SET state = ?, reason = ? WHERE op = ?", StateRefused, string(stored), p.op); err != nil {
		return fmt.Errorf("till: refusal: %w", err)
	}
	return &Refusal{Code: problem.Code, Conflict: problem.Conflict, err: errors.New(text)}
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
	k, err := t.Keyset(ctx)
	if err != nil {
		return err
	}
	v, err := t.verifierFor(ctx, proof.Spend)
	if err != nil {
		return err
	}
	return proof.Verify(spend, k, v)
}

// deposited verifies the bank's receipt, signs the holder's, and stores both.
func (t *Till) deposited(ctx context.Context, p *payment, d *issuerclient.Deposited) (*client.TillAnswer, error) {
	spend, _, err := coin.DecodeSpend(p.spend)
	if err != nil {
		return nil, fmt.Errorf("till: %w", err)
	}
	offer, err := t.offer(ctx, spend.OfferDigest)
	if err != nil {
		return nil, err
	}
	receipt, err := coin.VerifyDepositReceipt(t.root, []byte(d.Receipt), t.now())
	if err == nil {
		err = receipt.Covers(spend, offer.Offer.Payee)
	}
	if err != nil {
		return nil, refuse("unavailable", fmt.Errorf("bank's receipt: %w", err))
	}
	own := coin.HolderReceipt{
		OfferDigest: spend.OfferDigest, SpendDigest: spend.Digest(), Amount: spend.Amount, Currency: spend.Currency,
		At: t.now().UTC().Truncate(time.Second),
	}
	jws, err := own.Sign(t.key)
	if err != nil {
		return nil, fmt.Errorf("till: receipt: %w", err)
	}
	answer := &client.TillAnswer{Receipt: string(jws), BankReceipt: d.Receipt, Change: append([]api.Bytes{}, d.Signatures...)}
	raw, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("till: answer: %w", err)
	}
	_, err = t.db.ExecContext(ctx, "UPDATE payments SET state = ?, answer = ? WHERE op = ? AND state = ?",
		StateDeposited, raw, p.op, StateSubmitted)
	if err != nil {
		return nil, fmt.Errorf("till: answer: %w", err)
	}
	// Two requests at once may both get here: the first answer stands.
	stored, err := t.payment(ctx, [32]byte(p.op))
	if err != nil {
		return nil, err
	}
	return client.ReadTillAnswer(stored.answer)
}

// bank is the acquirer's client with the account's token.
func (t *Till) bank() (*issuerclient.ClientWithResponses, error) {
	c, err := issuerclient.NewClientWithResponses(t.settings.BankURL, issuerclient.WithHTTPClient(t.http),
		issuerclient.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			if t.settings.Token != "" {
				r.Header.Set("Authorization", "Bearer "+t.settings.Token)
			}
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("bank %s: %w", t.settings.BankURL, err)
	}
	return c, nil
}

// Resume repeats every deposit whose outcome is unknown.
func (t *Till) Resume(ctx context.Context) error {
	rows, err := t.db.QueryContext(ctx, "SELECT op FROM payments WHERE state = ?", StateSubmitted)
	if err != nil {
		return fmt.Errorf("till: %w", err)
	}
	var ops [][32]byte
	for rows.Next() {
		var op []byte
		if err := rows.Scan(&op); err != nil {
			return errors.Join(fmt.Errorf("till: %w", err), rows.Close())
		}
		ops = append(ops, [32]byte(op))
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("till: %w", err)
	}
	var errs []error
	for _, op := range ops {
		p, err := t.payment(ctx, op)
		if err == nil {
			_, err = t.deposit(ctx, p)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Taking is a line of the till's list.
type Taking struct {
	Offer   []byte      `json:"offer"`
	Op      []byte      `json:"op"`
	Order   string      `json:"order"`
	Amount  coin.Amount `json:"amount"`
	State   string      `json:"state"`
	Created time.Time   `json:"created"`
}

// Takings lists the payments, newest first.
func (t *Till) Takings(ctx context.Context) ([]Taking, error) {
	rows, err := t.db.QueryContext(ctx, `SELECT p.op, o.digest, o.private, o.amount, p.state, p.created
		FROM payments p JOIN offers o ON o.digest = p.offer ORDER BY p.created DESC, p.op`)
	if err != nil {
		return nil, fmt.Errorf("till: %w", err)
	}
	defer rows.Close()
	var out []Taking
	for rows.Next() {
		var x Taking
		var at int64
		var private []byte
		if err := rows.Scan(&x.Op, &x.Offer, &private, &x.Amount, &x.State, &at); err != nil {
			return nil, fmt.Errorf("till: %w", err)
		}
		var p struct {
			Order string `json:"order"`
		}
		if err := json.Unmarshal(private, &p); err != nil {
			return nil, fmt.Errorf("till: %w", err)
		}
		x.Order, x.Created = p.Order, time.Unix(at, 0).UTC()
		out = append(out, x)
	}
	return out, rows.Err()
}

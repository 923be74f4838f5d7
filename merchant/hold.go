package merchant

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/fault"
)

// ErrNotHeld: no hold is open for the payment.
var ErrNotHeld = errors.New("the payment's coins are not held")

// heldErr is the refusal while the bank holds a coin for somebody else, or r for
// any other problem.
func heldErr(p *client.Problem, r *Refusal) *Refusal {
	if p == nil || p.Code != client.CodeHeld {
		return r
	}
	return &Refusal{Code: client.CodeHeld, RetryAfter: max(p.RetryAfter, time.Second), err: r.err}
}

// CheckShown is Check for a spend that nobody has authorised yet: of everything
// but the owners' consent. The error is a [*Refusal].
func (t *Till) CheckShown(ctx context.Context, shown []byte) (*Checked, error) {
	s, err := coin.DecodeShown(shown)
	if err != nil {
		return nil, refusal(err)
	}
	return t.checkShown(ctx, s)
}

func (t *Till) checkShown(ctx context.Context, s *coin.Spend) (*Checked, error) {
	return t.checkBy(ctx, s, nil, func(k *coin.Keyset, _ coin.PresentationVerifier) error {
		return coin.VerifyShown(s, k, t.now())
	})
}

// Show is the first of two steps in which a payment may come: the payer shows
// his coins, without authorising anything, and the till checks them and has the
// bank hold them. From then on they are this merchant's or nobody's until the
// hold ends; with the payer's authorisation [Till.Accept] deposits them. That
// the bank holds them says that they are unspent, and no more.
//
// The answer's state is StateHeld, or StateChecked where the bank can't hold
// them now (it can't be reached, or this merchant holds too many): they may be
// paid with all the same. Showing them again gets the state that they are in
// now. The error is a [*Refusal].
func (t *Till) Show(ctx context.Context, shown []byte) (*client.Shown, error) {
	s, err := coin.DecodeShown(shown)
	if err != nil {
		return nil, refusal(err)
	}
	p, err := t.payment(ctx, s.Op())
	if err != nil {
		return nil, err
	}
	if p == nil {
		checked, err := t.checkShown(ctx, s)
		if err != nil {
			return nil, t.refusedAttempt(ctx, s.OfferDigest, s.Op(), err)
		}
		if p, err = t.recordShown(ctx, checked, shown); err != nil {
			return nil, err
		}
	}
	answer, err := t.hold(ctx, p)
	if err != nil && p.shown() {
		err = t.refusedAttempt(ctx, s.OfferDigest, s.Op(), err)
	}
	return answer, err
}

// recordShown persists what the payer showed, with the exact request for a hold.
// An offer that is paid, or for which other coins are held, is refused.
func (t *Till) recordShown(ctx context.Context, c *Checked, shown []byte) (*payment, error) {
	var wire coin.SpendJSON
	if err := json.Unmarshal(shown, &wire); err != nil {
		return nil, refusal(coin.ErrMalformed)
	}
	request, err := json.Marshal(issuerclient.HoldRequest{
		Offer: c.Offer.Public, PayeeSalt: c.Offer.Private.PayeeSalt[:], Spend: wire,
	})
	if err != nil {
		return nil, fmt.Errorf("till: hold request: %w", err)
	}
	op, offer := c.Spend.Op(), c.Offer.Digest
	err = t.change(ctx, "payment", func(tx *sql.Tx) error {
		if err := stillOffered(ctx, tx, offer, op); err != nil {
			return err
		}
		var held int
		err := tx.QueryRowContext(ctx, "SELECT count(*) FROM payments WHERE offer = ? AND op <> ? AND state = ? AND held_until > ?",
			offer[:], op[:], StateHeld, t.now().UnixMicro()).Scan(&held)
		if err != nil {
			return err
		}
		if held > 0 {
			return &Refusal{Code: client.CodeHeld, RetryAfter: time.Second, err: errors.New("other coins are held for this offer")}
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO payments (op, offer, spend, request, state, created) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (op) DO NOTHING`, op[:], offer[:], shown, request, StateChecked, t.now().UnixMicro())
		if err != nil {
			return err
		}
		fault.Point("till.shown")
		return t.stepOnce(ctx, tx, StepCoinsChecked, offer[:], op[:])
	})
	if err != nil {
		return nil, err
	}
	return t.payment(ctx, op)
}

// hold asks the bank to hold the coins of a payment, unless they were authorised
// meanwhile.
func (t *Till) hold(ctx context.Context, p *payment) (*client.Shown, error) {
	if !p.shown() {
		return &client.Shown{State: p.state}, nil
	}
	c, err := t.bank()
	if err != nil {
		return nil, err
	}
	brief, cancel := context.WithTimeout(ctx, t.patience())
	defer cancel()
	r, err := c.HoldWithBodyWithResponse(brief, "application/json", bytes.NewReader(p.request), t.account)
	if err != nil {
		return &client.Shown{State: StateChecked}, nil
	}
	if r.JSON200 == nil {
		return t.notHeld(ctx, p, client.ReadProblem(r.HTTPResponse, r.Body))
	}
	until := r.JSON200.Until.UTC()
	fault.Point("till.hold")
	err = t.setHeld(ctx, p.offer, p.op, StateHeld, until)
	fault.Point("till.held")
	if err != nil {
		return nil, err
	}
	return &client.Shown{State: StateHeld, Until: &until}, nil
}

// notHeld judges why the bank does not hold coins. That they are spent, the bank
// has to show; that somebody else holds them, or that they are no good coins any
// more, the payer is told; all else is this merchant's own affair.
func (t *Till) notHeld(ctx context.Context, p *payment, err error) (*client.Shown, error) {
	var problem *client.Problem
	errors.As(err, &problem)
	switch {
	case problem == nil:
	case problem.Code == client.CodeHeld:
		return nil, heldErr(problem, refuse(client.CodeHeld, err))
	case problem.Code == codeDoubleSpend || problem.Code == codeConflict:
		if _, err := t.settleShown(ctx, p, problem); err != nil {
			return nil, err
		}
	case problem.Status == 422:
		return nil, refuse(problem.Code, err)
	}
	return &client.Shown{State: StateChecked}, nil
}

// settleShown closes a payment whose coins the bank shows to be spent.
func (t *Till) settleShown(ctx context.Context, p *payment, problem *client.Problem) (*client.TillAnswer, error) {
	var proof coin.ConflictProof
	shown, err := coin.DecodeShown(p.spend)
	if err == nil {
		err = json.Unmarshal(problem.Conflict, &proof)
	}
	if err == nil {
		err = t.verifyConflict(ctx, &proof, shown)
	}
	if err != nil {
		return nil, nil // nothing is shown: the deposit will tell
	}
	stored, err := json.Marshal(storedRefusal{Code: problem.Code, Text: problem.Reason(), Conflict: problem.Conflict})
	if err != nil {
		return nil, fmt.Errorf("till: refusal: %w", err)
	}
	err = t.change(ctx, "payment", func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, "UPDATE payments SET state = ?, reason = ?, held_until = 0 WHERE op = ? AND state IN (?, ?)",
			StateRefused, string(stored), p.op, StateChecked, StateHeld)
		if err != nil {
			return err
		}
		return t.stepIf(ctx, tx, done, StepRefused, p.offer, p.op, problem.Code, problem.Reason())
	})
	if err != nil {
		return nil, err
	}
	now, err := t.payment(ctx, [32]byte(p.op))
	if err != nil {
		return nil, err
	}
	return now.known()
}

func (t *Till) setHeld(ctx context.Context, offer, op []byte, state string, until time.Time) error {
	return t.change(ctx, "payment", func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, "UPDATE payments SET state = ?, held_until = ? WHERE op = ? AND state IN (?, ?)",
			state, until.UnixMicro(), op, StateChecked, StateHeld)
		if err != nil || state != StateHeld {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return t.stepOnce(ctx, tx, StepHeld, offer, op)
	})
}

// Release lets go of the coins of a payment that nobody has authorised, before
// the hold ends. [ErrNotHeld].
func (t *Till) Release(ctx context.Context, op [32]byte) error {
	p, err := t.payment(ctx, op)
	if err != nil {
		return err
	}
	if p == nil || p.state != StateHeld {
		return ErrNotHeld
	}
	c, err := t.bank()
	if err != nil {
		return err
	}
	r, err := c.ReleaseHoldWithResponse(ctx, base64.RawURLEncoding.EncodeToString(op[:]), t.account)
	if err != nil {
		return fmt.Errorf("bank: %w", err)
	}
	if r.StatusCode() != 204 {
		if err := client.ReadProblem(r.HTTPResponse, r.Body); !isProblem(err, codeNotFound) { // it was forgotten
			return err
		}
	}
	return t.setHeld(ctx, p.offer, op[:], StateChecked, time.UnixMicro(0))
}

func isProblem(err error, code string) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Code == code
}

// Waiting is an offer that can be paid and is not.
type Waiting struct {
	Offer   api.Bytes   `json:"offer"`
	Order   string      `json:"order"`
	Amount  coin.Amount `json:"amount"`
	Expires time.Time   `json:"expires"`
}

// Waiting lists the offers that nobody has paid or shown coins for yet, newest
// first.
func (t *Till) Waiting(ctx context.Context) ([]Waiting, error) {
	rows, err := t.db.QueryContext(ctx, `SELECT o.digest, o.jws, o.private FROM offers o
		WHERE NOT EXISTS (SELECT 1 FROM payments p WHERE p.offer = o.digest AND p.state <> ?) ORDER BY o.created DESC, o.digest`, StateRefused)
	if err != nil {
		return nil, fmt.Errorf("till: offers: %w", err)
	}
	defer rows.Close()
	out := []Waiting{}
	for rows.Next() {
		var digest, jws, private []byte
		if err := rows.Scan(&digest, &jws, &private); err != nil {
			return nil, fmt.Errorf("till: offers: %w", err)
		}
		o, err := coin.VerifyOffer(jws, private, time.Time{})
		if err != nil {
			return nil, fmt.Errorf("till: offer: %v", err)
		}
		if o.Offer.CheckOpen(t.now()) == nil {
			out = append(out, Waiting{Offer: digest, Order: o.Private.Order, Amount: o.Offer.Amount, Expires: o.Offer.Expires})
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("till: offers: %w", err)
	}
	return out, nil
}

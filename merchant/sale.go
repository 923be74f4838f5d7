package merchant

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/coin"
)

// ErrNoSale: this till made no such offer.
var ErrNoSale = errors.New("no such sale")

// ErrPaid: the offer is paid, or being paid; it can't be taken back.
var ErrPaid = errors.New("it is paid, or being paid")

// ErrDay: that is no day.
var ErrDay = errors.New("a day is written as 2026-07-15")

// SaleStep is a step of a sale and when it was made.
type SaleStep struct {
	Step   string    `json:"step"`
	At     time.Time `json:"at"`
	Code   string    `json:"code,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// Sale is an offer and what has come of it.
type Sale struct {
	// ID is the offer's digest, 32 bytes.
	ID       api.Bytes   `json:"id"`
	Amount   coin.Amount `json:"amount"`
	Currency string      `json:"currency"`
	Exponent int         `json:"exponent"`
	Order    string      `json:"order"`
	Purpose  string      `json:"purpose"`
	Created  time.Time   `json:"created"`
	Expires  time.Time   `json:"expires"`
	// State is one of waiting, checked, held, depositing, deposited, kept,
	// refused, expired and cancelled. It is refused only where the bank refused
	// what had been kept: other refused attempts leave the offer open.
	State string `json:"state"`
	// Coins and Bound count the coins it is paid with, and those of them that one
	// TPM of the group was proven to own.
	Coins int `json:"coins"`
	Bound int `json:"bound"`
	// Op is the payment, Paid when it came; nil without one.
	Op   api.Bytes  `json:"op,omitempty"`
	Paid *time.Time `json:"paid,omitempty"`
	// Code and Reason are of the last refusal, unless it is paid since.
	Code   string `json:"code,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Proof is whether the bank has shown, of a sale that is refused, the other spend of
	// its coins: it is in the papers, see Till.Evidence.
	Proof bool `json:"proof,omitempty"`
	// Refunded is what went back, RefundWaiting what the payer may collect,
	// Refundable what is left of the sale besides.
	Refunded      coin.Amount `json:"refunded"`
	RefundWaiting coin.Amount `json:"refund_waiting"`
	Refundable    coin.Amount `json:"refundable"`
	// Link is what the payer gets, of a sale that waits; see [Sale.LinkTo].
	Link  string     `json:"link,omitempty"`
	Steps []SaleStep `json:"steps"`

	offer  *coin.SignedOffer
	closed string
}

// LinkTo is the payment link of a sale whose spend is posted to that address.
func (s *Sale) LinkTo(to string) (string, error) {
	l, err := s.offer.Link(to)
	if err != nil {
		return "", err
	}
	return l.Text()
}

// QR is the payment link in the short form for pictures.
func (s *Sale) QR(to string) (string, error) {
	l, err := s.offer.Link(to)
	if err != nil {
		return "", err
	}
	return l.QR()
}

// At is the time that a sale is counted under: when it was paid, or offered.
func (s *Sale) At() time.Time {
	if s.Paid != nil {
		return *s.Paid
	}
	return s.Created
}

// Totals sum up sales.
type Totals struct {
	// Count and Amount are of what the bank has credited; Refunded went back of it.
	Count    int         `json:"count"`
	Amount   coin.Amount `json:"amount"`
	Refunded coin.Amount `json:"refunded"`
	// Kept is what was accepted without the bank and is not deposited yet.
	Kept coin.Amount `json:"kept"`
}

// Sum adds sales up. It returns coin.ErrAmount for more than an amount can be.
func Sum(sales []Sale) (s Totals, err error) {
	add := func(to *coin.Amount, a coin.Amount) {
		var e error
		if *to, e = to.Add(a); e != nil {
			err = e
		}
	}
	for i := range sales {
		switch sales[i].State {
		case StateDeposited:
			s.Count++
			add(&s.Amount, sales[i].Amount)
			add(&s.Refunded, sales[i].Refunded)
		case StateKept:
			add(&s.Kept, sales[i].Amount)
		}
	}
	return s, err
}

// Sale returns the sale of an offer. ErrNoSale.
func (t *Till) Sale(ctx context.Context, offer [32]byte) (*Sale, error) {
	list, err := t.sales(ctx, "?", offer[:])
	if err != nil {
		return nil, err
	}
	if len(list) != 1 {
		return nil, ErrNoSale
	}
	return &list[0], nil
}

// Sales lists the sales of a time, from its beginning and before its end, newest
// first: those paid then, and those offered then that were not paid.
func (t *Till) Sales(ctx context.Context, from, until time.Time) ([]Sale, error) {
	a, b := from.UnixMicro(), until.UnixMicro()
	list, err := t.sales(ctx, `SELECT digest FROM offers WHERE created >= ? AND created < ?
		UNION SELECT offer FROM payments WHERE created >= ? AND created < ?`, a, b, a, b)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(s Sale) bool { return s.At().Before(from) || !s.At().Before(until) })
	slices.SortStableFunc(list, func(a, b Sale) int { return b.At().Compare(a.At()) })
	return list, nil
}

// CancelOffer takes an offer back that nobody has paid. Coins that the bank holds
// for it are let go of. ErrNoSale, ErrPaid.
func (t *Till) CancelOffer(ctx context.Context, offer [32]byte) error {
	s, err := t.Sale(ctx, offer)
	if err != nil {
		return err
	}
	err = t.change(ctx, "cancel", func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `UPDATE offers SET closed = ? WHERE digest = ? AND closed = '' AND NOT EXISTS
			(SELECT 1 FROM payments WHERE offer = ? AND state IN (?, ?, ?))`,
			StepCancelled, offer[:], offer[:], StateSubmitted, StateKept, StateDeposited)
		if err != nil {
			return err
		}
		return t.stepIf(ctx, tx, done, StepCancelled, offer[:], nil, "", "")
	})
	if err != nil {
		return err
	}
	now, err := t.Sale(ctx, offer)
	if err != nil {
		return err
	}
	if now.Paid != nil {
		return ErrPaid
	}
	if s.State == StateHeld {
		// The payer is not kept waiting for the hold to end; if the bank can't be
		// asked, it ends by itself.
		_ = t.Release(ctx, [32]byte(s.Op))
	}
	return nil
}

// sales reads the sales whose digests a statement selects: two queries, however
// many they are.
func (t *Till) sales(ctx context.Context, digests string, args ...any) ([]Sale, error) {
	if err := t.expire(ctx); err != nil {
		return nil, fmt.Errorf("till: sales: %w", err)
	}
	list, err := t.offeredSales(ctx, digests, args...)
	if err != nil {
		return nil, err
	}
	events, err := t.events(ctx, "WHERE offer IN ("+digests+") ORDER BY seq", args...)
	if err != nil {
		return nil, err
	}
	at := map[string]*Sale{}
	for i := range list {
		at[string(list[i].ID)] = &list[i]
	}
	for _, e := range events {
		if s := at[string(e.Offer)]; s != nil && !strings.HasPrefix(e.Step, "refund") {
			s.Steps = append(s.Steps, SaleStep{Step: e.Step, At: e.At, Code: e.Code, Reason: e.Reason})
		}
	}
	for i := range list {
		list[i].conclude(t.now())
	}
	return list, nil
}

// offeredSales are sales without their steps. Of the payments of an offer the one
// that counts is chosen: made, before shown, before refused.
func (t *Till) offeredSales(ctx context.Context, digests string, args ...any) ([]Sale, error) {
	exponent, err := t.exponent(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := t.db.QueryContext(ctx, `SELECT o.digest, o.jws, o.private, o.created, o.closed, p.op, p.spend, coalesce(p.state, ''), coalesce(p.reason, ''),
			coalesce(p.created, 0), coalesce(p.held_until, 0), coalesce(p.kept_at, 0),
			(SELECT coalesce(sum(amount), 0) FROM refunds r WHERE r.payment = p.op AND r.state = 'done'),
			(SELECT coalesce(sum(amount), 0) FROM refunds r WHERE r.payment = p.op AND r.state IN ('offered', 'submitted'))
		FROM offers o LEFT JOIN payments p ON p.op = (SELECT q.op FROM payments q WHERE q.offer = o.digest ORDER BY
			CASE WHEN q.state = 'deposited' THEN 0 WHEN q.state IN ('kept', 'submitted') THEN 1 WHEN q.kept_at > 0 THEN 2
				WHEN q.state = 'held' THEN 3 WHEN q.state = 'checked' THEN 4 ELSE 5 END, q.created DESC LIMIT 1)
		WHERE o.digest IN (`+digests+`) ORDER BY o.created DESC, o.digest`, args...)
	if err != nil {
		return nil, fmt.Errorf("till: sales: %w", err)
	}
	defer rows.Close()
	var out []Sale
	for rows.Next() {
		var s Sale
		var jws, private, op, spend []byte
		var reason string
		var created, paid, held, kept int64
		err := rows.Scan((*[]byte)(&s.ID), &jws, &private, &created, &s.closed, &op, &spend, &s.State, &reason, &paid, &held, &kept, &s.Refunded, &s.RefundWaiting)
		if err != nil {
			return nil, fmt.Errorf("till: sales: %w", err)
		}
		if s.offer, err = coin.VerifyOffer(jws, private, time.Time{}); err != nil {
			return nil, fmt.Errorf("till: offer: %v", err)
		}
		o := &s.offer.Offer
		s.Amount, s.Currency, s.Exponent, s.Expires = o.Amount, o.Currency, exponent, o.Expires
		s.Order, s.Purpose, s.Created = s.offer.Private.Order, s.offer.Private.Purpose, time.UnixMicro(created).UTC()
		if err := s.paidWith(op, spend, reason, time.UnixMicro(paid).UTC(), held > t.now().UnixMicro(), kept > 0); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("till: sales: %w", err)
	}
	return out, nil
}

// paidWith puts the payment into a sale, if there is one that was made or may yet
// be.
func (s *Sale) paidWith(op, spend []byte, reason string, at time.Time, held, kept bool) error {
	if s.State == StateHeld && !held {
		s.State = StateChecked // the hold is over
	}
	if op == nil || (s.State == StateRefused && !kept) {
		s.State = ""
		return nil
	}
	s.Op = op
	if s.State == StateChecked || s.State == StateHeld {
		c, err := coin.DecodeShown(spend)
		if err != nil {
			return fmt.Errorf("till: payment: %v", err)
		}
		s.Coins = len(c.Coins)
		return nil
	}
	c, _, err := coin.DecodeSpend(spend)
	if err != nil {
		return fmt.Errorf("till: payment: %v", err)
	}
	s.Paid, s.Coins, s.Bound = &at, len(c.Coins), len(c.BoundClaims())
	switch s.State {
	case StateDeposited:
		s.Refundable = s.Amount - s.Refunded - s.RefundWaiting
	case StateSubmitted:
		s.State = StepDepositing
	case StateRefused:
		var stored storedRefusal
		if err := json.Unmarshal([]byte(reason), &stored); err != nil {
			return fmt.Errorf("till: refusal: %w", err)
		}
		s.Code, s.Reason, s.Proof = stored.Code, stored.Text, len(stored.Conflict) > 0
	}
	return nil
}

// conclude finds the state of a sale that is not paid, and why the last attempt at
// it was refused.
func (s *Sale) conclude(now time.Time) {
	if len(s.Steps) == 0 {
		// Of before the till recorded steps.
		s.Steps = []SaleStep{{Step: StepWaiting, At: s.Created}}
		if s.Paid != nil {
			s.Steps = append(s.Steps, SaleStep{Step: s.State, At: *s.Paid, Code: s.Code, Reason: s.Reason})
		}
	}
	if s.Paid != nil && s.State != StepDepositing {
		return
	}
	attempt := ""
	for _, x := range s.Steps {
		switch x.Step {
		case StepRefused:
			s.Code, s.Reason, attempt = x.Code, x.Reason, ""
		case StepCoinsChecked:
			attempt = StateChecked
		}
	}
	switch {
	case s.Paid != nil:
	case s.closed != "":
		s.State = s.closed
	case !now.Before(s.Expires):
		s.State = StepExpired
	case s.State == "" && attempt != "":
		s.State = attempt
	case s.State == "":
		s.State = StepWaiting
	}
}

// Day is from the first moment of a day, as 2006-01-02 in the zone of now, to that
// of the next; today if the text is empty. ErrDay.
func Day(text string, now time.Time) (from, until time.Time, err error) {
	y, m, d := now.Date()
	if text != "" {
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return from, until, fmt.Errorf("%w: %q", ErrDay, text)
		}
		y, m, d = at.Date()
	}
	return time.Date(y, m, d, 0, 0, 0, 0, now.Location()), time.Date(y, m, d+1, 0, 0, 0, 0, now.Location()), nil
}

// CheckTo returns coin.ErrMalformed for an address that no payment link can carry: it
// is https, or http on this machine.
func CheckTo(to string) error {
	_, err := new(coin.SignedOffer).Link(to)
	return err
}

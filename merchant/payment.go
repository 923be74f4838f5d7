package merchant

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/fault"
)

// Codes of the till's own refusals; the others are package coin's and the
// bank's.
const (
	codeUnavailable = "unavailable" // not now: repeat the same bytes
	codeConflict    = "conflict"    // the offer is paid with other coins
	codeTooLarge    = "too-large"
	codeInternal    = "internal"
	codeDoubleSpend = "double-spend"
	codeNotFound    = "not-found"
	codeMalformed   = "malformed"
)

// bankNoFunds is the bank's refusal of a refund while the account lacks the money;
// nothing is recorded then, and the till passes it on to nobody.
const bankNoFunds = "insufficient-funds"

// ErrOpen: a deposit's outcome is unknown; [Till.Resume] settles it.
var ErrOpen = errors.New("the outcome is open")

// Refusal is why a payment isn't accepted.
type Refusal struct {
	// Code is stable; see docs/protocol.md.
	Code string
	// Conflict is the bank's proof of an earlier spend, if that is the reason.
	Conflict json.RawMessage
	// RetryAfter is when to ask again, if that is known.
	RetryAfter time.Duration
	err        error
}

// Error says the refusal in words.
func (r *Refusal) Error() string { return r.err.Error() }

// Unwrap gives the reason.
func (r *Refusal) Unwrap() error { return r.err }

func refuse(code string, err error) *Refusal { return &Refusal{Code: code, err: err} }

// refusal gives an error of the checks its code.
func refusal(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	code := coin.Code(err)
	if code == "" {
		code = codeUnavailable
	}
	return refuse(code, err)
}

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
		return nil, refusal(err)
	}
	return t.check(ctx, s, a)
}

func (t *Till) check(ctx context.Context, s *coin.Spend, a *coin.Authorisation) (*Checked, error) {
	return t.checkBy(ctx, s, a, func(k *coin.Keyset, v coin.PresentationVerifier) error {
		return coin.Verify(s, a, k, v, t.now())
	})
}

// checkBy checks that a spend pays an open offer of this till, and the rest by
// verify.
func (t *Till) checkBy(ctx context.Context, s *coin.Spend, a *coin.Authorisation, verify func(*coin.Keyset, coin.PresentationVerifier) error) (*Checked, error) {
	offer, err := t.offer(ctx, s.OfferDigest)
	if err != nil {
		return nil, refusal(err)
	}
	if err := offer.Offer.CheckOpen(t.now()); err != nil {
		return nil, refusal(err)
	}
	if err := offer.Offer.CheckSpend(s); err != nil {
		return nil, refusal(err)
	}
	if len(s.ToAcquirer) != 0 {
		// The bank would not sign these, and the payment would end half-way.
		return nil, refusal(fmt.Errorf("%w: nothing of the amount goes back", coin.ErrOutput))
	}
	k, err := t.Keyset(ctx)
	if err != nil {
		return nil, refuse(codeUnavailable, err)
	}
	v, err := t.verifierFor(ctx, s)
	if err != nil {
		return nil, refusal(err)
	}
	if err := verify(k, v); err != nil {
		return nil, refusal(err)
	}
	return &Checked{Offer: offer, Spend: s, Auth: a, Bound: len(s.BoundClaims())}, nil
}

// offer finds an offer of this till by digest, expired or not.
func (t *Till) offer(ctx context.Context, digest [32]byte) (*coin.SignedOffer, error) {
	var jws, private []byte
	err := t.db.QueryRowContext(ctx, "SELECT jws, private FROM offers WHERE digest = ?", digest[:]).Scan(&jws, &private)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: this till did not make it", coin.ErrForeignOffer)
	}
	if err != nil {
		return nil, fmt.Errorf("till: offer: %w", err)
	}
	o, err := coin.VerifyOffer(jws, private, time.Time{})
	if err != nil {
		// %v: the till's own file is at fault, not what the payer sent.
		return nil, fmt.Errorf("till: offer: %v", err)
	}
	return o, nil
}

// Accept checks a spend, deposits it and answers with receipts and change. A
// spend seen before is not judged again: it gets the recorded answer, or its
// deposit is repeated byte for byte, also when the offer has expired since. One
// whose coins were only shown is judged now: no wrong authorisation goes to the
// bank, which would count it against the merchant (see Till.Show).
//
// Where the bank can't be reached, a payment within the merchant's limits is kept
// ([Till.SetLimits]): the answer has the merchant's receipt and says so, and the
// deposit follows.
//
// A [*Refusal] other than of code "unavailable" means that this spend will not
// be deposited. [ErrOpen] means that it may be.
func (t *Till) Accept(ctx context.Context, spend []byte) (*client.TillAnswer, error) {
	s, a, err := coin.DecodeSpend(spend)
	if err != nil {
		return nil, refusal(err)
	}
	p, err := t.payment(ctx, s.Op())
	if err != nil {
		return nil, err
	}
	if p == nil || p.shown() {
		if p, err = t.judge(ctx, s, a, spend); err != nil {
			return nil, t.refusedAttempt(ctx, s.OfferDigest, s.Op(), err)
		}
	}
	// From here on the merchant wants his money, whether the payer waits or not.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), depositTimeout)
	defer cancel()
	return t.depositOrKeep(ctx, p)
}

// depositOrKeep deposits a payment whose payer waits, or keeps it where the bank can't
// be reached and the merchant has set limits for that.
func (t *Till) depositOrKeep(ctx context.Context, p *payment) (*client.TillAnswer, error) {
	var l Limits
	if _, err := getMeta(ctx, t.db, metaOffline, &l); err != nil {
		return nil, err
	}
	brief := ctx
	if l.On() {
		var cancel context.CancelFunc
		brief, cancel = context.WithTimeout(ctx, t.patience())
		defer cancel()
	}
	answer, err := t.deposit(brief, p)
	if errors.Is(err, ErrUnreachable) {
		return t.keep(ctx, p, err)
	}
	return answer, err
}

// judge checks a spend and records it as a payment, and each step as it is made.
func (t *Till) judge(ctx context.Context, s *coin.Spend, a *coin.Authorisation, spend []byte) (*payment, error) {
	checked, err := t.checkBy(ctx, s, a, func(k *coin.Keyset, v coin.PresentationVerifier) error {
		if err := coin.VerifyShown(s, k, t.now()); err != nil {
			return err
		}
		if err := t.attempted(ctx, StepCoinsChecked, s.OfferDigest, s.Op(), "", ""); err != nil {
			return err
		}
		return coin.Verify(s, a, k, v, t.now())
	})
	if err != nil {
		return nil, err
	}
	return t.record(ctx, checked, spend)
}

// record persists the exact deposit request before it is sent. An offer is
// paid once: a second spend is refused while a first is open or deposited.
func (t *Till) record(ctx context.Context, c *Checked, spend []byte) (*payment, error) {
	var wire coin.SpendJSON
	if err := json.Unmarshal(spend, &wire); err != nil {
		return nil, refusal(coin.ErrMalformed)
	}
	request, err := json.Marshal(issuerclient.DepositRequest{
		Offer: c.Offer.Public, PayeeSalt: c.Offer.Private.PayeeSalt[:], Spend: wire,
	})
	if err != nil {
		return nil, fmt.Errorf("till: deposit request: %w", err)
	}
	op, offer := c.Spend.Op(), c.Offer.Digest
	err = t.change(ctx, "payment", func(tx *sql.Tx) error {
		if err := stillOffered(ctx, tx, offer, op); err != nil {
			return err
		}
		done, err := tx.ExecContext(ctx, `INSERT INTO payments (op, offer, spend, request, state, created) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (op) DO UPDATE SET spend = excluded.spend, request = excluded.request, state = excluded.state, created = excluded.created
			WHERE state IN (?, ?)`, op[:], offer[:], spend, request, StateSubmitted, t.now().UnixMicro(), StateChecked, StateHeld)
		if err != nil {
			return err
		}
		if err := knowCoins(ctx, tx, c.Spend, op[:]); err != nil {
			return err
		}
		if c.Bound > 0 {
			if err := t.stepIf(ctx, tx, done, StepBinding, offer[:], op[:], "", ""); err != nil {
				return err
			}
		}
		fault.Point("till.record")
		return t.stepIf(ctx, tx, done, StepDepositing, offer[:], op[:], "", "")
	})
	if err != nil {
		return nil, err
	}
	fault.Point("till.recorded")
	return t.payment(ctx, op)
}

// stillOffered refuses a payment of an offer that is paid with other coins, or that
// the merchant has taken back, or was told of that it is over.
func stillOffered(ctx context.Context, tx *sql.Tx, offer, op [32]byte) error {
	var others int
	var closed string
	err := tx.QueryRowContext(ctx, `SELECT closed, (SELECT count(*) FROM payments WHERE offer = digest AND op <> ? AND state IN (?, ?, ?))
		FROM offers WHERE digest = ?`, op[:], StateSubmitted, StateKept, StateDeposited, offer[:]).Scan(&closed, &others)
	switch {
	case err != nil:
		return err
	case others > 0:
		return refuse(codeConflict, errors.New("this offer is paid, or being paid, with other coins"))
	case closed == StepCancelled:
		return refusal(fmt.Errorf("%w: the merchant has taken it back", coin.ErrOfferExpired))
	case closed == StepExpired:
		return refusal(coin.ErrOfferExpired)
	}
	return nil
}

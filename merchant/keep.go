package merchant

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/fault"
	"github.com/speciecash/specie/groupdoc"
)

const (
	// KeptPaperAge is how old the bank's keyset and the group's document may be for a
	// payment to be kept: what was revoked since, the till does not know.
	KeptPaperAge = 24 * time.Hour
	// KeptFor is how long the bank may be away for a payment that is kept: so long its
	// keys serve, and the epoch of its bound coins lasts.
	KeptFor = 12 * time.Hour
	// patience is how long a payer waits for a bank that does not answer, at a till
	// that may keep his payment.
	patience = 8 * time.Second
	// knownAway is how long he waits where the bank gave the last request no answer: it
	// is asked all the same, for it may be back.
	knownAway = time.Second
)

// notKept is why a payment is not kept; its text is for the merchant.
type notKept string

func (n notKept) Error() string { return string(n) }

// keep accepts a payment that the bank could not be asked about, if the merchant's
// limits allow that: the payer gets the merchant's receipt, and the deposit follows.
// All else was checked when it was recorded. Where it is not kept, cause is the
// error, and the merchant sees why.
func (t *Till) keep(ctx context.Context, p *payment, cause error) (*client.TillAnswer, error) {
	if p.state == StateKept {
		return p.known()
	}
	answer, err := t.tryKeep(ctx, p)
	var why notKept
	if errors.As(err, &why) {
		err = t.attempted(ctx, StepRefused, [32]byte(p.offer), [32]byte(p.op), codeUnavailable, ErrUnreachable.Error()+", and "+string(why))
		return nil, errors.Join(cause, err)
	}
	if err != nil {
		return nil, errors.Join(cause, err)
	}
	return answer, nil
}

func (t *Till) tryKeep(ctx context.Context, p *payment) (*client.TillAnswer, error) {
	spend, auth, err := coin.DecodeSpend(p.spend)
	if err != nil {
		return nil, fmt.Errorf("till: %v", err)
	}
	if err := t.mayKeep(ctx, spend); err != nil {
		return nil, err
	}
	// It may have been recorded days ago, by papers of then.
	if _, err := t.check(ctx, spend, auth); err != nil {
		return nil, notKept("it would not be accepted any more: " + err.Error())
	}
	if err := t.lasts(ctx, spend); err != nil {
		return nil, err
	}
	receipt, err := t.sign(spend)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(&client.TillAnswer{Receipt: receipt, Kept: true})
	if err != nil {
		return nil, fmt.Errorf("till: answer: %w", err)
	}
	fault.Point("till.keep")
	err = t.change(ctx, "payment", func(tx *sql.Tx) error {
		if err := t.room(ctx, tx, spend, p.op); err != nil {
			return err
		}
		done, err := tx.ExecContext(ctx, "UPDATE payments SET state = ?, answer = ?, kept_at = ? WHERE op = ? AND state = ?",
			StateKept, raw, t.now().UnixMicro(), p.op, StateSubmitted)
		if err != nil {
			return err
		}
		return t.stepIf(ctx, tx, done, StepKept, p.offer, p.op, "", "")
	})
	if err != nil {
		return nil, err
	}
	fault.Point("till.kept")
	now, err := t.payment(ctx, [32]byte(p.op))
	if err != nil {
		return nil, err
	}
	return now.known() // another request may have been first
}

// mayKeep says whether the limits allow this sort of payment, and whether the papers
// that it was checked by are young enough.
func (t *Till) mayKeep(ctx context.Context, spend *coin.Spend) error {
	var l Limits
	if _, err := getMeta(ctx, t.db, metaOffline, &l); err != nil {
		return err
	}
	offer, err := t.offer(ctx, spend.OfferDigest)
	if err != nil {
		return err
	}
	papers := []string{metaKeyset}
	if spend.Group != ([32]byte{}) {
		doc, err := t.groupOf(ctx, spend)
		if err != nil {
			return err
		}
		url, err := t.groupAddress(ctx, doc.GroupID())
		if err != nil {
			return err
		}
		papers = append(papers, metaGroup+url)
	}
	switch bound := len(spend.BoundClaims()); {
	case !l.On():
		return notKept("this till keeps nothing then")
	case bound < len(spend.Coins) && !l.Bearer:
		return notKept("this till keeps only bound coins then")
	case offer.Offer.Mode != coin.Offline:
		return notKept("the offer was made before the limits were set")
	case offer.Offer.CheckOpen(t.now()) != nil:
		return notKept("the offer has expired")
	case offer.Offer.CheckOpen(time.Unix(spend.IssuedAt, 0)) != nil:
		return notKept("the payer's clock says that the offer has expired")
	}
	for _, key := range papers {
		var seen paper
		if _, err := getMeta(ctx, t.db, key, &seen); err != nil {
			return err
		}
		if age := t.now().Sub(seen.At); age < 0 || age > KeptPaperAge {
			return notKept("the till's lists of keys are older than " + strings.TrimSuffix(KeptPaperAge.String(), "0m0s"))
		}
	}
	return nil
}

// lasts says whether a payment that is good now is good for a while: the bank looks at
// its keys when it is deposited, and takes a presentation in its own epoch only.
func (t *Till) lasts(ctx context.Context, spend *coin.Spend) error {
	now := t.now()
	k, err := t.Keyset(ctx)
	if err != nil {
		return err
	}
	if coin.VerifyShown(spend, k, now.Add(KeptFor)) != nil {
		return notKept("the bank's keys that it is made with end soon")
	}
	if spend.Group == ([32]byte{}) {
		return nil
	}
	doc, err := t.groupOf(ctx, spend)
	if err != nil {
		return err
	}
	first, err1 := doc.EpochAt(now.Add(-groupdoc.EpochSkew)) // that of before may be its
	last, err2 := doc.EpochAt(now.Add(KeptFor))
	if err1 != nil || err2 != nil || first.Number != last.Number {
		return notKept("the group's epoch ends soon, or has just begun")
	}
	return nil
}

// groupAddress is the address of the manager whose document a group's is.
func (t *Till) groupAddress(ctx context.Context, id [32]byte) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for url, p := range t.groups {
		if p.doc.GroupID() == id {
			return url, nil
		}
	}
	return "", fmt.Errorf("%w: the group is not one that this till takes", coin.ErrBinding)
}

// room says, in the transaction that keeps the payment, whether the limits have room
// for it, and whether its coins are new to this till.
func (t *Till) room(ctx context.Context, tx *sql.Tx, spend *coin.Spend, op []byte) error {
	o, err := t.offline(ctx, tx)
	if err != nil {
		return err
	}
	total, err := o.KeptAmount.Add(spend.Amount)
	switch {
	case spend.Amount > o.Sale:
		return notKept("this is more than the limit of one sale")
	case err != nil || total > o.Total:
		return notKept("with this, more would be kept than the limit")
	}
	for _, id := range spend.CoinIDs() {
		var other bool
		err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM payment_coins c JOIN payments p ON p.op = c.op
			WHERE c.coin = ? AND c.op <> ? AND p.state IN (?, ?, ?))`, id[:], op, StateSubmitted, StateKept, StateDeposited).Scan(&other)
		if err != nil {
			return err
		}
		if other {
			return notKept("a coin of this payment was paid to this till before")
		}
	}
	return nil
}

// knowCoins records which coins a payment is made with.
func knowCoins(ctx context.Context, tx *sql.Tx, spend *coin.Spend, op []byte) error {
	for _, id := range spend.CoinIDs() {
		_, err := tx.ExecContext(ctx, "INSERT INTO payment_coins (coin, op) VALUES (?, ?) ON CONFLICT DO NOTHING", id[:], op)
		if err != nil {
			return err
		}
	}
	return nil
}

// learnCoins is knowCoins for payments of before the till recorded coins.
func (t *Till) learnCoins(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, `SELECT op, spend FROM payments p WHERE state IN (?, ?, ?)
		AND NOT EXISTS (SELECT 1 FROM payment_coins c WHERE c.op = p.op)`, StateSubmitted, StateKept, StateDeposited)
	if err != nil {
		return err
	}
	defer rows.Close()
	old := map[string]*coin.Spend{}
	for rows.Next() {
		var op, raw []byte
		if err := rows.Scan(&op, &raw); err != nil {
			return err
		}
		spend, _, err := coin.DecodeSpend(raw)
		if err != nil {
			return fmt.Errorf("payment %x…: %v", op[:4], err)
		}
		old[string(op)] = spend
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for op, spend := range old {
		if err := knowCoins(ctx, tx, spend, []byte(op)); err != nil {
			return err
		}
	}
	return nil
}

// Unsettled counts the deposits and refunds whose outcome is unknown, and what is
// kept.
func (t *Till) Unsettled(ctx context.Context) (n int, err error) {
	err = t.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM payments WHERE state IN (?, ?)) + (SELECT count(*) FROM refunds WHERE state = ?)`,
		StateSubmitted, StateKept, RefundSubmitted).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("till: open payments: %w", err)
	}
	return n, nil
}

// Deposit is what came of a payment that was kept.
type Deposit struct {
	// Sale is the offer's digest.
	Sale   api.Bytes   `json:"sale"`
	Op     api.Bytes   `json:"op"`
	Order  string      `json:"order"`
	Amount coin.Amount `json:"amount"`
	// State is deposited, refused, or kept where the bank did not settle it.
	State string `json:"state"`
	// Code and Reason say why it was refused, or is still kept.
	Code   string `json:"code,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// DepositKept deposits all that was kept, oldest first, and says what came of each.
// What the bank refuses is lost to the merchant, unless he finds the payer; the papers
// of it stay in the till (see Evidence). Where the bank can't be reached it stops, and
// the rest stays kept.
func (t *Till) DepositKept(ctx context.Context) ([]Deposit, error) {
	ops, err := t.inState(ctx, StateKept)
	if err != nil {
		return nil, err
	}
	out := []Deposit{}
	var away error
	for _, op := range ops {
		p, err := t.payment(ctx, op)
		if err != nil {
			return out, err
		}
		open := away
		if away == nil {
			if _, open = t.deposit(ctx, p); errors.Is(open, ErrUnreachable) {
				open = ErrUnreachable // where the bank is, is nobody's business
				away = open
			}
		}
		s, err := t.Sale(ctx, [32]byte(p.offer))
		if err != nil {
			return out, err
		}
		d := Deposit{Sale: s.ID, Op: s.Op, Order: s.Order, Amount: s.Amount, State: s.State, Code: s.Code, Reason: s.Reason}
		if open != nil && d.State == StateKept {
			d.Code, d.Reason = codeUnavailable, open.Error()
		}
		out = append(out, d)
	}
	return out, nil
}

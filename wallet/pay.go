package wallet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
)

// payment is the body of a "pay" operation: everything that finishing it
// after a crash needs, byte for byte as it was sent.
type payment struct {
	Link        string   `json:"link"`
	Spend       []byte   `json:"spend"`
	Coins       [][]byte `json:"coins"`
	Change      []item   `json:"change"`
	Holding     *holding `json:"holding,omitempty"` // of the change
	Receipt     string   `json:"receipt,omitempty"`
	BankReceipt string   `json:"bank_receipt,omitempty"`
}

// Payment is a payment as the holder sees it.
type Payment struct {
	// ID names the operation in the purse.
	ID ID
	// Offer is what is paid, verified.
	Offer *coin.SignedOffer
	// Coins is what is spent, Change what comes back.
	Coins  []StoredCoin
	Change coin.Amount
	// Spend is the exact body that the till gets.
	Spend []byte
	// Receipt is the merchant's, BankReceipt the bank's, once paid. A payment
	// that was settled with the bank alone has no receipt of the merchant's.
	Receipt, BankReceipt string
	// Kept says that the merchant has accepted it and deposits it later: the bank's
	// receipt and the change are to come.
	Kept bool

	// link, keyset and chosen are a plan's, until it is committed.
	link   string
	keyset *coin.Keyset
	chosen *choice
}

// Begun says that the coins are committed already.
func (p *Payment) Begun() bool { return p.ID != nil }

// Inspect verifies a payment link without paying it: the merchant's
// signature, the bank, the currency and the time.
func (w *Wallet) Inspect(ctx context.Context, link string) (*coin.SignedOffer, error) {
	l, err := coin.ParseLink(link)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	offer, err := l.Verify(w.now())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	k, err := w.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	if offer.Offer.Acquirer != k.Bank {
		return nil, fmt.Errorf("%w: %w: the merchant is with bank %s, the coins are of %s", ErrOffer, coin.ErrBank, offer.Offer.Acquirer, k.Bank)
	}
	if offer.Offer.Currency != k.Currency {
		return nil, fmt.Errorf("%w: %w: it is in %s, the coins are in %s", ErrOffer, coin.ErrCurrency, offer.Offer.Currency, k.Currency)
	}
	return offer, nil
}

// PreparePayment is PlanPayment and Commit.
func (w *Wallet) PreparePayment(ctx context.Context, link string, kinds ...coin.Kind) (*Payment, error) {
	p, err := w.PlanPayment(ctx, link, kinds...)
	if err != nil {
		return nil, err
	}
	return p, w.Commit(ctx, p)
}

// PlanPayment verifies an offer and chooses coins for it, for a person to look at.
// Nothing is committed, written or sent. kinds restricts the coins to use; none
// means whatever the merchant takes.
//
// One purse pays an offer once: while a payment of it is open, that one is
// returned, whatever kinds says, and it is [Payment.Begun]; once it is made, the
// error is [ErrPaid].
func (w *Wallet) PlanPayment(ctx context.Context, link string, kinds ...coin.Kind) (*Payment, error) {
	if p, err := w.payingAlready(ctx, link); p != nil || err != nil {
		return p, err
	}
	offer, err := w.Inspect(ctx, link)
	if err != nil {
		return nil, err
	}
	k, err := w.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	chosen, err := w.choose(ctx, k, &offer.Offer, kinds)
	if err != nil {
		return nil, fmt.Errorf("pay: %w", err)
	}
	return &Payment{Offer: offer, Coins: chosen.coins, Change: chosen.change, link: link, keyset: k, chosen: chosen}, nil
}

// Commit makes a planned payment: it authorises the spend and persists it byte for
// byte. The coins are committed to this offer from here on. Nothing has been sent
// yet. One that is begun already stays as it is.
func (w *Wallet) Commit(ctx context.Context, p *Payment) error {
	if p.Begun() {
		return nil
	}
	if err := p.Offer.Offer.CheckOpen(w.now()); err != nil { // somebody thought about it for long
		return fmt.Errorf("%w: %w", ErrOffer, err)
	}
	body := payment{Link: p.link}
	var err error
	if body.Change, body.Holding, err = w.newItems(ctx, p.keyset, p.chosen.changeKeys, nil); err != nil {
		return fmt.Errorf("pay: %w", err)
	}
	spend, encoded, err := w.buildSpend(ctx, p.keyset, coin.Spend{
		Purpose: coin.Pay, OfferDigest: p.Offer.Digest, Amount: p.Offer.Offer.Amount,
	}, p.chosen.coins, body.Change, origin{})
	if err != nil {
		return fmt.Errorf("pay: %w", err)
	}
	if err := p.Offer.Offer.CheckSpend(spend); err != nil {
		return fmt.Errorf("pay: %w", err)
	}
	body.Spend, body.Coins = encoded, idsOf(spend)
	op := Operation{
		ID: newID(), Kind: KindPay, State: OpPrepared, Amount: -int64(p.Offer.Offer.Amount), Created: w.now(),
		Note: p.Offer.Private.Name, offer: p.Offer.Digest[:],
	}
	err = w.purse.update(ctx, func(tx *sql.Tx) error {
		if err := commitCoins(ctx, tx, body.Coins, op.ID); err != nil {
			return err
		}
		return insertOp(ctx, tx, op, body)
	})
	if err != nil {
		return err
	}
	p.ID, p.Spend = op.ID, encoded
	return nil
}

// payingAlready finds a payment of the same offer: a person who repeats a
// command after a failure must not pay with other coins as well.
func (w *Wallet) payingAlready(ctx context.Context, link string) (*Payment, error) {
	offer, err := paidOffer(link)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	ops, err := queryOps(ctx, w.purse.db, "WHERE kind = ? AND offer = ? AND state <> ?", KindPay, offer.Digest[:], OpRefused)
	if err != nil || len(ops) == 0 {
		return nil, err
	}
	if !ops[0].isOpen() {
		return nil, fmt.Errorf("pay: %w: operation %s", ErrPaid, ops[0].ID)
	}
	var body payment
	if err := decodeBody(ops[0], &body); err != nil {
		return nil, err
	}
	coins, err := coinsOf(ctx, w.purse.db, body.Coins)
	if err != nil {
		return nil, err
	}
	total, err := sum(coins)
	if err != nil {
		return nil, err
	}
	return &Payment{
		ID: ops[0].ID, Offer: offer, Coins: coins, Change: total - offer.Offer.Amount, Spend: body.Spend,
	}, nil
}

// paidOffer reads the offer of a payment, open or not any more: what was
// promised is still owed.
func paidOffer(link string) (*coin.SignedOffer, error) {
	l, err := coin.ParseLink(link)
	if err != nil {
		return nil, err
	}
	return l.Verify(time.Time{}) // before any expiry
}

// Submit sends a prepared payment to the till and stores receipts and change.
// Repeating it is safe. Where the merchant could not reach his bank and accepts it all
// the same, p.Kept is set: there is his receipt, and [Wallet.Resume] fetches the
// bank's and the change once he has deposited. [ErrOpen] and [ErrPromised] leave the payment open:
// [Wallet.Resume] settles it, or [Wallet.Reclaim] takes the coins back.
func (w *Wallet) Submit(ctx context.Context, p *Payment) error {
	op, body, err := w.openPayment(ctx, p.ID)
	if err != nil {
		return err
	}
	l, err := coin.ParseLink(body.Link)
	if err != nil {
		return err
	}
	if err := w.purse.update(ctx, func(tx *sql.Tx) error { return moveOp(ctx, tx, op.ID, OpSubmitted, op.Note, nil) }); err != nil {
		return err
	}
	answer, err := client.Pay(ctx, w.http, l.To, body.Spend)
	if err != nil {
		return w.payRefused(ctx, op, body, err)
	}
	if p.Kept = answer.Kept; p.Kept {
		err = w.takeKept(ctx, op, &body, answer)
	} else {
		err = w.accept(ctx, op, &body, answer)
	}
	if err != nil {
		return fmt.Errorf("pay: %w", open(err))
	}
	p.Receipt, p.BankReceipt = body.Receipt, body.BankReceipt
	return nil
}

// Pay is PreparePayment and Submit.
func (w *Wallet) Pay(ctx context.Context, link string, kinds ...coin.Kind) (*Payment, error) {
	p, err := w.PreparePayment(ctx, link, kinds...)
	if err != nil {
		return nil, err
	}
	return p, w.Submit(ctx, p)
}

// accept takes the till's answer to a payment, verifies both receipts and
// every change coin, and closes the operation.
func (w *Wallet) accept(ctx context.Context, op Operation, body *payment, answer *client.TillAnswer) error {
	spend, _, err := coin.DecodeSpend(body.Spend)
	if err != nil {
		return err
	}
	offer, err := paidOffer(body.Link)
	if err != nil {
		return err
	}
	if err := body.checkReceipt(answer.Receipt); err != nil {
		return err
	}
	bank, err := w.depositReceipt(ctx, answer.BankReceipt, spend, &offer.Offer)
	if err == nil {
		err = bank.Covers(spend, offer.Offer.Payee)
	}
	if err != nil {
		return fmt.Errorf("bank's receipt: %w: %w", ErrAnswer, err)
	}
	body.Receipt, body.BankReceipt = answer.Receipt, answer.BankReceipt
	return w.closePayment(ctx, op, body, plain(answer.Change))
}

// depositReceipt verifies a bank's receipt for a payment of this purse. A
// payment may be settled long after it was made, when the certificate that
// the receipt was signed under has run out: then it counts if it was valid
// when the payment was made. A key that the bank has revoked counts at no time;
// the bank signs such a receipt again for who asks.
func (w *Wallet) depositReceipt(ctx context.Context, jws string, spend *coin.Spend, offer *coin.Offer) (*coin.DepositReceipt, error) {
	k, err := w.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	var first error
	for _, at := range []time.Time{w.now(), time.Unix(spend.IssuedAt, 0), offer.Expires} {
		r, err := k.VerifyDepositReceipt(w.root, []byte(jws), at)
		if err == nil {
			return r, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// closePayment unblinds the change and marks the coins spent, together.
func (w *Wallet) closePayment(ctx context.Context, op Operation, body *payment, sigs [][]byte) error {
	k, err := w.Keyset(ctx)
	if err != nil {
		return err
	}
	change, err := w.finalize(ctx, k, body.Change, sigs, nil)
	if err != nil {
		return fmt.Errorf("change: %w", err)
	}
	return w.purse.update(ctx, func(tx *sql.Tx) error {
		if err := spendCoins(ctx, tx, body.Coins, op.ID); err != nil {
			return err
		}
		if err := w.storeCoins(ctx, tx, k, body.Change, change); err != nil {
			return err
		}
		return moveOp(ctx, tx, op.ID, OpDone, op.Note, body)
	})
}

// payRefused decides what a refusal means for the coins. Only a proof moves
// them: see earlier.
func (w *Wallet) payRefused(ctx context.Context, op Operation, body payment, err error) error {
	var p *client.Problem
	if !errors.As(err, &p) || !p.Final() {
		return fmt.Errorf("pay: %w", open(err))
	}
	w.learnRevocation(ctx, err)
	spend, _, serr := coin.DecodeSpend(body.Spend)
	if serr != nil {
		return serr
	}
	gone, perr := w.earlier(ctx, p, spend)
	if perr != nil {
		if p.Code == codeOutputUsed {
			// The change can't be had; the counters move on, and once the coins are
			// taken back, the offer can be paid anew.
			if k, kerr := w.Keyset(ctx); kerr == nil {
				err = errors.Join(err, w.reused(ctx, k, body.Change))
			}
		}
		return fmt.Errorf("pay: %w: %w (%w)", ErrPromised, err, perr)
	}
	uerr := w.purse.update(ctx, func(tx *sql.Tx) error { return closeDead(ctx, tx, op.ID, body.Coins, gone, p.Error()) })
	return errors.Join(fmt.Errorf("pay: %w: %w", ErrSpent, err), uerr)
}

// openPayment loads a payment that is still to be settled and whose coins are
// not being taken back.
func (w *Wallet) openPayment(ctx context.Context, id ID) (Operation, payment, error) {
	op, body, err := readOp[payment](ctx, w.purse.db, KindPay, id)
	if err != nil {
		return op, body, err
	}
	switch op.State {
	case OpDone:
		return op, body, fmt.Errorf("payment %s: %w", id, ErrPaid)
	case OpRefused:
		return op, body, fmt.Errorf("payment %s: %w: it is closed: %s", id, ErrNoOperation, op.Note)
	}
	back, err := w.takingBack(ctx, id)
	if err == nil && back != nil {
		err = fmt.Errorf("payment %s: %w: its coins are being taken back", id, ErrCoinState)
	}
	return op, body, err
}

// resumePayment asks the bank first: it knows whether the merchant deposited,
// and it has the change if he is gone. If not, the till gets the same bytes
// again.
func (w *Wallet) resumePayment(ctx context.Context, op Operation) error {
	_, body, err := w.openPayment(ctx, op.ID)
	if err != nil {
		return err
	}
	settled, err := w.settle(ctx, op, &body)
	if err != nil || settled {
		return err
	}
	p := Payment{ID: op.ID}
	if err := w.Submit(ctx, &p); err != nil {
		return err
	}
	if p.Kept {
		return ErrKept
	}
	return nil
}

// settle closes a payment that the bank has carried out, and says whether it
// has.
func (w *Wallet) settle(ctx context.Context, op Operation, body *payment) (bool, error) {
	spend, _, err := coin.DecodeSpend(body.Spend)
	if err != nil {
		return false, err
	}
	done, err := w.bank.op(ctx, spend.Op())
	if err != nil {
		return false, open(err)
	}
	if done == nil {
		return false, nil
	}
	if done.kind != kindDeposit {
		err := w.exchangedElsewhere(ctx, spend.Op(), done, body.Coins, op.ID)
		return true, fmt.Errorf("pay: %w", err)
	}
	offer, err := paidOffer(body.Link)
	if err != nil {
		return false, err
	}
	receipt, err := w.depositReceipt(ctx, done.receipt, spend, &offer.Offer)
	if err != nil {
		return false, open(fmt.Errorf("bank's receipt: %w: %w", ErrAnswer, err))
	}
	if receipt.Covers(spend, offer.Offer.Payee) != nil && receipt.Op == spend.Op() {
		// The bank has signed that it took these very coins for this very offer,
		// in another spend than ours: another copy of this purse paid.
		err := w.purse.update(ctx, func(tx *sql.Tx) error {
			if err := spendCoins(ctx, tx, body.Coins, op.ID); err != nil {
				return err
			}
			return moveOp(ctx, tx, op.ID, OpRefused, ErrSpent.Error(), nil)
		})
		return true, errors.Join(fmt.Errorf("pay: %w", ErrSpent), err)
	}
	if err := receipt.Covers(spend, offer.Offer.Payee); err != nil {
		return false, open(fmt.Errorf("bank's receipt: %w: %w", ErrAnswer, err))
	}
	if coin.OutputsDigest(done.outputs) != coin.OutputsDigest(spend.ToIssuer) {
		return false, open(fmt.Errorf("%w: the bank signed other change than was asked for", ErrAnswer))
	}
	body.BankReceipt = done.receipt
	if err := w.closePayment(ctx, op, body, done.signatures); err != nil {
		return false, open(err)
	}
	return true, nil
}

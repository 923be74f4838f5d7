package wallet

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
)

// receiving is the body of a "receive" operation: an exchange of coins that are
// not in the purse.
type receiving struct {
	exchange
	Envelope string `json:"envelope"`
}

// Received is money that came from somebody.
type Received struct {
	// ID names the operation in the purse.
	ID     ID          `json:"id"`
	Amount coin.Amount `json:"amount"`
	// Coins are new ones of this purse's own.
	Coins []StoredCoin `json:"coins"`
	// Gone is what coins were worth that were spent before, where the rest was asked
	// for.
	Gone coin.Amount `json:"gone,omitempty"`
}

// TakenError says that some or all coins of an envelope are spent already. It
// matches [ErrTaken], and [ErrPartTaken] if only some are.
type TakenError struct {
	Coins, Spent int         // in the envelope, and of those spent
	Left         coin.Amount // what the others are worth
	exponent     int
	currency     string
	rest         []int // which are left
}

// Error says how much is left.
func (e *TakenError) Error() string {
	if e.Spent == e.Coins {
		return ErrTaken.Error()
	}
	return fmt.Sprintf("%v: %d of %d; the others are worth %s %s", ErrPartTaken, e.Spent, e.Coins, e.Left.Format(e.exponent), e.currency)
}

// Unwrap makes errors.Is(err, ErrTaken) true, and where some are left,
// errors.Is(err, ErrPartTaken).
func (e *TakenError) Unwrap() []error {
	if e.Spent == e.Coins {
		return []error{ErrTaken}
	}
	return []error{ErrTaken, ErrPartTaken}
}

// OpenEnvelope verifies an envelope without taking what is in it: that it is of
// this purse's bank, that the bank signed every coin, and that they can be spent
// now. Whether they are spent already, the bank alone knows.
func (w *Wallet) OpenEnvelope(ctx context.Context, text string) (*coin.Envelope, error) {
	e, err := coin.ParseEnvelope(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	k, err := w.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	return e, w.checkEnvelope(k, e)
}

func (w *Wallet) checkEnvelope(k *coin.Keyset, e *coin.Envelope) error {
	if e.Bank != k.Bank || e.Root != w.root.Fingerprint() {
		return fmt.Errorf("%w: %w: they are of %s, this purse is with %s", ErrEnvelope, coin.ErrBank, e.Bank, k.Bank)
	}
	if e.Currency != k.Currency {
		return fmt.Errorf("%w: %w: they are in %s, this purse is in %s", ErrEnvelope, coin.ErrCurrency, e.Currency, k.Currency)
	}
	var total coin.Amount
	for i := range e.Coins {
		d, err := k.VerifyCoin(&e.Coins[i].Coin)
		if err == nil {
			err = d.CheckSpend(w.now())
		}
		if err == nil {
			total, err = total.Add(d.Value)
		}
		if err != nil {
			return fmt.Errorf("%w: coin %d of %d: %w", ErrEnvelope, i+1, len(e.Coins), err)
		}
	}
	if total != e.Amount {
		return fmt.Errorf("%w: %w: it says %s, the coins are worth %s", ErrEnvelope, coin.ErrAmount, e.Amount.Format(k.Exponent), total.Format(k.Exponent))
	}
	return nil
}

// Receive takes the coins of an envelope: it verifies them, persists what it sends,
// and exchanges them at once for coins of this purse's own, all or none, so that
// the sender can't spend them any more. If they are spent already, the error is a
// *[TakenError]; with rest, those that are left are taken then.
//
// Repeating it is safe: what is open is taken up, what is done is [ErrReceived].
func (w *Wallet) Receive(ctx context.Context, text string, rest bool) (*Received, error) {
	e, err := coin.ParseEnvelope(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	r, err := w.receivedBefore(ctx, e)
	if r == nil && err == nil {
		r, err = w.receive(ctx, e, false)
	}
	var taken *TakenError
	if !rest || !errors.As(err, &taken) || len(taken.rest) == 0 {
		return r, err
	}
	left := *e
	left.Amount, left.Coins = taken.Left, nil
	for _, i := range taken.rest {
		left.Coins = append(left.Coins, e.Coins[i])
	}
	if r, err = w.receive(ctx, &left, false); err != nil {
		return nil, err
	}
	r.Gone = e.Amount - left.Amount
	return r, nil
}

// receivedBefore looks for the envelope in the purse: one that this purse sent
// itself, and one that was received or begun to be.
func (w *Wallet) receivedBefore(ctx context.Context, e *coin.Envelope) (*Received, error) {
	id := e.Coins[0].Coin.ID()
	own, err := w.purse.coins(ctx, "WHERE id = ?", id[:])
	if err != nil {
		return nil, err
	}
	if len(own) > 0 && own[0].State != CoinSpent {
		return nil, fmt.Errorf("%w: %w", ErrEnvelope, ErrOwnEnvelope)
	}
	digest := envelopeDigest(e)
	ops, err := queryOps(ctx, w.purse.db, "WHERE kind = ? AND offer = ? AND state <> ?", KindReceive, digest[:], OpRefused)
	if err != nil || len(ops) == 0 {
		return nil, err
	}
	if !ops[0].isOpen() {
		return nil, fmt.Errorf("receive: %w: by this purse, operation %s", ErrReceived, ops[0].ID)
	}
	k, err := w.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	return w.sendReceive(ctx, k, ops[0], w.watch)
}

// envelopeDigest names a set of coins in the purse's index of operations.
func envelopeDigest(e *coin.Envelope) [32]byte {
	h := sha256.New()
	h.Write([]byte("specie/envelope/1"))
	for i := range e.Coins {
		id := e.Coins[i].Coin.ID()
		h.Write(id[:])
	}
	return [32]byte(h.Sum(nil))
}

// receive verifies the coins, and records and sends the exchange.
func (w *Wallet) receive(ctx context.Context, e *coin.Envelope, repeated bool) (*Received, error) {
	// The bank is called anyway: a key that it has revoked is known beforehand.
	k, err := w.newestKeyset(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.checkEnvelope(k, e); err != nil {
		return nil, err
	}
	digest := envelopeDigest(e)
	op := Operation{ID: newID(), Kind: KindReceive, State: OpSubmitted, Amount: int64(e.Amount), Created: w.now(), offer: digest[:]}
	w.watch.report(0, len(e.Coins))
	body, err := w.newReceiving(ctx, k, e)
	if err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	if op.body, err = json.Marshal(body); err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	if err := w.purse.update(ctx, func(tx *sql.Tx) error { return insertOp(ctx, tx, op, body) }); err != nil {
		return nil, err
	}
	r, err := w.sendReceive(ctx, k, op, w.watch)
	if !isCode(err, codeOutputUsed) || errors.Is(err, ErrOpen) {
		return r, err
	}
	// Another copy of this purse has used the numbers of what was to come: once
	// more, with numbers behind those.
	found := w.reused(ctx, k, body.Items)
	if !errors.As(found, new(*ReusedError)) || repeated {
		return nil, errors.Join(err, found)
	}
	return w.receive(ctx, e, true)
}

// newReceiving makes the request, byte for byte: the owners that came in the
// envelope consent to coins of this purse's seed.
func (w *Wallet) newReceiving(ctx context.Context, k *coin.Keyset, e *coin.Envelope) (*receiving, error) {
	text, err := e.Text()
	if err != nil {
		return nil, err
	}
	ds, err := coin.Breakdown(e.Amount, k.ForIssue(coin.Bearer, w.now()))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAmount, err)
	}
	body := &receiving{Envelope: text}
	if body.Items, _, err = w.newItems(ctx, k, ds, nil); err != nil {
		return nil, err
	}
	_, outs, err := w.planchets(k, body.Items)
	if err != nil {
		return nil, err
	}
	head := coin.Spend{
		Purpose: coin.Exchange, Bank: k.Bank, Currency: k.Currency, ToIssuer: outs,
		IssuedAt: w.now().Truncate(time.Minute).Unix(), // see buildSpend
	}
	owners := map[[32]byte]ed25519.PrivateKey{}
	for i := range e.Coins {
		c := e.Coins[i].Coin
		head.Coins = append(head.Coins, c)
		owners[c.ID()] = e.Coins[i].Owner
	}
	spend, err := coin.NewSpend(head)
	if err != nil {
		return nil, err
	}
	auth := &coin.Authorisation{}
	auth.Bearer, err = spend.SignBearer(func(c *coin.Coin) (ed25519.PrivateKey, error) { return owners[c.ID()], nil })
	if err == nil {
		err = coin.Verify(spend, auth, k, nil, w.now())
	}
	if err != nil {
		return nil, fmt.Errorf("own check: %w", err)
	}
	encoded, err := coin.EncodeSpend(spend, auth)
	if err != nil {
		return nil, err
	}
	body.Coins = idsOf(spend)
	body.Request, err = json.Marshal(exchangeRequest{Spend: encoded})
	return body, err
}

// sendReceive sends the recorded request, for the first time or again, and stores
// what comes back.
func (w *Wallet) sendReceive(ctx context.Context, k *coin.Keyset, op Operation, p Progress) (*Received, error) {
	var body receiving
	if err := decodeBody(op, &body); err != nil {
		return nil, err
	}
	p.report(0, len(body.Items))
	sigs, err := w.bank.exchange(ctx, body.Request)
	if err != nil {
		return nil, w.receiveRefused(ctx, k, op, body, err)
	}
	coins, err := w.finalize(ctx, k, body.Items, sigs, p)
	if err != nil {
		return w.signedForOthers(ctx, k, op, body, err)
	}
	err = w.purse.update(ctx, func(tx *sql.Tx) error {
		if err := w.storeCoins(ctx, tx, k, body.Items, coins); err != nil {
			return err
		}
		return moveOp(ctx, tx, op.ID, OpDone, "", nil)
	})
	if err != nil {
		return nil, open(err)
	}
	r := &Received{ID: op.ID, Amount: coin.Amount(op.Amount)}
	for _, c := range coins {
		id := c.ID()
		stored, err := w.purse.coins(ctx, "WHERE id = ?", id[:])
		if err != nil {
			return r, err
		}
		r.Coins = append(r.Coins, stored...)
	}
	return r, nil
}

// receiveRefused closes a refused exchange. Nothing of this purse's is at stake:
// the envelope is where it came from, and can be received again.
func (w *Wallet) receiveRefused(ctx context.Context, k *coin.Keyset, op Operation, body receiving, err error) error {
	var p *client.Problem
	if !errors.As(err, &p) || !p.Final() {
		return fmt.Errorf("receive: %w", open(err))
	}
	w.learnRevocation(ctx, err)
	if len(p.Conflict) == 0 {
		uerr := w.purse.update(ctx, func(tx *sql.Tx) error { return moveOp(ctx, tx, op.ID, OpRefused, p.Error(), nil) })
		return errors.Join(fmt.Errorf("receive: %w", err), uerr)
	}
	taken, terr := w.taken(ctx, k, body)
	if terr != nil {
		return fmt.Errorf("receive: %w", open(terr))
	}
	uerr := w.purse.update(ctx, func(tx *sql.Tx) error { return moveOp(ctx, tx, op.ID, OpRefused, taken.Error(), nil) })
	return errors.Join(fmt.Errorf("receive: %w", taken), uerr)
}

// taken asks the bank which coins of an envelope are spent.
func (w *Wallet) taken(ctx context.Context, k *coin.Keyset, body receiving) (*TakenError, error) {
	e, err := coin.ParseEnvelope(body.Envelope)
	if err != nil {
		return nil, err
	}
	refs := make([]coinRef, len(e.Coins))
	for i := range e.Coins {
		refs[i] = coinRef{e.Coins[i].Coin.KeyID, e.Coins[i].Coin.ID()}
	}
	states, err := w.bank.coinStates(ctx, refs)
	if err != nil {
		return nil, err
	}
	t := &TakenError{Coins: len(states), exponent: k.Exponent, currency: k.Currency}
	for i, s := range states {
		if s != bankUnspent {
			t.Spent++
			continue
		}
		d, err := k.Find(e.Coins[i].Coin.KeyID)
		if err != nil {
			return nil, err
		}
		if t.Left, err = t.Left.Add(d.Value); err != nil {
			return nil, err
		}
		t.rest = append(t.rest, i)
	}
	if t.Spent == 0 {
		return nil, fmt.Errorf("%w: the bank calls a coin spent, and none is", ErrAnswer)
	}
	return t, nil
}

// signedForOthers looks into signatures that don't fit: one set of coins is
// exchanged once, and who asks again gets what was signed the first time. That was
// for somebody else, or for an earlier request of this purse's that was given up for
// refused, which is taken up again then.
func (w *Wallet) signedForOthers(ctx context.Context, k *coin.Keyset, op Operation, body receiving, cause error) (*Received, error) {
	spend, err := body.spend()
	if err != nil {
		return nil, err
	}
	done, err := w.bank.op(ctx, spend.Op())
	if err != nil || done == nil || coin.OutputsDigest(done.outputs) == coin.OutputsDigest(spend.ToIssuer) {
		return nil, fmt.Errorf("receive: %w", errors.Join(open(cause), err))
	}
	signed := coin.OutputsDigest(done.outputs)
	err = w.purse.update(ctx, func(tx *sql.Tx) error {
		if err := moveOp(ctx, tx, op.ID, OpRefused, ErrTaken.Error(), nil); err != nil {
			return err
		}
		return reopen(ctx, tx, func(s *coin.Spend) bool {
			return s.Op() == spend.Op() && coin.OutputsDigest(s.ToIssuer) == signed
		})
	})
	if err != nil {
		return nil, err
	}
	again, err := queryOps(ctx, w.purse.db, "WHERE kind = ? AND offer = ? AND state = ?", KindReceive, op.offer, OpSubmitted)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(again, func(o Operation) bool { return !slices.Equal(o.ID, op.ID) }); i >= 0 {
		return w.sendReceive(ctx, k, again[i], nil)
	}
	return nil, fmt.Errorf("receive: %w", &TakenError{Coins: len(body.Coins), Spent: len(body.Coins)})
}

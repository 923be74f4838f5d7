package wallet

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/coin"
)

// sending is the body of a "send" operation.
type sending struct {
	Coins    [][]byte `json:"coins"`
	Envelope string   `json:"envelope"`
	// Gone is how many coins of the envelope somebody has received, and that are
	// not among Coins any more.
	Gone int `json:"gone,omitempty"`
}

// Sent is money on its way to a friend.
type Sent struct {
	// ID names the operation in the purse.
	ID     ID
	Amount coin.Amount
	Coins  []StoredCoin
	// Envelope is what the friend gets. Whoever sees it can have the money.
	Envelope *coin.Envelope
	// Until is when the first of the coins can't be received any more.
	Until time.Time
	// Exchanged is how many coins were exchanged at the bank beforehand, since no
	// set of those in the purse was worth exactly the amount.
	Exchanged int
}

// Send puts bearer coins worth exactly the amount into an envelope for somebody
// else. They are committed to it before it is returned, and stay in the purse until
// they are received or taken back ([Wallet.Reclaim]). Where no set of coins is worth
// exactly that, some are exchanged at the bank first.
//
// Bound coins can't be sent: they are their TPM's. Errors: [ErrFunds], and those of
// [Wallet.Exchange].
func (w *Wallet) Send(ctx context.Context, amount coin.Amount) (*Sent, error) {
	k, err := w.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	coins, err := w.exactly(ctx, k, amount)
	exchanged := 0
	if errors.Is(err, coin.ErrNoChange) {
		if exchanged, err = w.makeExact(ctx, amount); err != nil {
			return nil, fmt.Errorf("send: no coins are worth exactly that, and they could not be exchanged first: %w", err)
		}
		if k, err = w.Keyset(ctx); err != nil {
			return nil, err
		}
		coins, err = w.exactly(ctx, k, amount)
	}
	if err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	s := &Sent{ID: newID(), Amount: amount, Coins: coins, Exchanged: exchanged}
	if err := w.fill(k, s); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	body := sending{}
	if body.Envelope, err = s.Envelope.Text(); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	for _, c := range coins {
		body.Coins = append(body.Coins, c.ID)
	}
	op := Operation{ID: s.ID, Kind: KindSend, State: OpSubmitted, Amount: -int64(amount), Created: w.now()}
	err = w.purse.update(ctx, func(tx *sql.Tx) error {
		if err := commitCoins(ctx, tx, body.Coins, op.ID); err != nil {
			return err
		}
		return insertOp(ctx, tx, op, body)
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// sendable lists the bearer coins that can be given away, those that can be spent
// longest in front: a friend may take his time.
func (w *Wallet) sendable(ctx context.Context, k *coin.Keyset) ([]StoredCoin, error) {
	coins, err := w.purse.coins(ctx, "WHERE state = ? AND kind = ? ORDER BY value DESC, id", CoinFresh, string(coin.Bearer))
	if err != nil {
		return nil, err
	}
	coins = slices.DeleteFunc(coins, func(c StoredCoin) bool { return !w.allSpendable(k, []StoredCoin{c}) })
	slices.SortStableFunc(coins, func(a, b StoredCoin) int { return cmp.Compare(spendUntil(k, b), spendUntil(k, a)) })
	return coins, nil
}

func spendUntil(k *coin.Keyset, c StoredCoin) int64 {
	d, err := k.Find(c.KeyID)
	if err != nil {
		return 0
	}
	return d.SpendUntil.Unix()
}

// exactly picks the fewest coins that are worth the amount and no more. It is
// coin.ErrNoChange if there are enough coins, but no such set of them that fits
// into an envelope.
func (w *Wallet) exactly(ctx context.Context, k *coin.Keyset, amount coin.Amount) ([]StoredCoin, error) {
	set, err := w.sendable(ctx, k)
	if err != nil {
		return nil, err
	}
	picked, err := pickFrom(k, set, amount, nil)
	if err == nil && len(picked) > coin.MaxEnvelope {
		err = fmt.Errorf("%w: %d coins are too many for an envelope", coin.ErrNoChange, len(picked))
	}
	return picked, err
}

func pickFrom(k *coin.Keyset, set []StoredCoin, amount coin.Amount, change []coin.Denomination) ([]StoredCoin, error) {
	values := make([]coin.Amount, len(set))
	for i := range set {
		values[i] = set[i].Value
	}
	sel, err := coin.SelectCoins(values, amount, change)
	if errors.Is(err, coin.ErrInsufficient) {
		return nil, fmt.Errorf("%w: bearer coins alone can be sent: %w", ErrFunds, short(k, set, amount, err))
	}
	if err != nil {
		return nil, err
	}
	out := make([]StoredCoin, 0, len(sel.Spend))
	for _, i := range sel.Spend {
		out = append(out, set[i])
	}
	return out, nil
}

// makeExact exchanges coins so that some of the new ones are worth exactly the
// amount, and returns how many went. The bank sees an exchange, and not what for.
func (w *Wallet) makeExact(ctx context.Context, amount coin.Amount) (int, error) {
	k, err := w.newestKeyset(ctx)
	if err != nil {
		return 0, err
	}
	set, err := w.sendable(ctx, k)
	if err != nil {
		return 0, err
	}
	coins, err := pickFrom(k, set, amount, k.ForIssue(coin.Bearer, w.now()))
	if err != nil {
		return 0, err
	}
	return len(coins), w.exchange(ctx, k, coins, origin{part: amount})
}

// fill puts the coins into the envelope, each with the secret of its own owner.
func (w *Wallet) fill(k *coin.Keyset, s *Sent) error {
	s.Envelope = &coin.Envelope{Bank: k.Bank, Root: w.root.Fingerprint(), Currency: k.Currency, Amount: s.Amount}
	for _, sc := range s.Coins {
		c, err := coin.DecodeCoin(sc.raw)
		if err != nil {
			return fmt.Errorf("coin %s: %w", sc.ID, err)
		}
		owner, err := coin.OwnerKey(w.seed, k.Bank, c.KeyID, sc.Index)
		if err != nil {
			return err
		}
		s.Envelope.Coins = append(s.Envelope.Coins, coin.EnvelopeCoin{Coin: *c, Owner: owner})
	}
	s.Envelope.Sort()
	s.Until = firstEnd(k, s.Envelope)
	return nil
}

// firstEnd is when the first of an envelope's coins can't be spent any more.
func firstEnd(k *coin.Keyset, e *coin.Envelope) time.Time {
	var until time.Time
	for i := range e.Coins {
		if d, err := k.Find(e.Coins[i].Coin.KeyID); err == nil && (until.IsZero() || d.SpendUntil.Before(until)) {
			until = d.SpendUntil
		}
	}
	return until
}

// SentBefore returns an envelope that was sent and that nobody has received as far
// as the purse knows: to be handed over once more.
func (w *Wallet) SentBefore(ctx context.Context, id ID) (*Sent, error) {
	op, body, err := w.openSending(ctx, id)
	if err != nil {
		return nil, err
	}
	k, err := w.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	s := &Sent{ID: op.ID}
	if s.Coins, err = coinsOf(ctx, w.purse.db, body.Coins); err != nil {
		return nil, err
	}
	if s.Amount, err = sum(s.Coins); err != nil { // what is left of it
		return nil, err
	}
	return s, w.fill(k, s)
}

// openSending loads an envelope that is on its way and is not being taken back.
func (w *Wallet) openSending(ctx context.Context, id ID) (Operation, sending, error) {
	op, body, err := readOp[sending](ctx, w.purse.db, KindSend, id)
	if err != nil {
		return op, body, err
	}
	switch op.State {
	case OpDone:
		return op, body, fmt.Errorf("send %s: %w", id, ErrReceived)
	case OpRefused:
		return op, body, fmt.Errorf("send %s: %w: it was taken back", id, ErrNoOperation)
	}
	back, err := w.takingBack(ctx, id)
	if err == nil && back != nil {
		err = fmt.Errorf("send %s: %w: its coins are being taken back", id, ErrCoinState)
	}
	return op, body, err
}

// CheckSent asks the bank about every envelope that is on its way: what was
// received is closed. The bank can see that whoever asks knows these coins.
func (w *Wallet) CheckSent(ctx context.Context) error {
	ops, err := queryOps(ctx, w.purse.db, "WHERE kind = ? AND state = ? ORDER BY created, id", KindSend, OpSubmitted)
	if err != nil {
		return err
	}
	var errs []error
	for _, op := range ops {
		errs = append(errs, w.checkSent(ctx, op))
	}
	return errors.Join(errs...)
}

func (w *Wallet) checkSent(ctx context.Context, op Operation) error {
	var body sending
	if err := decodeBody(op, &body); err != nil {
		return err
	}
	if back, err := w.takingBack(ctx, op.ID); err != nil || back != nil {
		return err // which will find out
	}
	coins, err := coinsOf(ctx, w.purse.db, body.Coins)
	if err != nil {
		return err
	}
	refs := make([]coinRef, len(coins))
	for i, c := range coins {
		refs[i] = coinRef{c.KeyID, [32]byte(c.ID)}
	}
	states, err := w.bank.coinStates(ctx, refs)
	if err != nil {
		return err
	}
	spent := 0
	for _, s := range states {
		if s == bankSpent {
			spent++
		}
	}
	switch spent {
	case 0:
		return nil
	case len(coins):
		return w.purse.update(ctx, func(tx *sql.Tx) error { return received(ctx, tx, op.ID, body.Coins) })
	}
	note := fmt.Sprintf("%d of %d coins received", body.Gone+spent, body.Gone+len(coins))
	return w.purse.update(ctx, func(tx *sql.Tx) error { return moveOp(ctx, tx, op.ID, op.State, note, nil) })
}

// received closes an envelope whose coins are somebody's now.
func received(ctx context.Context, tx *sql.Tx, id ID, coins [][]byte) error {
	if err := spendCoins(ctx, tx, coins, id); err != nil {
		return err
	}
	return moveOp(ctx, tx, id, OpDone, "received", nil)
}

// reclaimSent takes back an envelope's coins: exactly those are exchanged, which
// the bank does once, for this purse or for who received them.
func (w *Wallet) reclaimSent(ctx context.Context, k *coin.Keyset, id ID) error {
	_, body, err := w.openSending(ctx, id)
	if err != nil {
		return err
	}
	coins, err := coinsOf(ctx, w.purse.db, body.Coins)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(coins, func(c StoredCoin) bool { return claimable(k, c) }) {
		return fmt.Errorf("reclaim: %w", ErrRecoup)
	}
	return w.exchange(ctx, k, coins, origin{payment: id})
}

// sentOf returns the envelope that an exchange takes back, or nil if it takes back
// something else or nothing.
func (w *Wallet) sentOf(ctx context.Context, body exchange) (*Operation, error) {
	if body.Reclaims == nil {
		return nil, nil
	}
	ops, err := queryOps(ctx, w.purse.db, "WHERE id = ? AND kind = ?", body.Reclaims, KindSend)
	if err != nil || len(ops) == 0 {
		return nil, err
	}
	return &ops[0], nil
}

// errRest: somebody received a part of an envelope that is being taken back, and
// the rest is in it still.
var errRest = errors.New("a part of it")

// friendFirst closes an exchange that came too late to take back an envelope. The
// coins in gone were received. The others are the envelope's again: whoever has it
// can still receive them, until another exchange takes them back (see reclaimRest).
func (w *Wallet) friendFirst(ctx context.Context, op Operation, body exchange, sent *Operation, gone func(id []byte) bool) error {
	var in sending
	if err := decodeBody(*sent, &in); err != nil {
		return err
	}
	var spent, rest [][]byte
	for _, id := range body.Coins {
		if gone(id) {
			spent = append(spent, id)
		} else {
			rest = append(rest, id)
		}
	}
	in.Coins, in.Gone = rest, in.Gone+len(spent)
	state, note, err := OpDone, "received", error(ErrReceived)
	if len(rest) > 0 {
		state, note = OpSubmitted, fmt.Sprintf("%d of %d coins received", in.Gone, in.Gone+len(rest))
		err = fmt.Errorf("%w: %w", ErrReceived, errRest)
	}
	uerr := w.purse.update(ctx, func(tx *sql.Tx) error {
		return errors.Join(
			spendCoins(ctx, tx, spent, op.ID),
			passCoins(ctx, tx, rest, op.ID, sent.ID),
			moveOp(ctx, tx, op.ID, OpRefused, "the envelope was opened first", nil),
			moveOp(ctx, tx, sent.ID, state, note, in))
	})
	return errors.Join(fmt.Errorf("reclaim: %w", err), uerr)
}

// reclaimRest goes on where a part of an envelope was received before it could be
// taken back: its other coins are exchanged, since somebody else has their secrets.
func (w *Wallet) reclaimRest(ctx context.Context, k *coin.Keyset, id ID, err error) error {
	part := false
	for errors.Is(err, errRest) {
		part = true
		err = w.reclaimSent(ctx, k, id)
	}
	if part && err == nil {
		err = fmt.Errorf("reclaim: %w: %w, and the rest is back", ErrReceived, errRest)
	}
	return err
}

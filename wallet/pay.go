package wallet

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	Receipt     string   `json:"receipt,omitempty"`
	BankReceipt string   `json:"bank_receipt,omitempty"`
}

// Payment is a payment as the holder sees it.
type Payment struct {
	// ID names the operation in the purse (16 bytes).
	ID []byte
	// Offer is what is paid, verified.
	Offer *coin.SignedOffer
	// Coins is what is spent, Change what comes back.
	Coins  []StoredCoin
	Change coin.Amount
	// Spend is the exact body that the till gets.
	Spend []byte
	// Receipt is the merchant's, BankReceipt the bank's, once paid.
	Receipt, BankReceipt string
}

// Inspect verifies a payment link without paying it: the merchant's
// signature, the bank, the currency and the time.
func (w *Wallet) Inspect(ctx context.Context, link string) (*coin.SignedOffer, error) {
	_, offer, err := w.inspect(ctx, link)
	return offer, err
}

func (w *Wallet) inspect(ctx context.Context, link string) (*coin.Link, *coin.SignedOffer, error) {
	l, err := coin.ParseLink(link)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	offer, err := l.Verify(w.now())
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	k, err := w.Keyset(ctx)
	if err != nil {
		return nil, nil, err
	}
	if offer.Offer.Acquirer != k.Bank {
		return nil, nil, fmt.Errorf("%w: the merchant is with bank %s, the coins are of %s", ErrOffer, offer.Offer.Acquirer, k.Bank)
	}
	if offer.Offer.Currency != k.Currency {
		return nil, nil, fmt.Errorf("%w: it is in %s, the coins are in %s", ErrOffer, offer.Offer.Currency, k.Currency)
	}
	return l, offer, nil
}

// PreparePayment chooses coins, plans the change, authorises the spend and
// persists it byte for byte. The coins are committed to this offer from here
// on. Nothing has been sent yet. kinds restricts the coins to use; none means
// whatever the merchant takes.
func (w *Wallet) PreparePayment(ctx context.Context, link string, kinds ...coin.Kind) (*Payment, error) {
	_, offer, err := w.inspect(ctx, link)
	if err != nil {
		return nil, err
	}
	k, err := w.Keyset(ctx)
	if err != nil {
		return nil, err
	}
	chosen, err := w.choose(ctx, k, &offer.Offer, kinds)
	if err != nil {
		return nil, err
	}
	p := &Payment{ID: newID(), Offer: offer, Coins: chosen.coins, Change: chosen.change}
	body := payment{Link: link}
	// Numbers for the change are taken before they are used; a crash here
	// wastes numbers, not money.
	err = w.purse.update(ctx, func(tx *sql.Tx) error {
		body.Change, err = reserve(ctx, tx, chosen.changeKeys)
		return err
	})
	if err != nil {
		return nil, err
	}
	spend, err := w.buildSpend(ctx, k, coin.Spend{
		Purpose: coin.Pay, Bank: k.Bank, OfferDigest: offer.Digest,
		Amount: offer.Offer.Amount, Currency: k.Currency,
	}, chosen.coins, body.Change)
	if err != nil {
		return nil, fmt.Errorf("pay: %w", err)
	}
	if err := offer.Offer.CheckSpend(spend.spend); err != nil {
		return nil, fmt.Errorf("pay: %w", err)
	}
	body.Spend, p.Spend = spend.encoded, spend.encoded
	ids := spend.spend.CoinIDs()
	for _, id := range ids {
		body.Coins = append(body.Coins, bytes.Clone(id[:]))
	}
	op := Operation{ID: p.ID, Kind: "pay", State: OpPrepared, Amount: -int64(offer.Offer.Amount), Created: w.now(), Note: offer.Private.Name}
	err = w.purse.update(ctx, func(tx *sql.Tx) error {
		if err := moveCoins(ctx, tx, ids, CoinFresh, CoinCommitted, p.ID); err != nil {
			return err
		}
		return insertOp(ctx, tx, op, body)
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Submit sends a prepared payment to the till and stores receipts and change.
// Repeating it is safe. On an error that is no refusal the outcome is open:
// [Wallet.Resume] settles it.
func (w *Wallet) Submit(ctx context.Context, p *Payment) error {
	op, body, err := w.loadPayment(ctx, p.ID)
	if err != nil {
		return err
	}
	l, err := coin.ParseLink(body.Link)
	if err != nil {
		return err
	}
	if err := w.setOp(ctx, p.ID, OpSubmitted, op.Note, body); err != nil {
		return err
	}
	answer, err := client.Pay(ctx, client.NewHTTP(time.Minute), l.To, body.Spend)
	if err != nil {
		return w.payRefused(ctx, op, body, err)
	}
	return w.Accept(ctx, p, answer)
}

// Pay is PreparePayment and Submit.
func (w *Wallet) Pay(ctx context.Context, link string, kinds ...coin.Kind) (*Payment, error) {
	p, err := w.PreparePayment(ctx, link, kinds...)
	if err != nil {
		return nil, err
	}
	return p, w.Submit(ctx, p)
}

// Accept takes the till's answer to a payment, verifies both receipts and
// every change coin, and closes the operation.
func (w *Wallet) Accept(ctx context.Context, p *Payment, answer *client.TillAnswer) error {
	_, body, err := w.loadPayment(ctx, p.ID)
	if err != nil {
		return err
	}
	spend, _, err := coin.DecodeSpend(body.Spend)
	if err != nil {
		return err
	}
	offer, err := w.paidOffer(body.Link)
	if err != nil {
		return err
	}
	receipt, err := coin.VerifyHolderReceipt([]byte(answer.Receipt), offer.Private.MerchantID)
	if err == nil {
		err = receipt.Covers(spend)
	}
	if err != nil {
		return fmt.Errorf("merchant's receipt: %w: %w", ErrAnswer, err)
	}
	bank, err := coin.VerifyDepositReceipt(w.root, []byte(answer.BankReceipt), w.now())
	if err == nil {
		err = bank.Covers(spend, offer.Offer.Payee)
	}
	if err != nil {
		return fmt.Errorf("bank's receipt: %w: %w", ErrAnswer, err)
	}
	body.Receipt, body.BankReceipt = answer.Receipt, answer.BankReceipt
	sigs := plain(answer.Change)
	if err := w.closePayment(ctx, p.ID, offer.Private.Name, body, sigs); err != nil {
		return err
	}
	p.Receipt, p.BankReceipt, p.Offer = body.Receipt, body.BankReceipt, offer
	return nil
}

// paidOffer reads the offer of a payment that was made while it was open.
func (w *Wallet) paidOffer(link string) (*coin.SignedOffer, error) {
	l, err := coin.ParseLink(link)
	if err != nil {
		return nil, err
	}
	// The zero time is before any expiry: what was promised is still owed.
	return l.Verify(time.Time{})
}

// closePayment unblinds the change and marks the coins spent, together.
func (w *Wallet) closePayment(ctx context.Context, id []byte, note string, body payment, sigs [][]byte) error {
	k, err := w.Keyset(ctx)
	if err != nil {
		return err
	}
	change, err := w.finalize(k, body.Change, sigs, nil)
	if err != nil {
		return fmt.Errorf("change: %w", err)
	}
	return w.purse.update(ctx, func(tx *sql.Tx) error {
		if err := setCoins(ctx, tx, body.Coins, CoinSpent, id); err != nil {
			return err
		}
		if err := w.storeCoins(ctx, tx, k, body.Change, change); err != nil {
			return err
		}
		return updateOp(ctx, tx, id, OpDone, note, body)
	})
}

// payRefused decides what a refusal means for the coins. Only a proof moves
// them: an earlier spend of one of these coins, authorised by this wallet's
// keys, shows that this payment can never be deposited.
func (w *Wallet) payRefused(ctx context.Context, op Operation, body payment, err error) error {
	var p *client.Problem
	if !errors.As(err, &p) || len(p.Conflict) == 0 {
		return fmt.Errorf("pay: %w", err)
	}
	var proof coin.ConflictProof
	if perr := json.Unmarshal(p.Conflict, &proof); perr != nil {
		return fmt.Errorf("pay: %w (its proof can't be read: %w)", err, perr)
	}
	spend, _, serr := coin.DecodeSpend(body.Spend)
	if serr != nil {
		return serr
	}
	k, kerr := w.Keyset(ctx)
	if kerr != nil {
		return kerr
	}
	// A bound coin's earlier presentation is checked against the member's own
	// group; without one the proof can't be judged and nothing moves.
	if perr := proof.Verify(spend, k, w.ownVerifier(ctx)); perr != nil {
		return fmt.Errorf("pay: %w (its proof does not hold: %w)", err, perr)
	}
	gone := proof.Spend.CoinIDs()
	uerr := w.purse.update(ctx, func(tx *sql.Tx) error {
		for _, id := range body.Coins {
			state := CoinFresh
			if slices.Contains(gone, [32]byte(id)) {
				state = CoinSpent
			}
			if err := setCoins(ctx, tx, [][]byte{id}, state, op.ID); err != nil {
				return err
			}
		}
		return updateOp(ctx, tx, op.ID, OpRefused, p.Error(), body)
	})
	return errors.Join(fmt.Errorf("pay: %w", err), uerr)
}

func (w *Wallet) loadPayment(ctx context.Context, id []byte) (Operation, payment, error) {
	return loadPayment(ctx, w.purse.db, id)
}

func loadPayment(ctx context.Context, q querier, id []byte) (Operation, payment, error) {
	var body payment
	ops, err := queryOps(ctx, q, "WHERE id = ? AND kind = 'pay'", id)
	if err != nil {
		return Operation{}, body, err
	}
	if len(ops) != 1 {
		return Operation{}, body, fmt.Errorf("payment %x: %w", id, ErrNoOperation)
	}
	return ops[0], body, decodeBody(ops[0], &body)
}

// authorisedSpend is a spend with its exact encoding.
type authorisedSpend struct {
	spend   *coin.Spend
	encoded []byte
}

// buildSpend completes the head with coins and outputs, and has every owner
// authorise it: Ed25519 for bearer coins, one presentation for all bound ones.
func (w *Wallet) buildSpend(ctx context.Context, k *coin.Keyset, head coin.Spend, coins []StoredCoin, outputs []item) (*authorisedSpend, error) {
	if err := w.fillOwners(ctx, k, outputs, nil); err != nil {
		return nil, err
	}
	_, outs, err := w.planchets(k, outputs)
	if err != nil {
		return nil, err
	}
	head.ToIssuer, head.IssuedAt = outs, w.now().Unix()
	index := make(map[[32]byte]uint64, len(coins))
	for _, sc := range coins {
		c, err := coin.DecodeCoin(sc.raw)
		if err != nil {
			return nil, fmt.Errorf("coin %x…: %w", sc.ID[:4], err)
		}
		head.Coins = append(head.Coins, *c)
		index[c.ID()] = sc.Index
		if c.Kind == coin.Bound && w.member == nil {
			return nil, w.noTPM()
		}
		if c.Kind == coin.Bound {
			head.Group = w.enrolled.groupID
		}
	}
	spend, err := coin.NewSpend(head)
	if err != nil {
		return nil, err
	}
	auth := &coin.Authorisation{}
	auth.Bearer, err = spend.SignBearer(func(c *coin.Coin) (ed25519.PrivateKey, error) {
		return coin.OwnerKey(w.seed, k.Bank, c.KeyID, index[c.ID()])
	})
	if err != nil {
		return nil, err
	}
	if bound := spend.BoundClaims(); len(bound) > 0 {
		claims, err := coin.Claims(bound)
		if err != nil {
			return nil, err
		}
		p, err := w.member.Present(ctx, w.key, spend.Frame(), claims)
		if err != nil {
			return nil, err
		}
		auth.Presentation = p.Bytes()
	}
	// The last look before anything leaves: what the merchant will check.
	if err := coin.Verify(spend, auth, k, w.ownVerifier(ctx), w.now()); err != nil {
		return nil, fmt.Errorf("own check: %w", err)
	}
	encoded, err := coin.EncodeSpend(spend, auth)
	if err != nil {
		return nil, err
	}
	return &authorisedSpend{spend, encoded}, nil
}

package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// DepositRequest is a payment that a merchant redeems.
type DepositRequest struct {
	Offer         []byte   // P, byte for byte as the payer hashed it
	PayeeSalt     [32]byte // opens P's payee to the account's merchant id
	Spend         *coin.Spend
	Authorisation *coin.Authorisation
}

// Deposited is the answer to a deposit.
type Deposited struct {
	Op         ledger.ID
	Receipt    []byte   // a compact JWS, see coin.DepositReceipt
	Signatures [][]byte // over the change, in order
}

// depositRecord is what the ledger keeps of a deposit or exchange: all that a
// later conflict is proven with, and all that an audit needs.
type depositRecord struct {
	Offer     []byte          `json:"offer,omitempty"`
	PayeeSalt []byte          `json:"payee_salt,omitempty"`
	Spend     json.RawMessage `json:"spend"` // as coin.EncodeSpend writes
}

// Deposit redeems a payment into a merchant's account. Refusals: ErrForbidden,
// those of coin.Verify and of coin.Offer's checks, coin.ErrBank for an offer
// of another acquirer, *HeldError, *VoidError and *DoubleSpendError. Under an open
// hold of the merchant's (see Hold) a wrong authorisation is a strike; after
// Limits.Strikes of them the hold answers nothing more, and he is suspended. A deposit with the op
// of a recorded one gets the recorded answer; its receipt is signed again, over
// the same payload, if the key that signed it was revoked since.
func (b *Bank) Deposit(ctx context.Context, account *Account, r *DepositRequest) (*Deposited, error) {
	op, err := b.payment(ctx, account, r.Spend, "deposits")
	if err != nil {
		return nil, err
	}
	if op == nil {
		id := r.Spend.Op()
		if err := account.active(); err != nil {
			return nil, b.suspended(ctx, id, err)
		}
		if op, err = b.recordDeposit(ctx, id, account, r); err != nil {
			return nil, err
		}
	}
	return b.deposited(ctx, account, op)
}

// payment checks what a deposit, of either way, and a hold begin with: that a
// merchant asks, and for a payment. It returns the operation if it is recorded.
func (b *Bank) payment(ctx context.Context, account *Account, s *coin.Spend, what string) (*ledger.Op, error) {
	if account.Kind != Merchant {
		return nil, fmt.Errorf("%w: %s are for merchants", ErrForbidden, what)
	}
	if s.Purpose != coin.Pay {
		return nil, coin.ErrPurpose
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	return b.recorded(ctx, s.Op())
}

// deposited answers a recorded deposit.
func (b *Bank) deposited(ctx context.Context, account *Account, op *ledger.Op) (*Deposited, error) {
	if op.Kind != KindDeposit {
		return nil, voided(op)
	}
	if op.Account != account.ID {
		// Another merchant's payment, overheard and presented again.
		return nil, fmt.Errorf("%w: deposited into another account", coin.ErrForeignOffer)
	}
	spend, _, err := recordedSpend(op)
	if err != nil {
		return nil, err
	}
	signatures, err := b.sign(ctx, spend.ToIssuer)
	if err != nil {
		return nil, err
	}
	receipt, err := b.receipt(op)
	if err != nil {
		return nil, err
	}
	return &Deposited{Op: op.ID, Receipt: receipt, Signatures: signatures}, nil
}

// recordDeposit checks a payment and records it, and returns the operation as
// it stands in the ledger.
func (b *Bank) recordDeposit(ctx context.Context, id ledger.ID, account *Account, r *DepositRequest) (*ledger.Op, error) {
	now, f := b.now(), b.current()
	offer, err := b.checkOffer(account, r, now)
	if err == nil {
		err = b.verify(ctx, f, r.Spend, r.Authorisation, now)
	}
	if err != nil {
		return nil, b.refusedDeposit(ctx, account, r, now, err)
	}
	request, err := encodeRecord(r.Offer, r.PayeeSalt[:], r.Spend, r.Authorisation)
	if err != nil {
		return nil, err
	}
	receipt := &coin.DepositReceipt{
		Bank: b.id, Op: id, OfferDigest: r.Spend.OfferDigest, SpendDigest: r.Spend.Digest(),
		Amount: r.Spend.Amount, Currency: r.Spend.Currency, Payee: offer.Payee, At: now,
	}
	// Before the commit, see the package comment. If the token fails here,
	// nothing has happened.
	answer, err := f.receipts.sign(receipt)
	if err != nil {
		return nil, err
	}
	p := newPostings(b.currency)
	p.add(account.ID, int64(r.Spend.Amount))
	return b.recordSpend(ctx, f, r.Spend, r.Authorisation, p, ledger.Op{
		ID: id, Kind: KindDeposit, Account: account.ID, Acquirer: b.id,
		Request: request, Answer: answer, At: now,
	})
}

// checkOffer checks that the spend pays an open offer of this account's
// merchant at this bank.
func (b *Bank) checkOffer(account *Account, r *DepositRequest, now time.Time) (*coin.Offer, error) {
	offer, err := b.checkPaid(account, r)
	if err != nil {
		return nil, err
	}
	// An online payment ends with its offer, so that a payer whose merchant
	// vanished knows when his coins are his again. One taken offline comes
	// later; it must have been made in time.
	at := now
	if offer.Mode == coin.Offline {
		at = time.Unix(r.Spend.IssuedAt, 0)
	}
	return offer, offer.CheckOpen(at)
}

// checkPaid is checkOffer whether the offer is open or not.
func (b *Bank) checkPaid(account *Account, r *DepositRequest) (*coin.Offer, error) {
	offer, err := coin.ParseOffer(r.Offer)
	if err != nil {
		return nil, err
	}
	if err := offer.CheckPayee(r.PayeeSalt, account.Merchant); err != nil {
		return nil, err
	}
	if offer.Acquirer != b.id {
		return nil, fmt.Errorf("%w: the offer is for acquirer %s", coin.ErrBank, offer.Acquirer)
	}
	if err := offer.CheckSpend(r.Spend); err != nil {
		return nil, err
	}
	if len(r.Spend.ToAcquirer) != 0 {
		return nil, fmt.Errorf("%w: issuer and acquirer are one bank, change is the issuer's", coin.ErrOutput)
	}
	return offer, nil
}

// Exchange signs new coins for old ones of the same value. No account takes
// part. Refusals: those of coin.Verify, and *DoubleSpendError. An exchange of
// the same coins as a recorded one gets the recorded answer.
//
// A spend with purpose coin.Void is an exchange that takes a payment's place:
// they share one op, so whichever came first stands, and the other gets a
// *VoidError and never makes a case.
func (b *Bank) Exchange(ctx context.Context, s *coin.Spend, a *coin.Authorisation) (*Signed, error) {
	if s.Purpose != coin.Exchange && s.Purpose != coin.Void {
		return nil, coin.ErrPurpose
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	id := s.Op()
	op, err := b.recorded(ctx, id)
	if err != nil {
		return nil, err
	}
	if op == nil {
		if op, err = b.recordExchange(ctx, id, s, a); err != nil {
			return nil, err
		}
	}
	return b.signed(ctx, op, KindExchange)
}

// signed answers a recorded exchange, recoup or recover, and refuses if the op
// is of another kind.
func (b *Bank) signed(ctx context.Context, op *ledger.Op, kind string) (*Signed, error) {
	if op.Kind != kind {
		return nil, voided(op)
	}
	outputs, err := recordedOutputs(op)
	if err != nil {
		return nil, err
	}
	signatures, err := b.sign(ctx, outputs)
	if err != nil {
		return nil, err
	}
	return &Signed{Op: op.ID, Signatures: signatures}, nil
}

func (b *Bank) recordExchange(ctx context.Context, id ledger.ID, s *coin.Spend, a *coin.Authorisation) (*ledger.Op, error) {
	now, f := b.now(), b.current()
	if err := b.verify(ctx, f, s, a, now); err != nil {
		return nil, b.refused(ctx, s, now, err)
	}
	request, err := encodeRecord(nil, nil, s, a)
	if err != nil {
		return nil, err
	}
	return b.recordSpend(ctx, f, s, a, newPostings(b.currency), ledger.Op{
		ID: id, Kind: KindExchange, Acquirer: b.id, Request: request, At: now,
	})
}

// verify runs coin.Verify with the verifier of the spend's group.
func (b *Bank) verify(ctx context.Context, f *inForce, s *coin.Spend, a *coin.Authorisation, now time.Time) error {
	verifier, err := b.verifier(ctx, s)
	if err != nil {
		return err
	}
	return coin.Verify(s, a, f.keyset, verifier, now)
}

// verifier is who checks the spend's presentation, nil if it names no group.
func (b *Bank) verifier(ctx context.Context, s *coin.Spend) (coin.PresentationVerifier, error) {
	if s.Group == ([32]byte{}) || b.cfg.Groups == nil {
		return nil, nil
	}
	return b.cfg.Groups.Verifier(ctx, s.Group)
}

// recordSpend completes an operation that consumes a verified spend's coins:
// each coin into its key's spent set, out of circulation, and the change into
// it, each output into its key's made set. p holds what the operation posts besides. It returns the operation as
// recorded, by this call or an equal one.
func (b *Bank) recordSpend(ctx context.Context, f *inForce, s *coin.Spend, a *coin.Authorisation, p *postings, op ledger.Op) (*ledger.Op, error) {
	return b.recordSpendBy(ctx, b.apply, f, s, a, p, op)
}

// recordSpendBy is recordSpend by apply or applyAnyway.
func (b *Bank) recordSpendBy(ctx context.Context, apply func(context.Context, ledger.Op) (ledger.Outcome, error), f *inForce, s *coin.Spend, a *coin.Authorisation, p *postings, op ledger.Op) (*ledger.Op, error) {
	op.Issuer, op.State = b.id, ledger.StateDone
	// Coins are held for deposits.
	op.MaxStrikes, op.Unheld = b.limits.Strikes, op.Kind != KindDeposit
	var err error
	if op.Spends, err = f.consume(p, s); err != nil {
		return nil, err
	}
	op.Spends = append(op.Spends, makes(s.ToIssuer)...)
	op.Postings = p.list()
	out, err := apply(ctx, op)
	switch {
	case errors.Is(err, ledger.ErrOverflow):
		return nil, fmt.Errorf("%w: the account can't hold that much", coin.ErrOverflow)
	case err != nil:
		return nil, fmt.Errorf("issuer: %s: %w", op.Kind, store(err))
	}
	switch out.Status {
	case ledger.Applied:
		b.stats.redeemed(s.Coins)
		return &op, nil
	case ledger.Replayed:
		return out.Existing, nil
	case ledger.Held:
		return nil, b.held(ctx, op.ID, out.Hold)
	case ledger.Conflict:
		return nil, b.doubleSpend(ctx, s, a, out.Conflicts)
	}
	return nil, fmt.Errorf("issuer: %s: ledger answered %s", op.Kind, out.Status)
}

func encodeRecord(offer, salt []byte, s *coin.Spend, a *coin.Authorisation) ([]byte, error) {
	spend, err := coin.EncodeSpend(s, a)
	if err != nil {
		return nil, err
	}
	request, err := json.Marshal(depositRecord{Offer: offer, PayeeSalt: salt, Spend: spend})
	if err != nil {
		return nil, fmt.Errorf("issuer: record spend: %w", err)
	}
	return request, nil
}

// recordedSpend reads back what encodeRecord wrote. Its errors match no
// refusal: a record that doesn't read is the bank's fault, and a caller who
// took it for a refusal would give up money that is his.
func recordedSpend(op *ledger.Op) (*coin.Spend, *coin.Authorisation, error) {
	var r depositRecord
	if err := json.Unmarshal(op.Request, &r); err != nil {
		return nil, nil, fmt.Errorf("issuer: recorded %s does not read: %v", op.Kind, err)
	}
	s, a, err := coin.DecodeSpend(r.Spend)
	if err != nil {
		return nil, nil, fmt.Errorf("issuer: recorded %s does not read: %v", op.Kind, err)
	}
	return s, a, nil
}

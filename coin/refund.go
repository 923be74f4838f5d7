package coin

import (
	"bytes"
	"crypto"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/trust"
)

// TypRefund is the "typ" of a merchant's order to refund a payment.
const TypRefund = "specie-refund+jws"

// MaxRefundOrder bounds a refund order, in bytes.
const MaxRefundOrder = 2048

const refundLabel = "specie/refund/1"

// RefundOrder is a merchant's word to his bank that money of a payment goes back
// to its payer, in the coins that the outputs become. The bank debits him on it
// and on nothing less; whose outputs they are it doesn't learn.
type RefundOrder struct {
	Bank     string
	Deposit  [32]byte // the deposit's op
	Outputs  [32]byte // OutputsDigest of what is to be signed
	Amount   Amount   // what the outputs are worth
	Currency string
	At       time.Time // UTC, whole seconds
}

type refundOrderJSON struct {
	Version  int     `json:"v"`
	Bank     string  `json:"bank"`
	Deposit  hash32  `json:"deposit"`
	Outputs  hash32  `json:"outputs"`
	Amount   Amount  `json:"amount"`
	Currency string  `json:"currency"`
	At       instant `json:"at"`
}

// RefundOp is the idempotency key of a refund: the frame digest of
// "specie/refund/1", the deposit's op and the outputs' digest. The payer knows
// both, and finds his coins by it when the merchant is gone.
func RefundOp(deposit [32]byte, outputs []Output) [32]byte {
	return refundOp(deposit, OutputsDigest(outputs))
}

func refundOp(deposit, outputs [32]byte) [32]byte {
	return frame.Digest([]byte(refundLabel), deposit[:], outputs[:])
}

// Op is the refund's, see RefundOp.
func (o *RefundOrder) Op() [32]byte { return refundOp(o.Deposit, o.Outputs) }

func (o *RefundOrder) check() error {
	if err := checkBank(o.Bank); err != nil {
		return err
	}
	if o.Amount == 0 {
		return fmt.Errorf("%w: a refund of nothing", ErrAmount)
	}
	return checkMoney(o.Amount, o.Currency)
}

// Sign signs the order with the merchant's Ed25519 key, the one that signed the
// offer (compact JWS).
func (o *RefundOrder) Sign(signer crypto.Signer) ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	payload, err := marshal(refundOrderJSON{
		Version: 1, Bank: o.Bank, Deposit: o.Deposit, Outputs: o.Outputs, Amount: o.Amount, Currency: o.Currency, At: instant(o.At),
	})
	if err != nil {
		return nil, err
	}
	jws, err := trust.SignKeyed(TypRefund, payload, signer)
	if err != nil {
		return nil, fmt.Errorf("coin: refund order: %w", err)
	}
	return jws, nil
}

// VerifyRefundOrder reads an order and returns it with the merchant id of who
// signed it. It returns trust's errors, ErrTooLarge, ErrMalformed, ErrAmount or
// ErrOverflow. Whether he was paid what he gives back, his bank knows.
func VerifyRefundOrder(jws []byte) (order *RefundOrder, merchantID string, err error) {
	if len(jws) > MaxRefundOrder {
		return nil, "", fmt.Errorf("%w: refund order of %d bytes", ErrTooLarge, len(jws))
	}
	doc, err := trust.VerifyKeyed(jws, TypRefund)
	if err != nil {
		return nil, "", fmt.Errorf("coin: refund order: %w", err)
	}
	var j refundOrderJSON
	if err := unmarshalCanonical(doc.Payload, MaxRefundOrder, &j); err != nil {
		return nil, "", fmt.Errorf("refund order: %w", err)
	}
	if j.Version != 1 {
		return nil, "", fmt.Errorf("%w: refund order of version %d", ErrMalformed, j.Version)
	}
	order = &RefundOrder{
		Bank: j.Bank, Deposit: j.Deposit, Outputs: j.Outputs, Amount: j.Amount, Currency: j.Currency, At: time.Time(j.At),
	}
	if err := order.check(); err != nil {
		return nil, "", err
	}
	return order, doc.KeyID, nil
}

// VerifyRefund says whether who asks for a refund is the payer: a spend for
// Refund names payment's offer and all of its coins, its outputs can be signed
// now and are worth its amount, which is no more than what was paid, and every
// owner of the coins authorised it. It is how a merchant knows whom to give
// money back; that the payment was made he must know himself.
//
// It returns ErrPurpose, ErrForeignOffer, ErrBank, ErrCurrency, ErrAmount, and the
// errors of Spend.Check, Keyset.CheckOutputs and of Verify about owners.
func VerifyRefund(s *Spend, a *Authorisation, payment *Spend, k *Keyset, verifier PresentationVerifier, at time.Time) error {
	if s.Purpose != Refund || payment.Purpose != Pay {
		return ErrPurpose
	}
	if err := s.Check(); err != nil {
		return err
	}
	if err := a.check(s); err != nil {
		return err
	}
	switch {
	case s.Bank != payment.Bank || s.Bank != k.Bank:
		return ErrBank
	case s.OfferDigest != payment.OfferDigest:
		return fmt.Errorf("%w: a refund of another payment", ErrForeignOffer)
	case s.Currency != payment.Currency:
		return ErrCurrency
	case !slices.EqualFunc(s.Coins, payment.Coins, sameCoin):
		return fmt.Errorf("%w: a refund names the coins that were paid with", ErrForeignOffer)
	case s.Amount > payment.Amount:
		return fmt.Errorf("%w: %d of %d to be given back", ErrAmount, s.Amount, payment.Amount)
	}
	sum, err := k.CheckOutputs(s.ToIssuer, at)
	if err != nil {
		return err
	}
	if sum != s.Amount {
		return fmt.Errorf("%w: outputs of %d for a refund of %d", ErrAmount, sum, s.Amount)
	}
	if err := a.verifyBearer(s, func(*Coin) bool { return true }); err != nil {
		return err
	}
	return a.verifyBound(s, verifier)
}

func sameCoin(a, b Coin) bool {
	return a.ID() == b.ID() && bytes.Equal(a.Signature, b.Signature)
}

package coin

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/speciecash/specie/trust"
)

// TypHolderReceipt is the "typ" of a merchant's receipt for a payer.
const TypHolderReceipt = "specie-paid+jws"

const (
	maxReceipt  = 2048
	kindDeposit = "deposit"
	kindPayment = "payment"
)

// DepositReceipt is a bank's word that a spend was credited to the payee of
// an offer. Two receipts are the same if their payloads are; the signatures
// of one payload differ from one signing to the next.
type DepositReceipt struct {
	Bank        string
	Op          [32]byte // Spend.Op
	OfferDigest [32]byte
	SpendDigest [32]byte // Spend.Digest
	Amount      Amount
	Currency    string
	Payee       [32]byte // as in the offer
	At          time.Time
}

type depositReceiptJSON struct {
	Version     int     `json:"v"`
	Kind        string  `json:"kind"`
	Bank        string  `json:"bank"`
	Op          hash32  `json:"op"`
	OfferDigest hash32  `json:"offer"`
	SpendDigest hash32  `json:"spend"`
	Amount      Amount  `json:"amount"`
	Currency    string  `json:"currency"`
	Payee       hash32  `json:"payee"`
	At          instant `json:"at"`
}

func (r *DepositReceipt) check() error {
	if err := checkBank(r.Bank); err != nil {
		return err
	}
	return checkMoney(r.Amount, r.Currency)
}

func (r *DepositReceipt) payload() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return marshal(depositReceiptJSON{
		Version: 1, Kind: kindDeposit, Bank: r.Bank, Op: r.Op, OfferDigest: r.OfferDigest, SpendDigest: r.SpendDigest,
		Amount: r.Amount, Currency: r.Currency, Payee: r.Payee, At: instant(r.At),
	})
}

// Sign signs the receipt with the bank's online key, as trust.TypReceipt.
func (r *DepositReceipt) Sign(signer crypto.Signer, chain []*x509.Certificate) ([]byte, error) {
	payload, err := r.payload()
	if err != nil {
		return nil, err
	}
	jws, err := trust.Sign(trust.TypReceipt, payload, signer, chain)
	if err != nil {
		return nil, fmt.Errorf("coin: receipt: %w", err)
	}
	return jws, nil
}

// VerifyDepositReceipt reads a receipt: signed by the online key of the bank
// that it names (ErrBank), certificates valid at the given time, which is
// when the reader first received it. Whether it is about the reader's spend,
// DepositReceipt.Covers tells; who knows the bank's keyset asks its method
// instead, which refuses a revoked key too.
func VerifyDepositReceipt(root *trust.Root, jws []byte, at time.Time) (*DepositReceipt, error) {
	r, _, err := verifyDepositReceipt(root, jws, at)
	return r, err
}

// verifyDepositReceipt also returns the chain that the receipt is signed
// under.
func verifyDepositReceipt(root *trust.Root, jws []byte, at time.Time) (*DepositReceipt, []*x509.Certificate, error) {
	doc, err := root.Verify(jws, trust.TypReceipt, trust.RoleSigning, at)
	if err != nil {
		return nil, nil, fmt.Errorf("coin: receipt: %w", err)
	}
	r, err := parseDepositReceipt(doc.Payload)
	if err != nil {
		return nil, nil, err
	}
	if doc.Signer.ID != r.Bank {
		return nil, nil, fmt.Errorf("%w: receipt of %s signed by %s", ErrBank, r.Bank, doc.Signer)
	}
	return r, doc.Chain, nil
}

func parseDepositReceipt(payload []byte) (*DepositReceipt, error) {
	var j depositReceiptJSON
	if err := unmarshalCanonical(payload, maxReceipt, &j); err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	if j.Version != 1 || j.Kind != kindDeposit {
		return nil, fmt.Errorf("%w: not a deposit's receipt of version 1", ErrMalformed)
	}
	r := &DepositReceipt{
		Bank: j.Bank, Op: j.Op, OfferDigest: j.OfferDigest, SpendDigest: j.SpendDigest, Amount: j.Amount,
		Currency: j.Currency, Payee: j.Payee, At: time.Time(j.At),
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return r, nil
}

// Covers returns ErrReceipt unless the receipt is for that spend and payee.
func (r *DepositReceipt) Covers(s *Spend, payee [32]byte) error {
	if r.Bank != s.Bank || r.Op != s.Op() || r.OfferDigest != s.OfferDigest || r.SpendDigest != s.Digest() ||
		r.Amount != s.Amount || r.Currency != s.Currency || r.Payee != payee {
		return fmt.Errorf("%w: it is about another spend", ErrReceipt)
	}
	return nil
}

// HolderReceipt is a merchant's word that a spend paid his offer.
type HolderReceipt struct {
	OfferDigest [32]byte
	SpendDigest [32]byte // Spend.Digest
	Amount      Amount
	Currency    string
	At          time.Time
}

type holderReceiptJSON struct {
	Version     int     `json:"v"`
	Kind        string  `json:"kind"`
	OfferDigest hash32  `json:"offer"`
	SpendDigest hash32  `json:"spend"`
	Amount      Amount  `json:"amount"`
	Currency    string  `json:"currency"`
	At          instant `json:"at"`
}

func (r *HolderReceipt) payload() ([]byte, error) {
	if err := checkMoney(r.Amount, r.Currency); err != nil {
		return nil, err
	}
	return marshal(holderReceiptJSON{
		Version: 1, Kind: kindPayment, OfferDigest: r.OfferDigest, SpendDigest: r.SpendDigest,
		Amount: r.Amount, Currency: r.Currency, At: instant(r.At),
	})
}

// Sign signs the receipt with the merchant's Ed25519 key, the one that signed
// the offer.
func (r *HolderReceipt) Sign(signer crypto.Signer) ([]byte, error) {
	payload, err := r.payload()
	if err != nil {
		return nil, err
	}
	jws, err := trust.SignKeyed(TypHolderReceipt, payload, signer)
	if err != nil {
		return nil, fmt.Errorf("coin: receipt: %w", err)
	}
	return jws, nil
}

// VerifyHolderReceipt reads a merchant's receipt. merchantID is that of the
// offer that was paid; another signer gives ErrReceipt.
func VerifyHolderReceipt(jws []byte, merchantID string) (*HolderReceipt, error) {
	doc, err := trust.VerifyKeyed(jws, TypHolderReceipt)
	if err != nil {
		return nil, fmt.Errorf("coin: receipt: %w", err)
	}
	if doc.KeyID != merchantID {
		return nil, fmt.Errorf("%w: signed by another merchant", ErrReceipt)
	}
	return parseHolderReceipt(doc.Payload)
}

func parseHolderReceipt(payload []byte) (*HolderReceipt, error) {
	var j holderReceiptJSON
	if err := unmarshalCanonical(payload, maxReceipt, &j); err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	if j.Version != 1 || j.Kind != kindPayment {
		return nil, fmt.Errorf("%w: not a payment's receipt of version 1", ErrMalformed)
	}
	r := &HolderReceipt{
		OfferDigest: j.OfferDigest, SpendDigest: j.SpendDigest, Amount: j.Amount, Currency: j.Currency,
		At: time.Time(j.At),
	}
	if err := checkMoney(r.Amount, r.Currency); err != nil {
		return nil, err
	}
	return r, nil
}

// Covers returns ErrReceipt unless the receipt is for that spend.
func (r *HolderReceipt) Covers(s *Spend) error {
	if r.OfferDigest != s.OfferDigest || r.SpendDigest != s.Digest() || r.Amount != s.Amount || r.Currency != s.Currency {
		return fmt.Errorf("%w: it is about another spend", ErrReceipt)
	}
	return nil
}

func checkMoney(a Amount, currency string) error {
	if err := a.Check(); err != nil {
		return err
	}
	return checkCurrency(currency)
}

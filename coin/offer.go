package coin

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/trust"
)

// TypOffer is the "typ" of a merchant's offer.
const TypOffer = "specie-offer+jws"

// Bounds of an offer, in bytes.
const (
	MaxOffer   = 4096 // the public part
	MaxPrivate = 2048 // the private part
	MaxTill    = 64
	MaxText    = 256 // each of name, order and purpose
	maxGroups  = 16
	maxKinds   = 8
)

// Mode says how the merchant will take the coins.
type Mode string

// The modes.
const (
	Online  Mode = "online"  // he asks the bank before he hands over the goods
	Offline Mode = "offline" // he checks the coins himself and deposits later
)

// Offer is the public part of an offer, P: what the payer pays against and
// all that a bank ever sees. Who the payee is and what was bought is in it
// only as salted hashes.
type Offer struct {
	Mode     Mode
	Till     string   // which till of the merchant's, [A-Za-z0-9._-], up to MaxTill
	Nonce    [32]byte // single use
	Acquirer string   // id of the merchant's bank
	Payee    [32]byte // SHA-256(payee salt ‖ merchant id)
	Amount   Amount
	Currency string
	Expires  time.Time // UTC, whole seconds
	Kinds    []Kind    // kinds of coin that are accepted, ascending
	Groups   [][32]byte
	Epoch    uint32   // the groups' epoch as the merchant knows it, 0 without groups
	Parts    int      // how many spends may pay it together; this version: 1
	Private  [32]byte // SHA-256(private salt ‖ private part)
}

// SignedOffer is an offer with both parts, as the payer gets it.
type SignedOffer struct {
	Offer        Offer
	Private      PrivateOffer
	Public       []byte // P, the exact bytes that Digest is of
	PrivateBytes []byte
	JWS          []byte   // the merchant's signature over P
	Digest       [32]byte // SHA-256 of P
}

type offerJSON struct {
	Version  int      `json:"v"`
	Mode     Mode     `json:"mode"`
	Till     string   `json:"till"`
	Nonce    hash32   `json:"nonce"`
	Acquirer string   `json:"acquirer"`
	Payee    hash32   `json:"payee"`
	Amount   Amount   `json:"amount"`
	Currency string   `json:"currency"`
	Expires  instant  `json:"expires"`
	Kinds    []Kind   `json:"kinds"`
	Groups   []hash32 `json:"groups"`
	Epoch    uint32   `json:"epoch"`
	Parts    int      `json:"parts"`
	Private  hash32   `json:"private"`
}

// MerchantID names a merchant by his Ed25519 key: its RFC 7638 thumbprint,
// 43 characters.
func MerchantID(key ed25519.PublicKey) string { return trust.Thumbprint(key) }

// NewOffer makes and signs an offer. From offer it takes Mode, Till,
// Acquirer, Amount, Currency, Expires, Kinds, Groups and Epoch, from private
// Name, Order and Purpose; nonce, salts and hashes it makes itself. signer
// holds the merchant's Ed25519 key.
func NewOffer(offer Offer, private PrivateOffer, signer crypto.Signer) (*SignedOffer, error) {
	key, ok := signer.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: a merchant's key is Ed25519", ErrMalformed)
	}
	for _, b := range [][]byte{offer.Nonce[:], private.PayeeSalt[:], private.PrivateSalt[:]} {
		if _, err := rand.Read(b); err != nil {
			return nil, fmt.Errorf("coin: offer: %w", err)
		}
	}
	private.MerchantID = MerchantID(key)
	privateBytes, err := private.bytes()
	if err != nil {
		return nil, err
	}
	offer.Parts = 1
	offer.Kinds = slices.Sorted(slices.Values(offer.Kinds))
	offer.Payee = PayeeHash(private.PayeeSalt, private.MerchantID)
	offer.Private = privateHash(private.PrivateSalt, privateBytes)
	public, err := offer.Bytes()
	if err != nil {
		return nil, err
	}
	jws, err := trust.SignKeyed(TypOffer, public, signer)
	if err != nil {
		return nil, fmt.Errorf("coin: offer: %w", err)
	}
	return &SignedOffer{
		Offer: offer, Private: private, Public: public, PrivateBytes: privateBytes, JWS: jws,
		Digest: sha256.Sum256(public),
	}, nil
}

// VerifyOffer reads what NewOffer made: signature, both hashes, and that the
// signing key is the merchant's. It returns trust's errors, ErrMalformed,
// ErrTooLarge, ErrForeignOffer, or ErrOfferExpired at the given time. A good
// offer proves that one merchant made it and says nothing about who that is:
// Private.Name is his own word.
func VerifyOffer(jws, private []byte, at time.Time) (*SignedOffer, error) {
	doc, err := trust.VerifyKeyed(jws, TypOffer)
	if err != nil {
		return nil, fmt.Errorf("coin: offer: %w", err)
	}
	offer, err := ParseOffer(doc.Payload)
	if err != nil {
		return nil, err
	}
	p, err := parsePrivate(private)
	if err != nil {
		return nil, err
	}
	if p.MerchantID != doc.KeyID {
		return nil, fmt.Errorf("%w: signed by another key than the merchant's", ErrForeignOffer)
	}
	if err := offer.CheckPayee(p.PayeeSalt, p.MerchantID); err != nil {
		return nil, err
	}
	if privateHash(p.PrivateSalt, private) != offer.Private {
		return nil, fmt.Errorf("%w: another private part", ErrForeignOffer)
	}
	if err := offer.CheckOpen(at); err != nil {
		return nil, err
	}
	return &SignedOffer{
		Offer: *offer, Private: *p, Public: doc.Payload, PrivateBytes: slices.Clone(private),
		JWS: slices.Clone(jws), Digest: doc.Digest,
	}, nil
}

// ParseOffer reads a public part, as a bank gets it, and checks its fields.
// It returns ErrMalformed, ErrTooLarge or ErrOverflow.
func ParseOffer(public []byte) (*Offer, error) {
	var j offerJSON
	if err := unmarshalCanonical(public, MaxOffer, &j); err != nil {
		return nil, fmt.Errorf("offer: %w", err)
	}
	if j.Version != 1 {
		return nil, fmt.Errorf("%w: offer of version %d", ErrMalformed, j.Version)
	}
	o := &Offer{
		Mode: j.Mode, Till: j.Till, Nonce: j.Nonce, Acquirer: j.Acquirer, Payee: j.Payee, Amount: j.Amount,
		Currency: j.Currency, Expires: time.Time(j.Expires), Kinds: j.Kinds, Epoch: j.Epoch, Parts: j.Parts,
		Private: j.Private,
	}
	for _, g := range j.Groups {
		o.Groups = append(o.Groups, g)
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	return o, nil
}

// Bytes returns P, in its one form.
func (o *Offer) Bytes() ([]byte, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	j := offerJSON{
		Version: 1, Mode: o.Mode, Till: o.Till, Nonce: o.Nonce, Acquirer: o.Acquirer, Payee: o.Payee,
		Amount: o.Amount, Currency: o.Currency, Expires: instant(o.Expires), Kinds: o.Kinds, Groups: []hash32{},
		Epoch: o.Epoch, Parts: o.Parts, Private: o.Private,
	}
	for _, g := range o.Groups {
		j.Groups = append(j.Groups, g)
	}
	public, err := marshal(j)
	if err == nil && len(public) > MaxOffer {
		err = fmt.Errorf("%w: offer of %d bytes", ErrTooLarge, len(public))
	}
	return public, err
}

// Check refuses fields that no offer may have: ErrMalformed, ErrTooLarge or
// ErrOverflow.
func (o *Offer) Check() error {
	if o.Mode != Online && o.Mode != Offline {
		return fmt.Errorf("%w: offer's mode", ErrMalformed)
	}
	if err := checkTill(o.Till); err != nil {
		return err
	}
	if err := checkBank(o.Acquirer); err != nil {
		return err
	}
	if err := o.Amount.Check(); err != nil {
		return err
	}
	if o.Amount == 0 {
		return fmt.Errorf("%w: an offer over nothing", ErrMalformed)
	}
	if err := checkCurrency(o.Currency); err != nil {
		return err
	}
	if o.Parts != 1 {
		return fmt.Errorf("%w: an offer to be paid in %d parts", ErrMalformed, o.Parts)
	}
	return o.checkKinds()
}

func (o *Offer) checkKinds() error {
	if len(o.Kinds) > maxKinds || len(o.Groups) > maxGroups {
		return fmt.Errorf("%w: %d kinds, %d groups", ErrTooLarge, len(o.Kinds), len(o.Groups))
	}
	if len(o.Kinds) == 0 {
		return fmt.Errorf("%w: an offer that accepts no kind of coin", ErrMalformed)
	}
	for i, k := range o.Kinds {
		if err := k.check(); err != nil {
			return err
		}
		if i > 0 && o.Kinds[i-1] >= k {
			return fmt.Errorf("%w: kinds are ascending, none twice", ErrMalformed)
		}
	}
	for i, g := range o.Groups {
		if g == ([32]byte{}) || slices.Contains(o.Groups[:i], g) {
			return fmt.Errorf("%w: a group is zero or stands there twice", ErrMalformed)
		}
	}
	bound := slices.Contains(o.Kinds, Bound)
	if bound != (len(o.Groups) > 0) || (!bound && o.Epoch != 0) {
		return fmt.Errorf("%w: groups and epoch belong to bound coins", ErrMalformed)
	}
	return nil
}

// CheckOpen returns ErrOfferExpired from Expires on.
func (o *Offer) CheckOpen(at time.Time) error {
	if !at.Before(o.Expires) {
		return fmt.Errorf("%w: at %s", ErrOfferExpired, o.Expires.Format(instantLayout))
	}
	return nil
}

// CheckPayee returns ErrForeignOffer unless the offer pays that merchant: how
// a merchant's bank, given the salt, sees that an offer is its customer's,
// without learning what was bought.
func (o *Offer) CheckPayee(salt [32]byte, merchantID string) error {
	h := PayeeHash(salt, merchantID)
	if subtle.ConstantTimeCompare(h[:], o.Payee[:]) != 1 {
		return fmt.Errorf("%w: another payee", ErrForeignOffer)
	}
	return nil
}

// CheckSpend says whether a spend pays this offer: its digest
// (ErrForeignOffer), purpose (ErrPurpose), amount (ErrAmount), currency
// (ErrCurrency), kinds of coin (ErrUnknownKind) and group (ErrBinding). It
// does not verify the spend: see Verify. Nor the time: see CheckOpen.
func (o *Offer) CheckSpend(s *Spend) error {
	public, err := o.Bytes()
	if err != nil {
		return err
	}
	switch {
	case s.Purpose != Pay:
		return ErrPurpose
	case s.OfferDigest != sha256.Sum256(public):
		return fmt.Errorf("%w: the spend pays another", ErrForeignOffer)
	case s.Amount != o.Amount:
		return fmt.Errorf("%w: %d for an offer of %d", ErrAmount, s.Amount, o.Amount)
	case s.Currency != o.Currency:
		return ErrCurrency
	}
	bound := false
	for i := range s.Coins {
		if !slices.Contains(o.Kinds, s.Coins[i].Kind) {
			return fmt.Errorf("coin %d: %w: the merchant does not take %s coins", i, ErrUnknownKind, s.Coins[i].Kind)
		}
		bound = bound || s.Coins[i].Kind == Bound
	}
	if bound && !slices.Contains(o.Groups, s.Group) {
		return fmt.Errorf("%w: the merchant does not take that group", ErrBinding)
	}
	return nil
}

func checkTill(s string) error {
	if len(s) > MaxTill {
		return fmt.Errorf("%w: till of %d bytes", ErrTooLarge, len(s))
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return fmt.Errorf("%w: a till has characters A-Z, a-z, 0-9, '.', '_' and '-' only", ErrMalformed)
		}
	}
	return nil
}

package coin

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/speciecash/specie/frame"
)

// Bounds of a spend.
const (
	MaxCoins        = 256  // coins in one spend
	MaxOutputs      = 256  // outputs in each of a spend's two lists
	MaxPresentation = 4096 // bytes of a presentation
)

const spendLabel = "specie/spend/1"

// Purpose says what a spend is for. An unknown purpose is refused: a coin
// given away for one end must not be usable for another.
type Purpose string

// The purposes of this version.
const (
	// Pay: the coins' sum less the change goes to the payee of the offer.
	Pay Purpose = "pay"
	// Exchange: all of the coins' sum comes back in new coins; there is no
	// offer and the amount is zero.
	Exchange Purpose = "exchange"
	// Void: a payment that its merchant has not deposited is taken back. It is
	// an exchange of exactly the payment's coins that names the payment's
	// offer, so that payment and void have one Op: a bank records one of them,
	// and the pair is never a double spend. An exchange instead would put two
	// authorised spends of one coin into the bank's hands, by which an honest
	// holder could be opened as a double spender.
	Void Purpose = "void"
	// Recoup: coins that can't be spent, because their key is revoked or lost,
	// for new ones, or for money on the account that withdrew them. Those coins
	// stand there without their signatures, which prove nothing any more; beside
	// the spend each has a Claim. It may name a payment's offer, and is the void
	// of that payment then.
	Recoup Purpose = "recoup"
	// Recover: bound coins whose TPM is gone, for new ones, or for money on the
	// account that withdrew them. Their owner can't consent; who succeeds him in
	// the group does, and the authorisation has a Stead that shows it. It may name
	// a payment's offer, as a Recoup.
	Recover Purpose = "recover"
	// Refund: the owners of coins that were paid with say which outputs money
	// that the payee gives back goes into. It spends nothing: it shows the payee
	// that who asks is the payer, and no bank takes it. See VerifyRefund.
	Refund Purpose = "refund"
)

// plain says whether Verify is all there is to the purpose.
func (p Purpose) plain() bool { return p == Pay || p == Exchange || p == Void }

// Output is a blinded message and the key under which it is to be signed.
type Output struct {
	KeyID   KeyID
	Blinded []byte // as long as the key's modulus
}

// OutputsDigest returns the frame digest of kid1, blinded1, kid2, … in the
// given order. Without the key id a message could be signed under a smaller
// denomination, without the message it could be swapped.
func OutputsDigest(outputs []Output) [32]byte {
	parts := make([][]byte, 0, 2*len(outputs))
	for i := range outputs {
		parts = append(parts, outputs[i].KeyID[:], outputs[i].Blinded)
	}
	return frame.Digest(parts...)
}

// Spend says which coins go where. Its frame is what the coins' owners sign.
type Spend struct {
	Purpose     Purpose
	Bank        string   // the issuer of all the coins
	OfferDigest [32]byte // SHA-256 of the offer's public part; zero for Exchange
	Amount      Amount   // what the payee gets; zero for Exchange and Void; in a Recoup or Recover, for the account; in a Refund, what the outputs are worth
	Currency    string
	Coins       []Coin   // ascending by ID, none twice, 1 to MaxCoins
	ToIssuer    []Output // change, for the issuer to sign
	ToAcquirer  []Output // out of the amount, for the payee's bank to sign
	Group       [32]byte // id of the bound coins' group, zero if there are none
	IssuedAt    int64    // Unix seconds, as the payer's clock has it
}

// NewSpend copies s with the coins put in order, and checks it.
func NewSpend(s Spend) (*Spend, error) {
	s.Coins = slices.Clone(s.Coins)
	slices.SortFunc(s.Coins, func(a, b Coin) int {
		x, y := a.ID(), b.ID()
		return bytes.Compare(x[:], y[:])
	})
	s.ToIssuer, s.ToAcquirer = slices.Clone(s.ToIssuer), slices.Clone(s.ToAcquirer)
	if err := s.Check(); err != nil {
		return nil, err
	}
	return &s, nil
}

// CoinIDs returns the ids of the coins, in the order of the coins.
func (s *Spend) CoinIDs() [][32]byte {
	ids := make([][32]byte, len(s.Coins))
	for i := range s.Coins {
		ids[i] = s.Coins[i].ID()
	}
	return ids
}

func (s *Spend) joinedIDs() []byte {
	out := make([]byte, 0, 32*len(s.Coins))
	for _, id := range s.CoinIDs() {
		out = append(out, id[:]...)
	}
	return out
}

// Frame returns the bytes that every owner authorises:
//
//	frame("specie/spend/1", purpose, bank, offer digest, amount, currency,
//	      coin ids, outputs digest for the issuer, outputs digest for the
//	      acquirer, group id, issued-at)
//
// with amount and issued-at as 8 bytes big-endian and the ids joined.
func (s *Spend) Frame() []byte {
	issuer, acquirer := OutputsDigest(s.ToIssuer), OutputsDigest(s.ToAcquirer)
	return frame.Join([]byte(spendLabel), []byte(s.Purpose), []byte(s.Bank), s.OfferDigest[:],
		frame.Uint64(uint64(s.Amount)), []byte(s.Currency), s.joinedIDs(),
		issuer[:], acquirer[:], s.Group[:], frame.Uint64(uint64(s.IssuedAt)))
}

// Digest returns SHA-256 of the frame, as receipts name a spend.
func (s *Spend) Digest() [32]byte { return sha256.Sum256(s.Frame()) }

// Op returns the idempotency key of the deposit or exchange: the frame digest
// of the offer's digest, the bank and the coin ids. It does not depend on
// outputs or authorisation, so a second try for the same coins and offer
// meets the first.
func (s *Spend) Op() [32]byte {
	return frame.Digest(s.OfferDigest[:], []byte(s.Bank), s.joinedIDs())
}

// BoundClaims returns nonce and tag of every bound coin, in the order of the
// coins: what the presentation has to prove.
func (s *Spend) BoundClaims() []BoundClaim {
	var claims []BoundClaim
	for i := range s.Coins {
		if claim, err := s.Coins[i].BoundClaim(); err == nil {
			claims = append(claims, claim)
		}
	}
	return claims
}

// Check says whether the spend is well-formed, without any key: ErrPurpose,
// ErrMalformed, ErrTooLarge, ErrOverflow, ErrAmount, ErrBank,
// ErrDuplicateCoin, ErrOutput or ErrBinding.
func (s *Spend) Check() error {
	if err := s.checkHead(); err != nil {
		return err
	}
	if len(s.Coins) == 0 {
		return fmt.Errorf("%w: no coin", ErrMalformed)
	}
	if len(s.Coins) > MaxCoins || len(s.ToIssuer) > MaxOutputs || len(s.ToAcquirer) > MaxOutputs {
		return fmt.Errorf("%w: %d coins, %d and %d outputs", ErrTooLarge, len(s.Coins), len(s.ToIssuer), len(s.ToAcquirer))
	}
	var last [32]byte
	bound := false
	for i := range s.Coins {
		c := &s.Coins[i]
		check := c.checkSigned
		if s.Purpose == Recoup || s.Purpose == Recover {
			check = c.check
		}
		if err := check(); err != nil {
			return fmt.Errorf("coin %d: %w", i, err)
		}
		if c.Bank != s.Bank {
			return fmt.Errorf("coin %d: %w", i, ErrBank)
		}
		id := c.ID()
		if order := bytes.Compare(last[:], id[:]); i > 0 && order == 0 {
			return fmt.Errorf("coin %d: %w", i, ErrDuplicateCoin)
		} else if i > 0 && order > 0 {
			return fmt.Errorf("%w: coins are not in ascending order", ErrMalformed)
		}
		last = id
		bound = bound || c.Kind == Bound
	}
	if bound == (s.Group == [32]byte{}) {
		return fmt.Errorf("%w: a group is named if and only if there are bound coins", ErrBinding)
	}
	if s.Purpose == Recover && !bound {
		return fmt.Errorf("%w: a recover is of bound coins", ErrBinding)
	}
	if err := checkOutputs(s.ToIssuer); err != nil {
		return err
	}
	return checkOutputs(s.ToAcquirer)
}

func (s *Spend) checkHead() error {
	noOffer := s.OfferDigest == [32]byte{}
	switch s.Purpose {
	case Pay:
		if s.Amount == 0 || noOffer {
			return fmt.Errorf("%w: a payment needs an offer and an amount", ErrAmount)
		}
	case Exchange:
		if s.Amount != 0 || !noOffer || len(s.ToAcquirer) != 0 {
			return fmt.Errorf("%w: an exchange has no offer, amount or acquirer", ErrAmount)
		}
	case Void:
		if s.Amount != 0 || noOffer || len(s.ToAcquirer) != 0 {
			return fmt.Errorf("%w: a void names an offer and has no amount or acquirer", ErrAmount)
		}
	case Refund:
		if s.Amount == 0 || noOffer || len(s.ToIssuer) == 0 || len(s.ToAcquirer) != 0 {
			return fmt.Errorf("%w: a refund names an offer, an amount and outputs, and no acquirer", ErrAmount)
		}
	case Recoup, Recover:
		if len(s.ToAcquirer) != 0 {
			return fmt.Errorf("%w: a %s has no acquirer", ErrAmount, s.Purpose)
		}
	default:
		return ErrPurpose
	}
	if err := s.Amount.Check(); err != nil {
		return err
	}
	if err := checkBank(s.Bank); err != nil {
		return err
	}
	if s.IssuedAt <= 0 || s.IssuedAt > int64(MaxAmount) {
		return fmt.Errorf("%w: issued-at", ErrMalformed)
	}
	return checkCurrency(s.Currency)
}

// checkOutputs refuses lengths that no key has, and one output twice: its two
// signatures would be one coin.
func checkOutputs(outputs []Output) error {
	seen := make(map[[32]byte]bool, len(outputs))
	for i := range outputs {
		switch len(outputs[i].Blinded) {
		case 256, 384, 512:
		default:
			return fmt.Errorf("output %d: %w: %d bytes", i, ErrOutput, len(outputs[i].Blinded))
		}
		d := OutputsDigest(outputs[i : i+1])
		if seen[d] {
			return fmt.Errorf("output %d: %w: it stands there twice", i, ErrOutput)
		}
		seen[d] = true
	}
	return nil
}

package coin

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/speciecash/specie/frame"
)

// Bounds of an envelope.
const (
	MaxEnvelope     = 32       // coins
	MaxEnvelopeText = 48 << 10 // bytes of Text or QR
)

const (
	envelopeLabel    = "specie/coins/1"
	envelopePrefix   = "specie:coins?c="
	envelopeQRPrefix = "SPECIE:COINS1/"
	envelopeHead     = 5 // parts before those of the coins
	envelopePerCoin  = 4
)

// Envelope is bearer coins on their way from one person to another, with what it
// takes to spend them: whoever opens it first has the money, as with notes in an
// envelope. (Others say token; here that is what opens an account.) The secrets
// are the coins' own: an owner key is an output of HKDF and says nothing of the
// sender's seed or of his other coins.
//
// It does not print, and marshals by Text and QR alone.
type Envelope struct {
	Bank     string
	Root     [32]byte // trust.Root's fingerprint: which currency's, before the bank is asked
	Currency string
	Amount   Amount // what the coins are worth together, by the sender's word
	Coins    []EnvelopeCoin
}

// EnvelopeCoin is a bearer coin and the key of its owner.
type EnvelopeCoin struct {
	Coin  Coin
	Owner ed25519.PrivateKey
}

// String returns [redacted].
func (Envelope) String() string { return redacted }

// Format prints [redacted] whatever the verb.
func (Envelope) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// Format prints [redacted] whatever the verb.
func (EnvelopeCoin) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue returns [redacted].
func (Envelope) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText refuses.
func (Envelope) MarshalText() ([]byte, error) { return nil, errSecret }

// bytes returns
//
//	frame("specie/coins/1", bank, root's fingerprint, currency, amount, kid,
//	  randomizer, signature, owner's secret, kid, …)
//
// with the coins ascending by id. Kind, bank and owner of each coin follow from
// the rest.
func (e *Envelope) bytes() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	parts := [][]byte{[]byte(envelopeLabel), []byte(e.Bank), e.Root[:], []byte(e.Currency), frame.Uint64(uint64(e.Amount))}
	for i := range e.Coins {
		c := &e.Coins[i]
		parts = append(parts, c.Coin.KeyID[:], c.Coin.Randomizer[:], c.Coin.Signature, c.Owner.Seed())
	}
	return frame.Join(parts...), nil
}

// check returns ErrMalformed, ErrTooLarge or ErrOwner for an envelope that can't
// be sent.
func (e *Envelope) check() error {
	if err := checkBank(e.Bank); err != nil {
		return err
	}
	if err := checkCurrency(e.Currency); err != nil {
		return err
	}
	if err := e.Amount.Check(); err != nil {
		return err
	}
	if e.Amount == 0 || len(e.Coins) == 0 {
		return fmt.Errorf("%w: an envelope with nothing in it", ErrMalformed)
	}
	if len(e.Coins) > MaxEnvelope {
		return fmt.Errorf("%w: an envelope of %d coins, at most %d", ErrTooLarge, len(e.Coins), MaxEnvelope)
	}
	var last [32]byte
	for i := range e.Coins {
		c := &e.Coins[i]
		if c.Coin.Kind != Bearer || c.Coin.Bank != e.Bank || !c.Coin.Signed() {
			return fmt.Errorf("%w: coin %d is not one that can be given away", ErrMalformed, i)
		}
		if err := c.Coin.check(); err != nil {
			return fmt.Errorf("coin %d: %w", i, err)
		}
		if len(c.Owner) != ed25519.PrivateKeySize || !bytes.Equal(c.Owner.Public().(ed25519.PublicKey), c.Coin.Owner) {
			return fmt.Errorf("coin %d: %w: the secret is not its owner's", i, ErrOwner)
		}
		id := c.Coin.ID()
		if i > 0 && bytes.Compare(last[:], id[:]) >= 0 {
			return fmt.Errorf("%w: an envelope's coins are ascending, none twice", ErrMalformed)
		}
		last = id
	}
	return nil
}

// Sort puts the coins into the order that an envelope has them in.
func (e *Envelope) Sort() {
	slices.SortFunc(e.Coins, func(a, b EnvelopeCoin) int {
		x, y := a.Coin.ID(), b.Coin.ID()
		return bytes.Compare(x[:], y[:])
	})
}

// Text returns the envelope as "specie:coins?c=" and base64url: for a file, a
// mail or a message. It is money. Errors: ErrMalformed, ErrTooLarge, ErrOwner.
func (e *Envelope) Text() (string, error) {
	b, err := e.bytes()
	if err != nil {
		return "", err
	}
	return envelopePrefix + encode64(b), nil
}

// QR returns the envelope in the characters that QR codes are best at:
// "SPECIE:COINS1/" and base 41, as Link.QR. A coin of a 2048-bit key takes about
// 550 characters. Errors are Text's.
func (e *Envelope) QR() (string, error) {
	b, err := e.bytes()
	if err != nil {
		return "", err
	}
	return envelopeQRPrefix + encode41(b), nil
}

// IsEnvelope says whether a text claims to be an envelope.
func IsEnvelope(text string) bool {
	return strings.HasPrefix(text, envelopePrefix) || strings.HasPrefix(text, envelopeQRPrefix)
}

// ParseEnvelope reads the forms that Text and QR write, each in one form only. It
// verifies that each secret is its coin's owner's and nothing of the coins: see
// Keyset.VerifyCoin. Errors: ErrMalformed, ErrTooLarge, ErrOverflow, ErrOwner.
func ParseEnvelope(text string) (*Envelope, error) {
	if len(text) > MaxEnvelopeText {
		return nil, fmt.Errorf("%w: envelope of %d bytes", ErrTooLarge, len(text))
	}
	var raw []byte
	var err error
	if rest, ok := strings.CutPrefix(text, envelopePrefix); ok {
		raw, err = decode64(rest, MaxEnvelopeText)
	} else if rest, ok := strings.CutPrefix(text, envelopeQRPrefix); ok {
		raw, err = decode41(rest, MaxEnvelopeText)
	} else {
		err = fmt.Errorf("%w: an envelope begins with %s", ErrMalformed, envelopePrefix)
	}
	if err != nil {
		return nil, err
	}
	parts, err := unframe(raw, envelopeHead+MaxEnvelope*envelopePerCoin)
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	if len(parts) < envelopeHead || (len(parts)-envelopeHead)%envelopePerCoin != 0 || string(parts[0]) != envelopeLabel || len(parts[2]) != 32 || len(parts[4]) != 8 {
		return nil, fmt.Errorf("%w: not the parts of an envelope", ErrMalformed)
	}
	e := &Envelope{Bank: string(parts[1]), Root: [32]byte(parts[2]), Currency: string(parts[3])}
	if n := binary.BigEndian.Uint64(parts[4]); n <= uint64(MaxAmount) {
		e.Amount = Amount(n)
	}
	for c := range slices.Chunk(parts[envelopeHead:], envelopePerCoin) {
		if len(c[0]) != len(KeyID{}) || len(c[1]) != RandomizerSize || len(c[3]) != ed25519.SeedSize {
			return nil, fmt.Errorf("%w: not the parts of a coin in an envelope", ErrMalformed)
		}
		owner := ed25519.NewKeyFromSeed(c[3])
		e.Coins = append(e.Coins, EnvelopeCoin{Owner: owner, Coin: Coin{
			Bank: e.Bank, KeyID: KeyID(c[0]), Kind: Bearer, Owner: Owner(owner.Public().(ed25519.PublicKey)),
			Randomizer: [RandomizerSize]byte(c[1]), Signature: bytes.Clone(c[2]),
		}})
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	return e, nil
}

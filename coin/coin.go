package coin

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"

	"github.com/cloudflare/circl/blindsign/blindrsa"
	"github.com/fxamacker/cbor/v2"
)

// Sizes in bytes.
const (
	MaxCoin         = 2048 // a coin as CBOR
	BearerOwnerSize = ed25519.PublicKeySize
	NonceSize       = 32
	TagSize         = 33 // a compressed point: 02 or 03, then X
	BoundOwnerSize  = NonceSize + TagSize
	RandomizerSize  = 32
)

const (
	messageLabel = "specie/coin/1"
	textPrefix   = "specie1" // the digit is the major version
	coinVersion  = 1
)

// Owner says who may spend a coin. For a bearer coin it is the Ed25519 public
// key; for a bound coin N ‖ K, 32 random bytes and the compressed point
// K=[f]H2C("coin", N) of the member's TPM. Whether K is on the curve is for
// the PresentationVerifier to check.
type Owner []byte

// BoundOwner makes a bound coin's owner.
func BoundOwner(nonce [NonceSize]byte, tag [TagSize]byte) Owner {
	return append(append(make(Owner, 0, BoundOwnerSize), nonce[:]...), tag[:]...)
}

func (o Owner) check(k Kind) error {
	switch k {
	case Bearer:
		if len(o) != BearerOwnerSize {
			return fmt.Errorf("%w: a bearer coin's owner has %d bytes", ErrMalformed, BearerOwnerSize)
		}
	case Bound:
		if len(o) != BoundOwnerSize || (o[NonceSize] != 2 && o[NonceSize] != 3) {
			return fmt.Errorf("%w: a bound coin's owner is a nonce and a compressed point", ErrMalformed)
		}
	default:
		return ErrUnknownKind
	}
	return nil
}

// Coin is money: what a bank signed blind, and the signature. There is no
// address in it; the bank's id and the key's id say where it is good.
type Coin struct {
	Bank       string
	KeyID      KeyID
	Kind       Kind
	Owner      Owner
	Randomizer [RandomizerSize]byte // the message randomizer of RFC 9474 §4.1
	Signature  []byte               // as long as the key's modulus; empty in a Recoup or Recover alone
}

// Message returns what the bank vouches for: the deterministic CBOR
// (RFC 8949 §4.2) of ["specie/coin/1", bank, kid, kind, owner]. The bank is
// in it because a public key is no secret: another bank could list the same
// key under another value.
func (c *Coin) Message() []byte {
	// Strings and bytes of fixed types always encode.
	b, err := codec().enc.Marshal([]any{messageLabel, c.Bank, c.KeyID[:], string(c.Kind), []byte(c.Owner)})
	if err != nil {
		panic("coin: CBOR of strings: " + err.Error())
	}
	return b
}

// Prepared returns randomizer ‖ message, RFC 9474's Prepare.
func (c *Coin) Prepared() []byte { return prepare(c.Randomizer, c.Message()) }

func prepare(randomizer [RandomizerSize]byte, message []byte) []byte {
	return append(randomizer[:], message...)
}

// ID returns SHA-256 of the prepared message: the name under which the coin
// is spent once. It does not depend on the signature, so a bank that signs
// one message twice has still made one coin.
func (c *Coin) ID() [32]byte { return sha256.Sum256(c.Prepared()) }

// BoundClaim returns the nonce and tag of a bound coin, or ErrUnknownKind
// for a coin of another kind.
func (c *Coin) BoundClaim() (BoundClaim, error) {
	if c.Kind != Bound || len(c.Owner) != BoundOwnerSize {
		return BoundClaim{}, fmt.Errorf("%w: not a bound coin", ErrUnknownKind)
	}
	var claim BoundClaim
	copy(claim.Nonce[:], c.Owner)
	copy(claim.Tag[:], c.Owner[NonceSize:])
	return claim, nil
}

// Signed says whether the coin has a signature, good or not. One without can
// only be claimed, see Claim.
func (c *Coin) Signed() bool { return len(c.Signature) != 0 }

// check refuses a coin whose fields can't be encoded.
func (c *Coin) check() error {
	if err := checkBank(c.Bank); err != nil {
		return err
	}
	if err := c.Owner.check(c.Kind); err != nil {
		return err
	}
	switch len(c.Signature) {
	case 0, 256, 384, 512:
		return nil
	}
	return fmt.Errorf("%w: signature of %d bytes", ErrMalformed, len(c.Signature))
}

// checkSigned also refuses a coin without a signature.
func (c *Coin) checkSigned() error {
	if !c.Signed() {
		return fmt.Errorf("%w: no signature", ErrMalformed)
	}
	return c.check()
}

// Verify checks the coin against its key, regardless of dates: ErrUnknownKey
// if d is another key, ErrUnknownKind if it is of another kind,
// ErrCoinSignature if the bank did not sign this coin. That d belongs to the
// coin's bank is for the caller to check: see Keyset.VerifyCoin.
func (c *Coin) Verify(d *Denomination) error {
	if err := c.checkSigned(); err != nil {
		return err
	}
	if c.KeyID != d.KeyID {
		return fmt.Errorf("%w: the coin names another", ErrUnknownKey)
	}
	if c.Kind != d.Kind {
		return fmt.Errorf("%w: a %s coin under a %s key", ErrUnknownKind, c.Kind, d.Kind)
	}
	v, err := blindrsa.NewVerifier(blindrsa.SHA384PSSRandomized, d.PublicKey)
	if err != nil {
		return fmt.Errorf("coin: verifier: %w", err)
	}
	if err := v.Verify(c.Prepared(), c.Signature); err != nil {
		return ErrCoinSignature
	}
	return nil
}

// VerifyCoin looks the coin's key up by bank and key id, checks the coin
// against it regardless of dates, and returns the key. It returns ErrBank,
// ErrUnknownKey or the errors of Coin.Verify.
func (k *Keyset) VerifyCoin(c *Coin) (*Denomination, error) {
	if c.Bank != k.Bank {
		return nil, ErrBank
	}
	d, err := k.Find(c.KeyID)
	if err != nil {
		return nil, err
	}
	if err := c.Verify(d); err != nil {
		return nil, err
	}
	return d, nil
}

// coinCBOR is the transfer form. Small integers as names leave room for
// fields that a later minor version adds and this one ignores.
type coinCBOR struct {
	Version    uint64 `cbor:"0,keyasint"`
	Bank       string `cbor:"1,keyasint"`
	KeyID      []byte `cbor:"2,keyasint"`
	Kind       string `cbor:"3,keyasint"`
	Owner      []byte `cbor:"4,keyasint"`
	Randomizer []byte `cbor:"5,keyasint"`
	Signature  []byte `cbor:"6,keyasint"`
}

// Encode returns the coin as deterministic CBOR, at most MaxCoin bytes, or
// ErrMalformed or ErrUnknownKind for fields that DecodeCoin would refuse.
func (c *Coin) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	b, err := codec().enc.Marshal(coinCBOR{
		Version: coinVersion, Bank: c.Bank, KeyID: c.KeyID[:], Kind: string(c.Kind),
		Owner: c.Owner, Randomizer: c.Randomizer[:],
		Signature: append([]byte{}, c.Signature...), // never null: none is the empty string
	})
	if err != nil {
		return nil, fmt.Errorf("coin: encode: %w", err)
	}
	return b, nil
}

// DecodeCoin reads what Encode writes. The CBOR must be canonical; unknown
// fields are ignored, another major version is refused. It verifies nothing,
// nor that there is a signature: see Coin.Verify.
func DecodeCoin(data []byte) (*Coin, error) {
	if len(data) > MaxCoin {
		return nil, fmt.Errorf("%w: coin of %d bytes", ErrTooLarge, len(data))
	}
	var j coinCBOR
	if err := codec().dec.Unmarshal(data, &j); err != nil {
		return nil, fmt.Errorf("%w: coin is not the CBOR of one", ErrMalformed)
	}
	// Unknown fields must be canonical too, so the whole item is compared.
	var whole any
	if err := codec().dec.Unmarshal(data, &whole); err != nil {
		return nil, fmt.Errorf("%w: coin is not the CBOR of one", ErrMalformed)
	}
	if again, err := codec().enc.Marshal(whole); err != nil || !bytes.Equal(again, data) {
		return nil, fmt.Errorf("%w: coin is not canonical CBOR", ErrMalformed)
	}
	if j.Version != coinVersion {
		return nil, fmt.Errorf("%w: coin of version %d", ErrMalformed, j.Version)
	}
	if j.Signature == nil {
		return nil, fmt.Errorf("%w: coin with no place for a signature", ErrMalformed)
	}
	if len(j.KeyID) != len(KeyID{}) || len(j.Randomizer) != RandomizerSize {
		return nil, fmt.Errorf("%w: coin with a key id or randomizer that is not 32 bytes", ErrMalformed)
	}
	c := &Coin{
		Bank: j.Bank, KeyID: KeyID(j.KeyID), Kind: Kind(j.Kind), Owner: j.Owner,
		Randomizer: [RandomizerSize]byte(j.Randomizer),
	}
	if len(j.Signature) != 0 {
		c.Signature = j.Signature
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return c, nil
}

// Text returns the coin as "specie1" and base64url of its CBOR, for files,
// mail and JSON. Whoever has a bearer coin's text and owner key has the
// money, so a coin does not print itself.
func (c *Coin) Text() (string, error) {
	b, err := c.Encode()
	if err != nil {
		return "", err
	}
	return textPrefix + encode64(b), nil
}

// ParseCoin reads the form that Text writes.
func ParseCoin(s string) (*Coin, error) {
	rest, ok := strings.CutPrefix(s, textPrefix)
	if !ok {
		return nil, fmt.Errorf("%w: a coin begins with %s", ErrMalformed, textPrefix)
	}
	b, err := decode64(rest, MaxCoin)
	if err != nil {
		return nil, err
	}
	return DecodeCoin(b)
}

// cborCodec is the one way in which this package writes and reads CBOR.
type cborCodec struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

// codec returns the modes, which are immutable and built once.
var codec = sync.OnceValue(func() cborCodec {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic("coin: CBOR encoding mode: " + err.Error())
	}
	dec, err := cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		MaxNestedLevels:  4,
		MaxArrayElements: 16,
		MaxMapPairs:      16,
	}.DecMode()
	if err != nil {
		panic("coin: CBOR decoding mode: " + err.Error())
	}
	return cborCodec{enc, dec}
})

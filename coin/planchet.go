package coin

import (
	"bytes"
	"crypto/rsa"
	"fmt"
	"math/big"

	"github.com/cloudflare/circl/blindsign/blindrsa"
)

// Planchet is a coin that the bank has not struck yet: the message, blinded,
// and what it takes to unblind the answer. It holds a secret and does not
// print.
type Planchet struct {
	coin    Coin // without Signature
	denom   *Denomination
	secret  BlindSecret
	blinded blinding
}

// blinding is a blinded message and what unblinds its signature.
type blinding struct {
	message []byte
	client  blindrsa.Client
	state   blindrsa.State
}

// NewPlanchet makes coin number index under key d of a bank: RFC 9474's
// Prepare and Blind of variant RSABSSA-SHA384-PSS-Randomized with the
// randomizer and, by way of a BlindSecret, the salt and the blinding factor
// derived from the seed. The same arguments give the same bytes, now and after
// a restore from the seed.
//
// owner is OwnerKey's public key for a bearer coin, BoundOwner for a bound
// one. index must not have been used for another withdrawal: the caller
// persists its counter first. It returns ErrUnknownKind, ErrMalformed or
// ErrKeyset for arguments that can't make a coin.
func NewPlanchet(seed Seed, bank string, d *Denomination, index uint64, owner Owner) (*Planchet, error) {
	if err := checkBank(bank); err != nil {
		return nil, err
	}
	if err := owner.check(d.Kind); err != nil {
		return nil, err
	}
	if kid, err := NewKeyID(d.PublicKey); err != nil {
		return nil, err
	} else if kid != d.KeyID {
		return nil, fmt.Errorf("%w: key id is not the key's", ErrKeyset)
	}
	p := &Planchet{denom: d, coin: Coin{Bank: bank, KeyID: d.KeyID, Kind: d.Kind, Owner: bytes.Clone(owner)}}
	message := p.coin.Message()
	randomizer, err := seed.derive(d.KeyID, roleRandomizer, index, message, RandomizerSize)
	if err != nil {
		return nil, err
	}
	p.coin.Randomizer = [RandomizerSize]byte(randomizer)
	secret, err := seed.derive(d.KeyID, roleBlind, index, message, len(p.secret))
	if err != nil {
		return nil, err
	}
	p.secret = BlindSecret(secret)
	if p.blinded, err = p.secret.blind(d, p.coin.Prepared()); err != nil {
		return nil, err
	}
	return p, nil
}

// factor maps wide to 1..N-1.
func factor(wide []byte, pub *rsa.PublicKey) *big.Int {
	one := big.NewInt(1)
	r := new(big.Int).SetBytes(wide)
	r.Mod(r, new(big.Int).Sub(pub.N, one))
	return r.Add(r, one)
}

// blind runs RFC 9474's Blind with this salt and blinding factor. circl takes
// both from one reader: first the salt, then the factor as a number of the
// modulus's length, which it accepts at once because it is below N. Anything
// else read would mean that a new circl blinds otherwise, and a restored
// wallet would lose its coins: so the reader is exact and refuses.
func blind(pub *rsa.PublicKey, prepared, salt []byte, r *big.Int) (blinding, error) {
	client, err := blindrsa.NewClient(blindrsa.SHA384PSSRandomized, pub)
	if err != nil {
		return blinding{}, fmt.Errorf("coin: blind: %w", err)
	}
	secrets := bytes.NewReader(append(bytes.Clone(salt), r.FillBytes(make([]byte, pub.Size()))...))
	message, state, err := client.Blind(secrets, prepared)
	if err != nil {
		return blinding{}, fmt.Errorf("coin: blind: %w", err)
	}
	if secrets.Len() != 0 {
		return blinding{}, fmt.Errorf("coin: blind: %d bytes of the derived secrets were not used", secrets.Len())
	}
	return blinding{message, client, state}, nil
}

// Blinded returns the message for the bank to sign, as long as the modulus.
func (p *Planchet) Blinded() []byte { return bytes.Clone(p.blinded.message) }

// Output returns the blinded message with its key id.
func (p *Planchet) Output() Output { return Output{KeyID: p.coin.KeyID, Blinded: p.Blinded()} }

// ID returns the id that the coin will have.
func (p *Planchet) ID() [32]byte { return p.coin.ID() }

// Unsigned returns the coin without the bank's signature: worth nothing but to
// Claim.
func (p *Planchet) Unsigned() *Coin {
	c := p.coin
	c.Owner = bytes.Clone(p.coin.Owner)
	return &c
}

// Claim returns the proof that this coin is the output at index of the bank's
// operation op. Whoever sees it sees that the two belong together.
func (p *Planchet) Claim(op [32]byte, index int) Claim {
	return Claim{Op: op, Index: index, Secret: p.secret}
}

// Finalize unblinds the bank's answer and verifies the coin. A wrong answer
// gives ErrBlindSignature and leaves the planchet usable.
func (p *Planchet) Finalize(blindSignature []byte) (*Coin, error) {
	sig, err := p.blinded.client.Finalize(p.blinded.state, blindSignature)
	if err != nil {
		return nil, ErrBlindSignature
	}
	c := p.coin
	c.Owner, c.Signature = bytes.Clone(p.coin.Owner), sig
	if err := c.Verify(p.denom); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBlindSignature, err)
	}
	return &c, nil
}

// String returns [redacted].
func (*Planchet) String() string { return redacted }

// GoString returns [redacted].
func (*Planchet) GoString() string { return redacted }

// Format prints [redacted] whatever the verb.
func (*Planchet) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

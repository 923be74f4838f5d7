package coin

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
)

// pssAlgorithm is the DER of the AlgorithmIdentifier id-RSASSA-PSS with
// SHA-384, MGF1 with SHA-384 and a salt of 48 bytes, as RFC 9578 §6.5 writes
// it: the hash identifiers have no parameters and the trailer is left out.
const pssAlgorithm = "\x30\x3d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x30" +
	"\xa0\x0d\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02" +
	"\xa1\x1a\x30\x18\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02" +
	"\xa2\x03\x02\x01\x30"

// maxSPKI bounds the DER of a public key, in bytes (4096 bits take 594).
const maxSPKI = 1024

// KeyID names a denomination key: SHA-256 of the DER of its
// SubjectPublicKeyInfo in RSASSA-PSS form, as the token_key_id of RFC 9578
// §6.5.
type KeyID [32]byte

// String returns the id as base64url, 43 characters.
func (k KeyID) String() string { return encode64(k[:]) }

// MarshalText implements encoding.TextMarshaler.
func (k KeyID) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It returns ErrMalformed
// or ErrTooLarge.
func (k *KeyID) UnmarshalText(text []byte) error { return (*hash32)(k).UnmarshalText(text) }

// ParseKeyID reads the form that String writes.
func ParseKeyID(s string) (KeyID, error) {
	var k KeyID
	err := k.UnmarshalText([]byte(s))
	return k, err
}

// NewKeyID returns the id of a public key, or ErrMalformed if MarshalKey does.
func NewKeyID(pub *rsa.PublicKey) (KeyID, error) {
	spki, err := MarshalKey(pub)
	if err != nil {
		return KeyID{}, err
	}
	return sha256.Sum256(spki), nil
}

// spki is X.509's SubjectPublicKeyInfo.
type spki struct {
	Algorithm asn1.RawValue
	Key       asn1.BitString
}

// MarshalKey returns the DER of the SubjectPublicKeyInfo in RSASSA-PSS form.
// It returns ErrMalformed for a key that ParseKey would refuse.
func MarshalKey(pub *rsa.PublicKey) ([]byte, error) {
	if err := checkPublicKey(pub); err != nil {
		return nil, err
	}
	der, err := asn1.Marshal(spki{
		Algorithm: asn1.RawValue{FullBytes: []byte(pssAlgorithm)},
		Key:       asn1.BitString{Bytes: x509.MarshalPKCS1PublicKey(pub), BitLength: 8 * len(x509.MarshalPKCS1PublicKey(pub))},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: public key: %v", ErrMalformed, err)
	}
	return der, nil
}

// ParseKey reads what MarshalKey writes and nothing else: 2048, 3072 or 4096
// bits, public exponent 65537, this one algorithm, canonical DER. It returns
// ErrMalformed.
func ParseKey(der []byte) (*rsa.PublicKey, error) {
	if len(der) > maxSPKI {
		return nil, fmt.Errorf("%w: public key of %d bytes", ErrMalformed, len(der))
	}
	var s spki
	if rest, err := asn1.Unmarshal(der, &s); err != nil || len(rest) != 0 {
		return nil, fmt.Errorf("%w: public key is not a SubjectPublicKeyInfo", ErrMalformed)
	}
	if string(s.Algorithm.FullBytes) != pssAlgorithm {
		return nil, fmt.Errorf("%w: public key is not for RSASSA-PSS with SHA-384", ErrMalformed)
	}
	pub, err := x509.ParsePKCS1PublicKey(s.Key.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: public key is not RSA", ErrMalformed)
	}
	again, err := MarshalKey(pub)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, der) {
		return nil, fmt.Errorf("%w: public key is not canonical DER", ErrMalformed)
	}
	return pub, nil
}

// checkPublicKey refuses keys of other sizes than the three, an exponent
// other than 65537 and an even modulus.
func checkPublicKey(pub *rsa.PublicKey) error {
	if pub == nil || pub.N == nil || pub.N.Sign() <= 0 {
		return fmt.Errorf("%w: no public key", ErrMalformed)
	}
	switch pub.N.BitLen() {
	case 2048, 3072, 4096:
	default:
		return fmt.Errorf("%w: RSA key of %d bits, not 2048, 3072 or 4096", ErrMalformed, pub.N.BitLen())
	}
	if pub.E != 65537 {
		return fmt.Errorf("%w: public exponent is not 65537", ErrMalformed)
	}
	if pub.N.Bit(0) == 0 {
		return fmt.Errorf("%w: even modulus", ErrMalformed)
	}
	return nil
}

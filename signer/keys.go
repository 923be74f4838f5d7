package signer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"fmt"
)

// An ID names a key: SHA-256 of its SubjectPublicKeyInfo as X.509 has it
// (RFC 5280 §4.1), the same form for RSA (rsaEncryption) and EC.
type ID [sha256.Size]byte

// IDOf returns the id of an RSA or ECDSA public key.
func IDOf(public crypto.PublicKey) (ID, error) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return ID{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	return sha256.Sum256(spki), nil
}

// BlindKey is an RSA key of a token. BlindSign returns m^d mod N for m of the
// modulus's length, 0 < m < N, and refuses anything else before the token
// sees it. It releases a signature only if it verifies.
type BlindKey interface {
	Public() *rsa.PublicKey
	BlindSign(ctx context.Context, m []byte) ([]byte, error)
	Check(ctx context.Context) error
}

// DigestKey is an ECDSA key of a token. SignDigest returns an ASN.1 signature
// and refuses a digest whose length is not the hash's.
type DigestKey interface {
	Public() crypto.PublicKey
	SignDigest(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error)
	Check(ctx context.Context) error
}

// Opener opens what was sealed under one AES key.
type Opener interface {
	Open(ctx context.Context, box, aad []byte) ([]byte, error)
}

// TokenKeys are the keys of a token, by their labels.
type TokenKeys struct {
	Blind  map[string]BlindKey
	Digest map[string]DigestKey
}

// A Token is what the server serves from.
//
// The errors of a Token and its keys match those of this package where one of
// them is meant; any other is answered as ErrFailed.
type Token interface {
	// Name is for logs.
	Name() string
	// Sessions is how many operations may run at a time, at least 1.
	Sessions() int
	// Keys finds the keys that are on the token now and audits each. One that
	// fails fails the call.
	Keys(ctx context.Context) (*TokenKeys, error)
	// BlindSignBatch is BlindKey.BlindSign for several messages, each under the
	// key of the same place, which are keys of this token that Keys returned.
	// Any error means that no signature was released.
	BlindSignBatch(ctx context.Context, keys []BlindKey, messages [][]byte) ([][]byte, error)
	// Opener finds and audits the AES key under that label. ErrUnknownKey if
	// there is none.
	Opener(ctx context.Context, label string) (Opener, error)
}

// A Kind says what a key does.
type Kind byte

const (
	// Blind keys are RSA keys that sign blinded messages.
	Blind Kind = 1
	// Digest keys are ECDSA keys that sign digests.
	Digest Kind = 2
)

// String returns "blind" or "digest".
func (k Kind) String() string {
	switch k {
	case Blind:
		return "blind"
	case Digest:
		return "digest"
	}
	return "unknown"
}

// PublicKey is what a signer tells of a key.
type PublicKey struct {
	ID     ID
	Kind   Kind
	Label  string // at most 64 bytes
	Public crypto.PublicKey
	spki   []byte
}

func newPublicKey(kind Kind, label string, public crypto.PublicKey) (PublicKey, error) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return PublicKey{}, fmt.Errorf("key %q: %w", label, err)
	}
	if len(label) > maxLabel {
		return PublicKey{}, fmt.Errorf("key %q: a label has at most %d bytes", label, maxLabel)
	}
	return PublicKey{ID: sha256.Sum256(spki), Kind: kind, Label: label, Public: public, spki: spki}, nil
}

// appendKeys appends the answer to opList: the number of keys (2 bytes), and
// of each kind (1), label length (1), label, SPKI length (2), SPKI.
func appendKeys(b []byte, keys []PublicKey) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(keys)))
	for _, k := range keys {
		b = append(b, byte(k.Kind), byte(len(k.Label)))
		b = append(b, k.Label...)
		b = binary.BigEndian.AppendUint16(b, uint16(len(k.spki)))
		b = append(b, k.spki...)
	}
	return b
}

// parseKeys reads what appendKeys wrote. A key whose kind is not known is
// left out: a newer server may have it. ErrProtocol if it does not read.
func parseKeys(b []byte) ([]PublicKey, error) {
	in := reader{b: b}
	n := in.uint16()
	if n > maxKeys {
		return nil, fmt.Errorf("%w: %d keys", ErrProtocol, n)
	}
	var keys []PublicKey
	for range n {
		kind := Kind(in.uint8())
		label := string(in.take(int(in.uint8())))
		spki := in.take(in.uint16())
		if in.short {
			break
		}
		if kind != Blind && kind != Digest {
			continue
		}
		public, err := x509.ParsePKIXPublicKey(spki)
		if err != nil {
			return nil, fmt.Errorf("%w: key %q: %w", ErrProtocol, label, err)
		}
		_, isRSA := public.(*rsa.PublicKey)
		_, isECDSA := public.(*ecdsa.PublicKey)
		if kind == Blind && !isRSA || kind == Digest && !isECDSA {
			return nil, fmt.Errorf("%w: key %q: a %T does not go with %s", ErrProtocol, label, public, kind)
		}
		keys = append(keys, PublicKey{ID: sha256.Sum256(spki), Kind: kind, Label: label, Public: public, spki: spki})
	}
	if in.short || len(in.b) > 0 {
		return nil, fmt.Errorf("%w: the list of keys does not read", ErrProtocol)
	}
	return keys, nil
}

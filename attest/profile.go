package attest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"math/big"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/crypto/cryptobyte"
)

// profile is one of the endorsement key templates of the TCG EK Credential
// Profile for TPM Family 2.0, annex B.
type profile struct {
	kind   string
	prefix []byte         // the TPMT_PUBLIC up to the key itself
	curve  elliptic.Curve // nil for RSA
}

const (
	rsaBits     = 2048
	rsaExponent = 65537 // what an exponent of 0 in a public area stands for
)

// profiles are the templates L-1 (RSA-2048), L-2 (P-256) and H-3 (P-384).
func profiles() []profile {
	return []profile{
		{kind: "rsa2048", prefix: withoutKey(tpm2.RSAEKTemplate)},
		{kind: "p256", prefix: withoutKey(tpm2.ECCEKTemplate), curve: elliptic.P256()},
		{kind: "p384", prefix: p384Prefix(), curve: elliptic.P384()},
	}
}

func withoutKey(t tpm2.TPMTPublic) []byte {
	all := tpm2.Marshal(t)
	if n, err := t.Unique.RSA(); err == nil {
		return all[:len(all)-len(tpm2.Marshal(*n))]
	}
	if q, err := t.Unique.ECC(); err == nil {
		return all[:len(all)-len(tpm2.Marshal(*q))]
	}
	return all
}

// p384Prefix is template H-3, which go-tpm lacks: ECC, names by SHA-384;
// fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, adminWithPolicy,
// restricted, decrypt; PolicyC for SHA-384; AES-256-CFB, no scheme, NIST P-384,
// no key derivation.
func p384Prefix() []byte {
	return []byte("\x00\x23\x00\x0c\x00\x03\x00\xf2\x00\x30" +
		"\xb2\x6e\x7d\x28\xd1\x1a\x50\xbc\x53\xd8\x82\xbc\xf5\xfd\x3a\x1a" +
		"\x07\x41\x48\xbb\x35\xd3\xb4\xe4\xcb\x1c\x0a\xd9\xbd\xe4\x19\xca" +
		"\xcb\x47\xba\x09\x69\x96\x46\x15\x0f\x9f\xc0\x00\xf3\xf8\x0e\x12" +
		"\x00\x06\x01\x00\x00\x43\x00\x10\x00\x04\x00\x10")
}

// matchProfile finds the template that an endorsement key was made from, and
// reads the key. Nothing but the key may differ from the template: what a
// challenge is encrypted with depends on the rest.
func matchProfile(public []byte) (kind string, key crypto.PublicKey, err error) {
	if len(public) > maxArea {
		return "", nil, fmt.Errorf("%w: public area of %d bytes", ErrEKProfile, len(public))
	}
	for _, p := range profiles() {
		unique, found := bytes.CutPrefix(public, p.prefix)
		if !found {
			continue
		}
		if key, err = p.key(unique); err != nil {
			return "", nil, fmt.Errorf("%w: %s: %w", ErrEKProfile, p.kind, err)
		}
		return p.kind, key, nil
	}
	return "", nil, fmt.Errorf("%w: made from none of its templates", ErrEKProfile)
}

// key reads the rest of a TPMT_PUBLIC: a modulus, or a point.
func (p profile) key(unique []byte) (crypto.PublicKey, error) {
	s := cryptobyte.String(unique)
	if p.curve == nil {
		var n cryptobyte.String
		if !s.ReadUint16LengthPrefixed(&n) || !s.Empty() || len(n) != rsaBits/8 || n[0]&0x80 == 0 {
			return nil, fmt.Errorf("not a modulus of %d bits", rsaBits)
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: rsaExponent}, nil
	}
	var x, y cryptobyte.String
	size := (p.curve.Params().BitSize + 7) / 8
	if !s.ReadUint16LengthPrefixed(&x) || !s.ReadUint16LengthPrefixed(&y) || !s.Empty() || len(x) > size || len(y) > size {
		return nil, fmt.Errorf("not a point of %s", p.curve.Params().Name)
	}
	point := make([]byte, 1+2*size)
	point[0] = 4 // uncompressed, SEC 1 §2.3.3
	copy(point[1+size-len(x):], x)
	copy(point[1+2*size-len(y):], y)
	return ecdsa.ParseUncompressedPublicKey(p.curve, point)
}

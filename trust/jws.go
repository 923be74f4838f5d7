package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/speciecash/specie/trust/strictjson"
)

// Sizes in bytes.
const (
	MaxJWS     = 4 << 20 // a compact JWS, as text
	maxHeader  = 32 << 10
	maxCertDER = 8 << 10
)

// header is all that a protected header may hold. An unknown member is
// refused, so nothing (b64, crit, jku, kid, zip) can change how the rest is
// read.
type header struct {
	Alg string   `json:"alg"`
	Typ string   `json:"typ"`
	X5C []string `json:"x5c,omitempty"`
	JWK *okp     `json:"jwk,omitempty"`
}

// okp is an Ed25519 key as a JWK (RFC 8037 §2).
type okp struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
}

// parse takes a compact JWS apart and checks everything but keys and
// signature.
func parse(jws []byte, typ string) (*header, []byte, error) {
	if len(jws) > MaxJWS {
		return nil, nil, fmt.Errorf("%w: document of %d bytes", ErrMalformed, len(jws))
	}
	parts := bytes.Split(jws, []byte("."))
	if len(parts) != 3 {
		return nil, nil, fmt.Errorf("%w: not a compact JWS", ErrMalformed)
	}
	raw, err := decodeSegment(parts[0])
	if err != nil {
		return nil, nil, err
	}
	payload, err := decodeSegment(parts[1])
	if err != nil {
		return nil, nil, err
	}
	if _, err := decodeSegment(parts[2]); err != nil {
		return nil, nil, err
	}
	var h header
	if err := strictjson.Unmarshal(raw, maxHeader, &h); err != nil {
		return nil, nil, fmt.Errorf("%w: header: %v", ErrMalformed, err)
	}
	if h.Typ != typ {
		return nil, nil, fmt.Errorf("%w: not a %s", ErrType, typ)
	}
	return &h, payload, nil
}

// decodeSegment decodes base64url without padding in its only form: Go's
// decoder by itself lets line breaks and stray last bits through.
func decodeSegment(s []byte) ([]byte, error) {
	out := make([]byte, base64.RawURLEncoding.DecodedLen(len(s)))
	n, err := base64.RawURLEncoding.Strict().Decode(out, s)
	if err != nil || n != len(out) || n == 0 {
		return nil, fmt.Errorf("%w: a JWS segment is not base64url", ErrMalformed)
	}
	return out, nil
}

// sign makes the compact JWS and verifies it before it leaves, so that a
// token that signs wrongly is noticed here and not by whoever reads it.
func sign(typ string, payload []byte, signer crypto.Signer, alg jose.SignatureAlgorithm, opts *jose.SignerOptions) ([]byte, error) {
	if len(payload) == 0 {
		return nil, fmt.Errorf("%w: empty payload", ErrMalformed)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: cryptosigner.Opaque(signer)}, opts.WithType(jose.ContentType(typ)))
	if err != nil {
		return nil, fmt.Errorf("trust: sign %s: %w", typ, err)
	}
	obj, err := s.Sign(payload)
	if err != nil {
		return nil, fmt.Errorf("trust: sign %s: %w", typ, err)
	}
	text, err := obj.CompactSerialize()
	if err != nil {
		return nil, fmt.Errorf("trust: sign %s: %w", typ, err)
	}
	if len(text) > MaxJWS {
		return nil, fmt.Errorf("%w: document of %d bytes", ErrMalformed, len(text))
	}
	if err := verify([]byte(text), alg, signer.Public()); err != nil {
		return nil, fmt.Errorf("the new signature: %w", err)
	}
	return []byte(text), nil
}

// signECDSA is sign for a certified key, by hand: a bank signs a receipt for
// every deposit, and to read the certificates back out of the header, only to
// verify what was signed under the first of them, took longer than to sign.
func signECDSA(payload []byte, signer crypto.Signer, h header) ([]byte, error) {
	if len(payload) == 0 {
		return nil, fmt.Errorf("%w: empty payload", ErrMalformed)
	}
	raw, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("trust: sign %s: %w", h.Typ, err)
	}
	b64 := base64.RawURLEncoding
	text := make([]byte, 0, b64.EncodedLen(len(raw))+b64.EncodedLen(len(payload))+150)
	text = append(b64.AppendEncode(text, raw), '.')
	text = b64.AppendEncode(text, payload)

	key := signer.Public().(*ecdsa.PublicKey) // as the certificate's
	hash, size := crypto.SHA256, 32           // RFC 7518 §3.4
	if h.Alg == string(jose.ES384) {
		hash, size = crypto.SHA384, 48
	}
	summer := hash.New()
	summer.Write(text)
	digest := summer.Sum(nil)
	der, err := signer.Sign(rand.Reader, digest, hash)
	if err != nil {
		return nil, fmt.Errorf("trust: sign %s: %w", h.Typ, err)
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil || !ecdsa.VerifyASN1(key, digest, der) {
		return nil, fmt.Errorf("the new signature: %w: %s", ErrSignature, h.Alg)
	}
	both := make([]byte, 2*size) // in range, or it would not have verified
	sig.R.FillBytes(both[:size])
	sig.S.FillBytes(both[size:])
	text = b64.AppendEncode(append(text, '.'), both)
	if len(text) > MaxJWS {
		return nil, fmt.Errorf("%w: document of %d bytes", ErrMalformed, len(text))
	}
	return text, nil
}

// verify checks the signature alone.
func verify(jws []byte, alg jose.SignatureAlgorithm, key crypto.PublicKey) error {
	obj, err := jose.ParseSignedCompact(string(jws), []jose.SignatureAlgorithm{alg})
	if err != nil {
		return fmt.Errorf("%w: not a JWS with %s", ErrMalformed, alg)
	}
	if _, err := obj.Verify(key); err != nil {
		return fmt.Errorf("%w: %s", ErrSignature, alg)
	}
	return nil
}

// algorithm returns the one algorithm that a certified key signs with.
func algorithm(pub crypto.PublicKey) (jose.SignatureAlgorithm, error) {
	if key, ok := pub.(*ecdsa.PublicKey); ok {
		switch key.Curve {
		case elliptic.P256():
			return jose.ES256, nil
		case elliptic.P384():
			return jose.ES384, nil
		}
	}
	return "", fmt.Errorf("%w: no algorithm for this key", ErrMalformed)
}

package trust

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// KeyedDocument is a document signed by a key that it carries itself.
type KeyedDocument struct {
	Payload []byte
	Key     ed25519.PublicKey
	KeyID   string   // Thumbprint(Key)
	Digest  [32]byte // SHA-256 of Payload
}

// Thumbprint names an Ed25519 public key: base64url of its RFC 7638 SHA-256
// thumbprint as a JWK (RFC 8037 §2), 43 characters.
func Thumbprint(key ed25519.PublicKey) string {
	x := base64.RawURLEncoding.EncodeToString(key)
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// SignKeyed signs payload with an Ed25519 key and puts the public key into
// the header.
func SignKeyed(typ string, payload []byte, signer crypto.Signer) ([]byte, error) {
	if key, ok := signer.Public().(ed25519.PublicKey); !ok || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: the key is not Ed25519", ErrMalformed)
	}
	return sign(typ, payload, signer, jose.EdDSA, &jose.SignerOptions{EmbedJWK: true})
}

// VerifyKeyed reads a document of type typ that SignKeyed made. It proves
// that the holder of KeyedDocument.Key signed; whose key that is, the caller
// must know from elsewhere.
func VerifyKeyed(jws []byte, typ string) (*KeyedDocument, error) {
	h, payload, err := parse(jws, typ)
	if err != nil {
		return nil, err
	}
	if h.X5C != nil || h.JWK == nil || h.JWK.Kty != "OKP" || h.JWK.Crv != "Ed25519" {
		return nil, fmt.Errorf("%w: the header carries no Ed25519 key", ErrMalformed)
	}
	key, err := decodeSegment([]byte(h.JWK.X))
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: the key is not %d bytes", ErrMalformed, ed25519.PublicKeySize)
	}
	if err := verify(jws, jose.EdDSA, ed25519.PublicKey(key)); err != nil {
		return nil, err
	}
	return &KeyedDocument{Payload: payload, Key: key, KeyID: Thumbprint(key), Digest: sha256.Sum256(payload)}, nil
}

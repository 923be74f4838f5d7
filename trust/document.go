package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"time"
)

// Types of documents signed under a certificate, as they stand in "typ".
const (
	TypKeyset      = "specie-keyset+jws"
	TypGroup       = "specie-group+jws"
	TypSupervision = "specie-supervision+jws"
	TypReceipt     = "specie-receipt+jws"
	TypMember      = "specie-member+jws"
	TypSuccession  = "specie-succession+jws"
	// TypWarrant is signed by supervisors, one document each, TypOrder by a
	// group manager for his officers.
	TypWarrant = "specie-warrant+jws"
	TypOrder   = "specie-order+jws"
)

// Document is a document whose signature and signer have been verified.
type Document struct {
	Payload []byte
	Signer  Name
	Chain   []*x509.Certificate // leaf first, without the root
	Digest  [32]byte            // SHA-256 of Payload: two documents are the same if this is
}

// Sign signs payload as a document of the given type. chain is the signer's
// certificates, leaf first, without the root; signer holds the leaf's key.
// The result is a compact JWS of at most MaxJWS bytes.
func Sign(typ string, payload []byte, signer crypto.Signer, chain []*x509.Certificate) ([]byte, error) {
	if len(chain) < 1 || len(chain) > 2 {
		return nil, fmt.Errorf("%w: %d certificates, 1 or 2 expected", ErrChain, len(chain))
	}
	if key, ok := chain[0].PublicKey.(*ecdsa.PublicKey); !ok || !key.Equal(signer.Public()) {
		return nil, fmt.Errorf("%w: the signer is not the certificate's key", ErrChain)
	}
	alg, err := algorithm(signer.Public())
	if err != nil {
		return nil, err
	}
	x5c := make([]string, len(chain))
	for i, c := range chain {
		x5c[i] = base64.StdEncoding.EncodeToString(c.Raw)
	}
	return signECDSA(payload, signer, header{Alg: string(alg), Typ: typ, X5C: x5c})
}

// Verify reads a document: it must be of type typ, signed by a key that the
// root (directly or through a bank) certified for role, with all certificates
// valid at the given time. For a document that is looked at long after it was
// made, at is the time when the reader first received it.
//
// Which party of that role signed is in Document.Signer, for the caller to
// compare with what the payload says.
func (r *Root) Verify(jws []byte, typ string, role Role, at time.Time) (*Document, error) {
	h, payload, err := parse(jws, typ)
	if err != nil {
		return nil, err
	}
	if h.JWK != nil {
		return nil, fmt.Errorf("%w: a certified document carries no bare key", ErrMalformed)
	}
	chain, err := parseChain(h.X5C)
	if err != nil {
		return nil, err
	}
	name, err := r.CheckChain(chain, at)
	if err != nil {
		return nil, err
	}
	if name.Role != role {
		return nil, fmt.Errorf("%w: signed by %s, not by a %s", ErrRole, name, role)
	}
	alg, err := algorithm(chain[0].PublicKey)
	if err != nil {
		return nil, err
	}
	if err := verify(jws, alg, chain[0].PublicKey); err != nil {
		return nil, err
	}
	return &Document{Payload: payload, Signer: name, Chain: chain, Digest: sha256.Sum256(payload)}, nil
}

// parseChain reads "x5c" (RFC 7515 §4.1.6: base64, not base64url).
func parseChain(x5c []string) ([]*x509.Certificate, error) {
	if len(x5c) < 1 || len(x5c) > 2 {
		return nil, fmt.Errorf("%w: %d certificates, 1 or 2 expected", ErrChain, len(x5c))
	}
	chain := make([]*x509.Certificate, len(x5c))
	for i, text := range x5c {
		der, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || len(der) > maxCertDER {
			return nil, fmt.Errorf("%w: certificate %d is not base64 of at most %d bytes", ErrMalformed, i, maxCertDER)
		}
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("%w: certificate %d does not parse", ErrMalformed, i)
		}
	}
	return chain, nil
}

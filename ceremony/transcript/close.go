package transcript

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/trust"
)

// Algorithms of closing signatures, by the key's curve.
const (
	algP256 = "ecdsa-p256-sha256"
	algP384 = "ecdsa-p384-sha384"
)

const maxCertDER = 8 << 10

// Closed ends a ceremony that was done: the signature of whoever answers for
// it.
type Closed struct {
	By        string   `json:"by"`              // urn of the signer
	Chain     [][]byte `json:"chain,omitempty"` // certificates (DER), leaf first, without the root; none for the root itself
	Algorithm string   `json:"alg"`             // by the key's curve
	Signature []byte   `json:"signature"`       // ECDSA, ASN.1
}

// signed is what a closing signature covers: all entries through prev, and of
// the closing entry itself its number, time and signer.
func (c *Closed) signed(e *Entry) []byte {
	parts := [][]byte{[]byte("specie/transcript-close/1"), e.Prev[:], frame.Uint64(e.Seq),
		[]byte(e.At.Format(instantLayout)), []byte(c.By), []byte(c.Algorithm)}
	return frame.Join(append(parts, c.Chain...)...)
}

// algorithm names the algorithm of a key and hashes for it.
func algorithm(pub crypto.PublicKey, message []byte) (name string, digest []byte, hash crypto.Hash, err error) {
	if key, ok := pub.(*ecdsa.PublicKey); ok {
		switch key.Curve {
		case elliptic.P256():
			sum := sha256.Sum256(message)
			return algP256, sum[:], crypto.SHA256, nil
		case elliptic.P384():
			sum := sha512.Sum384(message)
			return algP384, sum[:], crypto.SHA384, nil
		}
	}
	return "", nil, 0, fmt.Errorf("%w: a transcript is closed by an ECDSA key on P-256 or P-384", ErrSignature)
}

// sign makes the data of the closing entry e, and verifies it before it
// leaves.
func sign(e *Entry, by trust.Name, chain []*x509.Certificate, signer crypto.Signer) (*Closed, error) {
	name, _, hash, err := algorithm(signer.Public(), nil)
	if err != nil {
		return nil, err
	}
	c := &Closed{By: by.URN(), Algorithm: name}
	for _, cert := range chain {
		c.Chain = append(c.Chain, cert.Raw)
	}
	_, digest, _, err := algorithm(signer.Public(), c.signed(e))
	if err != nil {
		return nil, err
	}
	if c.Signature, err = signer.Sign(rand.Reader, digest, hash); err != nil {
		return nil, fmt.Errorf("transcript: close: %w", err)
	}
	return c, c.verify(e, signer.Public())
}

func (c *Closed) verify(e *Entry, pub crypto.PublicKey) error {
	name, digest, _, err := algorithm(pub, c.signed(e))
	if err != nil {
		return err
	}
	if name != c.Algorithm || !ecdsa.VerifyASN1(pub.(*ecdsa.PublicKey), digest, c.Signature) {
		return fmt.Errorf("%w: not by the key of %s", ErrSignature, c.By)
	}
	return nil
}

// VerifyClose verifies the closing signature under the root, with the
// certificates judged at the time of closing, and returns who signed. Whether
// that party had to, the caller says. Errors: ErrOpen, ErrAbandoned,
// ErrSignature, ErrBroken and those of trust.
func (t *Transcript) VerifyClose(root *trust.Root) (trust.Name, error) {
	last, c, err := t.closing()
	if err != nil {
		return trust.Name{}, err
	}
	chain, err := c.certificates()
	if err != nil {
		return trust.Name{}, err
	}
	name, pub := trust.Name{Role: trust.RoleRoot}, root.Certificate().PublicKey
	if len(chain) > 0 {
		if name, err = root.CheckChain(chain, last.At); err != nil {
			return trust.Name{}, fmt.Errorf("transcript: closed by: %w", err)
		}
		pub = chain[0].PublicKey
	} else if err := checkRoot(root, last.At); err != nil {
		return trust.Name{}, err
	}
	if name.URN() != c.By {
		return trust.Name{}, fmt.Errorf("%w: certificates of %s, signed as %s", ErrSignature, name, c.By)
	}
	return name, c.verify(last, pub)
}

// closing is the last entry and its data, if it ends a ceremony that was done.
func (t *Transcript) closing() (*Entry, *Closed, error) {
	last := t.last()
	switch {
	case last == nil:
		return nil, nil, ErrOpen
	case last.Event == EventAbandoned:
		return nil, nil, ErrAbandoned
	case last.Event != EventClosed:
		return nil, nil, ErrOpen
	}
	c := &Closed{}
	if err := last.Decode(c); err != nil {
		return nil, nil, err
	}
	// Nothing follows whose prev would fix this line, so it has one form:
	// base64 has stray bits.
	if again, err := json.Marshal(c); err != nil || !bytes.Equal(again, last.Data) {
		return nil, nil, fmt.Errorf("%w: closing entry not as it was written", ErrBroken)
	}
	return last, c, nil
}

func (c *Closed) certificates() ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	if len(c.Chain) > 2 {
		return nil, fmt.Errorf("%w: %d certificates", ErrSignature, len(c.Chain))
	}
	for _, der := range c.Chain {
		if len(der) > maxCertDER {
			return nil, fmt.Errorf("%w: certificate of %d bytes", ErrSignature, len(der))
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%w: a certificate does not parse", ErrSignature)
		}
		out = append(out, cert)
	}
	return out, nil
}

func checkRoot(root *trust.Root, at time.Time) error {
	cert := root.Certificate()
	if at.Before(cert.NotBefore) || at.After(cert.NotAfter) {
		return fmt.Errorf("transcript: closed by the root: %w", trust.ErrExpired)
	}
	return nil
}

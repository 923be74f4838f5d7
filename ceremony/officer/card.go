package officer

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"filippo.io/age"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// Types of the documents that officers exchange, as they stand in "typ".
const (
	TypCard    = "specie-officer+jws"
	TypDealing = "specie-dealing+jws"
)

const maxCard = 4 << 10

// Card is what other officers need to know of one: who he is and to which
// key his shares are encrypted.
type Card struct {
	ID        string `json:"id"`
	Recipient string `json:"recipient"` // age X25519 recipient, "age1…"
}

type cardJSON struct {
	Version int `json:"v"`
	Card
}

// Accept takes the certificate that the root made for the officer's request:
// it must lead to the root at the given time, name him as supervisor and
// carry his key. It is kept as CertificateFile, and CardFile is written
// beside it. Errors: those of trust, ErrForeign, paper.ErrExists.
func (o *Officer) Accept(root *trust.Root, certificate []byte, at time.Time) ([]byte, error) {
	certPath, cardPath := filepath.Join(o.dir, CertificateFile), filepath.Join(o.dir, CardFile)
	if err := paper.Free(certPath, cardPath); err != nil {
		return nil, err
	}
	cert, err := o.check(root, certificate, at)
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(cardJSON{Version: 1, Card: Card{ID: o.ID, Recipient: o.identity.Recipient().String()}})
	if err != nil {
		return nil, fmt.Errorf("officer: card: %w", err)
	}
	card, err := trust.Sign(TypCard, payload, o.signer, []*x509.Certificate{cert})
	if err != nil {
		return nil, err
	}
	if err := paper.Write(certPath, certificate, paper.Public); err != nil {
		return nil, err
	}
	return card, paper.Write(cardPath, card, paper.Public)
}

// Card returns the officer's own card, or ErrNotCertified.
func (o *Officer) Card() ([]byte, error) {
	b, err := paper.Read(filepath.Join(o.dir, CardFile), trust.MaxJWS)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotCertified
	}
	return b, err
}

// Close ends the transcript of the officer's part of a ceremony with his
// signature. Errors: ErrNotCertified, those of trust and transcript.
func (o *Officer) Close(root *trust.Root, w *transcript.Writer, at time.Time) error {
	chain, err := o.chain(root, at)
	if err != nil {
		return err
	}
	return w.Close(trust.Name{Role: trust.RoleSupervisor, ID: o.ID}, chain, o.signer)
}

// check reads a certificate and says whether it is this officer's.
func (o *Officer) check(root *trust.Root, certificate []byte, at time.Time) (*x509.Certificate, error) {
	block, rest := pem.Decode(certificate)
	if block == nil || block.Type != "CERTIFICATE" || len(rest) != 0 {
		return nil, fmt.Errorf("%w: not one PEM certificate", ErrMalformed)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: certificate: %v", ErrMalformed, err)
	}
	name, err := root.CheckChain([]*x509.Certificate{cert}, at)
	if err != nil {
		return nil, err
	}
	if want := (trust.Name{Role: trust.RoleSupervisor, ID: o.ID}); name != want {
		return nil, fmt.Errorf("%w: certificate of %s, not of %s", ErrForeign, name, want)
	}
	if key, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || !key.Equal(o.signer.Public()) {
		return nil, fmt.Errorf("%w: the certificate is for another key", ErrForeign)
	}
	return cert, nil
}

// chain is the officer's certificate, checked again: it may have expired
// since it was accepted.
func (o *Officer) chain(root *trust.Root, at time.Time) ([]*x509.Certificate, error) {
	path := filepath.Join(o.dir, CertificateFile)
	b, err := paper.Read(path, maxPEM)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotCertified
	}
	if err != nil {
		return nil, err
	}
	cert, err := o.check(root, b, at)
	if err != nil {
		return nil, err
	}
	return []*x509.Certificate{cert}, nil
}

// ParseCard reads a signed card: the signer is the officer it is about.
func ParseCard(root *trust.Root, jws []byte, at time.Time) (*Card, error) {
	doc, err := root.Verify(jws, TypCard, trust.RoleSupervisor, at)
	if err != nil {
		return nil, fmt.Errorf("officer: card: %w", err)
	}
	var j cardJSON
	if err := strictjson.Unmarshal(doc.Payload, maxCard, &j); err != nil || j.Version != 1 {
		return nil, fmt.Errorf("%w: card", ErrMalformed)
	}
	if j.ID != doc.Signer.ID {
		return nil, fmt.Errorf("%w: a card signed by %s", ErrForeign, doc.Signer)
	}
	if _, err := age.ParseX25519Recipient(j.Recipient); err != nil {
		return nil, fmt.Errorf("%w: recipient of %s", ErrMalformed, j.ID)
	}
	return &j.Card, nil
}

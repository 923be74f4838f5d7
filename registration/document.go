package registration

import (
	"context"
	"fmt"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/groupdoc"
)

// documentAge is how old a document may get before it is signed anew.
const documentAge = 12 * time.Hour

// SignedDocument is the group's document as the manager publishes it.
type SignedDocument struct {
	// JWS is the compact JWS.
	JWS []byte
	// Epoch is the number of its current epoch.
	Epoch uint64
	// Digest is SHA-256 of its payload.
	Digest [32]byte
	issued time.Time
}

// Document returns the document of the current epoch. It is signed when an
// epoch begins and again when the last one is twelve hours old.
func (m *Manager) Document(_ context.Context) (*SignedDocument, error) {
	now := m.Now()
	e, err := m.cfg.Schedule.At(now)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if d := m.doc; d != nil && d.Epoch == e.Number && now.Sub(d.issued) < documentAge {
		return d, nil
	}
	d, err := m.sign(e, now)
	if err != nil && m.doc != nil && m.doc.Epoch == e.Number {
		// Old, but what it says still holds.
		m.log.Error("group document not signed anew", "group", m.cfg.ID, "error", err)
		return m.doc, nil
	}
	if err != nil {
		return nil, err
	}
	m.doc = d
	m.log.Info("group document signed", "group", m.cfg.ID, "epoch", d.Epoch)
	return d, nil
}

func (m *Manager) sign(e groupdoc.Epoch, now time.Time) (*SignedDocument, error) {
	issued := now.Truncate(time.Second)
	jws, err := groupdoc.Sign(m.cfg.Root, &groupdoc.Contents{
		ID:             m.cfg.ID,
		Seq:            uint64(issued.Unix()),
		Current:        e,
		Next:           m.cfg.Schedule.epoch(e.Number + 1),
		Template:       attest.GroupKeyTemplate(),
		EKKinds:        m.cfg.EKRoots.Kinds(),
		EKRoots:        m.cfg.EKRoots.Digest(),
		SoftwareTPMs:   m.cfg.SoftwareTPMs,
		W:              m.params.W,
		WProof:         m.proof,
		FormKey:        m.cfg.FormKey.PublicKey().Bytes(),
		SupervisionJWS: m.cfg.Supervision,
		Leaked:         m.cfg.Leaked,
		IssuedAt:       issued,
	}, m.cfg.Signer, m.cfg.Chain)
	if err != nil {
		return nil, fmt.Errorf("%w: document: %w", ErrUnavailable, err)
	}
	doc, err := groupdoc.Parse(m.cfg.Root, jws, issued)
	if err != nil {
		return nil, fmt.Errorf("registration: document: %w", err)
	}
	return &SignedDocument{JWS: jws, Epoch: e.Number, Digest: doc.Digest, issued: issued}, nil
}

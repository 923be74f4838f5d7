package registration

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/ledger"
)

const (
	// documentAge is how old a document may get before it is signed anew.
	documentAge = 12 * time.Hour
	// documentCounter is the register's counter of documents.
	documentCounter = "document"
	// signPause is the least time between two attempts to sign while there is
	// an older document to show.
	signPause = time.Second
)

// SignedDocument is the group's document as the manager publishes it.
type SignedDocument struct {
	// JWS is the compact JWS.
	JWS []byte
	// Seq is its number, Epoch that of its current epoch.
	Seq, Epoch uint64
	// Digest is SHA-256 of its payload.
	Digest [32]byte
	// Warrants is where the register of warrants stood.
	Warrants groupdoc.WarrantHead
	issued   time.Time
}

// Document returns the document of the current epoch. It is signed when an
// epoch begins, when what it says changes, and again when the last one is
// twelve hours old. Each has a number that the register gave out for it alone.
func (m *Manager) Document(ctx context.Context) (*SignedDocument, error) {
	now := m.Now()
	e, err := m.cfg.Schedule.At(now)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.doc
	if old != nil && old.Epoch != e.Number {
		old = nil
	}
	if old != nil && !m.stale && now.Sub(old.issued) < documentAge {
		return old, nil
	}
	if wait := now.Sub(m.tried); old != nil && wait >= 0 && wait < signPause {
		return old, nil
	}
	d, err := m.sign(ctx, m.policy.Load(), e, now)
	if err != nil && old != nil {
		// Old, but what it says still holds, but for what was added since.
		m.tried = now
		m.log.Error("group document not signed anew", "group", m.cfg.ID, "error", err)
		return old, nil
	}
	if err != nil {
		return nil, err
	}
	m.publish(d)
	return d, nil
}

// publish puts a document in the place of the last. The caller holds the lock.
func (m *Manager) publish(d *SignedDocument) {
	m.doc, m.stale, m.tried = d, false, time.Time{}
	m.log.Info("group document signed", "group", m.cfg.ID, "number", d.Seq, "epoch", d.Epoch)
}

func (m *Manager) sign(ctx context.Context, p *policy, e groupdoc.Epoch, now time.Time) (*SignedDocument, error) {
	head, err := m.warrantHead(ctx)
	if err != nil {
		return nil, err
	}
	// The number is taken before the document is signed: a crash in between
	// loses a number, and never signs two documents with one.
	seq, err := m.cfg.Register.Next(ctx, documentCounter)
	if err != nil {
		return nil, stored("document", err)
	}
	issued := now.Truncate(time.Second)
	jws, err := groupdoc.Sign(m.cfg.Root, &groupdoc.Contents{
		ID:             m.cfg.ID,
		Seq:            seq,
		Current:        e,
		Next:           m.cfg.Schedule.epoch(e.Number + 1),
		Template:       p.template,
		EKKinds:        p.EKRoots.Kinds(),
		EKRoots:        p.EKRoots.Digest(),
		SoftwareTPMs:   p.SoftwareTPMs,
		Platform:       p.Platform,
		W:              m.params.W,
		WProof:         m.proof,
		FormKey:        m.cfg.FormKey.PublicKey().Bytes(),
		SupervisionJWS: m.cfg.Supervision,
		Leaked:         p.Leaked,
		Warrants:       head,
		IssuedAt:       issued,
	}, m.cfg.Signer, m.cfg.Chain)
	if err != nil {
		return nil, fmt.Errorf("%w: document: %w", ErrUnavailable, err)
	}
	doc, err := groupdoc.Parse(m.cfg.Root, jws, issued)
	if err != nil {
		return nil, fmt.Errorf("registration: document: %w", err)
	}
	if err := m.keep(ctx, jws); err != nil {
		return nil, err
	}
	return &SignedDocument{JWS: jws, Seq: seq, Epoch: e.Number, Digest: doc.Digest, Warrants: head, issued: issued}, nil
}

// warrantHead is where the register of warrants stands.
func (m *Manager) warrantHead(ctx context.Context) (groupdoc.WarrantHead, error) {
	last, err := m.cfg.Register.LastWarrant(ctx)
	if errors.Is(err, ledger.ErrNotFound) {
		return groupdoc.WarrantHead{}, nil
	}
	if err != nil {
		return groupdoc.WarrantHead{}, stored("warrants", err)
	}
	return groupdoc.WarrantHead{Size: last.Seq, Head: last.Hash}, nil
}

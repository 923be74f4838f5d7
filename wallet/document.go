package wallet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/warrant"
)

// documentAge is how long a group document is used before a newer one is
// asked for: who asks at every payment tells the manager when he pays.
const documentAge = 12 * time.Hour

// groupDocument is the manager's document: the one in the purse while it is
// fresh, a newer one otherwise, the last one seen if he can't be reached. It
// must be of the group that the wallet joined, and no older than the one seen
// last. A register of warrants that does not continue the one seen last is
// ErrRegister, and the document in the purse stays.
func (w *Wallet) groupDocument(ctx context.Context) (*groupdoc.Document, error) {
	if w.document != nil {
		return w.document, nil
	}
	seen := w.enrolled.Document
	known, err := w.readDocument(seen.JWS)
	if err == nil && seen.fresh(w.now(), documentAge) {
		w.document = known
		return known, nil
	}
	brief, cancel := context.WithTimeout(ctx, briefly)
	defer cancel()
	doc, ferr := w.newestDocument(brief)
	switch {
	case ferr == nil:
		return doc, nil
	case err != nil || errors.Is(ferr, ErrRegister):
		return nil, ferr
	}
	w.document = known
	return known, nil
}

// newestDocument asks the manager, whatever the age of the document in the
// purse, and puts what he answers in its place.
func (w *Wallet) newestDocument(ctx context.Context) (*groupdoc.Document, error) {
	m, err := newManager(w.enrolled.ManagerURL, w.http)
	if err != nil {
		return nil, err
	}
	jws, doc, err := w.fetchDocument(ctx, m)
	if err != nil {
		return nil, err
	}
	// As of then: what it said binds its successors also when a certificate in it
	// has run out since.
	seen := w.enrolled.Document
	known, err := groupdoc.Parse(w.root, seen.JWS, seen.At)
	if err != nil {
		return nil, fmt.Errorf("group document seen last: %w", err)
	}
	if err := w.checkSuccessor(ctx, m, known, doc); err != nil {
		return nil, fmt.Errorf("group document: %w", err)
	}
	if err := w.changeMembership(ctx, func(m *membership) { m.Document = paper{JWS: jws, At: w.now()} }); err != nil {
		return nil, err
	}
	w.document = doc
	return doc, nil
}

// checkSuccessor says whether a document may take the place of the one seen
// last.
func (w *Wallet) checkSuccessor(ctx context.Context, m *manager, known, doc *groupdoc.Document) error {
	err := doc.After(known)
	// Newer, and yet its register is shorter or another: no mere old copy.
	rewritten := doc.Warrants.Size < known.Warrants.Size || doc.Warrants.Size == known.Warrants.Size && doc.Warrants != known.Warrants
	if err != nil && rewritten && doc.GroupID() == known.GroupID() && doc.Seq > known.Seq {
		return fmt.Errorf("%w: %w", ErrRegister, err)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return checkRegister(ctx, m, doc.ID, known.Warrants, doc.Warrants)
}

// checkRegister fetches the entries of the register of warrants between two
// heads, and checks that they lead from the one to the other.
func checkRegister(ctx context.Context, m *manager, group string, old, head groupdoc.WarrantHead) error {
	for old != head {
		part, err := m.warrants(ctx, old.Size)
		if err != nil {
			return err
		}
		entries := part.Entries
		if part.Group != group || len(entries) == 0 {
			return fmt.Errorf("%w: entries %d to %d are not shown", ErrRegister, old.Size+1, head.Size)
		}
		// The register may have grown since the document was signed.
		if more := head.Size - old.Size; uint64(len(entries)) > more {
			entries = entries[:more]
		}
		to := entries[len(entries)-1].Head()
		if to.Size == head.Size {
			to = head
		}
		if err := warrant.Extends(old, entries, to); err != nil {
			return fmt.Errorf("%w: %w", ErrRegister, err)
		}
		old = to
	}
	return nil
}

// readDocument reads the document in the purse; it must say something about
// the present.
func (w *Wallet) readDocument(jws []byte) (*groupdoc.Document, error) {
	doc, err := groupdoc.Parse(w.root, jws, w.now())
	if err != nil {
		return nil, err
	}
	_, err = doc.EpochAt(w.now())
	return doc, err
}

// fetchDocument gets the manager's document and verifies it against the root,
// all supervisors' signatures included. Its key template must be one that this
// wallet knows: another could make keys that leave the TPM.
func (w *Wallet) fetchDocument(ctx context.Context, m *manager) ([]byte, *groupdoc.Document, error) {
	jws, err := m.document(ctx)
	if err != nil {
		return nil, nil, err
	}
	doc, err := groupdoc.Parse(w.root, jws, w.now())
	if err != nil {
		return nil, nil, fmt.Errorf("group document: %w", err)
	}
	if err := attest.CheckPlatform(doc.Platform); err != nil {
		return nil, nil, fmt.Errorf("group document: %w: %w", ErrAnswer, err)
	}
	if !bytes.Equal(doc.Template, attest.ClassTemplate(doc.Platform)) {
		return nil, nil, fmt.Errorf("group document: %w: it asks for a TPM key of another make", ErrAnswer)
	}
	return jws, doc, nil
}

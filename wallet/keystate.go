package wallet

import (
	"context"
	"errors"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
)

// TryKey says whether the member's key can be loaded into a TPM. It asks for no PIN
// and signs nothing, so a wrong PIN, or a platform that is not approved, does not
// show. Errors: those of [Wallet.AttachTPM] but for these.
func (w *Wallet) TryKey(ctx context.Context, address string) error {
	if w.enrolled == nil {
		return ErrNotEnrolled
	}
	doc, err := groupdoc.Parse(w.root, w.enrolled.Document.JWS, w.enrolled.Document.At)
	if err != nil {
		return err
	}
	if _, err := w.readKey(w.enrolled.keyRef); err != nil {
		return err
	}
	dev, err := openTPM(ctx, TPM{Address: address})
	if err != nil {
		return err
	}
	_, err = w.openKey(ctx, dev, TPM{}, doc.Platform, w.enrolled.keyRef, w.enrolled.EKID)
	if errors.Is(err, ErrPINNeeded) {
		err = nil
	}
	return errors.Join(err, dev.Close())
}

// CredentialEnds is when the credential in the purse runs out: until then bound
// coins can be spent, whatever the manager does. It is zero if it has run out.
func (w *Wallet) CredentialEnds(ctx context.Context) (time.Time, error) {
	if w.enrolled == nil {
		return time.Time{}, ErrNotEnrolled
	}
	doc, err := w.groupDocument(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return w.credentialEnds(doc)
}

func (w *Wallet) credentialEnds(doc *groupdoc.Document) (time.Time, error) {
	cred, err := group.ParseCredential(w.enrolled.Credential)
	if err != nil {
		return time.Time{}, err
	}
	for _, e := range []groupdoc.Epoch{doc.Current, doc.Next} {
		if cred.Epoch == e.Number && w.now().Before(e.Ends) {
			return e.Ends, nil
		}
	}
	return time.Time{}, nil
}

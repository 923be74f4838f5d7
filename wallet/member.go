package wallet

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/successor"
	"github.com/speciecash/specie/tpm"
)

// membership is what the purse keeps of an enrolment. Nothing in it is secret
// but to whoever holds the TPM as well. The key itself lies in a file beside the
// purse.
type membership struct {
	keyRef
	ManagerURL string `json:"manager_url"`
	Group      string `json:"group"`
	GroupID    []byte `json:"group_id"`
	Member     string `json:"member"`
	// EKKind and EKID (attest.EKID) are the endorsement key that the manager was
	// shown: by it a TPM that was cleared is told from another one. The ID is
	// empty where an earlier version of this program enrolled.
	EKKind     string `json:"ek_kind"`
	EKID       []byte `json:"ek_id,omitempty"`
	Tag        []byte `json:"tag"`
	Credential []byte `json:"credential"`
	Document   paper  `json:"document"`

	// Blob is where earlier versions of this program kept the key.
	Blob *tpm.Blob `json:"key,omitempty"`

	groupID [32]byte
}

// Enrolled says whether the wallet is a member of a group.
func (w *Wallet) Enrolled() bool { return w.enrolled != nil }

// AttachTPM opens the TPM and loads the member's key, and renews the
// credential if its epoch has passed. The key is tried at once, so that a wrong
// PIN, or a platform that the manager has not approved, shows here and not in
// the midst of a payment; t.PIN is asked once, and not at all for a key without
// one.
//
// Errors, besides those of package tpm: [ErrNotEnrolled]; [ErrKeyFile];
// [ErrPINNeeded], [ErrPIN], [ErrLockout]; [ErrCleared] if the TPM was cleared
// since, [ErrWrongTPM] for another one; [ErrRegister].
func (w *Wallet) AttachTPM(ctx context.Context, t TPM) error {
	if w.enrolled == nil {
		return ErrNotEnrolled
	}
	if w.member != nil {
		return nil
	}
	doc, err := w.groupDocument(ctx)
	if err != nil {
		return err
	}
	dev, err := openTPM(ctx, t)
	if err != nil {
		return err
	}
	key, err := w.attach(ctx, dev, t, doc)
	if err != nil {
		return errors.Join(platformError(doc.ID, keyError(err)), dev.Close()) // and with it the key
	}
	w.key = attachedKey{key, doc.ID}
	w.closeKey = func() error { return errors.Join(key.Close(), dev.Close()) }
	w.tags = t.Tags
	t.Opening.report(openingSteps, openingSteps)
	return nil
}

// openingSteps is how many steps AttachTPM reports: the key is tried, and there is
// a credential of this epoch.
const openingSteps = 2

func (w *Wallet) attach(ctx context.Context, dev *tpm.Device, t TPM, doc *groupdoc.Document) (*tpm.GroupKey, error) {
	opened, err := w.openKey(ctx, dev, t, doc.Platform, w.enrolled.keyRef, w.enrolled.EKID)
	if err != nil {
		return nil, err
	}
	t.Opening.report(0, openingSteps) // and not while a person types
	key, err := w.tryKey(ctx, dev, opened, doc)
	if errors.Is(err, tpm.ErrPlatform) {
		// The machine was updated; the manager may have approved of it since.
		newer, ferr := w.newestDocument(ctx)
		if ferr != nil || newer.Digest == doc.Digest {
			return nil, err
		}
		doc = newer
		key, err = w.tryKey(ctx, dev, opened, doc)
	}
	if err != nil {
		return nil, err
	}
	t.Opening.report(1, openingSteps)
	return key, w.enter(ctx, doc, key)
}

// tryKey loads the key and uses it once: its PIN must be right, and it must be
// the member's. A purse of before learns which TPM it is in.
func (w *Wallet) tryKey(ctx context.Context, dev *tpm.Device, opened *openedKey, doc *groupdoc.Document) (*tpm.GroupKey, error) {
	key, err := opened.load(ctx, dev, doc.Platform)
	if err != nil {
		return nil, err
	}
	tag, err := group.Tag(ctx, key)
	if err != nil {
		return nil, errors.Join(err, key.Close())
	}
	if !bytes.Equal(tag[:], w.enrolled.Tag) {
		return nil, errors.Join(fmt.Errorf("%w: the key in it is not the member's", ErrKeyFile), key.Close())
	}
	if len(w.enrolled.EKID) > 0 {
		return key, nil
	}
	id, err := someEK(ctx, dev)
	if err != nil {
		return key, nil // it can be learnt another time
	}
	return key, w.changeMembership(ctx, func(m *membership) { m.EKID = id })
}

// enter makes the wallet the member that its key is, with a credential of the
// present epoch.
func (w *Wallet) enter(ctx context.Context, doc *groupdoc.Document, key *tpm.GroupKey) error {
	secret, err := group.DeriveWalletSecret(w.seed[:], doc.GroupID(), key.Name())
	if err != nil {
		return err
	}
	cred, err := group.ParseCredential(w.enrolled.Credential)
	if err != nil {
		return err
	}
	if w.checkEpoch(doc, cred) != nil {
		m, err := newManager(w.enrolled.ManagerURL, w.http)
		if err != nil {
			return err
		}
		id, err := enrol.ParseID(w.enrolled.Member)
		if err != nil {
			return err
		}
		var words line
		cred, words, err = w.renew(ctx, m, doc, id, w.enrolled.EKKind, key, w.enrolled.Tag, secret)
		if err != nil {
			return fmt.Errorf("renew: %w", errors.Join(err, w.learnEnd(ctx, err)))
		}
		if err := w.renewed(ctx); err != nil {
			return err
		}
		if err := w.keepWords(ctx, words); err != nil {
			return err
		}
		if err := w.changeMembership(ctx, func(m *membership) { m.Credential = cred.Bytes() }); err != nil {
			return err
		}
	}
	w.member, err = group.NewMember(doc.Parameters(), [33]byte(w.enrolled.Tag), secret, cred)
	return err
}

func (w *Wallet) changeMembership(ctx context.Context, change func(*membership)) error {
	next := *w.enrolled
	change(&next)
	if err := w.purse.put(ctx, metaMembership, next); err != nil {
		return err
	}
	w.enrolled = &next
	return nil
}

// checkEpoch returns ErrEpoch unless the credential is of the epoch that this
// wallet's clock is in. Shortly before an epoch ends, the next one's counts
// too: the manager's clock may be ahead, and everybody accepts it.
func (w *Wallet) checkEpoch(doc *groupdoc.Document, cred group.Credential) error {
	now := w.now()
	e, err := doc.EpochAt(now)
	if err != nil {
		return err
	}
	if cred.Epoch == e.Number || (cred.Epoch == e.Number+1 && e.Ends.Sub(now) <= groupdoc.EpochSkew) {
		return nil
	}
	return fmt.Errorf("%w: credential for %d, the group is at %d", ErrEpoch, cred.Epoch, e.Number)
}

// renew gets the credential of the current epoch, and with it the manager's words
// on former memberships, signed anew: only this TPM can read them.
func (w *Wallet) renew(ctx context.Context, m *manager, doc *groupdoc.Document, id enrol.ID, ekKind string, key *tpm.GroupKey, tag []byte, secret group.WalletSecret) (cred group.Credential, words line, err error) {
	sealed, err := m.renew(ctx, id)
	if err != nil {
		return cred, words, err
	}
	answer, err := release(ctx, key, ekKind, sealed.challenge)
	if err != nil {
		return cred, words, err
	}
	if cred, err = answer.OpenCredential(id, sealed.epoch, sealed.sealed); err != nil {
		return cred, words, err
	}
	if err := w.checkEpoch(doc, cred); err != nil {
		return cred, words, err
	}
	if len(sealed.sealedLine) > 0 {
		jws, err := answer.OpenLine(id, sealed.sealedLine)
		if err != nil {
			return cred, words, err
		}
		if words, err = w.readLine(doc.ID, jws, tag); err != nil {
			return cred, words, err
		}
	}
	return cred, words, firstPresentation(ctx, doc, key, tag, secret, cred)
}

// release opens a challenge in the TPM.
func release(ctx context.Context, key *tpm.GroupKey, ekKind string, c challenge) (enrol.Secret, error) {
	b, err := key.ActivateCredential(ctx, ekKind, c.Blob, c.Secret)
	if err != nil {
		return enrol.Secret{}, err
	}
	return enrol.NewSecret(b)
}

// firstPresentation checks a credential by pairing, and makes and verifies one
// presentation with it: some old firmware computes ECDAA otherwise.
func firstPresentation(ctx context.Context, doc *groupdoc.Document, key group.Key, tag []byte, secret group.WalletSecret, cred group.Credential) error {
	member, err := group.NewMember(doc.Parameters(), [33]byte(tag), secret, cred)
	if err != nil {
		return err
	}
	if _, err := member.Present(ctx, key, []byte("specie/first-presentation/1"), nil); err != nil {
		return fmt.Errorf("first presentation: %w", err)
	}
	return nil
}

// ownVerifier verifies presentations of this wallet's own group, or nothing
// if it has none.
func (w *Wallet) ownVerifier(ctx context.Context) coin.PresentationVerifier {
	if w.enrolled == nil {
		return nil
	}
	doc, err := w.groupDocument(ctx)
	if err != nil {
		return nil
	}
	v, err := doc.Verifier(w.now())
	if err != nil {
		return nil
	}
	return coin.WithSuccessors(coin.NewPresentationVerifier(v), &successor.Verifier{Root: w.root, Doc: doc})
}

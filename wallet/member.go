package wallet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
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
// credential if its epoch has passed. A key that has a PIN is tried at once, so
// that a wrong one shows here and not in the midst of a payment; t.PIN is asked
// once, and not at all for a key without one.
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
	dev, err := openTPM(ctx, t)
	if err != nil {
		return err
	}
	key, err := w.loadKey(ctx, dev, t, w.enrolled.keyRef, w.enrolled.EKID)
	if err != nil {
		return errors.Join(err, dev.Close())
	}
	if err := w.attach(ctx, dev, key); err != nil {
		return errors.Join(w.keyError(ctx, dev, err), key.Close(), dev.Close())
	}
	w.key = key
	w.closeKey = func() error { return errors.Join(key.Close(), dev.Close()) }
	return nil
}

func (w *Wallet) attach(ctx context.Context, dev *tpm.Device, key *tpm.GroupKey) error {
	if err := w.tryKey(ctx, dev, key); err != nil {
		return err
	}
	doc, err := w.groupDocument(ctx)
	if err != nil {
		return err
	}
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
		cred, err = w.renew(ctx, m, doc, id, w.enrolled.EKKind, key, w.enrolled.Tag, secret)
		if err != nil {
			return fmt.Errorf("renew: %w", err)
		}
		if err := w.changeMembership(ctx, func(m *membership) { m.Credential = cred.Bytes() }); err != nil {
			return err
		}
	}
	w.member, err = group.NewMember(doc.Parameters(), [33]byte(w.enrolled.Tag), secret, cred)
	return err
}

// tryKey uses the key once: its PIN must be right, and it must be the member's.
// A purse of before learns which TPM it is in.
func (w *Wallet) tryKey(ctx context.Context, dev *tpm.Device, key *tpm.GroupKey) error {
	tag, err := group.Tag(ctx, key)
	if err != nil {
		return err
	}
	if !bytes.Equal(tag[:], w.enrolled.Tag) {
		return fmt.Errorf("%w: the key in it is not the member's", ErrKeyFile)
	}
	if len(w.enrolled.EKID) > 0 {
		return nil
	}
	id, err := someEK(ctx, dev)
	if err != nil {
		return nil // it can be learnt another time
	}
	return w.changeMembership(ctx, func(m *membership) { m.EKID = id })
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

// renew gets the credential of the current epoch: only this TPM can read it.
func (w *Wallet) renew(ctx context.Context, m *manager, doc *groupdoc.Document, id enrol.ID, ekKind string, key *tpm.GroupKey, tag []byte, secret group.WalletSecret) (group.Credential, error) {
	var none group.Credential
	sealed, err := m.renew(ctx, id)
	if err != nil {
		return none, err
	}
	answer, err := release(ctx, key, ekKind, sealed.challenge)
	if err != nil {
		return none, err
	}
	cred, err := answer.OpenCredential(id, sealed.epoch, sealed.sealed)
	if err != nil {
		return none, err
	}
	if err := w.checkEpoch(doc, cred); err != nil {
		return none, err
	}
	return cred, firstPresentation(ctx, doc, key, tag, secret, cred)
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

// documentAge is how long a group document is used before a newer one is
// asked for: who asks at every payment tells the manager when he pays.
const documentAge = 12 * time.Hour

// groupDocument is the manager's document: the one in the purse while it is
// fresh, a newer one otherwise, the last one seen if he can't be reached. It
// must be of the group that the wallet joined, and no older than the one seen
// last.
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
	m, merr := newManager(w.enrolled.ManagerURL, w.http)
	if merr != nil {
		return nil, merr
	}
	brief, cancel := context.WithTimeout(ctx, briefly)
	defer cancel()
	jws, doc, ferr := w.fetchDocument(brief, m)
	if ferr == nil && known != nil {
		if err := doc.After(known); err != nil {
			ferr = fmt.Errorf("group document: %w: %w", ErrAnswer, err)
		}
	}
	if ferr != nil {
		if err != nil {
			return nil, ferr
		}
		w.document = known
		return known, nil
	}
	if doc.GroupID() != w.enrolled.groupID {
		return nil, fmt.Errorf("group document: %w: it is another group's", ErrAnswer)
	}
	if err := w.changeMembership(ctx, func(m *membership) { m.Document = paper{JWS: jws, At: w.now()} }); err != nil {
		return nil, err
	}
	w.document = doc
	return doc, nil
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
// all supervisors' signatures included. Its key template must be the one this
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
	if !bytes.Equal(doc.Template, attest.GroupKeyTemplate()) {
		return nil, nil, fmt.Errorf("group document: %w: it asks for a TPM key of another make", ErrAnswer)
	}
	return jws, doc, nil
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
	return coin.NewPresentationVerifier(v)
}

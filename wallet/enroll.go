package wallet

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/tpm"
)

// enrolling is an enrolment that has begun, on disk under its group: a manager
// who moved to another address is still the same. Every step is written down
// before it is taken, so a crash costs a repetition and no membership.
type enrolling struct {
	keyRef
	// EKID is the TPM in which the key was made.
	EKID []byte `json:"ek_id,omitempty"`
	// EKKind, Tag, Session and Join are of the last join that was sent, Name and
	// the digest of the Code were in it.
	EKKind  string `json:"ek_kind,omitempty"`
	Tag     []byte `json:"tag,omitempty"`
	Session string `json:"session,omitempty"`
	Join    []byte `json:"join,omitempty"`
	Name    string `json:"name,omitempty"`
	Code    []byte `json:"code,omitempty"`
	// Challenge is the answer to it. The manager may have used the session up
	// from here on, and answers a repeated activation only.
	Challenge *challenge `json:"challenge,omitempty"`

	// Blob is where earlier versions of this program kept the key.
	Blob *tpm.Blob `json:"key,omitempty"`
}

// challenge is what only this TPM can open.
type challenge struct {
	Blob   []byte `json:"blob"`
	Secret []byte `json:"secret"`
}

// Enrolment is what a person says when he enrols.
type Enrolment struct {
	// ManagerURL is the group manager's REST address, see client.CheckAddress.
	ManagerURL string
	// Name is the person's, for the form that the manager alone can read.
	Name string
	// NewPIN is asked for the PIN of the key that is made, see [CheckPIN]; an
	// empty one is none, and so is nil. An enrolment that is taken up has its key
	// already and asks TPM.PIN.
	NewPIN AskPIN
	// Code continues an earlier membership, whose TPM was cleared or is gone: the
	// manager hands it out. The new one has a key of its own, and the same name.
	// Without it a wallet enrols once.
	Code enrol.Code
	// Anew gives up the key of an enrolment that was begun and not finished, whose
	// PIN is forgotten. A key that the manager may have made a member of is kept,
	// [ErrUnfinished], unless there is a code.
	Anew bool
	// EKCertificates are shown in place of those in the TPM: the endorsement
	// key's, DER, and any of authorities above it; see ParseEKCertificates.
	EKCertificates [][]byte
	// FetchEKCertificate allows to ask the TPM's maker for the certificate, where
	// the TPM stores none. He learns that this TPM is being enrolled.
	FetchEKCertificate bool
	// Note is told, in a sentence for the person, what he should know of this
	// group. It may be nil.
	Note func(sentence string)
}

// Membership is what a person is shown of his enrolment.
type Membership struct {
	Group  string `json:"group"`
	Member string `json:"member"`
	Epoch  uint64 `json:"epoch"`
	EK     string `json:"ek"`
	// KeyFile is the path of the key's file, PIN says that the key has one.
	KeyFile string `json:"key_file"`
	PIN     bool   `json:"pin"`
	// Succeeds is the member whom this one succeeds, if there is one.
	Succeeds string `json:"succeeds,omitempty"`
}

// candidate is one go at enrolling.
type candidate struct {
	Enrolment
	w       *Wallet
	manager *manager
	doc     *groupdoc.Document
	device  *tpm.Device
	tpm     TPM
	step    func(int)

	meta   string // where state lies
	state  enrolling
	key    *tpm.GroupKey
	secret group.WalletSecret
	opened *session // with the manager, and nothing was sent in it yet
	before bool     // the key is of an earlier attempt
	line   line     // the manager's words, if the code was good
}

// enrolSteps is how many steps Enroll reports.
const enrolSteps = 5

// Enroll registers a TPM with a group manager under a name: EK chain, join
// proof, credential activation. The wallet calls itself enrolled only after it
// has checked the credential and made and verified one presentation. An
// interrupted enrolment is taken up where it stopped.
//
// With a code the wallet becomes the successor of the member whom it was, if it
// was one: that membership is kept among the former ones (see formerly) with
// the manager's word for it, and coins that were bound to its key stay in the
// purse, but can't be spent.
func (w *Wallet) Enroll(ctx context.Context, t TPM, e Enrolment, p Progress) (*Membership, error) {
	if w.enrolled != nil && e.Code.IsZero() {
		return nil, fmt.Errorf("%w with %s", ErrEnrolled, w.enrolled.Group)
	}
	if w.member != nil {
		return nil, fmt.Errorf("%w, and its TPM is in use", ErrEnrolled)
	}
	if err := enrol.CheckName(e.Name); err != nil {
		return nil, err
	}
	m, err := newManager(e.ManagerURL, w.http)
	if err != nil {
		return nil, err
	}
	jws, doc, err := w.fetchDocument(ctx, m)
	if err != nil {
		return nil, err
	}
	if err := w.checkFirst(ctx, m, doc); err != nil {
		return nil, err
	}
	dev, err := openTPM(ctx, t)
	if err != nil {
		return nil, err
	}
	p.report(1, enrolSteps)
	c := &candidate{Enrolment: e, w: w, manager: m, doc: doc, device: dev, tpm: t, step: func(n int) { p.report(n, enrolSteps) }}
	got, cred, err := c.run(ctx)
	if err = errors.Join(err, dev.Close()); err != nil {
		return nil, err
	}
	got.ManagerURL, got.Document = e.ManagerURL, paper{JWS: jws, At: w.now()}
	out := &Membership{Group: got.Group, Member: got.Member, Epoch: cred.Epoch, EK: got.EKKind, KeyFile: w.keyPath(got.keyRef), PIN: c.hasPIN()}
	if out.Succeeds, err = c.settle(ctx, got); err != nil {
		return nil, err
	}
	p.report(enrolSteps, enrolSteps)
	return out, nil
}

// checkFirst holds a document against the one seen last, if there is one, or its
// register of warrants against its own entries.
func (w *Wallet) checkFirst(ctx context.Context, m *manager, doc *groupdoc.Document) error {
	if w.enrolled != nil && w.enrolled.groupID == doc.GroupID() {
		known, err := groupdoc.Parse(w.root, w.enrolled.Document.JWS, w.enrolled.Document.At)
		if err != nil {
			return fmt.Errorf("group document seen last: %w", err)
		}
		return w.checkSuccessor(ctx, m, known, doc)
	}
	return checkRegister(ctx, m, doc.ID, groupdoc.WarrantHead{}, doc.Warrants)
}

func (c *candidate) run(ctx context.Context) (*membership, group.Credential, error) {
	var none group.Credential
	if old := c.w.enrolled; old != nil && old.groupID != c.doc.GroupID() {
		return nil, none, fmt.Errorf("%w with %s, and this is another group", ErrEnrolled, old.Group)
	}
	if c.doc.SoftwareTPMs {
		c.note(softwareWords)
	}
	if err := c.loadKey(ctx); err != nil {
		return nil, none, keyError(err)
	}
	defer func() { c.key.Close() }() // it may be another by then
	if err := c.deriveSecret(); err != nil {
		return nil, none, err
	}
	c.step(2)
	id, cred, err := c.activate(ctx)
	if err != nil {
		return nil, none, platformError(c.doc.ID, c.keyError(err))
	}
	c.step(4)
	if c.w.checkEpoch(c.doc, cred) != nil {
		// Taken up in a later epoch than it was begun in.
		cred, _, err = c.w.renew(ctx, c.manager, c.doc, id, c.state.EKKind, c.key, c.state.Tag, c.secret)
	} else {
		err = firstPresentation(ctx, c.doc, c.key, c.state.Tag, c.secret, cred)
	}
	if err != nil {
		return nil, none, err
	}
	groupID := c.doc.GroupID()
	return &membership{
		Group: c.doc.ID, GroupID: groupID[:], Member: id.String(), EKKind: c.state.EKKind, EKID: c.state.EKID,
		keyRef: c.state.keyRef, Tag: c.state.Tag, Credential: cred.Bytes(), groupID: groupID,
	}, cred, nil
}

// softwareWords is what to know of a group that takes emulated TPMs.
const softwareWords = "this group takes emulated TPMs too, which keep no secret from their owner: it is for tests, not for money"

// settle makes the candidate the member that the wallet is, in one transaction.
// It returns the member whom it succeeds.
func (c *candidate) settle(ctx context.Context, got *membership) (succeeds string, err error) {
	old := c.w.enrolled
	err = c.w.purse.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM meta WHERE key = ?", c.meta); err != nil {
			return fmt.Errorf("purse: %w", err)
		}
		if old != nil {
			if err := c.w.leave(ctx, tx, old, c.line, got.Tag); err != nil {
				return err
			}
		}
		return putMeta(ctx, tx, metaMembership, got)
	})
	if err != nil {
		return "", err
	}
	c.w.enrolled, c.w.document = got, nil
	if old == nil {
		return "", nil
	}
	return old.Member, nil
}

// hasPIN says whether the key has a PIN, as its file has it.
func (c *candidate) hasPIN() bool {
	file, err := c.w.readKey(c.state.keyRef)
	return err == nil && file.NeedsAuth
}

// loadKey makes the group key, or loads the one that was made before.
func (c *candidate) loadKey(ctx context.Context) error {
	id := c.doc.GroupID()
	c.meta = metaEnrolling + " " + hex.EncodeToString(id[:])
	found, err := c.w.purse.get(ctx, c.meta, &c.state)
	if err != nil {
		return err
	}
	if found && c.state.Blob != nil {
		if c.state.keyRef, err = c.w.moveKey(c.doc.ID, *c.state.Blob); err != nil {
			return err
		}
		c.state.Blob = nil
		if err := c.save(ctx); err != nil {
			return err
		}
	}
	if found {
		if err := c.state.check(); err != nil {
			return err
		}
	}
	if found && c.Anew {
		if err := c.giveUp(ctx); err != nil {
			return err
		}
		found = false
	}
	if found && c.fits() {
		if err := c.takeUp(ctx); err == nil || !c.abandons(err) {
			return err
		}
	}
	return c.makeKey(ctx)
}

func (c *candidate) makeKey(ctx context.Context) (err error) {
	c.state, c.before = enrolling{}, false
	// What the manager refuses, he refuses before anybody is asked for a PIN.
	if err := c.open(ctx); err != nil {
		return err
	}
	if c.state.EKID, err = someEK(ctx, c.device); err != nil {
		return err
	}
	ref, key, err := c.w.makeKey(ctx, c.device, c.doc, c.NewPIN)
	if err != nil {
		return err
	}
	c.state.keyRef, c.key = ref, key
	return c.save(ctx)
}

// newKey puts a new key in the place of one that has been a member's.
func (c *candidate) newKey(ctx context.Context) error {
	old := c.key
	if err := c.makeKey(ctx); err != nil {
		return err
	}
	return errors.Join(old.Close(), c.deriveSecret())
}

// deriveSecret finds the wallet's part of the membership, which is the key's.
func (c *candidate) deriveSecret() (err error) {
	c.secret, err = group.DeriveWalletSecret(c.w.seed[:], c.doc.GroupID(), c.key.Name())
	return err
}

// abandons says whether a key that can't be loaded is given up for a new one.
// One that was never shown to the manager is, since nothing hangs on it; so is
// one that is gone for good: the manager says whether it became a member. One in
// another TPM is to be used there, unless there is a code.
func (c *candidate) abandons(err error) bool {
	switch {
	case errors.Is(err, ErrCleared), errors.Is(err, ErrKeyFile):
		return true
	case errors.Is(err, ErrWrongTPM):
		return c.state.Session == "" || !c.Code.IsZero()
	}
	return false
}

func (c *candidate) save(ctx context.Context) error { return c.w.purse.put(ctx, c.meta, c.state) }

package wallet

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/groupclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/tpm"
)

// membership is what the purse keeps of an enrolment. Nothing in it is secret
// but to whoever holds the TPM as well.
type membership struct {
	ManagerURL string   `json:"manager_url"`
	Group      string   `json:"group"`
	GroupID    []byte   `json:"group_id"`
	Member     string   `json:"member"`
	EKKind     string   `json:"ek_kind"`
	Key        tpm.Blob `json:"key"`
	Tag        []byte   `json:"tag"`
	Credential []byte   `json:"credential"`
	Document   []byte   `json:"document"`

	groupID [32]byte
}

// enrolling is an enrolment that has begun. The key is made once, and the
// join is on disk before it is sent, so a crash costs a repetition and no
// second membership.
type enrolling struct {
	ManagerURL string   `json:"manager_url"`
	EKKind     string   `json:"ek_kind"`
	Key        tpm.Blob `json:"key"`
	Tag        []byte   `json:"tag,omitempty"`
	Session    string   `json:"session,omitempty"`
	Join       []byte   `json:"join,omitempty"`
}

// Enrolled says whether the wallet is a member of a group.
func (w *Wallet) Enrolled() bool { return w.enrolled != nil }

// Membership is what a person is shown of his enrolment.
type Membership struct {
	Group  string `json:"group"`
	Member string `json:"member"`
	Epoch  uint64 `json:"epoch"`
	EK     string `json:"ek"`
}

// Enroll registers the TPM with a group manager under a name: EK chain, join
// proof, credential activation. The wallet calls itself enrolled only after it
// has checked the credential and made and verified one presentation. An
// interrupted enrolment is taken up where it stopped.
func (w *Wallet) Enroll(ctx context.Context, managerURL, name, tcti string, p Progress) (*Membership, error) {
	if w.enrolled != nil {
		return nil, fmt.Errorf("%w with %s", ErrEnrolled, w.enrolled.Group)
	}
	m, err := newManager(managerURL)
	if err != nil {
		return nil, err
	}
	jws, doc, err := w.fetchDocument(ctx, m)
	if err != nil {
		return nil, err
	}
	dev, err := openTPM(ctx, tcti)
	if err != nil {
		return nil, err
	}
	const steps = 5
	p.report(1, steps)
	out, err := w.enroll(ctx, m, doc, dev, name, func(n int) { p.report(n, steps) })
	if err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	out.Document = jws
	if err := w.finishEnrolment(ctx, out); err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	if err := dev.Close(); err != nil {
		return nil, err
	}
	p.report(steps, steps)
	cred, err := group.ParseCredential(out.Credential)
	if err != nil {
		return nil, err
	}
	return &Membership{Group: out.Group, Member: out.Member, Epoch: cred.Epoch, EK: out.EKKind}, nil
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

func openTPM(ctx context.Context, tcti string) (*tpm.Device, error) {
	dev, err := tpm.Open(ctx, tcti)
	if err != nil {
		return nil, err
	}
	if err := dev.Probe(ctx); err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	return dev, nil
}

func (w *Wallet) enroll(ctx context.Context, m *manager, doc *groupdoc.Document, dev *tpm.Device, name string, step func(int)) (*membership, error) {
	eks, err := dev.EKs(ctx)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(eks, func(e tpm.EK) bool { return e.Kind == doc.EKKind })
	if at < 0 {
		return nil, fmt.Errorf("%w: the group takes %s endorsement keys, this TPM has a certificate for none", ErrNoEK, doc.EKKind)
	}
	ek := eks[at]
	var state enrolling
	found, err := w.purse.get(ctx, metaEnrolling, &state)
	if err != nil {
		return nil, err
	}
	if !found || state.ManagerURL != m.url {
		state = enrolling{ManagerURL: m.url, EKKind: ek.Kind}
		if state.Key, err = dev.CreateGroupKey(ctx, doc.Template, nil); err != nil {
			return nil, err
		}
		if err := w.purse.put(ctx, metaEnrolling, state); err != nil {
			return nil, err
		}
	}
	key, err := loadKey(ctx, dev, state.Key)
	if err != nil {
		return nil, err
	}
	defer key.Close()
	secret, err := group.DeriveWalletSecret(w.seed[:], doc.GroupID(), key.Name())
	if err != nil {
		return nil, err
	}
	step(2)
	id, blob, wrapped, err := w.joinGroup(ctx, m, doc, key, ek, secret, name, &state)
	if err != nil {
		return nil, err
	}
	step(3)
	released, err := key.ActivateCredential(ctx, state.EKKind, blob, wrapped)
	if err != nil {
		return nil, err
	}
	answer, err := enrol.NewSecret(released)
	if err != nil {
		return nil, err
	}
	mac, err := answer.MAC(id)
	if err != nil {
		return nil, err
	}
	sealed, err := m.activate(ctx, id, mac)
	if err != nil {
		return nil, err
	}
	step(4)
	cred, err := w.checkCredential(ctx, doc, answer, id, sealed, key, state.Tag, secret)
	if err != nil {
		return nil, err
	}
	groupID := doc.GroupID()
	return &membership{
		ManagerURL: m.url, Group: doc.ID, GroupID: groupID[:], Member: id.String(), EKKind: state.EKKind,
		Key: state.Key, Tag: state.Tag, Credential: cred.Bytes(), groupID: groupID,
	}, nil
}

// joinGroup gets the challenge: by repeating a join that was sent before, or
// with a new session if that one is gone.
func (w *Wallet) joinGroup(ctx context.Context, m *manager, doc *groupdoc.Document, key *tpm.GroupKey, ek tpm.EK, secret group.WalletSecret, name string, state *enrolling) (id enrol.ID, blob, wrapped []byte, err error) {
	if state.Session != "" {
		if id, err = enrol.ParseID(state.Session); err != nil {
			return id, nil, nil, err
		}
		blob, wrapped, err = m.join(ctx, id, state.Join)
		var p *client.Problem
		if err == nil || !errors.As(err, &p) || (p.Code != "session-expired" && p.Code != "not-found") {
			return id, blob, wrapped, err
		}
	}
	var nonce [32]byte
	if id, nonce, err = m.begin(ctx, ek.CertificateDER, ek.Public); err != nil {
		return id, nil, nil, err
	}
	recipient, err := doc.FormRecipient()
	if err != nil {
		return id, nil, nil, err
	}
	form, digest, err := enrol.SealForm(recipient, doc.ID, nonce, enrol.Form{Name: name})
	if err != nil {
		return id, nil, nil, err
	}
	ekID, err := attest.EKID(ek.Public)
	if err != nil {
		return id, nil, nil, err
	}
	j, err := group.NewJoin(ctx, doc.Parameters(), key, key.Point(), secret,
		group.JoinContext{Nonce: nonce, KeyName: key.Name(), EK: ekID, Form: digest})
	if err != nil {
		return id, nil, nil, err
	}
	state.Session = id.String()
	tag := j.F.Bytes()
	state.Tag = tag[:]
	state.Join, err = json.Marshal(groupclient.JoinRequest{KeyPublic: key.Public(), Join: j.Bytes(), Form: form, FormDigest: digest[:]})
	if err != nil {
		return id, nil, nil, err
	}
	if err := w.purse.put(ctx, metaEnrolling, state); err != nil {
		return id, nil, nil, err
	}
	blob, wrapped, err = m.join(ctx, id, state.Join)
	return id, blob, wrapped, err
}

// checkCredential opens the credential, checks it by pairing and its epoch
// against the signed document, and makes and verifies one presentation.
func (w *Wallet) checkCredential(ctx context.Context, doc *groupdoc.Document, s enrol.Secret, id enrol.ID, sealed *sealedCredential, key group.Key, tag []byte, secret group.WalletSecret) (group.Credential, error) {
	cred, err := s.OpenCredential(id, sealed.epoch, sealed.sealed)
	if err != nil {
		return cred, err
	}
	e, err := doc.EpochAt(w.now())
	if err != nil {
		return cred, err
	}
	if cred.Epoch != e.Number {
		return cred, fmt.Errorf("%w: credential for %d, the group is at %d", ErrEpoch, cred.Epoch, e.Number)
	}
	member, err := group.NewMember(doc.Parameters(), [33]byte(tag), secret, cred)
	if err != nil {
		return cred, err
	}
	if _, err := member.Present(ctx, key, []byte("specie/first-presentation/1"), nil); err != nil {
		return cred, fmt.Errorf("first presentation: %w", err)
	}
	return cred, nil
}

func (w *Wallet) finishEnrolment(ctx context.Context, m *membership) error {
	err := w.purse.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM meta WHERE key = ?", metaEnrolling); err != nil {
			return fmt.Errorf("purse: %w", err)
		}
		return putMeta(ctx, tx, metaMembership, m)
	})
	if err == nil {
		w.enrolled = m
	}
	return err
}

func loadKey(ctx context.Context, dev *tpm.Device, blob tpm.Blob) (*tpm.GroupKey, error) {
	key, err := dev.LoadGroupKey(ctx, blob, nil)
	if errors.Is(err, tpm.ErrWrongTPM) {
		return nil, fmt.Errorf("%w: %w", ErrWrongTPM, err)
	}
	return key, err
}

// AttachTPM opens the TPM and loads the member's key, and renews the
// credential if its epoch has passed. tcti names the TPM as package tpm has
// it; empty is the platform's. It returns [ErrWrongTPM] for another TPM than
// the one enrolled.
func (w *Wallet) AttachTPM(ctx context.Context, tcti string) error {
	if w.enrolled == nil {
		return ErrNotEnrolled
	}
	if w.member != nil {
		return nil
	}
	dev, err := openTPM(ctx, tcti)
	if err != nil {
		return err
	}
	key, err := loadKey(ctx, dev, w.enrolled.Key)
	if err != nil {
		return errors.Join(err, dev.Close())
	}
	if err := w.attach(ctx, key); err != nil {
		return errors.Join(err, key.Close(), dev.Close())
	}
	w.key = key
	w.closeKey = func() error { return errors.Join(key.Close(), dev.Close()) }
	return nil
}

func (w *Wallet) attach(ctx context.Context, key *tpm.GroupKey) error {
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
	e, err := doc.EpochAt(w.now())
	if err != nil {
		return err
	}
	if cred.Epoch != e.Number {
		if cred, err = w.renew(ctx, doc, key, secret); err != nil {
			return fmt.Errorf("renew: %w", err)
		}
	}
	w.member, err = group.NewMember(doc.Parameters(), [33]byte(w.enrolled.Tag), secret, cred)
	return err
}

// renew gets the credential of the current epoch: only this TPM can read it.
func (w *Wallet) renew(ctx context.Context, doc *groupdoc.Document, key *tpm.GroupKey, secret group.WalletSecret) (group.Credential, error) {
	var none group.Credential
	m, err := newManager(w.enrolled.ManagerURL)
	if err != nil {
		return none, err
	}
	id, err := enrol.ParseID(w.enrolled.Member)
	if err != nil {
		return none, err
	}
	sealed, err := m.renew(ctx, id)
	if err != nil {
		return none, err
	}
	released, err := key.ActivateCredential(ctx, w.enrolled.EKKind, sealed.blob, sealed.secret)
	if err != nil {
		return none, err
	}
	answer, err := enrol.NewSecret(released)
	if err != nil {
		return none, err
	}
	cred, err := w.checkCredential(ctx, doc, answer, id, sealed, key, w.enrolled.Tag, secret)
	if err != nil {
		return none, err
	}
	next := *w.enrolled
	next.Credential = cred.Bytes()
	if err := w.purse.put(ctx, metaMembership, next); err != nil {
		return none, err
	}
	w.enrolled = &next
	return cred, nil
}

// groupDocument is the manager's document: fresh if he answers, the one seen
// last if he doesn't. Either must be of the group that the wallet joined.
func (w *Wallet) groupDocument(ctx context.Context) (*groupdoc.Document, error) {
	if w.document != nil {
		return w.document, nil
	}
	m, err := newManager(w.enrolled.ManagerURL)
	if err != nil {
		return nil, err
	}
	jws, doc, err := w.fetchDocument(ctx, m)
	if err != nil {
		stored, perr := groupdoc.Parse(w.root, w.enrolled.Document, w.now())
		if perr != nil {
			return nil, err
		}
		jws, doc = w.enrolled.Document, stored
	}
	if doc.GroupID() != w.enrolled.groupID {
		return nil, fmt.Errorf("group document: %w: it is another group's", ErrAnswer)
	}
	if !bytes.Equal(jws, w.enrolled.Document) {
		next := *w.enrolled
		next.Document = jws
		if err := w.purse.put(ctx, metaMembership, next); err != nil {
			return nil, err
		}
		w.enrolled = &next
	}
	w.document = doc
	return doc, nil
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

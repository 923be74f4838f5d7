package wallet

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/client/groupclient"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/tpm"
)

// enrolling is an enrolment that has begun, on disk under its group: a manager
// who moved to another address is still the same. Every step is written down
// before it is taken, so a crash costs a repetition and no membership.
type enrolling struct {
	Key tpm.Blob `json:"key"`
	// EKKind, Tag, Session and Join are of the last join that was sent.
	EKKind  string `json:"ek_kind,omitempty"`
	Tag     []byte `json:"tag,omitempty"`
	Session string `json:"session,omitempty"`
	Join    []byte `json:"join,omitempty"`
	// Challenge is the answer to it. The manager may have used the session up
	// from here on, and answers a repeated activation only.
	Challenge *challenge `json:"challenge,omitempty"`
}

// challenge is what only this TPM can open.
type challenge struct {
	Blob   []byte `json:"blob"`
	Secret []byte `json:"secret"`
}

// Membership is what a person is shown of his enrolment.
type Membership struct {
	Group  string `json:"group"`
	Member string `json:"member"`
	Epoch  uint64 `json:"epoch"`
	EK     string `json:"ek"`
}

// enrolment is one go at enrolling.
type enrolment struct {
	w       *Wallet
	manager *manager
	doc     *groupdoc.Document
	device  *tpm.Device
	name    string
	step    func(int)

	meta   string // where state lies
	state  enrolling
	key    *tpm.GroupKey
	secret group.WalletSecret
}

// enrolSteps is how many steps Enroll reports.
const enrolSteps = 5

// Enroll registers the TPM with a group manager under a name: EK chain, join
// proof, credential activation. The wallet calls itself enrolled only after it
// has checked the credential and made and verified one presentation. An
// interrupted enrolment is taken up where it stopped.
func (w *Wallet) Enroll(ctx context.Context, managerURL, name, tcti string, p Progress) (*Membership, error) {
	if w.enrolled != nil {
		return nil, fmt.Errorf("%w with %s", ErrEnrolled, w.enrolled.Group)
	}
	m, err := newManager(managerURL, w.http)
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
	p.report(1, enrolSteps)
	e := &enrolment{w: w, manager: m, doc: doc, device: dev, name: name, step: func(n int) { p.report(n, enrolSteps) }}
	got, cred, err := e.run(ctx)
	if err = errors.Join(err, dev.Close()); err != nil {
		return nil, err
	}
	got.ManagerURL, got.Document = managerURL, paper{JWS: jws, At: w.now()}
	err = w.purse.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM meta WHERE key = ?", e.meta); err != nil {
			return fmt.Errorf("purse: %w", err)
		}
		return putMeta(ctx, tx, metaMembership, got)
	})
	if err != nil {
		return nil, err
	}
	w.enrolled = got
	p.report(enrolSteps, enrolSteps)
	return &Membership{Group: got.Group, Member: got.Member, Epoch: cred.Epoch, EK: got.EKKind}, nil
}

func (e *enrolment) run(ctx context.Context) (*membership, group.Credential, error) {
	var none group.Credential
	if err := e.loadKey(ctx); err != nil {
		return nil, none, err
	}
	defer e.key.Close()
	var err error
	if e.secret, err = group.DeriveWalletSecret(e.w.seed[:], e.doc.GroupID(), e.key.Name()); err != nil {
		return nil, none, err
	}
	e.step(2)
	id, cred, err := e.activate(ctx)
	if err != nil {
		return nil, none, err
	}
	e.step(4)
	if e.w.checkEpoch(e.doc, cred) != nil {
		// Taken up in a later epoch than it was begun in.
		cred, err = e.w.renew(ctx, e.manager, e.doc, id, e.state.EKKind, e.key, e.state.Tag, e.secret)
	} else {
		err = firstPresentation(ctx, e.doc, e.key, e.state.Tag, e.secret, cred)
	}
	if err != nil {
		return nil, none, err
	}
	groupID := e.doc.GroupID()
	return &membership{
		Group: e.doc.ID, GroupID: groupID[:], Member: id.String(), EKKind: e.state.EKKind,
		Key: e.state.Key, Tag: e.state.Tag, Credential: cred.Bytes(), groupID: groupID,
	}, cred, nil
}

// loadKey makes the group key, or loads the one that was made before.
func (e *enrolment) loadKey(ctx context.Context) error {
	id := e.doc.GroupID()
	e.meta = metaEnrolling + " " + hex.EncodeToString(id[:])
	found, err := e.w.purse.get(ctx, e.meta, &e.state)
	if err != nil {
		return err
	}
	if found {
		e.key, err = loadKey(ctx, e.device, e.state.Key)
		// The key of another machine, or of this TPM before it was cleared. If
		// it was never shown to the manager, nothing hangs on it.
		if !errors.Is(err, ErrWrongTPM) || e.state.Session != "" {
			return err
		}
	}
	e.state = enrolling{}
	if e.state.Key, err = e.device.CreateGroupKey(ctx, e.doc.Template, nil); err != nil {
		return err
	}
	if err := e.save(ctx); err != nil {
		return err
	}
	e.key, err = loadKey(ctx, e.device, e.state.Key)
	return err
}

func (e *enrolment) save(ctx context.Context) error { return e.w.purse.put(ctx, e.meta, e.state) }

// activate answers the challenge and opens the credential. A session that the
// manager has dropped is replaced by a new one, once.
func (e *enrolment) activate(ctx context.Context) (id enrol.ID, cred group.Credential, err error) {
	resumed := e.state.Session != ""
	for {
		id, cred, err = e.answer(ctx)
		if !resumed || (!isCode(err, "session-expired") && !isCode(err, "not-found")) {
			return id, cred, err
		}
		resumed = false
		e.state = enrolling{Key: e.state.Key}
	}
}

func (e *enrolment) answer(ctx context.Context) (id enrol.ID, cred group.Credential, err error) {
	if e.state.Session == "" {
		if err := e.newJoin(ctx); err != nil {
			return id, cred, err
		}
	}
	if id, err = enrol.ParseID(e.state.Session); err != nil {
		return id, cred, err
	}
	if e.state.Challenge == nil {
		if e.state.Challenge, err = e.manager.join(ctx, id, e.state.Join); err != nil {
			return id, cred, err
		}
		if err := e.save(ctx); err != nil {
			return id, cred, err
		}
	}
	e.step(3)
	released, err := release(ctx, e.key, e.state.EKKind, *e.state.Challenge)
	if err != nil {
		return id, cred, err
	}
	mac, err := released.MAC(id)
	if err != nil {
		return id, cred, err
	}
	sealed, err := e.manager.activate(ctx, id, mac)
	if err != nil {
		return id, cred, err
	}
	cred, err = released.OpenCredential(id, sealed.epoch, sealed.sealed)
	return id, cred, err
}

// newJoin opens a session and makes the join, and writes it down.
func (e *enrolment) newJoin(ctx context.Context) error {
	ek, err := e.endorsementKey(ctx)
	if err != nil {
		return err
	}
	id, nonce, err := e.manager.begin(ctx, ek.CertificateDER, ek.Public)
	if err != nil {
		return err
	}
	recipient, err := e.doc.FormRecipient()
	if err != nil {
		return err
	}
	form, digest, err := enrol.SealForm(recipient, e.doc.ID, nonce, enrol.Form{Name: e.name})
	if err != nil {
		return err
	}
	ekID, err := attest.EKID(ek.Public)
	if err != nil {
		return err
	}
	j, err := group.NewJoin(ctx, e.doc.Parameters(), e.key, e.key.Point(), e.secret,
		group.JoinContext{Nonce: nonce, KeyName: e.key.Name(), EK: ekID, Form: digest})
	if err != nil {
		return err
	}
	tag := j.F.Bytes()
	request := groupclient.JoinRequest{KeyPublic: e.key.Public(), Join: j.Bytes(), Form: form, FormDigest: digest[:]}
	next := enrolling{Key: e.state.Key, EKKind: ek.Kind, Tag: tag[:], Session: id.String()}
	if next.Join, err = json.Marshal(request); err != nil {
		return fmt.Errorf("enrol: %w", err)
	}
	e.state = next
	return e.save(ctx)
}

// endorsementKey is the one kind that the group takes.
func (e *enrolment) endorsementKey(ctx context.Context) (*tpm.EK, error) {
	eks, err := e.device.EKs(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(eks, func(ek tpm.EK) bool { return slices.Contains(e.doc.EKKinds, ek.Kind) })
	if i < 0 {
		return nil, fmt.Errorf("%w: %s", ErrNoEK, strings.Join(e.doc.EKKinds, ", "))
	}
	return &eks[i], nil
}

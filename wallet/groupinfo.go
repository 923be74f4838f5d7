package wallet

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
)

// GroupInfo is what a person is shown of a group.
type GroupInfo struct {
	Group   string `json:"group"`
	ID      string `json:"id"` // the group's id, in hexadecimal
	Manager string `json:"manager"`
	// Number is that of the document, IssuedAt when the manager signed it.
	Number   uint64    `json:"number"`
	IssuedAt time.Time `json:"issued_at"`
	Epoch    uint64    `json:"epoch"`
	// EpochEnds is when credentials of the epoch run out.
	EpochEnds   time.Time `json:"epoch_ends"`
	Supervisors []string  `json:"supervisors"`
	// Quorum is how many supervisors together name the payer of a payment.
	Quorum int `json:"quorum"`
	// EKKinds are the kinds of endorsement key that are taken, in the order in
	// which they are tried.
	EKKinds []string `json:"ek_kinds"`
	// SoftwareTPMs: emulated TPMs are taken, so this is a group for tests.
	SoftwareTPMs bool `json:"software_tpms"`
	// Platforms are the names of the approved states of members' machines; nil
	// where the group has no rule about them.
	Platforms []string `json:"platforms"`
	// Warrants is how many warrants the supervisors' register has ever had.
	Warrants uint64 `json:"warrants"`
	Leaked   int    `json:"leaked_keys"`
	// Membership is the wallet's own, nil if it has none in this group.
	Membership *MembershipInfo `json:"membership"`
}

// MembershipInfo is the wallet's own membership, as it can be told without the
// TPM and without the manager.
type MembershipInfo struct {
	Member string `json:"member"`
	// Epoch is that of the credential in the purse.
	Epoch uint64 `json:"epoch"`
	// Until is when the credential runs out, zero if it has. Ended says that the
	// manager, or the bank, has said that the membership is over: there will be no
	// other credential.
	Until time.Time `json:"until,omitzero"`
	Ended bool      `json:"ended,omitempty"`
	// Renew says that it is not of the present epoch; the next use of the TPM
	// renews it.
	Renew   bool   `json:"renew"`
	EK      string `json:"ek"`
	KeyFile string `json:"key_file"`
	// KeyMissing says that there is no good key file.
	KeyMissing bool `json:"key_missing"`
	PIN        bool `json:"pin"`
	// Former is how many memberships this one has succeeded.
	Former int `json:"former"`
}

// GroupInfo describes the wallet's group by its newest document, or by the one
// in the purse if the manager can't be reached. A managerURL that is not empty
// asks that manager instead, before enrolling or out of curiosity; what he says
// is verified and not kept.
func (w *Wallet) GroupInfo(ctx context.Context, managerURL string) (*GroupInfo, error) {
	doc, err := w.documentOf(ctx, &managerURL)
	if err != nil {
		return nil, err
	}
	id := doc.GroupID()
	info := &GroupInfo{
		Group: doc.ID, ID: hex.EncodeToString(id[:]), Manager: managerURL, Number: doc.Seq, IssuedAt: doc.IssuedAt,
		Quorum: doc.Supervision.Key.K, EKKinds: doc.EKKinds, SoftwareTPMs: doc.SoftwareTPMs,
		Warrants: doc.Warrants.Size, Leaked: len(doc.Leaked),
	}
	e, err := doc.EpochAt(w.now())
	if err != nil {
		return nil, err
	}
	info.Epoch, info.EpochEnds = e.Number, e.Ends
	for _, s := range doc.Supervision.Supervisors {
		info.Supervisors = append(info.Supervisors, s.ID)
	}
	if doc.Platform != nil {
		info.Platforms = []string{}
		for _, p := range doc.Platform.Policies {
			info.Platforms = append(info.Platforms, p.Name)
		}
	}
	if w.enrolled != nil && w.enrolled.groupID == doc.GroupID() {
		info.Membership, err = w.membershipInfo(ctx, doc)
	}
	return info, err
}

// documentOf is the document of the wallet's own group or, with an address, of
// that manager's.
func (w *Wallet) documentOf(ctx context.Context, managerURL *string) (*groupdoc.Document, error) {
	if *managerURL == "" {
		if w.enrolled == nil {
			return nil, ErrNotEnrolled
		}
		*managerURL = w.enrolled.ManagerURL
		doc, err := w.newestDocument(ctx)
		if err == nil || errors.Is(err, ErrRegister) {
			return doc, err
		}
		if known, kerr := w.groupDocument(ctx); kerr == nil {
			return known, nil
		}
		return nil, err
	}
	m, err := newManager(*managerURL, w.http)
	if err != nil {
		return nil, err
	}
	_, doc, err := w.fetchDocument(ctx, m)
	return doc, err
}

func (w *Wallet) membershipInfo(ctx context.Context, doc *groupdoc.Document) (*MembershipInfo, error) {
	cred, err := group.ParseCredential(w.enrolled.Credential)
	if err != nil {
		return nil, err
	}
	before, err := w.formerly(ctx)
	if err != nil {
		return nil, err
	}
	until, err := w.credentialEnds(doc)
	if err != nil {
		return nil, err
	}
	ended, err := w.hasEnded(ctx)
	if err != nil {
		return nil, err
	}
	pin, err := w.HasPIN()
	return &MembershipInfo{
		Member: w.enrolled.Member, Epoch: cred.Epoch, Until: until, Ended: ended, Renew: w.checkEpoch(doc, cred) != nil, EK: w.enrolled.EKKind,
		KeyFile: w.KeyPath(), KeyMissing: err != nil, PIN: pin, Former: len(before),
	}, nil
}

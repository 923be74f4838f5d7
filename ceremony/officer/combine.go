package officer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/trust"
)

const maxShareFile = 4 << 10

// Combine verifies all n dealings, decrypts the shares dealt to this officer,
// checks each against its dealer's commitments, and keeps their sum as
// ShareFile, encrypted to himself. It returns the public outcome, whose
// payload ([groupdoc.Supervision.Marshal]) every officer gets byte for byte
// the same and signs with Sign.
//
// Errors: ErrDealing if the dealings do not fit together or one is missing;
// group.ErrShare, naming the dealer who sent a wrong share.
func (o *Officer) Combine(root *trust.Root, groupID string, dealings [][]byte, at time.Time) (*groupdoc.Supervision, error) {
	if err := trust.CheckID(groupID); err != nil {
		return nil, err
	}
	path := filepath.Join(o.dir, ShareFile(groupID))
	if err := paper.Free(path); err != nil {
		return nil, err
	}
	all, err := readDealings(root, groupID, dealings, at)
	if err != nil {
		return nil, err
	}
	s, err := outcome(groupID, all)
	if err != nil {
		return nil, err
	}
	index, err := o.indexIn(all[0].doc.Officers)
	if err != nil {
		return nil, err
	}
	received := make([]*group.Share, len(all))
	for i, d := range all {
		if received[i], _, err = o.openShare(d.doc.Shares[index-1], groupID, d.doc.Dealer); err != nil {
			return nil, fmt.Errorf("share from %s: %w", d.doc.Dealer, err)
		}
	}
	share, err := group.CombineShares(&s.Key, index, public(all), received)
	if err != nil {
		return nil, err
	}
	payload, err := s.Marshal()
	if err != nil {
		return nil, err
	}
	keys := sha256.Sum256(payload)
	box, err := sealShare(shareJSON{Version: 1, Group: groupID, To: o.ID, Share: share.Bytes(), Keys: keys[:]}, o.identity.Recipient().String())
	if err != nil {
		return nil, err
	}
	return s, paper.Write(path, box, paper.Secret)
}

// Outcome verifies all n dealings of a group and returns what every officer
// who combines them comes to. Anybody can compute it; it opens no share.
// Errors: those of Combine but for shares.
func Outcome(root *trust.Root, groupID string, dealings [][]byte, at time.Time) (*groupdoc.Supervision, error) {
	if err := trust.CheckID(groupID); err != nil {
		return nil, err
	}
	all, err := readDealings(root, groupID, dealings, at)
	if err != nil {
		return nil, err
	}
	return outcome(groupID, all)
}

// outcome sums the dealings of all officers, by ascending dealer.
func outcome(groupID string, all []*dealt) (*groupdoc.Supervision, error) {
	key, err := group.CombineDealings(groupID, public(all))
	if err != nil {
		return nil, err
	}
	s := &groupdoc.Supervision{Group: groupID, Key: *key}
	for i, c := range all[0].doc.Officers {
		s.Supervisors = append(s.Supervisors, groupdoc.Supervisor{Index: i + 1, ID: c.ID})
	}
	return s, nil
}

func public(all []*dealt) []*group.Dealing {
	out := make([]*group.Dealing, len(all))
	for i, d := range all {
		out[i] = d.dealing
	}
	return out
}

// readDealings returns the dealings by ascending dealer: one of each officer,
// all for the same officers, group and threshold.
func readDealings(root *trust.Root, groupID string, dealings [][]byte, at time.Time) ([]*dealt, error) {
	var all []*dealt
	seen := make(map[int]*dealt)
	for _, jws := range dealings {
		d, err := parseDealing(root, jws, at)
		if err != nil {
			return nil, err
		}
		if d.doc.Group != groupID {
			return nil, fmt.Errorf("%w: %s dealt for group %s", ErrDealing, d.doc.Dealer, d.doc.Group)
		}
		if len(seen) > 0 && d.plan() != all[0].plan() {
			return nil, fmt.Errorf("%w: %s and %s dealt to other officers or with another threshold",
				ErrDealing, all[0].doc.Dealer, d.doc.Dealer)
		}
		if seen[d.dealing.Dealer] != nil {
			return nil, fmt.Errorf("%w: two dealings of %s", ErrDealing, d.doc.Dealer)
		}
		seen[d.dealing.Dealer] = d
		all = append(all, d)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: none given", ErrDealing)
	}
	for i, c := range all[0].doc.Officers {
		if seen[i+1] == nil {
			return nil, fmt.Errorf("%w: none of %s", ErrDealing, c.ID)
		}
		all[i] = seen[i+1]
	}
	return all, nil
}

// Share decrypts the officer's share for a group. fs.ErrNotExist says that he
// has none.
func (o *Officer) Share(groupID string) (*group.Share, error) {
	share, _, err := o.combined(groupID)
	return share, err
}

// combined is the officer's share for a group and the digest of the payload
// that he computed with it.
func (o *Officer) combined(groupID string) (*group.Share, []byte, error) {
	if err := trust.CheckID(groupID); err != nil {
		return nil, nil, err
	}
	path := filepath.Join(o.dir, ShareFile(groupID))
	box, err := paper.ReadSecret(path, maxShareFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s has no share for %s: %w", o.ID, groupID, err)
	}
	if err != nil {
		return nil, nil, err
	}
	share, keys, err := o.openShare(box, groupID, "")
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return share, keys, nil
}

// Sign signs a supervision payload as one of its supervisors: the very bytes
// that his own Combine computed from all dealings, or ErrForeign. That his
// share fits the keys would not be enough: a dishonest officer can draw a
// polynomial of higher degree through the honest shares' public images and
// choose its constant term himself, and would then open alone.
func (o *Officer) Sign(root *trust.Root, payload []byte, at time.Time) ([]byte, error) {
	chain, err := o.chain(root, at)
	if err != nil {
		return nil, err
	}
	s, err := groupdoc.ReadSupervision(payload)
	if err != nil {
		return nil, err
	}
	share, keys, err := o.combined(s.Group)
	if err != nil {
		return nil, err
	}
	if digest := sha256.Sum256(payload); !bytes.Equal(keys, digest[:]) {
		return nil, fmt.Errorf("%w: these are not the keys that %s combined from the dealings", ErrForeign, o.ID)
	}
	if s.IndexOf(o.ID) != share.Index {
		return nil, fmt.Errorf("%w: the payload gives %s index %d", ErrForeign, o.ID, s.IndexOf(o.ID))
	}
	if err := s.Key.CheckShare(share); err != nil {
		return nil, err
	}
	return groupdoc.SignSupervision(payload, o.signer, chain)
}

// SignWarrant signs a warrant's payload as one of the group's supervisors.
// Errors: those of warrant.Sign, ErrNotCertified.
func (o *Officer) SignWarrant(root *trust.Root, s *groupdoc.Supervision, payload []byte, at time.Time) ([]byte, error) {
	chain, err := o.chain(root, at)
	if err != nil {
		return nil, err
	}
	return warrant.Sign(s, payload, o.signer, chain, at)
}

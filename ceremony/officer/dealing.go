package officer

import (
	"cmp"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"filippo.io/age"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// minThreshold is the least number of supervisors that must come together.
const minThreshold = 2

// maxDealing bounds the payload: 32 commitments of each kind and 32 age
// files of some 300 bytes.
const maxDealing = 64 << 10

type dealingJSON struct {
	Version   int            `json:"v"`
	Group     string         `json:"group"`
	Threshold int            `json:"threshold"`
	Officers  []Card         `json:"officers"` // by ascending id; index j is officers[j-1]
	Dealer    string         `json:"dealer"`
	Opening   []paper.Base64 `json:"opening"` // 33 bytes each
	Tracing   []paper.Base64 `json:"tracing"` // 65 bytes each
	ProofO    paper.Base64   `json:"proof_o"`
	ProofO2   paper.Base64   `json:"proof_o2"`
	Shares    []paper.Base64 `json:"shares"` // age files, shares[j-1] to officers[j-1]
}

// shareJSON is the plaintext of an encrypted share: age binds no context, so
// the share names its own.
type shareJSON struct {
	Version int          `json:"v"`
	Group   string       `json:"group"`
	From    string       `json:"from"` // dealer, or "" for the combined share
	To      string       `json:"to"`
	Share   paper.Base64 `json:"share"`
	// Keys is SHA-256 of the supervision payload that Combine computed, in the
	// combined share only: what Sign signs must be that and nothing else.
	Keys paper.Base64 `json:"keys,omitempty"`
}

// dealt is a dealing that was verified.
type dealt struct {
	doc     dealingJSON
	dealing *group.Dealing
}

// Deal draws this officer's two polynomials for a group and returns his
// signed dealing, with one share encrypted to each officer whose card is
// given, himself included. All officers deal to the same cards with the same
// threshold, at least 2. The polynomials are forgotten on return.
func (o *Officer) Deal(root *trust.Root, groupID string, threshold int, cards [][]byte, at time.Time) ([]byte, error) {
	chain, err := o.chain(root, at)
	if err != nil {
		return nil, err
	}
	if err := trust.CheckID(groupID); err != nil {
		return nil, err
	}
	officers, err := readCards(root, cards, at)
	if err != nil {
		return nil, err
	}
	if threshold < minThreshold || threshold > len(officers) {
		return nil, fmt.Errorf("%w: threshold %d of %d officers; at least %d must come together",
			ErrDealing, threshold, len(officers), minThreshold)
	}
	index, err := o.indexIn(officers)
	if err != nil {
		return nil, err
	}
	d, shares, err := group.Deal(groupID, index, len(officers), threshold)
	if err != nil {
		return nil, err
	}
	j := dealingJSON{
		Version: 1, Group: groupID, Threshold: threshold, Officers: officers, Dealer: o.ID,
		ProofO: d.ProofO[:], ProofO2: d.ProofO2[:],
	}
	for i := range threshold {
		a, b := d.Opening[i].Bytes(), d.Tracing[i].Bytes()
		j.Opening, j.Tracing = append(j.Opening, a[:]), append(j.Tracing, b[:])
	}
	for i, to := range officers {
		box, err := sealShare(shareJSON{Version: 1, Group: groupID, From: o.ID, To: to.ID, Share: shares[i].Bytes()}, to.Recipient)
		if err != nil {
			return nil, err
		}
		j.Shares = append(j.Shares, box)
	}
	return signDealing(j, o, chain)
}

func signDealing(j dealingJSON, o *Officer, chain []*x509.Certificate) ([]byte, error) {
	payload, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("officer: dealing: %w", err)
	}
	return trust.Sign(TypDealing, payload, o.signer, chain)
}

// readCards verifies the cards and puts them in order.
func readCards(root *trust.Root, cards [][]byte, at time.Time) ([]Card, error) {
	var out []Card
	for _, jws := range cards {
		c, err := ParseCard(root, jws, at)
		if err != nil {
			return nil, err
		}
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Card) int { return cmp.Compare(a.ID, b.ID) })
	return out, checkOfficers(out)
}

// checkOfficers demands strictly ascending ids, and so distinct officers.
func checkOfficers(officers []Card) error {
	if len(officers) > group.MaxSupervisors {
		return fmt.Errorf("%w: %d officers", ErrDealing, len(officers))
	}
	for i := 1; i < len(officers); i++ {
		if officers[i-1].ID >= officers[i].ID {
			return fmt.Errorf("%w: officer %s stands twice or out of order", ErrDealing, officers[i].ID)
		}
	}
	return nil
}

// indexIn is the officer's index, 1 … n, among officers that name his own
// recipient: shares to a key that is not his would be lost, or somebody
// else's.
func (o *Officer) indexIn(officers []Card) (int, error) {
	for i, c := range officers {
		if c.ID == o.ID {
			if c.Recipient != o.identity.Recipient().String() {
				return 0, fmt.Errorf("%w: the card of %s names another recipient", ErrForeign, o.ID)
			}
			return i + 1, nil
		}
	}
	return 0, fmt.Errorf("%w: %s is not among the officers", ErrForeign, o.ID)
}

func sealShare(j shareJSON, to string) ([]byte, error) {
	recipient, err := age.ParseX25519Recipient(to)
	if err != nil {
		return nil, fmt.Errorf("%w: recipient of %s", ErrMalformed, j.To)
	}
	plain, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("officer: share: %w", err)
	}
	return encrypt(plain, recipient)
}

// openShare decrypts a share and checks that it is the one expected. keys is
// empty but for the combined share.
func (o *Officer) openShare(box []byte, groupID, from string) (s *group.Share, keys []byte, err error) {
	plain, err := decrypt(box, o.identity)
	if err != nil {
		return nil, nil, err
	}
	var j shareJSON
	if err := strictjson.Unmarshal(plain, maxKeyFile, &j); err != nil || j.Version != 1 {
		return nil, nil, fmt.Errorf("%w: share", ErrMalformed)
	}
	if j.Group != groupID || j.From != from || j.To != o.ID {
		return nil, nil, fmt.Errorf("%w: a share of another dealing", ErrForeign)
	}
	s, err = group.ParseShare(j.Share)
	return s, j.Keys, err
}

// parseDealing reads a signed dealing and verifies its proofs.
func parseDealing(root *trust.Root, jws []byte, at time.Time) (*dealt, error) {
	doc, err := root.Verify(jws, TypDealing, trust.RoleSupervisor, at)
	if err != nil {
		return nil, fmt.Errorf("officer: dealing: %w", err)
	}
	d, err := readDealing(doc.Payload)
	if err != nil {
		return nil, fmt.Errorf("dealing of %s: %w", doc.Signer.ID, err)
	}
	if d.doc.Dealer != doc.Signer.ID {
		return nil, fmt.Errorf("%w: a dealing signed by %s", ErrForeign, doc.Signer)
	}
	return d, nil
}

func readDealing(payload []byte) (*dealt, error) {
	d := &dealt{}
	if err := strictjson.Unmarshal(payload, maxDealing, &d.doc); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if d.doc.Version != 1 {
		return nil, fmt.Errorf("%w: version %d", ErrMalformed, d.doc.Version)
	}
	return d, d.read()
}

// read checks the dealing's shape and decodes its points.
func (d *dealt) read() error {
	j := &d.doc
	n := len(j.Officers)
	if err := checkOfficers(j.Officers); err != nil {
		return err
	}
	if err := trust.CheckID(j.Group); err != nil {
		return err
	}
	dealer := slices.IndexFunc(j.Officers, func(c Card) bool { return c.ID == j.Dealer }) + 1
	if dealer == 0 || j.Threshold < minThreshold || j.Threshold > n || len(j.Shares) != n ||
		len(j.Opening) != j.Threshold || len(j.Tracing) != j.Threshold || len(j.ProofO) != 64 || len(j.ProofO2) != 64 {
		return fmt.Errorf("%w: counts do not fit", ErrMalformed)
	}
	d.dealing = &group.Dealing{Dealer: dealer, N: n, K: j.Threshold}
	copy(d.dealing.ProofO[:], j.ProofO)
	copy(d.dealing.ProofO2[:], j.ProofO2)
	for i := range j.Threshold {
		a, err := fp256bn.ParseG1(j.Opening[i])
		if err != nil {
			return fmt.Errorf("%w: commitment %d: %w", ErrMalformed, i, err)
		}
		b, err := fp256bn.ParseG2(j.Tracing[i])
		if err != nil {
			return fmt.Errorf("%w: commitment %d: %w", ErrMalformed, i, err)
		}
		d.dealing.Opening, d.dealing.Tracing = append(d.dealing.Opening, a), append(d.dealing.Tracing, b)
	}
	return d.dealing.Verify(j.Group)
}

// plan is what all dealings of one ceremony share.
func (d *dealt) plan() [32]byte {
	parts := [][]byte{[]byte(d.doc.Group), frame.Uint64(uint64(d.doc.Threshold))}
	for _, c := range d.doc.Officers {
		parts = append(parts, []byte(c.ID), []byte(c.Recipient))
	}
	return frame.Digest(parts...)
}

// DealingInfo is what anybody may know of a dealing.
type DealingInfo struct {
	Group     string `json:"group"`
	Threshold int    `json:"threshold"`
	Dealer    string `json:"dealer"`
	Officers  []Card `json:"officers"`
}

// InspectDealing verifies a dealing's signature and proofs, and tells what is
// public in it.
func InspectDealing(root *trust.Root, jws []byte, at time.Time) (*DealingInfo, error) {
	d, err := parseDealing(root, jws, at)
	if err != nil {
		return nil, err
	}
	return &DealingInfo{Group: d.doc.Group, Threshold: d.doc.Threshold, Dealer: d.doc.Dealer, Officers: d.doc.Officers}, nil
}

package groupdoc

import (
	"crypto"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// Sizes of the manager's payload.
const (
	MaxPayload  = 3 << 20 // bytes of payload
	MaxTemplate = 512     // bytes of a TPMT_PUBLIC
	MaxLeaked   = 4096    // leaked TPM scalars
	MaxClasses  = 16

	maxKinds = 8 // kinds of endorsement key
)

// kindName is what a kind of EK is called.
var kindName = regexp.MustCompile(`^[a-z0-9]{1,16}$`)

// ClassECDAA is the class of TPM key that this version reads: an ECDAA key on
// BN_P256, exact template, EK certified under a listed root.
const ClassECDAA = 1

// Contents is what a group manager says.
type Contents struct {
	// ID is the manager's, as in his certificate, and the group's name.
	ID string
	// Seq rises with every document that the manager signs.
	Seq uint64
	// Current is the epoch for which credentials are issued.
	Current Epoch
	// Next is announced ahead, or zero.
	Next Epoch
	// Template is the exact public area (TPMT_PUBLIC) of class 1, all but the
	// point.
	Template []byte
	// EKKinds are the kinds of endorsement key that the manager takes, such as
	// "rsa2048", in the order in which a wallet tries them. From one
	// manufacturer he takes one: a TPM with several certified EKs is still one
	// member.
	EKKinds []string
	// EKRoots is the digest of the list of roots under which a TPM must be
	// certified.
	EKRoots [32]byte
	// SoftwareTPMs says that emulated TPMs are taken too. They keep no secret
	// from their owner: a group for tests, never for money.
	SoftwareTPMs bool
	// Platform is the rule about the state of members' machines, nil if there
	// is none.
	Platform *Platform
	// W is the issuing key, WProof the proof that the manager knows γ.
	W      fp256bn.G2
	WProof group.IssuerKeyProof
	// FormKey is the X25519 public key, 32 bytes, to which registration forms
	// are encrypted (HPKE, RFC 9180: X25519, HKDF-SHA256, AES-256-GCM).
	FormKey []byte
	// SupervisionJWS is the supervisors' document, one JWS each.
	SupervisionJWS [][]byte
	// Leaked are scalars of broken TPMs, 32 bytes each: verifiers refuse
	// claims made with them.
	Leaked [][]byte
	// Warrants is where the register of warrants stands.
	Warrants WarrantHead
	// IssuedAt is when the manager said this, UTC, whole seconds.
	IssuedAt time.Time
}

// Document is a manager's document that was verified against the root.
type Document struct {
	Contents
	// Supervision is the embedded supervisors' document, verified.
	Supervision *Supervision
	// Digest is SHA-256 of the payload.
	Digest [32]byte
}

type documentJSON struct {
	ID          string            `json:"id"`
	Seq         uint64            `json:"seq"`
	Crit        []string          `json:"crit,omitempty"`
	Epoch       epochJSON         `json:"epoch"`
	Next        *epochJSON        `json:"next,omitempty"`
	Classes     []json.RawMessage `json:"classes"`
	HPKE        string            `json:"hpke"`
	Supervision []string          `json:"supervision"`
	Leaked      []string          `json:"leaked,omitempty"`
	Warrants    *warrantHeadJSON  `json:"warrants,omitempty"`
	IssuedAt    string            `json:"issued_at"`
}

type classJSON struct {
	ID           int           `json:"id"`
	Template     string        `json:"template"`
	EKKinds      []string      `json:"ek_kinds"`
	EKRoots      string        `json:"ek_roots"`
	SoftwareTPMs bool          `json:"insecure_software_tpm,omitempty"`
	Platform     *platformJSON `json:"platform,omitempty"`
	W            string        `json:"w"`
	WProof       string        `json:"w_proof"`
}

// Marshal returns the payload.
func (c *Contents) Marshal() ([]byte, error) {
	w := c.W.Bytes()
	class, err := json.Marshal(classJSON{
		ID: ClassECDAA, Template: encode(c.Template), EKKinds: c.EKKinds, EKRoots: encode(c.EKRoots[:]),
		SoftwareTPMs: c.SoftwareTPMs, Platform: c.Platform.json(), W: encode(w[:]), WProof: encode(c.WProof[:]),
	})
	if err != nil {
		return nil, fmt.Errorf("groupdoc: class: %w", err)
	}
	j := documentJSON{
		ID: c.ID, Seq: c.Seq, Epoch: c.Current.json(), Classes: []json.RawMessage{class},
		HPKE: encode(c.FormKey), Warrants: c.Warrants.json(), IssuedAt: formatTime(c.IssuedAt),
	}
	if c.Next != (Epoch{}) {
		next := c.Next.json()
		j.Next = &next
	}
	for _, s := range c.SupervisionJWS {
		j.Supervision = append(j.Supervision, string(s))
	}
	for _, f := range c.Leaked {
		j.Leaked = append(j.Leaked, encode(f))
	}
	out, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("groupdoc: %w", err)
	}
	return out, nil
}

// Sign makes the manager's document (compact JWS) and reads it back as a
// stranger would, so that nothing is published that nobody accepts.
func Sign(root *trust.Root, c *Contents, signer crypto.Signer, chain []*x509.Certificate) ([]byte, error) {
	payload, err := c.Marshal()
	if err != nil {
		return nil, err
	}
	jws, err := trust.Sign(trust.TypGroup, payload, signer, chain)
	if err != nil {
		return nil, err
	}
	if _, err := Parse(root, jws, c.IssuedAt); err != nil {
		return nil, fmt.Errorf("the new document: %w", err)
	}
	return jws, nil
}

// Parse verifies a manager's document against the root at the given time:
// his certificate and that it names this group, the proof for W, the
// supervisors' signatures and that they supervise this group. Unknown members
// are ignored unless the payload lists them as critical; classes of TPM key
// that this version does not know are left aside.
func Parse(root *trust.Root, jws []byte, at time.Time) (*Document, error) {
	doc, err := root.Verify(jws, trust.TypGroup, trust.RoleGroup, at)
	if err != nil {
		return nil, fmt.Errorf("groupdoc: %w", err)
	}
	c, err := readContents(doc.Payload)
	if err != nil {
		return nil, err
	}
	if doc.Signer.ID != c.ID {
		return nil, fmt.Errorf("%w: %s signed for %s", ErrGroup, doc.Signer, c.ID)
	}
	if c.IssuedAt.After(at.Add(EpochSkew)) {
		return nil, fmt.Errorf("%w: issued in the future", ErrEpoch)
	}
	if err := group.VerifyIssuerKey(c.ID, c.W, c.WProof); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIssuerKey, err)
	}
	s, err := ParseSupervision(root, c.SupervisionJWS, at)
	if err != nil {
		return nil, err
	}
	if s.Group != c.ID {
		return nil, fmt.Errorf("%w: the supervisors of %s", ErrGroup, s.Group)
	}
	return &Document{Contents: *c, Supervision: s, Digest: doc.Digest}, nil
}

// readContents decodes the payload and checks all that needs no key.
func readContents(payload []byte) (*Contents, error) {
	var j documentJSON
	if err := strictjson.UnmarshalOpen(payload, MaxPayload, &j); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if len(j.Crit) > 0 {
		return nil, fmt.Errorf("%w: %d critical members are not known here", ErrUnsupported, len(j.Crit))
	}
	c := &Contents{ID: j.ID, Seq: j.Seq}
	if err := trust.CheckID(j.ID); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if j.Seq == 0 || j.Seq > maxNumber {
		return nil, fmt.Errorf("%w: document number %d", ErrMalformed, j.Seq)
	}
	for _, step := range []func(*documentJSON) error{c.readEpochs, c.readClasses, c.readLists} {
		if err := step(&j); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Contents) readEpochs(j *documentJSON) (err error) {
	if c.IssuedAt, err = parseTime("issued_at", j.IssuedAt); err != nil {
		return err
	}
	if c.Current, err = j.Epoch.parse(); err != nil {
		return err
	}
	if j.Next == nil {
		return nil
	}
	if c.Next, err = j.Next.parse(); err != nil {
		return err
	}
	if c.Next.Number != c.Current.Number+1 || !c.Next.Starts.Equal(c.Current.Ends) {
		return fmt.Errorf("%w: the next epoch does not follow the current one", ErrMalformed)
	}
	return nil
}

// readClasses takes class 1; the others belong to later versions.
func (c *Contents) readClasses(j *documentJSON) error {
	if len(j.Classes) > MaxClasses {
		return fmt.Errorf("%w: %d classes", ErrMalformed, len(j.Classes))
	}
	var seen []int
	for _, raw := range j.Classes {
		var head struct {
			ID int `json:"id"`
		}
		if err := strictjson.UnmarshalOpen(raw, MaxPayload, &head); err != nil {
			return fmt.Errorf("%w: class: %v", ErrMalformed, err)
		}
		if head.ID < 1 || slices.Contains(seen, head.ID) {
			return fmt.Errorf("%w: class %d stands twice", ErrMalformed, head.ID)
		}
		seen = append(seen, head.ID)
		if head.ID != ClassECDAA {
			continue
		}
		if err := c.readClass(raw); err != nil {
			return err
		}
	}
	if !slices.Contains(seen, ClassECDAA) {
		return fmt.Errorf("%w: no class of TPM key that is known here", ErrUnsupported)
	}
	return nil
}

func (c *Contents) readClass(raw []byte) error {
	var j classJSON
	if err := strictjson.Unmarshal(raw, MaxPayload, &j); err != nil {
		return fmt.Errorf("%w: class 1: %v", ErrMalformed, err)
	}
	var err error
	if c.Template, err = decode("template", j.Template, -MaxTemplate); err != nil {
		return err
	}
	if err := checkKinds(j.EKKinds); err != nil {
		return err
	}
	c.EKKinds, c.SoftwareTPMs = j.EKKinds, j.SoftwareTPMs
	if c.Platform, err = j.Platform.parse(); err != nil {
		return err
	}
	roots, err := decode("ek_roots", j.EKRoots, len(c.EKRoots))
	if err != nil {
		return err
	}
	copy(c.EKRoots[:], roots)
	proof, err := decode("w_proof", j.WProof, len(c.WProof))
	if err != nil {
		return err
	}
	copy(c.WProof[:], proof)
	c.W, err = decodeG2("w", j.W)
	return err
}

// checkKinds takes 1 to maxKinds names, each once.
func checkKinds(kinds []string) error {
	if len(kinds) == 0 || len(kinds) > maxKinds {
		return fmt.Errorf("%w: %d kinds of endorsement key", ErrMalformed, len(kinds))
	}
	for i, k := range kinds {
		if !kindName.MatchString(k) || slices.Contains(kinds[:i], k) {
			return fmt.Errorf("%w: ek_kinds", ErrMalformed)
		}
	}
	return nil
}

func (c *Contents) readLists(j *documentJSON) (err error) {
	if c.FormKey, err = decode("hpke", j.HPKE, 32); err != nil {
		return err
	}
	if _, err = ecdh.X25519().NewPublicKey(c.FormKey); err != nil {
		return fmt.Errorf("%w: hpke: %v", ErrMalformed, err)
	}
	for _, s := range j.Supervision {
		c.SupervisionJWS = append(c.SupervisionJWS, []byte(s))
	}
	if len(j.Leaked) > MaxLeaked {
		return fmt.Errorf("%w: %d leaked keys", ErrMalformed, len(j.Leaked))
	}
	for _, text := range j.Leaked {
		f, err := decode("leaked key", text, 32)
		if err != nil {
			return err
		}
		if _, err := fp256bn.ParseScalar(f); err != nil {
			return fmt.Errorf("%w: leaked key: %w", ErrMalformed, err)
		}
		c.Leaked = append(c.Leaked, f)
	}
	c.Warrants, err = j.Warrants.parse()
	return err
}

// Parameters returns the public values of the group (class 1).
func (d *Document) Parameters() *group.Parameters {
	return &group.Parameters{Name: d.ID, W: d.W, O: d.Supervision.Key.O(), O2: d.Supervision.Key.O2()}
}

// GroupID names the group in spends.
func (d *Document) GroupID() group.ID { return d.Parameters().ID() }

// FormRecipient returns FormKey for package crypto/hpke.
func (d *Document) FormRecipient() (hpke.PublicKey, error) {
	pk, err := hpke.DHKEM(ecdh.X25519()).NewPublicKey(d.FormKey)
	if err != nil {
		return nil, fmt.Errorf("%w: hpke: %v", ErrMalformed, err)
	}
	return pk, nil
}

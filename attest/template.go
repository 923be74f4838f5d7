package attest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/speciecash/specie/group/fp256bn"
	"golang.org/x/crypto/cryptobyte"
)

const (
	// maxArea bounds a TPMT_PUBLIC of an elliptic-curve key, in bytes.
	maxArea = 512

	algECC    = 0x0023 // TPM_ALG_ECC
	algSHA256 = 0x000b // TPM_ALG_SHA256
)

// Bits of TPMA_OBJECT, TPM 2.0 Part 2, §8.3.
const (
	fixedTPM             = 1 << 1
	stClear              = 1 << 2
	fixedParent          = 1 << 4
	sensitiveDataOrigin  = 1 << 5
	userWithAuth         = 1 << 6
	adminWithPolicy      = 1 << 7
	noDA                 = 1 << 10
	encryptedDuplication = 1 << 11
	restricted           = 1 << 16
	decrypt              = 1 << 17
	sign                 = 1 << 18
	x509sign             = 1 << 19
)

// ecdaaParameters is the TPMS_ECC_PARMS of every group key: no symmetric cipher,
// scheme ECDAA with SHA-256 and a count of 0, curve BN_P256, no key derivation.
func ecdaaParameters() []byte {
	return []byte{0x00, 0x10, 0x00, 0x1a, 0x00, 0x0b, 0x00, 0x00, 0x00, 0x10, 0x00, 0x10}
}

// GroupKeyTemplate returns the TPMT_PUBLIC that class 1 of group keys is made
// from: an ECDAA key on BN_P256 that was made in its TPM and can't leave it
// (fixedTPM, fixedParent, sensitiveDataOrigin), signs whatever digest it is given
// (sign, not restricted), is used with its authorisation value (userWithAuth) and
// takes part in the TPM's lock-out (noDA clear). No policy; names by SHA-256.
func GroupKeyTemplate() []byte {
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, 26))
	b.AddUint16(algECC)
	b.AddUint16(algSHA256)
	b.AddUint32(fixedTPM | fixedParent | sensitiveDataOrigin | userWithAuth | sign)
	b.AddUint16(0) // no policy
	b.AddBytes(ecdaaParameters())
	b.AddUint16(0) // the TPM fills in x
	b.AddUint16(0) // and y
	return b.BytesOrPanic()
}

// area is a TPMT_PUBLIC of an ECDAA key, cut up.
type area struct {
	typ, nameAlg uint16
	attributes   uint32
	policy       []byte
	parameters   []byte
	x, y         []byte
	prefix       []byte // all but x and y
}

// parseArea cuts a TPMT_PUBLIC up. What is of another type than ECDAA may be cut
// in the wrong places; it can't come out equal to a template.
func parseArea(b []byte) (area, error) {
	var a area
	if len(b) > maxArea {
		return a, fmt.Errorf("%d bytes, at most %d are possible", len(b), maxArea)
	}
	s := cryptobyte.String(b)
	var policy, x, y cryptobyte.String
	if !s.ReadUint16(&a.typ) || !s.ReadUint16(&a.nameAlg) || !s.ReadUint32(&a.attributes) ||
		!s.ReadUint16LengthPrefixed(&policy) || !s.ReadBytes(&a.parameters, len(ecdaaParameters())) {
		return a, fmt.Errorf("%d bytes are too short", len(b))
	}
	a.prefix = b[:len(b)-len(s)]
	if !s.ReadUint16LengthPrefixed(&x) || !s.ReadUint16LengthPrefixed(&y) || !s.Empty() {
		return a, fmt.Errorf("%d bytes do not end where they should", len(b))
	}
	a.policy, a.x, a.y = policy, x, y
	return a, nil
}

// CheckTemplate checks that no key made from a template can leave its TPM or do
// anything but sign, and that it is one that package group can work with. Policy,
// userWithAuth, adminWithPolicy, noDA and stClear are the group manager's choice.
// The error is ErrTemplate.
func CheckTemplate(template []byte) error {
	_, err := parseTemplate(template)
	return err
}

func parseTemplate(template []byte) (area, error) {
	t, err := parseArea(template)
	if err != nil {
		return t, fmt.Errorf("%w: template: %w", ErrTemplate, err)
	}
	const must, mustNot = fixedTPM | fixedParent | sensitiveDataOrigin | sign, encryptedDuplication | restricted | decrypt | x509sign
	known := t.attributes&^(must|mustNot|stClear|userWithAuth|adminWithPolicy|noDA) == 0
	switch {
	case t.typ != algECC || !bytes.Equal(t.parameters, ecdaaParameters()):
		return t, fmt.Errorf("%w: template: not an ECDAA key with SHA-256 on BN_P256", ErrTemplate)
	case t.nameAlg != algSHA256:
		return t, fmt.Errorf("%w: template: name algorithm is not SHA-256", ErrTemplate)
	case t.attributes&must != must:
		return t, fmt.Errorf("%w: template: lacks %s", ErrTemplate, flagNames(must&^t.attributes))
	case t.attributes&mustNot != 0 || !known:
		return t, fmt.Errorf("%w: template: must not have %s", ErrTemplate, flagNames(t.attributes&^(must|stClear|userWithAuth|adminWithPolicy|noDA)))
	case len(t.policy) != 0 && len(t.policy) != sha256.Size:
		return t, fmt.Errorf("%w: template: policy of %d bytes", ErrTemplate, len(t.policy))
	}
	return t, nil
}

// CheckGroupKey checks the public area of a group key, a TPMT_PUBLIC, against the
// template of its class: every byte must be equal but those of the point. It
// returns the key's Name, 34 bytes, and its point Q=[f]G, checked to be on the
// curve. That the key is in a TPM at all only MakeCredential can show.
//
// The error is ErrTemplate and says what differs; it is so for a template that
// CheckTemplate refuses, too.
func CheckGroupKey(public, template []byte) (name []byte, q fp256bn.G1, err error) {
	t, err := parseTemplate(template)
	if err != nil {
		return nil, q, err
	}
	p, err := parseArea(public)
	if err != nil {
		return nil, q, fmt.Errorf("%w: public area: %w", ErrTemplate, err)
	}
	if !bytes.Equal(p.prefix, t.prefix) {
		return nil, q, fmt.Errorf("%w: %s", ErrTemplate, difference(p, t))
	}
	q, err = fp256bn.G1FromXY(p.x, p.y)
	if err != nil {
		return nil, q, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	digest := sha256.Sum256(public)
	return append([]byte{algSHA256 >> 8, algSHA256}, digest[:]...), q, nil
}

// difference says in words where a public area departs from its template.
func difference(p, t area) string {
	set, clear := p.attributes&^t.attributes, t.attributes&^p.attributes
	switch {
	case p.typ != t.typ:
		return "key type differs"
	case p.nameAlg != t.nameAlg:
		return "name algorithm differs"
	case set != 0 && clear != 0:
		return fmt.Sprintf("must not have %s and lacks %s", flagNames(set), flagNames(clear))
	case set != 0:
		return "must not have " + flagNames(set)
	case clear != 0:
		return "lacks " + flagNames(clear)
	case !bytes.Equal(p.policy, t.policy):
		return "policy differs"
	}
	return "scheme or curve differs"
}

// flagNames names the bits of a TPMA_OBJECT as the TPM specification does.
func flagNames(bits uint32) string {
	var names []string
	for _, f := range []struct {
		bit  uint32
		name string
	}{
		{fixedTPM, "fixedTPM"}, {stClear, "stClear"}, {fixedParent, "fixedParent"},
		{sensitiveDataOrigin, "sensitiveDataOrigin"}, {userWithAuth, "userWithAuth"},
		{adminWithPolicy, "adminWithPolicy"}, {noDA, "noDA"}, {encryptedDuplication, "encryptedDuplication"},
		{restricted, "restricted"}, {decrypt, "decrypt"}, {sign, "sign"}, {x509sign, "x509sign"},
	} {
		if bits&f.bit != 0 {
			names = append(names, f.name)
			bits &^= f.bit
		}
	}
	if bits != 0 {
		names = append(names, fmt.Sprintf("reserved bits %#x", bits))
	}
	return strings.Join(names, ", ")
}

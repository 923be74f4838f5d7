package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/speciecash/specie/groupdoc"
	"golang.org/x/crypto/cryptobyte"
)

// What policies are made of: command codes of TPM 2.0 Part 2, §6.5.2, and the
// PCRs of a PC client's bank.
const (
	ccPolicyAuthorize = 0x0000016a
	ccPolicyAuthValue = 0x0000016b
	ccPolicyPCR       = 0x0000017f
	pcrCount          = 24

	p256Size = 32 // bytes of a coordinate
)

// PolicyKey returns the TPMT_PUBLIC by which TPMs know a manager's policy key:
// ECDSA with SHA-256 on P-256, sign and nothing else, names by SHA-256. Its Name
// stands in the policy of every group key, so that no byte of it may ever change.
// A key on another curve is ErrPlatform.
func PolicyKey(pub *ecdsa.PublicKey) ([]byte, error) {
	if pub == nil || pub.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: a policy key is on P-256", ErrPlatform)
	}
	point, err := pub.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: policy key: %w", ErrPlatform, err)
	}
	b := cryptobyte.NewBuilder(policyKeyPrefix())
	for _, c := range [][]byte{point[1 : 1+p256Size], point[1+p256Size:]} {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(c) })
	}
	return b.BytesOrPanic(), nil
}

// policyKeyPrefix is a policy key's TPMT_PUBLIC up to the point.
func policyKeyPrefix() []byte {
	return []byte{
		0x00, 0x23, 0x00, 0x0b, // TPM_ALG_ECC, names by SHA-256
		0x00, 0x04, 0x00, 0x00, // sign
		0x00, 0x00, // no policy
		0x00, 0x10, 0x00, 0x18, 0x00, 0x0b, 0x00, 0x03, 0x00, 0x10, // ECDSA with SHA-256, TPM_ECC_NIST_P256
	}
}

// ParsePolicyKey reads what PolicyKey returned, and nothing else. The error is
// ErrPlatform.
func ParsePolicyKey(policyKey []byte) (*ecdsa.PublicKey, error) {
	point, ok := bytes.CutPrefix(policyKey, policyKeyPrefix())
	s := cryptobyte.String(point)
	var x, y cryptobyte.String
	if !ok || !s.ReadUint16LengthPrefixed(&x) || !s.ReadUint16LengthPrefixed(&y) || !s.Empty() || len(x) != p256Size || len(y) != p256Size {
		return nil, fmt.Errorf("%w: policy key: not an ECDSA key with SHA-256 on P-256 that only signs", ErrPlatform)
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, fmt.Errorf("%w: policy key: %w", ErrPlatform, err)
	}
	return pub, nil
}

// PolicyKeyName returns the Name of a policy key, 34 bytes: the number of SHA-256
// and the digest of its TPMT_PUBLIC.
func PolicyKeyName(policyKey []byte) []byte {
	digest := sha256.Sum256(policyKey)
	return append([]byte{algSHA256 >> 8, algSHA256}, digest[:]...)
}

// PlatformTemplate returns the TPMT_PUBLIC of class 1 for a manager who approves
// platforms: as GroupKeyTemplate, with userWithAuth clear, so that nothing but
// the policy opens the key to TPM2_Commit and TPM2_Sign, and with the policy
//
//	TPM2_PolicyAuthorize(policy key, no policyRef), TPM2_PolicyAuthValue
//
// The TPM signs, therefore, only in a state that the policy key has signed for,
// and only with the key's authorisation value, failures of which count towards
// lock-out as without a policy.
//
// adminWithPolicy stays clear: TPM2_ActivateCredential and TPM2_ObjectChangeAuth,
// which take the ADMIN role, are done with the authorisation value alone. Neither
// makes a signature. The first reads a credential that is of no use without one;
// the second changes the PIN, and has to work where the machine is in no approved
// state. A policy for them would have to name each command
// (TPM2_PolicyCommandCode) in branches of a TPM2_PolicyOR, and every new one would
// be another class of keys.
func PlatformTemplate(policyKey []byte) []byte {
	policy := platformPolicy(policyKey)
	b := cryptobyte.NewBuilder(nil)
	b.AddUint16(algECC)
	b.AddUint16(algSHA256)
	b.AddUint32(fixedTPM | fixedParent | sensitiveDataOrigin | sign)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(policy[:]) })
	b.AddBytes(ecdaaParameters())
	b.AddUint32(0) // the TPM fills in x and y
	return b.BytesOrPanic()
}

// ClassTemplate returns the template of class 1 under a manager's rule about
// platforms: GroupKeyTemplate where he has none.
func ClassTemplate(p *groupdoc.Platform) []byte {
	if p == nil {
		return GroupKeyTemplate()
	}
	return PlatformTemplate(p.Key)
}

// platformPolicy is the authPolicy of PlatformTemplate. TPM2_PolicyAuthorize
// starts from zeros, whatever was approved, and extends twice: TPM 2.0 Part 3,
// §23.16 and §23.17.
func platformPolicy(policyKey []byte) [32]byte {
	d := extendPolicy([32]byte{}, ccPolicyAuthorize, PolicyKeyName(policyKey))
	d = sha256.Sum256(d[:]) // policyRef, which is empty
	return extendPolicy(d, ccPolicyAuthValue, nil)
}

func extendPolicy(d [32]byte, cc uint32, data []byte) [32]byte {
	return sha256.Sum256(slices.Concat(d[:], binary.BigEndian.AppendUint32(nil, cc), data))
}

// PCRPolicyDigest returns the policy digest of one TPM2_PolicyPCR (TPM 2.0 Part 3,
// §23.7) over PCRs of the SHA-256 bank, 0 to 23, ascending, where digest is
// SHA-256 over their values. The error is ErrPlatform.
func PCRPolicyDigest(pcrs []int, digest [32]byte) ([32]byte, error) {
	selected, err := selection(pcrs)
	if err != nil {
		return [32]byte{}, err
	}
	return extendPolicy([32]byte{}, ccPolicyPCR, slices.Concat(selected, digest[:])), nil
}

// selection is a TPML_PCR_SELECTION of the SHA-256 bank.
func selection(list []int) ([]byte, error) {
	var bits [pcrCount / 8]byte
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: no PCR", ErrPlatform)
	}
	for i, n := range list {
		if n < 0 || n >= pcrCount || i > 0 && n <= list[i-1] {
			return nil, fmt.Errorf("%w: PCRs are 0 to %d, ascending", ErrPlatform, pcrCount-1)
		}
		bits[n/8] |= 1 << (n % 8)
	}
	return append([]byte{0, 0, 0, 1, algSHA256 >> 8, algSHA256, byte(len(bits))}, bits[:]...), nil
}

// ApprovedHash returns aHash, what a policy key signs to approve a policy: SHA-256
// over its digest and the policyRef, which is empty (TPM 2.0 Part 3, §23.16).
func ApprovedHash(policy [32]byte) [32]byte { return sha256.Sum256(policy[:]) }

// VerifyPlatformPolicy verifies one approved state, as the TPM will. The error is
// ErrPlatform and names the state.
func VerifyPlatformPolicy(policyKey []byte, p groupdoc.PlatformPolicy) error {
	pub, err := ParsePolicyKey(policyKey)
	if err != nil {
		return err
	}
	return verifyPolicy(pub, p)
}

func verifyPolicy(pub *ecdsa.PublicKey, p groupdoc.PlatformPolicy) error {
	policy, err := PCRPolicyDigest(p.PCRs, p.Digest)
	if err != nil {
		return fmt.Errorf("state %q: %w", p.Name, err)
	}
	if len(p.Signature) != 2*p256Size {
		return fmt.Errorf("%w: state %q: signature of %d bytes", ErrPlatform, p.Name, len(p.Signature))
	}
	var r, s big.Int
	r.SetBytes(p.Signature[:p256Size])
	s.SetBytes(p.Signature[p256Size:])
	approved := ApprovedHash(policy)
	if !ecdsa.Verify(pub, approved[:], &r, &s) {
		return fmt.Errorf("%w: state %q was not signed by the policy key", ErrPlatform, p.Name)
	}
	return nil
}

// CheckPlatform verifies a manager's whole rule: that the key is one that TPMs
// take, and that it signed for every state. No rule is a good one; a rule that no
// state fulfils is, too, though nobody can sign under it. The error is
// ErrPlatform.
func CheckPlatform(p *groupdoc.Platform) error {
	if p == nil {
		return nil
	}
	pub, err := ParsePolicyKey(p.Key)
	if err != nil {
		return err
	}
	var failed []error
	for _, state := range p.Policies {
		failed = append(failed, verifyPolicy(pub, state))
	}
	return errors.Join(failed...)
}

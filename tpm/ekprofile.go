package tpm

import (
	"bytes"

	"github.com/google/go-tpm/tpm2"
)

// ekProfile says where an endorsement key of one kind is found: TCG EK
// Credential Profile for TPM Family 2.0, §2.2.1.4 (low range), §2.2.1.5 (high
// range) and annex B (templates).
type ekProfile struct {
	kind        string
	certificate tpm2.TPMHandle   // index in non-volatile memory
	persistent  []tpm2.TPMHandle // where the key is, if it was made persistent
	templates   []tpm2.TPMTPublic
	// nonce and template are indices for what a manufacturer does otherwise than
	// the template; 0 in the high range, which has none.
	nonce, template tpm2.TPMHandle
	// policy: the key is used with PolicySecret(TPM_RH_ENDORSEMENT), as all of the
	// low range are. Those of the high range have userWithAuth set, and no
	// password.
	policy bool
}

func ekProfiles() []ekProfile {
	return []ekProfile{
		{
			kind: "rsa2048", certificate: 0x01c00002, persistent: []tpm2.TPMHandle{0x81010001},
			templates: []tpm2.TPMTPublic{tpm2.RSAEKTemplate}, nonce: 0x01c00003, template: 0x01c00004, policy: true,
		},
		{
			kind: "p256", certificate: 0x01c0000a, persistent: []tpm2.TPMHandle{0x81010002},
			templates: []tpm2.TPMTPublic{tpm2.ECCEKTemplate}, nonce: 0x01c0000b, template: 0x01c0000c, policy: true,
		},
		{
			// The profile leaves unique empty; swtpm fills it with zeros, which makes
			// another key.
			kind: "p384", certificate: 0x01c00016, persistent: []tpm2.TPMHandle{0x81010016},
			templates: []tpm2.TPMTPublic{p384EKTemplate(0), p384EKTemplate(48)},
		},
	}
}

// p384EKTemplate is template H-3, with so many bytes of zero for each
// coordinate of unique. The policy is PolicyC for SHA-384: PolicySecret(
// TPM_RH_ENDORSEMENT) or what an NV index authorises.
func p384EKTemplate(unique int) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgECC,
		NameAlg: tpm2.TPMAlgSHA384,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true,
			AdminWithPolicy: true, Restricted: true, Decrypt: true,
		},
		AuthPolicy: tpm2.TPM2BDigest{Buffer: []byte{
			0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, 0xf5, 0xfd, 0x3a, 0x1a,
			0x07, 0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4, 0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca,
			0xcb, 0x47, 0xba, 0x09, 0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12,
		}},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Symmetric: tpm2.TPMTSymDefObject{
				Algorithm: tpm2.TPMAlgAES,
				KeyBits:   tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, tpm2.TPMKeyBits(256)),
				Mode:      tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCFB),
			},
			CurveID: tpm2.TPMECCNistP384,
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
			X: tpm2.TPM2BECCParameter{Buffer: make([]byte, unique)},
			Y: tpm2.TPM2BECCParameter{Buffer: make([]byte, unique)},
		}),
	}
}

// shapeOf says whether a public area is that of the profile, whatever key is in
// it. A persistent handle may hold something else altogether.
func (p ekProfile) shapeOf(public []byte) bool {
	t := p.templates[0]
	template := tpm2.Marshal(t)
	var unique []byte
	if n, err := t.Unique.RSA(); err == nil {
		unique = tpm2.Marshal(*n)
	} else if q, err := t.Unique.ECC(); err == nil {
		unique = tpm2.Marshal(*q)
	}
	return bytes.HasPrefix(public, template[:len(template)-len(unique)])
}

// withNonce is the first template with a nonce at the beginning of unique, which
// is as long as in the template. For a point it stands in x, and y is zero.
func (p ekProfile) withNonce(nonce []byte) (tpm2.TPMTPublic, bool) {
	t := p.templates[0]
	if n, err := t.Unique.RSA(); err == nil && len(nonce) <= len(n.Buffer) {
		b := append(bytes.Clone(nonce), n.Buffer[len(nonce):]...)
		t.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: b})
		return t, true
	}
	if q, err := t.Unique.ECC(); err == nil && len(nonce) <= len(q.X.Buffer) {
		b := append(bytes.Clone(nonce), q.X.Buffer[len(nonce):]...)
		t.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: b}, Y: q.Y})
		return t, true
	}
	return t, false
}

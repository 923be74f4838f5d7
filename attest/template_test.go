package attest_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/group/fp256bn"
)

// publicOf is what a TPM makes of a template: the point filled in.
func publicOf(template []byte, q fp256bn.G1) []byte {
	x, y := q.XY()
	out := bytes.Clone(template[:len(template)-4])
	for _, c := range [][]byte{x[:], y[:]} {
		out = binary.BigEndian.AppendUint16(out, uint16(len(c)))
		out = append(out, c...)
	}
	return out
}

func TestTemplateIsThatOfAnECDAAKey(t *testing.T) {
	want := tpm2.Marshal(tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgECC,
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, SignEncrypt: true,
		},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Symmetric: tpm2.TPMTSymDefObject{Algorithm: tpm2.TPMAlgNull},
			Scheme: tpm2.TPMTECCScheme{
				Scheme:  tpm2.TPMAlgECDAA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDAA, &tpm2.TPMSSchemeECDAA{HashAlg: tpm2.TPMAlgSHA256}),
			},
			CurveID: tpm2.TPMECCBNP256,
			KDF:     tpm2.TPMTKDFScheme{Scheme: tpm2.TPMAlgNull},
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{}),
	})
	if got := attest.GroupKeyTemplate(); !bytes.Equal(got, want) {
		t.Fatalf("got  %x\nwant %x", got, want)
	}
	if err := attest.CheckTemplate(attest.GroupKeyTemplate()); err != nil {
		t.Fatal(err)
	}
}

func TestAKeyOfTheTemplateIsAccepted(t *testing.T) {
	q := fp256bn.Generator1().Mul(fp256bn.ScalarFromUint64(5))
	public := publicOf(attest.GroupKeyTemplate(), q)
	name, got, err := attest.CheckGroupKey(public, attest.GroupKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	if !got.Equal(q) {
		t.Error("another point came out")
	}
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](public)
	if err != nil {
		t.Fatal(err)
	}
	want, err := tpm2.ObjectName(area)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(name, want.Buffer) {
		t.Errorf("name %x, want %x", name, want.Buffer)
	}
}

// flags are all bits of TPMA_OBJECT that have a name, and some that have none.
var flags = map[string]uint{
	"fixedTPM": 1, "stClear": 2, "fixedParent": 4, "sensitiveDataOrigin": 5, "userWithAuth": 6, "adminWithPolicy": 7,
	"noDA": 10, "encryptedDuplication": 11, "restricted": 16, "decrypt": 17, "sign": 18, "x509sign": 19,
	"reserved bits 0x1": 0, "reserved bits 0x8": 3, "reserved bits 0x80000000": 31,
}

func flip(area []byte, bit uint) []byte {
	out := bytes.Clone(area)
	binary.BigEndian.PutUint32(out[4:], binary.BigEndian.Uint32(out[4:])^1<<bit)
	return out
}

func TestEachFlagMustBeAsInTheTemplate(t *testing.T) {
	template := attest.GroupKeyTemplate()
	public := publicOf(template, fp256bn.Generator1())
	for name, bit := range flags {
		_, _, err := attest.CheckGroupKey(flip(public, bit), template)
		if !errors.Is(err, attest.ErrTemplate) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s flipped: got %v, want ErrTemplate naming it", name, err)
		}
	}
}

func TestAKeyUnlikeTheTemplateIsRefused(t *testing.T) {
	template := attest.GroupKeyTemplate()
	public := publicOf(template, fp256bn.Generator1())
	change := func(at int, b ...byte) []byte {
		out := bytes.Clone(public)
		copy(out[at:], b)
		return out
	}
	policy := append(bytes.Clone(public[:8]), 0, 32)
	policy = append(append(policy, make([]byte, 32)...), public[10:]...)
	cases := map[string][]byte{
		"another type":                 change(0, 0x00, 0x01),
		"names by SHA-384":             change(2, 0x00, 0x0c),
		"a policy":                     policy,
		"a symmetric cipher":           change(10, 0x00, 0x06),
		"scheme ECDSA":                 change(12, 0x00, 0x18),
		"ECDAA with SHA-1":             change(14, 0x00, 0x04),
		"a count":                      change(16, 0x00, 0x01),
		"curve P-256":                  change(18, 0x00, 0x03),
		"a key derivation":             change(20, 0x00, 0x20),
		"a point off the curve":        change(len(public)-1, 3),
		"a coordinate above the field": change(24, bytes.Repeat([]byte{0xff}, 32)...),
		"a byte after the end":         append(bytes.Clone(public), 0),
		"a byte missing":               public[:len(public)-1],
		"no point":                     template,
		"nothing":                      nil,
		"too much":                     append(bytes.Clone(public), make([]byte, 1000)...),
	}
	for name, p := range cases {
		if _, _, err := attest.CheckGroupKey(p, template); !errors.Is(err, attest.ErrTemplate) {
			t.Errorf("%s: got %v, want ErrTemplate", name, err)
		}
	}
}

func TestATemplateForKeysThatCanLeaveIsRefused(t *testing.T) {
	template := attest.GroupKeyTemplate()
	free := map[string]bool{"stClear": true, "userWithAuth": true, "adminWithPolicy": true, "noDA": true}
	for name, bit := range flags {
		changed := flip(template, bit)
		err := attest.CheckTemplate(changed)
		if free[name] && err != nil {
			t.Errorf("%s flipped, which is the manager's choice: %v", name, err)
		}
		if !free[name] && (!errors.Is(err, attest.ErrTemplate) || !strings.Contains(err.Error(), name)) {
			t.Errorf("%s flipped: got %v, want ErrTemplate naming it", name, err)
		}
		if _, _, err := attest.CheckGroupKey(publicOf(changed, fp256bn.Generator1()), changed); free[name] != (err == nil) {
			t.Errorf("%s flipped in the template and the key: %v", name, err)
		}
	}
	for name, bad := range map[string][]byte{
		"nothing":                  nil,
		"another curve":            append(append(bytes.Clone(template[:18]), 0x00, 0x03), template[20:]...),
		"names by SHA-384":         append(append(bytes.Clone(template[:2]), 0x00, 0x0c), template[4:]...),
		"a policy of odd size":     append(append(bytes.Clone(template[:8]), 0, 1, 7), template[10:]...),
		"a byte after the end":     append(bytes.Clone(template), 0),
		"a key's public area, cut": publicOf(template, fp256bn.Generator1())[:40],
	} {
		if err := attest.CheckTemplate(bad); !errors.Is(err, attest.ErrTemplate) {
			t.Errorf("%s: got %v, want ErrTemplate", name, err)
		}
	}
}

func FuzzCheckGroupKey(f *testing.F) {
	template := attest.GroupKeyTemplate()
	public := publicOf(template, fp256bn.Generator1())
	f.Add(public, template)
	f.Add(template, template)
	f.Add(public[:len(public)-1], template)
	f.Add(flip(public, 1), flip(template, 1))
	f.Fuzz(func(t *testing.T, public, template []byte) {
		name, q, err := attest.CheckGroupKey(public, template)
		if err != nil {
			if !errors.Is(err, attest.ErrTemplate) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		if attest.CheckTemplate(template) != nil || q.IsInfinity() || len(name) != 34 {
			t.Fatalf("accepted under a bad template, or without a point: %x %x", public, template)
		}
		area, err := tpm2.Unmarshal[tpm2.TPMTPublic](public)
		if err != nil {
			t.Fatalf("accepted what go-tpm can't read: %v", err)
		}
		a := area.ObjectAttributes
		if !a.FixedTPM || !a.FixedParent || !a.SensitiveDataOrigin || !a.SignEncrypt || a.Decrypt || a.Restricted {
			t.Fatalf("accepted a key that can leave its TPM: %x", public)
		}
	})
}

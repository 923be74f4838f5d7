package attest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/tpm/swtpm"
)

// bare is a TPM with nothing of ours in between.
func bare(t *testing.T) transport.TPM {
	t.Helper()
	ca, _ := plant(t)
	e, err := swtpm.Start(t.Context(), t.TempDir(), ca)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := linuxudstpm.Open(strings.TrimPrefix(e.TCTI(), "swtpm:path="))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newPolicyKey(t testing.TB) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := attest.PolicyKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key, public
}

// approve signs a state with a policy key.
func approve(t testing.TB, key *ecdsa.PrivateKey, name string, digest [32]byte, pcrs ...int) groupdoc.PlatformPolicy {
	t.Helper()
	policy, err := attest.PCRPolicyDigest(pcrs, digest)
	if err != nil {
		t.Fatal(err)
	}
	approved := attest.ApprovedHash(policy)
	r, s, err := ecdsa.Sign(rand.Reader, key, approved[:])
	if err != nil {
		t.Fatal(err)
	}
	p := groupdoc.PlatformPolicy{Name: name, PCRs: pcrs, Digest: digest, Signature: make([]byte, 64)}
	r.FillBytes(p.Signature[:32])
	s.FillBytes(p.Signature[32:])
	return p
}

// policyOf is what a TPM makes of policy commands, in a trial session.
func policyOf(t *testing.T, c transport.TPM, commands func(session tpm2.TPMISHPolicy) error) []byte {
	t.Helper()
	session, done, err := tpm2.PolicySession(c, tpm2.TPMAlgSHA256, 16, tpm2.Trial())
	if err != nil {
		t.Fatal(err)
	}
	if err := commands(session.Handle()); err != nil {
		t.Fatal(err)
	}
	rsp, err := tpm2.PolicyGetDigest{PolicySession: session.Handle()}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := done(); err != nil {
		t.Fatal(err)
	}
	return rsp.PolicyDigest.Buffer
}

func TestAPolicyKeyIsWhatATPMTakes(t *testing.T) {
	c := bare(t)
	key, public := newPolicyKey(t)
	loaded, err := tpm2.LoadExternal{InPublic: tpm2.BytesAs2B[tpm2.TPMTPublic](public), Hierarchy: tpm2.TPMRHOwner}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(loaded.Name.Buffer, attest.PolicyKeyName(public)) {
		t.Fatalf("the TPM names it %x", loaded.Name.Buffer)
	}
	back, err := attest.ParsePolicyKey(public)
	if err != nil || !back.Equal(&key.PublicKey) {
		t.Fatalf("another key came back: %v", err)
	}
	// It verifies what the policy key signed, and nothing else.
	policy, err := attest.PCRPolicyDigest([]int{7}, [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	good := approve(t, key, "good", [32]byte{}, 7).Signature
	other, _ := newPolicyKey(t)
	strangers := approve(t, other, "strange", [32]byte{}, 7).Signature
	for name, x := range map[string]struct {
		signature []byte
		ok        bool
	}{"the policy key's": {good, true}, "another key's": {strangers, false}} {
		approved := attest.ApprovedHash(policy)
		_, err := tpm2.VerifySignature{
			KeyHandle: loaded.ObjectHandle, Digest: tpm2.TPM2BDigest{Buffer: approved[:]},
			Signature: tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgECDSA, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{
				Hash:       tpm2.TPMAlgSHA256,
				SignatureR: tpm2.TPM2BECCParameter{Buffer: x.signature[:32]}, SignatureS: tpm2.TPM2BECCParameter{Buffer: x.signature[32:]},
			})},
		}.Execute(c)
		if (err == nil) != x.ok {
			t.Errorf("%s signature: %v", name, err)
		}
	}
}

func TestPoliciesAreThoseThatATPMComputes(t *testing.T) {
	c := bare(t)
	for _, pcrs := range [][]int{{7}, {0}, {23}, {0, 2, 4, 7}, {8, 9, 16}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}} {
		t.Run(fmt.Sprint(pcrs), func(t *testing.T) {
			digest := sha256.Sum256(fmt.Append(nil, pcrs))
			var bits [3]byte
			for _, n := range pcrs {
				bits[n/8] |= 1 << (n % 8)
			}
			want := policyOf(t, c, func(session tpm2.TPMISHPolicy) error {
				_, err := tpm2.PolicyPCR{
					PolicySession: session, PcrDigest: tpm2.TPM2BDigest{Buffer: digest[:]},
					Pcrs: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: bits[:]}}},
				}.Execute(c)
				return err
			})
			if got, err := attest.PCRPolicyDigest(pcrs, digest); err != nil || !bytes.Equal(got[:], want) {
				t.Fatalf("got %x, %v; the TPM has %x", got, err, want)
			}
		})
	}
	_, public := newPolicyKey(t)
	want := policyOf(t, c, func(session tpm2.TPMISHPolicy) error {
		_, err := tpm2.PolicyAuthorize{
			PolicySession: session, ApprovedPolicy: tpm2.TPM2BDigest{Buffer: make([]byte, 32)}, KeySign: tpm2.TPM2BName{Buffer: attest.PolicyKeyName(public)},
			CheckTicket: tpm2.TPMTTKVerified{Tag: tpm2.TPMSTVerified, Hierarchy: tpm2.TPMRHOwner, Digest: tpm2.TPM2BDigest{Buffer: make([]byte, 32)}},
		}.Execute(c)
		if err != nil {
			return err
		}
		_, err = tpm2.PolicyAuthValue{PolicySession: session}.Execute(c)
		return err
	})
	if got := attest.PlatformTemplate(public)[10:42]; !bytes.Equal(got, want) {
		t.Fatalf("authPolicy %x; the TPM has %x", got, want)
	}
}

func TestATemplateWithAPolicyOpensToThePolicyAlone(t *testing.T) {
	_, public := newPolicyKey(t)
	template := attest.PlatformTemplate(public)
	if err := attest.CheckTemplate(template); err != nil {
		t.Fatal(err)
	}
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](template)
	if err != nil {
		t.Fatal(err)
	}
	want := tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, SignEncrypt: true}
	if area.ObjectAttributes != want || len(area.AuthPolicy.Buffer) != 32 {
		t.Fatalf("%+v", area.ObjectAttributes)
	}
	plain := attest.GroupKeyTemplate()
	if !bytes.Equal(template[42:], plain[10:]) || !bytes.Equal(template[:4], plain[:4]) {
		t.Fatal("it differs in more than attributes and policy")
	}
	q := fp256bn.Generator1().Mul(fp256bn.ScalarFromUint64(5))
	if _, _, err := attest.CheckGroupKey(publicOf(template, q), template); err != nil {
		t.Fatal(err)
	}
	_, other := newPolicyKey(t)
	for name, key := range map[string][]byte{
		"a key without a policy": publicOf(plain, q), "a key under another policy key": publicOf(attest.PlatformTemplate(other), q),
		"a key that a password opens too": publicOf(flip(template, 6), q),
	} {
		if _, _, err := attest.CheckGroupKey(key, template); !errors.Is(err, attest.ErrTemplate) {
			t.Errorf("%s: got %v, want ErrTemplate", name, err)
		}
	}
	if !bytes.Equal(attest.ClassTemplate(nil), plain) || !bytes.Equal(attest.ClassTemplate(&groupdoc.Platform{Key: public}), template) {
		t.Error("the class's template is not that of the rule")
	}
}

func TestAnApprovedStateIsSignedByThePolicyKey(t *testing.T) {
	key, public := newPolicyKey(t)
	good := func() groupdoc.PlatformPolicy { return approve(t, key, "Debian 12", [32]byte{1}, 0, 7) }
	if err := attest.VerifyPlatformPolicy(public, good()); err != nil {
		t.Fatal(err)
	}
	stranger, _ := newPolicyKey(t)
	for name, change := range map[string]func(*groupdoc.PlatformPolicy){
		"another digest":          func(p *groupdoc.PlatformPolicy) { p.Digest[31] ^= 1 },
		"another PCR":             func(p *groupdoc.PlatformPolicy) { p.PCRs = []int{1, 7} },
		"one PCR fewer":           func(p *groupdoc.PlatformPolicy) { p.PCRs = []int{7} },
		"no PCR":                  func(p *groupdoc.PlatformPolicy) { p.PCRs = nil },
		"a PCR twice":             func(p *groupdoc.PlatformPolicy) { p.PCRs = []int{0, 7, 7} },
		"PCRs out of order":       func(p *groupdoc.PlatformPolicy) { p.PCRs = []int{7, 0} },
		"a PCR that is not there": func(p *groupdoc.PlatformPolicy) { p.PCRs = []int{0, 24} },
		"a PCR below zero":        func(p *groupdoc.PlatformPolicy) { p.PCRs = []int{-1, 7} },
		"another r":               func(p *groupdoc.PlatformPolicy) { p.Signature[0] ^= 1 },
		"another s":               func(p *groupdoc.PlatformPolicy) { p.Signature[63] ^= 1 },
		"a short signature":       func(p *groupdoc.PlatformPolicy) { p.Signature = p.Signature[:63] },
		"no signature":            func(p *groupdoc.PlatformPolicy) { p.Signature = nil },
		"the signature of another key": func(p *groupdoc.PlatformPolicy) {
			p.Signature = approve(t, stranger, "", p.Digest, p.PCRs...).Signature
		},
		"the signature of another state": func(p *groupdoc.PlatformPolicy) { p.Signature = approve(t, key, "", [32]byte{2}, p.PCRs...).Signature },
	} {
		p := good()
		p.Signature = bytes.Clone(p.Signature)
		change(&p)
		if err := attest.VerifyPlatformPolicy(public, p); !errors.Is(err, attest.ErrPlatform) {
			t.Errorf("%s: got %v, want ErrPlatform", name, err)
		}
		rule := &groupdoc.Platform{Key: public, Policies: []groupdoc.PlatformPolicy{good(), p}}
		if err := attest.CheckPlatform(rule); !errors.Is(err, attest.ErrPlatform) || !strings.Contains(err.Error(), `"Debian 12"`) {
			t.Errorf("%s among others: got %v, want ErrPlatform naming the state", name, err)
		}
	}
	for name, rule := range map[string]*groupdoc.Platform{
		"no rule": nil, "no state": {Key: public}, "two states": {Key: public, Policies: []groupdoc.PlatformPolicy{good(), good()}},
	} {
		if err := attest.CheckPlatform(rule); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsNoPolicyKey(t *testing.T) {
	_, public := newPolicyKey(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, pub := range map[string]*ecdsa.PublicKey{"none": nil, "on P-384": &p384.PublicKey} {
		if _, err := attest.PolicyKey(pub); !errors.Is(err, attest.ErrPlatform) {
			t.Errorf("a key %s: got %v, want ErrPlatform", name, err)
		}
	}
	cases := map[string][]byte{
		"nothing": nil, "a byte after the end": append(bytes.Clone(public), 0), "a byte missing": public[:len(public)-1],
		"a group key's template": attest.GroupKeyTemplate(), "a point off the curve": append(bytes.Clone(public[:len(public)-1]), public[len(public)-1]^1),
		"a short x": append(append(bytes.Clone(public[:20]), 0, 31), public[23:]...),
	}
	for i := range 22 { // every byte before x, its length included
		b := bytes.Clone(public)
		b[i] ^= 1
		cases[fmt.Sprintf("byte %d flipped", i)] = b
	}
	for name, b := range cases {
		if _, err := attest.ParsePolicyKey(b); !errors.Is(err, attest.ErrPlatform) {
			t.Errorf("%s: got %v, want ErrPlatform", name, err)
		}
		if err := attest.CheckPlatform(&groupdoc.Platform{Key: b}); !errors.Is(err, attest.ErrPlatform) {
			t.Errorf("%s, in a rule: got %v, want ErrPlatform", name, err)
		}
	}
}

func FuzzParsePolicyKey(f *testing.F) {
	_, public := newPolicyKey(f)
	f.Add(public)
	f.Add(public[:len(public)-1])
	f.Add(attest.GroupKeyTemplate())
	f.Fuzz(func(t *testing.T, b []byte) {
		pub, err := attest.ParsePolicyKey(b)
		if err != nil {
			if !errors.Is(err, attest.ErrPlatform) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		if back, err := attest.PolicyKey(pub); err != nil || !bytes.Equal(back, b) {
			t.Fatalf("%x came back as %x, %v", b, back, err)
		}
	})
}

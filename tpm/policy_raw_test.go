package tpm_test

import (
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/tpm"
)

// bypass drives the TPM with bare commands: what a thief's program would send,
// which has none of this package's checks.
type bypass struct {
	t   *testing.T
	c   transport.TPM
	key tpm2.AuthHandle
}

func newBypass(t *testing.T, c transport.TPM, blob tpm.Blob) *bypass {
	t.Helper()
	srk := storageKey(t, c)
	loaded, err := tpm2.Load{
		ParentHandle: tpm2.AuthHandle{Handle: srk.ObjectHandle, Name: srk.Name, Auth: tpm2.PasswordAuth(nil)},
		InPrivate:    tpm2.TPM2BPrivate{Buffer: blob.Private}, InPublic: tpm2.BytesAs2B[tpm2.TPMTPublic](blob.Public),
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (tpm2.FlushContext{FlushHandle: srk.ObjectHandle}).Execute(c); err != nil {
		t.Fatal(err)
	}
	return &bypass{t, c, tpm2.AuthHandle{Handle: loaded.ObjectHandle, Name: loaded.Name}}
}

// storageKey is what group keys are wrapped by.
func storageKey(t *testing.T, c transport.TPM) *tpm2.CreatePrimaryResponse {
	t.Helper()
	template := tpm2.ECCSRKTemplate
	template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
	srk, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}, InPublic: tpm2.New2B(template),
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	return srk
}

// commit asks for the first half of a signature.
func (b *bypass) commit(auth tpm2.Session) error {
	_, s2, y2 := base(b.t, "tag")
	key := b.key
	key.Auth = auth
	send := func() error {
		_, err := tpm2.Commit{
			SignHandle: key, P1: tpm2.New2B(tpm2.TPMSECCPoint{}), S2: tpm2.TPM2BSensitiveData{Buffer: s2}, Y2: tpm2.TPM2BECCParameter{Buffer: y2[:]},
		}.Execute(b.c)
		return err
	}
	err := send()
	if errors.Is(err, tpm2.TPMRCRetry) {
		err = send()
	}
	flushSessions(b.t, b.c) // what did not come to its command
	return err
}

// ticket is the TPM's word for a signature over a policy digest.
func (b *bypass) ticket(policyKey, signature []byte, policy [32]byte) (tpm2.TPMTTKVerified, error) {
	key, err := tpm2.LoadExternal{InPublic: tpm2.BytesAs2B[tpm2.TPMTPublic](policyKey), Hierarchy: tpm2.TPMRHOwner}.Execute(b.c)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() {
		if _, err := (tpm2.FlushContext{FlushHandle: key.ObjectHandle}).Execute(b.c); err != nil {
			b.t.Error(err)
		}
	}()
	approved := attest.ApprovedHash(policy)
	rsp, err := tpm2.VerifySignature{
		KeyHandle: key.ObjectHandle, Digest: tpm2.TPM2BDigest{Buffer: approved[:]},
		Signature: tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgECDSA, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{
			Hash: tpm2.TPMAlgSHA256, SignatureR: tpm2.TPM2BECCParameter{Buffer: signature[:32]}, SignatureS: tpm2.TPM2BECCParameter{Buffer: signature[32:]},
		})},
	}.Execute(b.c)
	if err != nil {
		return tpm2.TPMTTKVerified{}, err
	}
	return rsp.Validation, nil
}

// steps are what a policy session is brought to.
type steps struct {
	pcrs      groupdoc.PlatformPolicy // compared and extended
	bare      bool                    // extended as they are, compared with nothing
	approved  [32]byte                // what is said to be approved
	name      []byte                  // whose approval it is said to be
	ticket    tpm2.TPMTTKVerified
	unasked   bool // no TPM2_PolicyAuthValue
	unapprove bool // no TPM2_PolicyAuthorize
}

func (b *bypass) session(x steps, pin tpm.Auth) tpm2.Session {
	return tpm2.Policy(tpm2.TPMAlgSHA256, 16, func(c transport.TPM, session tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
		var bits [3]byte
		for _, n := range x.pcrs.PCRs {
			bits[n/8] |= 1 << (n % 8)
		}
		pcr := tpm2.PolicyPCR{
			PolicySession: session,
			Pcrs:          tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: bits[:]}}},
		}
		if !x.bare {
			pcr.PcrDigest.Buffer = x.pcrs.Digest[:]
		}
		if _, err := pcr.Execute(c); err != nil {
			return err
		}
		if !x.unapprove {
			_, err := tpm2.PolicyAuthorize{
				PolicySession: session, ApprovedPolicy: tpm2.TPM2BDigest{Buffer: x.approved[:]},
				KeySign: tpm2.TPM2BName{Buffer: x.name}, CheckTicket: x.ticket,
			}.Execute(c)
			if err != nil {
				return err
			}
		}
		if x.unasked {
			return nil
		}
		_, err := tpm2.PolicyAuthValue{PolicySession: session}.Execute(c)
		return err
	}, tpm2.Auth(pin))
}

// TestTheTPMItselfRefuses: nothing of this package stands between the commands
// and the TPM here.
func TestTheTPMItselfRefuses(t *testing.T) {
	e := emulator(t, "one")
	d := open(t, e.TCTI())
	a, stranger := newApprover(t), newApprover(t)
	pin := tpm.Auth("2468")
	blob := a.newKey(t, d, pin)
	shipped := a.present(t, d, "as shipped", 7)
	c := raw(t, e)
	b := newBypass(t, c, blob)
	policy := func(p groupdoc.PlatformPolicy) [32]byte {
		digest, err := attest.PCRPolicyDigest(p.PCRs, p.Digest)
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	ticket := func(by *approver, p groupdoc.PlatformPolicy) tpm2.TPMTTKVerified {
		tk, err := b.ticket(by.public, p.Signature, policy(p))
		if err != nil {
			t.Fatal(err)
		}
		return tk
	}
	name := attest.PolicyKeyName(a.public)
	good := steps{pcrs: shipped, approved: policy(shipped), name: name, ticket: ticket(a, shipped)}
	refuse := func(what string, auth tpm2.Session, want tpm2.TPMRC) {
		t.Helper()
		if err := b.commit(auth); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}
	allow := func(what string, auth tpm2.Session) {
		t.Helper()
		if err := b.commit(auth); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}

	allow("an approved platform and the PIN", b.session(good, pin))
	refuse("the PIN as a password", tpm2.PasswordAuth(pin), tpm2.TPMRCAuthUnavailable)
	refuse("the PIN in an HMAC session", tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.Auth(pin)), tpm2.TPMRCAuthUnavailable)
	refuse("an approved platform and a wrong PIN", b.session(good, tpm.Auth("1234")), tpm2.TPMRCAuthFail)
	x := good
	x.unasked = true
	refuse("an approved platform and no PIN", b.session(x, pin), tpm2.TPMRCPolicyFail)
	x = good
	x.unapprove = true
	refuse("a platform that nobody approved", b.session(x, pin), tpm2.TPMRCPolicyFail)

	// What a stranger approves.
	strange := stranger.present(t, d, "as shipped", 7)
	x = steps{pcrs: strange, approved: policy(strange), name: name, ticket: ticket(stranger, strange)}
	refuse("a stranger's approval in the manager's name", b.session(x, pin), tpm2.TPMRCValue)
	x.name = attest.PolicyKeyName(stranger.public)
	refuse("a stranger's approval in his own name", b.session(x, pin), tpm2.TPMRCPolicyFail)
	if _, err := b.ticket(a.public, strange.Signature, policy(strange)); !errors.Is(err, tpm2.TPMRCSignature) {
		t.Errorf("a stranger's signature as the manager's: got %v, want %v", err, tpm2.TPMRCSignature)
	}

	// An update that nobody approved.
	extend(t, e, 7)
	refuse("the approval of a state that is over", b.session(good, pin), tpm2.TPMRCValue)
	x = good
	x.bare = true
	refuse("the approval of a state, for the registers as they are", b.session(x, pin), tpm2.TPMRCValue)
	now := a.present(t, d, "now", 7)
	x = steps{pcrs: now, approved: policy(now), name: name, ticket: good.ticket}
	refuse("the registers as they are, with the ticket of another state", b.session(x, pin), tpm2.TPMRCValue)
	refuse("the PIN as a password, then", tpm2.PasswordAuth(pin), tpm2.TPMRCAuthUnavailable)

	// And one that was.
	x.ticket = ticket(a, now)
	allow("the new state, approved", b.session(x, pin))

	extend(t, e, 7)
	refuse("a state after that", b.session(x, pin), tpm2.TPMRCValue)
	changed := b.changePIN(blob, pin, "1357")
	restarted(t, e)
	again := newBypass(t, c, changed)
	if err := again.commit(again.session(good, pin)); !errors.Is(err, tpm2.TPMRCAuthFail) {
		t.Errorf("the old PIN: got %v, want %v", err, tpm2.TPMRCAuthFail)
	}
	if err := again.commit(again.session(good, tpm.Auth("1357"))); err != nil {
		t.Errorf("the new PIN, and the ticket from before the reset: %v", err)
	}
}

// changePIN works wherever the machine is: ADMIN role, by the old PIN.
func (b *bypass) changePIN(blob tpm.Blob, pin tpm.Auth, next string) tpm.Blob {
	b.t.Helper()
	key := b.key
	key.Auth = tpm2.PasswordAuth(pin)
	srk := storageKey(b.t, b.c)
	changed, err := tpm2.ObjectChangeAuth{
		ObjectHandle: key, ParentHandle: tpm2.NamedHandle{Handle: srk.ObjectHandle, Name: srk.Name},
		NewAuth: tpm2.TPM2BAuth{Buffer: []byte(next)},
	}.Execute(b.c)
	if err != nil {
		b.t.Fatalf("change the PIN: %v", err)
	}
	if _, err := (tpm2.FlushContext{FlushHandle: srk.ObjectHandle}).Execute(b.c); err != nil {
		b.t.Fatal(err)
	}
	return tpm.Blob{Public: blob.Public, Private: changed.OutPrivate.Buffer}
}

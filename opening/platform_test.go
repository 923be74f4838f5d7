//go:build cgo

package opening_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/google/go-tpm-tools/simulator"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/tpm"
)

// approve is a rule that approves the state that a TPM is in.
func approve(t *testing.T, d *tpm.Device) *groupdoc.Platform {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	state := groupdoc.PlatformPolicy{Name: "as shipped", PCRs: []int{0, 7}, Signature: make([]byte, 64)}
	state.Digest = tpm.PCRDigest(must(d.PCRs(t.Context(), state.PCRs))(t))
	hash := attest.ApprovedHash(must(attest.PCRPolicyDigest(state.PCRs, state.Digest))(t))
	r, s, err := ecdsa.Sign(rand.Reader, key, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	r.FillBytes(state.Signature[:32])
	s.FillBytes(state.Signature[32:])
	return &groupdoc.Platform{Key: must(attest.PolicyKey(&key.PublicKey))(t), Policies: []groupdoc.PlatformPolicy{state}}
}

// TestAMemberOfAGroupWithAPlatformRuleIsNamed: the manager's statement is held
// against the template in the group's own document.
func TestAMemberOfAGroupWithAPlatformRuleIsNamed(t *testing.T) {
	device := tpm.New(transport.FromReadWriteCloser(must(simulator.Get())(t)))
	defer device.Close()
	rule := approve(t, device)
	blob := must(device.CreateGroupKey(t.Context(), attest.ClassTemplate(rule), tpm.Auth("pin")))(t)
	key := must(device.LoadGroupKey(t.Context(), blob, tpm.Auth("pin"), tpm.WithPlatform(rule)))(t)
	defer key.Close()

	w := newWorld(t)
	w.Group.Contents.Platform = rule
	named := func(template []byte) (*opening.Verdict, error) {
		w.Group.Contents.Template = template
		w.groupJWS = w.Group.Sign(t)
		thief := w.admitWith(t, "Eva Example", key, nil)
		c := w.doubleSpend(t, thief)
		o, _, err := w.combine(t, c, w.parts(t, c, 2, 3))
		if err != nil {
			t.Fatal(err)
		}
		_, v, err := opening.Attach(w.Root, o, w.state(t, thief), now)
		return v, err
	}
	if v, err := named(attest.ClassTemplate(rule)); err != nil || v.Member.Name != "Eva Example" {
		t.Fatalf("%+v, %v", v, err)
	}
	if _, err := named(attest.GroupKeyTemplate()); !errors.Is(err, attest.ErrTemplate) {
		t.Fatalf("under the template without a rule: got %v, want ErrTemplate", err)
	}
}

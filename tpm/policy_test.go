package tpm_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/tpm/swtpm"
)

// approver is a manager who approves platforms.
type approver struct {
	key    *ecdsa.PrivateKey
	public []byte
}

func newApprover(t testing.TB) *approver {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := attest.PolicyKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return &approver{key, public}
}

// approve signs for a state in which those PCRs have that digest.
func (a *approver) approve(t testing.TB, name string, digest [32]byte, pcrs ...int) groupdoc.PlatformPolicy {
	t.Helper()
	policy, err := attest.PCRPolicyDigest(pcrs, digest)
	if err != nil {
		t.Fatal(err)
	}
	approved := attest.ApprovedHash(policy)
	r, s, err := ecdsa.Sign(rand.Reader, a.key, approved[:])
	if err != nil {
		t.Fatal(err)
	}
	p := groupdoc.PlatformPolicy{Name: name, PCRs: pcrs, Digest: digest, Signature: make([]byte, 64)}
	r.FillBytes(p.Signature[:32])
	s.FillBytes(p.Signature[32:])
	return p
}

// present signs for the state that a TPM is in.
func (a *approver) present(t testing.TB, d *tpm.Device, name string, pcrs ...int) groupdoc.PlatformPolicy {
	t.Helper()
	values, err := d.PCRs(t.Context(), pcrs)
	if err != nil {
		t.Fatal(err)
	}
	return a.approve(t, name, tpm.PCRDigest(values), pcrs...)
}

func (a *approver) rule(states ...groupdoc.PlatformPolicy) *groupdoc.Platform {
	return &groupdoc.Platform{Key: a.public, Policies: states}
}

func (a *approver) newKey(t *testing.T, d *tpm.Device, pin tpm.Auth) tpm.Blob {
	t.Helper()
	blob, err := d.CreateGroupKey(t.Context(), attest.PlatformTemplate(a.public), pin)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

func load(t *testing.T, d *tpm.Device, blob tpm.Blob, pin tpm.Auth, rule *groupdoc.Platform) *tpm.GroupKey {
	t.Helper()
	key, err := d.LoadGroupKey(t.Context(), blob, pin, tpm.WithPlatform(rule))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := key.Close(); err != nil {
			t.Error(err)
		}
	})
	return key
}

// signs makes one signature, as a presentation does.
func signs(t testing.TB, key *tpm.GroupKey) error {
	t.Helper()
	_, s2, y2 := base(t, "tag")
	_, _, _, counter, err := key.Commit(t.Context(), nil, s2, y2)
	if err != nil {
		return err
	}
	_, _, err = key.Sign(t.Context(), sha256.Sum256(nil), counter)
	return err
}

func extend(t *testing.T, e *swtpm.Emulator, pcr int) {
	t.Helper()
	if err := e.ExtendPCR(t.Context(), pcr, sha256.Sum256([]byte("an update"))); err != nil {
		t.Fatal(err)
	}
}

func TestAKeySignsOnApprovedPlatformsOnly(t *testing.T) {
	for name, pin := range map[string]tpm.Auth{"with a PIN": tpm.Auth("2468"), "without": nil} {
		t.Run(name, func(t *testing.T) {
			e := emulator(t, "one")
			d := open(t, e.TCTI())
			a := newApprover(t)
			blob := a.newKey(t, d, pin)
			other := a.approve(t, "another machine", [32]byte{1}, 7)
			shipped := a.present(t, d, "as shipped", 0, 7)
			rule := a.rule(other, shipped)
			key := load(t, d, blob, pin, rule)
			for range 3 {
				if err := signs(t, key); err != nil {
					t.Fatal(err)
				}
			}
			extend(t, e, 16) // not one of the approved
			if err := signs(t, key); err != nil {
				t.Fatalf("after a change that is none of the rule's business: %v", err)
			}

			extend(t, e, 7)
			err := signs(t, key)
			var refused *tpm.PlatformError
			if !errors.Is(err, tpm.ErrPlatform) || !errors.As(err, &refused) || refused.State != "as shipped" || !slices.Equal(refused.PCRs, []int{7}) {
				t.Fatalf("after PCR 7 was extended: got %v, want ErrPlatform naming it", err)
			}
			// The same key, when the manager has signed for the new state.
			if err := key.Close(); err != nil {
				t.Fatal(err)
			}
			updated := load(t, d, blob, pin, a.rule(other, shipped, a.present(t, d, "after the update", 0, 7)))
			if err := signs(t, updated); err != nil {
				t.Fatalf("after the new state was approved: %v", err)
			}
			if n := loaded(t, raw(t, e)); n != 1 {
				t.Fatalf("%d handles are in the TPM besides the key", n-1)
			}
		})
	}
}

func TestARefusalNamesWhatItCan(t *testing.T) {
	e := emulator(t, "one")
	d := open(t, e.TCTI())
	a := newApprover(t)
	blob := a.newKey(t, d, nil)
	valued := func(name string, change func(values [][32]byte)) groupdoc.PlatformPolicy {
		pcrs := []int{0, 2, 4, 7}
		values, err := d.PCRs(t.Context(), pcrs)
		if err != nil {
			t.Fatal(err)
		}
		change(values)
		p := a.approve(t, name, tpm.PCRDigest(values), pcrs...)
		p.Values = values
		return p
	}
	near := valued("near", func(v [][32]byte) { v[2] = [32]byte{1} })
	far := valued("far", func(v [][32]byte) { v[0], v[3] = [32]byte{1}, [32]byte{1} })
	for name, c := range map[string]struct {
		states []groupdoc.PlatformPolicy
		state  string
		text   string
	}{
		"no state": {nil, "", "the platform's state is not approved: none is approved"},
		"the state of the fewest registers, the newest of them": {
			[]groupdoc.PlatformPolicy{a.approve(t, "wide", [32]byte{}, 0, 2, 7), a.approve(t, "old", [32]byte{}, 0, 7), a.approve(t, "new", [32]byte{}, 4, 7)},
			"new", `the platform's state is not approved: PCR 4, 7 not as in "new"`,
		},
		"the state that differs least, where values are known": {
			[]groupdoc.PlatformPolicy{near, a.approve(t, "unknown", [32]byte{}, 4, 7), far}, "near", `the platform's state is not approved: PCR 4 not as in "near"`,
		},
	} {
		key := load(t, d, blob, nil, a.rule(c.states...))
		err := signs(t, key)
		var refused *tpm.PlatformError
		if !errors.As(err, &refused) || refused.State != c.state || refused.Error() != c.text {
			t.Errorf("%s: got %v", name, err)
		}
		if err := key.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAnUnapprovedPlatformCostsNoTries(t *testing.T) {
	e := emulator(t, "one")
	if err := e.SetDictionaryAttack(t.Context(), 3, time.Hour); err != nil {
		t.Fatal(err)
	}
	d := open(t, e.TCTI())
	a := newApprover(t)
	blob := a.newKey(t, d, tpm.Auth("2468"))
	rule := a.rule(a.present(t, d, "as shipped", 7))

	right := load(t, d, blob, tpm.Auth("2468"), rule)
	if err := signs(t, right); err != nil {
		t.Fatal(err)
	}
	extend(t, e, 7)
	wrong := load(t, d, blob, tpm.Auth("1234"), rule)
	for range 5 {
		if err := signs(t, wrong); !errors.Is(err, tpm.ErrPlatform) {
			t.Fatalf("a wrong PIN on an unapproved platform: got %v, want ErrPlatform", err)
		}
	}
	restarted(t, e)
	if err := signs(t, right); err != nil {
		t.Fatalf("the right PIN thereafter: %v", err)
	}
}

func TestThePINCountsUnderAPolicy(t *testing.T) {
	e := emulator(t, "one")
	if err := e.SetDictionaryAttack(t.Context(), 3, time.Hour); err != nil {
		t.Fatal(err)
	}
	d := open(t, e.TCTI())
	a := newApprover(t)
	blob := a.newKey(t, d, tpm.Auth("2468"))
	rule := a.rule(a.present(t, d, "as shipped", 7))
	for _, pin := range []tpm.Auth{nil, tpm.Auth("1234"), tpm.Auth("4321")} {
		wrong := load(t, d, blob, pin, rule)
		if err := signs(t, wrong); !errors.Is(err, tpm.ErrAuth) {
			t.Fatalf("a wrong PIN: got %v, want ErrAuth", err)
		}
		if err := wrong.Close(); err != nil {
			t.Fatal(err)
		}
	}
	right := load(t, d, blob, tpm.Auth("2468"), rule)
	if err := signs(t, right); !errors.Is(err, tpm.ErrLockout) {
		t.Fatalf("the right PIN after three wrong ones: got %v, want ErrLockout", err)
	}
	if err := e.ForgiveFailures(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := signs(t, right); err != nil {
		t.Fatal(err)
	}
	if n := loaded(t, raw(t, e)); n != 1 {
		t.Fatalf("%d handles are in the TPM besides the key", n-1)
	}
}

func TestAKeyUnderAPolicyOutlivesResets(t *testing.T) {
	e := emulator(t, "one")
	d := open(t, e.TCTI())
	a := newApprover(t)
	blob := a.newKey(t, d, tpm.Auth("2468"))
	key := load(t, d, blob, tpm.Auth("2468"), a.rule(a.present(t, d, "as shipped", 0, 2, 4, 7)))
	for range 3 {
		if err := signs(t, key); err != nil {
			t.Fatal(err)
		}
		restarted(t, e)
	}
	extend(t, e, 4)
	if err := signs(t, key); !errors.Is(err, tpm.ErrPlatform) {
		t.Fatalf("started with another loader: got %v, want ErrPlatform", err)
	}
	restarted(t, e)
	if err := signs(t, key); err != nil {
		t.Fatalf("started as it was approved: %v", err)
	}
}

func TestACredentialIsReadOnAnyPlatform(t *testing.T) {
	// adminWithPolicy is clear: see attest.PlatformTemplate.
	e := emulator(t, "one")
	d := open(t, e.TCTI())
	a := newApprover(t)
	key := load(t, d, a.newKey(t, d, tpm.Auth("2468")), tpm.Auth("2468"), a.rule(a.approve(t, "another machine", [32]byte{1}, 7)))
	if err := signs(t, key); !errors.Is(err, tpm.ErrPlatform) {
		t.Fatalf("got %v, want ErrPlatform", err)
	}
	eks, err := d.EKs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](eks[0].Public)
	if err != nil {
		t.Fatal(err)
	}
	ek, err := tpm2.ImportEncapsulationKey(public)
	if err != nil {
		t.Fatal(err)
	}
	blob, secret, err := tpm2.CreateCredential(rand.Reader, ek, key.Name(), []byte("credential"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := key.ActivateCredential(t.Context(), eks[0].Kind, blob, secret); err != nil || string(got) != "credential" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestPlatformRulesThatDoNotFitTheKey(t *testing.T) {
	e := emulator(t, "one")
	d := open(t, e.TCTI())
	a, other := newApprover(t), newApprover(t)
	blob := a.newKey(t, d, nil)
	state := a.present(t, d, "as shipped", 7)
	bad := func(change func(*groupdoc.PlatformPolicy)) *groupdoc.Platform {
		p := state
		p.Signature = slices.Clone(p.Signature)
		change(&p)
		return a.rule(p)
	}
	for name, rule := range map[string]*groupdoc.Platform{
		"no rule":                 nil,
		"another manager's key":   other.rule(other.present(t, d, "as shipped", 7)),
		"no policy key":           {Policies: []groupdoc.PlatformPolicy{state}},
		"a policy key too large":  {Key: make([]byte, 2000)},
		"a state without a PCR":   bad(func(p *groupdoc.PlatformPolicy) { p.PCRs = nil }),
		"a PCR that no TPM has":   bad(func(p *groupdoc.PlatformPolicy) { p.PCRs = []int{24} }),
		"PCRs that do not ascend": bad(func(p *groupdoc.PlatformPolicy) { p.PCRs = []int{7, 7} }),
		"a short signature":       bad(func(p *groupdoc.PlatformPolicy) { p.Signature = p.Signature[:63] }),
	} {
		if _, err := d.LoadGroupKey(t.Context(), blob, nil, tpm.WithPlatform(rule)); !errors.Is(err, tpm.ErrInput) {
			t.Errorf("%s: got %v, want ErrInput", name, err)
		}
	}
	for name, rule := range map[string]*groupdoc.Platform{
		"a signature that was altered": bad(func(p *groupdoc.PlatformPolicy) { p.Signature[40] ^= 1 }),
		"another key's signature":      a.rule(other.present(t, d, "as shipped", 7)),
	} {
		key := load(t, d, blob, nil, rule)
		if err := signs(t, key); !errors.Is(err, tpm.ErrInput) {
			t.Errorf("%s: got %v, want ErrInput", name, err)
		}
		if err := key.Close(); err != nil {
			t.Error(err)
		}
	}
	// A key without a policy takes no notice.
	plain, err := d.CreateGroupKey(t.Context(), attest.GroupKeyTemplate(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := signs(t, load(t, d, plain, nil, other.rule())); err != nil {
		t.Errorf("a key without a policy: %v", err)
	}
	if n := loaded(t, raw(t, e)); n != 1 {
		t.Fatalf("%d handles are in the TPM besides the key", n-1)
	}
}

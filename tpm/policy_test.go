package tpm_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

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

// meddlers of a policy: what happens between two commands.
func TestWhatHappensInTheMidstOfAPolicy(t *testing.T) {
	for name, c := range map[string]struct {
		before tpm2.TPMCC
		event  func(*testing.T, *swtpm.Emulator, transport.TPM)
	}{
		"another PCR is extended before the use": {tpm2.TPMCCCommit, func(t *testing.T, e *swtpm.Emulator, _ transport.TPM) { extend(t, e, 10) }},
		"the TPM is reset before the session":    {tpm2.TPMCCStartAuthSession, func(t *testing.T, e *swtpm.Emulator, _ transport.TPM) { restarted(t, e) }},
		"the TPM is reset within the session":    {tpm2.TPMCCPolicyAuthorize, func(t *testing.T, e *swtpm.Emulator, _ transport.TPM) { restarted(t, e) }},
		"the TPM is reset before the use":        {tpm2.TPMCCCommit, func(t *testing.T, e *swtpm.Emulator, _ transport.TPM) { restarted(t, e) }},
		"somebody flushes the session": {tpm2.TPMCCPolicyAuthValue, func(t *testing.T, _ *swtpm.Emulator, past transport.TPM) {
			flushSessions(t, past)
		}},
		"somebody flushes it before the use": {tpm2.TPMCCCommit, func(t *testing.T, _ *swtpm.Emulator, past transport.TPM) {
			flushSessions(t, past)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := emulator(t, "one")
			past := raw(t, e)
			armed := false
			d := tpm.New(&meddler{TPM: past, before: func(command []byte) {
				if armed && code(command) == c.before {
					armed = false
					c.event(t, e, past)
				}
			}})
			defer d.Close()
			a := newApprover(t)
			key := load(t, d, a.newKey(t, d, tpm.Auth("2468")), tpm.Auth("2468"), a.rule(a.present(t, d, "as shipped", 7)))
			armed = true
			if err := signs(t, key); err != nil {
				t.Fatal(err)
			}
			if armed {
				t.Fatal("it did not happen")
			}
			if n := loaded(t, past); n != 1 {
				t.Fatalf("%d handles are in the TPM besides the key", n-1)
			}
		})
	}
}

// TestWhatAPolicyCosts counts commands, for docs/platform.md.
func TestWhatAPolicyCosts(t *testing.T) {
	past := raw(t, emulator(t, "one"))
	sent := 0
	d := tpm.New(&meddler{TPM: past, before: func([]byte) { sent++ }})
	defer d.Close()
	a := newApprover(t)
	key := load(t, d, a.newKey(t, d, nil), nil, a.rule(a.present(t, d, "as shipped", 0, 2, 4, 7)))
	// The first use reads the registers, and has the approval verified.
	for i, want := range []int{2*5 + 4, 2 * 5, 2 * 5} {
		sent = 0
		if err := signs(t, key); err != nil {
			t.Fatal(err)
		}
		if sent != want {
			t.Errorf("signature %d took %d commands, %d were expected", i+1, sent, want)
		}
	}
	_, plain := newKey(t, d, nil)
	sent = 0
	if err := signs(t, plain); err != nil || sent != 2 {
		t.Errorf("without a policy: %d commands, %v", sent, err)
	}
}

func BenchmarkSignatures(b *testing.B) {
	ca, err := swtpm.NewCA(b.Context(), filepath.Join(factory, "ca"))
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(factory, "one"))); err != nil {
		b.Fatal(err)
	}
	e, err := swtpm.Start(b.Context(), dir, ca)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	d, err := tpm.Open(b.Context(), e.TCTI())
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	a := newApprover(b)
	rule := a.rule(a.present(b, d, "as shipped", 0, 2, 4, 7))
	for name, template := range map[string][]byte{"plain": attest.GroupKeyTemplate(), "policy": attest.PlatformTemplate(a.public)} {
		b.Run(name, func(b *testing.B) {
			blob, err := d.CreateGroupKey(b.Context(), template, nil)
			if err != nil {
				b.Fatal(err)
			}
			key, err := d.LoadGroupKey(b.Context(), blob, nil, tpm.WithPlatform(rule))
			if err != nil {
				b.Fatal(err)
			}
			defer key.Close()
			for b.Loop() {
				if err := signs(b, key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func flushSessions(t *testing.T, c transport.TPM) {
	t.Helper()
	rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: 0x02000000, PropertyCount: 16}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	list, err := rsp.CapabilityData.Data.Handles()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range list.Handle {
		if _, err := (tpm2.FlushContext{FlushHandle: h&0xffffff | 0x03000000}).Execute(c); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAPlatformThatChangesInTheMidstIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		before tpm2.TPMCC
		used   bool // the key was used before
	}{
		"after the registers were read":                {tpm2.TPMCCPolicyPCR, false},
		"before the registers are compared":            {tpm2.TPMCCPolicyPCR, true},
		"after the registers were compared":            {tpm2.TPMCCCommit, false},
		"after they were compared, and the key in use": {tpm2.TPMCCCommit, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := emulator(t, "one")
			armed := false
			d := tpm.New(&meddler{TPM: raw(t, e), before: func(command []byte) {
				if armed && code(command) == c.before {
					armed = false
					extend(t, e, 7)
				}
			}})
			defer d.Close()
			a := newApprover(t)
			key := load(t, d, a.newKey(t, d, nil), nil, a.rule(a.present(t, d, "as shipped", 7)))
			if c.used {
				if err := signs(t, key); err != nil {
					t.Fatal(err)
				}
			}
			armed = true
			if err := signs(t, key); !errors.Is(err, tpm.ErrPlatform) {
				t.Fatalf("got %v, want ErrPlatform", err)
			}
		})
	}
}

func TestAnEndedContextLeavesNoSession(t *testing.T) {
	e := emulator(t, "one")
	past := raw(t, e)
	var stop func()
	d := tpm.New(&meddler{TPM: past, before: func(command []byte) {
		if stop != nil && code(command) == tpm2.TPMCCPolicyAuthorize {
			stop()
		}
	}})
	defer d.Close()
	a := newApprover(t)
	key := load(t, d, a.newKey(t, d, nil), nil, a.rule(a.present(t, d, "as shipped", 7)))
	ctx, cancel := context.WithCancel(t.Context())
	stop = cancel
	_, s2, y2 := base(t, "tag")
	if _, _, _, _, err := key.Commit(ctx, nil, s2, y2); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	stop = nil
	if err := signs(t, key); err != nil {
		t.Fatal(err)
	}
	if n := loaded(t, past); n != 1 {
		t.Fatalf("%d handles are in the TPM besides the key", n-1)
	}
}

func restarted(t *testing.T, e *swtpm.Emulator) {
	t.Helper()
	if err := e.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
}

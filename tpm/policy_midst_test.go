package tpm_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/tpm/swtpm"
)

// TestWhatHappensInTheMidstOfAPolicy: between two of its commands.
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
	d := open(b, emulator(b, "one").TCTI())
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

package tpm_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/tpm"
)

// meddler stands between a device and a real TPM.
type meddler struct {
	transport.TPM
	before func(command []byte)
	after  func(command, response []byte) []byte
}

func (m *meddler) Send(command []byte) ([]byte, error) {
	if m.before != nil {
		m.before(command)
	}
	response, err := m.TPM.Send(command)
	if err == nil && m.after != nil {
		response = m.after(command, response)
	}
	return response, err
}

func (m *meddler) Close() error { return nil }

func code(command []byte) tpm2.TPMCC { return tpm2.TPMCC(binary.BigEndian.Uint32(command[6:10])) }

// answer is a response that consists of its code.
func answer(rc tpm2.TPMRC) []byte {
	b := []byte{0x80, 0x01, 0, 0, 0, 10}
	return binary.BigEndian.AppendUint32(b, uint32(rc))
}

func TestProbeNamesWhatIsMissing(t *testing.T) {
	past := raw(t, emulator(t, "one"))
	without := func(capability tpm2.TPMCap, id []byte) *meddler {
		return &meddler{TPM: past, after: func(command, response []byte) []byte {
			if code(command) == tpm2.TPMCCGetCapability && binary.BigEndian.Uint32(command[10:]) == uint32(capability) {
				// Change the entry into one that means something else.
				if i := bytes.LastIndex(response, id); i > 0 {
					response[i+len(id)-1] ^= 0x40
				}
			}
			return response
		}}
	}
	cases := []struct {
		missing string
		port    *meddler
	}{
		{"the curve BN_P256", without(tpm2.TPMCapECCCurves, []byte{0x00, 0x10})},
		{"the signature scheme ECDAA", without(tpm2.TPMCapAlgs, []byte{0x00, 0x1a})},
		{"the command TPM2_Commit", without(tpm2.TPMCapCommands, []byte{0x01, 0x8b})},
	}
	for _, c := range cases {
		t.Run(c.missing, func(t *testing.T) {
			d := tpm.New(c.port)
			defer d.Close()
			err := d.Probe(t.Context())
			if !errors.Is(err, tpm.ErrUnsupported) || !strings.Contains(err.Error(), "lacks "+c.missing) {
				t.Fatalf("got %v, want ErrUnsupported naming it", err)
			}
		})
	}
}

func TestWarningsAreRetried(t *testing.T) {
	past := raw(t, emulator(t, "one"))
	for _, rc := range []tpm2.TPMRC{tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting} {
		warnings := 3
		d := tpm.New(&meddler{TPM: past, after: func(_, response []byte) []byte {
			if warnings > 0 {
				warnings--
				return answer(rc)
			}
			return response
		}})
		if err := d.Probe(t.Context()); err != nil {
			t.Errorf("%v: %v", rc, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestRetryingEndsWithTheContext(t *testing.T) {
	past := raw(t, emulator(t, "one"))
	d := tpm.New(&meddler{TPM: past, after: func(_, _ []byte) []byte { return answer(tpm2.TPMRCRetry) }})
	defer d.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := d.Probe(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want the context's error", err)
	}
}

func TestResponsesThatMakeNoSenseAreErrors(t *testing.T) {
	past := raw(t, emulator(t, "one"))
	_, s2, y2 := base(t, "tag")
	for name, change := range map[string]func([]byte) []byte{
		"a point off the curve": func(r []byte) []byte { r[10+4+2+2+31] ^= 1; return r }, // x of K
		"no point":              func(r []byte) []byte { return r[:12] },
		"nothing":               func([]byte) []byte { return nil },
		"half a header":         func(r []byte) []byte { return r[:5] },
	} {
		d := tpm.New(&meddler{TPM: past, after: func(command, response []byte) []byte {
			if code(command) == tpm2.TPMCCCommit {
				return change(response)
			}
			return response
		}})
		_, key := newKey(t, d, nil)
		if k, _, _, _, err := key.Commit(t.Context(), nil, s2, y2); err == nil || !k.IsInfinity() {
			t.Errorf("%s: accepted", name)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestNothingStaysInTheSlots(t *testing.T) {
	onEach(t, func(t *testing.T, d *tpm.Device, past transport.TPM) {
		_, s2, y2 := base(t, "tag")
		empty := func(after string) {
			t.Helper()
			if n := loaded(t, past); n != 0 {
				t.Fatalf("%d left after %s", n, after)
			}
		}
		blob, err := d.CreateGroupKey(t.Context(), attest.GroupKeyTemplate(), tpm.Auth("2468"))
		if err != nil {
			t.Fatal(err)
		}
		empty("making a key")
		if _, err := d.CreateGroupKey(t.Context(), []byte("no template"), nil); err == nil {
			t.Fatal("a template that is none was accepted")
		}
		empty("failing to make a key")
		bad := tpm.Blob{Public: blob.Public, Private: append(bytes.Clone(blob.Private[:len(blob.Private)-1]), 0)}
		if _, err := d.LoadGroupKey(t.Context(), bad, nil); err == nil {
			t.Fatal("an altered blob was loaded")
		}
		empty("failing to load a key")
		if _, err := d.EKs(t.Context()); err != nil && !errors.Is(err, tpm.ErrNoEK) {
			t.Fatal(err)
		}
		empty("reading endorsement keys")
		key, err := d.LoadGroupKey(t.Context(), blob, tpm.Auth("wrong"))
		if err != nil {
			t.Fatal(err)
		}
		if n := loaded(t, past); n != 1 {
			t.Fatalf("%d slots taken by one key", n)
		}
		if _, _, _, _, err := key.Commit(t.Context(), nil, s2, y2); !errors.Is(err, tpm.ErrAuth) {
			t.Fatalf("got %v, want ErrAuth", err)
		}
		for _, kind := range []string{"rsa2048", "p256", "p384"} {
			if _, err := key.ActivateCredential(t.Context(), kind, make([]byte, 68), make([]byte, 256)); err == nil {
				t.Fatalf("%s: a rubbish challenge was activated", kind)
			}
		}
		if err := key.Close(); err != nil {
			t.Fatal(err)
		}
		empty("using a key in vain and closing it")
	})
}

func TestCloseFlushesWhatWasLeftOpen(t *testing.T) {
	e := emulator(t, "one")
	d := open(t, e.TCTI())
	newKey(t, d, nil)
	newKey(t, d, nil)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if n := loaded(t, raw(t, e)); n != 0 {
		t.Fatalf("%d left", n)
	}
}

// A command whose caller has gone away is carried out nevertheless. What it put
// into a slot must be found and flushed.
func TestAnEndedContextLeavesNothingBehind(t *testing.T) {
	e := emulator(t, "one")
	past := raw(t, e)
	setUp := open(t, e.TCTI())
	blob, err := setUp.CreateGroupKey(t.Context(), attest.GroupKeyTemplate(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]tpm2.TPMCC{
		"making the storage key":   tpm2.TPMCCCreatePrimary,
		"loading the key":          tpm2.TPMCCLoad,
		"flushing the storage key": tpm2.TPMCCFlushContext,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			reached, goOn := make(chan struct{}), make(chan struct{})
			var once sync.Once
			d := tpm.New(&meddler{TPM: past, before: func(command []byte) {
				if code(command) == at {
					once.Do(func() { close(reached); <-goOn })
				}
			}})
			defer d.Close()
			go func() { <-reached; cancel() }()
			key, err := d.LoadGroupKey(ctx, blob, nil)
			if at != tpm2.TPMCCFlushContext && !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v, want context.Canceled", err)
			}
			short, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer stop()
			if err := d.Probe(short); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("while the TPM is busy: got %v, want the context's error", err)
			}
			close(goOn)
			if err := d.Probe(t.Context()); err != nil {
				t.Fatalf("afterwards: %v", err)
			}
			if key != nil {
				if err := key.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if n := loaded(t, past); n != 0 {
				t.Fatalf("%d left", n)
			}
		})
	}
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	past := raw(t, emulator(t, "one"))
	stuck := make(chan struct{})
	defer close(stuck)
	d := tpm.New(&meddler{TPM: past, before: func([]byte) { <-stuck }})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := d.Probe(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want the context's error", err)
	}
	begin := time.Now()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Fatalf("took %v", took)
	}
	if err := d.Probe(t.Context()); !errors.Is(err, tpm.ErrClosed) {
		t.Fatalf("got %v, want ErrClosed", err)
	}
}

func TestFullSlotsAreNamed(t *testing.T) {
	d := open(t, emulator(t, "one").TCTI())
	var err error
	for range 4 {
		var blob tpm.Blob
		if blob, err = d.CreateGroupKey(t.Context(), attest.GroupKeyTemplate(), nil); err != nil {
			break
		}
		if _, err = d.LoadGroupKey(t.Context(), blob, nil); err != nil {
			break
		}
	}
	if !errors.Is(err, tpm.ErrNoSlot) {
		t.Fatalf("got %v, want ErrNoSlot", err)
	}
}

func TestManyMayUseOneDevice(t *testing.T) {
	onEach(t, func(t *testing.T, d *tpm.Device, _ transport.TPM) {
		_, key := newKey(t, d, tpm.Auth("2468"))
		p2, s2, y2 := base(t, "tag")
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				k, l, _, counter, err := key.Commit(t.Context(), nil, s2, y2)
				if err != nil {
					t.Error(err)
					return
				}
				digest := [32]byte{byte(i)}
				nu, s, err := key.Sign(t.Context(), digest, counter)
				if err != nil {
					t.Error(err)
					return
				}
				if !p2.Mul(s).Sub(k.Mul(challenge(nu, digest))).Equal(l) {
					t.Error("commitments were mixed up")
				}
			})
		}
		wg.Wait()
	})
}

func TestSeveralProcessesMayUseOneEmulator(t *testing.T) {
	e := emulator(t, "one")
	_, s2, y2 := base(t, "tag")
	var keys []*tpm.GroupKey
	for range 2 {
		_, key := newKey(t, open(t, e.TCTI()), nil)
		keys = append(keys, key)
	}
	for range 3 {
		for _, key := range keys {
			if _, _, _, _, err := key.Commit(t.Context(), nil, s2, y2); err != nil {
				t.Fatal(err)
			}
		}
	}
}

package tpm_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/tpm/swtpm"
)

// factory holds the test authority and the states of two TPMs that it made. A
// test runs a copy, which saves it the second that making one takes.
var factory string

func TestMain(m *testing.M) {
	code, err := func() (int, error) {
		dir, err := os.MkdirTemp("", "specie-tpm-")
		if err != nil {
			return 1, err
		}
		defer os.RemoveAll(dir)
		factory = dir
		ca, err := swtpm.NewCA(context.Background(), filepath.Join(dir, "ca"))
		if err != nil {
			return 1, err
		}
		for _, name := range []string{"one", "two"} {
			e, err := swtpm.Start(context.Background(), filepath.Join(dir, name), ca)
			if err != nil {
				return 1, err
			}
			if err := e.Close(); err != nil {
				return 1, err
			}
		}
		return m.Run(), nil
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// emulator runs a copy of the TPM "one" or "two".
func emulator(t testing.TB, name string) *swtpm.Emulator {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(factory, name))); err != nil {
		t.Fatal(err)
	}
	return restart(t, dir)
}

func restart(t testing.TB, dir string) *swtpm.Emulator {
	t.Helper()
	ca, err := swtpm.NewCA(t.Context(), filepath.Join(factory, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := swtpm.Start(t.Context(), dir, ca)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func open(t testing.TB, tcti string) *tpm.Device {
	t.Helper()
	d, err := tpm.Open(t.Context(), tcti)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// raw opens a second connection to an emulator, past the package under test.
func raw(t testing.TB, e *swtpm.Emulator) transport.TPM {
	t.Helper()
	c, err := linuxudstpm.Open(e.TCTI()[len("swtpm:path="):])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// loaded counts the objects and sessions in a TPM's slots.
func loaded(t *testing.T, c transport.TPM) int {
	t.Helper()
	n := 0
	for _, first := range []uint32{0x80000000, 0x02000000} { // transient objects, loaded sessions
		rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: first, PropertyCount: 16}.Execute(c)
		if err != nil {
			t.Fatal(err)
		}
		list, err := rsp.CapabilityData.Data.Handles()
		if err != nil {
			t.Fatal(err)
		}
		n += len(list.Handle)
	}
	return n
}

func newKey(t *testing.T, d *tpm.Device, auth tpm.Auth) (tpm.Blob, *tpm.GroupKey) {
	t.Helper()
	blob, err := d.CreateGroupKey(t.Context(), attest.GroupKeyTemplate(), auth)
	if err != nil {
		t.Fatal(err)
	}
	key, err := d.LoadGroupKey(t.Context(), blob, auth)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := key.Close(); err != nil {
			t.Error(err)
		}
	})
	return blob, key
}

// backend is a kind of TPM that a test runs on.
type backend struct {
	name string
	open func(*testing.T) (*tpm.Device, transport.TPM) // and a way past the device
}

func onEach(t *testing.T, f func(*testing.T, *tpm.Device, transport.TPM)) {
	all := append(simulators(), backend{"swtpm", func(t *testing.T) (*tpm.Device, transport.TPM) {
		e := emulator(t, "one")
		return open(t, e.TCTI()), raw(t, e)
	}})
	for _, b := range all {
		t.Run(b.name, func(t *testing.T) {
			d, past := b.open(t)
			f(t, d, past)
		})
	}
}

//go:build cgo

package opening_test

import (
	"testing"

	"github.com/google/go-tpm-tools/simulator"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/tpm"
)

func TestADoubleSpenderWithATPMIsNamed(t *testing.T) {
	sim, err := simulator.Get()
	if err != nil {
		t.Fatal(err)
	}
	device := tpm.New(transport.FromReadWriteCloser(sim))
	defer device.Close()
	blob := must(device.CreateGroupKey(t.Context(), attest.GroupKeyTemplate(), tpm.Auth("pin")))(t)
	key := must(device.LoadGroupKey(t.Context(), blob, tpm.Auth("pin")))(t)
	defer key.Close()

	w := newWorld(t)
	thief := w.admitWith(t, "Eva Example", key, nil)
	c := w.doubleSpend(t, thief)
	o, _, err := w.combine(t, c, w.parts(t, c, 2, 3))
	if err != nil {
		t.Fatal(err)
	}
	_, v, err := opening.Attach(w.Root, o, w.state(t, thief), now)
	if err != nil {
		t.Fatal(err)
	}
	if v.Member.Name != "Eva Example" {
		t.Errorf("named %s", v.Member.Name)
	}
}

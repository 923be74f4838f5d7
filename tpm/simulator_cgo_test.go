//go:build cgo

package tpm_test

import (
	"testing"

	"github.com/google/go-tpm-tools/simulator"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/speciecash/specie/tpm"
)

// simulators are the TPMs within the process, one at a time.
func simulators() []backend {
	return []backend{{"simulator", func(t *testing.T) (*tpm.Device, transport.TPM) {
		s, err := simulator.Get()
		if err != nil {
			t.Fatal(err)
		}
		c := transport.FromReadWriteCloser(s)
		d := tpm.New(c)
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		return d, c
	}}}
}

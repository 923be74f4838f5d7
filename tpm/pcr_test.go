package tpm_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/speciecash/specie/tpm"
)

func all() []int {
	registers := make([]int, 24)
	for i := range registers {
		registers[i] = i
	}
	return registers
}

func TestRegistersAreRead(t *testing.T) {
	e := emulator(t, "one")
	d := open(t, e.TCTI())
	boot := sha256.Sum256([]byte("boot loader"))
	for _, r := range []int{0, 7, 23} {
		if err := e.ExtendPCR(t.Context(), r, boot); err != nil {
			t.Fatal(err)
		}
	}
	extended := sha256.Sum256(append(make([]byte, 32), boot[:]...))
	values, err := d.PCRs(t.Context(), all())
	if err != nil {
		t.Fatal(err)
	}
	if len(values) != 24 || values[0] != extended || values[7] != extended || values[23] != extended || values[1] != [32]byte{} {
		t.Fatalf("got %x", values)
	}
	some, err := d.PCRs(t.Context(), []int{1, 7})
	if err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(append(make([]byte, 32), extended[:]...))
	if len(some) != 2 || tpm.PCRDigest(some) != want {
		t.Fatalf("registers 1 and 7: %x", some)
	}
	// A policy session of the TPM itself agrees.
	past := raw(t, e)
	session, done, err := tpm2.PolicySession(past, tpm2.TPMAlgSHA256, 16)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = done() }()
	pcrs := tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(1, 7)}}}
	digest := tpm.PCRDigest(some)
	if _, err := (tpm2.PolicyPCR{PolicySession: session.Handle(), PcrDigest: tpm2.TPM2BDigest{Buffer: digest[:]}, Pcrs: pcrs}).Execute(past); err != nil {
		t.Fatalf("the TPM computes another digest: %v", err)
	}
	for name, registers := range map[string][]int{"twice": {1, 1}, "descending": {7, 1}, "below": {-1}, "above": {24}} {
		if _, err := d.PCRs(t.Context(), registers); !errors.Is(err, tpm.ErrInput) {
			t.Errorf("%s: got %v, want ErrInput", name, err)
		}
	}
	if none, err := d.PCRs(t.Context(), nil); err != nil || len(none) != 0 {
		t.Errorf("no registers: %v, %v", none, err)
	}
}

func TestRegistersComeFromOneMoment(t *testing.T) {
	e := emulator(t, "one")
	past := raw(t, e)
	reads := 0
	boot := sha256.Sum256([]byte("boot loader"))
	d := tpm.New(&meddler{TPM: past, before: func(command []byte) {
		if code(command) != tpm2.TPMCCPCRRead {
			return
		}
		if reads++; reads == 2 { // between two parts of a reading
			if err := e.ExtendPCR(t.Context(), 0, boot); err != nil {
				t.Error(err)
			}
		}
	}})
	defer d.Close()
	values, err := d.PCRs(t.Context(), all())
	if err != nil {
		t.Fatal(err)
	}
	if values[0] != sha256.Sum256(append(make([]byte, 32), boot[:]...)) {
		t.Fatal("a register from before, with others from afterwards")
	}
}

func TestRegistersThatMakeNoSenseAreErrors(t *testing.T) {
	past := raw(t, emulator(t, "one"))
	for name, c := range map[string]struct {
		change func([]byte) []byte
		want   error
	}{
		"other registers": {func(r []byte) []byte { r[10+4+4+3] ^= 6; return r }, tpm.ErrResponse},
		"another bank":    {func(r []byte) []byte { r[10+4+4+1] = 4; return r }, tpm.ErrResponse},
		"no bank": {func(r []byte) []byte {
			r = append(r[:10+4], 0, 0, 0, 0, 0, 0, 0, 0)
			binary.BigEndian.PutUint32(r[2:], uint32(len(r)))
			return r
		}, tpm.ErrUnsupported},
	} {
		d := tpm.New(&meddler{TPM: past, after: func(command, response []byte) []byte {
			if code(command) == tpm2.TPMCCPCRRead {
				return c.change(response)
			}
			return response
		}})
		if _, err := d.PCRs(t.Context(), []int{1}); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	ticks := uint32(0)
	d := tpm.New(&meddler{TPM: past, after: func(command, response []byte) []byte {
		if code(command) == tpm2.TPMCCPCRRead {
			ticks++
			binary.BigEndian.PutUint32(response[10:], ticks)
		}
		return response
	}})
	defer d.Close()
	if _, err := d.PCRs(t.Context(), all()); !errors.Is(err, tpm.ErrResponse) {
		t.Errorf("registers that never keep still: got %v, want ErrResponse", err)
	}
}

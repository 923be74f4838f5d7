package tpm

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-tpm/tpm2"
)

const (
	pcrCount = 24 // PCRs of a PC client's bank
	pcrBatch = 8  // values that one TPM2_PCR_Read returns
)

// PlatformError is ErrPlatform with the approved state that is nearest to the
// machine's.
type PlatformError struct {
	// State is its name; empty if no state is approved at all.
	State string
	// PCRs are those that differ; where that can't be told, all that the state
	// is about.
	PCRs []int
}

// Error implements error.
func (e *PlatformError) Error() string {
	if e.State == "" {
		return ErrPlatform.Error() + ": none is approved"
	}
	return fmt.Sprintf("%s: PCR %s not as in %q", ErrPlatform, e.List(), e.State)
}

// Is makes it ErrPlatform.
func (e *PlatformError) Is(target error) bool { return target == ErrPlatform }

// List is PCRs for people: "0, 7".
func (e *PlatformError) List() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(e.PCRs), " ", ", "), "[]")
}

// PCRs returns the values of registers in the SHA-256 bank, 0 to 23, ascending,
// all of one moment. See PCRDigest.
//
// Errors: ErrInput, ErrUnsupported for a TPM without that bank, ErrResponse.
func (d *Device) PCRs(ctx context.Context, registers []int) ([][32]byte, error) {
	if err := checkPCRs(registers); err != nil {
		return nil, fmt.Errorf("read PCRs: %w", err)
	}
	var values [][32]byte
	err := d.use(ctx, "read PCRs", func(s *sequence) error {
		found, err := s.readPCRs(registers)
		for _, n := range registers {
			values = append(values, found[n])
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}

// PCRDigest is SHA-256 over the values of registers, ascending: what a
// platform's approved state is known by, and what TPM2_PolicyPCR compares.
func PCRDigest(values [][32]byte) [32]byte {
	h := sha256.New()
	for _, v := range values {
		h.Write(v[:])
	}
	return [32]byte(h.Sum(nil))
}

func checkPCRs(list []int) error {
	for i, n := range list {
		if n < 0 || n >= pcrCount || i > 0 && n <= list[i-1] {
			return fmt.Errorf("%w: PCRs are 0 to %d, ascending", ErrInput, pcrCount-1)
		}
	}
	return nil
}

// pcrValues are values of PCRs that were read, by number.
type pcrValues map[int][32]byte

// digest is PCRDigest of some that were read.
func (v pcrValues) digest(list []int) [32]byte {
	var values [][32]byte
	for _, n := range list {
		values = append(values, v[n])
	}
	return PCRDigest(values)
}

// readPCRs reads PCRs, again if the TPM's counter says that one was changed
// between two parts of the reading.
func (s *sequence) readPCRs(list []int) (pcrValues, error) {
	for range policyTries {
		values, still, err := s.readOnce(list)
		if err != nil || still {
			return values, err
		}
	}
	return nil, fmt.Errorf("%w: PCRs that never keep still", ErrResponse)
}

func (s *sequence) readOnce(list []int) (values pcrValues, still bool, err error) {
	values = make(pcrValues)
	counter := uint32(0)
	for len(values) < len(list) {
		var want []int
		for _, n := range list {
			if _, ok := values[n]; !ok && len(want) < pcrBatch {
				want = append(want, n)
			}
		}
		rsp, err := tpm2.PCRRead{PCRSelectionIn: selectPCRs(want)}.Execute(s)
		if err != nil {
			return nil, false, fmt.Errorf("read PCRs: %w", err)
		}
		if len(values) > 0 && rsp.PCRUpdateCounter != counter {
			return nil, false, nil
		}
		counter = rsp.PCRUpdateCounter
		if err := values.take(rsp, want); err != nil {
			return nil, false, err
		}
	}
	return values, true, nil
}

// take notes what a TPM returned: some of what it was asked for, in the order
// of the numbers.
func (v pcrValues) take(rsp *tpm2.PCRReadResponse, want []int) error {
	var got []int
	for _, selected := range rsp.PCRSelectionOut.PCRSelections {
		if selected.Hash != tpm2.TPMAlgSHA256 {
			return fmt.Errorf("%w: PCRs of another bank", ErrResponse)
		}
		for n := range 8 * len(selected.PCRSelect) {
			if selected.PCRSelect[n/8]>>(n%8)&1 == 1 {
				got = append(got, n)
			}
		}
	}
	if len(got) == 0 {
		return fmt.Errorf("%w: it keeps no PCRs by SHA-256", ErrUnsupported)
	}
	if len(got) != len(rsp.PCRValues.Digests) {
		return fmt.Errorf("%w: %d values of %d PCRs", ErrResponse, len(rsp.PCRValues.Digests), len(got))
	}
	for i, n := range got {
		value := rsp.PCRValues.Digests[i].Buffer
		if len(value) != sha256.Size || !slices.Contains(want, n) {
			return fmt.Errorf("%w: PCR %d of %d bytes", ErrResponse, n, len(value))
		}
		v[n] = [32]byte(value)
	}
	return nil
}

// selectPCRs selects PCRs of the SHA-256 bank, 0 to 23.
func selectPCRs(list []int) tpm2.TPMLPCRSelection {
	bits := make([]byte, pcrCount/8)
	for _, n := range list {
		bits[n/8] |= 1 << (n % 8)
	}
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: bits}}}
}

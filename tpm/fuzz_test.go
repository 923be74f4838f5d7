package tpm_test

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/tpm"
)

// rogue is a TPM that answers each command with the next part of some bytes: a
// length of two bytes, and so many of parameters. The outside of the answer is
// right, so that the inside is looked at.
type rogue struct{ data []byte }

func (r *rogue) Send(command []byte) ([]byte, error) {
	if len(r.data) < 2 {
		return nil, errors.New("no more to say")
	}
	n := min(int(binary.BigEndian.Uint16(r.data))%1024, len(r.data)-2)
	params := r.data[2 : 2+n]
	r.data = r.data[2+n:]
	body := params
	if command[1] == 2 { // with sessions
		body = nil
		switch code(command) {
		case tpm2.TPMCCCreatePrimary, tpm2.TPMCCLoad:
			body = []byte{0x80, 0, 0, 0}
		}
		body = binary.BigEndian.AppendUint32(body, uint32(len(params)))
		body = append(append(body, params...), 0, 0, 1, 0, 0)
	}
	head := []byte{0x80, command[1], 0, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(head[2:], uint32(len(head)+len(body)))
	return append(head, body...), nil
}

func (r *rogue) Close() error { return nil }

// part is what rogue takes one answer from.
func part(params []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(params))), params...)
}

// What a real TPM answers, as seeds.
func recorded(f *testing.F, do func(*tpm.Device)) []byte {
	f.Helper()
	past := raw(f, emulator(f, "one"))
	var all []byte
	d := tpm.New(&meddler{TPM: past, after: func(command, response []byte) []byte {
		body := response[10:]
		if len(response) > 10 && response[1] == 2 {
			switch code(command) {
			case tpm2.TPMCCCreatePrimary, tpm2.TPMCCLoad:
				body = body[4:]
			}
			body = body[4 : 4+binary.BigEndian.Uint32(body)]
		}
		all = append(all, part(body)...)
		return response
	}})
	do(d)
	_ = d.Close()
	return all
}

// useAll does everything with a TPM that it lets be done.
func useAll(ctx context.Context, d *tpm.Device, blob tpm.Blob) {
	_ = d.Probe(ctx)
	_, _ = d.EKs(ctx)
	_, _ = d.PCRs(ctx, []int{0, 7})
	_ = tpm.ExamineDevice(ctx, d)
	key, err := d.LoadGroupKey(ctx, blob, nil)
	if err != nil {
		return
	}
	_, _ = key.ActivateCredential(ctx, "p256", make([]byte, 68), make([]byte, 70))
	p1 := fp256bn.Generator1()
	if _, _, _, counter, err := key.Commit(ctx, &p1, []byte{1}, [32]byte{1}); err == nil {
		_, _, _ = key.Sign(ctx, [32]byte{}, counter)
	}
	_ = key.Close()
}

// FuzzResponses: whatever a TPM answers, this process lives and the call ends.
func FuzzResponses(f *testing.F) {
	blob := paperKey(f)
	f.Add([]byte{}, uint8(0))
	f.Add([]byte{0, 1, 0, 0, 4, 0, 0, 0, 0}, uint8(1))
	steps := []func(context.Context, *tpm.Device){
		func(ctx context.Context, d *tpm.Device) { useAll(ctx, d, blob) },
		func(ctx context.Context, d *tpm.Device) { _, _ = d.EKs(ctx) },
		func(ctx context.Context, d *tpm.Device) { _, _ = d.PCRs(ctx, []int{0, 7}) },
		func(ctx context.Context, d *tpm.Device) { _ = tpm.ExamineDevice(ctx, d) },
		func(ctx context.Context, d *tpm.Device) { _ = d.Probe(ctx) },
		func(ctx context.Context, d *tpm.Device) {
			if key, err := d.LoadGroupKey(ctx, blob, nil); err == nil {
				p1 := fp256bn.Generator1()
				if _, _, _, counter, err := key.Commit(ctx, &p1, []byte{1}, [32]byte{1}); err == nil {
					_, _, _ = key.Sign(ctx, [32]byte{}, counter)
				}
				_ = key.Close()
			}
		},
	}
	for i, step := range steps {
		f.Add(recorded(f, func(d *tpm.Device) { step(f.Context(), d) }), uint8(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, which uint8) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		d := tpm.New(&rogue{data})
		steps[int(which)%len(steps)](ctx, d)
		_ = d.Close()
		if ctx.Err() != nil {
			t.Fatal("it did not end")
		}
	})
}

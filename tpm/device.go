package tpm

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

const (
	// retryBudget bounds how long a command is sent again to a TPM that asks for
	// it. A discrete TPM's self test takes a second or two.
	retryBudget = 10 * time.Second
	// firstPause precedes the first repetition; it doubles up to longestPause.
	firstPause   = time.Millisecond
	longestPause = 250 * time.Millisecond
	// closeBudget is how long Close waits for an answer that is still due and for
	// what there is to flush.
	closeBudget = 2 * time.Second
)

// Device is one TPM. See the package comment for what its methods guarantee.
type Device struct {
	port transport.TPMCloser
	turn chan struct{} // holds one token: whose turn it is to send commands

	closed atomic.Bool

	// What follows belongs to whoever has the turn.
	late *pending                     // a command whose caller has gone away
	owed []tpm2.TPMHandle             // handles to flush before anything else
	held map[tpm2.TPMHandle]*GroupKey // whose key is in a slot

	closing sync.Once
	failed  error
}

// New returns a Device over an open connection, which it owns from then on. It
// serves connections that [Open] has no string for, such as a simulator within
// the process.
func New(port transport.TPMCloser) *Device {
	d := &Device{port: port, turn: make(chan struct{}, 1), held: make(map[tpm2.TPMHandle]*GroupKey)}
	d.turn <- struct{}{}
	return d
}

// Close flushes the group keys that were left open and whatever else is owed,
// and closes the connection. It waits for no longer than two seconds on a TPM
// that does not answer. Everything called later fails with ErrClosed.
func (d *Device) Close() error {
	d.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeBudget)
		defer cancel()
		d.closed.Store(true)
		select {
		case <-d.turn:
			for h := range d.held {
				d.owed = append(d.owed, h)
			}
			_ = d.settle(ctx) // best effort: the connection goes away regardless
			d.failed = d.port.Close()
			d.turn <- struct{}{}
		case <-ctx.Done():
			d.failed = d.port.Close() // cuts the command short that has the turn
		}
	})
	return d.failed
}

// use runs f, a sequence of commands, when it is this caller's turn. what names
// the undertaking in errors.
func (d *Device) use(ctx context.Context, what string, f func(*sequence) error) error {
	select {
	case <-d.turn:
	case <-ctx.Done():
		return fmt.Errorf("%s: waiting for the TPM: %w", what, ctx.Err())
	}
	defer func() { d.turn <- struct{}{} }()
	if d.closed.Load() {
		return fmt.Errorf("%s: TPM %w", what, ErrClosed)
	}
	s := &sequence{ctx: ctx, device: d}
	err := d.settle(ctx)
	if err == nil {
		err = s.run(f)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, s.meaning(err))
	}
	return nil
}

// run calls f. go-tpm panics when it is asked for a part of a union that the TPM
// has left out.
func (s *sequence) run(f func(*sequence) error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("%w: %w", ErrResponse, p)
		default:
			panic(p)
		}
	}()
	return f(s)
}

// settle clears what earlier calls left behind when their context ended: it
// waits for the answer that is due, and flushes what nobody uses any more.
func (d *Device) settle(ctx context.Context) error {
	if d.late != nil {
		select {
		case r := <-d.late.answer:
			if h, ok := madeHandle(d.late.code, r); ok {
				d.owed = append(d.owed, h)
			}
			d.late = nil
		case <-ctx.Done():
			return fmt.Errorf("the TPM is still busy with an earlier command: %w", ctx.Err())
		}
	}
	s := &sequence{ctx: ctx, device: d}
	for len(d.owed) > 0 {
		h := d.owed[0]
		if _, err := (tpm2.FlushContext{FlushHandle: h}).Execute(s); err != nil && !isRC(err, tpm2.TPMRCHandle, tpm2.TPMRCValue) {
			return fmt.Errorf("flush %#x: %w", uint32(h), err)
		}
		delete(d.held, h) // flushed, or lost in a reset of the TPM
		d.owed = d.owed[1:]
	}
	return nil
}

// hello asks for the manufacturer, to see whether a TPM is there.
func (d *Device) hello(ctx context.Context) error {
	return d.use(ctx, "greet", func(s *sequence) error {
		_, err := s.property(tpm2.TPMPTManufacturer)
		return err
	})
}

// sequence is the right to send commands during one use of the device, under
// one context. It implements transport.TPM for go-tpm's commands.
type sequence struct {
	ctx    context.Context
	device *Device
}

// Send sends one command, again for as long as the TPM asks for it.
func (s *sequence) Send(command []byte) ([]byte, error) {
	giveUp := time.Now().Add(retryBudget)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		response, err := s.exchange(command)
		if err != nil || !asksAgain(response) || time.Now().After(giveUp) {
			return response, err
		}
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
			return nil, s.ctx.Err()
		}
	}
}

// exchange sends one command once. If the context ends first, the answer
// remains due: a TPM can't be called back.
func (s *sequence) exchange(command []byte) ([]byte, error) {
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	p := &pending{code: commandCode(command), answer: make(chan reply, 1)}
	go func() {
		response, err := s.device.port.Send(command)
		p.answer <- reply{response, err}
	}()
	select {
	case r := <-p.answer:
		if r.err == nil && len(r.response) < headerSize {
			return nil, fmt.Errorf("%w: %d bytes", ErrResponse, len(r.response))
		}
		return r.response, r.err
	case <-s.ctx.Done():
		s.device.late = p
		return nil, s.ctx.Err()
	}
}

// flush frees a handle, now or, if this sequence can't send any more, later.
func (s *sequence) flush(h tpm2.TPMHandle) {
	s.device.owed = append(s.device.owed, h)
	if s.ctx.Err() == nil && s.device.late == nil {
		_ = s.device.settle(s.ctx) // what fails stays owed
	}
}

// pending is a command that has been sent.
type pending struct {
	code   tpm2.TPMCC
	answer chan reply // buffered, so that the sender never waits for a reader
}

type reply struct {
	response []byte
	err      error
}

func commandCode(command []byte) tpm2.TPMCC {
	if len(command) < headerSize {
		return 0
	}
	return tpm2.TPMCC(binary.BigEndian.Uint32(command[6:10]))
}

// asksAgain says whether a response is one of the warnings upon which the same
// command is to be sent again. libtpms answers TPM_RC_RETRY, for one, the first
// time after start that an authorisation value with lock-out is used.
func asksAgain(response []byte) bool {
	switch tpm2.TPMRC(binary.BigEndian.Uint32(response[6:10])) {
	case tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting:
		return true
	}
	return false
}

// madeHandle returns the handle that a command made whose caller did not wait
// for the answer. It comes right after the header.
func madeHandle(code tpm2.TPMCC, r reply) (tpm2.TPMHandle, bool) {
	switch code {
	case tpm2.TPMCCCreatePrimary, tpm2.TPMCCLoad, tpm2.TPMCCStartAuthSession:
	default:
		return 0, false
	}
	if r.err != nil || len(r.response) < headerSize+4 || binary.BigEndian.Uint32(r.response[6:10]) != uint32(tpm2.TPMRCSuccess) {
		return 0, false
	}
	return tpm2.TPMHandle(binary.BigEndian.Uint32(r.response[headerSize:])), true
}

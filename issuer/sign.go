package issuer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/fault"
)

// BlindSigner makes raw RSA signatures with the bank's denomination keys.
type BlindSigner interface {
	// BlindSign returns s = m^d mod N under the key named kid, as long as the
	// modulus (RFC 9474 §4.3). The caller has checked that blinded has that
	// length and is between 0 and N. It waits while the token is busy and
	// gives up with ctx.
	//
	// A signature is released only if s^e = m mod N, as package hsm does: one
	// wrong signature out of a faulty CRT gives the key away (Boneh, DeMillo,
	// Lipton 1997). It is checked once, where it is made: a second check here
	// costs a twelfth of the signing rate and would see nothing but faults of
	// memory in between. Any error means that no signature was released; the
	// caller repeats the call as often as it likes.
	BlindSign(ctx context.Context, kid coin.KeyID, blinded []byte) ([]byte, error)
	// Has says whether BlindSign can be asked for that key: nil, an error that
	// matches coin.ErrUnknownKey if the token lacks it, having looked again, or
	// another if that can't be told now. The bank asks before a keyset comes
	// into force.
	Has(ctx context.Context, kid coin.KeyID) error
}

// BatchSigner is a BlindSigner that makes several signatures for less than
// they cost one by one.
type BatchSigner interface {
	BlindSigner
	// BlindSignBatch is BlindSign for each output, under one promise: any error
	// means that no signature was released. One that matches
	// coin.ErrUnknownKey does not say which key the token lacks.
	BlindSignBatch(ctx context.Context, outputs []coin.Output) ([][]byte, error)
}

// oneByOne is BlindSignBatch for those who can't do better.
func oneByOne(ctx context.Context, s BlindSigner, outputs []coin.Output) ([][]byte, error) {
	signatures := make([][]byte, len(outputs))
	for i := range outputs {
		var err error
		if signatures[i], err = s.BlindSign(ctx, outputs[i].KeyID, outputs[i].Blinded); err != nil {
			return nil, err
		}
	}
	return signatures, nil
}

// maxBatch bounds the signatures made under one session of the token, so that
// a large withdrawal delays a small one by a few signatures and not by
// hundreds.
const maxBatch = 16

// sign signs the outputs of a recorded operation, in their order, all or
// none but those of keys that are gone for good. It must only be called once
// the operation is durable.
//
// The caller's goroutine signs; while the bank has idle helpers, they sign
// with it, a part each. So one withdrawal at a time uses the whole token, and
// many at a time are not slowed down by goroutines that wait for each other.
func (b *Bank) sign(ctx context.Context, outputs []coin.Output) (_ [][]byte, err error) {
	begin := time.Now()
	defer func() { b.stats.signed(len(outputs), time.Since(begin), err) }()
	signatures := make([][]byte, len(outputs))
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	helping := 0
	for helping < len(outputs)-1 && b.helpers.take() {
		helping++
	}
	part := min((len(outputs)+helping)/(helping+1), maxBatch)
	var next atomic.Int64
	work := func() {
		for ctx.Err() == nil {
			to := int(next.Add(int64(part)))
			from := to - part
			if from >= len(outputs) {
				return
			}
			to = min(to, len(outputs))
			if err := b.signPart(ctx, outputs[from:to], signatures[from:to]); err != nil {
				stop(err) // the first to fail is the one that counts
			}
		}
	}
	var group sync.WaitGroup
	for range helping {
		group.Go(func() {
			defer b.helpers.give()
			work()
		})
	}
	work()
	group.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	fault.Point("issuer.signed")
	return signatures, nil
}

// helpers counts the goroutines that may still be started for signing.
type helpers chan struct{}

func (h helpers) take() bool {
	select {
	case h <- struct{}{}:
		return true
	default:
		return false
	}
}

func (h helpers) give() { <-h }

// signPart fills in the signatures of some outputs.
func (b *Bank) signPart(ctx context.Context, outputs []coin.Output, signatures [][]byte) error {
	batch, ok := b.cfg.Signer.(BatchSigner)
	if ok && len(outputs) > 1 {
		made, err := batch.BlindSignBatch(ctx, outputs)
		if err == nil && len(made) != len(outputs) {
			return fmt.Errorf("%w: %d signatures for %d outputs", ErrUnavailable, len(made), len(outputs))
		}
		if !errors.Is(err, coin.ErrUnknownKey) {
			for i := range outputs {
				var signature []byte
				if err == nil {
					signature = made[i]
				}
				if signatures[i], err = b.signature(&outputs[i], signature, err); err != nil {
					return err
				}
			}
			return nil
		}
		// Which key it is that the token lacks, and whether it may, is seen one
		// by one.
	}
	for i := range outputs {
		made, err := b.cfg.Signer.BlindSign(ctx, outputs[i].KeyID, outputs[i].Blinded)
		if signatures[i], err = b.signature(&outputs[i], made, err); err != nil {
			return err
		}
	}
	return nil
}

// signature is what the bank makes of its signer's answer.
func (b *Bank) signature(o *coin.Output, made []byte, err error) ([]byte, error) {
	d, missing := b.current().find(o.KeyID)
	switch {
	case missing != nil:
		// No successor forgets a key before its LegalUntil: nothing is owed under it.
		return nil, nil
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return nil, err
	case errors.Is(err, coin.ErrUnknownKey) && !wants(d, b.now()):
		// There will never be one. What is signed under other keys must not wait
		// for it. Of a key that is revoked or lost its owner claims the coin without
		// it; of one that was destroyed in its time nobody could spend the coin.
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case len(made) != d.PublicKey.Size():
		return nil, fmt.Errorf("%w: signature of %d bytes under key %s", ErrUnavailable, len(made), o.KeyID)
	}
	return made, nil
}

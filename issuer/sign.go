package issuer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

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

// sign signs the outputs of a recorded operation, in their order, all or
// none but those of keys that are gone for good. It must only be called once
// the operation is durable.
//
// The caller's goroutine signs; while the bank has idle helpers, they sign
// with it. So one withdrawal at a time uses the whole token, and many at a
// time are not slowed down by goroutines that wait for each other.
func (b *Bank) sign(ctx context.Context, outputs []coin.Output) ([][]byte, error) {
	signatures := make([][]byte, len(outputs))
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	work := func() {
		for i := next.Add(1) - 1; i < int64(len(outputs)) && ctx.Err() == nil; i = next.Add(1) - 1 {
			var err error
			if signatures[i], err = b.signOne(ctx, &outputs[i]); err != nil {
				stop(err) // the first to fail is the one that counts
			}
		}
	}
	var group sync.WaitGroup
	for range len(outputs) - 1 {
		if !b.helpers.take() {
			break
		}
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

func (b *Bank) signOne(ctx context.Context, o *coin.Output) ([]byte, error) {
	d, err := b.current().find(o.KeyID)
	if err != nil {
		// Not a refusal: the operation is recorded and the signature due.
		return nil, fmt.Errorf("%w: key %s is not in the keyset any more", ErrUnavailable, o.KeyID)
	}
	signature, err := b.cfg.Signer.BlindSign(ctx, o.KeyID, o.Blinded)
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return nil, err
	case errors.Is(err, coin.ErrUnknownKey) && (d.Revoked || d.Lost):
		// There will never be one. What is signed under other keys must not wait
		// for it, and its owner claims the coin without it.
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case len(signature) != d.PublicKey.Size():
		return nil, fmt.Errorf("%w: signature of %d bytes under key %s", ErrUnavailable, len(signature), o.KeyID)
	}
	return signature, nil
}

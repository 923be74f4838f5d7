package issuer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
)

// Restored is what the bank knows of an output.
type Restored struct {
	// Op is the operation that the output is of, and Index its place among that
	// one's outputs. Op is zero if the bank has never been paid for it.
	Op    ledger.ID
	Index int
	// Signature is empty as in Signed.
	Signature []byte
}

// Restore says of each output which operation had the bank sign it, and signs it
// again, for a wallet that was lost and derives its blinded messages from its
// seed. Outputs may be under any key of the keyset, whatever its dates:
// what was paid for is owed as long as there is the key. Nobody else gains by the
// answer: a blind signature is good for nothing but to who made the message.
//
// Refusals: ErrMalformed for none, coin.ErrTooLarge for more than
// Limits.RestoreOutputs, coin.ErrOutput, or coin.ErrUnknownKey. Outputs that were
// signed before the ledger had made sets are not found.
func (b *Bank) Restore(ctx context.Context, outputs []coin.Output) ([]Restored, error) {
	if err := b.checkAsked(len(outputs)); err != nil {
		return nil, err
	}
	f := b.current()
	byEpoch := map[string][]ledger.ID{}
	for i := range outputs {
		d, err := f.find(outputs[i].KeyID)
		if err == nil {
			err = d.CheckBlinded(outputs[i].Blinded)
		}
		if err != nil {
			return nil, fmt.Errorf("output %d: %w", i, err)
		}
		epoch := madeOf(d.KeyID)
		byEpoch[epoch] = append(byEpoch[epoch], madeID(&outputs[i]))
	}
	by, err := b.usedBy(ctx, byEpoch)
	if err != nil {
		return nil, err
	}
	out := make([]Restored, len(outputs))
	var sign []coin.Output
	var places []int
	sources := newSources(b.cfg.Ledger)
	for i := range outputs {
		op, ok := by[madeID(&outputs[i])]
		if !ok {
			continue
		}
		if out[i], err = sources.restored(ctx, op, &outputs[i]); err != nil {
			return nil, err
		}
		sign, places = append(sign, outputs[i]), append(places, i)
	}
	signatures, err := b.sign(ctx, sign)
	if err != nil {
		return nil, err
	}
	for i, place := range places {
		out[place].Signature = signatures[i]
	}
	return out, nil
}

// checkAsked bounds a request for many things.
func (b *Bank) checkAsked(n int) error {
	if n == 0 {
		return fmt.Errorf("%w: nothing is asked for", ErrMalformed)
	}
	if most := b.limits.RestoreOutputs; most > 0 && n > most {
		return fmt.Errorf("%w: %d at once, and at most %d", coin.ErrTooLarge, n, most)
	}
	return nil
}

// usedBy finds the operations that took ids, epoch by epoch.
func (b *Bank) usedBy(ctx context.Context, byEpoch map[string][]ledger.ID) (map[ledger.ID]ledger.ID, error) {
	out := map[ledger.ID]ledger.ID{}
	for epoch, ids := range byEpoch {
		by, err := b.cfg.Ledger.SpentBy(ctx, epoch, ids)
		if err != nil {
			return nil, fmt.Errorf("issuer: look up: %w", store(err))
		}
		for id, op := range by {
			out[id] = op
		}
	}
	return out, nil
}

// restored finds an output in the operation that marked it.
func (s *sources) restored(ctx context.Context, op ledger.ID, o *coin.Output) (Restored, error) {
	outputs, err := s.find(ctx, op)
	if err != nil {
		if errors.Is(err, coin.ErrClaim) { // no refusal: the mark says otherwise
			err = fmt.Errorf("issuer: operation %x marked an output: %v", op, err)
		}
		return Restored{}, err
	}
	i := slices.IndexFunc(outputs, func(other coin.Output) bool {
		return other.KeyID == o.KeyID && bytes.Equal(other.Blinded, o.Blinded)
	})
	if i < 0 {
		return Restored{}, fmt.Errorf("issuer: operation %x marked an output that it does not have", op)
	}
	return Restored{Op: op, Index: i}, nil
}

// CoinRef names a coin.
type CoinRef struct {
	KeyID coin.KeyID
	ID    [32]byte // see coin.Coin.ID
}

// CoinState is where a coin stands at the bank.
type CoinState string

// The states of a coin.
const (
	CoinUnspent CoinState = "unspent"
	CoinSpent   CoinState = "spent"
	CoinHeld    CoinState = "held" // a merchant's check keeps it for a moment
)

// CoinStates says where coins stand, and never who spent or holds one. A coin that
// the bank has not signed is unspent too: it knows coins only once they are spent.
//
// Asking tells the bank that the coins are together in somebody's hands. Refusals:
// ErrMalformed for none, coin.ErrTooLarge for more than Limits.RestoreOutputs, or
// coin.ErrUnknownKey.
func (b *Bank) CoinStates(ctx context.Context, refs []CoinRef) ([]CoinState, error) {
	if err := b.checkAsked(len(refs)); err != nil {
		return nil, err
	}
	now, f := b.now(), b.current()
	byEpoch := map[string][]ledger.ID{}
	for i := range refs {
		if _, err := f.find(refs[i].KeyID); err != nil {
			return nil, fmt.Errorf("coin %d: %w", i, err)
		}
		epoch := epochOf(refs[i].KeyID)
		byEpoch[epoch] = append(byEpoch[epoch], refs[i].ID)
	}
	// Holds first: a coin that is deposited in between is found spent.
	held := map[ledger.ID]bool{}
	for epoch, ids := range byEpoch {
		holds, err := b.cfg.Ledger.HeldCoins(ctx, epoch, ids, now)
		if err != nil {
			return nil, fmt.Errorf("issuer: look up: %w", store(err))
		}
		for id := range holds {
			held[id] = true
		}
	}
	spent, err := b.usedBy(ctx, byEpoch)
	if err != nil {
		return nil, err
	}
	out := make([]CoinState, len(refs))
	for i := range refs {
		switch _, ok := spent[refs[i].ID]; {
		case ok:
			out[i] = CoinSpent
		case held[refs[i].ID]:
			out[i] = CoinHeld
		default:
			out[i] = CoinUnspent
		}
	}
	return out, nil
}

// archiveKey is under which a ledger keeps the keyset with that number.
func archiveKey(seq uint64) string { return fmt.Sprintf("%s-%d", metaKeyset, seq) }

// ArchivedKeyset returns the keyset with that number, as the master key signed it,
// if the bank ever worked under it, or ErrNotFound. What was signed in its time is
// judged by it.
func (b *Bank) ArchivedKeyset(ctx context.Context, seq uint64) ([]byte, error) {
	jws, err := b.cfg.Ledger.Meta(ctx, archiveKey(seq))
	if err != nil {
		return nil, fmt.Errorf("issuer: keyset %d: %w", seq, store(err))
	}
	return jws, nil
}

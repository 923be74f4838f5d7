package issuer

import (
	"context"
	"crypto/rsa"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/speciecash/specie/coin"
)

// RawKey is one RSA key of a token, as package hsm has it. BlindSign keeps the
// promise of BlindSigner for that key.
type RawKey interface {
	Public() *rsa.PublicKey
	BlindSign(ctx context.Context, blinded []byte) ([]byte, error)
}

// Keyring is a BatchSigner over keys that are open in this process.
type Keyring struct {
	list  func(context.Context) (map[coin.KeyID]RawKey, error)
	batch func(ctx context.Context, keys []RawKey, blinded [][]byte) ([][]byte, error) // may be nil

	listing sync.Mutex // one look at the token at a time
	keys    atomic.Pointer[map[coin.KeyID]RawKey]
}

// NewKeyring returns a signer over the keys that list finds on a token, which
// has audited them, as hsm.Token.RSAKeys does. The token is listed when a key
// is first asked for by Has, and again whenever Has is asked for one that was
// not there: keys of a later ceremony need no restart.
//
// batch, if it is not nil, signs several messages for less than they cost one
// by one, each under the key of the same place, and releases all signatures or
// none, as hsm.Token.BlindSignBatch does.
func NewKeyring[K RawKey](list func(context.Context) ([]K, error), batch func(ctx context.Context, keys []K, blinded [][]byte) ([][]byte, error)) *Keyring {
	r := &Keyring{list: func(ctx context.Context) (map[coin.KeyID]RawKey, error) {
		keys, err := list(ctx)
		if err != nil {
			return nil, err
		}
		byID := make(map[coin.KeyID]RawKey, len(keys))
		for _, key := range keys {
			// What has no id is a key for something else.
			if id, err := coin.NewKeyID(key.Public()); err == nil {
				byID[id] = key
			}
		}
		return byID, nil
	}}
	r.keys.Store(&map[coin.KeyID]RawKey{})
	if batch != nil {
		r.batch = func(ctx context.Context, keys []RawKey, blinded [][]byte) ([][]byte, error) {
			own := make([]K, len(keys))
			for i := range keys {
				own[i] = keys[i].(K) // list put it there
			}
			return batch(ctx, own, blinded)
		}
	}
	return r
}

// Has implements BlindSigner.
func (r *Keyring) Has(ctx context.Context, kid coin.KeyID) error {
	if _, ok := (*r.keys.Load())[kid]; ok {
		return nil
	}
	r.listing.Lock()
	defer r.listing.Unlock()
	if _, ok := (*r.keys.Load())[kid]; ok {
		return nil
	}
	keys, err := r.list(ctx)
	if err != nil {
		return fmt.Errorf("issuer: list keys: %w", err)
	}
	r.keys.Store(&keys)
	if _, ok := keys[kid]; !ok {
		return fmt.Errorf("issuer: %d keys listed: %w", len(keys), coin.ErrUnknownKey)
	}
	return nil
}

// BlindSign implements BlindSigner.
func (r *Keyring) BlindSign(ctx context.Context, kid coin.KeyID, blinded []byte) ([]byte, error) {
	key, ok := (*r.keys.Load())[kid]
	if !ok {
		return nil, fmt.Errorf("issuer: sign: %w", coin.ErrUnknownKey)
	}
	return key.BlindSign(ctx, blinded)
}

// BlindSignBatch implements BatchSigner.
func (r *Keyring) BlindSignBatch(ctx context.Context, outputs []coin.Output) ([][]byte, error) {
	if r.batch == nil {
		return oneByOne(ctx, r, outputs)
	}
	known := *r.keys.Load()
	keys, blinded := make([]RawKey, len(outputs)), make([][]byte, len(outputs))
	for i := range outputs {
		key, ok := known[outputs[i].KeyID]
		if !ok {
			return nil, fmt.Errorf("issuer: sign: %w", coin.ErrUnknownKey)
		}
		keys[i], blinded[i] = key, outputs[i].Blinded
	}
	return r.batch(ctx, keys, blinded)
}

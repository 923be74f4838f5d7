package signer

import (
	"context"
	"crypto"
	"crypto/rsa"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/speciecash/specie/coin"
)

// Keys returns the keys that are on the signer's tokens now, each audited. It
// may take a second: the signer looks no more often.
func (c *Client) Keys(ctx context.Context) ([]PublicKey, error) {
	answer, err := c.call(ctx, request{op: opList})
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(answer)
	if err != nil {
		return nil, err
	}
	c.ids.learn(keys)
	return keys, nil
}

// Check lets a key do a real operation whose result is thrown away.
func (c *Client) Check(ctx context.Context, key ID) error {
	_, err := c.call(ctx, request{op: opCheck, key: key})
	return err
}

// BlindSign returns m^d mod N under the key that a keyset names kid, for a
// blinded message as long as the modulus, 0 < m < N; ErrInput for another. The
// signature was verified where it was made. If no such key is known, the
// signer looks for new ones first; then it is ErrUnknownKey.
func (c *Client) BlindSign(ctx context.Context, kid coin.KeyID, blinded []byte) ([]byte, error) {
	id, err := c.find(ctx, kid)
	if err != nil {
		return nil, err
	}
	return c.call(ctx, request{op: opBlind, key: id, body: blinded})
}

// BlindSignBatch is BlindSign for each output, under one promise: any error
// means that no signature was returned. Up to 16 are one request and signed in
// one session of the token; more are several requests, one after the other.
func (c *Client) BlindSignBatch(ctx context.Context, outputs []coin.Output) ([][]byte, error) {
	batch := make([]blinded, len(outputs))
	for i := range outputs {
		id, err := c.find(ctx, outputs[i].KeyID)
		if err != nil {
			return nil, err
		}
		batch[i] = blinded{id, outputs[i].Blinded}
	}
	signatures := make([][]byte, 0, len(batch))
	for part := range slices.Chunk(batch, maxBatch) {
		made, err := c.blindBatch(ctx, part)
		if err != nil {
			return nil, err
		}
		signatures = append(signatures, made...)
	}
	return signatures, nil
}

// blindBatch asks in one request, or one by one whom no batch can be sent.
func (c *Client) blindBatch(ctx context.Context, batch []blinded) ([][]byte, error) {
	if len(batch) > 1 && c.batches.Load() {
		answer, err := c.call(ctx, request{op: opBatch, batch: batch})
		if err != nil {
			return nil, err
		}
		return parseSignatures(answer, batch)
	}
	signatures := make([][]byte, len(batch))
	for i, m := range batch {
		var err error
		if signatures[i], err = c.call(ctx, request{op: opBlind, key: m.key, body: m.body}); err != nil {
			return nil, err
		}
	}
	return signatures, nil
}

// Has says whether the signer has the key that a keyset names kid: nil,
// ErrUnknownKey after a look for new ones, or why that can't be told now.
func (c *Client) Has(ctx context.Context, kid coin.KeyID) error {
	_, err := c.find(ctx, kid)
	return err
}

// Signer is an ECDSA key of a token, at a distance: a crypto.Signer.
type Signer struct {
	c      *Client
	id     ID
	public crypto.PublicKey
}

// Signer returns the key whose public half is public. ErrUnknownKey if no
// token has it now.
func (c *Client) Signer(ctx context.Context, public crypto.PublicKey) (*Signer, error) {
	id, err := IDOf(public)
	if err != nil {
		return nil, err
	}
	keys, err := c.Keys(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if k.ID == id && k.Kind == Digest {
			return &Signer{c: c, id: id, public: k.Public}, nil
		}
	}
	return nil, fmt.Errorf("%w: no ECDSA key %x", ErrUnknownKey, id[:8])
}

// Public returns an *ecdsa.PublicKey.
func (s *Signer) Public() crypto.PublicKey { return s.public }

// Sign is SignDigest within the client's Timeout. The random source is not
// used: the token has its own.
func (s *Signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.SignDigest(context.Background(), digest, opts)
}

// SignDigest signs a SHA-256 or SHA-384 digest and returns the signature as
// ASN.1 DER. It was verified where it was made.
func (s *Signer) SignDigest(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts == nil {
		return nil, fmt.Errorf("%w: no hash named", ErrInput)
	}
	return s.c.call(ctx, request{op: opSign, key: s.id, hash: opts.HashFunc(), body: digest})
}

// Box opens what was sealed under one AES key of a token.
type Box struct {
	c     *Client
	label string
}

// Box names the AES key under label. Whether there is one shows when it is
// used.
func (c *Client) Box(label string) *Box { return &Box{c, label} }

// Open returns what was sealed. ErrSealed if box and aad are not what was
// sealed under this key, ErrUnknownKey if there is none, ErrInput for more
// than 16 KiB of both together.
func (b *Box) Open(ctx context.Context, box, aad []byte) ([]byte, error) {
	return b.c.call(ctx, request{op: opOpen, label: b.label, aad: aad, body: box})
}

// An idTable maps the ids of keysets, which are of another form of the public
// key, to those of the signer.
type idTable struct {
	mu     sync.Mutex
	ids    map[coin.KeyID]ID
	asking *question // what the signer is being asked, if it is
}

// A question to the signer that all who miss a key at the same time share.
type question struct {
	answered chan struct{}
	err      error // once answered
}

func (t *idTable) learn(keys []PublicKey) {
	ids := make(map[coin.KeyID]ID, len(keys))
	for _, k := range keys {
		if public, ok := k.Public.(*rsa.PublicKey); ok {
			if kid, err := coin.NewKeyID(public); err == nil { // others are for something else
				ids[kid] = k.ID
			}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ids = ids
}

// find returns the signer's id of a key, after asking it for new ones if need
// be.
func (c *Client) find(ctx context.Context, kid coin.KeyID) (ID, error) {
	t := &c.ids
	t.mu.Lock()
	id, ok := t.ids[kid]
	q := t.asking
	if !ok && q == nil {
		q = &question{answered: make(chan struct{})}
		t.asking = q
		go c.ask(q)
	}
	t.mu.Unlock()
	if ok {
		return id, nil
	}
	select {
	case <-q.answered:
	case <-ctx.Done():
		return ID{}, given(ctx.Err())
	}
	if q.err != nil {
		return ID{}, q.err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if id, ok = t.ids[kid]; !ok {
		return ID{}, fmt.Errorf("%w: %s", ErrUnknownKey, kid)
	}
	return id, nil
}

// ask answers a question, within the client's Timeout: who asked it first may
// be gone before the others.
func (c *Client) ask(q *question) {
	_, q.err = c.Keys(context.Background())
	c.ids.mu.Lock()
	c.ids.asking = nil
	c.ids.mu.Unlock()
	close(q.answered)
}

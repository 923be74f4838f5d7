package signer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	reloadPause   = time.Second      // between two looks for new keys
	reloadTimeout = 30 * time.Second // of one look
)

// A keyring knows which token has which key, and looks again when a client
// misses one: a key that a ceremony adds is found without a restart.
type keyring struct {
	lanes []*lane
	log   *slog.Logger
	pause time.Duration // between two looks
	table atomic.Pointer[table]

	listMu  sync.Mutex
	listing []listing     // requests that wait for a look
	wake    chan struct{} // holds one value

	openMu  sync.Mutex
	openers map[string]placed // by label
}

// A table is what one look found. It is not changed afterwards.
type table struct {
	keys map[ID]entry
	list []byte // the answer to opList
}

type entry struct {
	lane   int
	blind  BlindKey // one of the two
	digest DigestKey
}

type placed struct {
	lane int
	Opener
}

type listing struct {
	conn *conn
	req  *request
}

func newKeyring(lanes []*lane, log *slog.Logger) *keyring {
	return &keyring{lanes: lanes, log: log, pause: reloadPause, wake: make(chan struct{}, 1), openers: make(map[string]placed)}
}

// load looks what is on the tokens. If one refuses, the keys that were
// audited before stay in use and no new one comes in.
func (k *keyring) load(ctx context.Context) error {
	t := &table{keys: make(map[ID]entry)}
	var public []PublicKey
	for i, l := range k.lanes {
		keys, err := l.token.Keys(ctx)
		if err != nil {
			return fmt.Errorf("token %s: %w", l.token.Name(), err)
		}
		found, err := t.add(i, keys)
		if err != nil {
			return fmt.Errorf("token %s: %w", l.token.Name(), err)
		}
		public = append(public, found...)
	}
	if len(public) > maxKeys {
		return fmt.Errorf("%w: %d keys; at most %d", ErrInput, len(public), maxKeys)
	}
	t.list = appendKeys(nil, public)
	k.table.Store(t)
	k.log.Info("keys audited", "keys", len(public), "tokens", len(k.lanes))
	return nil
}

func (t *table) add(lane int, keys *TokenKeys) ([]PublicKey, error) {
	var found []PublicKey
	put := func(p PublicKey, e entry, err error) error {
		if err != nil {
			return err
		}
		if _, twice := t.keys[p.ID]; twice {
			return fmt.Errorf("%w: key %q is on two tokens, or twice on one", ErrInput, p.Label)
		}
		t.keys[p.ID] = e
		found = append(found, p)
		return nil
	}
	for label, key := range keys.Blind {
		p, err := newPublicKey(Blind, label, key.Public())
		if err := put(p, entry{lane: lane, blind: key}, err); err != nil {
			return nil, err
		}
	}
	for label, key := range keys.Digest {
		p, err := newPublicKey(Digest, label, key.Public())
		if err := put(p, entry{lane: lane, digest: key}, err); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(a, b PublicKey) int {
		return cmp.Or(cmp.Compare(a.Label, b.Label), cmp.Compare(a.Kind, b.Kind))
	})
	return found, nil
}

// list answers after the next look that begins from now on.
func (k *keyring) list(c *conn, r *request) {
	k.listMu.Lock()
	k.listing = append(k.listing, listing{c, r})
	k.listMu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run looks for new keys when somebody asks, one look for all who wait, and
// at most one a second: a look audits every key. It returns when ctx ends.
func (k *keyring) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		}
		k.listMu.Lock()
		waiting := k.listing
		k.listing = nil
		k.listMu.Unlock()

		look, cancel := context.WithTimeout(ctx, reloadTimeout)
		err := k.load(look)
		cancel()
		if err != nil {
			k.log.Error("no look at the keys; those known before stay in use", "err", err)
		}
		for _, w := range waiting {
			if err != nil {
				w.conn.answer(w.req, nil, err)
			} else {
				w.conn.answer(w.req, k.table.Load().list, nil)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(k.pause):
		}
	}
}

// An action is a request that has found its key.
type action func(ctx context.Context) ([]byte, error)

// find tells which lane a request goes to and what is to be done there.
func (k *keyring) find(r *request) (lane int, do action, err error) {
	if r.op == opOpen {
		k.openMu.Lock()
		lane = k.openers[r.label].lane
		k.openMu.Unlock()
		return lane, func(ctx context.Context) ([]byte, error) { return k.open(ctx, r) }, nil
	}
	if r.op == opBatch {
		return k.batch(r)
	}
	e, ok := k.table.Load().keys[r.key]
	switch {
	case ok && r.op == opBlind && e.blind != nil:
		do = func(ctx context.Context) ([]byte, error) { return e.blind.BlindSign(ctx, r.body) }
	case ok && r.op == opSign && e.digest != nil:
		do = func(ctx context.Context) ([]byte, error) { return e.digest.SignDigest(ctx, r.body, r.hash) }
	case ok && r.op == opCheck && e.blind != nil:
		do = func(ctx context.Context) ([]byte, error) { return nil, e.blind.Check(ctx) }
	case ok && r.op == opCheck:
		do = func(ctx context.Context) ([]byte, error) { return nil, e.digest.Check(ctx) }
	default:
		return 0, nil, fmt.Errorf("%w: %x for %s", ErrUnknownKey, r.key[:8], r.op)
	}
	return e.lane, do, nil
}

// A share is what one token has of a batch.
type share struct {
	lane     int
	keys     []BlindKey
	messages [][]byte
	places   []int // in the batch
}

// batch is find for a batch. It goes to the lane of its first key, and what is
// on other tokens is signed from there.
func (k *keyring) batch(r *request) (lane int, do action, err error) {
	keys := k.table.Load().keys
	var shares []*share
	for i, m := range r.batch {
		e := keys[m.key]
		if e.blind == nil {
			return 0, nil, fmt.Errorf("%w: %x for %s", ErrUnknownKey, m.key[:8], r.op)
		}
		at := slices.IndexFunc(shares, func(s *share) bool { return s.lane == e.lane })
		if at < 0 {
			at, shares = len(shares), append(shares, &share{lane: e.lane})
		}
		s := shares[at]
		s.keys, s.messages, s.places = append(s.keys, e.blind), append(s.messages, m.body), append(s.places, i)
	}
	return shares[0].lane, func(ctx context.Context) ([]byte, error) {
		signatures := make([][]byte, len(r.batch))
		for _, s := range shares {
			made, err := k.lanes[s.lane].token.BlindSignBatch(ctx, s.keys, s.messages)
			if err != nil {
				return nil, err
			}
			if len(made) != len(s.places) {
				return nil, fmt.Errorf("%w: %d signatures for %d messages", ErrFailed, len(made), len(s.places))
			}
			for i, place := range s.places {
				signatures[place] = made[i]
			}
		}
		return appendSignatures(nil, signatures), nil
	}, nil
}

func (k *keyring) open(ctx context.Context, r *request) ([]byte, error) {
	o, err := k.opener(ctx, r.label)
	if err != nil {
		return nil, err
	}
	return o.Open(ctx, r.body, r.aad)
}

// opener finds the AES key under a label, on all tokens the first time. A
// token that is away keeps nobody from another's key; whether it has one under
// the same label is seen when it is back, so the key is not remembered before.
// No lock is held while a token is asked: dispatch waits for it.
func (k *keyring) opener(ctx context.Context, label string) (Opener, error) {
	k.openMu.Lock()
	known, ok := k.openers[label]
	k.openMu.Unlock()
	if ok {
		return known, nil
	}
	var found placed
	var away error
	for i, l := range k.lanes {
		o, err := l.token.Opener(ctx, label)
		switch {
		case errors.Is(err, ErrUnknownKey):
		case errors.Is(err, ErrUnavailable):
			away = fmt.Errorf("token %s: %w", l.token.Name(), err)
		case err != nil:
			return nil, fmt.Errorf("token %s: %w", l.token.Name(), err)
		case found.Opener != nil:
			return nil, fmt.Errorf("%w: label %q is on two tokens", ErrFailed, label)
		default:
			found = placed{i, o}
		}
	}
	switch {
	case found.Opener == nil && away != nil:
		return nil, away
	case found.Opener == nil:
		return nil, fmt.Errorf("%w: no AES key is labelled %q", ErrUnknownKey, label)
	case away == nil:
		k.openMu.Lock()
		k.openers[label] = found
		k.openMu.Unlock()
	}
	return found, nil
}

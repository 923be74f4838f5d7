package signer_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/signer"
)

// A vault is a token that is asked for AES keys.
type vault struct {
	crowd
	opener func(ctx context.Context, label string) (signer.Opener, error)
}

func (v vault) Opener(ctx context.Context, label string) (signer.Opener, error) {
	return v.opener(ctx, label)
}

func (vault) Name() string { return "vault" }

// sealed is a box for the key "seal".
func sealed(t *testing.T) []byte {
	t.Helper()
	box, err := bench.seal.Seal(t.Context(), []byte("secret"), nil)
	check(t, err)
	return box
}

func TestATokenThatIsAwayKeepsNobodyFromAnothersKey(t *testing.T) {
	var state atomic.Value // what the vault answers
	state.Store(signer.ErrUnavailable)
	away := vault{newCrowd(t, 1, "key"), func(ctx context.Context, label string) (signer.Opener, error) {
		if err := state.Load().(error); err != errThere {
			return nil, err
		}
		return newToken().Opener(ctx, label)
	}}
	for name, tokens := range map[string][]signer.Token{
		"the first token": {away, newToken()}, "the last token": {newToken(), away},
	} {
		state.Store(signer.ErrUnavailable)
		c := open(t, tokens...).client(nil)
		box := sealed(t)
		plain, err := c.Box("seal").Open(t.Context(), box, nil)
		if err != nil || string(plain) != "secret" {
			t.Errorf("%s is away: got %q, %v", name, plain, err)
		}
		// It may have the key that the others lack.
		_, err = c.Box("not there").Open(t.Context(), box, nil)
		expect(t, err, signer.ErrUnavailable)
		// It comes back, with a key under the same label: nobody chooses.
		state.Store(errThere)
		_, err = c.Box("seal").Open(t.Context(), box, nil)
		expect(t, err, signer.ErrFailed)
		state.Store(signer.ErrFailed)
		_, err = c.Box("seal").Open(t.Context(), box, nil)
		expect(t, err, signer.ErrFailed)
	}
}

var errThere = errors.New("there") // of the type that atomic.Value holds

// One token takes its time over a label; another label's requests, on the
// same connection and on the same tokens, do not wait for it.
func TestALookForAKeyStopsNobodyElse(t *testing.T) {
	g := newGate()
	slow := vault{newCrowd(t, 1, "key"), func(ctx context.Context, label string) (signer.Opener, error) {
		if label == "slow" {
			_ = g.hold(ctx, nil)
		}
		return nil, signer.ErrUnknownKey
	}}
	c := open(t, newToken(), slow).client(nil)
	looked := make(chan error, 1)
	go func() {
		_, err := c.Box("slow").Open(context.WithoutCancel(t.Context()), []byte("box"), nil)
		looked <- err
	}()
	<-g.arrived
	within(t, 5*time.Second, "another label's request", func() {
		plain, err := c.Box("seal").Open(t.Context(), sealed(t), nil)
		if err != nil || string(plain) != "secret" {
			t.Errorf("got %q, %v", plain, err)
		}
	})
	g.open()
	expect(t, <-looked, signer.ErrUnknownKey)
}

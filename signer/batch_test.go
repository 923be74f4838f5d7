package signer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/signer"
)

// outputs are n to sign, under the test token's keys in turn.
func outputs(t testing.TB, n int) []coin.Output {
	t.Helper()
	all := make([]coin.Output, n)
	for i := range all {
		all[i].KeyID, all[i].Blinded = message(t, bench.coins[i%len(bench.coins)])
	}
	return all
}

func checkSigned(t testing.TB, all []coin.Output, signatures [][]byte) {
	t.Helper()
	if len(signatures) != len(all) {
		t.Fatalf("%d signatures for %d outputs", len(signatures), len(all))
	}
	for i := range all {
		if !signs(bench.coins[i%len(bench.coins)].Public(), signatures[i], all[i].Blinded) {
			t.Errorf("signature %d does not verify", i)
		}
	}
}

// count is how often an operation had that outcome.
func (h *house) count(op, outcome string) (n uint64) {
	for _, r := range h.srv.Stats().Requests {
		if r.Op == op && r.Outcome == outcome {
			n += r.Count
		}
	}
	return n
}

func TestABatchIsOneRequestAndEachIsSignedUnderItsOwnKey(t *testing.T) {
	for _, c := range []struct{ outputs, batches, singles int }{
		{0, 0, 0}, {1, 0, 1}, {2, 1, 0}, {16, 1, 0}, {17, 1, 1}, {35, 3, 0},
	} {
		t.Run(fmt.Sprint(c.outputs), func(t *testing.T) {
			h := open(t, newToken())
			all := outputs(t, c.outputs)
			signatures, err := h.client(nil).BlindSignBatch(t.Context(), all)
			check(t, err)
			checkSigned(t, all, signatures)
			if batches, singles := h.count("blind_sign_batch", "ok"), h.count("blind_sign", "ok"); int(batches) != c.batches || int(singles) != c.singles {
				t.Errorf("%d batches and %d single requests, want %d and %d", batches, singles, c.batches, c.singles)
			}
		})
	}
}

// tokensApart are two tokens with one RSA key each.
func tokensApart() (one, two *token) {
	one, two = newToken(), newToken()
	one.hide["two"], two.hide["one"] = true, true
	two.name, two.noReceipts = "other", true
	return one, two
}

func TestABatchMayHaveKeysOfSeveralTokens(t *testing.T) {
	one, two := tokensApart()
	all := outputs(t, 7)
	signatures, err := open(t, one, two).client(nil).BlindSignBatch(t.Context(), all)
	check(t, err)
	checkSigned(t, all, signatures)
}

// TestABatchWithOneFaultySignatureReleasesNone: what is good of it would be
// released together with nothing that tells the bad one.
func TestABatchWithOneFaultySignatureReleasesNone(t *testing.T) {
	for name, faulty := range map[string]int{"the first": 0, "the last": 4, "one of another token": 3} {
		t.Run(name, func(t *testing.T) {
			one, two := tokensApart()
			all := outputs(t, 5)
			bad := func(_ context.Context, m []byte) error {
				if string(m) == string(all[faulty].Blinded) {
					return signer.ErrFailed
				}
				return nil
			}
			one.before, two.before = bad, bad
			h := open(t, one, two)
			c := h.client(nil)
			signatures, err := c.BlindSignBatch(t.Context(), all)
			expect(t, err, signer.ErrFailed)
			if signatures != nil {
				t.Errorf("released %x", signatures)
			}
			if n := h.count("blind_sign", "ok"); n != 0 {
				t.Errorf("%d were asked for one by one", n)
			}
		})
	}
}

// short is a token that returns fewer signatures than it was asked for.
type short struct{ *token }

func (s short) BlindSignBatch(ctx context.Context, keys []signer.BlindKey, messages [][]byte) ([][]byte, error) {
	made, err := s.token.BlindSignBatch(ctx, keys, messages)
	return made[:max(len(made), 1)-1], err
}

func TestATokenThatReturnsTooFewSignaturesReleasesNone(t *testing.T) {
	got, err := open(t, short{newToken()}).client(nil).BlindSignBatch(t.Context(), outputs(t, 4))
	if expect(t, err, signer.ErrFailed); got != nil {
		t.Errorf("released %x", got)
	}
}

func TestWhatASignerRefusesOfABatch(t *testing.T) {
	tok := newToken()
	var touched atomic.Int64
	tok.before = func(context.Context, []byte) error { touched.Add(1); return nil }
	h := open(t, tok)
	c := h.client(nil)
	for _, x := range []struct {
		name   string
		change func(last *coin.Output)
		want   error
	}{
		{"no message", func(o *coin.Output) { o.Blinded = nil }, signer.ErrInput},
		{"a message beyond the protocol", func(o *coin.Output) { o.Blinded = make([]byte, 513) }, signer.ErrInput},
		{"a key that no token has", func(o *coin.Output) { o.KeyID = coin.KeyID{1} }, coin.ErrUnknownKey},
	} {
		t.Run(x.name, func(t *testing.T) {
			all := outputs(t, 3)
			x.change(&all[2])
			got, err := c.BlindSignBatch(t.Context(), all)
			if expect(t, err, x.want); got != nil || touched.Load() != 0 {
				t.Errorf("got %x, and the token was asked for %d", got, touched.Load())
			}
		})
	}
	// These the module must not see, and it does not: hsm refuses the batch.
	for name, m := range map[string][]byte{"zero": make([]byte, 256), "one byte short": make([]byte, 255), "the modulus": bench.coins[0].Public().N.Bytes()} {
		t.Run("a message that is "+name, func(t *testing.T) {
			all := outputs(t, 3)
			all[2].Blinded = m
			got, err := c.BlindSignBatch(t.Context(), all)
			if expect(t, err, signer.ErrInput); got != nil {
				t.Errorf("got %x", got)
			}
		})
	}
}

func TestABatchUnderAKeyOfAnotherKindIsRefused(t *testing.T) {
	raw := open(t, newToken()).greeted()
	_, err := raw.Write(signer.BatchRequest(1, idOf(t, bench.receipts.Public()), 1e9, make([]byte, 32), make([]byte, 32)))
	check(t, err)
	if got := raw.answer(); got.status != "unknown_key" {
		t.Fatalf("got %+v", got)
	}
}

// TestABatchLargerThanTheProtocolIsRefused: a client's own bound is no
// bound of the server's.
func TestABatchLargerThanTheProtocolIsRefused(t *testing.T) {
	h := open(t, newToken())
	many := make([][]byte, 17)
	for i := range many {
		many[i] = randomMessage(bench.coins[0])
	}
	raw := h.greeted()
	_, err := raw.Write(signer.BatchRequest(1, idOf(t, bench.coins[0].Public()), 1e9, many...))
	check(t, err)
	if got := raw.answer(); got.status != "input" {
		t.Fatalf("got %+v", got)
	}
	for i := range many {
		many[i] = make([]byte, 1000)
	}
	_, err = raw.Write(signer.BatchRequest(2, idOf(t, bench.coins[0].Public()), 1e9, many...))
	check(t, err)
	if !raw.ended() {
		t.Error("a frame beyond the bound is read")
	}
}

func TestABatchEndsWithItsContext(t *testing.T) {
	tok := newToken()
	g := newGate()
	tok.before = g.hold
	defer g.open()
	c := open(t, tok).client(nil)
	all := outputs(t, 3)
	check(t, c.Has(t.Context(), all[0].KeyID))
	within(t, 2*time.Second, "a batch", func() {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		got, err := c.BlindSignBatch(ctx, all)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, signer.ErrUnavailable) || got != nil {
			t.Errorf("got %x, %v", got, err)
		}
	})
}

func TestErrorsOfTheTokenGoThroughABatch(t *testing.T) {
	for _, c := range []struct{ err, want error }{
		{hsm.ErrFaulty, signer.ErrFailed},
		{signer.ErrBusy, signer.ErrBusy},
		{signer.ErrUnavailable, signer.ErrUnavailable},
	} {
		tok := newToken()
		tok.before = func(context.Context, []byte) error { return c.err }
		_, err := open(t, tok).client(nil).BlindSignBatch(t.Context(), outputs(t, 2))
		expect(t, err, c.want)
	}
}

// TestAClientSignsOneByOneWithAServerOfTheVersionBefore: the server here is
// the real one behind a relay that changes its greeting, and refuses batches
// as that version does, for it never sees one.
func TestAClientSignsOneByOneWithAServerOfTheVersionBefore(t *testing.T) {
	h := open(t, newToken())
	path := filepath.Join(filepath.Dir(h.path), "before.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	check(t, err)
	defer l.Close()
	go func() {
		near, err := l.AcceptUnix()
		if err != nil {
			return
		}
		far, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: h.path, Net: "unix"})
		if err != nil {
			_ = near.Close()
			return
		}
		relay(near, far)
	}()
	check(t, os.Chmod(filepath.Dir(path), 0o700))
	all := outputs(t, 5)
	signatures, err := h.client(func(c *signer.ClientConfig) { c.Socket = path }).BlindSignBatch(t.Context(), all)
	check(t, err)
	checkSigned(t, all, signatures)
	if n := h.count("blind_sign_batch", "ok"); n != 0 || h.count("blind_sign", "ok") != 5 {
		t.Errorf("%d batches were sent to a server that knows none", n)
	}
}

// relay speaks the version before with near and this one with far.
func relay(near, far net.Conn) {
	greeting := make([]byte, len(signer.Hello))
	defer near.Close()
	defer far.Close()
	if _, err := far.Read(greeting); err != nil {
		return
	}
	_, _ = near.Write([]byte(signer.HelloBefore))
	if _, err := near.Read(greeting); err != nil || string(greeting) != signer.HelloBefore {
		return
	}
	_, _ = far.Write([]byte(signer.Hello))
	go func() { _, _ = io.Copy(far, near) }()
	_, _ = io.Copy(near, far)
}

package signer_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/signer"
	"github.com/speciecash/specie/signer/hsmtoken"
	"github.com/speciecash/specie/softhsm"
)

// The token of all tests: a library can be initialised once in a process.
var bench struct {
	token    *hsm.Token
	coins    []*hsm.RSAKey
	receipts *hsm.ECDSAKey
	seal     *hsm.AESKey
}

const sessions = 4

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv("SIGNER_TEST_STRANGER") != "" {
		return m.Run() // see TestAProcessOfAnotherUserIsAStranger
	}
	dir, err := os.MkdirTemp("", "signer")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	close, err := furnish(dir)
	if err != nil {
		return fail(err)
	}
	code := m.Run()
	if err := close(); err != nil {
		return fail(err)
	}
	return code
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "signer tests need SoftHSM:", err)
	return 1
}

func furnish(dir string) (func() error, error) {
	ctx := context.Background()
	p, err := softhsm.Provision(dir)
	if err != nil {
		return nil, err
	}
	m, err := p.Open()
	if err != nil {
		return nil, err
	}
	cfg, err := p.InitToken(ctx, m, "bank", hsm.RandomPIN(), hsm.RandomPIN())
	if err != nil {
		return nil, err
	}
	cfg.Sessions = sessions
	if bench.token, err = m.Token(ctx, cfg); err != nil {
		return nil, err
	}
	for _, label := range []string{"one", "two"} {
		key, err := bench.token.GenerateRSA(ctx, label, 2048)
		if err != nil {
			return nil, err
		}
		bench.coins = append(bench.coins, key)
	}
	if bench.receipts, err = bench.token.GenerateECDSA(ctx, "receipts", elliptic.P256()); err != nil {
		return nil, err
	}
	bench.seal, err = bench.token.GenerateAES(ctx, "seal")
	return m.Close, err
}

// A token is the real one with a hand on it.
type token struct {
	signer.Token
	name     string
	sessions int

	mu         sync.Mutex
	audit      error                                     // what Keys answers
	hide       map[string]bool                           // labels that are not there yet
	noReceipts bool                                      // the ECDSA key is on another token
	before     func(ctx context.Context, m []byte) error // called before each blind signature
}

func newToken() *token {
	return &token{Token: hsmtoken.New(bench.token, sessions), name: "bank", sessions: sessions, hide: map[string]bool{}}
}

func (t *token) Name() string  { return t.name }
func (t *token) Sessions() int { return t.sessions }

func (t *token) set(change func(*token)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(t)
}

func (t *token) Keys(ctx context.Context) (*signer.TokenKeys, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.audit != nil {
		return nil, t.audit
	}
	keys, err := t.Token.Keys(ctx)
	if err != nil {
		return nil, err
	}
	if t.noReceipts {
		keys.Digest = nil
	}
	for label, key := range keys.Blind {
		if t.hide[label] {
			delete(keys.Blind, label)
			continue
		}
		keys.Blind[label] = held{key, t}
	}
	return keys, nil
}

// BlindSignBatch lets the hand see each message.
func (t *token) BlindSignBatch(ctx context.Context, keys []signer.BlindKey, messages [][]byte) ([][]byte, error) {
	own := make([]signer.BlindKey, len(keys))
	for i, k := range keys {
		own[i] = k.(held).BlindKey
		if err := t.touch(ctx, messages[i]); err != nil {
			return nil, err
		}
	}
	return t.Token.BlindSignBatch(ctx, own, messages)
}

// touch calls before, if there is one.
func (t *token) touch(ctx context.Context, m []byte) error {
	t.mu.Lock()
	before := t.before
	t.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(ctx, m)
}

type held struct {
	signer.BlindKey
	t *token
}

func (k held) BlindSign(ctx context.Context, m []byte) ([]byte, error) {
	if err := k.t.touch(ctx, m); err != nil {
		return nil, err
	}
	return k.BlindKey.BlindSign(ctx, m)
}

// A gate lets nothing through until it is opened, and tells who came.
type gate struct {
	opened  chan struct{}
	arrived chan []byte
}

func newGate() *gate { return &gate{make(chan struct{}), make(chan []byte, 4096)} }

func (g *gate) hold(_ context.Context, m []byte) error {
	g.arrived <- m
	<-g.opened // as a module does: no context ends it
	return nil
}

func (g *gate) open() { close(g.opened) }

// A house is a server on a socket.
type house struct {
	t      testing.TB
	srv    *signer.Server
	socket *signer.Socket
	path   string
	users  []uint32
	stop   func() error
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// open serves tokens on a new socket.
func open(t testing.TB, tokens ...signer.Token) *house {
	t.Helper()
	return openWith(t, nil, tokens...)
}

func openWith(t testing.TB, change func(*signer.Server), tokens ...signer.Token) *house {
	t.Helper()
	h := &house{t: t, path: filepath.Join(t.TempDir(), "s.sock")}
	h.listen()
	h.serve(change, tokens...)
	return h
}

func (h *house) listen() {
	h.t.Helper()
	dir := filepath.Dir(h.path)
	if err := os.Chmod(dir, 0o700); err != nil {
		h.t.Fatal(err)
	}
	s, err := signer.Listen(h.path, -1)
	if err != nil {
		h.t.Fatal(err)
	}
	h.socket = s
	h.t.Cleanup(func() { _ = s.Remove() })
}

// serve serves on a copy of the socket, as a worker does that inherited it.
func (h *house) serve(change func(*signer.Server), tokens ...signer.Token) {
	h.t.Helper()
	srv, err := signer.NewServer(h.t.Context(), signer.ServerConfig{Tokens: tokens, Users: h.users, Logger: quiet()})
	if err != nil {
		h.t.Fatal(err)
	}
	srv.SetPause(20 * time.Millisecond)
	if change != nil {
		change(srv)
	}
	f, err := h.socket.File()
	if err != nil {
		h.t.Fatal(err)
	}
	l, err := net.FileListener(f)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = f.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l.(*net.UnixListener)) }()
	h.srv = srv
	h.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	stop := h.stop
	h.t.Cleanup(func() {
		if err := stop(); err != nil {
			h.t.Error(err)
		}
	})
}

// client connects to the house.
func (h *house) client(change func(*signer.ClientConfig)) *signer.Client {
	h.t.Helper()
	cfg := signer.ClientConfig{Socket: h.path, Logger: quiet()}
	if change != nil {
		change(&cfg)
	}
	c := signer.NewClient(cfg)
	h.t.Cleanup(func() { _ = c.Close() })
	return c
}

// message is a blinded message for a key, and the id that a keyset has for it.
func message(t testing.TB, key *hsm.RSAKey) (kid coin.KeyID, m []byte) {
	t.Helper()
	kid, err := coin.NewKeyID(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return kid, randomMessage(key)
}

func randomMessage(key *hsm.RSAKey) []byte {
	public := key.Public()
	x, err := rand.Int(rand.Reader, public.N)
	if err != nil {
		panic(err)
	}
	return x.FillBytes(make([]byte, public.Size()))
}

// signs tells whether s is m's signature.
func signs(public *rsa.PublicKey, s, m []byte) bool {
	x := new(big.Int).Exp(new(big.Int).SetBytes(s), big.NewInt(int64(public.E)), public.N)
	return x.Cmp(new(big.Int).SetBytes(m)) == 0
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expect(t testing.TB, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Fatalf("got %v, want %v", err, w)
		}
	}
}

func idOf(t testing.TB, public crypto.PublicKey) signer.ID {
	t.Helper()
	id, err := signer.IDOf(public)
	check(t, err)
	return id
}

// within fails the test if f takes longer.
func within(t testing.TB, d time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("%s takes longer than %v", what, d)
	}
}

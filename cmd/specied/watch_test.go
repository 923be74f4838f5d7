package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/trust"
)

// taker is a bank as far as a keysetWatch sees it: it takes or refuses.
type taker struct {
	mu     sync.Mutex
	took   []string // keysets, in the order in which they came
	chains []int    // lengths of the chains that came with them
	refuse error
}

func (b *taker) Reload(_ context.Context, keyset []byte, receipts issuer.ReceiptSigner) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.took, b.chains = append(b.took, string(keyset)), append(b.chains, len(receipts.Chain))
	return b.refuse
}

func (b *taker) set(refuse error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = refuse
}

func (b *taker) came() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.took)
}

// watched is a keysetWatch over two files.
type watched struct {
	*keysetWatch
	t    *testing.T
	bank *taker
	hup  chan os.Signal
}

func newWatched(t *testing.T, chain []byte) *watched {
	t.Helper()
	dir := t.TempDir()
	w := &watched{t: t, bank: &taker{}, hup: make(chan os.Signal, 1)}
	w.keysetWatch = &keysetWatch{
		bank: w.bank, keyset: filepath.Join(dir, "keyset.jws"), chain: filepath.Join(dir, "signing.pem"),
		key: func(_ context.Context, chain []*x509.Certificate) (crypto.Signer, error) { return nil, nil },
		log: slog.New(slog.NewTextHandler(io.Discard, nil)), every: time.Millisecond,
	}
	w.put(w.keyset, "one")
	w.put(w.chain, string(chain))
	return w
}

func (w *watched) put(path, content string) {
	w.t.Helper()
	check(w.t, os.WriteFile(path, []byte(content), 0o600))
}

func (w *watched) start() {
	ctx, stop := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run(ctx, w.hup)
	}()
	w.t.Cleanup(func() { stop(); <-done })
}

// wait waits until the bank was told of the keyset, and returns how often it
// was told of any.
func (w *watched) wait(keyset string) int {
	w.t.Helper()
	eventually(w.t, "the bank was not told of "+keyset, func() bool { return slices.Contains(w.bank.came(), keyset) })
	return len(w.bank.came())
}

// settle lets the watch look at the files many times.
func (w *watched) settle() []string {
	time.Sleep(50 * time.Millisecond)
	return w.bank.came()
}

func signingChain(t *testing.T) []byte {
	t.Helper()
	// Any certificate will do here: the bank judges it.
	key := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	der := must(trust.CreateRoot(key, now(), now().AddDate(0, 0, 1)))(t)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestAChangedFileIsTakenOnce(t *testing.T) {
	chain := signingChain(t)
	w := newWatched(t, chain)
	w.start()
	w.wait("one") // what changed while the daemon opened would be missed otherwise
	w.put(w.keyset, "two")
	w.wait("two")
	if got := w.settle(); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("the bank was told of %q", got)
	}
	w.put(w.chain, string(chain)+string(chain)) // a chain of its own is news too
	eventually(t, "the bank was not told of the chain", func() bool { return len(w.bank.came()) == 3 })
	if got := w.settle(); !slices.Equal(got, []string{"one", "two", "two"}) || w.bank.chains[2] != 2*w.bank.chains[0] {
		t.Errorf("the bank was told of %q, chains of %v", got, w.bank.chains)
	}
}

func TestWhatCannotBeReadIsWaitedFor(t *testing.T) {
	chain := signingChain(t)
	for name, spoil := range map[string]func(w *watched){
		"a chain half written": func(w *watched) { w.put(w.chain, string(chain[:len(chain)/3])) },
		"no chain":             func(w *watched) { check(w.t, os.Remove(w.chain)) },
		"no keyset":            func(w *watched) { check(w.t, os.Remove(w.keyset)) },
		"a chain without its key": func(w *watched) {
			w.key = func(context.Context, []*x509.Certificate) (crypto.Signer, error) {
				return nil, errors.New("not on the token")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t, chain)
			spoil(w)
			w.start()
			if got := w.settle(); len(got) != 0 {
				t.Fatalf("the bank was told of %q", got)
			}
			if name == "a chain without its key" {
				return
			}
			w.put(w.keyset, "two")
			w.put(w.chain, string(chain))
			w.wait("two")
		})
	}
}

func TestWhatTheBankRefusesIsTriedAgainWhileItStandsThere(t *testing.T) {
	w := newWatched(t, signingChain(t))
	w.bank.refuse = issuer.ErrUnavailable
	w.start()
	eventually(t, "the bank was not asked again", func() bool { return len(w.bank.came()) > 2 })
	w.bank.set(nil)
	n := len(w.bank.came())
	eventually(t, "the bank was not asked once it takes", func() bool { return len(w.bank.came()) > n })
	n = len(w.settle())
	if got := len(w.settle()); got != n {
		t.Errorf("told %d times of what it took", got-n)
	}
}

func TestASignalHasTheFilesReadAtOnce(t *testing.T) {
	w := newWatched(t, signingChain(t))
	w.every = time.Hour
	w.start()
	w.wait("one")
	w.put(w.keyset, "two")
	w.hup <- syscall.SIGHUP
	w.wait("two")
	w.hup <- syscall.SIGHUP // also when nothing changed: the operator may know more
	eventually(t, "the bank was not told again", func() bool { return len(w.bank.came()) == 3 })
}

package main

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/speciecash/specie/issuer"
)

const (
	// watchEvery is how often the files are looked at, watchPatience the
	// longest time between two attempts at what was refused: the token or the
	// ledger may be back, a certificate may have begun.
	watchEvery    = 2 * time.Second
	watchPatience = time.Minute
)

// keysetWatch brings a new keyset, or a new chain for receipts, into force
// when its file changes or the daemon gets SIGHUP. What the bank refuses (a
// file half written too) leaves the old ones in force; it is tried again while
// it stands there.
//
// Files that belong together, a keyset that revokes the key of receipts and
// the chain of the new key, may be put there in any order.
type keysetWatch struct {
	bank interface {
		Reload(ctx context.Context, keyset []byte, receipts issuer.ReceiptSigner) error
	}
	keyset, chain string // paths
	// key finds the private half of a chain's first certificate.
	key   func(ctx context.Context, chain []*x509.Certificate) (crypto.Signer, error)
	log   *slog.Logger
	every time.Duration // watchEvery if zero
}

// start watches until ctx ends. What it returns waits for that.
func (w *keysetWatch) start(ctx context.Context) (wait func()) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer signal.Stop(hup)
		w.run(ctx, hup)
	}()
	return func() { <-done }
}

func (w *keysetWatch) run(ctx context.Context, hup <-chan os.Signal) {
	every := w.every
	if every == 0 {
		every = watchEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var tried [32]byte // what was tried last
	var again time.Time
	var pause time.Duration // zero after success
	for {
		keyset, chain, err := w.read()
		state := sha256.Sum256(fmt.Append(nil, len(keyset), keyset, chain, err))
		if changed := state != tried; changed || pause != 0 && !time.Now().Before(again) {
			if changed {
				tried, pause = state, 0
			}
			if err == nil {
				err = w.reload(ctx, keyset, chain)
			}
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				pause = min(max(2*pause, every), watchPatience)
				again = time.Now().Add(pause)
				w.log.WarnContext(ctx, "keyset or chain not taken", "keyset", w.keyset, "chain", w.chain, "error", err, "again_in", pause)
			default:
				pause = 0
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-hup:
			tried = [32]byte{}
		case <-tick.C:
		}
	}
}

// read returns both files.
func (w *keysetWatch) read() (keyset, chain []byte, err error) {
	if keyset, err = readFile(w.keyset); err != nil {
		return nil, nil, err
	}
	chain, err = readFile(w.chain)
	return keyset, chain, err
}

func (w *keysetWatch) reload(ctx context.Context, keyset, chain []byte) error {
	certificates, err := parseChain(chain)
	if err != nil {
		return fmt.Errorf("%s: %w", w.chain, err)
	}
	key, err := w.key(ctx, certificates)
	if err != nil {
		return fmt.Errorf("key of %s: %w", w.chain, err)
	}
	return w.bank.Reload(ctx, keyset, issuer.ReceiptSigner{Key: key, Chain: certificates})
}

package main

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/speciecash/specie/issuer"
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
	return startWatch(ctx, w.run)
}

func (w *keysetWatch) run(ctx context.Context, hup <-chan os.Signal) {
	var keyset, chain []byte
	var err error
	l := looker{
		every: w.every,
		state: func() [32]byte {
			keyset, chain, err = w.read()
			return sha256.Sum256(fmt.Append(nil, len(keyset), keyset, chain, err))
		},
		take: func(ctx context.Context) error {
			if err != nil {
				return err
			}
			return w.reload(ctx, keyset, chain)
		},
		refused: func(err error, pause time.Duration) {
			w.log.WarnContext(ctx, "keyset or chain not taken", "keyset", w.keyset, "chain", w.chain, "error", err, "again_in", pause)
		},
	}
	l.run(ctx, hup)
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

package issuer

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust"
)

// Reload brings the next keyset into force, or another signer of receipts, or
// both, while the bank works. A zero receipts keeps the one in force; the
// keyset may be the one in force, signed again or not. If nothing differs,
// nothing happens.
//
// Everything is checked before anything changes: the keyset's signature and
// dates, that it continues the one in force and the ledger's (coin.ErrRollback,
// coin.ErrFork, coin.ErrKeyset), that the receipts' key is of this bank and
// not revoked by it (coin.ErrRevokedSigner), and that the token has every key
// that may have to sign (ErrConfig and coin.ErrUnknownKey). Then the ledger
// opens the new keys' spent sets and remembers the keyset, and then all at
// once requests that begin see the new one. Those under way end by the one
// they began with; what they record is honoured, since a key stays in its
// keysets until its legal_until.
//
// On any error the old one stays in force. After ErrUnavailable the same call
// may succeed later.
func (b *Bank) Reload(ctx context.Context, keyset []byte, receipts ReceiptSigner) error {
	b.reloading.Lock()
	defer b.reloading.Unlock()
	old := b.current()
	if receipts.Key == nil && len(receipts.Chain) == 0 {
		receipts = old.receipts
	}
	if bytes.Equal(keyset, old.signed) && slices.EqualFunc(receipts.Chain, old.receipts.Chain, (*x509.Certificate).Equal) {
		return nil
	}
	next, err := b.reload(ctx, old, keyset, receipts)
	b.reloads.count(err)
	if err != nil {
		b.log.ErrorContext(ctx, "keyset refused, the old one stays in force",
			"reason", ReloadResult(err), "error", err, "in_force", old.keyset.Seq)
		return err
	}
	b.log.InfoContext(ctx, "keyset in force", "seq", next.keyset.Seq, "before", old.keyset.Seq,
		"keys", len(next.keyset.Denominations), "revoked_signers", len(next.keyset.RevokedSigners))
	return nil
}

func (b *Bank) reload(ctx context.Context, old *inForce, keyset []byte, receipts ReceiptSigner) (*inForce, error) {
	if receipts.Key == nil {
		return nil, fmt.Errorf("%w: a chain for receipts without its key", ErrConfig)
	}
	now := b.now()
	next, err := newInForce(b.cfg.Root, keyset, receipts, now)
	if err != nil {
		return nil, err
	}
	if err := next.keyset.CheckSuccessor(old.keyset); err != nil {
		return nil, err
	}
	if err := next.checkKeys(ctx, b.cfg.Signer, now); err != nil {
		return nil, err
	}
	if err := next.record(ctx, b.cfg.Ledger); err != nil {
		return nil, err
	}
	b.force.Store(next)
	return next, nil
}

// What becomes of a Reload.
const (
	ReloadOK            = "ok"
	ReloadRollback      = "rollback"       // an older keyset
	ReloadFork          = "fork"           // a keyset of another line
	ReloadPromise       = "promise"        // it takes back a promise, or contradicts itself
	ReloadSignature     = "signature"      // not signed as it must be, now
	ReloadMalformed     = "malformed"      // half written, or for a later version
	ReloadSignerRevoked = "signer-revoked" // it revokes the key that signs receipts
	ReloadKeysMissing   = "keys-missing"   // the token lacks a key
	ReloadUnavailable   = "unavailable"    // token or ledger can't answer
	ReloadRefused       = "refused"        // for any other reason
)

// ReloadResult names what became of a Reload that returned err; of several
// reasons the first in the order above.
func ReloadResult(err error) string {
	is := func(targets ...error) bool {
		return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
	}
	switch {
	case err == nil:
		return ReloadOK
	case is(coin.ErrRollback):
		return ReloadRollback
	case is(coin.ErrFork):
		return ReloadFork
	case is(coin.ErrKeyset, coin.ErrBank, coin.ErrCurrency):
		return ReloadPromise
	case is(trust.ErrChain, trust.ErrRole, trust.ErrExpired, trust.ErrSignature):
		return ReloadSignature
	case is(trust.ErrMalformed, trust.ErrType, coin.ErrMalformed, coin.ErrTooLarge, coin.ErrCritical):
		return ReloadMalformed
	case is(coin.ErrRevokedSigner):
		return ReloadSignerRevoked
	case is(coin.ErrUnknownKey):
		return ReloadKeysMissing
	case is(ErrUnavailable, context.Canceled, context.DeadlineExceeded):
		return ReloadUnavailable
	}
	return ReloadRefused
}

// ReloadResults are all that ReloadResult may return.
func ReloadResults() []string {
	return []string{
		ReloadOK, ReloadRollback, ReloadFork, ReloadPromise, ReloadSignature, ReloadMalformed,
		ReloadSignerRevoked, ReloadKeysMissing, ReloadUnavailable, ReloadRefused,
	}
}

// reloads counts what became of each Reload.
type reloads struct {
	mu sync.Mutex
	n  map[string]uint64
}

func (r *reloads) count(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == nil {
		r.n = make(map[string]uint64)
	}
	r.n[ReloadResult(err)]++
}

// Reloads returns how often Reload came to each of ReloadResults since New.
func (b *Bank) Reloads() map[string]uint64 {
	b.reloads.mu.Lock()
	defer b.reloads.mu.Unlock()
	return maps.Clone(b.reloads.n)
}

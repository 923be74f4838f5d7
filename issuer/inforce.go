package issuer

import (
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/trust"
)

// inForce is what of a bank changes while it works: the keyset, and the key
// that receipts are signed with. It is replaced as a whole and never written
// to, so a request that took it at its beginning sees one keyset to its end.
type inForce struct {
	keyset   *coin.Keyset
	signed   []byte // the keyset as the master key signed it
	keys     map[coin.KeyID]*coin.Denomination
	receipts ReceiptSigner
}

// newInForce verifies a keyset and a receipt signer under the root, and that
// the one allows the other.
func newInForce(root *trust.Root, signed []byte, receipts ReceiptSigner, now time.Time) (*inForce, error) {
	keyset, err := coin.ParseKeyset(root, signed, now)
	if err != nil {
		return nil, err
	}
	f := withKeyset(keyset)
	f.signed, f.receipts = signed, receipts
	return f, f.checkReceipts(root, now)
}

// withKeyset is what can be done without a signature.
func withKeyset(keyset *coin.Keyset) *inForce {
	f := &inForce{keyset: keyset, keys: make(map[coin.KeyID]*coin.Denomination, len(keyset.Denominations))}
	for i := range keyset.Denominations {
		d := &keyset.Denominations[i]
		f.keys[d.KeyID] = d
	}
	return f
}

// checkReceipts says whether receipts may be signed as configured: under a
// certificate of this bank for that very key, which the bank has not revoked.
func (f *inForce) checkReceipts(root *trust.Root, now time.Time) error {
	signer, err := root.CheckChain(f.receipts.Chain, now)
	if err != nil {
		return fmt.Errorf("issuer: receipt signer: %w", err)
	}
	if want := (trust.Name{Role: trust.RoleSigning, ID: f.keyset.Bank}); signer != want {
		return fmt.Errorf("%w: receipts signed by %s, not by %s", ErrConfig, signer, want)
	}
	if key, ok := f.receipts.Chain[0].PublicKey.(*ecdsa.PublicKey); !ok || !key.Equal(f.receipts.Key.Public()) {
		return fmt.Errorf("%w: the key for receipts is not the certificate's", ErrConfig)
	}
	if err := f.keyset.CheckSigner(f.receipts.Chain); err != nil {
		return fmt.Errorf("issuer: receipt signer: %w", err)
	}
	return nil
}

// find returns a key of the keyset, or coin.ErrUnknownKey.
func (f *inForce) find(kid coin.KeyID) (*coin.Denomination, error) {
	if d, ok := f.keys[kid]; ok {
		return d, nil
	}
	return nil, coin.ErrUnknownKey
}

// circulate credits the circulation of each output's key with its value.
func (f *inForce) circulate(p *postings, outputs []coin.Output) error {
	for i := range outputs {
		d, err := f.find(outputs[i].KeyID)
		if err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
		p.issue(d.KeyID, d.Value)
	}
	return nil
}

// wants says whether the bank needs the private half of a key at the given
// time: better a bank that doesn't open than one that takes money for a
// signature it can't make. What was recorded while the key issued may still be
// asked for as long as its coins are good; after that the key may be
// destroyed.
func wants(d *coin.Denomination, at time.Time) bool {
	return d.Kind.Known() && !d.Revoked && !d.Lost && at.Before(d.SpendUntil)
}

// checkKeys asks the signer for every key that it must have.
func (f *inForce) checkKeys(ctx context.Context, signer BlindSigner, now time.Time) error {
	for i := range f.keyset.Denominations {
		d := &f.keyset.Denominations[i]
		if !wants(d, now) {
			continue
		}
		err := signer.Has(ctx, d.KeyID)
		switch {
		case errors.Is(err, coin.ErrUnknownKey):
			return fmt.Errorf("%w: the token lacks key %s (%s %d): %w", ErrConfig, d.KeyID, d.Kind, d.Value, err)
		case err != nil:
			return fmt.Errorf("%w: ask for key %s: %w", ErrUnavailable, d.KeyID, err)
		}
	}
	return nil
}

// metaKeyset is the ledger's memory of the newest keyset.
const metaKeyset = "keyset"

// record ties the ledger to a keyset. The order matters: no spent set is
// opened for a keyset that is refused, and no keyset is remembered before its
// coins can be taken back and it is in the archive.
func (f *inForce) record(ctx context.Context, l ledger.Ledger) error {
	if err := f.belongs(ctx, l); err != nil {
		return err
	}
	if err := settle(ctx, l, ledger.MetaBank, []byte(f.keyset.Bank)); err != nil {
		return err
	}
	for i := range f.keyset.Denominations {
		kid := f.keyset.Denominations[i].KeyID
		for _, epoch := range []string{epochOf(kid), madeOf(kid)} {
			if err := l.OpenEpoch(ctx, epoch); err != nil {
				return fmt.Errorf("issuer: open the sets of key %s: %w", kid, store(err))
			}
		}
	}
	if err := settle(ctx, l, archiveKey(f.keyset.Seq), f.signed); err != nil {
		return err
	}
	return settle(ctx, l, metaKeyset, fmt.Appendf(nil, "%d %x", f.keyset.Seq, f.keyset.Digest))
}

// belongs says whether the keyset is of the ledger's bank and not behind the
// keyset that it has seen last. A new ledger belongs to anybody.
func (f *inForce) belongs(ctx context.Context, l ledger.Ledger) error {
	bank, err := meta(ctx, l, ledger.MetaBank)
	if err != nil {
		return err
	}
	if bank != nil && string(bank) != f.keyset.Bank {
		return fmt.Errorf("%w: the ledger belongs to bank %s", ErrConfig, bank)
	}
	mark, err := meta(ctx, l, metaKeyset)
	if err != nil || mark == nil {
		return err
	}
	return f.follows(mark)
}

// meta reads a value of the ledger's identity, nil if it has none.
func meta(ctx context.Context, l ledger.Ledger, key string) ([]byte, error) {
	value, err := l.Meta(ctx, key)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("issuer: read %s: %w", key, store(err))
	}
	return value, nil
}

// settle brings a value of the ledger's identity up to date.
func settle(ctx context.Context, l ledger.Ledger, key string, value []byte) error {
	known, err := meta(ctx, l, key)
	if err != nil || string(known) == string(value) {
		return err
	}
	if err := l.SetMeta(ctx, key, value); err != nil {
		return fmt.Errorf("issuer: record %s: %w", key, store(err))
	}
	return nil
}

// follows refuses to go back behind the ledger's keyset: an older one lacks a
// revocation.
func (f *inForce) follows(known []byte) error {
	var seq uint64
	var digest string
	if _, err := fmt.Sscanf(string(known), "%d %s", &seq, &digest); err != nil {
		return fmt.Errorf("%w: the ledger's record of the keyset does not read", ErrConfig)
	}
	switch k := f.keyset; {
	case k.Seq < seq:
		return fmt.Errorf("%w: keyset %d after %d", coin.ErrRollback, k.Seq, seq)
	case k.Seq == seq && hex.EncodeToString(k.Digest[:]) != digest,
		k.Seq == seq+1 && hex.EncodeToString(k.Prev[:]) != digest:
		return fmt.Errorf("%w: keyset %d does not follow the ledger's", coin.ErrFork, k.Seq)
	}
	return nil
}

// epochOf names a key's spent set: 160 bits of the key id in hex.
func epochOf(kid coin.KeyID) string { return hex.EncodeToString(kid[:20]) }

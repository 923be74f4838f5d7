package issuer

import (
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/trust"
)

// check returns ErrUnavailable outside the dates of the certificates: nobody
// would believe a receipt.
func (s *ReceiptSigner) check(now time.Time) error {
	for _, c := range s.Chain {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return fmt.Errorf("%w: the certificate for receipts is valid from %s to %s", ErrUnavailable,
				c.NotBefore.UTC().Format("2006-01-02 15:04 UTC"), c.NotAfter.UTC().Format("2006-01-02 15:04 UTC"))
		}
	}
	return nil
}

// sign signs a receipt that is dated now.
func (s *ReceiptSigner) sign(r *coin.DepositReceipt) ([]byte, error) {
	if err := s.check(r.At); err != nil {
		return nil, err
	}
	jws, err := r.Sign(s.Key, s.Chain)
	if err != nil {
		return nil, fmt.Errorf("%w: receipt: %w", ErrUnavailable, err)
	}
	return jws, nil
}

// receipt returns the receipt of a recorded deposit: as it was signed, unless
// the bank has revoked the key since. Nobody believes that signature any more,
// and a merchant whose answer was lost still has to learn that he was paid: the
// same payload is signed again. The ledger keeps the first one.
func (b *Bank) receipt(op *ledger.Op) ([]byte, error) {
	f := b.current()
	if len(op.Answer) == 0 || len(f.keyset.RevokedSigners) == 0 {
		return op.Answer, nil
	}
	doc, err := b.cfg.Root.Verify(op.Answer, trust.TypReceipt, trust.RoleSigning, op.At)
	if err != nil {
		return nil, fmt.Errorf("issuer: recorded receipt: %v", err)
	}
	if f.keyset.CheckSigner(doc.Chain) == nil {
		return op.Answer, nil
	}
	if err := f.receipts.check(b.now()); err != nil {
		return nil, err
	}
	jws, err := trust.Sign(trust.TypReceipt, doc.Payload, f.receipts.Key, f.receipts.Chain)
	if err != nil {
		return nil, fmt.Errorf("%w: receipt: %w", ErrUnavailable, err)
	}
	return jws, nil
}

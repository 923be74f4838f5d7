package wallet

import (
	"context"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
)

// GroupDocument shows tests which document a wallet goes by.
func (w *Wallet) GroupDocument(ctx context.Context) (*groupdoc.Document, error) {
	return w.groupDocument(ctx)
}

// WrapKey puts something between the wallet and its TPM.
func (w *Wallet) WrapKey(wrap func(group.Key) group.Key) { w.key = wrap(w.key) }

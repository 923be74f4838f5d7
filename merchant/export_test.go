package merchant

import (
	"context"

	"github.com/speciecash/specie/groupdoc"
)

// GroupDocuments shows tests which documents a till goes by.
func (t *Till) GroupDocuments(ctx context.Context) ([]*groupdoc.Document, error) {
	return t.groupDocuments(ctx)
}

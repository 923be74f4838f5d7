package merchant

import (
	"context"

	"github.com/speciecash/specie/groupdoc"
)

// GroupDocuments shows tests which documents a till goes by.
func (t *Till) GroupDocuments(ctx context.Context) ([]*groupdoc.Document, error) {
	return t.groupDocuments(ctx)
}

// Exec changes the till's file behind its back.
func (t *Till) Exec(ctx context.Context, statement string) error {
	_, err := t.db.ExecContext(ctx, statement)
	return err
}

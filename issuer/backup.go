package issuer

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/speciecash/specie/ledger"
)

// Backup writes the bank's ledger to w, in one consistent picture, while the
// bank works: see ledger.WriteBackup. After an error w holds no backup.
func (b *Bank) Backup(ctx context.Context, w io.Writer) error {
	out := bufio.NewWriterSize(w, 64<<10)
	if _, err := ledger.WriteBackup(ctx, b.cfg.Ledger, out, nil); err != nil {
		return fmt.Errorf("issuer: backup: %w", store(err))
	}
	return out.Flush()
}

package issuer

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/speciecash/specie/ledger"
)

// eachOp verifies the ledger's rows and shows each operation to look, on as
// many goroutines as there are processors: signatures and pairings are most of
// the work. Rows that are wrong are no error; they are in what it returns.
func eachOp(ctx context.Context, l ledger.Ledger, look func(*ledger.Op), progress func(done, total int64)) (*ledger.Audit, error) {
	ops := make(chan *ledger.Op, 64)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for op := range ops {
				look(op)
			}
		})
	}
	rows, err := l.Verify(ctx, ledger.Verification{Progress: progress, Op: func(op *ledger.Op) error {
		ops <- op
		return nil
	}})
	close(ops)
	workers.Wait()
	if err != nil && (!errors.Is(err, ledger.ErrCorrupt) || ctx.Err() != nil) {
		return nil, store(err)
	}
	return rows, nil
}

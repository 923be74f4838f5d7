package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/ledger"
)

// store is a bank's ledger under the eyes of its witness.
type store struct {
	ledger.Ledger
	witness *ledger.Witness
	stop    func() // ends the watch
}

// openStore opens what a configuration names. Where the ledger lacks what its
// witness saw, its fence is raised: the bank does not open on it then.
func (b base) openStore(ctx context.Context, c storeConfig, a *app) (_ *store, err error) {
	path := c.Witness
	switch {
	case path == "" && c.remote():
		return nil, fmt.Errorf("%w: witness is missing: a file on a disk of this machine", errConfig)
	case path == "":
		path = c.Database + ".witness"
	}
	w, err := ledger.OpenWitness(b.path(path), cmp.Or(c.Lane, mainLane), a.log)
	if err != nil {
		return nil, err
	}
	l, err := b.openLedger(ctx, c, w.Commit, a)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	s := &store{l, w, func() {}}
	if err := s.check(ctx, a); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.watch(watching, a)
	}()
	s.stop = func() {
		stop()
		<-done
	}
	return s, nil
}

// mainLane is the drivers' lane where none is configured.
const mainLane = "main"

// check raises the fence if it has to be. One that is raised already says
// enough.
func (s *store) check(ctx context.Context, a *app) error {
	fence, err := ledger.RaisedFence(ctx, s)
	if err != nil {
		return err
	}
	if fence != nil {
		return s.outlast(ctx)
	}
	err = s.witness.Check(ctx, s)
	var behind *ledger.BehindError
	if !errors.As(err, &behind) {
		return err
	}
	a.log.ErrorContext(ctx, "the ledger is an old copy, or another one", "error", err)
	return errors.Join(s.raise(ctx, behind), s.outlast(ctx))
}

// outlast makes a ledger whose fence is raised know of the restorations that its
// witness knows of: one from before them would count them anew, and tills that
// have seen the number would not hand in their receipts.
func (s *store) outlast(ctx context.Context) error {
	epoch, err := ledger.RestoreEpoch(ctx, s)
	if known := s.witness.RestoreEpoch(); err == nil && known > epoch {
		err = ledger.SetRestoreEpoch(ctx, s, known)
	}
	return err
}

func (s *store) raise(ctx context.Context, behind *ledger.BehindError) error {
	raised := ledger.Fence{Reason: ledger.FenceBehind, At: time.Now(), Lost: behind.By}
	return s.SetMeta(ctx, ledger.MetaFence, raised.Encode())
}

// watch raises the fence, until ctx ends, where the ledger goes back while it is
// open: the bank sees that soon, and so do the other processes.
func (s *store) watch(ctx context.Context, a *app) {
	for {
		select {
		case <-ctx.Done():
			return
		case behind := <-s.witness.Behind():
			for s.raiseNew(ctx, behind) != nil {
				select {
				case <-ctx.Done(): // the witness tells it at the next start
					return
				case <-time.After(time.Second):
				}
			}
			a.log.ErrorContext(ctx, "the ledger was put back while the bank worked: its fence is raised", "error", behind)
		}
	}
}

// raiseNew raises the fence unless it is raised.
func (s *store) raiseNew(ctx context.Context, behind *ledger.BehindError) error {
	fence, err := ledger.RaisedFence(ctx, s)
	if err != nil && !errors.Is(err, ledger.ErrMalformed) || fence != nil {
		return err
	}
	return s.raise(ctx, behind)
}

// reconciled has the witness take the ledger as it is now.
func (s *store) reconciled(ctx context.Context, a *app) {
	if err := s.witness.Accept(ctx, s); err != nil {
		a.log.ErrorContext(ctx, "the witness was not written; it is at the next start", "error", err)
	}
}

// Close closes the ledger, then the witness, which writes down what it saw
// last.
func (s *store) Close() error {
	s.stop()
	return errors.Join(s.Ledger.Close(), s.witness.Close())
}

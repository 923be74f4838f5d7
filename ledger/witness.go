package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Witness remembers, in a small file beside the store, how far the journal of
// this process's lane had come, so that a store that was put back to an
// earlier state (a copy, a snapshot of the disk) is found out: every coin spent
// since would otherwise be good again. It is worth as much as the file is kept
// apart from what is put back with the store.
//
// The file is written after commits, at most once in WitnessEvery, and when the
// witness is closed; it may lag behind the store, and then proves a little less.
//
// A database server may also be put back while the process works, when another
// takes over that had not everything: then a commit does not come after the one
// before. Behind says so, and the file keeps what was seen before, whatever is
// committed since, until that is accepted.
//
// Its methods may be called from many goroutines.
type Witness struct {
	path, lane string
	log        *slog.Logger

	wake chan struct{} // holds one when seen is news
	stop chan struct{}
	done chan struct{}
	gone chan *BehindError // holds one when the store went back

	writing sync.Mutex // held while the file is written; Commit does not wait for it

	mu      sync.Mutex
	kept    *mark // what the file says; nil: there is none
	seen    Head
	told    Head   // by the last Commit
	back    bool   // the store went back since it was checked
	epoch   uint64 // the store's restore epoch
	trusted bool   // the store was checked: what it does is kept
	closed  bool
}

// WitnessEvery is the least time between two writes of a witness.
const WitnessEvery = time.Second

// maxWitness bounds the file, in bytes.
const maxWitness = 4096

// mark is what the file holds.
type mark struct {
	head         Head
	restoreEpoch uint64
}

type markJSON struct {
	Version      int      `json:"version"`
	Head         headJSON `json:"head"`
	RestoreEpoch uint64   `json:"restore_epoch"`
}

// BehindError says how a store differs from what its witness saw. It matches
// ErrBehind.
type BehindError struct {
	// Lane and Seq are how far the witness saw the journal come.
	Lane string
	Seq  uint64
	// By is how many records the store lacks at its end, as far as the witness
	// knows; zero if it has another history.
	By uint64
	// Other says that the store has another history than the witness saw.
	Other bool
}

// Error says what is missing.
func (e *BehindError) Error() string {
	if e.Other {
		return fmt.Sprintf("the store has another history than its witness saw (lane %s, up to record %d)", e.Lane, e.Seq)
	}
	return fmt.Sprintf("the store is behind its witness by %d records (lane %s, up to record %d)", e.By, e.Lane, e.Seq)
}

// Unwrap makes errors.Is(err, ErrBehind) true.
func (e *BehindError) Unwrap() error { return ErrBehind }

// OpenWitness reads the file at path, if there is one, for the journal of a
// lane. It writes nothing before Check or Accept. ErrUnavailable, or ErrCorrupt
// if the file is not a witness of this lane. log may be nil.
func OpenWitness(path, lane string, log *slog.Logger) (*Witness, error) {
	if !ValidLane(lane) {
		return nil, malformed("lane %q", lane)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	kept, err := readMark(path)
	if err == nil && kept != nil && kept.head.Lane != lane {
		err = fmt.Errorf("%w: it is of lane %s", ErrCorrupt, kept.head.Lane)
	}
	if err != nil {
		return nil, fmt.Errorf("witness %s: %w", path, err)
	}
	w := &Witness{
		path: path, lane: lane, log: log, kept: kept,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		gone: make(chan *BehindError, 1),
	}
	go w.run()
	return w, nil
}

func readMark(path string) (*mark, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case info.Size() > maxWitness:
		return nil, fmt.Errorf("%w: %d bytes", ErrCorrupt, info.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return parseMark(b)
}

func parseMark(b []byte) (*mark, error) {
	var in markJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	head, err := in.Head.head()
	if err != nil || in.Version != 1 {
		return nil, fmt.Errorf("%w: version %d, lane %q", ErrCorrupt, in.Version, in.Head.Lane)
	}
	return &mark{head, in.RestoreEpoch}, nil
}

// Commit tells the witness where a journal ends now. It is what a driver's
// OnCommit wants: it waits for no disk. Other lanes than its own it ignores.
func (w *Witness) Commit(h Head) {
	if h.Lane != w.lane {
		return
	}
	w.mu.Lock()
	if h.Seq <= w.told.Seq && !w.back {
		behind := &BehindError{Lane: w.lane, Seq: w.told.Seq, By: w.told.Seq - h.Seq + 1}
		w.log.Error("the store went back while it was open", "error", behind)
		w.back = true
		select {
		case w.gone <- behind:
		default: // nobody took the one before
		}
	}
	if !w.back {
		w.told = h
		if h.Seq > w.seen.Seq {
			w.seen = h
		}
	}
	w.mu.Unlock()
	w.rouse()
}

// rouse has the file written.
func (w *Witness) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Behind gives an error each time that the store is found to have gone back
// while it was open.
func (w *Witness) Behind() <-chan *BehindError { return w.gone }

// RestoreEpoch is the store's restore epoch as the file has it; 0 if there is
// none. No later one may be less: who saw it already would notice nothing.
func (w *Witness) RestoreEpoch() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.kept == nil {
		return 0
	}
	return w.kept.restoreEpoch
}

// Check compares the store with the file: ErrBehind, in a *BehindError, if the
// store has not all that the file says. A store that was restored more often
// than the file knows was reconciled since, and is taken as it is; one restored
// less often has another history. Without a file the store is believed, which
// the log says if there is anything in it. When nothing is wrong the witness
// keeps what the store does from now on.
func (w *Witness) Check(ctx context.Context, l Ledger) error {
	epoch, err := RestoreEpoch(ctx, l)
	if err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	w.mu.Lock()
	kept := w.kept
	w.mu.Unlock()
	if kept != nil && epoch <= kept.restoreEpoch {
		behind := &BehindError{Lane: w.lane, Seq: kept.head.Seq, Other: epoch < kept.restoreEpoch}
		if !behind.Other {
			if err := compare(ctx, l, kept.head, behind); err != nil {
				return fmt.Errorf("witness: %w", err)
			}
		}
		if behind.Other || behind.By > 0 {
			return fmt.Errorf("witness %s: %w", w.path, behind)
		}
	}
	if err := w.trust(ctx, l, epoch); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if kept == nil && w.seen.Seq > 0 {
		w.log.Warn("no witness of what this store held before: it is believed as it is", "witness", w.path, "records", w.seen.Seq)
	}
	return nil
}

// compare fills in what the store lacks of head.
func compare(ctx context.Context, l Ledger, head Head, behind *BehindError) error {
	same, err := l.Head(ctx, head.Lane, head.Seq)
	if err == nil {
		behind.Other = same.Hash != head.Hash
		return nil
	}
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	newest, err := l.Head(ctx, head.Lane, 0)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	// A hole in the midst of a journal is for Verify to name.
	if behind.Other = newest.Seq >= head.Seq; !behind.Other {
		behind.By = head.Seq - newest.Seq
	}
	return nil
}

// Accept takes the store as it is, whatever the file says, and writes that
// down at once: what an operator does when he has reconciled it.
func (w *Witness) Accept(ctx context.Context, l Ledger) error {
	epoch, err := RestoreEpoch(ctx, l)
	if err == nil {
		err = w.trust(ctx, l, epoch)
	}
	if err == nil {
		err = w.write()
	}
	if err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	return nil
}

func (w *Witness) trust(ctx context.Context, l Ledger, epoch uint64) error {
	newest, err := l.Head(ctx, w.lane, 0)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("witness: %w", err)
	}
	w.mu.Lock()
	w.epoch, w.trusted = epoch, true
	if newest.Seq > w.seen.Seq || w.back {
		w.seen = newest
	}
	if w.back {
		w.told, w.back = Head{}, false
	}
	w.mu.Unlock()
	w.rouse()
	return nil
}

// run writes when there is news, and then rests.
func (w *Witness) run() {
	defer close(w.done)
	for {
		select {
		case <-w.stop:
			return
		case <-w.wake:
		}
		if err := w.write(); err != nil {
			w.log.Error("witness not written", "error", err)
		}
		select {
		case <-w.stop:
			return
		case <-time.After(WitnessEvery):
		}
	}
}

// write keeps what was seen: a file that is complete, or the one before.
func (w *Witness) write() error {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.mu.Lock()
	next := &mark{w.seen, w.epoch}
	nothing := !w.trusted || next.head.Seq == 0 || w.kept != nil && *w.kept == *next
	w.mu.Unlock()
	if nothing {
		return nil
	}
	b, err := json.Marshal(markJSON{Version: 1, Head: next.head.toJSON(), RestoreEpoch: next.restoreEpoch})
	if err == nil {
		err = replaceFile(w.path, append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	w.mu.Lock()
	w.kept = next
	w.mu.Unlock()
	return nil
}

// replaceFile puts b where path is, all or nothing, whatever happens.
func replaceFile(path string, b []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close writes what was seen last. Close the store first.
func (w *Witness) Close() error {
	w.mu.Lock()
	first := !w.closed
	w.closed = true
	w.mu.Unlock()
	if first {
		close(w.stop)
	}
	<-w.done
	return w.write()
}

package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/batch"
)

// Ledger is a bank's ledger in one SQLite file. It implements ledger.Ledger.
type Ledger struct {
	*store

	mu     sync.RWMutex
	epochs map[string]struct{} // known to be open; others may be too
}

var _ ledger.Ledger = (*Ledger)(nil)

// OpenLedger opens the ledger at path, and makes it if there is no file.
// ledger.ErrSchema if the file is something else or newer,
// ledger.ErrUnavailable if it cannot be opened. ctx bounds the opening only.
func OpenLedger(ctx context.Context, path string, opts Options) (*Ledger, error) {
	l := &Ledger{epochs: make(map[string]struct{})}
	s, err := open(ctx, path, ledgerSchema(), opts, l.runBatch)
	if err != nil {
		return nil, err
	}
	l.store = s
	return l, nil
}

// WriterStats implements ledger.Ledger.
func (l *Ledger) WriterStats() ledger.WriterStats { return l.writer.queue.Stats() }

// Apply implements ledger.Ledger.
func (l *Ledger) Apply(ctx context.Context, op ledger.Op) (ledger.Outcome, error) {
	job := &job{Op: batch.NewOp(op, l.opts.Lane), Size: len(op.Request) + len(op.Answer)}
	if err := l.writer.submit(ctx, job); err != nil {
		return ledger.Outcome{}, fmt.Errorf("sqlite: apply %x: %w", op.ID[:8], err)
	}
	out := job.Op.Outcome
	if out.Status == ledger.Replayed {
		// Read here and not by the writer, whom everybody waits for.
		existing, err := l.Op(ctx, op.ID)
		if err != nil {
			return ledger.Outcome{}, err
		}
		out.Existing = existing
	}
	return out, nil
}

// SetAnswer implements ledger.Ledger.
func (l *Ledger) SetAnswer(ctx context.Context, id ledger.ID, state string, answer []byte) error {
	job := &job{Answer: &batch.Answer{ID: id, State: state, Answer: bytes.Clone(answer)}, Size: len(answer)}
	if err := l.writer.submit(ctx, job); err != nil {
		return fmt.Errorf("sqlite: set answer of %x: %w", id[:8], err)
	}
	return nil
}

// runBatch decides and writes ops, then answers, then the rest: any order is
// as good, since all of them are waiting at the same time.
func (l *Ledger) runBatch(t *tx, jobs []*job) error {
	var ops, answers, joint []*job
	for _, j := range jobs {
		switch {
		case j.Op != nil:
			ops = append(ops, j)
		case j.Answer != nil:
			answers = append(answers, j)
		default:
			joint = append(joint, j)
		}
	}
	rec := newRecorder(t)
	wroteOps, err := l.applyAll(t, rec, ops)
	if err != nil {
		return err
	}
	wroteAnswers, err := answerAll(t, rec, l.opts.Lane, answers)
	if err != nil {
		return err
	}
	wroteJoint, err := runJoint(t, joint)
	if err != nil {
		return err
	}
	if !wroteOps && !wroteAnswers && !wroteJoint {
		return errNothing
	}
	return rec.flush()
}

// OpenEpoch implements ledger.Ledger.
func (l *Ledger) OpenEpoch(ctx context.Context, epoch string) error {
	if !ledger.ValidEpoch(epoch) {
		return fmt.Errorf("sqlite: %w: epoch %q", ledger.ErrMalformed, epoch)
	}
	err := l.writer.do(ctx, func(t *tx) error {
		var name string
		if open, err := t.get([]any{&name}, "SELECT name FROM epochs WHERE name=?", epoch); err != nil {
			return err
		} else if open {
			return errNothing
		}
		if err := makeEpoch(t, epoch); err != nil {
			return err
		}
		return record(t, l.opts.Lane, ledger.EventEpoch, epoch, 1, ledger.EpochDigest(epoch))
	})
	if err != nil {
		return fmt.Errorf("sqlite: open epoch %s: %w", epoch, err)
	}
	l.learnEpoch(epoch)
	return nil
}

// makeEpoch makes a set that is not there. No IF NOT EXISTS: a table that is
// there unregistered is none of ours, or a set taken off the hot path that must
// not come back so.
func makeEpoch(t *tx, epoch string) error {
	if err := t.exec("INSERT INTO epochs (name) VALUES (?)", epoch); err != nil {
		return err
	}
	return t.exec("CREATE TABLE spent_" + epoch + " (id BLOB NOT NULL PRIMARY KEY, op BLOB NOT NULL) STRICT, WITHOUT ROWID")
}

func (l *Ledger) learnEpoch(epoch string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epochs[epoch] = struct{}{}
}

// knowsEpoch tells whether an epoch is open; ask looks in the file for one
// opened by another process, or before this one started.
func (l *Ledger) knowsEpoch(epoch string, ask func(into []any, query string, args ...any) (bool, error)) (bool, error) {
	l.mu.RLock()
	_, ok := l.epochs[epoch]
	l.mu.RUnlock()
	if ok {
		return true, nil
	}
	var name string
	ok, err := ask([]any{&name}, "SELECT name FROM epochs WHERE name=?", epoch)
	if err != nil || !ok {
		return false, err
	}
	l.learnEpoch(epoch)
	return true, nil
}

// epochIsOpen is knowsEpoch for readers.
func (l *Ledger) epochIsOpen(ctx context.Context, epoch string) (bool, error) {
	if !ledger.ValidEpoch(epoch) {
		return false, ledger.ErrMalformed
	}
	return l.knowsEpoch(epoch, l.get(ctx))
}

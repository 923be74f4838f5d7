package issuer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/ledger"
)

// A ledger that was restored from a backup lacks what was recorded after it:
// coins that were spent meanwhile look unspent. Its fence is raised then, see
// ledger.MetaFence, and the bank does not open before the operator has begun
// to reconcile. While he does, the bank serves questions, repeats what is
// recorded, and takes back the deposits that it gave a receipt for, see
// Bank.Redeposit; nothing else moves. Tills notice the new restore epoch and
// hand in what they have receipts for, so that their coins are spent again
// before anybody can spend them anew.

// KindReconciliation records that a reconciliation was finished, and why.
const KindReconciliation = "reconciliation"

// metaReconciling says that the operator has begun to reconcile.
const metaReconciling = "reconciling"

// fencedAccount is the account that reconciliations are filed under. Nothing
// is posted to it.
const fencedAccount = "reconciliations"

// FencedError refuses to open a bank whose ledger was restored. It matches
// ErrFenced.
type FencedError struct {
	// Fence says why.
	Fence *ledger.Fence
}

// Error says why, and how much is lost if that is known.
func (e *FencedError) Error() string { return fmt.Sprintf("%v: %s", ErrFenced, e.Fence.String()) }

// Unwrap makes errors.Is(err, ErrFenced) true.
func (e *FencedError) Unwrap() error { return ErrFenced }

// Reconciliation says where a bank stands after its ledger was restored.
type Reconciliation struct {
	// Open says that it is under way.
	Open bool
	// Epoch is the bank's restore epoch: how often its ledger was restored. While
	// a reconciliation is open it is the next one already.
	Epoch uint64
	// Began is when the operator began it, Fence why it is needed; both are
	// zero if none is open.
	Began time.Time
	Fence *ledger.Fence
}

// reconciling is what metaReconciling holds.
type reconciling struct {
	Epoch uint64    `json:"epoch"`
	Began time.Time `json:"began"`
	// Fence is the digest of the fence that it was begun for. A backup from the
	// midst of a reconciliation has another fence once it is loaded: what tills
	// handed in after it is missing again, and they must notice.
	Fence []byte `json:"fence"`
}

func fenceDigest(f *ledger.Fence) []byte {
	d := frame.Digest([]byte("specie/fence/1"), f.Encode())
	return d[:]
}

// reconciliationRecord is what the ledger keeps of a finished one.
type reconciliationRecord struct {
	Bank   string          `json:"bank"`
	Epoch  uint64          `json:"epoch"`
	Began  time.Time       `json:"began"`
	Fence  json.RawMessage `json:"fence"`
	Reason string          `json:"reason"`
}

func reconciliationID(bank string, epoch uint64) ledger.ID {
	return frame.Digest([]byte("specie/reconciliation/1"), []byte(bank), frame.Uint64(epoch))
}

// readReconciliation reads where a ledger stands. fenced is true for one whose
// fence is raised and where nobody has begun to reconcile.
func readReconciliation(ctx context.Context, l ledger.Ledger) (r Reconciliation, fenced bool, err error) {
	if r.Epoch, err = ledger.RestoreEpoch(ctx, l); err != nil {
		return r, false, fmt.Errorf("issuer: restore epoch: %w", store(err))
	}
	r.Fence, err = ledger.RaisedFence(ctx, l)
	if err != nil {
		return r, false, fmt.Errorf("issuer: fence: %w", store(err))
	}
	if r.Fence == nil {
		return r, false, nil
	}
	begun, err := meta(ctx, l, metaReconciling)
	if err != nil || len(begun) == 0 {
		return r, err == nil, err
	}
	var now reconciling
	if err := json.Unmarshal(begun, &now); err != nil || now.Epoch <= r.Epoch || !bytes.Equal(now.Fence, fenceDigest(r.Fence)) {
		// Of a reconciliation that was ended before, or one that doesn't read:
		// a copy of the ledger from the middle of it. Begin anew, beyond an epoch
		// that tills have seen.
		r.Epoch = max(r.Epoch, now.Epoch)
		return r, true, nil
	}
	r.Open, r.Epoch, r.Began = true, now.Epoch, now.Began
	return r, false, nil
}

// BeginReconciliation lets a bank open on a ledger whose fence is raised, to
// reconcile. Repeating it is harmless. ErrNotFenced if nothing is to be
// reconciled.
func BeginReconciliation(ctx context.Context, l ledger.Ledger, at time.Time) (*Reconciliation, error) {
	r, fenced, err := readReconciliation(ctx, l)
	if err != nil {
		return nil, err
	}
	if !fenced {
		if r.Open {
			return &r, nil
		}
		return nil, ErrNotFenced
	}
	value, err := json.Marshal(reconciling{Epoch: r.Epoch + 1, Began: at.UTC().Truncate(time.Second), Fence: fenceDigest(r.Fence)})
	if err != nil {
		return nil, fmt.Errorf("issuer: reconcile: %w", err)
	}
	if err := settle(ctx, l, metaReconciling, value); err != nil {
		return nil, err
	}
	r, _, err = readReconciliation(ctx, l)
	return &r, err
}

// fenceWatch is what a bank at work knows of its fence. A fence comes down
// while the bank works, by this process or another one. It goes up while it
// works where another process finds that the ledger they share was put back,
// or its own witness does.
type fenceWatch struct {
	mu     sync.Mutex
	now    Reconciliation
	fenced bool      // the fence is up, and nobody has begun to reconcile
	asked  time.Time // of the process's clock
	asking bool      // somebody is at it; the others go by what is known
}

// fenceAge is how long a bank believes what it knows of its fence.
const fenceAge = time.Second

// checkFence refuses to open on a ledger whose fence is raised.
func (b *Bank) checkFence(ctx context.Context) error {
	r, fenced, err := readReconciliation(ctx, b.cfg.Ledger)
	if err != nil {
		return err
	}
	if fenced {
		return &FencedError{Fence: r.Fence}
	}
	b.fence.now, b.fence.asked = r, time.Now()
	if r.Open {
		b.log.WarnContext(ctx, "reconciling after the ledger was restored: only deposits with a receipt are taken",
			"fence", r.Fence.String(), "epoch", r.Epoch, "began", r.Began)
	}
	return nil
}

// Reconciliation says where the bank stands. ErrFenced if the fence was raised
// while the bank worked: nothing moves before the operator begins to reconcile.
func (b *Bank) Reconciliation(ctx context.Context) (*Reconciliation, error) {
	w := &b.fence
	w.mu.Lock()
	ask := !w.asking && time.Since(w.asked) >= fenceAge
	w.asking = w.asking || ask
	r, fenced := w.now, w.fenced
	w.mu.Unlock()
	if ask {
		var err error
		r, fenced, err = readReconciliation(ctx, b.cfg.Ledger)
		w.mu.Lock()
		w.asking = false
		if err == nil {
			b.stands(ctx, r, fenced)
		}
		w.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
	if fenced {
		return nil, &FencedError{Fence: r.Fence}
	}
	return &r, nil
}

// stands notes where the bank stands. The caller holds the lock.
func (b *Bank) stands(ctx context.Context, r Reconciliation, fenced bool) {
	w := &b.fence
	stood := w.now.Open || w.fenced
	if (r.Open || fenced) && !stood {
		b.log.ErrorContext(ctx, "the fence was raised while the bank worked", "fence", r.Fence.String())
	}
	w.now, w.fenced, w.asked = r, fenced, time.Now()
	if stood && !r.Open && !fenced && b.cfg.Reconciled != nil {
		b.cfg.Reconciled(context.WithoutCancel(ctx))
	}
}

// admits says whether the bank moves money now.
func (b *Bank) admits(ctx context.Context) error {
	r, err := b.Reconciliation(ctx)
	if err == nil && r.Open {
		err = ErrReconciling
	}
	return err
}

// FinishReconciliation takes the fence down: what was not handed in by now
// counts as never recorded. reason says what the operator did, 1 to MaxReason
// bytes. Cut short, it is begun again. ErrNotFenced if it is done already,
// ErrMalformed.
func (b *Bank) FinishReconciliation(ctx context.Context, reason string) (*Reconciliation, error) {
	if reason == "" || len(reason) > MaxReason || !utf8.ValidString(reason) {
		return nil, fmt.Errorf("%w: a reason is 1 to %d bytes of UTF-8", ErrMalformed, MaxReason)
	}
	l := b.cfg.Ledger
	r, fenced, err := readReconciliation(ctx, l)
	switch {
	case err != nil:
		return nil, err
	case fenced:
		return nil, &FencedError{Fence: r.Fence}
	case !r.Open:
		return nil, ErrNotFenced
	}
	if err := b.recordReconciliation(ctx, &r, reason); err != nil {
		return nil, err
	}
	// The fence comes down last: cut short before, the operator begins again, with
	// yet another epoch.
	epoch := strconv.AppendUint(nil, r.Epoch, 10)
	for _, m := range []struct {
		key   string
		value []byte
	}{{ledger.MetaRestoreEpoch, epoch}, {metaReconciling, nil}, {ledger.MetaFence, nil}} {
		if err := settle(ctx, l, m.key, m.value); err != nil {
			return nil, err
		}
	}
	b.log.WarnContext(ctx, "reconciled after the ledger was restored", "epoch", r.Epoch, "reason", reason)
	done := Reconciliation{Epoch: r.Epoch}
	b.fence.mu.Lock()
	b.stands(ctx, done, false)
	b.fence.mu.Unlock()
	return &done, nil
}

func (b *Bank) recordReconciliation(ctx context.Context, r *Reconciliation, reason string) error {
	request, err := json.Marshal(reconciliationRecord{Bank: b.id, Epoch: r.Epoch, Began: r.Began, Fence: r.Fence.Encode(), Reason: reason})
	if err != nil {
		return fmt.Errorf("issuer: reconcile: %w", err)
	}
	out, err := b.cfg.Ledger.Apply(ctx, ledger.Op{
		ID: reconciliationID(b.id, r.Epoch), Kind: KindReconciliation, Account: fencedAccount, Issuer: b.id,
		State: ledger.StateDone, Request: request, At: b.now(),
	})
	if err != nil {
		return fmt.Errorf("issuer: reconcile: %w", store(err))
	}
	if out.Status != ledger.Applied && out.Status != ledger.Replayed {
		return fmt.Errorf("issuer: reconcile: ledger answered %s", out.Status)
	}
	return nil
}

func (f *inForce) rebuildReconciliation(op *ledger.Op) (*rebuilt, error) {
	var r reconciliationRecord
	if err := json.Unmarshal(op.Request, &r); err != nil {
		return nil, fmt.Errorf("request does not read: %v", err)
	}
	if r.Bank != f.keyset.Bank || r.Reason == "" {
		return nil, errors.New("a reconciliation of another bank, or without a reason")
	}
	return &rebuilt{id: reconciliationID(r.Bank, r.Epoch)}, nil
}

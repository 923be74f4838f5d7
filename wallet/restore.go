package wallet

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/speciecash/specie/coin"
)

// Coin numbers that a restore looks at beyond the last one that the bank knows.
// Numbers are left out where a request was refused or never arrived; no request
// takes more than coin.MaxOutputs of them. A TPM computes a tag for each number of
// a bound coin, and takes its time.
const (
	RestoreGap      = coin.MaxOutputs
	RestoreGapBound = 64
)

// restoreLot is how many numbers are asked for at once, at most.
const restoreLot = 128

// RestoreOptions are what a restore is asked for. The zero value is good.
type RestoreOptions struct {
	// Gap replaces RestoreGap and RestoreGapBound if positive.
	Gap int
	// Settled is the person's word that no payment of the lost purse was open. No
	// coin becomes dormant then.
	Settled bool
	// Progress is told how many of the bank's keys are done.
	Progress Progress
}

// Restored is what a restore found that the purse did not have.
type Restored struct {
	// Coins are what was found, and Worth those of them that are not spent, in
	// minor units.
	Coins int         `json:"coins"`
	Worth coin.Amount `json:"worth"`
	// Spent of them are spent, Dormant of them wait for DormantFor to pass,
	// see Wallet.Resume.
	Spent   int `json:"spent"`
	Dormant int `json:"dormant"`
	// Skipped is how many keys for bound coins were not looked at, since no TPM
	// is attached.
	Skipped int `json:"skipped,omitempty"`
}

// add counts what another look found.
func (r *Restored) add(o *Restored) (err error) {
	r.Coins, r.Spent, r.Dormant = r.Coins+o.Coins, r.Spent+o.Spent, r.Dormant+o.Dormant
	r.Worth, err = r.Worth.Add(o.Worth)
	return err
}

// metaRestoring is the number to look at next under each key, while a restore has
// not come to its end.
const metaRestoring = "restoring"

// Restore finds every coin that the bank ever signed for this purse's seed and that
// is not in the purse: after its loss (see CreateFromBackup), or after an older copy
// of it was put back. For each key that the bank has it walks the coin numbers,
// computes what the purse would have sent, and asks the bank about it, until so many
// numbers in a row are unknown (RestoreGap). What it finds is verified like any
// coin; what is spent is kept as spent; and the purse counts on from behind it.
//
// Bound coins need the TPM that they are bound to ([Wallet.AttachTPM]); without
// one they are left for another Restore, and counted in Restored.Skipped. Of a TPM
// that is gone nothing is found: its coins are those that the purse had.
//
// It may be interrupted at any point, and goes on from there when it is called
// again. The bank learns which of its operations were this wallet's, and which
// coins came from them; an Exchange of what was found ends that.
func (w *Wallet) Restore(ctx context.Context, o RestoreOptions) (*Restored, error) {
	k, err := w.newestKeyset(ctx)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	next := map[coin.KeyID]uint64{}
	if _, err := w.purse.get(ctx, metaRestoring, &next); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	out := &Restored{}
	for i := range k.Denominations {
		d := &k.Denominations[i]
		switch {
		case !d.Kind.Known():
		case d.Kind == coin.Bound && w.member == nil:
			out.Skipped++
		default:
			walk := walk{w: w, k: k, d: d, at: next[d.KeyID], o: o, done: next}
			if err := walk.run(ctx, out); err != nil {
				return out, fmt.Errorf("restore: %w", err)
			}
		}
		o.Progress.report(i+1, len(k.Denominations))
	}
	return out, w.purse.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM meta WHERE key = ?", metaRestoring)
		return err
	})
}

// walk goes through the coin numbers under one key.
type walk struct {
	w  *Wallet
	k  *coin.Keyset
	d  *coin.Denomination
	at uint64 // the number to look at next
	o  RestoreOptions
	// done is where a Restore is, key by key; nil for another walk.
	done map[coin.KeyID]uint64
}

func (s *walk) gap() int {
	switch {
	case s.o.Gap > 0:
		return s.o.Gap
	case s.d.Kind == coin.Bound:
		return RestoreGapBound
	}
	return RestoreGap
}

func (s *walk) run(ctx context.Context, out *Restored) error {
	lot := restoreLot
	for unknown := 0; unknown < s.gap(); {
		n := min(lot, s.gap()-unknown)
		found, last, err := s.look(ctx, n)
		if isCode(err, "too-large") && lot > 1 {
			lot /= 2
			continue
		}
		if err != nil {
			return err
		}
		if err := out.add(found); err != nil {
			return err
		}
		s.at += uint64(n)
		if unknown += n; last >= 0 {
			unknown = n - 1 - last
		}
	}
	if s.done == nil {
		return nil
	}
	return s.w.purse.put(ctx, metaRestoring, s.done)
}

// look asks about the next n numbers and stores what is found, and where the walk
// is, in one step. last is the place of the last number that the bank knows, -1 if
// it knows none.
func (s *walk) look(ctx context.Context, n int) (*Restored, int, error) {
	items := make([]item, n)
	for i := range items {
		items[i] = item{KeyID: s.d.KeyID, Index: s.at + uint64(i)}
		if _, err := s.w.fillOwner(ctx, s.k, s.d, &items[i]); err != nil {
			return nil, -1, err
		}
	}
	planchets, outs, err := s.w.planchets(s.k, items)
	if err != nil {
		return nil, -1, err
	}
	signed, err := s.w.bank.restore(ctx, outs)
	if err != nil {
		return nil, -1, err
	}
	last := -1
	var finds []find
	for i, r := range signed {
		if !r.found {
			continue
		}
		last = i
		f := find{item: items[i], op: r.op, place: r.index}
		if len(r.signature) == 0 && s.over() {
			continue
		}
		if len(r.signature) == 0 {
			f.coin, err = s.w.unsigned(ctx, items[i], planchets[i])
		} else {
			f.coin, err = planchets[i].Finalize(r.signature)
		}
		if err != nil {
			return nil, last, fmt.Errorf("%w: coin number %d under key %s: %w", ErrAnswer, items[i].Index, s.d.KeyID, err)
		}
		finds = append(finds, f)
	}
	out, err := s.keep(ctx, finds, n, last)
	return out, last, err
}

// over says that the key's time is: its coins can't be spent any more, and the bank
// may have destroyed it. Coins under a revoked or lost key are owed besides.
func (s *walk) over() bool {
	return !s.d.Revoked && !s.d.Lost && !s.w.now().Before(s.d.SpendUntil)
}

package wallet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
)

// Coin numbers that a restore looks at beyond the last one that the bank knows.
// Numbers are left out where a request was refused or never arrived; no request
// takes more than coin.MaxOutputs of them. A TPM computes a tag for each number of
// a bound coin, and takes its time.
const (
	RestoreGap      = coin.MaxOutputs
	RestoreGapBound = 64
)

// DormantFor is how long a bound coin sleeps that was found unspent. The lost
// purse may have promised it to a merchant who has not deposited it yet: spent
// again meanwhile, it would be a double spend of an honest holder's. Bearer coins
// have no owner to be named, and the merchant learns at once that they are spent.
const DormantFor = 24 * time.Hour

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

// find is a coin that the bank knows.
type find struct {
	item  item
	coin  *coin.Coin
	op    [32]byte // of the bank
	place int      // among that operation's outputs
	state string
}

// restoredBody is the body of a "restore" operation: where each coin comes from.
type restoredBody struct {
	Items   []item   `json:"items"`
	Ops     [][]byte `json:"ops"` // of the bank, one for each item
	Places  []int    `json:"places"`
	Holding *holding `json:"holding,omitempty"`
}

// restoredSource asks the bank for the operation that an item came from; a restore
// keeps its id only.
func (w *Wallet) restoredSource(b restoredBody) sourceFunc {
	return func(ctx context.Context, place int) ([32]byte, int, []coin.Output, error) {
		op := [32]byte(b.Ops[place])
		done, err := w.bank.op(ctx, op)
		if err != nil {
			return op, 0, nil, err
		}
		if done == nil {
			return op, 0, nil, fmt.Errorf("%w: the bank does not know the operation any more that it named", ErrAnswer)
		}
		return op, b.Places[place], done.outputs, nil
	}
}

// keep stores what the purse does not have, and moves its counter behind what the
// bank knows.
func (s *walk) keep(ctx context.Context, finds []find, n, last int) (*Restored, error) {
	out := &Restored{}
	finds, err := s.unknown(ctx, finds)
	if err != nil {
		return nil, err
	}
	if err := s.w.askStates(ctx, finds, s.o.Settled); err != nil {
		return nil, err
	}
	body, err := s.w.restoredFrom(ctx, s.k, finds)
	if err != nil {
		return nil, err
	}
	for _, f := range finds {
		out.Coins++
		switch f.state {
		case CoinSpent:
			out.Spent++
			continue
		case CoinDormant:
			out.Dormant++
		}
		if out.Worth, err = out.Worth.Add(s.d.Value); err != nil {
			return nil, err
		}
	}
	return out, s.w.purse.update(ctx, func(tx *sql.Tx) error {
		for i := range finds {
			if err := insertCoin(ctx, tx, finds[i].coin, s.d.Value, finds[i].item, s.w.now()); err != nil {
				return err
			}
			id := finds[i].coin.ID()
			if err := setState(ctx, tx, id[:], finds[i].state); err != nil {
				return err
			}
		}
		if len(finds) > 0 {
			op := Operation{ID: newID(), Kind: KindRestore, State: OpDone, Amount: int64(out.Worth), Created: s.w.now()}
			if err := insertOp(ctx, tx, op, body); err != nil {
				return err
			}
		}
		if last >= 0 {
			if err := skipTo(ctx, tx, s.d.KeyID[:], s.at+uint64(last)+1); err != nil {
				return err
			}
		}
		if s.done == nil {
			return nil
		}
		s.done[s.d.KeyID] = s.at + uint64(n)
		return putMeta(ctx, tx, metaRestoring, s.done)
	})
}

// unknown leaves those that the purse does not have: neither the coin, nor another
// one with its number, which was bound to another TPM.
func (s *walk) unknown(ctx context.Context, finds []find) ([]find, error) {
	var out []find
	for _, f := range finds {
		id := f.coin.ID()
		there, err := s.w.purse.coins(ctx, "WHERE id = ? OR kid = ? AND idx = ?", id[:], f.item.KeyID[:], int64(f.item.Index))
		if err != nil {
			return nil, err
		}
		if len(there) == 0 {
			out = append(out, f)
		}
	}
	return out, nil
}

// askStates finds out which of the coins are spent.
func (w *Wallet) askStates(ctx context.Context, finds []find, settled bool) error {
	if len(finds) == 0 {
		return nil
	}
	refs := make([]coinRef, len(finds))
	for i := range finds {
		refs[i] = coinRef{finds[i].item.KeyID, finds[i].coin.ID()}
	}
	states, err := w.bank.coinStates(ctx, refs)
	if err != nil {
		return err
	}
	for i, s := range states {
		finds[i].state = restoredState(s, finds[i].coin.Kind, settled)
	}
	return nil
}

// restoredState is what a coin is in the purse after the bank's word.
func restoredState(bank string, kind coin.Kind, settled bool) string {
	switch {
	case bank == bankSpent:
		return CoinSpent
	case bank != bankUnspent, kind == coin.Bound && !settled:
		return CoinDormant
	}
	return CoinFresh
}

// restoredFrom is the body of the operation that brings the coins back. For bound
// ones their TPM makes what it takes to recover them should it be lost.
func (w *Wallet) restoredFrom(ctx context.Context, k *coin.Keyset, finds []find) (*restoredBody, error) {
	body := &restoredBody{}
	var claims []group.Claim
	for i := range finds {
		f := &finds[i]
		body.Items, body.Places = append(body.Items, f.item), append(body.Places, f.place)
		body.Ops = append(body.Ops, f.op[:])
		if f.coin.Kind == coin.Bound && f.state != CoinSpent {
			d, err := k.Find(f.item.KeyID)
			if err != nil {
				return nil, err
			}
			it := f.item
			claim, err := w.fillOwner(ctx, k, d, &it)
			if err != nil {
				return nil, err
			}
			claims = append(claims, *claim)
		}
	}
	if len(claims) == 0 {
		return body, nil
	}
	var err error
	body.Holding, err = w.hold(ctx, claims)
	return body, err
}

// wake asks the bank about dormant coins: those that are spent are kept as spent,
// those whose time has come and that are not, are fresh. It returns how many are
// left.
func (w *Wallet) wake(ctx context.Context) (left int, err error) {
	coins, err := w.purse.coins(ctx, "WHERE state = ?", CoinDormant)
	if err != nil {
		return 0, err
	}
	var due []StoredCoin
	for _, c := range coins {
		if c.Kind == coin.Bound && w.now().Before(c.Created.Add(DormantFor)) {
			left++
			continue
		}
		due = append(due, c)
	}
	for len(due) > 0 {
		n := min(restoreLot, len(due))
		refs := make([]coinRef, n)
		for i, c := range due[:n] {
			refs[i] = coinRef{c.KeyID, [32]byte(c.ID)}
		}
		states, err := w.bank.coinStates(ctx, refs)
		if err != nil {
			return left + len(due), fmt.Errorf("dormant coins: %w", err)
		}
		err = w.purse.update(ctx, func(tx *sql.Tx) error {
			for i, s := range states {
				to := restoredState(s, due[i].Kind, true)
				if to == CoinDormant {
					left++
				}
				if err := setState(ctx, tx, due[i].ID, to); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return left, err
		}
		due = due[n:]
	}
	return left, nil
}

// setState puts a coin that is in no operation into a state.
func setState(ctx context.Context, tx *sql.Tx, id []byte, state string) error {
	_, err := tx.ExecContext(ctx, "UPDATE coins SET state = ? WHERE id = ? AND op IS NULL", state, id)
	if err != nil {
		return fmt.Errorf("purse: coin: %w", err)
	}
	return nil
}

// skipTo has the purse count on from n under a key, if it is not there yet.
func skipTo(ctx context.Context, tx *sql.Tx, kid []byte, n uint64) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO counters (kid, next) VALUES (?, ?) ON CONFLICT (kid) DO UPDATE SET next = max(next, excluded.next)", kid, int64(n))
	if err != nil {
		return fmt.Errorf("purse: counter: %w", err)
	}
	return nil
}

// rescue finds the coins whose numbers another copy of the purse has used, from
// the least number of these items on, and moves the counters behind them.
func (w *Wallet) rescue(ctx context.Context, k *coin.Keyset, items []item) (*Restored, error) {
	from := map[coin.KeyID]uint64{}
	for _, it := range items {
		if at, ok := from[it.KeyID]; !ok || it.Index < at {
			from[it.KeyID] = it.Index
		}
	}
	out := &Restored{}
	for kid, at := range from {
		d, err := k.Find(kid)
		if err != nil {
			return out, err
		}
		if d.Kind == coin.Bound && w.member == nil {
			out.Skipped++
			continue
		}
		walk := walk{w: w, k: k, d: d, at: at}
		if err := walk.run(ctx, out); err != nil {
			return out, fmt.Errorf("look for coins of another copy: %w", err)
		}
	}
	return out, nil
}

// reused is the error for an operation whose coin numbers another copy of the
// purse has used: nothing was paid, and what that copy drew is in this purse now.
func (w *Wallet) reused(ctx context.Context, k *coin.Keyset, items []item) error {
	found, err := w.rescue(ctx, k, items)
	if err != nil {
		return errors.Join(ErrReused, err)
	}
	return &ReusedError{Found: *found}
}

// ReusedError says what was found of another copy's. It matches [ErrReused].
type ReusedError struct{ Found Restored }

// Error counts the coins.
func (e *ReusedError) Error() string {
	return fmt.Sprintf("%v: coins of that copy found at the bank, and put into this purse: %d, of which spent: %d", ErrReused, e.Found.Coins, e.Found.Spent)
}

// Unwrap makes errors.Is(err, ErrReused) true.
func (e *ReusedError) Unwrap() error { return ErrReused }

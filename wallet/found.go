package wallet

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
)

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

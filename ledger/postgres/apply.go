package postgres

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/batch"
)

// WriterStats implements ledger.Observed.
func (l *Ledger) WriterStats() ledger.WriterStats { return l.writer.queue.Stats() }

// Apply implements ledger.Ledger.
func (l *Ledger) Apply(ctx context.Context, op ledger.Op) (ledger.Outcome, error) {
	c := &call{Op: batch.NewOp(op, l.opts.Lane), Size: len(op.Request) + len(op.Answer)}
	if err := l.writer.queue.Submit(ctx, c); err != nil {
		return ledger.Outcome{}, fmt.Errorf("postgres: apply %x: %w", op.ID[:8], err)
	}
	out := c.Op.Outcome
	var err error
	switch out.Status {
	case ledger.Replayed:
		// Read here and not by the writer, whom everybody waits for.
		out.Existing, err = l.Op(ctx, op.ID)
	case ledger.Held:
		out.Hold, err = l.whole(ctx, out.Hold)
	}
	if err != nil {
		return ledger.Outcome{}, err
	}
	return out, nil
}

// SetAnswer implements ledger.Ledger.
func (l *Ledger) SetAnswer(ctx context.Context, id ledger.ID, state string, answer []byte) error {
	c := &call{Answer: &batch.Answer{ID: id, State: state, Answer: bytes.Clone(answer)}, Size: len(answer)}
	if err := l.writer.queue.Submit(ctx, c); err != nil {
		return fmt.Errorf("postgres: set answer of %x: %w", id[:8], err)
	}
	return nil
}

// attempt is one run of a batch: what it locked, what it saw, and what it
// writes.
type attempt struct {
	l       *Ledger
	t       *tx
	ops     []*call
	answers []*call
	*batch.Picture
	locked map[batch.Purse]struct{} // balances whose row is locked, and folded
	rows   *rows
}

// runBatch decides and writes ops, then answers: any order is as good, since
// all of them are waiting at the same time. It may be run again.
func (l *Ledger) runBatch(t *tx, calls []*call) error {
	a := &attempt{l: l, t: t, Picture: batch.NewPicture(), locked: make(map[batch.Purse]struct{})}
	lanes := map[string]struct{}{l.opts.Lane: {}}
	for _, c := range calls {
		if c.Op != nil {
			a.ops = append(a.ops, c)
			if c.Op.Invalid == nil {
				lanes[c.Op.Lane] = struct{}{}
			}
		} else if c.Answer != nil {
			a.answers = append(a.answers, c)
		}
	}
	rec, err := lockLanes(t, slices.Sorted(maps.Keys(lanes)))
	if err != nil {
		return err
	}
	a.rows = newRows(rec)
	if err := a.apply(); err != nil {
		return err
	}
	if err := a.settle(); err != nil {
		return err
	}
	if err := a.write(); err != nil {
		return err
	}
	return a.overtaken()
}

// apply decides the ops in the order given.
func (a *attempt) apply() error {
	if len(a.ops) == 0 {
		return nil
	}
	if err := a.lock(); err != nil {
		return err
	}
	if err := a.lookUp(); err != nil {
		return err
	}
	for {
		for _, c := range a.ops {
			c.Op.Outcome, c.Err = a.Decide(c.Op)
		}
		far := a.far()
		if len(far) == 0 {
			break
		}
		// Decided anew, with the locks that were missing: nothing is written.
		if err := a.lockBalances(far); err != nil {
			return err
		}
		a.Picture = batch.NewPicture()
		if err := a.lookUp(); err != nil {
			return err
		}
	}
	for _, op := range a.Applied {
		a.rows.op(op)
	}
	return nil
}

// farAmount is where a balance comes so near to what it may be at most that
// several processes could pass it together, each with what the others do not
// see.
const farAmount = ledger.MaxAmount / 64

// foldDeltas is how many deltas an account may have before they are folded.
const foldDeltas = 64

// far returns the balances that must be locked before they are changed, and
// are not.
func (a *attempt) far() (out []batch.Purse) {
	for purse, amount := range a.Balances {
		if _, locked := a.locked[purse]; !locked && (amount > farAmount || amount < -farAmount) {
			out = append(out, purse)
		}
	}
	return out
}

// lock takes the locks that are known to be needed: of quotas, and of the
// balances that have a floor or many deltas.
func (a *attempt) lock() error {
	names := make(map[string]struct{})
	floors := maps.Clone(a.l.fold)
	clear(a.l.fold)
	for _, c := range a.ops {
		if c.Op.Invalid != nil {
			continue
		}
		for _, q := range c.Op.Quotas {
			names[q.Name] = struct{}{}
		}
		for _, p := range c.Op.Postings {
			if slices.Contains(c.Op.Floors, p.Account) {
				floors[batch.Purse{Account: p.Account, Currency: p.Currency}] = struct{}{}
			}
		}
	}
	if len(names) > 0 {
		sorted := slices.Sorted(maps.Keys(names))
		p := a.t.pipeline()
		p.exec("INSERT INTO quotas (name, counted) SELECT unnest($1::text[]), 0 ON CONFLICT DO NOTHING", sorted)
		p.exec("SELECT name FROM quotas WHERE name = ANY($1) ORDER BY name FOR UPDATE", sorted)
		if err := p.run(); err != nil {
			return err
		}
	}
	return a.lockBalances(slices.Collect(maps.Keys(floors)))
}

// lockBalances locks rows of balances, which it makes where they are missing,
// and folds their deltas in.
func (a *attempt) lockBalances(purses []batch.Purse) error {
	if len(purses) == 0 {
		return nil
	}
	accounts, currencies := split(purses)
	p := a.t.pipeline()
	p.exec(`INSERT INTO balances (account, currency, amount, posted)
		SELECT account, currency, 0, FALSE FROM unnest($1::text[], $2::text[]) AS u (account, currency)
		ON CONFLICT DO NOTHING`, accounts, currencies)
	p.exec(`SELECT account FROM balances
		WHERE (account, currency) IN (SELECT account, currency FROM unnest($1::text[], $2::text[]) AS u (account, currency))
		ORDER BY account, currency FOR UPDATE`, accounts, currencies)
	// A statement of its own: it sees what was committed while we waited.
	folded := make(map[batch.Purse]int64)
	p.query(func(rows pgx.Rows) error {
		var purse batch.Purse
		var amount int64
		err := rows.Scan(&purse.Account, &purse.Currency, &amount)
		folded[purse] += amount
		return err
	}, `DELETE FROM deltas
		WHERE (account, currency) IN (SELECT account, currency FROM unnest($1::text[], $2::text[]) AS u (account, currency))
		RETURNING account, currency, amount`, accounts, currencies)
	if err := p.run(); err != nil {
		return err
	}
	for _, purse := range purses {
		a.locked[purse] = struct{}{}
	}
	return addToBalances(a.t, folded)
}

// addToBalances adds to rows of balances that are there, and locked.
func addToBalances(t *tx, amounts map[batch.Purse]int64) error {
	if len(amounts) == 0 {
		return nil
	}
	purses := slices.Collect(maps.Keys(amounts))
	accounts, currencies := split(purses)
	sums := make([]int64, len(purses))
	for i, p := range purses {
		sums[i] = amounts[p]
	}
	p := t.pipeline()
	p.all(len(purses), `UPDATE balances AS b SET amount = b.amount + u.amount, posted = TRUE
		FROM unnest($1::text[], $2::text[], $3::bigint[]) AS u (account, currency, amount)
		WHERE b.account = u.account AND b.currency = u.currency`, accounts, currencies, sums)
	return p.run()
}

// split sorts purses and returns their accounts and currencies.
func split(purses []batch.Purse) (accounts, currencies []string) {
	slices.SortFunc(purses, comparePurses)
	for _, p := range purses {
		accounts, currencies = append(accounts, p.Account), append(currencies, p.Currency)
	}
	return accounts, currencies
}

// overtaken looks, after the spends were inserted, whether a hold that stands
// against an op was placed since the batch looked the holds up, under the op's
// own id too, and ends the holds of the ops.
func (a *attempt) overtaken() error {
	now := batch.NewPicture()
	p := a.t.pipeline()
	lookUpHeld(p, now, spends(a.Applied))
	lookUpHolds(p, now, conditional(a.Applied))
	a.rows.endHolds(p)
	if err := p.run(); err != nil {
		return err
	}
	for _, op := range a.Applied {
		if now.Against(&op.Op) != nil {
			return errAgain
		}
	}
	return nil
}

// conditional are the ids of the ops that a hold under their own id may stand
// against.
func conditional(ops []*batch.Op) (ids []ledger.ID) {
	for _, op := range ops {
		if op.Invalid == nil && (op.MaxStrikes > 0 || op.Unheld) {
			ids = append(ids, op.ID)
		}
	}
	return ids
}

package wallet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/speciecash/specie/coin"
)

// claimable says whether a coin can't be spent but be made good: its key is
// revoked, or was lost before it signed the coin.
func claimable(k *coin.Keyset, c StoredCoin) bool {
	d, err := k.Find(c.KeyID)
	if err != nil {
		return false
	}
	if d.Revoked || !d.Lost {
		return d.Revoked
	}
	stored, err := coin.DecodeCoin(c.raw)
	return err == nil && !stored.Signed()
}

// Recoupable is what Recoup would have made good.
type Recoupable struct {
	// Coins are all that it would send, good coins of payments and refused
	// exchanges included, which can't be sent apart; see StoredCoin.Recoup.
	Coins []StoredCoin `json:"coins"`
	// Worth is what they come to.
	Worth coin.Amount `json:"worth"`
	// Payments is how many open payments would be taken back.
	Payments int `json:"payments"`
	// NeedTPM says that some coins are bound.
	NeedTPM bool `json:"need_tpm"`

	keyset *coin.Keyset
	lots   []lot
}

// Recoupable asks the bank for its newest keyset and looks what is under keys
// that it has revoked or lost. It changes nothing, and tells the bank nothing.
func (w *Wallet) Recoupable(ctx context.Context) (*Recoupable, error) {
	k, err := w.newestKeyset(ctx)
	if err != nil {
		return nil, fmt.Errorf("recoup: %w", err)
	}
	r := &Recoupable{keyset: k}
	if r.lots, err = w.recoupLots(ctx, k); err != nil {
		return nil, fmt.Errorf("recoup: %w", err)
	}
	for _, l := range r.lots {
		if l.origin.payment != nil && !l.part {
			r.Payments++
		}
		for _, c := range l.coins {
			c.Recoup = claimable(k, c)
			r.NeedTPM = r.NeedTPM || c.Kind == coin.Bound
			r.Coins = append(r.Coins, c)
		}
	}
	if r.Worth, err = sum(r.Coins); err != nil {
		return nil, fmt.Errorf("recoup: %w", err)
	}
	return r, nil
}

// recoupLots are the coins to recoup, by what they have to be sent with. Coins
// whose owner has authorised something keep to the coins that he authorised
// with them, so that both are one op at the bank. Others are sent with those of
// the same operation alone: a withdrawal's coins beside a payment's change would
// tell the bank who paid.
func (w *Wallet) recoupLots(ctx context.Context, k *coin.Keyset) ([]lot, error) {
	lots, err := w.refusedLots(ctx)
	if err != nil {
		return nil, err
	}
	open, err := w.openPaymentLots(ctx)
	if err != nil {
		return nil, err
	}
	lots = slices.DeleteFunc(append(lots, open...), func(l lot) bool { return !w.recoups(k, l.coins) })
	fresh, err := w.purse.coins(ctx, "WHERE state = ? ORDER BY value DESC, id", CoinFresh)
	if err != nil {
		return nil, err
	}
	fresh = slices.DeleteFunc(fresh, func(c StoredCoin) bool { return !w.recoups(k, []StoredCoin{c}) })
	all := slices.Clone(fresh)
	for _, l := range lots {
		all = append(all, l.coins...)
	}
	src, err := w.findSources(ctx, k, all, func(c StoredCoin) bool { return claimable(k, c) })
	if err != nil {
		return nil, err
	}
	lots = append(lots, src.lots(fresh)...)
	for i := range lots {
		lots[i].origin.recoup = src
	}
	return lots, nil
}

// lots parts coins by operation and kind, in the order of the coins.
func (s *sources) lots(coins []StoredCoin) (out []lot) {
	for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
		at := map[[32]byte]int{} // by operation, which has no more outputs than a spend has coins
		for _, c := range only(coins, kind) {
			op := s.claim[[32]byte(c.ID)].Op
			i, ok := at[op]
			if !ok {
				i = len(out)
				at[op] = i
				out = append(out, lot{})
			}
			out[i].coins = append(out[i].coins, c)
		}
	}
	return out
}

// recoups says whether some of the coins can be claimed, and the others go
// along.
func (w *Wallet) recoups(k *coin.Keyset, coins []StoredCoin) bool {
	claims := 0
	for _, c := range coins {
		d, err := k.Find(c.KeyID)
		switch {
		case err != nil || w.stranded(c):
			return false
		case claimable(k, c):
			if d.CheckRecoup(w.now()) != nil {
				return false
			}
			claims++
		case d.CheckSpend(w.now()) != nil:
			return false
		}
	}
	return claims > 0
}

// openPaymentLots are the coins of payments and envelopes that are open and not
// being taken back.
func (w *Wallet) openPaymentLots(ctx context.Context) ([]lot, error) {
	ops, err := queryOps(ctx, w.purse.db, "WHERE kind IN (?, ?) AND state IN (?, ?) ORDER BY created, id", KindPay, KindSend, OpPrepared, OpSubmitted)
	if err != nil {
		return nil, err
	}
	var out []lot
	for _, op := range ops {
		var body payment
		if err := decodeBody(op, &body); err != nil {
			return nil, err
		}
		back, err := w.takingBack(ctx, op.ID)
		if err != nil {
			return nil, err
		}
		if back != nil {
			continue
		}
		coins, err := coinsOf(ctx, w.purse.db, body.Coins)
		if err != nil {
			return nil, err
		}
		o := origin{payment: op.ID}
		if op.Kind == KindPay {
			o.offer = [32]byte(op.offer)
		}
		out = append(out, lot{coins: coins, origin: o})
	}
	return out, nil
}

// Recouped is what Recoup did.
type Recouped struct {
	// Coins were sent, and Worth came back.
	Coins int         `json:"coins"`
	Worth coin.Amount `json:"worth"`
	// Credited is how much of it is on the account.
	Credited coin.Amount `json:"credited"`
	// Paid is how many payments turned out to be made.
	Paid int `json:"paid"`
}

// Recoup has the bank make good what r found: it gives new coins of the same
// kind and worth; or with toAccount, for coins that were withdrawn and never
// promised to anybody, money on the account that they were withdrawn from.
//
// It shows the bank which of its operations each coin came from. Nothing else
// could prove that the coin was issued, once somebody else can sign. Coins of
// different operations are sent apart, but those of a payment that is taken
// back. What comes back is as unlinkable as ever, and coins that are not sent
// stay so.
//
// Payments that are open because their merchant has not deposited are taken
// back; he can't deposit them any more. Bound coins need their TPM: [ErrNoTPM]
// comes after all others are done. Everything is on disk before it is sent;
// after [ErrOpen], [Wallet.Resume] finishes what was interrupted.
func (w *Wallet) Recoup(ctx context.Context, r *Recoupable, toAccount bool) (*Recouped, error) {
	out := &Recouped{}
	var missing error
	tried, all := 0, coinsIn(r.lots)
	w.watch.report(0, all)
	for _, l := range r.lots {
		l.origin.toAccount = toAccount && l.account() != ""
		worth, err := sum(l.coins)
		if err != nil {
			return out, fmt.Errorf("recoup: %w", err)
		}
		err = w.exchange(ctx, r.keyset, l.coins, l.origin)
		tried += len(l.coins)
		w.watch.report(tried, all)
		switch {
		case errors.Is(err, ErrPaid):
			out.Paid++
			continue
		case errors.Is(err, ErrNoTPM), errors.Is(err, ErrNotEnrolled):
			missing = err
			continue
		case err != nil:
			return out, err
		}
		out.Coins += len(l.coins)
		out.Worth += worth
		if l.origin.toAccount {
			out.Credited += worth
		}
	}
	return out, missing
}

// account is the account that withdrew all of the coins, if one did and they
// were never promised to anybody.
func (l *lot) account() string {
	if l.origin.payment != nil || l.origin.refused != nil {
		return ""
	}
	return l.origin.recoup.accounts[l.origin.recoup.claim[[32]byte(l.coins[0].ID)].Op]
}

// sources are the bank's operations that coins to be claimed came from.
type sources struct {
	claim    map[[32]byte]coin.Claim    // by coin
	issued   map[[32]byte][]coin.Output // by operation
	accounts map[[32]byte]string        // that paid for a withdrawal, by operation
}

// claims says whether there is a claim for a coin; there is none without
// sources.
func (s *sources) claims(id [32]byte) bool {
	if s == nil {
		return false
	}
	_, ok := s.claim[id]
	return ok
}

// ordered are the claims for a spend's coins, in their order.
func (s *sources) ordered(spend *coin.Spend) (out []coin.Claim) {
	if s == nil {
		return nil
	}
	for _, id := range spend.CoinIDs() {
		if claim, ok := s.claim[id]; ok {
			out = append(out, claim)
		}
	}
	return out
}

// outputs are those of an operation, for coin.VerifyRecoup.
func (s *sources) outputs(op [32]byte) ([]coin.Output, error) {
	if s == nil {
		return nil, coin.ErrClaim
	}
	if outputs, ok := s.issued[op]; ok {
		return outputs, nil
	}
	return nil, coin.ErrClaim
}

// findSources finds the claims for those of the coins that need one, in what
// the purse remembers of its operations.
func (w *Wallet) findSources(ctx context.Context, k *coin.Keyset, coins []StoredCoin, needs func(StoredCoin) bool) (*sources, error) {
	type number struct {
		kid   coin.KeyID
		index uint64
	}
	wanted := map[number]ID{}
	for _, c := range coins {
		if needs(c) {
			wanted[number{c.KeyID, c.Index}] = c.ID
		}
	}
	s := &sources{claim: map[[32]byte]coin.Claim{}, issued: map[[32]byte][]coin.Output{}, accounts: map[[32]byte]string{}}
	ops, err := queryOps(ctx, w.purse.db, "WHERE state = ?", OpDone)
	if err != nil {
		return nil, err
	}
	for i := range ops {
		at, err := w.issuedBy(ops[i])
		if err != nil {
			return nil, err
		}
		for place, it := range at.items {
			id, ok := wanted[number{it.KeyID, it.Index}]
			if !ok {
				continue
			}
			planchets, _, err := w.planchets(k, at.items[place:place+1])
			if err != nil {
				return nil, err
			}
			if planchets[0].ID() != [32]byte(id) {
				return nil, fmt.Errorf("coin %s: %w: it is not the one that was asked for", id, ErrCoinState)
			}
			bankOp, index, outputs, err := at.source(ctx, place)
			if err != nil {
				return nil, err
			}
			s.claim[[32]byte(id)], s.issued[bankOp] = planchets[0].Claim(bankOp, index), outputs
			if at.account != "" {
				s.accounts[bankOp] = at.account
			}
		}
	}
	if len(s.claim) != len(wanted) {
		return nil, fmt.Errorf("%w: the purse does not know where %d of the coins come from", ErrCoinState, len(wanted)-len(s.claim))
	}
	return s, nil
}

// issue is what an operation of the purse had the bank sign.
type issue struct {
	items   []item
	holding *holding // of those that are bound; nil in operations of before
	account string   // of a withdrawal
	// source finds where an item comes from: the operation's id at the bank, the
	// place among its outputs, and all of them.
	source func(ctx context.Context, place int) (op [32]byte, index int, outputs []coin.Output, err error)
}

type sourceFunc = func(context.Context, int) ([32]byte, int, []coin.Output, error)

func (w *Wallet) issuedBy(op Operation) (*issue, error) {
	ofSpend := func(spend func() (*coin.Spend, error)) sourceFunc {
		return func(_ context.Context, place int) ([32]byte, int, []coin.Output, error) {
			s, err := spend()
			if err != nil {
				return [32]byte{}, 0, nil, err
			}
			return s.Op(), place, s.ToIssuer, nil
		}
	}
	switch op.Kind {
	case KindWithdraw:
		var body withdrawal
		if err := decodeBody(op, &body); err != nil {
			return nil, err
		}
		return &issue{items: body.Items, holding: body.Holding, account: body.Account, source: func(_ context.Context, place int) ([32]byte, int, []coin.Output, error) {
			op, outputs, err := body.bankOp()
			return op, place, outputs, err
		}}, nil
	case KindExchange, KindRecoup, KindRecover, KindReceive:
		var body exchange
		if err := decodeBody(op, &body); err != nil {
			return nil, err
		}
		return &issue{items: body.Items, holding: body.Holding, source: ofSpend(body.spend)}, nil
	case KindPay:
		var body payment
		if err := decodeBody(op, &body); err != nil {
			return nil, err
		}
		return &issue{items: body.Change, holding: body.Holding, source: ofSpend(func() (*coin.Spend, error) {
			s, _, err := coin.DecodeSpend(body.Spend)
			return s, err
		})}, nil
	case KindRefund:
		var body refund
		if err := decodeBody(op, &body); err != nil {
			return nil, err
		}
		return &issue{items: body.Items, holding: body.Holding, source: func(_ context.Context, place int) ([32]byte, int, []coin.Output, error) {
			op, outputs, err := body.op()
			return op, place, outputs, err
		}}, nil
	case KindRestore:
		var body restoredBody
		if err := decodeBody(op, &body); err != nil {
			return nil, err
		}
		return &issue{items: body.Items, holding: body.Holding, source: w.restoredSource(body)}, nil
	}
	return &issue{}, nil
}

// bankOp is the withdrawal's id at the bank, and its outputs.
func (b *withdrawal) bankOp() ([32]byte, []coin.Output, error) {
	var request struct {
		Outputs []coin.OutputJSON `json:"outputs"`
	}
	if err := json.Unmarshal(b.Request, &request); err != nil {
		return [32]byte{}, nil, fmt.Errorf("purse: withdrawal: %w", err)
	}
	outputs, err := coin.ParseOutputsJSON(request.Outputs)
	return coin.WithdrawalOp(b.Account, outputs), outputs, err
}

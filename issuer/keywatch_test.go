package issuer_test

import (
	"context"
	"errors"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
)

// robbed is a bank one of whose keys, of value 16, a thief has too.
type robbed struct {
	*issuertest.Bank
	key   *issuertest.LeakedKey
	d     coin.Denomination
	purse *issuertest.Purse
	till  *issuertest.Till
	log   *issuertest.Log
}

func newRobbed(t *testing.T, change func(*issuer.Config)) *robbed {
	t.Helper()
	h := issuertest.NewHouse(t)
	r := &robbed{key: issuertest.NewLeakedKey(t), purse: h.NewPurse(t), log: &issuertest.Log{}}
	r.d = r.key.Denomination(t, h.Key(t, coin.Bearer, 16))
	k := h.Draft
	k.Denominations = append([]coin.Denomination{r.d}, k.Denominations...)
	r.Bank = h.NewBank(t, func(c *issuer.Config) {
		c.Keyset, c.Signer, c.Logger = h.SignKeyset(t, k), r.key.Signer(h), r.log.Logger()
		if change != nil {
			change(c)
		}
	})
	r.till = r.NewTill(t)
	return r
}

// issue issues n coins under the key, as to any holder.
func (r *robbed) issue(t *testing.T, n int) []coin.Coin {
	t.Helper()
	account, _ := r.Funded(t, coin.Amount(16*n))
	keys := make([]*coin.Denomination, n)
	for i := range keys {
		keys[i] = &r.d
	}
	batch := r.purse.PrepareUnder(t, keys...)
	signed, err := r.Withdraw(t.Context(), account, batch.Outputs)
	expect(t, err, nil)
	return batch.Finalize(t, signed.Signatures)
}

func (r *robbed) deposit(t *testing.T, c coin.Coin) error {
	t.Helper()
	offer := r.till.Offer(t, 16, nil)
	spend, authorisation := r.purse.Pay(t, offer, []coin.Coin{c}, nil)
	_, err := r.Deposit(t.Context(), r.till.Account, r.till.Deposit(offer, spend, authorisation))
	return err
}

func (r *robbed) exchange(t *testing.T, c coin.Coin) error {
	t.Helper()
	spend, authorisation := r.purse.Exchange(t, []coin.Coin{c}, r.purse.Prepare(t, 8, 8).Outputs)
	_, err := r.Exchange(t.Context(), spend, authorisation)
	return err
}

func (r *robbed) alarms() int { return len(r.log.Lines("level=ERROR", "ALARM", r.d.KeyID.String())) }

func (r *robbed) leaked(t *testing.T) bool {
	t.Helper()
	keys, err := r.KeyBalances(t.Context())
	expect(t, err, nil)
	for i := range keys {
		if keys[i].KeyID == r.d.KeyID {
			return keys[i].Leaked()
		}
	}
	t.Fatal("the key is not in the books")
	return false
}

func TestTheAlarmSoundsAtTheOperationThatRedeemsMoreThanWasIssued(t *testing.T) {
	for name, redeem := range map[string]func(*robbed, *testing.T, coin.Coin) error{
		"a deposit": (*robbed).deposit, "an exchange": (*robbed).exchange,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRobbed(t, nil)
			honest := r.issue(t, 2)
			forged := r.key.Forge(t, r.purse, &r.d, 3)
			// Forged coins are good coins, and at first hide behind honest ones.
			for _, c := range append(forged[:1:1], honest[0]) {
				expect(t, redeem(r, t, c), nil)
			}
			if r.alarms() != 0 || r.leaked(t) {
				t.Fatal("alarm although no more was redeemed than issued")
			}
			expect(t, redeem(r, t, forged[1]), nil)
			if r.alarms() != 1 {
				t.Fatal("the operation that crossed gave no alarm")
			}
			expect(t, redeem(r, t, forged[2]), nil)
			if r.alarms() != 1 {
				t.Error("the alarm sounds again and again")
			}
			if !r.leaked(t) {
				t.Error("the books do not show it")
			}
			expect(t, r.Ready(t.Context()), nil) // the bank goes on: the operator decides

			_, err := issuer.New(t.Context(), r.Config)
			expect(t, err, nil)
			if r.alarms() != 2 {
				t.Error("a bank that opens says nothing of a key that leaked before")
			}
		})
	}
}

// silentLedger applies operations and loses the answer.
type silentLedger struct {
	ledger.Ledger
	lose bool
}

func (l *silentLedger) Apply(ctx context.Context, op ledger.Op) (ledger.Outcome, error) {
	out, err := l.Ledger.Apply(ctx, op)
	if l.lose && err == nil {
		return ledger.Outcome{}, ledger.ErrUnavailable
	}
	return out, err
}

func TestALostAnswerOfTheLedgerGivesNoFalseAlarm(t *testing.T) {
	var lossy *silentLedger
	r := newRobbed(t, func(c *issuer.Config) {
		lossy = &silentLedger{Ledger: c.Ledger}
		c.Ledger = lossy
	})
	account, _ := r.Funded(t, 16)
	batch := r.purse.PrepareUnder(t, &r.d)
	lossy.lose = true
	_, err := r.Withdraw(t.Context(), account, batch.Outputs)
	expect(t, err, issuer.ErrUnavailable) // recorded all the same
	lossy.lose = false
	signed, err := r.Withdraw(t.Context(), account, batch.Outputs)
	expect(t, err, nil)
	coins := batch.Finalize(t, signed.Signatures)
	offer := r.till.Offer(t, 16, nil)
	spend, authorisation := r.purse.Pay(t, offer, coins, nil)
	lossy.lose = true
	_, err = r.Deposit(t.Context(), r.till.Account, r.till.Deposit(offer, spend, authorisation))
	expect(t, err, issuer.ErrUnavailable)
	lossy.lose = false
	for range 2 {
		_, err = r.Deposit(t.Context(), r.till.Account, r.till.Deposit(offer, spend, authorisation))
		expect(t, err, nil)
	}
	if r.alarms() != 0 {
		t.Error("false alarm")
	}
	expect(t, r.deposit(t, r.key.Forge(t, r.purse, &r.d, 1)[0]), nil)
	if r.alarms() != 1 {
		t.Error("no alarm after an answer was lost")
	}
}

// blindTotals is a ledger that can't add up.
type blindTotals struct {
	ledger.Ledger
	blind bool
}

func (l *blindTotals) Totals(ctx context.Context, prefix string) ([]ledger.Balance, error) {
	if l.blind {
		return nil, ledger.ErrUnavailable
	}
	return l.Ledger.Totals(ctx, prefix)
}

func TestASuspicionThatCannotBeConfirmedIsLoggedAndStandsOpen(t *testing.T) {
	var l *blindTotals
	r := newRobbed(t, func(c *issuer.Config) {
		l = &blindTotals{Ledger: c.Ledger}
		c.Ledger = l
	})
	forged := r.key.Forge(t, r.purse, &r.d, 2)
	l.blind = true
	expect(t, r.deposit(t, forged[0]), nil) // the deposit stands whatever comes of the look
	if r.alarms() != 0 || len(r.log.Lines("level=ERROR", "could not be asked")) != 1 {
		t.Error("the log does not say that the ledger could not be asked")
	}
	if _, err := r.KeyBalances(t.Context()); !errors.Is(err, issuer.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	l.blind = false
	expect(t, r.deposit(t, forged[1]), nil)
	if r.alarms() != 1 {
		t.Error("no alarm once the ledger can be asked again")
	}
}

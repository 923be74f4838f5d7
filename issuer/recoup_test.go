package issuer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
)

func TestARevokedCoinComesBackAsNewOnes(t *testing.T) {
	s := newRescue(t)
	coins := s.draw(t, 16, 8)
	s.revoke(t, s.kid(t, 16))
	fresh := s.purse.Prepare(t, 8, 8)
	r := s.claim(t, s.draft(t, coins[:1], fresh.Outputs...))
	signed, err := s.send(r)
	expect(t, err, nil)
	got := fresh.Finalize(t, signed.Signatures)
	s.CheckBooks(t, 76, 0, 24)

	again, err := s.send(r)
	expect(t, err, nil)
	malformed := *r
	malformed.spend = &coin.Spend{}
	*malformed.spend = *r.spend
	malformed.spend.IssuedAt = 0
	_, err = s.send(&malformed)
	expect(t, err, coin.ErrMalformed)
	// Later, when all is over, and with other outputs: the recorded answer.
	s.Clock.Set(s.keyset.Denominations[0].LegalUntil.AddDate(1, 0, 0))
	other, err := s.send(s.claim(t, s.draft(t, coins[:1], s.purse.Prepare(t, 4, 4, 8).Outputs...)))
	expect(t, err, nil)
	for _, a := range []*issuer.Signed{again, other} {
		if a.Op != signed.Op || !slices.EqualFunc(a.Signatures, signed.Signatures, bytes.Equal) {
			t.Error("the repetition got another answer")
		}
	}
	s.Clock.Set(issuertest.Now)
	op, err := s.Operation(t.Context(), signed.Op)
	expect(t, err, nil)
	if op.Kind != issuer.KindRecoup || op.State != ledger.StateDone || !slices.EqualFunc(op.Signatures, signed.Signatures, bytes.Equal) {
		t.Errorf("the operation is %+v", op)
	}
	// The new coins are good, and good coins may come along.
	spend, authorisation := s.purse.Exchange(t, []coin.Coin{got[0], coins[1]}, s.purse.Prepare(t, 8, 8).Outputs)
	_, err = s.Exchange(t.Context(), spend, authorisation)
	expect(t, err, nil)
	s.CheckBooks(t, 76, 0, 24)
	audit(t, s.Bank)
}

func TestMoneyGoesBackToTheAccountThatWithdrewTheCoins(t *testing.T) {
	s := newRescue(t)
	other, _ := s.Funded(t, 100)
	mine := s.draw(t, 16, 16, 1)
	more := s.draw(t, 16)
	theirs := s.withdraw(t, other, s.purse.Prepare(t, 16))
	change := s.purse.Prepare(t, 16)
	spend, authorisation := s.purse.Exchange(t, s.draw(t, 8, 8), change.Outputs)
	signed, err := s.Exchange(t.Context(), spend, authorisation)
	expect(t, err, nil)
	s.learn(signed.Op, change)
	changed := change.Finalize(t, signed.Signatures)
	offer := s.till.Offer(t, 1, nil)
	change = s.purse.Prepare(t, 16)
	spend, authorisation = s.purse.Pay(t, offer, s.draw(t, 16, 1), change.Outputs)
	done, err := s.Deposit(t.Context(), s.till.Account, s.till.Deposit(offer, spend, authorisation))
	expect(t, err, nil)
	s.learn(done.Op, change)
	paid := change.Finalize(t, done.Signatures)
	s.revoke(t, s.kid(t, 16))

	repay := func(amount coin.Amount, outputs []coin.Output, coins ...coin.Coin) *request {
		d := s.draft(t, coins, outputs...)
		d.Amount = amount
		return s.claim(t, d)
	}
	for name, r := range map[string]*request{
		"coins of two accounts":           repay(32, nil, mine[0], theirs[0]),
		"exchanged, that nobody withdrew": repay(16, nil, changed...),
		"a payment's change":              repay(16, nil, paid...),
		"change with what was withdrawn":  repay(32, nil, mine[0], changed[0]),
		"a good coin that may be another": repay(17, nil, mine[0], mine[2]),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.send(r)
			expect(t, err, coin.ErrClaim)
		})
	}
	s.CheckBooks(t, 102, 1, 97)

	// Two withdrawals of one account, partly for coins.
	fresh := s.purse.Prepare(t, 8, 8)
	r := repay(32, fresh.Outputs, mine[0], mine[1], more[0])
	signed, err = s.send(r)
	expect(t, err, nil)
	fresh.Finalize(t, signed.Signatures)
	s.CheckBooks(t, 134, 1, 65)
	// Somebody else's money goes to him, whoever asks.
	_, err = s.send(repay(16, nil, theirs...))
	expect(t, err, nil)
	balance, err := s.Balance(t.Context(), other.ID)
	if err != nil || balance != 100 {
		t.Errorf("balance %d, %v", balance, err)
	}
	entries, _, err := s.Entries(t.Context(), other.ID, ledger.Page{Limit: 1})
	expect(t, err, nil)
	if len(entries) != 1 || entries[0].Kind != issuer.KindRecoup || entries[0].Amount != 16 {
		t.Errorf("the statement says %+v", entries)
	}
	audit(t, s.Bank)
}

func TestCoinsOfEveryOriginAreMadeGood(t *testing.T) {
	s := newRescue(t)
	k16 := s.kid(t, 16)
	start := s.draw(t, 16, 16, 16, 1)
	origins := map[string][]coin.Coin{"a withdrawal": start[:1]}

	b := s.purse.Prepare(t, 16)
	spend, authorisation := s.purse.Exchange(t, start[1:2], b.Outputs)
	signed, err := s.Exchange(t.Context(), spend, authorisation)
	expect(t, err, nil)
	s.learn(signed.Op, b)
	origins["an exchange"] = b.Finalize(t, signed.Signatures)

	b = s.purse.Prepare(t, 16)
	offer := s.till.Offer(t, 1, nil)
	spend, authorisation = s.purse.Pay(t, offer, start[2:], b.Outputs)
	done, err := s.Deposit(t.Context(), s.till.Account, s.till.Deposit(offer, spend, authorisation))
	expect(t, err, nil)
	s.learn(done.Op, b)
	origins["a payment's change"] = b.Finalize(t, done.Signatures)

	old := s.draw(t, 8, 8)
	s.revoke(t, s.kid(t, 8))
	b = s.purse.Prepare(t, 16)
	signed, err = s.send(s.claim(t, s.draft(t, old, b.Outputs...)))
	expect(t, err, nil)
	s.learn(signed.Op, b)
	origins["a recoup"] = b.Finalize(t, signed.Signatures)

	s.revoke(t, k16)
	for name, coins := range origins {
		t.Run(name, func(t *testing.T) {
			b := s.purse.Prepare(t, 4, 4, 4, 4)
			signed, err := s.send(s.claim(t, s.draft(t, coins, b.Outputs...)))
			expect(t, err, nil)
			b.Finalize(t, signed.Signatures)
		})
	}
	if k := s.keyBalance(t, k16); k.Balance != 0 {
		t.Errorf("under the revoked key there is left %+v", k)
	}
	s.CheckBooks(t, 35, 1, 64)
	audit(t, s.Bank)
}

// TestARecoupIsRefusedWithNothingLost: what is not coin.VerifyRecoup's alone.
func TestARecoupIsRefusedWithNothingLost(t *testing.T) {
	s := newRescue(t)
	coins := s.draw(t, 16, 16)
	k16 := s.kid(t, 16)
	early := s.claimAnyway(t, coins[0])
	_, err := s.send(early)
	expect(t, err, coin.ErrNotRevoked)
	s.revoke(t, k16)
	outputs := s.purse.Prepare(t, 16-8, 8).Outputs
	base := func() *request { return s.claim(t, s.draft(t, coins[:1], outputs...)) }
	tests := []struct {
		name   string
		change func(r *request)
		want   error
	}{
		{"as an exchange", func(r *request) { r.spend.Purpose = coin.Exchange }, coin.ErrPurpose},
		{"malformed", func(r *request) { r.spend.IssuedAt = 0 }, coin.ErrMalformed},
		{"authorised by nobody", func(r *request) { r.authorisation = nil }, coin.ErrOwner},
		{"authorised for something else", func(r *request) { r.spend.IssuedAt++ }, coin.ErrOwner},
		{"with outputs of more worth", func(r *request) {
			*r = *s.claim(t, s.draft(t, coins[:1], append(slices.Clone(outputs), s.purse.Prepare(t, 1).Outputs...)...))
		}, coin.ErrAmount},
		{"with outputs of less worth", func(r *request) { *r = *s.claim(t, s.draft(t, coins[:1], outputs[1:]...)) }, coin.ErrAmount},
		{"for a coin under the same key", func(r *request) {
			*r = *s.claim(t, s.draft(t, coins[:1], s.purse.Prepare(t, 16).Outputs...))
		}, coin.ErrRevoked},
		{"in another currency", func(r *request) {
			d := s.draft(t, coins[:1], outputs...)
			d.Currency = "USD"
			*r = *s.claim(t, d)
		}, coin.ErrCurrency},
		{"without its claim", func(r *request) { r.claims = nil }, coin.ErrClaim},
		{"of an operation that never was", func(r *request) { r.claims[0].Op[0] ^= 1 }, coin.ErrClaim},
		{"of another output", func(r *request) { r.claims[0].Index = 1 }, coin.ErrClaim},
		{"of the coin's own withdrawal by another secret", func(r *request) { r.claims[0].Secret = s.claims[coins[1].ID()].Secret }, coin.ErrClaim},
		{"of a funding", func(r *request) {
			id, err := s.Fund(t.Context(), s.holder.ID, 16, "as it were")
			expect(t, err, nil)
			r.claims[0].Op = id
		}, coin.ErrClaim},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := base()
			tt.change(r)
			_, err := s.send(r)
			expect(t, err, tt.want)
		})
	}
	t.Run("of an operation that is not done", func(t *testing.T) {
		r := base()
		op, err := s.Ledger.Op(t.Context(), r.claims[0].Op)
		expect(t, err, nil)
		pending := *op
		pending.ID, pending.State, pending.Postings = [32]byte{7}, ledger.StatePending, nil
		_, err = s.Ledger.Apply(t.Context(), pending)
		expect(t, err, nil)
		r.claims[0].Op = pending.ID
		_, err = s.send(r)
		expect(t, err, coin.ErrClaim)
	})
	t.Run("after the legal end", func(t *testing.T) {
		d, err := s.keyset.Find(k16)
		expect(t, err, nil)
		s.Clock.Set(d.LegalUntil)
		defer s.Clock.Set(issuertest.Now)
		_, err = s.send(base())
		expect(t, err, coin.ErrKeyExpired)
	})
	t.Run("without a ledger", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r := base()
		_, err := s.Recoup(ctx, r.spend, r.authorisation, r.claims)
		expect(t, err, context.Canceled)
	})
	_, err = s.send(base())
	expect(t, err, nil)
}

// TestALostSignatureIsMadeGood: the key goes between the debit and the
// signature. What other keys sign does not wait for it.
func TestALostSignatureIsMadeGood(t *testing.T) {
	for name, gone := range map[string]func(*rescue, *testing.T, coin.KeyID){
		"of a key that is lost": (*rescue).lostOne,
		"of a key that was revoked and destroyed": func(s *rescue, t *testing.T, kid coin.KeyID) {
			s.revoke(t, kid)
			s.token.lose(kid)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newRescue(t)
			batch := s.purse.Prepare(t, 8, 16, 4)
			id := coin.WithdrawalOp(s.holder.ID, batch.Outputs)
			s.token.lose(s.kid(t, 16))
			_, err := s.Withdraw(t.Context(), s.holder, batch.Outputs)
			expect(t, err, issuer.ErrUnavailable) // nobody has said that it is lost
			s.CheckBooks(t, 72, 0, 28)

			gone(s, t, s.kid(t, 16))
			signed, err := s.Withdraw(t.Context(), s.holder, batch.Outputs)
			expect(t, err, nil)
			if len(signed.Signatures) != 3 || len(signed.Signatures[1]) != 0 {
				t.Fatalf("signatures %x", signed.Signatures)
			}
			op, err := s.Operation(t.Context(), id)
			expect(t, err, nil)
			if !slices.EqualFunc(op.Signatures, signed.Signatures, bytes.Equal) {
				t.Error("the operation shows other signatures")
			}
			for _, i := range []int{0, 2} {
				_, err := batch.Planchets[i].Finalize(signed.Signatures[i])
				expect(t, err, nil)
			}
			s.learn(id, batch)
			fresh := s.purse.Prepare(t, 8, 8)
			again, err := s.send(s.claim(t, s.draft(t, []coin.Coin{*batch.Planchets[1].Unsigned()}, fresh.Outputs...)))
			expect(t, err, nil)
			fresh.Finalize(t, again.Signatures)
			s.CheckBooks(t, 72, 0, 28)
		})
	}
}

func (s *rescue) lostOne(t *testing.T, kid coin.KeyID) { s.lost(t, kid) }

// TestACoinOfALostKeyIsPaidWithOrMadeGood, and not both.
func TestACoinOfALostKeyIsPaidWithOrMadeGood(t *testing.T) {
	s := newRescue(t)
	coins := s.draw(t, 16, 16)
	s.lost(t, s.kid(t, 16))
	pay := func(c coin.Coin) error {
		offer := s.till.Offer(t, 16, nil)
		spend, authorisation := s.purse.Pay(t, offer, []coin.Coin{c}, nil)
		_, err := s.Deposit(t.Context(), s.till.Account, s.till.Deposit(offer, spend, authorisation))
		return err
	}
	recoup := func(c coin.Coin) error {
		_, err := s.send(s.claim(t, s.draft(t, []coin.Coin{c}, s.purse.Prepare(t, 8, 8).Outputs...)))
		return err
	}
	expect(t, pay(coins[0]), nil)
	expect(t, recoup(coins[0]), issuer.ErrDoubleSpend)
	expect(t, recoup(coins[1]), nil)
	expect(t, pay(coins[1]), issuer.ErrDoubleSpend)
	s.CheckBooks(t, 68, 16, 16)
}

// TestARevokedKeyStillSignsWhatWasRecorded, as long as the token has it: who
// repeats a request gets the same bytes.
func TestARevokedKeyStillSignsWhatWasRecorded(t *testing.T) {
	s := newRescue(t)
	batch := s.purse.Prepare(t, 16)
	first, err := s.Withdraw(t.Context(), s.holder, batch.Outputs)
	expect(t, err, nil)
	s.revoke(t, s.kid(t, 16))
	s.Signer.FailNext.Store(1)
	_, err = s.Withdraw(t.Context(), s.holder, batch.Outputs)
	expect(t, err, issuer.ErrUnavailable) // a token that fails is not a key that is gone
	again, err := s.Withdraw(t.Context(), s.holder, batch.Outputs)
	expect(t, err, nil)
	if !bytes.Equal(first.Signatures[0], again.Signatures[0]) {
		t.Error("another answer")
	}
}

func TestARecoupThatComesManyTimesAtOnceHappensOnce(t *testing.T) {
	s := newRescue(t)
	coins := s.draw(t, 16)
	s.revoke(t, s.kid(t, 16))
	var requests []*request
	for range 8 {
		requests = append(requests, s.claim(t, s.draft(t, coins, s.purse.Prepare(t, 8, 8).Outputs...)))
	}
	answers := make([][][]byte, len(requests))
	var group sync.WaitGroup
	for i, r := range requests {
		group.Go(func() {
			signed, err := s.send(r)
			if err != nil {
				t.Error(err)
				return
			}
			answers[i] = signed.Signatures
		})
	}
	group.Wait()
	for _, a := range answers {
		if !slices.EqualFunc(a, answers[0], bytes.Equal) {
			t.Error("two answers for one coin")
		}
	}
	s.CheckBooks(t, 84, 0, 16)
}

func TestARecoupIsTakenUpAfterTheTokenFailed(t *testing.T) {
	s := newRescue(t)
	coins := s.draw(t, 16)
	s.revoke(t, s.kid(t, 16))
	fresh := s.purse.Prepare(t, 8, 8)
	r := s.claim(t, s.draft(t, coins, fresh.Outputs...))
	s.Signer.FailNext.Store(2)
	_, err := s.send(r)
	expect(t, err, issuer.ErrUnavailable)
	s.Signer.FailNext.Store(0)
	reopened, err := issuer.New(t.Context(), s.reconfigured())
	expect(t, err, nil)
	signed, err := reopened.Recoup(t.Context(), r.spend, r.authorisation, r.claims)
	expect(t, err, nil)
	fresh.Finalize(t, signed.Signatures)
	s.CheckBooks(t, 84, 0, 16)
}

func (s *rescue) reconfigured() issuer.Config {
	cfg := s.Config
	_, cfg.Keyset = s.SignedKeyset()
	return cfg
}

// TestAnAuditRecomputesRecoups: the bank's own people can't make one up.
func TestAnAuditRecomputesRecoups(t *testing.T) {
	life := func(t *testing.T) (*rescue, *shop) {
		s := newRescue(t)
		coins := s.draw(t, 16, 8)
		s.revoke(t, s.kid(t, 16), s.kid(t, 8))
		d := s.draft(t, coins)
		d.Amount = 24
		_, err := s.send(s.claim(t, d))
		expect(t, err, nil)
		audit(t, s.Bank)
		return s, &shop{Bank: s.Bank}
	}
	edit := func(t *testing.T, op *ledger.Op, change func(claims []any) []any) {
		var r map[string]any
		expect(t, json.Unmarshal(op.Request, &r), nil)
		r["claims"] = change(r["claims"].([]any))
		var err error
		op.Request, err = json.Marshal(r)
		expect(t, err, nil)
	}
	for name, change := range map[string]func(t *testing.T, s *rescue, op *ledger.Op){
		"claims of another secret": func(t *testing.T, _ *rescue, op *ledger.Op) {
			edit(t, op, func(c []any) []any { c[0].(map[string]any)["secret"] = c[1].(map[string]any)["secret"]; return c })
		},
		"a claim too few": func(t *testing.T, _ *rescue, op *ledger.Op) {
			edit(t, op, func(c []any) []any { return c[:1] })
		},
		"a claim that does not read": func(t *testing.T, _ *rescue, op *ledger.Op) {
			edit(t, op, func(c []any) []any { c[0].(map[string]any)["op"] = "x"; return c })
		},
		"money for another account": func(t *testing.T, s *rescue, op *ledger.Op) {
			other, _ := s.Funded(t, 0)
			for i := range op.Postings {
				if op.Postings[i].Account == op.Account {
					op.Postings[i].Account = other.ID
				}
			}
			op.Account = other.ID
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, forger := life(t)
			forger.tamper(t, issuer.KindRecoup, func(op *ledger.Op) {
				// Only what is altered must be wrong: as if it were the first.
				change(t, s, op)
			})
			report, err := s.Audit(t.Context(), nil)
			expect(t, err, nil)
			expect(t, report.Err(), issuer.ErrBooks)
			found := slices.ContainsFunc(report.Problems, func(p string) bool {
				return bytes.Contains([]byte(p), []byte("claim")) || bytes.Contains([]byte(p), []byte("request does not read")) ||
					bytes.Contains([]byte(p), []byte("another account"))
			})
			if !found {
				t.Errorf("the audit says %q", report.Problems)
			}
		})
	}
}

package issuer_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/opening"
)

// wreck is a bank whose customer's TPM breaks in the first epoch, and who is a
// member again, with another one, in the second.
type wreck struct {
	*rescue
	old, heir *issuertest.Member
	word      []byte // the manager's, that heir is who old was
}

func newWreck(t *testing.T, change func(*issuer.Config)) *wreck {
	t.Helper()
	h := issuertest.NewHouse(t)
	w := &wreck{rescue: &rescue{keyset: h.Keyset, purse: h.NewPurse(t), claims: map[[32]byte]coin.Claim{}}}
	var clock func() time.Time
	w.Bank = h.NewBank(t, func(c *issuer.Config) {
		w.token = &forgetful{BlindSigner: c.Signer, gone: map[coin.KeyID]bool{}}
		c.Signer, clock = w.token, c.Clock
		c.Groups = h.GroupsAt(t, clock)
		if change != nil {
			change(c)
		}
	})
	w.till = w.NewTill(t)
	w.holder, _ = w.Funded(t, 100)
	w.old, w.heir = h.AdmitKnown(t), h.AdmitFor(t, h.Contents.Next.Number)
	w.word = h.Succession(t, w.old, w.heir, h.EpochEnds())
	return w
}

// later is when the old member's time is over.
func (w *wreck) later() { w.Clock.Set(w.House.EpochEnds().Add(groupdoc.EpochSkew)) }

// bind withdraws coins bound to a member's TPM.
func (w *wreck) bind(t *testing.T, m *issuertest.Member, values ...coin.Amount) []coin.Coin {
	t.Helper()
	return w.withdraw(t, w.holder, w.purse.PrepareHeld(t, m, values...))
}

// recovery authorises the recover of coins as the heir.
func (w *wreck) recovery(t *testing.T, s coin.Spend) *request {
	t.Helper()
	return w.recoveryBy(t, w.heir, s)
}

// recoveryBy authorises it as somebody, now.
func (w *wreck) recoveryBy(t *testing.T, heir *issuertest.Member, s coin.Spend) *request {
	t.Helper()
	if s.IssuedAt == 0 {
		s.IssuedAt = w.Clock.Now().Unix()
	}
	return w.with(w.purse.AuthoriseRecover(t, heir, [][]byte{w.word}, s))
}

func (w *wreck) recover(r *request) (*issuer.Signed, error) {
	return w.Recover(context.Background(), r.spend, r.authorisation, r.claims)
}

// verifier is what a wallet or merchant checks proofs with.
func (w *wreck) verifier(t *testing.T) coin.PresentationVerifier {
	t.Helper()
	v, err := w.House.GroupsAt(t, w.Clock.Now).Verifier(t.Context(), w.House.Document(t).GroupID())
	expect(t, err, nil)
	return v
}

func (w *wreck) cases(t *testing.T) int {
	t.Helper()
	list, _, err := w.Cases(t.Context(), ledgerPage)
	expect(t, err, nil)
	return len(list)
}

func TestCoinsWhoseTPMIsGoneAreRecoveredOnce(t *testing.T) {
	w := newWreck(t, nil)
	coins := w.bind(t, w.old, 8, 4)
	fresh := w.purse.PrepareHeld(t, w.heir, 8, 4)
	good := w.recovery(t, coin.Spend{Coins: coins, ToIssuer: fresh.Outputs, IssuedAt: w.House.EpochEnds().Unix()})

	w.Clock.Set(w.House.EpochEnds().Add(groupdoc.EpochSkew - time.Second))
	var early *coin.TooEarlyError
	if _, err := w.recover(good); !errors.As(err, &early) || !early.From.Equal(w.House.EpochEnds().Add(groupdoc.EpochSkew)) {
		t.Fatalf("got %v", err)
	}
	w.later()
	_, err := w.Recoup(t.Context(), good.spend, good.authorisation, nil)
	expect(t, err, coin.ErrPurpose)
	_, err = w.Exchange(t.Context(), good.spend, good.authorisation)
	expect(t, err, coin.ErrPurpose)
	w.CheckBooks(t, 88, 0, 12)

	signed, err := w.recover(good)
	expect(t, err, nil)
	again := fresh.Finalize(t, signed.Signatures)
	w.CheckBooks(t, 88, 0, 12)
	op, err := w.Operation(t.Context(), signed.Op)
	expect(t, err, nil)
	if op.Kind != issuer.KindRecover || !slices.EqualFunc(op.Signatures, signed.Signatures, bytes.Equal) {
		t.Errorf("the operation is %+v", op)
	}

	t.Run("the same request gets the same answer, whatever expired since", func(t *testing.T) {
		w.Clock.Set(issuertest.SpendUntil.AddDate(0, 1, 0))
		defer w.later()
		answer, err := w.recover(good)
		expect(t, err, nil)
		if !slices.EqualFunc(answer.Signatures, signed.Signatures, bytes.Equal) {
			t.Error("another answer")
		}
	})
	t.Run("the same coins for other outputs get the recorded answer", func(t *testing.T) {
		other := w.recovery(t, coin.Spend{Coins: coins, ToIssuer: w.purse.PrepareHeld(t, w.heir, 4, 8).Outputs})
		answer, err := w.recover(other)
		expect(t, err, nil)
		if !slices.EqualFunc(answer.Signatures, signed.Signatures, bytes.Equal) {
			t.Error("something else was signed")
		}
	})
	t.Run("one of them is refused with a proof, and makes no case", func(t *testing.T) {
		one := w.recovery(t, coin.Spend{Coins: coins[:1], ToIssuer: w.purse.Prepare(t, 8).Outputs})
		_, err := w.recover(one)
		var double *issuer.DoubleSpendError
		if !errors.As(err, &double) {
			t.Fatalf("got %v", err)
		}
		expect(t, double.Proof.Verify(one.spend, w.keyset, w.verifier(t)), nil)
		if n := w.cases(t); n != 0 {
			t.Errorf("%d cases", n)
		}
	})
	t.Run("the old TPM's authorisation is good for nothing any more", func(t *testing.T) {
		offer := w.till.Offer(t, 12, func(o *coin.Offer) { o.Mode = coin.Offline })
		spend, a := w.purse.AuthoriseBound(t, w.old, issuertest.Payment(offer, coins, nil))
		_, err := w.Deposit(t.Context(), w.till.Account, w.till.Deposit(offer, spend, a))
		expect(t, err, group.ErrEpoch)
	})
	t.Run("what came back is spent like any other coin", func(t *testing.T) {
		batch := w.purse.Prepare(t, 8, 4)
		spend, a := w.purse.AuthoriseBound(t, w.heir, coin.Spend{
			Purpose: coin.Exchange, Bank: issuertest.BankID, Currency: issuertest.Currency, Coins: again,
			ToIssuer: batch.Outputs, IssuedAt: issuertest.Now.Unix(),
		})
		answer, err := w.Exchange(t.Context(), spend, a)
		expect(t, err, nil)
		batch.Finalize(t, answer.Signatures)
	})
	w.CheckBooks(t, 88, 0, 12)
	audit(t, w.Bank)
}

func TestWhatARecoverDoesNotGive(t *testing.T) {
	w := newWreck(t, nil)
	coins := w.bind(t, w.old, 8, 4)
	other := w.House.AdmitKnown(t)
	foreign := w.bind(t, other, 4)
	w.later()
	fresh := w.purse.Prepare(t, 8).Outputs
	for _, tt := range []struct {
		name string
		make func() *request
		want error
	}{
		{"money on an account for coins of which it is not known who withdrew them", func() *request {
			return w.recovery(t, coin.Spend{Coins: coins[:1], Amount: 8})
		}, coin.ErrClaim},
		{"another member's coins", func() *request {
			return w.recovery(t, coin.Spend{Coins: foreign, ToIssuer: w.purse.Prepare(t, 4).Outputs})
		}, coin.ErrHolding},
		{"coins, to a member whom the manager does not call the successor", func() *request {
			stranger := w.House.AdmitFor(t, w.House.Contents.Next.Number)
			return w.recoveryBy(t, stranger, coin.Spend{Coins: coins[:1], ToIssuer: fresh})
		}, coin.ErrSuccession},
		{"coins, to who holds the old TPM still", func() *request {
			return w.recoveryBy(t, w.old, coin.Spend{Coins: coins[:1], ToIssuer: fresh})
		}, coin.ErrBinding},
		{"more than they are worth", func() *request {
			return w.recovery(t, coin.Spend{Coins: coins[1:], ToIssuer: fresh})
		}, coin.ErrAmount},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := w.recover(tt.make())
			expect(t, err, tt.want)
		})
	}
	t.Run("anything, at a bank that knows no successors", func(t *testing.T) {
		config := w.Config
		v, err := w.House.Document(t).Verifier(w.Clock.Now())
		expect(t, err, nil)
		config.Groups = issuertest.Groups{Verify: coin.NewPresentationVerifier(v)}
		bank, err := issuer.New(t.Context(), config)
		expect(t, err, nil)
		r := w.recovery(t, coin.Spend{Coins: coins[:1], ToIssuer: fresh})
		_, err = bank.Recover(t.Context(), r.spend, r.authorisation, nil)
		expect(t, err, coin.ErrBinding)
	})
	w.CheckBooks(t, 84, 0, 16)
}

func TestMoneyForRecoveredCoinsGoesToWhoWithdrewThem(t *testing.T) {
	w := newWreck(t, nil)
	coins := w.bind(t, w.old, 8, 4)
	revoked := w.bind(t, w.old, 8)
	second, _ := w.Funded(t, 50)
	batch := w.purse.PrepareHeld(t, w.old, 4)
	friends := w.withdraw(t, second, batch)
	w.later()
	unsigned := func(coins ...coin.Coin) []coin.Coin {
		coins = slices.Clone(coins)
		for i := range coins {
			coins[i].Signature = nil
		}
		return coins
	}
	_, err := w.recover(w.recovery(t, coin.Spend{Coins: unsigned(coins[0], friends[0]), Amount: 12}))
	expect(t, err, coin.ErrClaim) // of two accounts
	_, err = w.recover(w.recovery(t, coin.Spend{Coins: unsigned(coins...), Amount: 12}))
	expect(t, err, nil)
	_, err = w.recover(w.recovery(t, coin.Spend{Coins: unsigned(friends...), Amount: 4}))
	expect(t, err, nil)
	w.CheckBooks(t, 142, 0, 8)
	balance, err := w.Balance(t.Context(), second.ID)
	expect(t, err, nil)
	if balance != 50 {
		t.Errorf("the friend's account holds %d", balance)
	}
	// A revoked key's signature proves nothing; the claim does.
	w.revoke(t, w.House.Key(t, coin.Bound, 8).KeyID)
	fresh := w.purse.Prepare(t, 8)
	_, err = w.recover(w.recovery(t, coin.Spend{Coins: revoked, ToIssuer: fresh.Outputs}))
	expect(t, err, coin.ErrRevoked)
	signed, err := w.recover(w.recovery(t, coin.Spend{Coins: unsigned(revoked...), ToIssuer: fresh.Outputs}))
	expect(t, err, nil)
	fresh.Finalize(t, signed.Signatures)
	w.CheckBooks(t, 142, 0, 8)
	audit(t, w.Bank)
}

// A payment that was open when the TPM broke, with a bearer coin in it.
func TestARecoverAndAPaymentOfTheSameCoinsAreOneOperation(t *testing.T) {
	for _, paidFirst := range []bool{true, false} {
		w := newWreck(t, nil)
		coins := append(w.bind(t, w.old, 8), w.draw(t, 4)...)
		offer := w.till.Offer(t, 12, func(o *coin.Offer) { o.Mode = coin.Offline })
		spend, a := w.purse.AuthoriseBound(t, w.old, issuertest.Payment(offer, coins, nil))
		deposit := w.till.Deposit(offer, spend, a)
		if paidFirst {
			_, err := w.Deposit(t.Context(), w.till.Account, deposit)
			expect(t, err, nil)
		}
		w.later()
		fresh := w.purse.Prepare(t, 8, 4)
		back := w.recovery(t, coin.Spend{Coins: coins, ToIssuer: fresh.Outputs, OfferDigest: spend.OfferDigest})
		_, err := w.recover(back)
		var void *issuer.VoidError
		if paidFirst {
			if !errors.As(err, &void) || void.Proof.Spend.Purpose != coin.Pay {
				t.Fatalf("got %v", err)
			}
			w.CheckBooks(t, 88, 12, 0)
			continue
		}
		expect(t, err, nil)
		_, err = w.Deposit(t.Context(), w.till.Account, deposit)
		if !errors.As(err, &void) || void.Proof.Spend.Purpose != coin.Recover {
			t.Fatalf("got %v", err)
		}
		expect(t, void.Proof.Verify(deposit.Spend, w.keyset, w.verifier(t)), nil)
		if n := w.cases(t); n != 0 {
			t.Errorf("%d cases", n)
		}
		w.CheckBooks(t, 88, 0, 12)
		audit(t, w.Bank)
	}
}

// hasty takes a successor at his manager's word that the old member's time was
// over long ago, while it takes the old member's presentations too.
type hasty struct{ issuer.Groups }

func (h hasty) Verifier(ctx context.Context, id [32]byte) (coin.PresentationVerifier, error) {
	v, err := h.Groups.Verifier(ctx, id)
	if err != nil {
		return nil, err
	}
	return coin.WithSuccessors(v, timeless{v.(coin.Successors)}), nil
}

type timeless struct{ coin.Successors }

func (s timeless) Succession(jws []byte, at time.Time) (from, to [33]byte, over time.Time, err error) {
	from, to, _, err = s.Successors.Succession(jws, at)
	return from, to, over, err
}

func (s timeless) Signer(it group.Item, key [32]byte) (tag [33]byte, over time.Time, err error) {
	tag, _, err = s.Successors.Signer(it, key)
	return tag, over, err
}

// Whatever a manager says, the coin is spent once; and who took it and comes
// second has it on paper.
func TestARecoverThatRacesWithPaymentsPaysOnce(t *testing.T) {
	w := newWreck(t, func(c *issuer.Config) { c.Groups = hasty{c.Groups} })
	w.heir = w.House.AdmitKnown(t)
	w.word = w.House.Succession(t, w.old, w.heir, w.House.EpochEnds())
	recovered, paid := 0, 0
	for range 8 {
		coins := w.bind(t, w.old, 8)
		var group sync.WaitGroup
		var mu sync.Mutex
		wins := 0
		run := func(counter *int, f func() error) {
			group.Go(func() {
				err := f()
				mu.Lock()
				defer mu.Unlock()
				var double *issuer.DoubleSpendError
				var void *issuer.VoidError
				switch {
				case err == nil:
					wins++
					*counter++
				case errors.As(err, &double), errors.As(err, &void):
				default:
					t.Error(err)
				}
			})
		}
		offer := w.till.Offer(t, 8, nil)
		spend, a := w.purse.AuthoriseBound(t, w.old, issuertest.Payment(offer, coins, nil))
		deposit := w.till.Deposit(offer, spend, a)
		back := w.recovery(t, coin.Spend{Coins: coins, ToIssuer: w.purse.Prepare(t, 8).Outputs})
		again := w.recovery(t, coin.Spend{Coins: coins, ToIssuer: w.purse.Prepare(t, 4, 4).Outputs, OfferDigest: [32]byte{1}})
		run(&paid, func() error {
			_, err := w.Deposit(context.Background(), w.till.Account, deposit)
			return err
		})
		run(&recovered, func() error { _, err := w.recover(back); return err })
		run(&recovered, func() error { _, err := w.recover(again); return err })
		group.Wait()
		if wins != 1 {
			t.Fatalf("%d of three that want the same coin got it", wins)
		}
	}
	w.CheckBooks(t, 100-64, int64(8*paid), int64(8*recovered))
	audit(t, w.Bank)
}

func TestAMerchantWhoComesAfterAHastyRecoverHasACase(t *testing.T) {
	w := newWreck(t, func(c *issuer.Config) { c.Groups = hasty{c.Groups} })
	w.heir = w.House.AdmitKnown(t)
	w.word = w.House.Succession(t, w.old, w.heir, issuertest.Now.AddDate(0, 0, -1))
	coins := w.bind(t, w.old, 8)
	offer := w.till.Offer(t, 8, nil)
	spend, a := w.purse.AuthoriseBound(t, w.old, issuertest.Payment(offer, coins, nil))
	_, err := w.recover(w.recovery(t, coin.Spend{Coins: coins, ToIssuer: w.purse.Prepare(t, 8).Outputs}))
	expect(t, err, nil)
	_, err = w.Deposit(t.Context(), w.till.Account, w.till.Deposit(offer, spend, a))
	var double *issuer.DoubleSpendError
	if !errors.As(err, &double) {
		t.Fatalf("got %v", err)
	}
	expect(t, double.Proof.Verify(spend, w.keyset, w.verifier(t)), nil)
	cases, _, err := w.Cases(t.Context(), ledgerPage)
	expect(t, err, nil)
	if len(cases) != 1 {
		t.Fatalf("%d cases", len(cases))
	}
	papers, err := opening.ReadPapers(w.House.Root, w.House.KeysetJWS, w.House.Sign(t), issuertest.Now)
	expect(t, err, nil)
	file, err := opening.ParseCase(cases[0].JSON)
	expect(t, err, nil)
	expect(t, file.Verify(papers), nil)
	audit(t, w.Bank)
}

func TestATraceFindsWhatAFormerMemberRecovered(t *testing.T) {
	w := newWreck(t, nil)
	coins := w.bind(t, w.old, 8)
	w.later()
	signed, err := w.recover(w.recovery(t, coin.Spend{Coins: coins, ToIssuer: w.purse.Prepare(t, 8).Outputs}))
	expect(t, err, nil)
	for name, m := range map[string]*issuertest.Member{"the old membership": w.old, "the new one": w.heir} {
		tau := token(t, w.House, m)
		report, err := w.Trace(t.Context(), w.House.Document(t).GroupID(), func(p *group.Presentation) bool { return group.Trace(tau, p) }, nil)
		expect(t, err, nil)
		if len(report.Hits) != 1 || report.Hits[0].Op != signed.Op || report.Hits[0].Kind != issuer.KindRecover {
			t.Errorf("%s: %+v", name, report)
		}
	}
}

package issuer_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
)

// guessing is a merchant with a hold, who has not the payer's consent.
type guessing struct {
	*shop
	right *issuer.DepositRequest
	until time.Time
}

func newGuessing(t *testing.T) *guessing {
	t.Helper()
	g := &guessing{shop: newShop(t), until: issuertest.Now.Add(time.Minute)}
	_, _, g.right = g.payment(t)
	_, err := g.Hold(t.Context(), g.till.Account, holdOf(g.right))
	expect(t, err, nil)
	return g
}

// acts are the kinds of what was recorded about merchants, newest first.
func acts(t *testing.T, b *issuer.Bank) (kinds []string, list []issuer.Act) {
	t.Helper()
	list, _, err := b.Acts(t.Context(), ledgerPage)
	expect(t, err, nil)
	for _, a := range list {
		kinds = append(kinds, a.Kind)
	}
	return kinds, list
}

func wantActs(t *testing.T, b *issuer.Bank, want ...string) []issuer.Act {
	t.Helper()
	kinds, list := acts(t, b)
	if !slices.Equal(kinds, want) {
		t.Fatalf("recorded %v, want %v", kinds, want)
	}
	return list
}

// account is the merchant as his next request finds him.
func (g *guessing) account(t *testing.T) *issuer.Account {
	t.Helper()
	a, err := g.Authenticate(t.Context(), g.till.Token)
	expect(t, err, nil)
	return a
}

func TestAMerchantWhoGuessesIsSuspendedAndItsHoldAnswersNothing(t *testing.T) {
	g := newGuessing(t)
	ctx := t.Context()
	for _, n := range []byte{0, 0, 1, 1} { // two different ones
		_, err := g.Deposit(ctx, g.till.Account, breakBearer(g.right, n))
		expect(t, err, coin.ErrOwner)
	}
	wantActs(t, g.Bank.Bank, "strike", "strike")
	if g.account(t).Suspended {
		t.Fatal("suspended too early")
	}
	_, err := g.Deposit(ctx, g.till.Account, breakBearer(g.right, 2))
	wantHeld(t, err, g.until, true)
	list := wantActs(t, g.Bank.Bank, "suspension", "strike", "strike", "strike")
	if a := list[0]; a.Account != g.till.Account.ID || a.Hold != g.right.Spend.Op() || !strings.Contains(a.Reason, "3 wrong authorisations") {
		t.Errorf("the suspension says %+v", a)
	}
	if a := list[1]; a.Hold != g.right.Spend.Op() || !strings.Contains(string(a.Deposit), `"spend"`) || !strings.Contains(a.Reason, "owner") {
		t.Errorf("the strike says %+v", a)
	}
	// The right one comes too late, to him and to one who does not know yet that
	// he is suspended.
	for _, account := range []*issuer.Account{g.till.Account, g.account(t)} {
		_, err = g.Deposit(ctx, account, g.right)
		wantHeld(t, err, g.until, true)
	}
	_, err = g.Hold(ctx, g.till.Account, holdOf(g.right))
	wantHeld(t, err, g.until, true)
	wantHeld(t, g.ReleaseHold(ctx, g.till.Account, g.right.Spend.Op()), g.until, true)
	account := g.account(t)
	if !account.Suspended || account.Reason != list[0].Reason {
		t.Errorf("the account is %+v", account)
	}
	g.CheckBooks(t, 0, 0, 15)

	// The operator has the last word, and the hold still lasts.
	expect(t, g.Reinstate(ctx, g.till.Account.ID, "he had a bad cable"), nil)
	_, err = g.Deposit(ctx, g.account(t), g.right)
	wantHeld(t, err, g.until, true)
	if g.account(t).Suspended {
		t.Fatal("suspended again for the same hold")
	}
	g.Clock.Set(g.until)
	_, err = g.Deposit(ctx, g.account(t), g.right)
	expect(t, err, nil)
	wantActs(t, g.Bank.Bank, "reinstatement", "suspension", "strike", "strike", "strike")
	r, err := g.Audit(ctx, nil)
	expect(t, err, nil)
	expect(t, r.Err(), nil)
}

func TestASuspendedMerchantIsToldSoOnceTheHoldEnded(t *testing.T) {
	g := newGuessing(t)
	for n := range byte(3) {
		_, _ = g.Deposit(t.Context(), g.till.Account, breakBearer(g.right, n))
	}
	g.Clock.Set(g.until)
	_, err := g.Deposit(t.Context(), g.account(t), g.right)
	expect(t, err, issuer.ErrSuspended)
}

func TestNobodyGetsAnHonestMerchantSuspended(t *testing.T) {
	tests := map[string]func(t *testing.T, g *guessing, n byte) error{
		"a stranger with the offer, at his own account": func(t *testing.T, g *guessing, n byte) error {
			_, err := g.Deposit(t.Context(), g.NewTill(t).Account, breakBearer(g.right, n))
			return err
		},
		"somebody who exchanges without consent": func(t *testing.T, g *guessing, n byte) error {
			s, a := g.purse.Exchange(t, g.coins[:1], g.purse.Prepare(t, 8).Outputs)
			a.Bearer[0][n] ^= 1
			_, err := g.Exchange(t.Context(), s, a)
			return err
		},
		"a void without consent": func(t *testing.T, g *guessing, n byte) error {
			s := *g.right.Spend
			s.Purpose, s.Amount, s.ToIssuer = coin.Void, 0, g.purse.Prepare(t, 8, 4).Outputs
			_, err := g.Exchange(t.Context(), &s, breakBearer(g.right, n).Authorisation)
			return err
		},
		"a payer whose wrong payment the merchant's own check refuses, so it never comes": func(t *testing.T, g *guessing, n byte) error {
			wrong := breakBearer(g.right, n)
			return coin.Verify(wrong.Spend, wrong.Authorisation, g.House.Keyset, nil, issuertest.Now)
		},
		"terms that are wrong, and not the authorisation": func(t *testing.T, g *guessing, n byte) error {
			r := *g.right
			r.PayeeSalt[n] ^= 1
			_, err := g.Deposit(t.Context(), g.till.Account, &r)
			return err
		},
		"without a hold": func(t *testing.T, g *guessing, n byte) error {
			offer := g.till.Offer(t, 2, nil)
			s, a := g.purse.Pay(t, offer, g.coins[2:3], nil)
			_, err := g.Deposit(t.Context(), g.till.Account, breakBearer(g.till.Deposit(offer, s, a), n))
			return err
		},
		"after the hold": func(t *testing.T, g *guessing, n byte) error {
			g.Clock.Set(g.until)
			_, err := g.Deposit(t.Context(), g.till.Account, breakBearer(g.right, n))
			g.Clock.Set(issuertest.Now)
			return err
		},
		"the same wrong request again and again": func(t *testing.T, g *guessing, _ byte) error {
			_, err := g.Deposit(t.Context(), g.till.Account, breakBearer(g.right, 0))
			return err
		},
	}
	for name, attempt := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGuessing(t)
			for n := range byte(5) {
				if err := attempt(t, g, n); err == nil {
					t.Fatal("a wrong authorisation was taken")
				}
			}
			if g.account(t).Suspended {
				t.Fatal("an honest merchant is suspended")
			}
			_, err := g.Deposit(t.Context(), g.account(t), g.right)
			expect(t, err, nil)
			// An old request that is replayed strikes nobody either.
			_, err = g.Deposit(t.Context(), g.account(t), breakBearer(g.right, 7))
			expect(t, err, nil)
			if kinds, _ := acts(t, g.Bank.Bank); len(kinds) > 1 {
				t.Errorf("recorded %v", kinds)
			}
		})
	}
}

func TestWrongPresentationsAreStrikesAndTroublesOfTheBankAreNot(t *testing.T) {
	s := newBoundShop(t)
	ctx := t.Context()
	known := s.House.AdmitKnown(t)
	s.member = known
	s.bound = s.strike(t, known, 8, 4)
	right := s.pay(t, s.till, 12, s.bound...)
	_, err := s.Hold(ctx, s.till.Account, holdOf(right))
	expect(t, err, nil)
	withGroups := func(g issuer.Groups) *issuer.Bank {
		config := s.Config
		config.Groups = g
		bank, err := issuer.New(ctx, config)
		expect(t, err, nil)
		return bank
	}
	verifier := func(epoch uint64) coin.PresentationVerifier {
		v, err := group.NewVerifier(s.House.Document(t).Parameters(), epoch)
		expect(t, err, nil)
		return coin.NewPresentationVerifier(v)
	}
	current := s.House.Contents.Current.Number
	expelled := refusingGroups{s.Config.Groups.(issuertest.Groups), struckOff{token(t, s.House, known)}}
	expect(t, err, nil)
	foreign := issuertest.Groups{Err: coin.ErrBinding}
	notStrikes := map[string]struct {
		bank *issuer.Bank
		want error
	}{
		"a member who was expelled between check and deposit":  {withGroups(expelled), coin.ErrExpelled},
		"an epoch that the bank knows of and the till did not": {withGroups(issuertest.Groups{Verify: verifier(current + 1)}), group.ErrEpoch},
		"an epoch that the bank does not know of yet":          {withGroups(issuertest.Groups{Verify: verifier(current - 1)}), group.ErrEpoch},
		"a group that the bank takes no more":                  {withGroups(foreign), coin.ErrBinding},
		"a bank without groups":                                {withGroups(nil), coin.ErrBinding},
		"a bank that can't ask":                                {withGroups(issuertest.Groups{Err: issuer.ErrUnavailable}), issuer.ErrUnavailable},
	}
	for name, tt := range notStrikes {
		t.Run(name, func(t *testing.T) {
			for range 4 {
				_, err := tt.bank.Deposit(ctx, s.till.Account, s.reauthorised(t, right))
				expect(t, err, tt.want)
			}
			wantActs(t, tt.bank)
		})
	}
	wrong := map[string]func(r *issuer.DepositRequest){
		"a flipped bit": func(r *issuer.DepositRequest) { r.Authorisation.Presentation[400] ^= 1 },
		"a presentation over another spend": func(r *issuer.DepositRequest) {
			r.Authorisation.Presentation = s.pay(t, s.till, 12, s.bound...).Authorisation.Presentation
		},
		"a presentation that is none at all": func(r *issuer.DepositRequest) { r.Authorisation.Presentation = []byte{1} },
	}
	n := 0
	for name, change := range wrong {
		t.Run("strike: "+name, func(t *testing.T) {
			r := *right
			r.Authorisation = &coin.Authorisation{Presentation: bytes.Clone(right.Authorisation.Presentation)}
			change(&r)
			_, err := s.Deposit(ctx, s.till.Account, &r)
			if n++; n < 3 {
				expect(t, err, coin.ErrBinding)
			} else {
				wantHeld(t, err, issuertest.Now.Add(time.Minute), true)
			}
			if kinds, _ := acts(t, s.Bank.Bank); !slices.Contains(kinds, "strike") {
				t.Fatal("no strike")
			}
		})
	}
	r, err := s.Audit(ctx, nil)
	expect(t, err, nil)
	expect(t, r.Err(), nil)
}

// reauthorised is the same payment with other bytes of consent.
func (s *boundShop) reauthorised(t *testing.T, r *issuer.DepositRequest) *issuer.DepositRequest {
	t.Helper()
	out := *r
	out.Spend, out.Authorisation = s.purse.AuthoriseBound(t, s.member, *r.Spend)
	return &out
}

// TestStrikesAreCountedRightByManyProcesses: three banks on one ledger are
// guessed at all at once.
func TestStrikesAreCountedRightByManyProcesses(t *testing.T) {
	g := newGuessing(t)
	banks := []*issuer.Bank{g.Bank.Bank}
	for range 2 {
		b, err := issuer.New(t.Context(), g.Config)
		expect(t, err, nil)
		banks = append(banks, b)
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	told := 0 // how often the merchant learned that he was wrong
	for n := range byte(12) {
		for _, b := range banks {
			wait.Go(func() {
				_, err := b.Deposit(t.Context(), g.till.Account, breakBearer(g.right, n))
				mu.Lock()
				defer mu.Unlock()
				if errors.Is(err, coin.ErrOwner) {
					told++
				} else if !errors.Is(err, issuer.ErrHeld) {
					t.Error(err)
				}
			})
		}
	}
	wait.Wait()
	if told > 2*len(banks) {
		t.Errorf("%d guesses were answered", told)
	}
	_, err := banks[1].Deposit(t.Context(), g.till.Account, g.right)
	wantHeld(t, err, g.until, true)
	suspensions := 0
	kinds, _ := acts(t, g.Bank.Bank)
	for _, k := range kinds {
		if k == issuer.KindSuspension {
			suspensions++
		}
	}
	if suspensions != 1 || !g.account(t).Suspended {
		t.Errorf("%d suspensions; account %+v", suspensions, g.account(t))
	}
}

// faultyLedger is the real ledger, which fails at one step.
type faultyLedger struct {
	ledger.Ledger
	fail func(step string) bool
}

var errStep = errors.New("the power went")

func (f *faultyLedger) step(name string) error {
	if f.fail(name) {
		return errors.Join(ledger.ErrUnavailable, errStep)
	}
	return nil
}

func (f *faultyLedger) Apply(ctx context.Context, op ledger.Op) (ledger.Outcome, error) {
	if err := f.step("before " + op.Kind); err != nil {
		return ledger.Outcome{}, err
	}
	out, err := f.Ledger.Apply(ctx, op)
	return out, errors.Join(err, f.step("after "+op.Kind))
}

func (f *faultyLedger) Strike(ctx context.Context, id ledger.ID, try [32]byte) (*ledger.Hold, error) {
	if err := f.step("before count"); err != nil {
		return nil, err
	}
	h, err := f.Ledger.Strike(ctx, id, try)
	return h, errors.Join(err, f.step("after count"))
}

func (f *faultyLedger) UpdateAccount(ctx context.Context, a ledger.Account) error {
	if err := f.step("before account"); err != nil {
		return err
	}
	return errors.Join(f.Ledger.UpdateAccount(ctx, a), f.step("after account"))
}

func TestACrashBetweenTheStepsOfAStrikeLosesNothing(t *testing.T) {
	steps := []string{
		"before strike", "after strike", "before count", "after count", "before account", "after account",
		"before suspension", "after suspension",
	}
	for _, step := range steps {
		for _, how := range []string{"he repeats the request", "he waits for the hold's end"} {
			t.Run(step+", "+how, func(t *testing.T) {
				g := newGuessing(t)
				for n := range byte(2) {
					_, err := g.Deposit(t.Context(), g.till.Account, breakBearer(g.right, n))
					expect(t, err, coin.ErrOwner)
				}
				works, crashed := false, false
				config := g.Config
				config.Ledger = &faultyLedger{g.Ledger, func(s string) bool { crashed = crashed || works && s == step; return crashed }}
				dying, err := issuer.New(t.Context(), config)
				expect(t, err, nil)
				works = true
				_, err = dying.Deposit(t.Context(), g.till.Account, breakBearer(g.right, 2))
				expect(t, err, issuer.ErrUnavailable)

				if how == "he waits for the hold's end" {
					g.Clock.Set(g.until.Add(time.Hour))
				}
				bank, err := issuer.New(t.Context(), g.Config)
				expect(t, err, nil)
				if how == "he repeats the request" {
					_, err = bank.Deposit(t.Context(), g.till.Account, breakBearer(g.right, 2))
					wantHeld(t, err, g.until, true)
				} else if step == "before strike" {
					return // nothing had happened
				}
				if a := g.account(t); !a.Suspended || a.Reason == "" {
					t.Errorf("the merchant is %+v", a)
				}
				wantActs(t, bank, "suspension", "strike", "strike", "strike")
				// And the operator's word is not undone by another start.
				expect(t, bank.Reinstate(t.Context(), g.till.Account.ID, "looked into it"), nil)
				_, err = issuer.New(t.Context(), g.Config)
				expect(t, err, nil)
				if g.account(t).Suspended {
					t.Error("suspended again")
				}
				r, err := bank.Audit(t.Context(), nil)
				expect(t, err, nil)
				expect(t, r.Err(), nil)
			})
		}
	}
}

package wallet_test

import (
	"flag"
	"net/http"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// TestNothingIsLostOrDoubled plays random lives of a purse over a wire that
// loses requests and answers, with crashes in between, and counts the money
// when everything is settled: purse + account + tills is what there was.
func TestNothingIsLostOrDoubled(t *testing.T) {
	lives(t, 25)
	town := wallettest.New(t)
	shops := []*wallettest.Shop{town.NewShop(t), town.NewShop(t)}
	must(t, shops[1].SetLimits(t.Context(), merchant.Limits{Sale: 30, Total: 60, Bearer: true}))
	rapid.Check(t, func(r *rapid.T) {
		l := &life{t: t, r: r, town: town, shops: shops, alice: town.NewHolder(t, 200), kinds: []coin.Kind{coin.Bearer}}
		l.friend = town.NewHolder(t, 0)
		l.play()
	})
	town.CheckBooks(t)
}

// TestNothingIsLostOrDoubledOfBoundCoins is the same with coins of both kinds.
// There is one TPM, so one purse lives all the lives.
func TestNothingIsLostOrDoubledOfBoundCoins(t *testing.T) {
	lives(t, 8)
	town := wallettest.New(t)
	shops := []*wallettest.Shop{town.NewShop(t), town.NewShop(t)}
	must(t, shops[1].SetLimits(t.Context(), merchant.Limits{Sale: 30, Total: 60}))
	alice := town.NewHolder(t, 0)
	alice.Enrol(t, registrationtest.TPMA)
	rapid.Check(t, func(r *rapid.T) {
		town.Fund(t, alice.Account, 100)
		l := &life{t: t, r: r, town: town, shops: shops, alice: alice, kinds: []coin.Kind{coin.Bearer, coin.Bound}}
		l.play()
	})
	if n := town.Cases(t); n != 0 {
		t.Errorf("an honest holder has %d cases against him", n)
	}
	town.CheckBooks(t)
}

// TestNothingIsLostWhenKeysAre is the same while the bank's keys are revoked and
// lost, a town for each life.
func TestNothingIsLostWhenKeysAre(t *testing.T) {
	lives(t, 8)
	rapid.Check(t, func(r *rapid.T) {
		town := wallettest.New(t)
		l := &life{t: t, r: r, town: town, shops: []*wallettest.Shop{town.NewShop(t)}, alice: town.NewHolder(t, 200), kinds: []coin.Kind{coin.Bearer}, ruin: true}
		l.play()
		town.CheckBooks(t)
	})
}

// lives sets how many lives are played, and how long they are, if the command line
// does not say.
func lives(t *testing.T, n int) {
	t.Helper()
	for name, n := range map[string]int{"rapid.checks": max(2, n/slower), "rapid.steps": max(12, 30/slower)} {
		f := flag.Lookup(name)
		if f.Value.String() != f.DefValue {
			continue
		}
		must(t, f.Value.Set(strconv.Itoa(n)))
		t.Cleanup(func() { must(t, f.Value.Set(f.DefValue)) })
	}
}

// life is one purse's.
type life struct {
	t     *testing.T
	r     *rapid.T
	town  *wallettest.Town
	shops []*wallettest.Shop
	alice *wallettest.Holder
	kinds []coin.Kind
	links []string

	friend    *wallettest.Holder // who gets envelopes; nil is nobody
	envelopes []string
	ruin      bool // keys are revoked and lost

	fortune coin.Amount // all that there is to begin with
}

// wealth is what everybody has together; promised coins aren't counted.
func (l *life) wealth() coin.Amount {
	fresh, _ := l.alice.Worth(l.t)
	if l.friend != nil {
		friends, _ := l.friend.Worth(l.t)
		fresh += friends
	}
	return fresh + l.town.Balance(l.t, l.alice.Account) + l.tills()
}

func (l *life) tills() (sum coin.Amount) {
	for _, s := range l.shops {
		sum += l.town.Balance(l.t, s.Account)
	}
	return sum
}

// storm makes every wire lose what the generator says.
func (l *life) storm(on bool) {
	wires := []*wallettest.Wire{l.alice.Wire}
	if l.friend != nil {
		wires = append(wires, l.friend.Wire)
	}
	for _, s := range l.shops {
		wires = append(wires, s.Wire)
	}
	for _, w := range wires {
		if !on {
			w.Decree(nil)
			continue
		}
		w.Decree(func(*http.Request) wallettest.Fate {
			return rapid.SampledFrom([]wallettest.Fate{
				wallettest.Deliver, wallettest.Deliver, wallettest.LoseRequest, wallettest.LoseAnswer,
			}).Draw(l.r, "fate")
		})
	}
}

func (l *life) play() {
	l.storm(false) // a life that failed may have left one
	l.fortune = l.wealth()
	l.storm(true)
	kind := rapid.SampledFrom(l.kinds)
	actions := map[string]func(*rapid.T){
		"withdraw": func(r *rapid.T) {
			amount := coin.Amount(rapid.IntRange(1, 60).Draw(r, "amount"))
			_, _ = l.alice.Withdraw(l.t.Context(), amount, kind.Draw(r, "kind"), wallet.Steps{})
		},
		"pay": func(r *rapid.T) {
			l.storm(false) // offers are no money
			shop := rapid.SampledFrom(l.shops).Draw(r, "shop")
			l.links = append(l.links, shop.Ask(l.t, coin.Amount(rapid.IntRange(1, 40).Draw(r, "price"))))
			l.storm(true)
			_, _ = l.alice.Pay(l.t.Context(), l.links[len(l.links)-1])
		},
		"pay again": func(r *rapid.T) {
			if len(l.links) > 0 {
				_, _ = l.alice.Pay(l.t.Context(), rapid.SampledFrom(l.links).Draw(r, "link"))
			}
		},
		"exchange": func(r *rapid.T) { _, _ = l.alice.Exchange(l.t.Context(), kind.Draw(r, "kind")) },
		"reclaim": func(r *rapid.T) {
			ops, err := l.alice.History(l.t.Context())
			must(l.t, err)
			for _, op := range ops {
				if (op.Kind == wallet.KindPay || op.Kind == wallet.KindSend) && rapid.Bool().Draw(r, "this one") {
					reclaim := l.alice.Reclaim
					if op.Kind == wallet.KindPay && rapid.Bool().Draw(r, "though it is accepted") {
						reclaim = l.alice.ReclaimAccepted
					}
					_ = reclaim(l.t.Context(), op.ID)
					return
				}
			}
		},
		"resume": func(*rapid.T) { _, _ = l.alice.Resume(l.t.Context()) },
		"the wallet crashes": func(*rapid.T) {
			l.storm(false)
			l.alice.Reopen(l.t)
			attach(l.t, l.town, l.alice)
			l.storm(true)
		},
		"a till crashes": func(r *rapid.T) { rapid.SampledFrom(l.shops).Draw(r, "shop").Reopen(l.t) },
		"a till resumes": func(r *rapid.T) { _ = rapid.SampledFrom(l.shops).Draw(r, "shop").Resume(l.t.Context()) },
		"":               func(*rapid.T) { l.atMost() },
	}
	if l.ruin {
		actions["a key is gone"] = l.loseKey
		actions["recoup"] = func(r *rapid.T) { _, _ = l.recoup(rapid.Bool().Draw(r, "to the account")) }
	}
	if l.friend != nil {
		l.give(actions)
	}
	l.r.Repeat(actions)
	l.storm(false)
	l.settle()
}

// give adds what passes between Alice and her friend.
func (l *life) give(actions map[string]func(*rapid.T)) {
	actions["send"] = func(r *rapid.T) {
		s, err := l.alice.Send(l.t.Context(), coin.Amount(rapid.IntRange(1, 30).Draw(r, "gift")))
		if err != nil {
			return
		}
		text, err := s.Envelope.Text()
		must(l.t, err)
		l.envelopes = append(l.envelopes, text)
	}
	actions["receive"] = func(r *rapid.T) {
		if len(l.envelopes) > 0 {
			_, _ = l.friend.Receive(l.t.Context(), rapid.SampledFrom(l.envelopes).Draw(r, "envelope"), rapid.Bool().Draw(r, "rest"))
		}
	}
	actions["receive a part"] = func(r *rapid.T) {
		if len(l.envelopes) == 0 {
			return
		}
		e, err := coin.ParseEnvelope(rapid.SampledFrom(l.envelopes).Draw(r, "envelope"))
		must(l.t, err)
		c := rapid.SampledFrom(e.Coins).Draw(r, "coin")
		e.Coins = []coin.EnvelopeCoin{c}
		for _, v := range wallettest.Values() {
			if l.town.Key(l.t, coin.Bearer, v).KeyID == c.Coin.KeyID {
				e.Amount = v
			}
		}
		text, err := e.Text()
		must(l.t, err)
		_, _ = l.friend.Receive(l.t.Context(), text, false)
	}
	actions["look after envelopes"] = func(*rapid.T) { _ = l.alice.CheckSent(l.t.Context()) }
	actions["the friend crashes"] = func(*rapid.T) { l.friend.Reopen(l.t) }
}

// comeBack settles what passed between them: the friend finishes what he began,
// and Alice takes back what nobody opened.
func (l *life) comeBack() (ops []wallet.Operation) {
	if l.friend == nil {
		return nil
	}
	for range 2 {
		_, _ = l.friend.Resume(l.t.Context())
	}
	must(l.t, l.alice.CheckSent(l.t.Context()))
	all, err := l.alice.History(l.t.Context())
	must(l.t, err)
	for _, op := range all {
		if op.Kind == wallet.KindSend && op.State == wallet.OpSubmitted {
			if err := l.alice.Reclaim(l.t.Context(), op.ID); err != nil && !errorsIs(err, wallet.ErrReceived) {
				l.r.Fatal(err)
			}
		}
	}
	ops, err = l.friend.History(l.t.Context())
	must(l.t, err)
	return ops
}

// loseKey revokes or loses a key; that of value 1 stays.
func (l *life) loseKey(r *rapid.T) {
	gone := l.town.Revoke
	if rapid.Bool().Draw(r, "lost") {
		gone = l.town.Lose
	}
	gone(l.t, coin.Bearer, rapid.SampledFrom(wallettest.Values()[1:]).Draw(r, "value"))
}

func (l *life) recoup(toAccount bool) (*wallet.Recouped, error) {
	plan, err := l.alice.Recoupable(l.t.Context())
	if err != nil {
		return nil, err
	}
	return l.alice.Recoup(l.t.Context(), plan, toAccount)
}

// salvage does what a person would: has coins made good, and takes back
// payments that the till refuses, as those with change under a revoked key.
func (l *life) salvage() {
	_, err := l.recoup(false)
	if err != nil && !errorsIs(err, wallet.ErrSpent) {
		l.r.Fatal(err)
	}
	ops, err := l.alice.History(l.t.Context())
	must(l.t, err)
	for _, op := range ops {
		if op.Kind == wallet.KindPay && op.State == wallet.OpSubmitted {
			_ = l.alice.Reclaim(l.t.Context(), op.ID)
		}
	}
	_, _ = l.alice.Resume(l.t.Context())
}

// atMost: at no time can more be spent than there is.
func (l *life) atMost() {
	if sum := l.wealth(); sum > l.fortune {
		l.r.Fatalf("%d of %d", sum, l.fortune)
	}
}

// settle waits for the end of the storm.
func (l *life) settle() {
	for _, s := range l.shops {
		must(l.t, s.Resume(l.t.Context()))
	}
	for range 2 { // a payment may be found dead by another's conflict
		_, _ = l.alice.Resume(l.t.Context())
	}
	for range 2 { // a conflict may take up an exchange that was given up for lost
		if l.ruin {
			l.salvage()
		}
	}
	ops := l.comeBack()
	own, err := l.alice.History(l.t.Context())
	must(l.t, err)
	for _, op := range append(ops, own...) {
		if op.State != wallet.OpDone && op.State != wallet.OpRefused {
			l.r.Fatalf("%s %s is %s for ever", op.Kind, op.ID, op.State)
		}
	}
	fresh, committed := l.alice.Worth(l.t)
	if sum := l.wealth(); committed != 0 || sum != l.fortune {
		l.r.Fatalf("there are %d, and %d promised, of %d", sum, committed, l.fortune)
	}
	// Every coin in the purse is one that the bank takes.
	for _, kind := range l.kinds {
		_, err := l.alice.Exchange(l.t.Context(), kind)
		if err != nil && !errorsIs(err, wallet.ErrFunds) {
			l.r.Fatalf("%d of false coins: %v", fresh, err)
		}
	}
	if again, _ := l.alice.Worth(l.t); again != fresh {
		l.r.Fatalf("%d became %d", fresh, again)
	}
}

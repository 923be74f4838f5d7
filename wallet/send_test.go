package wallet_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// friends are Alice with 32 in bearer coins of 16, and Bob with nothing.
func friends(t *testing.T) (town *wallettest.Town, alice, bob *wallettest.Holder) {
	t.Helper()
	town = wallettest.New(t)
	alice, bob = town.NewHolder(t, 100), town.NewHolder(t, 0)
	alice.Draw(t, 32, coin.Bearer)
	return town, alice, bob
}

func send(t *testing.T, h *wallettest.Holder, amount coin.Amount) (*wallet.Sent, string) {
	t.Helper()
	s, err := h.Send(t.Context(), amount)
	must(t, err)
	text, err := s.Envelope.Text()
	must(t, err)
	return s, text
}

func sent(t *testing.T, h *wallettest.Holder, amount coin.Amount) {
	t.Helper()
	b, err := h.Balance(t.Context())
	must(t, err)
	if b.Sent != amount {
		t.Fatalf("%d in envelopes, want %d", b.Sent, amount)
	}
}

func TestSendAndReceive(t *testing.T) {
	town, alice, bob := friends(t)
	s, text := send(t, alice, 16)
	if s.Exchanged != 0 || len(s.Coins) != 1 {
		t.Errorf("%d coins, %d exchanged: one of 16 is there", len(s.Coins), s.Exchanged)
	}
	worth(t, alice, 16, 0)
	sent(t, alice, 16)
	must(t, alice.CheckSent(t.Context()))
	state(t, alice, wallet.KindSend, wallet.OpSubmitted)

	bob.Wire.Sent()
	r, err := bob.Receive(t.Context(), text, false)
	must(t, err)
	if r.Amount != 16 || len(r.Coins) == 0 {
		t.Errorf("%+v", r)
	}
	worth(t, bob, 16, 0)
	for _, q := range bob.Wire.Sent() {
		if q.Authorized {
			t.Errorf("%s shows the bank whose purse it is", q.Path)
		}
	}
	t.Run("the receiver's coins are none that the sender knows", func(t *testing.T) {
		coins, err := bob.Coins(t.Context())
		must(t, err)
		for _, c := range coins {
			if bytes.Equal(c.ID, s.Coins[0].ID) {
				t.Error("the coin itself is in the purse")
			}
		}
		copied := alice.Copy(t)
		_, err = copied.Restore(t.Context(), wallet.RestoreOptions{})
		must(t, err)
		worth(t, copied, 16, 0)
	})
	t.Run("it is received once", func(t *testing.T) {
		_, err := bob.Receive(t.Context(), text, false)
		want(t, err, wallet.ErrReceived)
		worth(t, bob, 16, 0)
	})
	t.Run("the sender is told, and can't take it back", func(t *testing.T) {
		must(t, alice.CheckSent(t.Context()))
		state(t, alice, wallet.KindSend, wallet.OpDone)
		sent(t, alice, 0)
		want(t, alice.Reclaim(t.Context(), s.ID), wallet.ErrReceived)
		_, err := alice.SentBefore(t.Context(), s.ID)
		want(t, err, wallet.ErrReceived)
		worth(t, alice, 16, 0)
	})
	t.Run("the coins are good", func(t *testing.T) {
		_, err := bob.Pay(t.Context(), town.NewShop(t).Ask(t, 13))
		must(t, err)
		worth(t, bob, 3, 0)
	})
	town.CheckBooks(t)
}

func TestAnAmountThatNoCoinsMakeIsExchangedFirst(t *testing.T) {
	town, alice, bob := friends(t)
	s, text := send(t, alice, 5)
	if s.Exchanged != 1 {
		t.Errorf("%d coins exchanged, want the one of 16", s.Exchanged)
	}
	worth(t, alice, 27, 0)
	sent(t, alice, 5)
	_, err := bob.Receive(t.Context(), text, false)
	must(t, err)
	worth(t, bob, 5, 0)
	t.Run("what is left makes other amounts", func(t *testing.T) {
		s, _ := send(t, alice, 11)
		if s.Exchanged != 0 {
			t.Errorf("%d coins exchanged", s.Exchanged)
		}
	})
	t.Run("a lost answer to that exchange loses nothing", func(t *testing.T) {
		alice.Wire.Once("/exchanges", wallettest.LoseAnswer)
		_, err := alice.Send(t.Context(), 3)
		want(t, err, wallet.ErrOpen)
		alice.Reopen(t)
		resume(t, alice)
		worth(t, alice, 16, 0)
		s, _ := send(t, alice, 3)
		if s.Exchanged != 0 {
			t.Errorf("%d coins exchanged again", s.Exchanged)
		}
	})
	town.CheckBooks(t)
}

func TestTakingAnEnvelopeBack(t *testing.T) {
	town, alice, bob := friends(t)
	s, text := send(t, alice, 16)
	must(t, alice.Reclaim(t.Context(), s.ID))
	worth(t, alice, 32, 0)
	sent(t, alice, 0)
	state(t, alice, wallet.KindSend, wallet.OpRefused)
	want(t, alice.Reclaim(t.Context(), s.ID), wallet.ErrNoOperation)

	bob.Wire.Sent()
	_, err := bob.Receive(t.Context(), text, false)
	want(t, err, wallet.ErrTaken)
	state(t, bob, wallet.KindReceive, wallet.OpRefused)
	_, err = bob.Receive(t.Context(), text, true)
	want(t, err, wallet.ErrTaken)
	worth(t, bob, 0, 0)
	worth(t, alice, 32, 0)
	town.CheckBooks(t)
}

// TestTheSenderAndTheFriendRace: both send their exchange of the same coins; each
// is told the truth whoever is first, also after a lost answer.
func TestTheSenderAndTheFriendRace(t *testing.T) {
	town, alice, bob := friends(t)
	t.Run("the friend is first, and the sender's question is late", func(t *testing.T) {
		s, text := send(t, alice, 16)
		alice.Wire.Once("/exchanges", wallettest.LoseRequest)
		want(t, alice.Reclaim(t.Context(), s.ID), wallet.ErrOpen)
		_, err := bob.Receive(t.Context(), text, false)
		must(t, err)
		alice.Reopen(t)
		_, err = alice.Resume(t.Context())
		want(t, err, wallet.ErrReceived)
		state(t, alice, wallet.KindSend, wallet.OpDone)
		worth(t, alice, 16, 0)
		sent(t, alice, 0)
	})
	t.Run("the sender is first, and the friend's question is late", func(t *testing.T) {
		s, text := send(t, alice, 16)
		bob.Wire.Once("/exchanges", wallettest.LoseRequest)
		_, err := bob.Receive(t.Context(), text, false)
		want(t, err, wallet.ErrOpen)
		must(t, alice.Reclaim(t.Context(), s.ID))
		bob.Reopen(t)
		_, err = bob.Resume(t.Context())
		want(t, err, wallet.ErrTaken)
		state(t, bob, wallet.KindReceive, wallet.OpRefused)
		worth(t, alice, 16, 0)
		worth(t, bob, 16, 0)
	})
	town.CheckBooks(t)
}

func TestALostAnswerToAReceiverIsTakenUp(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	alice.Draw(t, 16, coin.Bearer)
	alice.Draw(t, 16, coin.Bearer)
	for name, fate := range map[string]wallettest.Fate{"the request": wallettest.LoseRequest, "the answer": wallettest.LoseAnswer} {
		for how, again := range map[string]func(h *wallettest.Holder, text string) error{
			"resumed": func(h *wallettest.Holder, _ string) error { _, err := h.Resume(t.Context()); return err },
			"repeated": func(h *wallettest.Holder, text string) error {
				_, err := h.Receive(t.Context(), text, false)
				return err
			},
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				_, text := send(t, alice, 3)
				bob := town.NewHolder(t, 0)
				bob.Wire.Once("/exchanges", fate)
				_, err := bob.Receive(t.Context(), text, false)
				want(t, err, wallet.ErrOpen)
				worth(t, bob, 0, 0)
				bob.Reopen(t)
				must(t, again(bob, text))
				worth(t, bob, 3, 0)
				state(t, bob, wallet.KindReceive, wallet.OpDone)
				_, err = bob.Exchange(t.Context(), coin.Bearer) // they are real
				must(t, err)
			})
		}
	}
	town.CheckBooks(t)
}

// TestARefusalThatWasNone: the bank's refusal is believed, and then it turns out
// that it carried out an earlier request of this purse's.
func TestARefusalThatWasNone(t *testing.T) {
	town, alice, bob := friends(t)
	_, text := send(t, alice, 16)
	bob.Wire.Once("/exchanges", wallettest.LoseRequest)
	_, err := bob.Receive(t.Context(), text, false)
	want(t, err, wallet.ErrOpen)
	var lost wallettest.Sent
	for _, q := range bob.Wire.Sent() {
		if strings.Contains(q.Path, "/exchanges") {
			lost = q
		}
	}
	over := town.Key(t, coin.Bearer, 16).IssueUntil.Sub(town.Now()) + time.Hour
	town.Group.Clock.Forward(over) // nothing can be signed now
	if _, err := bob.Resume(t.Context()); err == nil {
		t.Fatal("not refused")
	}
	state(t, bob, wallet.KindReceive, wallet.OpRefused)
	town.Group.Clock.Forward(-over)
	town.Replay(t, lost, bob.Token) // and now it arrives
	r, err := bob.Receive(t.Context(), text, false)
	must(t, err)
	if r.Amount != 16 {
		t.Errorf("%+v", r)
	}
	worth(t, bob, 16, 0)
	must(t, alice.CheckSent(t.Context()))
	state(t, alice, wallet.KindSend, wallet.OpDone)
	town.CheckBooks(t)
}

func TestEnvelopesOfWhichAPartIsSpent(t *testing.T) {
	town, alice, bob := friends(t)
	s, text := send(t, alice, 31) // 16 8 4 2 1, some of them exchanged first
	if len(s.Envelope.Coins) != 5 {
		t.Fatalf("%d coins", len(s.Envelope.Coins))
	}
	part := *s.Envelope
	part.Coins = nil
	for _, c := range s.Envelope.Coins {
		if d := town.Key(t, coin.Bearer, 8); c.Coin.KeyID == d.KeyID {
			part.Coins, part.Amount = append(part.Coins, c), 8
		}
	}
	small, err := part.Text()
	must(t, err)
	thief := town.NewHolder(t, 0)
	_, err = thief.Receive(t.Context(), small, false)
	must(t, err)

	_, err = bob.Receive(t.Context(), text, false)
	want(t, err, wallet.ErrTaken)
	want(t, err, wallet.ErrPartTaken)
	if !strings.Contains(err.Error(), "1 of 5; the others are worth 0.23") {
		t.Errorf("it does not say what is left: %v", err)
	}
	worth(t, bob, 0, 0)
	must(t, alice.CheckSent(t.Context()))
	if op := last(t, alice, wallet.KindSend); op.State != wallet.OpSubmitted || op.Note != "1 of 5 coins received" {
		t.Errorf("%+v", op)
	}
	r, err := bob.Receive(t.Context(), text, true)
	must(t, err)
	if r.Amount != 23 || r.Gone != 8 {
		t.Errorf("%+v", r)
	}
	worth(t, bob, 23, 0)
	must(t, alice.CheckSent(t.Context()))
	state(t, alice, wallet.KindSend, wallet.OpDone)
	town.CheckBooks(t)
}

func TestTakingBackWhatIsLeftOfAnEnvelope(t *testing.T) {
	town, alice, bob := friends(t)
	s, whole := send(t, alice, 31)
	part := *s.Envelope
	part.Coins, part.Amount = s.Envelope.Coins[:1], 0
	for _, v := range wallettest.Values() {
		if town.Key(t, coin.Bearer, v).KeyID == part.Coins[0].Coin.KeyID {
			part.Amount = v
		}
	}
	text, err := part.Text()
	must(t, err)
	_, err = bob.Receive(t.Context(), text, false)
	must(t, err)
	t.Run("an answer that is lost on the way loses nothing", func(t *testing.T) {
		alice.Wire.Once("/exchanges", wallettest.LoseRequest)
		want(t, alice.Reclaim(t.Context(), s.ID), wallet.ErrOpen)
		alice.Reopen(t)
		_, err := alice.Resume(t.Context())
		want(t, err, wallet.ErrReceived)
	})
	worth(t, alice, 32-part.Amount, 0)
	sent(t, alice, 0)
	t.Run("what is back, nobody else can spend any more", func(t *testing.T) {
		_, err := bob.Receive(t.Context(), whole, true)
		want(t, err, wallet.ErrTaken)
		worth(t, bob, part.Amount, 0)
		_, err = alice.Pay(t.Context(), town.NewShop(t).Ask(t, 32-part.Amount))
		must(t, err)
	})
	if op := last(t, alice, wallet.KindSend); op.State != wallet.OpDone || op.Note != "1 of 5 coins received, the others taken back" {
		t.Errorf("%+v", op)
	}
	town.CheckBooks(t)
}

// TestTakingBackAnEnvelopeThatSeveralHaveOpened: the bank shows one earlier spend at
// a time.
func TestTakingBackAnEnvelopeThatSeveralHaveOpened(t *testing.T) {
	town, alice, bob := friends(t)
	s, _ := send(t, alice, 31)
	var gone coin.Amount
	for _, c := range s.Envelope.Coins[:2] {
		one := *s.Envelope
		one.Coins = []coin.EnvelopeCoin{c}
		for _, v := range wallettest.Values() {
			if town.Key(t, coin.Bearer, v).KeyID == c.Coin.KeyID {
				one.Amount = v
			}
		}
		text, err := one.Text()
		must(t, err)
		_, err = bob.Receive(t.Context(), text, false)
		must(t, err)
		gone += one.Amount
	}
	want(t, alice.Reclaim(t.Context(), s.ID), wallet.ErrReceived)
	worth(t, alice, 32-gone, 0)
	sent(t, alice, 0)
	if op := last(t, alice, wallet.KindSend); op.State != wallet.OpDone || op.Note != "2 of 5 coins received, the others taken back" {
		t.Errorf("%+v", op)
	}
	town.CheckBooks(t)
}

func TestEnvelopesThatAreNotTaken(t *testing.T) {
	town, alice, bob := friends(t)
	s, text := send(t, alice, 16)
	elsewhere := wallettest.New(t).NewHolder(t, 0)
	lie := *s.Envelope
	lie.Amount = 17
	lied, err := lie.Text()
	must(t, err)
	bent := *s.Envelope
	bent.Coins = []coin.EnvelopeCoin{s.Envelope.Coins[0]}
	bent.Coins[0].Coin.Signature = bytes.Clone(bent.Coins[0].Coin.Signature)
	bent.Coins[0].Coin.Signature[9] ^= 1
	forged, err := bent.Text()
	must(t, err)
	dollars := *s.Envelope
	dollars.Currency = "USD"
	foreign, err := dollars.Text()
	must(t, err)
	for name, c := range map[string]struct {
		who  *wallettest.Holder
		text string
		want error
	}{
		"no envelope":         {bob, "specie:coins?c=AAAA", coin.ErrMalformed},
		"of another root":     {elsewhere, text, coin.ErrBank},
		"of another currency": {bob, foreign, coin.ErrCurrency},
		"worth another sum":   {bob, lied, coin.ErrAmount},
		"a forged coin":       {bob, forged, coin.ErrCoinSignature},
		"sent by this purse":  {alice, text, wallet.ErrOwnEnvelope},
	} {
		t.Run(name, func(t *testing.T) {
			c.who.Wire.Sent()
			_, err := c.who.Receive(t.Context(), c.text, true)
			want(t, err, wallet.ErrEnvelope)
			want(t, err, c.want)
			for _, q := range c.who.Wire.Sent() {
				if strings.Contains(q.Path, "/exchanges") {
					t.Error("it was sent to the bank")
				}
			}
		})
	}
	t.Run("looked at, not taken", func(t *testing.T) {
		e, err := bob.OpenEnvelope(t.Context(), text)
		must(t, err)
		if e.Amount != 16 {
			t.Errorf("worth %d", e.Amount)
		}
		_, err = bob.OpenEnvelope(t.Context(), forged)
		want(t, err, coin.ErrCoinSignature)
		_, err = bob.OpenEnvelope(t.Context(), "x")
		want(t, err, wallet.ErrEnvelope)
	})
	t.Run("of a revoked key, which the sender has made good", func(t *testing.T) {
		town.Revoke(t, coin.Bearer, 16)
		_, err := bob.Receive(t.Context(), text, false)
		want(t, err, coin.ErrRevoked)
		if err := alice.Reclaim(t.Context(), s.ID); err == nil {
			t.Error("the bank takes coins of a revoked key") // who learns of it now
		}
		want(t, alice.Reclaim(t.Context(), s.ID), wallet.ErrRecoup)
		plan, err := alice.Recoupable(t.Context())
		must(t, err)
		_, err = alice.Recoup(t.Context(), plan, false)
		must(t, err)
		worth(t, alice, 32, 0)
		sent(t, alice, 0)
	})
}

func TestAnEnvelopeThatCameTooLate(t *testing.T) {
	town, alice, bob := friends(t)
	s, text := send(t, alice, 16)
	town.Group.Clock.Forward(s.Until.Sub(town.Now()) + time.Hour)
	_, err := bob.Receive(t.Context(), text, false)
	if !errorsIs(err, coin.ErrKeyExpired) {
		t.Errorf("got %v", err)
	}
	worth(t, bob, 0, 0)
}

func TestWhatCanNotBeSent(t *testing.T) {
	_, alice, bob := friends(t)
	for name, c := range map[string]struct {
		who    *wallettest.Holder
		amount coin.Amount
		want   error
	}{
		"more than there is": {alice, 33, wallet.ErrFunds},
		"nothing":            {alice, 0, coin.ErrAmount},
		"from an empty one":  {bob, 1, wallet.ErrFunds},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.who.Send(t.Context(), c.amount)
			want(t, err, c.want)
		})
	}
	worth(t, alice, 32, 0)
}

func TestAnEnvelopeIsHandedOverAgain(t *testing.T) {
	_, alice, bob := friends(t)
	s, text := send(t, alice, 7)
	alice.Reopen(t)
	id, err := alice.FindSent(t.Context(), s.ID.String()[:8])
	must(t, err)
	again, err := alice.SentBefore(t.Context(), id)
	must(t, err)
	if back, err := again.Envelope.Text(); err != nil || back != text {
		t.Errorf("another envelope, %v", err)
	}
	if again.Amount != 7 || !again.Until.Equal(s.Until) {
		t.Errorf("%+v", again)
	}
	_, err = bob.Receive(t.Context(), text, false)
	must(t, err)
	_, err = alice.SentBefore(t.Context(), wallet.ID{1})
	want(t, err, wallet.ErrNoOperation)
}

// TestARestoredSenderStillSeesWhatHeSent: the seed does not know of envelopes. The
// coins are his until they are received, and he learns when they were.
func TestARestoredSenderStillSeesWhatHeSent(t *testing.T) {
	town, alice, bob := friends(t)
	saved, err := alice.Backup(t.Context())
	must(t, err)
	_, text := send(t, alice, 16)
	back := town.NewHolderFrom(t, saved, alice)
	_, err = back.Restore(t.Context(), wallet.RestoreOptions{})
	must(t, err)
	worth(t, back, 32, 0)
	_, err = bob.Receive(t.Context(), text, false)
	must(t, err)
	_, err = back.Pay(t.Context(), town.NewShop(t).Ask(t, 32))
	want(t, err, wallet.ErrSpent)
	worth(t, back, 16, 0)
	town.CheckBooks(t)
}

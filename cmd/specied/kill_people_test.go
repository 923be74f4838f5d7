package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/speciecash/specie/coin"
)

// People who may be killed besides.
const (
	atGiver  = "giver"
	atFriend = "friend"
	atDesk   = "desk" // the merchant's own command, on the till's files
)

// gift is what goes from the giver to the friend each time. The giver has one coin
// that is worth it, and one that he has to change if he sends less.
const gift = "0.08"

// openPeople makes purses for a giver, who has an account, and for a friend, who has
// none, and lets the till keep payments.
func (s *street) openPeople() {
	s.t.Helper()
	bank := []string{"init", "--lock", "plain", "--bank", "http://" + s.issuer, "--root", "root.pem"}
	s.people(atFriend, 0, bank...)
	s.people(atGiver, 0, append(bank, "--token-file", "alice.token")...)
	s.purses = append(s.purses, atGiver, atFriend)
	s.people(atTill, 0, "merchant", "offline", "--sale", "1.00", "--total", "2.00", "--bearer")
}

func peoplesActs() []act {
	// Each commit with what went before it, and all when there is nothing left to write.
	purse, bank := []string{"wallet.commit", "wallet.committed:last"}, []string{"issuer.checked", "issuer.recorded"}
	return []act{
		{"coins for a friend", drawn, anyhowAt(atGiver, "send", "0.05", "--link"), handOver, map[string][]string{atGiver: purse}},
		{"coins from a friend", given, anyhowAt(atFriend, "receive"), receiveAgain, map[string][]string{atFriend: purse, atBank: bank}},
		{"a payment that the till keeps", offline, anyhow("pay", "--yes", "--kind", "bearer"), payAgain, map[string][]string{atPurse: purse, atTill: nil}},
		{"the deposit of what was kept", kept, depositKept, reopened, map[string][]string{atDesk: nil, atPurse: purse, atBank: bank}},
	}
}

// drawn gives the giver one coin.
func drawn(s *street) []string {
	s.t.Helper()
	s.people(atGiver, 0, "withdraw", gift)
	return nil
}

// given puts that coin into an envelope, and returns its file.
func given(s *street) []string {
	s.t.Helper()
	drawn(s)
	return []string{s.envelope(gift)}
}

// envelope sends something, in a new file.
func (s *street) envelope(args ...string) string {
	s.t.Helper()
	s.offers++
	file := fmt.Sprintf("%d.specie", s.offers)
	s.people(atGiver, 0, append(append([]string{"send"}, args...), "--to", file)...)
	return file
}

// handOver settles the giver's purse and gives his friend all that was in it: the
// envelope that was begun, if it was, and then the rest.
func handOver(s *street, _ []string) {
	s.t.Helper()
	s.rests(atGiver)
	var history []struct {
		ID    string `json:"id"`
		Kind  string `json:"kind"`
		State string `json:"state"`
	}
	unmarshal(s.t, s.people(atGiver, 0, "--json", "history"), &history)
	for _, op := range history {
		if op.Kind == "send" && op.State == "waiting" {
			s.people(atFriend, 0, "receive", s.envelope("--again", op.ID))
		}
	}
	s.rests(atGiver)
	if rest := s.holds(atGiver); rest > 0 {
		s.people(atFriend, 0, "receive", s.envelope(rest.Format(2)))
		s.rests(atGiver)
	}
	s.friendHasAll()
}

// receiveAgain settles the friend's purse, and receives again whatever he knows.
func receiveAgain(s *street, file []string) {
	s.t.Helper()
	s.rests(atFriend)
	if out, status := s.peopleAny(atFriend, []int{0, 1}, append([]string{"receive"}, file...)...); status == 0 && !strings.HasPrefix(out, "received "+gift) {
		s.t.Fatalf("received %s", out)
	}
	s.rests(atGiver)
	s.friendHasAll()
}

// friendHasAll fails unless each gift went from the giver to the friend, once.
func (s *street) friendHasAll() {
	s.t.Helper()
	var drawn coin.Amount
	var history []struct {
		Kind   string      `json:"kind"`
		Amount coin.Amount `json:"amount"`
	}
	unmarshal(s.t, s.people(atGiver, 0, "--json", "history"), &history)
	for _, op := range history {
		if op.Kind == "withdraw" {
			drawn += op.Amount
		}
	}
	if giver, friend := s.holds(atGiver), s.holds(atFriend); giver != 0 || friend != drawn {
		s.t.Fatalf("of %d the friend has %d, and the giver still %d", drawn, friend, giver)
	}
}

// offline shuts the bank, after the till has made an offer.
func offline(s *street) []string {
	s.t.Helper()
	link := s.offer("0.05")
	s.bank.stop()
	return []string{link}
}

// payAgain pays once more while the bank is shut, which the till keeps now if it has
// not before; then the bank opens, and all is settled.
func payAgain(s *street, link []string) {
	s.t.Helper()
	s.people(atPurse, 0, slices.Concat([]string{"pay", "--yes", "--kind", "bearer"}, link)...)
	if s.sum("takings", "kept") != 5 {
		s.t.Fatal("the till has not kept the payment")
	}
	s.openBank()
	resume(s, nil)
}

// kept is a payment that a till kept that is shut, at a bank that is open again.
func kept(s *street) []string {
	s.t.Helper()
	link := offline(s)
	s.people(atPurse, 0, slices.Concat([]string{"pay", "--yes", "--kind", "bearer"}, link)...)
	s.till.stop()
	s.openBank()
	return nil
}

func depositKept(s *street, _ []string) {
	anyhowAt(atDesk, "merchant", "resume")(s, nil)
	anyhow("resume")(s, nil)
}

func reopened(s *street, _ []string) {
	s.t.Helper()
	s.openTill()
	resume(s, nil)
}

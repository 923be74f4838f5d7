package wallet_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// oneDayOn is when a wallet asks for a newer document, on its own clock.
func oneDayOn(t *testing.T, town *wallettest.Town, h *wallettest.Holder) {
	t.Helper()
	town.Group.Clock.Forward(13 * time.Hour)
	h.Reopen(t)
}

// TestTheRegisterOfWarrantsOnlyGrows: a manager who takes an entry back hides an
// opening.
func TestTheRegisterOfWarrantsOnlyGrows(t *testing.T) {
	town := wallettest.New(t)
	town.Warrant(t, 1)
	alice := town.NewHolder(t, 0)
	device := at(t, town, registrationtest.TPMA)
	must(t, enroll(t, town, alice, registrationtest.TPMA))
	town.Warrant(t, 2)
	town.Warrant(t, 3)
	oneDayOn(t, town, alice)
	seen, err := alice.GroupDocument(t.Context())
	must(t, err)
	if seen.Warrants.Size != 3 {
		t.Fatalf("the wallet has seen %d warrants", seen.Warrants.Size)
	}
	kept, err := town.Group.Warrants(t.Context(), 0)
	must(t, err)
	last := kept[len(kept)-1]
	claim := func(entries []warrant.Entry) func(*groupdoc.Contents) { // a head that the entries don't lead to
		return func(c *groupdoc.Contents) { c.Warrants = entries[len(entries)-1].Head() }
	}
	for name, forged := range map[string]struct {
		entries []warrant.Entry
		change  func(*groupdoc.Contents)
	}{
		"an empty register":                   {nil, nil},
		"a shorter one":                       {kept[:2], nil},
		"another one of that length":          {town.Entries(warrant.Entry{}, 1, 2, 9), nil},
		"a longer one with another past":      {town.Entries(warrant.Entry{}, 1, 2, 9, 4), nil},
		"a longer one whose end is not shown": {nil, claim(town.Entries(last, 4))},
		"one whose end is another's":          {town.Entries(last, 5), claim(town.Entries(last, 4))},
		"one with a gap":                      {town.Entries(last, 4, 5)[1:], nil},
	} {
		t.Run(name, func(t *testing.T) {
			town.Forge(t, forged.entries, forged.change)
			defer town.Restore()
			oneDayOn(t, town, alice)
			_, err := alice.GroupDocument(t.Context())
			want(t, err, wallet.ErrRegister)
			want(t, alice.AttachTPM(t.Context(), device), wallet.ErrRegister)
			_, err = alice.GroupInfo(t.Context(), "")
			want(t, err, wallet.ErrRegister)
			town.Group.Clock.Forward(-13 * time.Hour)
			alice.Reopen(t)
			kept, err := alice.GroupDocument(t.Context())
			must(t, err)
			if kept.Warrants != seen.Warrants {
				t.Error("the document in the purse is another")
			}
		})
	}
	t.Run("another group's register is none", func(t *testing.T) {
		next := town.Entries(last, 4)
		town.Forge(t, next, nil)
		defer town.Restore()
		text, err := (&warrant.Register{Group: "SOMEGROUP", Entries: next}).Marshal()
		must(t, err)
		town.GroupGate.Instead("/v1/warrants", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
		oneDayOn(t, town, alice)
		defer town.Group.Clock.Forward(-13 * time.Hour)
		_, err = alice.GroupDocument(t.Context())
		want(t, err, wallet.ErrRegister)
	})
	t.Run("while it can't be fetched, the document seen last is used", func(t *testing.T) {
		town.Warrant(t, 4)
		town.GroupGate.Instead("/v1/warrants", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		oneDayOn(t, town, alice)
		defer town.Group.Clock.Forward(-13 * time.Hour)
		kept, err := alice.GroupDocument(t.Context())
		must(t, err)
		if kept.Warrants != seen.Warrants {
			t.Error("an unchecked document was taken")
		}
		town.Restore()
	})
	t.Run("and a register that has grown is good", func(t *testing.T) {
		oneDayOn(t, town, alice)
		newest, err := alice.GroupDocument(t.Context())
		must(t, err)
		if newest.Warrants.Size != 4 {
			t.Errorf("%d warrants", newest.Warrants.Size)
		}
	})
}

// TestNobodyEnrolsUnderARegisterThatDoesNotAddUp.
func TestNobodyEnrolsUnderARegisterThatDoesNotAddUp(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 0)
	whole := town.Entries(warrant.Entry{}, 1, 2)
	for name, entries := range map[string][]warrant.Entry{"nothing shown": nil, "half of it": whole[:1], "another one": town.Entries(warrant.Entry{}, 1, 3)} {
		t.Run(name, func(t *testing.T) {
			town.Forge(t, entries, func(c *groupdoc.Contents) { c.Warrants = whole[1].Head() })
			defer town.Restore()
			want(t, enroll(t, town, alice, registrationtest.TPMA), wallet.ErrRegister)
		})
	}
	for _, s := range alice.Wire.Sent() {
		if s.Method != http.MethodGet {
			t.Errorf("%s %s was sent", s.Method, s.Path)
		}
	}
}

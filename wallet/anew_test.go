package wallet_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// theMember is the only one whose membership has not ended.
func theMember(t *testing.T, town *wallettest.Town) string {
	t.Helper()
	list, err := town.Group.Members(t.Context(), enrol.ID{}, 0, false)
	must(t, err)
	for _, m := range list {
		if m.State == ledger.MemberActive {
			return m.ID.String()
		}
	}
	t.Fatal("there is none")
	return ""
}

// TestACodeEndsAnEnrolmentThatCantBeFinished: the answer that made her a member is
// lost, and the manager, whom she calls, readmits her.
func TestACodeEndsAnEnrolmentThatCantBeFinished(t *testing.T) {
	for name, wait := range map[string]time.Duration{
		"at once":                          0,
		"when the session has run out too": 2 * registrationtest.EpochLength,
	} {
		t.Run(name, func(t *testing.T) {
			town := wallettest.New(t)
			alice := town.NewHolder(t, 100)
			alice.Wire.Once("/activation", wallettest.LoseAnswer)
			want(t, enroll(t, town, alice, registrationtest.TPMA), wallettest.ErrLost)
			alice.Reopen(t)
			lost := theMember(t, town)
			again := asAlice(town)
			again.Code = readmit(t, town, lost)
			code(t, enroll(t, town, alice, registrationtest.TPMA), "revoked")
			alice.Reopen(t)
			town.Group.Clock.Forward(wait)
			m, err := alice.Enroll(t.Context(), at(t, town, registrationtest.TPMA), again, nil)
			must(t, err)
			if m.Member == lost {
				t.Error("she is the one whom the manager struck off")
			}
			attach(t, town, alice)
			alice.Draw(t, 4, coin.Bound)
		})
	}
}

// TestASecondCodeIsUsed: while a join with the first has its challenge.
func TestASecondCodeIsUsed(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	must(t, enroll(t, town, alice, registrationtest.TPMA))
	first := theMember(t, town)
	alice.Reopen(t)
	again := asAlice(town)
	again.Code = readmit(t, town, first)
	alice.Wire.Once("/activation", wallettest.LoseRequest)
	_, err := alice.Enroll(t.Context(), at(t, town, registrationtest.TPMA), again, nil)
	want(t, err, wallettest.ErrLost)
	alice.Reopen(t)
	second := again
	second.Code = readmit(t, town, first)
	_, err = alice.Enroll(t.Context(), at(t, town, registrationtest.TPMA), again, nil)
	code(t, err, "readmission")
	_, err = alice.Enroll(t.Context(), at(t, town, registrationtest.TPMA), second, nil)
	must(t, err)
}

// TestAMembershipInBetweenIsBridged: its activation's answer was lost, and then its
// TPM was cleared too. What the first one held is recovered all the same.
func TestAMembershipInBetweenIsBridged(t *testing.T) {
	town := wallettest.New(t)
	alice := newWidow(t, town, 100)
	alice.Draw(t, 21, coin.Bound)
	first := alice.Tag()
	must(t, alice.emulator.Clear(t.Context()))
	alice.Reopen(t)
	again := asAlice(town)
	again.Code = readmit(t, town, alice.member)
	alice.Wire.Once("/activation", wallettest.LoseAnswer)
	_, err := alice.Enroll(t.Context(), alice.device, again, nil)
	want(t, err, wallettest.ErrLost)
	alice.member = theMember(t, town)
	alice.loseTPM(t)
	before, err := alice.Formerly(t.Context())
	must(t, err)
	if len(before) != 1 || before[0].Tag != first || len(before[0].Then) != 1 {
		t.Fatalf("formerly %+v", before)
	}
	alice.wait(t) // and is renewed
	renewed, err := alice.Formerly(t.Context())
	must(t, err)
	if len(renewed) != 1 || len(renewed[0].Then) != 1 || string(renewed[0].Succession) == string(before[0].Succession) {
		t.Errorf("the words were not signed anew: %d", len(renewed))
	}
	got, err := alice.recoverAll(t, false)
	must(t, err)
	if got.Worth != 21 {
		t.Errorf("%+v", got)
	}
	worth(t, alice.Holder, 21, 0)
	town.CheckBooks(t)
}

// TestAManagerCantPutOffTheRecover: by stating that the old membership goes on.
func TestAManagerCantPutOffTheRecover(t *testing.T) {
	town := wallettest.New(t)
	alice := newWidow(t, town, 100)
	alice.Draw(t, 4, coin.Bound)
	old, doc := alice.Tag(), town.Group.ReadDocument(t)
	must(t, alice.emulator.Clear(t.Context()))
	alice.Reopen(t)
	again := asAlice(town)
	again.Code = readmit(t, town, alice.member)
	next := doc.Current.Ends.Add(registrationtest.EpochLength) // a credential for it may have got lost
	says := func(kind string, until time.Time) {
		town.GroupGate.SpoilAll(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, kind) }, func(answer map[string]any) {
			s := &enrol.Succession{Group: doc.ID, Old: old, New: alice.NextTag(t.Context()), At: town.Now(), GoodUntil: until}
			jws, err := enrol.SignSuccession(s, town.Group.Group.Manager.Key, town.Group.Group.Manager.Chain)
			must(t, err)
			answer["successions"] = []string{string(jws)}
		})
	}
	says("/activation", next.Add(time.Second))
	_, err := alice.Enroll(t.Context(), alice.device, again, nil)
	want(t, err, wallet.ErrAnswer)
	if err == nil || !strings.Contains(err.Error(), "could not be recovered before") || alice.Tag() != old {
		t.Fatalf("got %v", err)
	}
	says("/activation", next)
	_, err = alice.Enroll(t.Context(), alice.device, again, nil)
	must(t, err)
	town.GroupGate.SpoilAll(nil, nil)
	must(t, alice.AttachTPM(t.Context(), alice.device))
	plan, err := alice.Recoverable(t.Context())
	must(t, err)
	if want := next.Add(groupdoc.EpochSkew); !plan.From.Equal(want) {
		t.Errorf("from %v on, want %v", plan.From, want)
	}
}

// TestANewerWordPutsNothingOff: the wallet keeps the one that it has.
func TestANewerWordPutsNothingOff(t *testing.T) {
	town := wallettest.New(t)
	alice := newWidow(t, town, 100)
	alice.Draw(t, 4, coin.Bound)
	old, doc := alice.Tag(), town.Group.ReadDocument(t)
	alice.loseTPM(t)
	for until, taken := range map[time.Time]bool{
		doc.Current.Ends:                  true,
		doc.Current.Ends.Add(time.Second): false,
	} {
		before, err := alice.Formerly(t.Context())
		must(t, err)
		s := &enrol.Succession{Group: doc.ID, Old: old, New: alice.Tag(), At: town.Now().Add(time.Second), GoodUntil: until}
		jws, err := enrol.SignSuccession(s, town.Group.Group.Manager.Key, town.Group.Group.Manager.Chain)
		must(t, err)
		must(t, alice.KeepWords(t.Context(), [][]byte{jws}))
		after, err := alice.Formerly(t.Context())
		must(t, err)
		if changed := string(before[0].Succession) != string(after[0].Succession); changed != taken {
			t.Errorf("until %v: taken %t", until, changed)
		}
	}
}

package wallet_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/wallet"
	"github.com/speciecash/specie/wallet/wallettest"
)

// code fails unless err is a refusal with that code.
func code(t *testing.T, err error, code string) {
	t.Helper()
	var p *client.Problem
	if !errors.As(err, &p) || p.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
}

// at is one of the lab's TPMs, whose key has no PIN.
func at(t *testing.T, town *wallettest.Town, number int) wallet.TPM {
	t.Helper()
	return wallet.TPM{Address: town.TPM(t, number)}
}

func asAlice(town *wallettest.Town) wallet.Enrolment {
	return wallet.Enrolment{ManagerURL: town.GroupURL, Name: "Alice Example"}
}

func enroll(t *testing.T, town *wallettest.Town, h *wallettest.Holder, number int) error {
	t.Helper()
	_, err := h.Enroll(t.Context(), at(t, town, number), asAlice(town), nil)
	return err
}

func TestEnroll(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	want(t, alice.AttachTPM(t.Context(), wallet.TPM{}), wallet.ErrNotEnrolled)
	var steps []int
	m, err := alice.Enroll(t.Context(), at(t, town, registrationtest.TPMA), asAlice(town),
		func(done, total int) { steps = append(steps, done) })
	must(t, err)
	if m.Group == "" || m.Member == "" || m.Epoch != registrationtest.Epoch || m.EK != "rsa2048" || !alice.Enrolled() {
		t.Errorf("membership %+v", m)
	}
	if len(steps) != 5 || steps[0] != 1 || steps[4] != 5 {
		t.Errorf("progress was reported as %v", steps)
	}
	want(t, enroll(t, town, alice, registrationtest.TPMA), wallet.ErrEnrolled)
	alice.Reopen(t)
	if !alice.Enrolled() {
		t.Fatal("the membership is not on disk")
	}
	attach(t, town, alice)
	alice.Draw(t, 8, coin.Bound)

	t.Run("a TPM joins a group once", func(t *testing.T) {
		code(t, enroll(t, town, town.NewHolder(t, 0), registrationtest.TPMA), "ek-registered")
	})
	t.Run("on another TPM the wallet's bound coins are worth nothing", func(t *testing.T) {
		alice.Reopen(t)
		want(t, alice.AttachTPM(t.Context(), at(t, town, registrationtest.TPMB)), wallet.ErrWrongTPM)
		_, err := alice.Pay(t.Context(), town.NewShop(t).Ask(t, 5), coin.Bound)
		want(t, err, wallet.ErrNoTPM)
	})
	t.Run("without a TPM it says so", func(t *testing.T) {
		want(t, alice.AttachTPM(t.Context(), wallet.TPM{Address: "swtpm:path=" + filepath.Join(t.TempDir(), "sock")}), tpm.ErrUnavailable)
		want(t, alice.AttachTPM(t.Context(), wallet.TPM{Address: "no:such=tpm"}), tpm.ErrAddress)
	})
}

func TestATPMOfAnUnknownMakerIsRefused(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 0)
	code(t, enroll(t, town, alice, registrationtest.Stranger), "ek-chain")
	if alice.Enrolled() {
		t.Error("the wallet calls itself enrolled")
	}
}

func TestAnAddressInTheClearIsRefused(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 0)
	_, err := alice.Enroll(t.Context(), wallet.TPM{}, wallet.Enrolment{ManagerURL: "http://group.example", Name: "Alice"}, nil)
	want(t, err, client.ErrAddress)
}

// TestAnInterruptedEnrolmentIsTakenUp at every step, at once and much later.
func TestAnInterruptedEnrolmentIsTakenUp(t *testing.T) {
	steps := []string{"/v1/group", "/v1/registrations", "/join", "/activation"}
	fates := map[string]wallettest.Fate{"request": wallettest.LoseRequest, "answer": wallettest.LoseAnswer}
	waits := map[string]time.Duration{
		"at once": 0, "after the session has expired": time.Hour, "two epochs later": 2 * registrationtest.EpochLength,
	}
	for _, step := range steps {
		for fateName, fate := range fates {
			for waitName, wait := range waits {
				if wait > 0 && !strings.HasPrefix(step, "/join") && !strings.HasPrefix(step, "/activation") {
					continue // nothing hangs on it yet
				}
				t.Run(strings.Join([]string{step[1:], fateName, waitName}, ", "), func(t *testing.T) {
					town := wallettest.New(t)
					alice := town.NewHolder(t, 100)
					lost := false
					alice.Wire.Decree(func(r *http.Request) wallettest.Fate {
						if lost || !strings.HasSuffix(r.URL.Path, step) {
							return wallettest.Deliver
						}
						lost = true
						return fate
					})
					want(t, enroll(t, town, alice, registrationtest.TPMA), wallettest.ErrLost)
					alice.Reopen(t)
					town.Group.Clock.Forward(wait)
					must(t, enroll(t, town, alice, registrationtest.TPMA))
					attach(t, town, alice)
					alice.Draw(t, 4, coin.Bound)
				})
			}
		}
	}
}

func TestAnEnrolmentMovedToAnotherMachine(t *testing.T) {
	t.Run("begins anew there, if the manager never saw the first key", func(t *testing.T) {
		town := wallettest.New(t)
		alice := town.NewHolder(t, 0)
		alice.Wire.Once("/v1/registrations", wallettest.LoseRequest)
		want(t, enroll(t, town, alice, registrationtest.TPMA), wallettest.ErrLost)
		must(t, enroll(t, town, alice, registrationtest.TPMB))
	})
	t.Run("is refused, if he may have", func(t *testing.T) {
		town := wallettest.New(t)
		alice := town.NewHolder(t, 0)
		alice.Wire.Once("/activation", wallettest.LoseAnswer)
		want(t, enroll(t, town, alice, registrationtest.TPMA), wallettest.ErrLost)
		want(t, enroll(t, town, alice, registrationtest.TPMB), wallet.ErrWrongTPM)
		must(t, enroll(t, town, alice, registrationtest.TPMA))
	})
}

func TestTheCredentialIsRenewedInEachEpoch(t *testing.T) {
	town := wallettest.New(t)
	shop, alice := town.NewShop(t), town.NewHolder(t, 100)
	device := at(t, town, registrationtest.TPMA)
	m, err := alice.Enroll(t.Context(), device, asAlice(town), nil)
	must(t, err)
	attach(t, town, alice)
	alice.Draw(t, 24, coin.Bound)
	town.Group.Clock.Forward(registrationtest.EpochLength)
	alice.Reopen(t)

	t.Run("not while the manager can't be reached", func(t *testing.T) {
		town.GroupGate.Shut(true)
		defer town.GroupGate.Shut(false)
		if err := alice.AttachTPM(t.Context(), device); err == nil {
			t.Fatal("attached with an old credential")
		}
		alice.Reopen(t)
	})
	t.Run("nor when the answer is lost", func(t *testing.T) {
		alice.Wire.Once("/renewals", wallettest.LoseAnswer)
		want(t, alice.AttachTPM(t.Context(), device), wallettest.ErrLost)
	})
	t.Run("and is good then", func(t *testing.T) {
		must(t, alice.AttachTPM(t.Context(), device))
		_, err := alice.Pay(t.Context(), shop.Ask(t, 13))
		must(t, err)
	})
	t.Run("the manager is not asked again in the same epoch", func(t *testing.T) {
		alice.Reopen(t)
		alice.Wire.Sent()
		town.GroupGate.Shut(true)
		defer town.GroupGate.Shut(false)
		must(t, alice.AttachTPM(t.Context(), device))
		if sent := alice.Wire.Sent(); len(sent) != 0 {
			t.Errorf("it asked %v", sent)
		}
	})
	t.Run("an expelled member gets none", func(t *testing.T) {
		id, err := enrol.ParseID(m.Member)
		must(t, err)
		must(t, town.Group.Expel(t.Context(), id))
		town.Group.Clock.Forward(registrationtest.EpochLength)
		alice.Reopen(t)
		code(t, alice.AttachTPM(t.Context(), device), "forbidden")
		worth(t, alice, 11, 0)
	})
}

// TestTheWalletsDocumentIsItsGroupsNewest.
func TestTheWalletsDocumentIsItsGroupsNewest(t *testing.T) {
	town, elsewhere := wallettest.New(t), wallettest.New(t)
	alice := town.NewHolder(t, 100)
	alice.Enrol(t, registrationtest.TPMA)
	old, err := town.Group.Document(t.Context())
	must(t, err)
	other, err := elsewhere.Group.Document(t.Context())
	must(t, err)
	town.Group.Clock.Forward(13 * time.Hour) // signed anew
	alice.Reopen(t)
	newest, err := alice.GroupDocument(t.Context())
	must(t, err)
	if newest.Digest == old.Digest {
		t.Fatal("the wallet did not ask for a newer one")
	}
	town.Group.Clock.Forward(13 * time.Hour) // not fresh any more, and within its epochs
	for name, jws := range map[string][]byte{"an older one": old.JWS, "another root's": other.JWS, "none": []byte("a.b.c")} {
		t.Run(name, func(t *testing.T) {
			town.GroupGate.Instead("/v1/group", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"document":"` + string(jws) + `"}`))
			})
			defer town.GroupGate.Instead("/v1/group", nil)
			alice.Reopen(t)
			got, err := alice.GroupDocument(t.Context())
			must(t, err)
			if got.Digest != newest.Digest {
				t.Error("the wallet took it")
			}
		})
	}
}

// faulty is a TPM that computes tags wrongly.
type faulty struct{ group.Key }

func (f faulty) Commit(ctx context.Context, p1 *fp256bn.G1, s2 []byte, y2 [32]byte) (k, l, e fp256bn.G1, counter uint16, err error) {
	k, l, e, counter, err = f.Key.Commit(ctx, p1, s2, y2)
	if p1 == nil {
		k = k.Add(k)
	}
	return k, l, e, counter, err
}

// TestAFaultyTPMCostsNoMoney: a coin with a wrong tag could never be spent.
func TestAFaultyTPMCostsNoMoney(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	alice.Enrol(t, registrationtest.TPMA)
	alice.WrapKey(func(k group.Key) group.Key { return faulty{k} })
	alice.Wire.Sent()
	if _, err := alice.Withdraw(t.Context(), 12, coin.Bound, wallet.Steps{}); err == nil || errors.Is(err, wallet.ErrOpen) {
		t.Fatalf("got %v", err)
	}
	for _, s := range alice.Wire.Sent() {
		if s.Path == "/v1/withdrawals" {
			t.Error("the wrong tags were sent")
		}
	}
	holds(t, town, alice.Account, 100)
}

// TestARefusedEndorsementKeyLeadsToTheNext: a manager takes one kind from each
// manufacturer, and a TPM does not know which.
func TestARefusedEndorsementKeyLeadsToTheNext(t *testing.T) {
	town := wallettest.New(t)
	refuse := func(code string, times int) {
		path := "/v1/registrations"
		town.GroupGate.Instead(path, func(w http.ResponseWriter, r *http.Request) {
			if times--; times == 0 {
				town.GroupGate.Instead(path, nil)
			}
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"code":"` + code + `","title":"refused"}`))
		})
	}
	town.Forge(t, nil, func(c *groupdoc.Contents) { c.EKKinds = []string{"p256", "p384", "rsa2048"} })
	defer town.Restore()
	alice := town.NewHolder(t, 0)
	tpmA := at(t, town, registrationtest.TPMA)

	t.Run("not if the TPM itself is meant", func(t *testing.T) {
		refuse("ek-registered", 1)
		_, err := alice.Enroll(t.Context(), tpmA, asAlice(town), nil)
		code(t, err, "ek-registered")
	})
	t.Run("nor without end: the first refusal is told", func(t *testing.T) {
		refuse("ek-profile", 2)
		_, err := alice.Enroll(t.Context(), tpmA, asAlice(town), nil)
		code(t, err, "ek-profile")
	})
	t.Run("in the document's order", func(t *testing.T) {
		refuse("ek-chain", 1) // the P-384 key; this TPM has none on P-256
		m, err := alice.Enroll(t.Context(), tpmA, asAlice(town), nil)
		must(t, err)
		if m.EK != "rsa2048" {
			t.Errorf("enrolled with the %s key", m.EK)
		}
	})
	t.Run("a TPM that has none of them", func(t *testing.T) {
		town.Forge(t, nil, func(c *groupdoc.Contents) { c.EKKinds = []string{"p256"} })
		bob := town.NewHolder(t, 0)
		want(t, enroll(t, town, bob, registrationtest.TPMB), wallet.ErrNoEK)
	})
}

// readmit ends a membership and returns the code to continue it.
func readmit(t *testing.T, town *wallettest.Town, member string) enrol.Code {
	t.Helper()
	id, err := enrol.ParseID(member)
	must(t, err)
	r, err := town.Group.Readmit(t.Context(), id)
	must(t, err)
	return r.Code
}

func TestAMembershipIsContinued(t *testing.T) {
	town := wallettest.New(t)
	emulator := town.NewTPM(t)
	alice := town.NewHolder(t, 100)
	device := wallet.TPM{Address: emulator.TCTI()}
	first, err := alice.Enroll(t.Context(), device, asAlice(town), nil)
	must(t, err)
	must(t, alice.AttachTPM(t.Context(), device))
	alice.Draw(t, 21, coin.Bound)
	tag := alice.Tag()
	must(t, emulator.Clear(t.Context()))
	alice.Reopen(t)
	again := asAlice(town)
	again.Code = readmit(t, town, first.Member)

	t.Run("by the person of that name", func(t *testing.T) {
		mallory := again
		mallory.Name = "Mallory"
		_, err := alice.Enroll(t.Context(), device, mallory, nil)
		code(t, err, "identity")
	})
	t.Run("with the manager's word for it, whose successor she is", func(t *testing.T) {
		activation := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/activation") }
		for name, succession := range map[string]any{"none": nil, "somebody else's": town.Succession(t), "rubbish": "a.b.c"} {
			t.Run(name, func(t *testing.T) {
				town.GroupGate.SpoilAll(activation, func(answer map[string]any) {
					delete(answer, "succession")
					if succession != nil {
						answer["succession"] = succession
					}
				})
				defer town.GroupGate.SpoilAll(nil, nil)
				if _, err := alice.Enroll(t.Context(), device, again, nil); err == nil {
					t.Fatal("enrolled")
				}
				if got := alice.Tag(); got != tag {
					t.Error("she is somebody else now")
				}
			})
		}
	})
	second, err := alice.Enroll(t.Context(), device, again, nil)
	must(t, err)
	if second.Succeeds != first.Member || second.Member == first.Member || second.KeyFile == first.KeyFile {
		t.Errorf("%+v after %+v", second, first)
	}
	before, err := alice.Formerly(t.Context())
	must(t, err)
	if len(before) != 1 || before[0].Tag != tag || before[0].Member != first.Member {
		t.Fatalf("formerly %+v", before)
	}
	s, err := enrol.ParseSuccession(town.Group.Group.Root, second.Group, before[0].Succession, town.Now())
	must(t, err)
	if s.Old != tag || s.New != alice.Tag() {
		t.Errorf("succession %+v", s)
	}

	t.Run("and its coins are kept apart from new ones", func(t *testing.T) {
		alice.Reopen(t)
		must(t, alice.AttachTPM(t.Context(), device))
		b, err := alice.Balance(t.Context())
		must(t, err)
		if b.Total != 0 || b.Stranded != 21 {
			t.Errorf("balance %+v", b)
		}
		_, err = alice.Pay(t.Context(), town.NewShop(t).Ask(t, 5))
		want(t, err, wallet.ErrFunds)
		alice.Draw(t, 9, coin.Bound)
		_, err = alice.Pay(t.Context(), town.NewShop(t).Ask(t, 5))
		must(t, err)
		worth(t, alice, 4, 0)
	})
	t.Run("without a code she can't enrol again", func(t *testing.T) {
		alice.Reopen(t)
		want(t, enroll(t, town, alice, registrationtest.TPMB), wallet.ErrEnrolled)
	})
	t.Run("nor with one in another group", func(t *testing.T) {
		elsewhere := wallettest.New(t)
		other := again
		other.ManagerURL = elsewhere.GroupURL
		if _, err := alice.Enroll(t.Context(), device, other, nil); err == nil {
			t.Fatal("enrolled")
		}
		if got, err := alice.Formerly(t.Context()); err != nil || len(got) != 1 {
			t.Errorf("formerly %v, %v", got, err)
		}
	})
}

// TestAWithdrawalUnderWayWhenTheTPMIsCleared: its coins come, bound to the key
// that is gone.
func TestAWithdrawalUnderWayWhenTheTPMIsCleared(t *testing.T) {
	town := wallettest.New(t)
	emulator := town.NewTPM(t)
	alice := town.NewHolder(t, 100)
	device := wallet.TPM{Address: emulator.TCTI()}
	m, err := alice.Enroll(t.Context(), device, asAlice(town), nil)
	must(t, err)
	must(t, alice.AttachTPM(t.Context(), device))
	alice.Wire.Once("/v1/withdrawals", wallettest.LoseAnswer)
	_, err = alice.Withdraw(t.Context(), 7, coin.Bound, wallet.Steps{})
	want(t, err, wallet.ErrOpen)
	must(t, emulator.Clear(t.Context()))
	alice.Reopen(t)
	again := asAlice(town)
	again.Code = readmit(t, town, m.Member)
	_, err = alice.Enroll(t.Context(), device, again, nil)
	must(t, err)
	resume(t, alice)
	b, err := alice.Balance(t.Context())
	must(t, err)
	if b.Total != 0 || b.Stranded != 7 {
		t.Errorf("balance %+v", b)
	}
}

// broken is a TPM that answers so many more commits and then none.
type broken struct {
	group.Key
	left int
}

func (b *broken) Commit(ctx context.Context, p1 *fp256bn.G1, s2 []byte, y2 [32]byte) (k, l, e fp256bn.G1, counter uint16, err error) {
	if b.left--; b.left < 0 {
		return k, l, e, 0, tpm.ErrUnavailable
	}
	return b.Key.Commit(ctx, p1, s2, y2)
}

// TestNoCoinNumberIsUsedTwice: whatever becomes of a withdrawal, before or after
// anything was sent, the next one has other numbers, and so other tags.
func TestNoCoinNumberIsUsedTwice(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	alice.Enrol(t, registrationtest.TPMA)
	sent := map[string]bool{}
	collect := func() (n int) {
		for _, s := range alice.Wire.Sent() {
			if s.Path == "/v1/withdrawals" {
				n++
				if sent[string(s.Body)] {
					t.Error("the same coins were asked for twice")
				}
				sent[string(s.Body)] = true
			}
		}
		return n
	}
	for left := range 5 { // 4 tags and the presentation over them
		alice.WrapKey(func(k group.Key) group.Key { return &broken{k, left} })
		_, err := alice.Withdraw(t.Context(), 15, coin.Bound, wallet.Steps{})
		want(t, err, tpm.ErrUnavailable)
		if collect() != 0 {
			t.Fatal("something was sent")
		}
		alice.Reopen(t)
		attach(t, town, alice)
	}
	holds(t, town, alice.Account, 100)
	for range 3 {
		alice.Draw(t, 15, coin.Bound)
		if collect() != 1 {
			t.Fatal("nothing was sent")
		}
	}
	numbers := map[coin.KeyID]map[uint64]bool{}
	coins, err := alice.Coins(t.Context())
	must(t, err)
	for _, c := range coins {
		if numbers[c.KeyID] == nil {
			numbers[c.KeyID] = map[uint64]bool{}
		}
		if numbers[c.KeyID][c.Index] || c.Index < 5 {
			t.Errorf("coin number %d of key %s was taken before", c.Index, c.KeyID)
		}
		numbers[c.KeyID][c.Index] = true
	}
	if len(coins) != 12 {
		t.Errorf("%d coins", len(coins))
	}
}

// TestAllWorkOfTheTPMIsReported: a discrete chip takes seconds for each.
func TestAllWorkOfTheTPMIsReported(t *testing.T) {
	town := wallettest.New(t)
	alice := town.NewHolder(t, 100)
	must(t, enroll(t, town, alice, registrationtest.TPMA))
	opened, tags := 0, 0
	device := at(t, town, registrationtest.TPMA)
	device.Opening = func(done, total int) { opened = 100 * done / total }
	device.Tags = func(int, int) { tags++ }
	must(t, alice.AttachTPM(t.Context(), device))
	if opened != 100 {
		t.Errorf("opening it was reported to %d %%", opened)
	}
	shop := town.NewShop(t)
	for _, step := range []struct {
		name string
		work func() error
		tags int
	}{
		{"withdrawing", func() error {
			_, err := alice.Withdraw(t.Context(), 16, coin.Bound, wallet.Steps{})
			return err
		}, 1},
		{"paying with change", func() error {
			_, err := alice.Pay(t.Context(), shop.Ask(t, 11), coin.Bound)
			return err
		}, 2},
		{"exchanging", func() error {
			_, err := alice.Exchange(t.Context(), coin.Bound)
			return err
		}, 2},
		{"bearer coins need no TPM", func() error {
			_, err := alice.Withdraw(t.Context(), 7, coin.Bearer, wallet.Steps{})
			return err
		}, 0},
	} {
		tags = 0
		must(t, step.work())
		if tags != step.tags {
			t.Errorf("%s: %d tags were reported, want %d", step.name, tags, step.tags)
		}
	}
}

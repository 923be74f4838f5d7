package wallet_test

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
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
		balance(t, alice, 0, 0, 11)
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

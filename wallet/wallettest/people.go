package wallettest

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/speciecash/specie/api/apitest"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/wallet"
)

// Holder is a person with a purse and an account.
type Holder struct {
	*wallet.Wallet
	Path    string
	Account string
	Token   string
	Wire    *Wire

	town *Town
}

// NewHolder makes a purse, an account with that much money, and opens the
// purse.
func (w *Town) NewHolder(t testing.TB, amount coin.Amount) *Holder {
	t.Helper()
	h := &Holder{Path: filepath.Join(t.TempDir(), "purse.db"), Wire: &Wire{}, town: w}
	h.Account, h.Token = w.Account(t, issuer.Holder, "", amount)
	must(t, wallet.Create(t.Context(), h.Path, wallet.Settings{RootPEM: w.RootPEM, BankURL: w.BankURL, Token: h.Token},
		wallet.Making{Lock: wallet.Lock{Kind: wallet.LockPlain}, Written: true}))
	h.open(t)
	t.Cleanup(func() {
		if h.Wallet != nil {
			must(t, h.Close())
		}
	})
	return h
}

func (h *Holder) open(t testing.TB) {
	t.Helper()
	var err error
	h.Wallet, err = wallet.Open(context.WithoutCancel(t.Context()), h.Path, wallet.Options{HTTP: h.Wire.Client(), Now: h.town.Now})
	must(t, err)
}

// Reopen is what happens after a crash: everything but the file is gone.
func (h *Holder) Reopen(t testing.TB) {
	t.Helper()
	must(t, h.Close())
	h.open(t)
}

// CopyFiles copies purse and key, and returns the path of the new purse.
func (h *Holder) CopyFiles(t testing.TB) string {
	t.Helper()
	must(t, h.Close())
	defer h.open(t)
	path := filepath.Join(t.TempDir(), "copy.db")
	copyFile(t, h.Path, path)
	copyFile(t, filepath.Join(filepath.Dir(h.Path), "purse.lock"), filepath.Join(filepath.Dir(path), "copy.lock"))
	if keys := filepath.Join(filepath.Dir(h.Path), "keys"); exists(keys) {
		must(t, os.CopyFS(filepath.Join(filepath.Dir(path), "keys"), os.DirFS(keys)))
	}
	return path
}

// Copy is a second purse with the same contents, in the hands of whoever
// copied the files, that of the key in the TPM too.
func (h *Holder) Copy(t testing.TB) *Holder {
	t.Helper()
	c := &Holder{Path: h.CopyFiles(t), Account: h.Account, Token: h.Token, Wire: &Wire{}, town: h.town}
	c.open(t)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

// Enrol registers a TPM of the lab, with no PIN, and attaches it.
func (h *Holder) Enrol(t testing.TB, tpm int) {
	t.Helper()
	at := wallet.TPM{Address: h.town.TPM(t, tpm)}
	_, err := h.Enroll(t.Context(), at, wallet.Enrolment{ManagerURL: h.town.GroupURL, Name: "Somebody"}, nil)
	must(t, err)
	must(t, h.AttachTPM(t.Context(), at))
}

// Draw withdraws.
func (h *Holder) Draw(t testing.TB, amount coin.Amount, kind coin.Kind) {
	t.Helper()
	_, err := h.Withdraw(t.Context(), amount, kind, wallet.Steps{})
	must(t, err)
}

// Worth is what the purse holds: to spend, and in open operations.
func (h *Holder) Worth(t testing.TB) (fresh, committed coin.Amount) {
	t.Helper()
	b, err := h.Wallet.Balance(t.Context())
	must(t, err)
	return b.Total, b.Committed
}

// Shop is a merchant with a till that takes payments over HTTP.
type Shop struct {
	*merchant.Till
	Path    string
	Account string
	Token   string
	Wire    *Wire
	Gate    *Gate
	URL     string // where payers post to

	town *Town
}

// NewShop makes a till and its account, and opens it.
func (w *Town) NewShop(t testing.TB) *Shop {
	t.Helper()
	s := &Shop{Path: filepath.Join(t.TempDir(), "till.db"), Wire: &Wire{}, Gate: &Gate{}, town: w}
	must(t, merchant.Create(t.Context(), s.Path, merchant.Settings{
		RootPEM: w.RootPEM, BankURL: w.BankURL, GroupURLs: []string{w.GroupURL}, Name: "Café Central", TillName: "till-1",
	}))
	s.open(t)
	s.Account, s.Token = w.Account(t, issuer.Merchant, s.MerchantID(), 0)
	must(t, s.SetToken(t.Context(), s.Token))
	s.URL = serve(t, s.Gate) + "/pay"
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func (s *Shop) open(t testing.TB) {
	t.Helper()
	var err error
	s.Till, err = merchant.Open(context.WithoutCancel(t.Context()), s.Path, merchant.Options{HTTP: s.Wire.Client(), Now: s.town.Now})
	must(t, err)
	contract := apitest.Read(t, apitest.Till)
	s.Gate.Set(contract.Watch(t, s.Handler(slog.New(slog.DiscardHandler))))
}

// Reopen is what happens after a crash of the till.
func (s *Shop) Reopen(t testing.TB) {
	t.Helper()
	must(t, s.Close())
	s.open(t)
}

// Offer makes an offer and its payment link.
func (s *Shop) Offer(t testing.TB, r merchant.OfferRequest) (*coin.SignedOffer, string) {
	t.Helper()
	offer, err := s.NewOffer(t.Context(), r)
	must(t, err)
	link, err := offer.Link(s.URL)
	must(t, err)
	text, err := link.Text()
	must(t, err)
	return offer, text
}

// Ask is Offer for an amount.
func (s *Shop) Ask(t testing.TB, amount coin.Amount) string {
	t.Helper()
	_, link := s.Offer(t, merchant.OfferRequest{Amount: amount, Order: "table 7"})
	return link
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, b, 0o600))
}

// NewHolderFrom makes a purse of a backup, for who lost the one that old is, and
// opens it. It has old's account.
func (w *Town) NewHolderFrom(t testing.TB, saved []byte, old *Holder) *Holder {
	t.Helper()
	h := &Holder{Path: filepath.Join(t.TempDir(), "purse.db"), Wire: &Wire{}, town: w, Account: old.Account, Token: old.Token}
	must(t, wallet.CreateFromBackup(t.Context(), h.Path, saved, wallet.Lock{Kind: wallet.LockPlain}))
	h.open(t)
	must(t, h.SetToken(t.Context(), h.Token))
	t.Cleanup(func() { must(t, h.Close()) })
	return h
}

// Replay has a request arrive that was lost before.
func (w *Town) Replay(t testing.TB, s Sent, token string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), s.Method, s.URL, bytes.NewReader(s.Body))
	must(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", s.Method, s.Path, resp.Status)
	}
}

package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
)

const (
	memoryClients = 64
	memoryCoins   = 12              // in a withdrawal
	memoryTime    = 4 * time.Second // of load, each b.N
)

// BenchmarkMemory reads what the kernel says of `specied issuer`, a process of
// its own with its signer beside it as in production: at rest, while 64 clients
// withdraw 12 coins at a time, while they deposit, and at most.
func BenchmarkMemory(b *testing.B) {
	h := newHouse(b, 1, benchSessions)
	h.startSigner()
	issuer := h.startIssuer("issuer.yaml")
	token := h.account("holder", "90000000000000.00")
	b.ReportMetric(memory(b, issuer, "VmRSS"), "MB-at-rest")

	// Coins to deposit, and the load of withdrawals that they come from.
	m := newBuyer(b, h)
	var withdrawing, depositing float64
	for range b.N {
		var mu sync.Mutex
		var payments [][]byte
		end := time.Now().Add(memoryTime)
		all(b, func() error {
			var mine [][]byte
			for len(mine) == 0 || time.Now().Before(end) {
				bodies, err := m.buy(token, memoryCoins)
				if err != nil {
					return err
				}
				mine = append(mine, bodies...)
			}
			mu.Lock()
			defer mu.Unlock()
			payments = append(payments, mine...)
			return nil
		})
		withdrawing = max(withdrawing, memory(b, issuer, "VmRSS"))
		work := make(chan []byte, len(payments))
		for _, p := range payments {
			work <- p
		}
		close(work)
		all(b, func() error {
			for p := range work {
				if err := m.post("/v1/deposits", m.token, p, nil); err != nil {
					return err
				}
			}
			return nil
		})
		depositing = max(depositing, memory(b, issuer, "VmRSS"))
		b.Logf("%d coins were withdrawn and deposited", len(payments))
	}
	b.ReportMetric(withdrawing, "MB-withdrawing")
	b.ReportMetric(depositing, "MB-depositing")
	b.ReportMetric(memory(b, issuer, "VmHWM"), "MB-at-most")
	b.ReportMetric(0, "ns/op")
}

// memory is a figure of /proc/PID/status in megabytes.
func memory(b *testing.B, d *daemon, field string) float64 {
	b.Helper()
	status := string(must(os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Process.Pid)))(b))
	_, rest, found := strings.Cut(status, "\n"+field+":")
	text, _, _ := strings.Cut(strings.TrimSpace(rest), " kB")
	if !found {
		b.Fatalf("no %s in the status of a process", field)
	}
	return float64(must(strconv.Atoi(text))(b)) / 1024
}

// all runs work in as many goroutines as there are clients.
func all(b *testing.B, work func() error) {
	b.Helper()
	var wait sync.WaitGroup
	for range memoryClients {
		wait.Go(func() {
			if err := work(); err != nil {
				b.Error(err)
			}
		})
	}
	wait.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

// A buyer withdraws coins and pays a merchant of the house with them.
type buyer struct {
	h     *house
	key   ed25519.PrivateKey
	token string // the merchant's
	http  *http.Client
}

func newBuyer(b *testing.B, h *house) *buyer {
	b.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	check(b, err)
	h.write("merchant.jws", must(coin.SignMerchantRequest(bankID, private))(b))
	h.run("account", "--socket", "issuer.sock", "--name", "merchant", "--kind", "merchant",
		"--merchant-request", h.path("merchant.jws"), "--token-out", h.path("merchant.token"))
	return &buyer{h: h, key: private, token: strings.TrimSpace(string(must(os.ReadFile(h.path("merchant.token")))(b))),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: memoryClients}}}
}

// buy withdraws n coins from the holder's account and returns what the merchant
// is to deposit, a coin each.
func (u *buyer) buy(holder string, n int) ([][]byte, error) {
	d := &u.h.keyset.Denominations[0]
	var seed coin.Seed
	_, _ = rand.Read(seed[:])
	planchets := make([]*coin.Planchet, n)
	owners := make([]ed25519.PrivateKey, n)
	var r issuerclient.WithdrawalRequest
	for i := range planchets {
		owner, err := coin.OwnerKey(seed, bankID, d.KeyID, uint64(i))
		if err != nil {
			return nil, err
		}
		owners[i] = owner
		if planchets[i], err = coin.NewPlanchet(seed, bankID, d, uint64(i), coin.Owner(owner.Public().(ed25519.PublicKey))); err != nil {
			return nil, err
		}
		r.Outputs = append(r.Outputs, coin.NewOutputsJSON([]coin.Output{planchets[i].Output()})...)
	}
	var signed issuerclient.Signed
	if err := u.post("/v1/withdrawals", holder, r, &signed); err != nil {
		return nil, err
	}
	var bodies [][]byte
	for i, p := range planchets {
		c, err := p.Finalize(signed.Signatures[i])
		if err != nil {
			return nil, err
		}
		body, err := u.pay(c, owners[i])
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	return bodies, nil
}

// pay makes the deposit of a payment of one coin.
func (u *buyer) pay(c *coin.Coin, owner ed25519.PrivateKey) ([]byte, error) {
	offer, err := coin.NewOffer(coin.Offer{
		Mode: coin.Online, Till: "1", Acquirer: bankID, Amount: 1, Currency: "XTS",
		Expires: now().Add(15 * time.Minute), Kinds: []coin.Kind{coin.Bearer},
	}, coin.PrivateOffer{Name: "merchant", Order: "1", Purpose: "test"}, u.key)
	if err != nil {
		return nil, err
	}
	spend, err := coin.NewSpend(coin.Spend{
		Purpose: coin.Pay, Bank: bankID, OfferDigest: offer.Digest, Amount: 1, Currency: "XTS",
		Coins: []coin.Coin{*c}, IssuedAt: now().Unix(),
	})
	if err != nil {
		return nil, err
	}
	authorisation := &coin.Authorisation{}
	if authorisation.Bearer, err = spend.SignBearer(func(*coin.Coin) (ed25519.PrivateKey, error) { return owner, nil }); err != nil {
		return nil, err
	}
	j, err := coin.NewSpendJSON(spend, authorisation)
	if err != nil {
		return nil, err
	}
	return json.Marshal(issuerclient.DepositRequest{Offer: offer.Public, PayeeSalt: offer.Private.PayeeSalt[:], Spend: *j})
}

// post sends a body, which is JSON or is made into it, and reads the answer
// into out if that is not nil.
func (u *buyer) post(path, token string, body, out any) error {
	data, ready := body.([]byte)
	if !ready {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+u.h.issuer+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := u.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, answer)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(answer, out)
	}
	return err
}

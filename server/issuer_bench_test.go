package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
)

const (
	benchClients = 16
	benchOutputs = 8
	benchRound   = 200 // withdrawals
	hsmSessions  = 8   // of the token, and so of the bare loop
)

// serveBench serves a bank over loopback as a daemon does, and returns its
// address and a client for many connections.
func serveBench(b *testing.B, bank *issuer.Bank) (string, *http.Client) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, slog.New(slog.DiscardHandler), Endpoint{l, NewIssuer(bank, IssuerOptions{}).Public})
	}()
	transport := &http.Transport{MaxIdleConnsPerHost: benchClients}
	b.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return "http://" + l.Addr().String(), &http.Client{Transport: transport}
}

// fire posts n bodies from many clients at once and returns how long it took.
func fire(b *testing.B, hc *http.Client, url string, token issuer.Token, n int, body func(i int) []byte) time.Duration {
	b.Helper()
	var next, failed atomic.Int64
	var wait sync.WaitGroup
	start := time.Now()
	for range benchClients {
		wait.Go(func() {
			for i := int(next.Add(1) - 1); i < n; i = int(next.Add(1) - 1) {
				if err := shoot(hc, url, token, body(i)); err != nil && failed.Add(1) == 1 {
					b.Error(err)
				}
			}
		})
	}
	wait.Wait()
	return time.Since(start)
}

func shoot(hc *http.Client, url string, token issuer.Token, body []byte) error {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+string(token))
	}
	resp, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, answer)
	}
	return err
}

// BenchmarkWithdrawalSignatures compares blind signatures per second through
// HTTP, with 16 clients who withdraw 8 coins at a time, with the bare C_Sign
// loop on the same token. The ratio is what counts: it is the same on a
// faster machine.
func BenchmarkWithdrawalSignatures(b *testing.B) {
	h := issuertest.NewHouse(b)
	bank := h.NewBank(b, nil)
	_, token := bank.Funded(b, coin.MaxAmount/2)
	url, hc := serveBench(b, bank.Bank)
	d := h.Key(b, coin.Bearer, 1)
	// A blinded message is a random number below the modulus: what clients
	// do to make one is no part of the measurement.
	bodies := make([][]byte, b.N)
	for i := range bodies {
		bodies[i] = randomWithdrawal(b, d)
	}
	key := h.Keys[0]
	if !key.Public().Equal(d.PublicKey) {
		b.Fatal("another key")
	}
	// In turns, so that both see the same machine.
	var signed, bare, took float64
	for left := b.N; left > 0; left -= benchRound {
		n := min(left, benchRound)
		b.StartTimer()
		round := fire(b, hc, url+"/v1/withdrawals", token, n, func(i int) []byte { return bodies[left-n+i] })
		b.StopTimer()
		rate, err := key.RawSignRate(context.Background(), hsmSessions, round)
		if err != nil {
			b.Fatal(err)
		}
		signed += float64(n * benchOutputs)
		bare += rate * round.Seconds()
		took += round.Seconds()
	}
	b.ReportMetric(signed/took, "signatures/s")
	b.ReportMetric(bare/took, "C_Sign/s")
	b.ReportMetric(signed/bare, "ratio")
	b.ReportMetric(0, "ns/op")
}

func randomWithdrawal(b *testing.B, d *coin.Denomination) []byte {
	b.Helper()
	var r issuerclient.WithdrawalRequest
	for range benchOutputs {
		m, err := rand.Int(rand.Reader, d.PublicKey.N)
		if err != nil {
			b.Fatal(err)
		}
		text := base64.RawURLEncoding.EncodeToString(m.FillBytes(make([]byte, d.PublicKey.Size())))
		r.Outputs = append(r.Outputs, coin.OutputJSON{KeyID: d.KeyID.String(), Blinded: text})
	}
	data, err := json.Marshal(r)
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// BenchmarkBearerDeposits counts deposits per second over HTTP, of one bearer
// coin each and without change.
func BenchmarkBearerDeposits(b *testing.B) {
	h := issuertest.NewHouse(b)
	bank := h.NewBank(b, nil)
	till, purse := bank.NewTill(b), h.NewPurse(b)
	url, hc := serveBench(b, bank.Bank)
	bodies := make([][]byte, b.N)
	for i := 0; i < b.N; {
		values := make([]coin.Amount, min(128, b.N-i))
		for j := range values {
			values[j] = 1
		}
		for _, c := range purse.Withdraw(b, bank, values...) {
			offer := till.Offer(b, 1, nil)
			spend, authorisation := purse.Pay(b, offer, []coin.Coin{c}, nil)
			j, err := coin.NewSpendJSON(spend, authorisation)
			if err != nil {
				b.Fatal(err)
			}
			if bodies[i], err = json.Marshal(issuerclient.DepositRequest{
				Offer: offer.Public, PayeeSalt: offer.Private.PayeeSalt[:], Spend: *j,
			}); err != nil {
				b.Fatal(err)
			}
			i++
		}
	}
	b.ResetTimer()
	took := fire(b, hc, url+"/v1/deposits", till.Token, b.N, func(i int) []byte { return bodies[i] })
	b.StopTimer()
	b.ReportMetric(float64(b.N)/took.Seconds(), "deposits/s")
	b.ReportMetric(0, "ns/op")
}

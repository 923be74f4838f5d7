package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
)

const (
	withdrawClients = 64
	// withdrawCoins are in one withdrawal: 500.00 under thirteen values from
	// 0.01 to 40.96.
	withdrawCoins = 16
	hsmSessions   = 8 // of the token, and so of the bare loop
)

// BenchmarkWithdrawal compares blind signatures a second over the whole path
// (64 clients on loopback, HTTP, JSON, ledger, token, the check of each
// signature) with the bare C_Sign loop on the same token and key. Each b.N is
// one round of both.
func BenchmarkWithdrawal(b *testing.B) {
	h := issuertest.NewHouse(b)
	for _, bits := range []int{2048, 3072} {
		b.Run(fmt.Sprintf("RSA-%d", bits), func(b *testing.B) {
			d, key := h.NewKeyOf(b, h.Key(b, coin.Bearer, 1), bits)
			draft := h.Draft
			draft.Denominations = append([]coin.Denomination{d}, draft.Denominations[1:]...)
			bank := h.NewBank(b, func(c *issuer.Config) { c.Keyset = h.SignKeyset(b, draft) })
			_, token := bank.Funded(b, coin.MaxAmount/2)
			all := dial(b, serveBench(b, bank.Bank), withdrawClients)
			all.fire(b, withdrawals(b, &d, token, withdrawClients)) // connections and statements are there
			compareWithdrawals(b, all, &d, key, token)
		})
	}
}

func compareWithdrawals(b *testing.B, all guns, d *coin.Denomination, key *hsm.RSAKey, token issuer.Token) {
	type round struct{ path, bare lap }
	var rounds []round
	// A round is a second or so, and many times what it takes to begin and end.
	n := withdrawClients * 8 * 2048 * 2048 / (d.PublicKey.N.BitLen() * d.PublicKey.N.BitLen())
	for range b.N {
		requests := withdrawals(b, d, token, n)
		var r round
		r.path = measure(b, func() int {
			all.fire(b, requests)
			return n * withdrawCoins
		})
		r.bare = measure(b, func() int {
			start := time.Now()
			rate, err := key.RawSignRate(context.Background(), hsmSessions, r.path.took)
			if err != nil {
				b.Fatal(err)
			}
			return int(rate * time.Since(start).Seconds())
		})
		rounds = append(rounds, r)
		b.Logf("signatures/s %.0f, C_Sign/s %.0f, ratio %.3f; processor time each %.0f and %.0f µs, ratio %.3f", r.path.rate(), r.bare.rate(),
			r.path.rate()/r.bare.rate(), 1e6*r.path.cost(), 1e6*r.bare.cost(), r.bare.cost()/r.path.cost())
	}
	b.ReportMetric(medianOf(rounds, func(r round) float64 { return r.path.rate() }), "signatures/s")
	b.ReportMetric(medianOf(rounds, func(r round) float64 { return r.bare.rate() }), "C_Sign/s")
	b.ReportMetric(medianOf(rounds, func(r round) float64 { return r.path.rate() / r.bare.rate() }), "ratio")
	b.ReportMetric(medianOf(rounds, func(r round) float64 { return r.bare.cost() / r.path.cost() }), "ratio-by-processor-time")
	b.ReportMetric(0, "ns/op")
}

// withdrawals are n requests. A blinded message is a random number below the
// modulus: what clients do to make one is no part of the measurement.
func withdrawals(b *testing.B, d *coin.Denomination, token issuer.Token, n int) [][]byte {
	b.Helper()
	requests := make([][]byte, n)
	for i := range requests {
		var r issuerclient.WithdrawalRequest
		for range withdrawCoins {
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
		requests[i] = request("/v1/withdrawals", token, data)
	}
	return requests
}

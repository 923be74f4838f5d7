package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
)

// BenchmarkWithdrawalPath compares the processor time of a blind signature
// over the whole path, with `specied issuer` and `specied signer` in processes
// of their own as in production, with that of the bare C_Sign loop on the same
// token and key (RSA-2048). 64 clients withdraw 16 coins at a time; what they
// use themselves is told apart. Each b.N is one round of both.
func BenchmarkWithdrawalPath(b *testing.B) {
	h := newHouse(b, 1, benchSessions)
	signer := h.startSigner().worker()
	issuer := h.startIssuer("issuer.yaml").Process.Pid
	token := h.account("holder", "90000000000000.00")
	u := newBuyer(b, h)
	key := must(h.token.RSAKeys(b.Context()))(b)[0]
	var ratios, bank, keys, clients []float64
	for range b.N {
		work := make(chan []byte, 256)
		for range cap(work) {
			work <- randomWithdrawal(b, &h.keyset.Denominations[0])
		}
		close(work)
		var signed atomic.Int64
		beforeIssuer, beforeSigner, beforeAll := usedBy(b, issuer), usedBy(b, signer), processorTime(b, signer)
		all(b, func() error {
			for body := range work {
				if err := u.post("/v1/withdrawals", token, body, nil); err != nil {
					return err
				}
				signed.Add(benchBatch)
			}
			return nil
		})
		n := float64(signed.Load())
		inSigner := usedBy(b, signer) - beforeSigner
		each := func(d time.Duration) float64 { return 1e6 * d.Seconds() / n }
		i, s := each(usedBy(b, issuer)-beforeIssuer), each(inSigner)
		c := each(processorTime(b, signer) - beforeAll - inSigner)

		before, start := processorTime(b, signer), time.Now()
		rate := must(key.RawSignRate(context.Background(), benchSessions, 2*time.Second))(b)
		bare := 1e6 * (processorTime(b, signer) - before).Seconds() / (rate * time.Since(start).Seconds())
		ratios, bank, keys, clients = append(ratios, bare/(i+s)), append(bank, i), append(keys, s), append(clients, c)
		b.Logf("processor time of a signature: issuer %.0f, signer %.0f µs (clients %.0f); C_Sign %.0f; ratio %.3f", i, s, c, bare, bare/(i+s))
	}
	b.ReportMetric(median(ratios), "ratio-by-processor-time")
	b.ReportMetric(median(bank), "µs-issuer")
	b.ReportMetric(median(keys), "µs-signer")
	b.ReportMetric(median(clients), "µs-clients")
	b.ReportMetric(0, "ns/op")
}

// randomWithdrawal is a withdrawal whose blinded messages are random numbers
// below the modulus.
func randomWithdrawal(b *testing.B, d *coin.Denomination) []byte {
	b.Helper()
	outputs := make([]coin.Output, benchBatch)
	for i := range outputs {
		m := must(rand.Int(rand.Reader, d.PublicKey.N))(b)
		outputs[i] = coin.Output{KeyID: d.KeyID, Blinded: m.FillBytes(make([]byte, d.PublicKey.Size()))}
	}
	return must(json.Marshal(issuerclient.WithdrawalRequest{Outputs: coin.NewOutputsJSON(outputs)}))(b)
}

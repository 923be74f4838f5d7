package main

import (
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestABankThatDiesAtTheCommitOfPostgreSQLLosesNothing(t *testing.T) {
	h := newHouse(t, 1, 2)
	h.bin = buildTagged(t, "specied")
	configs, addresses := h.share(cluster(t), 1)
	h.startSigner()
	fault := h.path("fault")
	h.env = append(h.env, "SPECIE_FAULT="+fault)
	bank := h.startAll(configs, addresses)[0]
	d := &h.keyset.Denominations[0]
	alice, shop := h.newPayer("alice", "5.00"), h.newPayee("shop")
	points := []string{"issuer.checked", "postgres.commit", "postgres.committed", "issuer.recorded"}
	for i, point := range points {
		c := alice.draw(d)
		payment := shop.payment(t, &c, d.Value)
		h.write("fault", []byte(point))
		if status, _, err := shop.deposit(t.Context(), h.issuer, payment); err == nil {
			t.Fatalf("%s: answered with %d", point, status)
		}
		select {
		case <-bank.done:
		case <-time.After(10 * time.Second):
			t.Fatalf("nobody was killed at %s", point)
		}
		if !killedBy(bank.ProcessState, syscall.SIGKILL) {
			t.Fatalf("%s: the daemon ended with %v", point, bank.ProcessState)
		}
		check(t, os.Remove(fault))
		bank = h.startAll(configs, addresses)[0]
		for range 2 {
			if status, code, err := shop.deposit(t.Context(), h.issuer, payment); err != nil || status != http.StatusOK {
				t.Fatalf("%s: repeated: %d %s %v", point, status, code, err)
			}
		}
		if status, code, _ := shop.deposit(t.Context(), h.issuer, shop.payment(t, &c, d.Value)); status != http.StatusConflict || code != "double-spend" {
			t.Errorf("%s: spent again: %d %s", point, status, code)
		}
		if now := h.balances(); now["merchant"] != int64(i+1)*int64(d.Value) || now["circulation"] != 0 {
			t.Errorf("%s: books %v", point, now)
		}
	}
	h.run("audit", "--socket", "issuer.sock")
}

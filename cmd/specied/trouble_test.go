package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
)

// balances are the classes of the books.
func (h *house) balances() map[string]int64 {
	h.t.Helper()
	status, body := getOn(h.t, h.path("issuer.sock"), "/admin/v1/books")
	if status != http.StatusOK {
		h.t.Fatalf("books: %d %s", status, body)
	}
	var books issuerclient.Books
	unmarshal(h.t, body, &books)
	out := map[string]int64{}
	for _, c := range books.Classes {
		out[c.Class] = c.Balance
	}
	return out
}

// inTheEnd repeats a deposit, byte for byte, until it is taken.
func (p *payee) inTheEnd(t testing.TB, address string, payment []byte) {
	t.Helper()
	eventually(t, "the deposit is never taken", func() bool {
		status, code, err := p.deposit(t.Context(), address, payment)
		if err == nil && status != http.StatusOK && status != http.StatusServiceUnavailable {
			t.Fatalf("deposit: %d %s", status, code)
		}
		return err == nil && status == http.StatusOK
	})
}

func TestADatabaseThatIsGoneAndBackNeedsNoRestart(t *testing.T) {
	h := newHouse(t, 1, 2)
	c := cluster(t)
	configs, addresses := h.share(c, 2)
	h.startSigner()
	daemons := h.startAll(configs, addresses)
	d := &h.keyset.Denominations[0]
	alice, shop := h.newPayer("alice", "5.00"), h.newPayee("shop")
	var coins []owned
	for range 4 {
		coins = append(coins, alice.draw(d))
	}
	for i, gone := range []func() error{c.Kill, c.Stop} {
		before, meanwhile := shop.payment(t, &coins[2*i], d.Value), shop.payment(t, &coins[2*i+1], d.Value)
		shop.inTheEnd(t, addresses[0], before)
		check(t, gone())
		for _, payment := range [][]byte{before, meanwhile} {
			for _, address := range addresses {
				status, code, err := shop.deposit(t.Context(), address, payment)
				if err != nil || status != http.StatusServiceUnavailable || code != "unavailable" {
					t.Errorf("without a database: %d %s %v", status, code, err)
				}
			}
		}
		// The answer from before stands for a second: the check does real work.
		eventually(t, "ready without a database", func() bool {
			status, _ := get("http://" + addresses[0] + "/readyz")
			return status == http.StatusServiceUnavailable
		})
		check(t, c.Restart())
		shop.inTheEnd(t, addresses[1], meanwhile)
		shop.inTheEnd(t, addresses[0], before)
	}
	for _, d := range daemons {
		select {
		case <-d.done:
			t.Errorf("a daemon ended: %s", d.said())
		default:
		}
	}
	if now := h.balances(); now["merchant"] != 4*int64(d.Value) || now["circulation"] != 0 {
		t.Errorf("books %v", now)
	}
	h.run("audit", "--socket", "issuer.sock")
}

// startOnDisk starts the issuer with its database on a disk of its own, and
// returns where the test sees that disk.
func (h *house) startOnDisk(size string) (*daemon, string) {
	h.t.Helper()
	disk := h.path("disk")
	check(h.t, os.Mkdir(disk, 0o700))
	yaml := strings.ReplaceAll(string(must(os.ReadFile(h.path("inprocess.yaml")))(h.t)), "database: issuer.db", "database: disk/issuer.db")
	h.write("ondisk.yaml", []byte(yaml))
	// In namespaces of its own, so that no privilege is needed and nothing stays
	// mounted.
	cmd := exec.Command("unshare", "--map-root-user", "--mount", "sh", "-c",
		`mount -t tmpfs -o size="$1" tmpfs "$2" && exec "$3" issuer --config "$4"`, "sh", size, disk, h.bin, h.path("ondisk.yaml"))
	cmd.Env, cmd.Dir = h.env, h.dir
	d := h.launch("issuer", cmd)
	h.ready(d, h.issuer)
	return d, fmt.Sprintf("/proc/%d/root%s", d.Process.Pid, disk)
}

func TestAFullDiskLosesNothing(t *testing.T) {
	h := newHouse(t, 1, 2)
	_, disk := h.startOnDisk("48m")
	d := &h.keyset.Denominations[0]
	alice, shop := h.newPayer("alice", "9.00"), h.newPayee("shop")
	var payments [][]byte
	for range 60 {
		c := alice.draw(d)
		payments = append(payments, shop.payment(t, &c, d.Value))
	}
	shop.inTheEnd(t, h.issuer, payments[0])

	ballast := filepath.Join(disk, "ballast")
	f := must(os.OpenFile(ballast, os.O_CREATE|os.O_WRONLY, 0o600))(t)
	block := make([]byte, 4096) // a page: not a byte of room is left
	for {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	check(t, f.Close())
	taken, refused := 1, 0
	for _, payment := range payments[1:] {
		status, code, err := shop.deposit(t.Context(), h.issuer, payment)
		switch {
		case err == nil && status == http.StatusOK:
			taken++
		case err == nil && (status == http.StatusServiceUnavailable || status == http.StatusInsufficientStorage):
			refused++
		default:
			t.Fatalf("on a full disk: %d %s %v", status, code, err)
		}
	}
	if refused == 0 {
		t.Fatal("the disk was not full")
	}
	if now := h.balances(); now["merchant"] != int64(taken)*int64(d.Value) {
		t.Errorf("%d were taken, and the books say %v", taken, now)
	}
	check(t, os.Remove(ballast))
	for _, payment := range payments {
		shop.inTheEnd(t, h.issuer, payment)
	}
	if now := h.balances(); now["merchant"] != 60*int64(d.Value) || now["circulation"] != 0 {
		t.Errorf("books %v", now)
	}
	h.run("audit", "--socket", "issuer.sock")
}

func TestWhatIsUnderWayAtTheEndIsFinished(t *testing.T) {
	h := newHouse(t, 1, 2)
	issuer := h.startIssuer("inprocess.yaml")
	d := &h.keyset.Denominations[0]
	token := h.account("alice", "50.00")
	const at, outputs = 3, 250
	var answered atomic.Int32
	var all sync.WaitGroup
	for range at {
		all.Go(func() {
			if err := h.withdraw(t.Context(), token, d, outputs); err != nil {
				t.Errorf("a withdrawal that was under way: %v", err)
			}
			answered.Add(1)
		})
	}
	eventually(t, "the withdrawals are not recorded", func() bool {
		return h.balances()["circulation"] == at*outputs*int64(d.Value)
	})
	check(t, issuer.Process.Signal(syscall.SIGTERM))
	early := answered.Load()
	all.Wait()
	if early == at {
		t.Error("all was answered before the daemon was told to end")
	}
	if code := issuer.wait(30 * time.Second); code != 0 {
		t.Errorf("the daemon ended with %d", code)
	}
	h.startIssuer("inprocess.yaml")
	h.run("audit", "--socket", "issuer.sock")
}

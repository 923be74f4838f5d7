package main

import (
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/ledger/postgres/pgtest"
)

// cluster starts a PostgreSQL for one test.
func cluster(t testing.TB) *pgtest.Cluster {
	t.Helper()
	c := must(pgtest.Start())(t)
	t.Cleanup(func() { check(t, c.Close()) })
	return c
}

// share writes the configurations of n issuers that share a database and the
// signer. The first has the house's address.
func (h *house) share(c *pgtest.Cluster, n int) (configs, addresses []string) {
	h.t.Helper()
	u := must(url.Parse(c.Database(h.t)))(h.t)
	password, _ := u.User.Password()
	h.write("database.password", []byte(password+"\n"))
	u.User = url.User(u.User.Username())
	for i := range n {
		address, socket := h.issuer, "issuer.sock"
		if i > 0 {
			address, socket = freeAddress(h.t), fmt.Sprintf("issuer%d.sock", i)
		}
		name := fmt.Sprintf("issuer%d.yaml", i)
		h.write(name, fmt.Appendf(nil, `root: root.pem
keyset: keyset.jws
signing_chain: signing.pem
signer: signer.sock
database: %q
database_password_file: database.password
lane: p%d
witness: p%d.witness
listen: %s
admin_socket: %s
`, u, i, i, address, socket))
		configs, addresses = append(configs, name), append(addresses, address)
	}
	return configs, addresses
}

// startAll starts issuers and waits for them.
func (h *house) startAll(configs, addresses []string) (out []*daemon) {
	h.t.Helper()
	for i, c := range configs {
		out = append(out, h.start(fmt.Sprintf("issuer%d", i), "issuer", "--config", h.path(c)))
	}
	for i, d := range out {
		h.ready(d, addresses[i])
	}
	return out
}

// rush sends payments of one coin at once, each by a client of its own, to the
// processes in turn, and returns how many were taken.
func rush(t *testing.T, p *payee, payments [][]byte, addresses []string) (taken int) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	start := make(chan struct{})
	for i, body := range payments {
		all.Go(func() {
			<-start
			for {
				status, code, err := p.deposit(t.Context(), addresses[i%len(addresses)], body)
				mu.Lock()
				switch {
				case err != nil:
					t.Error(err)
				case status == http.StatusOK:
					taken++
				case status == http.StatusServiceUnavailable:
					mu.Unlock()
					continue // repeat the same bytes
				case status != http.StatusConflict || code != "double-spend":
					t.Errorf("status %d, code %s", status, code)
				}
				mu.Unlock()
				return
			}
		})
	}
	close(start)
	all.Wait()
	return taken
}

// raceForCoins has 200 clients spend the same coin, coin by coin.
func (h *house) raceForCoins(t *testing.T, coins int, addresses []string) {
	t.Helper()
	d := &h.keyset.Denominations[0]
	alice, shop := h.newPayer("alice", "5.00"), h.newPayee("shop")
	for n := range coins {
		c := alice.draw(d)
		payments := make([][]byte, 200)
		for i := range payments {
			payments[i] = shop.payment(t, &c, d.Value)
		}
		if taken := rush(t, shop, payments, addresses); taken != 1 {
			t.Fatalf("coin %d was taken %d times", n, taken)
		}
	}
	var books issuerclient.Books
	unmarshal(t, h.run("--json", "books", "--socket", "issuer.sock"), &books)
	for _, c := range books.Classes {
		if c.Class == "merchant" && c.Balance != int64(coins)*int64(d.Value) || c.Class == "circulation" && c.Balance != 0 {
			t.Errorf("books %+v", books)
		}
	}
	h.run("audit", "--socket", "issuer.sock")
}

func TestACoinThatIsSpentTwoHundredTimesAtOnceIsTakenOnce(t *testing.T) {
	t.Run("by one process on a file", func(t *testing.T) {
		h := newHouse(t, 1, 2)
		h.startIssuer("inprocess.yaml")
		h.raceForCoins(t, 5, []string{h.issuer})
	})
	t.Run("by three processes on one PostgreSQL", func(t *testing.T) {
		h := newHouse(t, 1, 2)
		configs, addresses := h.share(cluster(t), 3)
		h.startSigner()
		h.startAll(configs, addresses)
		h.raceForCoins(t, 5, addresses)
		h.holdElsewhere(t, addresses)
	})
}

// holdElsewhere holds a coin at one process; the others know of it.
func (h *house) holdElsewhere(t *testing.T, addresses []string) {
	t.Helper()
	d := &h.keyset.Denominations[0]
	bob, holder, other := h.newPayer("bob", "1.00"), h.newPayee("holder"), h.newPayee("other")
	c := bob.draw(d)
	payment := holder.payment(t, &c, d.Value)
	status, answer, err := postAs(t.Context(), "http://"+addresses[0]+"/v1/holds", holder.token, holdOf(t, payment))
	check(t, err)
	if status != http.StatusOK {
		t.Fatalf("hold: %d %s", status, answer)
	}
	foreign := other.payment(t, &c, d.Value)
	for _, address := range addresses {
		if status, code, err := other.deposit(t.Context(), address, foreign); err != nil || status != http.StatusConflict || code != "coin-held" {
			t.Errorf("at %s: %d %s %v", address, status, code, err)
		}
	}
	if status, code, err := holder.deposit(t.Context(), addresses[2], payment); err != nil || status != http.StatusOK {
		t.Errorf("the holder's own deposit: %d %s %v", status, code, err)
	}
	if status, code, _ := other.deposit(t.Context(), addresses[1], foreign); status != http.StatusConflict || code != "double-spend" {
		t.Errorf("after it: %d %s", status, code)
	}
}

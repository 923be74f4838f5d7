package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/ledger/postgres"
	"github.com/speciecash/specie/ledger/postgres/pgtest"
	"github.com/speciecash/specie/ledger/sqlite"
)

// depositRound is how many deposits, of one coin each, one way makes before it
// is another's turn.
const depositRound = 1024

// paid is a payment that waits to be deposited.
type paid struct {
	offer         *coin.SignedOffer
	spend         *coin.Spend
	authorisation *coin.Authorisation
	request       []byte // as it goes over the wire
}

// payments makes so many payments of one bearer coin to the till.
func payments(b *testing.B, h *issuertest.House, bank *issuertest.Bank, till *issuertest.Till, n int) []paid {
	b.Helper()
	all := make([]paid, 0, n)
	for len(all) < n {
		purse := h.NewPurse(b) // a small one finds its keys sooner
		values := make([]coin.Amount, min(16, n-len(all)))
		for i := range values {
			values[i] = 1
		}
		for _, c := range purse.Withdraw(b, bank, values...) {
			p := paid{offer: till.Offer(b, 1, nil)}
			p.spend, p.authorisation = purse.Pay(b, p.offer, []coin.Coin{c}, nil)
			j, err := coin.NewSpendJSON(p.spend, p.authorisation)
			if err != nil {
				b.Fatal(err)
			}
			body, err := json.Marshal(issuerclient.DepositRequest{
				Offer: p.offer.Public, PayeeSalt: p.offer.Private.PayeeSalt[:], Spend: *j,
			})
			if err != nil {
				b.Fatal(err)
			}
			p.request = request("/v1/deposits", till.Token, body)
			all = append(all, p)
		}
	}
	return all
}

// BenchmarkDeposit compares deposits of one bearer coin a second over the
// whole path with what they are made of: the checks of the payment alone, the
// ledger alone with as many callers, and the signed receipt alone. Each b.N is
// one round of all four.
func BenchmarkDeposit(b *testing.B) {
	h := issuertest.NewHouse(b)
	for _, store := range benchStores(b) {
		for _, callers := range []int{64, 512} {
			b.Run(fmt.Sprintf("%s/%d clients", store.name, callers), func(b *testing.B) {
				bank := h.NewBank(b, func(c *issuer.Config) { c.Ledger = store.open(b) })
				till := bank.NewTill(b)
				warm := payments(b, h, bank, till, callers) // before the connections, which have 5 s for a request
				all := dial(b, serveBench(b, bank.Bank), callers)
				all.fire(b, requestsOf(warm))
				compareDeposits(b, all, depositBench{h, bank, till, store.open(b)})
			})
		}
	}
}

// benchStore opens an empty ledger.
type benchStore struct {
	name string
	open func(*testing.B) ledger.Ledger
}

// benchStores are both drivers; PostgreSQL is a private cluster on a UNIX
// socket of this machine, with fsync on.
func benchStores(b *testing.B) []benchStore {
	cluster, err := pgtest.Start()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			b.Error(err)
		}
	})
	opened := func(b *testing.B, l ledger.Ledger, err error) ledger.Ledger {
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = l.Close() })
		return l
	}
	return []benchStore{
		{"SQLite", func(b *testing.B) ledger.Ledger {
			l, err := sqlite.OpenLedger(b.Context(), filepath.Join(b.TempDir(), "ledger.db"), sqlite.Options{})
			return opened(b, l, err)
		}},
		{"PostgreSQL", func(b *testing.B) ledger.Ledger {
			l, err := postgres.OpenLedger(b.Context(), cluster.Database(b), postgres.Options{})
			return opened(b, l, err)
		}},
	}
}

type depositBench struct {
	house *issuertest.House
	bank  *issuertest.Bank
	till  *issuertest.Till
	store ledger.Ledger // for the ledger alone
}

func compareDeposits(b *testing.B, all guns, d depositBench) {
	type round struct{ path, checks, store, receipts lap }
	var rounds []round
	for range b.N {
		some := payments(b, d.house, d.bank, d.till, depositRound)
		var r round
		r.path = measure(b, func() int {
			all.fire(b, requestsOf(some))
			return len(some)
		})
		// Twice as often as there are processors, as net/http would.
		r.checks = each(b, 2*runtime.GOMAXPROCS(0), some, d.check)
		ops := make([]ledger.Op, len(some))
		for i := range some {
			ops[i] = d.recorded(b, &some[i])
		}
		r.store = each(b, len(all), ops, d.apply)
		r.receipts = each(b, hsmSessions, some, d.receipt)
		rounds = append(rounds, r)
		b.Logf("a second: deposits %.0f, checks %.0f, ledger %.0f, receipts %.0f; processor time each %.0f, %.0f, %.0f, %.0f µs",
			r.path.rate(), r.checks.rate(), r.store.rate(), r.receipts.rate(),
			1e6*r.path.cost(), 1e6*r.checks.cost(), 1e6*r.store.cost(), 1e6*r.receipts.cost())
	}
	b.ReportMetric(medianOf(rounds, func(r round) float64 { return r.path.rate() }), "deposits/s")
	b.ReportMetric(medianOf(rounds, func(r round) float64 { return r.path.rate() / r.checks.rate() }), "of-checks-alone")
	b.ReportMetric(medianOf(rounds, func(r round) float64 { return r.path.rate() / r.store.rate() }), "of-ledger-alone")
	b.ReportMetric(medianOf(rounds, func(r round) float64 { return r.path.rate() / r.receipts.rate() }), "of-receipts-alone")
	share := func(part func(round) lap) float64 {
		return medianOf(rounds, func(r round) float64 { return 100 * part(r).cost() / r.path.cost() })
	}
	b.ReportMetric(medianOf(rounds, func(r round) float64 { return 1e6 * r.path.cost() }), "µs-of-processor")
	b.ReportMetric(share(func(r round) lap { return r.checks }), "%-checks")
	b.ReportMetric(share(func(r round) lap { return r.store }), "%-ledger")
	b.ReportMetric(share(func(r round) lap { return r.receipts }), "%-receipts")
	b.ReportMetric(medianOf(rounds, func(r round) float64 {
		return r.path.processor.Seconds() / r.path.took.Seconds() / float64(runtime.GOMAXPROCS(0)) * 100
	}), "%-processors-busy")
	b.ReportMetric(0, "ns/op")
}

// each does the work for all items with so many callers at once.
func each[T any](b *testing.B, callers int, items []T, do func(*T) error) lap {
	b.Helper()
	var failed atomic.Pointer[error]
	l := measure(b, func() int {
		var next atomic.Int64
		var wait sync.WaitGroup
		for range callers {
			wait.Go(func() {
				for i := next.Add(1) - 1; i < int64(len(items)); i = next.Add(1) - 1 {
					if err := do(&items[i]); err != nil {
						failed.Store(&err)
						return
					}
				}
			})
		}
		wait.Wait()
		return len(items)
	})
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
	return l
}

func requestsOf(all []paid) [][]byte {
	out := make([][]byte, len(all))
	for i := range all {
		out[i] = all[i].request
	}
	return out
}

// check makes every check of a payment that a deposit makes.
func (d depositBench) check(p *paid) error {
	offer, err := coin.ParseOffer(p.offer.Public)
	if err != nil {
		return err
	}
	if err := offer.CheckPayee(p.offer.Private.PayeeSalt, d.till.Account.Merchant); err != nil {
		return err
	}
	if err := offer.CheckSpend(p.spend); err != nil {
		return err
	}
	return coin.Verify(p.spend, p.authorisation, d.house.Keyset, nil, issuertest.Now)
}

// recorded is the operation as the bank recorded it, for another ledger that
// has not seen it.
func (d depositBench) recorded(b *testing.B, p *paid) ledger.Op {
	b.Helper()
	op, err := d.bank.Config.Ledger.Op(b.Context(), p.spend.Op())
	if err != nil {
		b.Fatal(err)
	}
	for i := range op.Spends {
		if err := d.store.OpenEpoch(b.Context(), op.Spends[i].Epoch); err != nil {
			b.Fatal(err)
		}
	}
	return *op
}

func (d depositBench) apply(op *ledger.Op) error {
	out, err := d.store.Apply(context.Background(), *op)
	if err == nil && out.Status != ledger.Applied {
		err = fmt.Errorf("the ledger answered %v", out.Status)
	}
	return err
}

// receipt signs a receipt with the token, as a deposit does.
func (d depositBench) receipt(p *paid) error {
	r := coin.DepositReceipt{
		Bank: issuertest.BankID, Op: p.spend.Op(), OfferDigest: p.spend.OfferDigest, SpendDigest: p.spend.Digest(),
		Amount: 1, Currency: issuertest.Currency, At: issuertest.Now,
	}
	_, _ = rand.Read(r.Payee[:])
	_, err := r.Sign(d.house.Receipts.Key, d.house.Receipts.Chain)
	return err
}

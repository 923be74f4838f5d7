package issuer_test

import (
	"math/rand/v2"
	"testing"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
)

// token is the tracing token of a member, as two of the three supervisors
// release it.
func token(t testing.TB, h *issuertest.House, m *issuertest.Member) group.TracingToken {
	t.Helper()
	params, key := h.Document(t).Parameters(), &h.Supervision.Key
	var parts []*group.PartialTrace
	for _, share := range h.Shares[1:] {
		part, err := group.TracePartial(params, key, share, m.Join, m.Context)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part)
	}
	tau, err := group.CombineTrace(params, key, m.Join, parts)
	if err != nil {
		t.Fatal(err)
	}
	return tau
}

// TestTracingFindsAMembersPaymentsAndNobodyElses lets many members pay, change
// and void in any order, and traces each of them.
func TestTracingFindsAMembersPaymentsAndNobodyElses(t *testing.T) {
	const members, payments = 12, 60
	s := newBoundShop(t)
	people := make([]*issuertest.Member, members)
	purses := make([][]coin.Coin, members)
	tokens := make([]group.TracingToken, members)
	for i := range people {
		people[i] = s.House.AdmitKnown(t)
		tokens[i] = token(t, s.House, people[i])
		purses[i] = s.strike(t, people[i], 4, 4, 4, 4, 4, 4, 4, 4)
	}
	paid := make([]map[ledger.ID]bool, members)
	for i := range paid {
		paid[i] = make(map[ledger.ID]bool)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	for range payments {
		i := dice.IntN(members)
		if len(purses[i]) == 0 {
			continue
		}
		own := purses[i][:1]
		purses[i] = purses[i][1:]
		s.member = people[i]
		if dice.IntN(4) == 0 { // for new coins, of no kind in particular
			batch := s.purse.Prepare(t, 4)
			spend, authorisation := s.purse.AuthoriseBound(t, people[i], coin.Spend{
				Purpose: coin.Exchange, Bank: issuertest.BankID, Currency: "EUR", Coins: own, ToIssuer: batch.Outputs,
				IssuedAt: s.Clock.Now().Unix(),
			})
			done, err := s.Exchange(t.Context(), spend, authorisation)
			expect(t, err, nil)
			paid[i][done.Op] = true
			continue
		}
		done, err := s.Deposit(t.Context(), s.till.Account, s.pay(t, s.till, 4, own...))
		expect(t, err, nil)
		paid[i][done.Op] = true
	}
	// What nobody's TPM has a part in is none of a trace's business.
	_, _, bearer := s.payment(t)
	_, err := s.Deposit(t.Context(), s.till.Account, bearer)
	expect(t, err, nil)

	total := int64(0)
	for i := range paid {
		total += int64(len(paid[i]))
	}
	id := s.House.Document(t).GroupID()
	for i := range people {
		var last int64
		report, err := s.Trace(t.Context(), id, func(p *group.Presentation) bool { return group.Trace(tokens[i], p) },
			func(done, of int64) { last = of - done })
		if err != nil || report.Rows.Err() != nil || last != 0 {
			t.Fatalf("%v, %v, %d rows to go", err, report, last)
		}
		if report.Searched != total || len(report.Hits) != len(paid[i]) {
			t.Fatalf("%d of %d searched, %d found of %d", report.Searched, total, len(report.Hits), len(paid[i]))
		}
		for n, hit := range report.Hits {
			if !paid[i][hit.Op] {
				t.Fatalf("%x is somebody else's", hit.Op)
			}
			if n > 0 && hit.At.Before(report.Hits[n-1].At) {
				t.Fatal("out of order")
			}
		}
	}
	other, err := s.Trace(t.Context(), group.ID{1}, func(*group.Presentation) bool { return true }, nil)
	if err != nil || other.Searched != 0 || len(other.Hits) != 0 {
		t.Fatalf("another group's: %v, %+v", err, other)
	}
}

func TestAHitSaysWhoWasPaidHowMuch(t *testing.T) {
	s := newBoundShop(t)
	request := s.pay(t, s.till, 12, s.bound...)
	done, err := s.Deposit(t.Context(), s.till.Account, request)
	expect(t, err, nil)
	report, err := s.Trace(t.Context(), s.House.Document(t).GroupID(), func(*group.Presentation) bool { return true }, nil)
	expect(t, err, nil)
	if len(report.Hits) != 1 {
		t.Fatalf("%+v", report)
	}
	got := report.Hits[0]
	want := issuer.Traced{
		Op: done.Op, Kind: issuer.KindDeposit, Account: s.till.Account.ID, Amount: 12, Coins: 2,
		Spend: request.Spend.Digest(), At: got.At,
	}
	if got != want || got.At.IsZero() {
		t.Fatalf("%+v", got)
	}
}

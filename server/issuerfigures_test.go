package server

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/issuer"
)

func TestTheOperatorsFiguresAreThoseOfTheLedger(t *testing.T) {
	b := newBranch(t, readContract(t, "issuer.yaml"))
	h := NewIssuer(b.Bank.Bank, IssuerOptions{Root: b.House.Root})
	t.Cleanup(h.Stop)
	b.public.Config.Handler = b.contract.watch(t, h.Public)
	b.admin.Config.Handler = b.contract.watch(t, h.Admin)
	coins := b.withdraw(t, 8, 4)
	offer := b.till.Offer(t, 12, nil)
	s, a := b.purse.Pay(t, offer, coins, nil)
	decode[issuerclient.Deposited](t, b.post(t, "/v1/deposits", b.till.Token, deposit(t, offer, s, a)), 200)
	fatal(t, b.Suspend(t.Context(), b.till.Account.ID, "for the <test>"))
	operator, err := issuerclient.NewClientWithResponses(b.admin.URL)
	fatal(t, err)
	backedUp, err := operator.GetBackup(t.Context())
	fatal(t, err)
	fatal(t, backedUp.Body.Close())

	f := decode[issuerclient.Figures](t, b.send(t, "GET", b.admin.URL+"/admin/v1/figures", "", nil), 200)
	if len(f.Steps) != 25 || f.Step != issuerclient.FigureStepHour || f.CompleteSince != nil || !f.Balanced {
		t.Errorf("%d steps by the %s, %v", len(f.Steps), f.Step, f.Balanced)
	}
	last := f.Steps[len(f.Steps)-1]
	if len(last.Circulation) != 2 || last.Circulation[0].Kind != "bearer" || last.Circulation[0].Amount != 0 || len(last.Operations) == 0 {
		t.Errorf("%+v", last)
	}
	want := map[string][2]int64{issuer.KindWithdrawal: {1, 12}, issuer.KindDeposit: {1, 12}, issuer.KindExchange: {0, 0}}
	for _, o := range f.Day {
		if w, ok := want[o.Kind]; ok && w != [2]int64{o.Count, o.Worth} {
			t.Errorf("%+v, want %v", o, w)
		}
	}
	if f.Suspended != 1 || f.Suspensions[0].Reason != "for the <test>" || f.Suspensions[0].Name == "" || len(f.Acts) != 1 || f.BackupAt == nil {
		t.Errorf("%+v %+v %v", f.Suspensions, f.Acts, f.BackupAt)
	}
	if !f.Token.Answers || f.Store == nil || f.Store.Driver != "sqlite" || f.Signing.Count != 1 || f.Signing.P95 == nil || f.Commit.Count == 0 {
		t.Errorf("%+v %+v %+v", f.Token, f.Store, f.Signing)
	}
	for query, status := range map[string]int{
		"?step=minute":                          200,
		"?step=day&from=2026-01-01":             200,
		"?from=" + b.Now().Format(time.RFC3339): 200,
		"?until=2026-01-01&from=2026-01-02":     400,
		"?until=2011-01-01":                     400, // nothing is kept of it
		"?steps=840&step=day":                   200,
		"?steps=0":                              400,
		"?steps=841":                            400,
		"?steps=2&from=2026-01-01":              400,
		"?from=yesterday":                       400,
		"?from=" + strings.Repeat("1", 41):      400,
	} {
		if a := b.send(t, "GET", b.admin.URL+"/admin/v1/figures"+query, "", nil); a.status != status {
			t.Errorf("%s: status %d: %s", query, a.status, a.body)
		}
	}
	if a := b.send(t, "GET", b.public.URL+"/admin/v1/figures", "", nil); a.status != http.StatusNotFound {
		t.Errorf("to the world: status %d", a.status)
	}
	wantLines(t, scrape(t, h.Metrics),
		`specie_circulation_minor_units{kind="bearer"} 0`, `specie_circulation_minor_units{kind="bound"} 0`,
		`specie_class_balance_minor_units{class="merchant"} 12`, `specie_books_balanced 1`, `specie_fence_raised 0`,
		`specie_day_operations{kind="withdrawal"} 1`, `specie_day_minor_units{kind="deposit"} 12`, `specie_day_operations{kind="refund"} 0`,
		`specie_store_replicas{driver="sqlite"} 0`,
	)
}

func TestWhoObservesSeesTheFiguresAndNothingElse(t *testing.T) {
	b := newBranch(t, readContract(t, "issuer.yaml"))
	account, _, err := b.CreateAccount(t.Context(), issuer.Operator, "wall", "")
	fatal(t, err)
	for scope, want := range map[issuer.Scope]func(path string) bool{
		issuer.ScopeObserve:   func(path string) bool { return path == "GET /admin/v1/figures" },
		issuer.ScopeSupervise: func(path string) bool { return slices.Contains(supervised(), path) },
		issuer.ScopeOperate:   func(path string) bool { return !slices.Contains(supervised(), path) },
	} {
		token, _, err := b.CreateToken(t.Context(), account, issuer.TokenRequest{Scopes: []issuer.Scope{scope}})
		fatal(t, err)
		for path, r := range issuerStaffRoutes(b.Bank.Bank) {
			if _, err := r.guard(t.Context(), string(token)); (err == nil) != want(path) {
				t.Errorf("with scope %s at %s: %v", scope, path, err)
			}
		}
	}
}

package server

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/ledger"
)

// checkReconciliation puts a bank behind HTTP whose ledger was restored, and
// ends its reconciliation.
func checkReconciliation(t *testing.T, c *contract) {
	t.Helper()
	ctx := t.Context()
	bank := issuertest.NewHouse(t).NewBank(t, nil)
	before := newBranch(t, c)
	coins := before.purse.Withdraw(t, before.Bank, 8)
	offer := before.till.Offer(t, 8, nil)
	spend, authorisation := before.purse.Pay(t, offer, coins, nil)
	request := issuerclient.DepositRequest{
		Offer: offer.Public, PayeeSalt: offer.Private.PayeeSalt[:], Spend: spendJSON(t, spend, authorisation),
	}
	done := decode[issuerclient.Deposited](t, before.post(t, "/v1/deposits", before.till.Token, request), 200)
	request.Receipt = &done.Receipt

	copied := before.send(t, http.MethodGet, before.admin.URL+"/admin/v1/backup", "", nil)
	header, err := ledger.ReadBackupHeader(bytes.NewReader(copied.body))
	fatal(t, err)
	if copied.status != 200 || header.Bank != issuertest.BankID || len(header.Heads) != 1 {
		t.Errorf("backup: %d, %+v", copied.status, header)
	}

	fence := ledger.Fence{Reason: ledger.FenceRestored, At: issuertest.Now, Lost: 5}
	fatal(t, bank.Ledger.SetMeta(ctx, ledger.MetaFence, fence.Encode()))
	_, err = issuer.BeginReconciliation(ctx, bank.Ledger, issuertest.Now)
	fatal(t, err)
	bank.Bank, err = issuer.New(ctx, bank.Config)
	fatal(t, err)
	b := openBranch(t, c, bank)
	operator, err := issuerclient.NewClientWithResponses(b.admin.URL)
	fatal(t, err)

	info := decode[issuerclient.Info](t, b.send(t, http.MethodGet, b.public.URL+"/v1/info", "", nil), 200)
	if info.RestoreEpoch != 1 || info.Reconciling == nil || !*info.Reconciling {
		t.Errorf("info %+v", info)
	}
	batch := b.purse.Prepare(t, 1)
	refusal := b.post(t, "/v1/withdrawals", b.holderToken, withdrawal(batch))
	refused(t, refusal, 503, CodeReconciling)
	if refusal.header.Get("Retry-After") != "60" {
		t.Errorf("come again in %q seconds", refusal.header.Get("Retry-After"))
	}
	// The bank's own receipt, but for another merchant's account.
	refused(t, b.post(t, "/v1/deposits", b.till.Token, request), 422, CodeForeignOffer)
	wrong := done.Receipt[:len(done.Receipt)-4] + "AAAA"
	own := b.till.Offer(t, 8, nil)
	spend, authorisation = before.purse.Pay(t, own, coins, nil)
	request = issuerclient.DepositRequest{
		Offer: own.Public, PayeeSalt: own.Private.PayeeSalt[:], Spend: spendJSON(t, spend, authorisation), Receipt: &wrong,
	}
	refused(t, b.post(t, "/v1/deposits", b.till.Token, request), 422, CodeReceipt)

	standing, err := operator.GetReconciliationWithResponse(ctx)
	fatal(t, err)
	if r := standing.JSON200; r == nil || !r.Open || r.RestoreEpoch != 1 || r.Began == nil || !strings.Contains(*r.Fence, "known to be missing: 5") {
		t.Fatalf("reconciliation: %s", standing.Body)
	}
	ended, err := operator.FinishReconciliationWithResponse(ctx, issuerclient.ReconciliationEnd{Reason: "all tills were here"})
	fatal(t, err)
	if r := ended.JSON200; r == nil || r.Open || r.RestoreEpoch != 1 || r.Fence != nil {
		t.Fatalf("reconciliation: %s", ended.Body)
	}
	decode[issuerclient.Signed](t, b.post(t, "/v1/withdrawals", b.holderToken, withdrawal(batch)), 200)
	ended, err = operator.FinishReconciliationWithResponse(ctx, issuerclient.ReconciliationEnd{Reason: "again"})
	fatal(t, err)
	if ended.StatusCode() != 409 {
		t.Errorf("ended twice: %s", ended.Body)
	}
}

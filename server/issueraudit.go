package server

import (
	"context"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/server/issuerapi"
)

// auditJSON says how far an audit is.
func auditJSON(r *job[*issuer.AuditReport]) issuerapi.Audit {
	out := issuerapi.Audit{State: issuerapi.AuditStateRunning, StartedAt: r.started, Done: r.done.Load(), Total: r.total.Load()}
	if !r.over() {
		return out
	}
	if r.err != nil {
		out.State = issuerapi.AuditStateFailed
		text := r.err.Error()
		out.Error = &text
		return out
	}
	out.State = issuerapi.AuditStateDone
	report := AuditReport(r.result)
	out.Report = &report
	return out
}

// AuditReport is a report as the API has it.
func AuditReport(r *issuer.AuditReport) issuerapi.AuditReport {
	out := issuerapi.AuditReport{
		Bank: r.Bank, Currency: r.Currency, Exponent: r.Exponent, KeysetSeq: int64(r.Keyset), At: r.At, Sound: r.Err() == nil,
		Ops: r.Rows.Ops, Postings: r.Rows.Postings, Spends: r.Rows.Spends, Accounts: r.Rows.Accounts, Records: r.Rows.Records,
		Coins: r.Coins, Forgotten: r.Forgotten, Found: r.Rows.Found + r.Found,
		Heads: []issuerapi.JournalHead{}, Keys: keyBalances(r.Keys), Problems: append(append([]string{}, r.Rows.Problems...), r.Problems...),
	}
	for _, h := range r.Rows.Heads {
		out.Heads = append(out.Heads, issuerapi.JournalHead{Lane: h.Lane, Seq: int64(h.Seq), Hash: h.Hash[:]})
	}
	return out
}

func keyBalances(keys []issuer.KeyBalance) []issuerapi.KeyBalance {
	out := make([]issuerapi.KeyBalance, len(keys))
	for i := range keys {
		k := &keys[i]
		out[i] = issuerapi.KeyBalance{
			Kid: k.KeyID.String(), Kind: string(k.Kind), Value: k.Value, Balance: k.Balance, Leaked: k.Leaked(),
			Issued: coin.Amount(k.Issued), Redeemed: coin.Amount(k.Redeemed),
		}
	}
	return out
}

// StartAudit implements POST /admin/v1/audit.
func (h *issuerHandlers) StartAudit(ctx context.Context, _ issuerapi.StartAuditRequestObject) (issuerapi.StartAuditResponseObject, error) {
	run, err := h.audits.start(ctx, "", h.bank.Audit)
	if err != nil {
		return nil, err
	}
	return issuerapi.StartAudit202JSONResponse(auditJSON(run)), nil
}

// GetAudit implements GET /admin/v1/audit.
func (h *issuerHandlers) GetAudit(context.Context, issuerapi.GetAuditRequestObject) (issuerapi.GetAuditResponseObject, error) {
	run, err := h.audits.get()
	if err != nil {
		return nil, err
	}
	return issuerapi.GetAudit200JSONResponse(auditJSON(run)), nil
}

// auditOutcome is how the last audit of a process ended.
type auditOutcome struct {
	running  bool
	at       time.Time // zero before the first
	sound    bool      // also before the first
	problems int64     // -1 if it could not be carried through
}

func lastAudit(audits *jobs[*issuer.AuditReport]) auditOutcome {
	run, err := audits.get()
	out := auditOutcome{running: err == nil && !run.over(), sound: true}
	last := audits.finished()
	switch {
	case last == nil:
	case last.err != nil:
		out.at, out.sound, out.problems = last.ended, false, -1
	default:
		r := last.result
		out.at, out.sound, out.problems = last.ended, r.Err() == nil, r.Rows.Found+r.Found
	}
	return out
}

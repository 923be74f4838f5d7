package server

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/server/issuerapi"
)

// audits runs one audit at a time beside the requests: it takes longer than
// any request may.
type audits struct {
	bank *issuer.Bank

	mu      sync.Mutex
	last    *audit // nil before the first
	stopped bool
}

// audit is one that runs or ran.
type audit struct {
	started     time.Time
	cancel      context.CancelFunc
	finished    chan struct{}
	done, total atomic.Int64
	// report or err are there once finished is closed.
	report *issuer.AuditReport
	err    error
}

// start returns the audit that runs, a new one if none does.
func (a *audits) start(ctx context.Context) (*audit, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped {
		return nil, fmt.Errorf("%w: the daemon is about to end", issuer.ErrUnavailable)
	}
	if a.last != nil && !a.last.over() {
		return a.last, nil
	}
	// Not the request's: it ends when this one is answered.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	run := &audit{started: a.bank.Now(), cancel: cancel, finished: make(chan struct{})}
	a.last = run
	go func() {
		defer close(run.finished)
		defer cancel()
		run.report, run.err = a.bank.Audit(ctx, func(done, total int64) {
			run.total.Store(total)
			run.done.Store(done)
		})
	}()
	return run, nil
}

// get returns the audit that runs or the last one, or issuer.ErrNotFound.
func (a *audits) get() (*audit, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last == nil {
		return nil, fmt.Errorf("%w: no audit was started", issuer.ErrNotFound)
	}
	return a.last, nil
}

// stop ends the audit under way, if there is one, and lets no other begin.
func (a *audits) stop() {
	a.mu.Lock()
	a.stopped = true
	run := a.last
	a.mu.Unlock()
	if run != nil {
		run.cancel()
		<-run.finished
	}
}

func (r *audit) over() bool {
	select {
	case <-r.finished:
		return true
	default:
		return false
	}
}

func (r *audit) json() issuerapi.Audit {
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
	report := AuditReport(r.report)
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
	run, err := h.audits.start(ctx)
	if err != nil {
		return nil, err
	}
	return issuerapi.StartAudit202JSONResponse(run.json()), nil
}

// GetAudit implements GET /admin/v1/audit.
func (h *issuerHandlers) GetAudit(context.Context, issuerapi.GetAuditRequestObject) (issuerapi.GetAuditResponseObject, error) {
	run, err := h.audits.get()
	if err != nil {
		return nil, err
	}
	return issuerapi.GetAudit200JSONResponse(run.json()), nil
}

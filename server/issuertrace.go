package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/server/issuerapi"
)

// errWarrant: the token is not one that supervisors released for this.
var errWarrant = errors.New("tracing token refused")

// traced is a trace with what it was made for.
type traced struct {
	*issuer.TraceReport
	token *opening.Token
}

// StartTrace implements POST /admin/v1/trace.
func (h *issuerHandlers) StartTrace(ctx context.Context, r issuerapi.StartTraceRequestObject) (issuerapi.StartTraceResponseObject, error) {
	if h.root == nil {
		return nil, fmt.Errorf("%w: this bank has no root to verify a token by", issuer.ErrForbidden)
	}
	token, err := opening.ParseToken(h.root, r.Body.Token, h.bank.Now())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errWarrant, err)
	}
	if token.Warrant.Scope != warrant.Trace {
		return nil, fmt.Errorf("%w: it is to %s, not to trace", errWarrant, token.Warrant.Scope)
	}
	digest := sha256.Sum256(r.Body.Token)
	run, err := h.traces.start(ctx, string(digest[:]), func(ctx context.Context, progress func(done, total int64)) (*traced, error) {
		list := opening.RevocationList(token)
		report, err := h.bank.Trace(ctx, token.Group.GroupID(), func(p *group.Presentation) bool {
			_, ok := list.Match(p)
			return ok
		}, progress)
		return &traced{report, token}, err
	})
	if err != nil {
		return nil, err
	}
	return issuerapi.StartTrace202JSONResponse(traceJSON(run)), nil
}

// GetTrace implements GET /admin/v1/trace.
func (h *issuerHandlers) GetTrace(context.Context, issuerapi.GetTraceRequestObject) (issuerapi.GetTraceResponseObject, error) {
	run, err := h.traces.get()
	if err != nil {
		return nil, err
	}
	return issuerapi.GetTrace200JSONResponse(traceJSON(run)), nil
}

func traceJSON(r *job[*traced]) issuerapi.Trace {
	out := issuerapi.Trace{State: issuerapi.TraceStateRunning, StartedAt: r.started, Done: r.done.Load(), Total: r.total.Load()}
	if !r.over() {
		return out
	}
	if r.err != nil {
		out.State = issuerapi.TraceStateFailed
		text := r.err.Error()
		out.Error = &text
		return out
	}
	out.State = issuerapi.TraceStateDone
	report := TraceReport(r.result.TraceReport, r.result.token)
	out.Report = &report
	return out
}

// TraceReport is a report as the API has it.
func TraceReport(r *issuer.TraceReport, token *opening.Token) issuerapi.TraceReport {
	out := issuerapi.TraceReport{
		Group: token.Group.ID, Member: token.Member.Member.String(), Reference: token.Warrant.Reference,
		Searched: r.Searched, Sound: r.Rows.Err() == nil, Hits: []issuerapi.TraceHit{},
	}
	for _, t := range r.Hits {
		hit := issuerapi.TraceHit{Op: id64(t.Op), Kind: t.Kind, Amount: t.Amount, Coins: t.Coins, Spend: t.Spend[:], At: t.At}
		if t.Account != "" {
			hit.Account = &t.Account
		}
		out.Hits = append(out.Hits, hit)
	}
	return out
}

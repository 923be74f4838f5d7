package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/server/issuerapi"
)

// GetFigures implements GET /admin/v1/figures.
func (h *issuerHandlers) GetFigures(ctx context.Context, r issuerapi.GetFiguresRequestObject) (issuerapi.GetFiguresResponseObject, error) {
	p := issuer.FigurePeriod{Step: issuer.ByHour}
	if r.Params.Step != nil {
		p.Step = stepOf(*r.Params.Step)
	}
	now := h.bank.Now()
	p.Until = now
	for text, into := range map[*string]*time.Time{r.Params.Until: &p.Until, r.Params.From: &p.From} {
		if text == nil {
			continue
		}
		var err error
		if *into, err = instant(*text); err != nil {
			return nil, err
		}
	}
	back := 24
	if r.Params.Steps != nil {
		back = *r.Params.Steps
	}
	if back < 1 || back > maxFigureSteps || r.Params.Steps != nil && r.Params.From != nil {
		return nil, fmt.Errorf("%w: steps are 1 to %d, and not given with from", issuer.ErrMalformed, maxFigureSteps)
	}
	if r.Params.From == nil && p.Step >= 0 {
		p.From = p.Until.Add(-time.Duration(back) * p.Step.Span())
	}
	f, err := h.bank.Figures(ctx, p)
	if err != nil {
		return nil, err
	}
	return issuerapi.GetFigures200JSONResponse(h.figuresJSON(f)), nil
}

// maxFigureSteps is as many as are kept of any step.
const maxFigureSteps = 840

// stepOf reads a step, -1 for none that there is.
func stepOf(s issuerapi.FigureStep) issuer.Step {
	for _, step := range []issuer.Step{issuer.ByMinute, issuer.ByHour, issuer.ByDay} {
		if step.String() == string(s) {
			return step
		}
	}
	return -1
}

func (h *issuerHandlers) figuresJSON(f *issuer.Figures) issuerapi.Figures {
	keyset, stats := h.bank.Keyset(), h.bank.Stats()
	out := issuerapi.Figures{
		Bank: f.Books.Bank, Currency: f.Books.Currency, Exponent: f.Books.Exponent, At: f.At,
		KeysetSeq: int64(keyset.Seq), ReceiptsUntil: h.bank.ReceiptsUntil().UTC(),
		Balanced: f.Books.Balanced, BooksAt: f.Books.At, Classes: classBalances(f.Books),
		Keys: make([]issuerapi.KeyFigures, len(f.Keys)), Step: issuerapi.FigureStep(f.Period.Step.String()),
		From: f.Period.From, Until: f.Period.Until, Steps: make([]issuerapi.StepFigures, len(f.Steps)), CompleteSince: timeOrNil(f.Since),
		Day: opFigures(f.Day), Holds: f.Standing.Holds, Suspended: f.Standing.Suspended, Draining: f.Standing.Draining,
		Suspensions: make([]issuerapi.Suspended, len(f.Standing.Accounts)), Acts: make([]issuerapi.ActHead, len(f.Acts)),
		Reconciling: f.Reconciling, Token: issuerapi.TokenFigures{Answers: f.Token == nil},
		Signing: timing(&stats.Signing), Commit: timing(&stats.Writer.Times), Waiting: stats.Writer.Waiting,
		SignaturesMade: stats.Signatures, SignaturesFailed: stats.Unsigned,
		BackupAt: timeOrNil(h.backups.last()),
	}
	for i := range f.Keys {
		out.Keys[i] = keyFigures(&f.Keys[i])
	}
	for i := range f.Steps {
		out.Steps[i] = stepFigures(&f.Steps[i])
	}
	for i, s := range f.Standing.Accounts {
		out.Suspensions[i] = issuerapi.Suspended{Account: s.Account, Name: s.Name, Reason: s.Reason, At: s.At}
	}
	for i, a := range f.Acts {
		out.Acts[i] = issuerapi.ActHead{Kind: a.Kind, At: a.At, Account: a.Account, Reason: a.Reason}
	}
	for _, kind := range []coin.Kind{coin.Bearer, coin.Bound} {
		out.DoubleSpends = append(out.DoubleSpends, struct {
			Count int64  `json:"count"`
			Kind  string `json:"kind"`
		}{stats.DoubleSpends[kind], string(kind)})
	}
	if f.Fence != nil {
		text := f.Fence.String()
		out.Fence = &text
	}
	if f.Store != nil {
		out.Store = storeFigures(f.Store)
	}
	if f.Token != nil {
		text := f.Token.Error()
		out.Token.Error = &text
	}
	a := lastAudit(h.audits)
	out.AuditRunning = a.running
	if !a.at.IsZero() {
		out.AuditLast = &issuerapi.AuditFigures{At: a.at, Sound: a.sound, Problems: a.problems}
	}
	return out
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func keyFigures(k *issuer.KeyFigures) issuerapi.KeyFigures {
	return issuerapi.KeyFigures{
		Kid: k.KeyID.String(), Kind: string(k.Kind), Value: k.Value, Balance: k.Balance, Leaked: k.Leaked(),
		Issued: coin.Amount(k.Issued), Redeemed: coin.Amount(k.Redeemed),
		IssueFrom: timeOrNil(k.IssueFrom), IssueUntil: timeOrNil(k.IssueUntil), SpendUntil: timeOrNil(k.SpendUntil), LegalUntil: timeOrNil(k.LegalUntil),
		Revoked: k.Revoked, Lost: k.Lost, Missing: k.Missing,
	}
}

func stepFigures(s *issuer.StepFigures) issuerapi.StepFigures {
	out := issuerapi.StepFigures{At: s.At, Operations: opFigures(s.Ops)}
	for kind, amount := range s.Circulation {
		out.Circulation = append(out.Circulation, struct {
			Amount issuerapi.SignedAmount `json:"amount"`
			Kind   string                 `json:"kind"`
		}{amount, string(kind)})
	}
	slices.SortFunc(out.Circulation, func(a, b struct {
		Amount issuerapi.SignedAmount `json:"amount"`
		Kind   string                 `json:"kind"`
	}) int {
		if a.Kind < b.Kind {
			return -1
		}
		return 1
	})
	return out
}

func opFigures(ops []issuer.OpFigures) []issuerapi.OpFigures {
	out := make([]issuerapi.OpFigures, len(ops))
	for i, o := range ops {
		out[i] = issuerapi.OpFigures{Kind: o.Kind, Count: o.Count, Worth: o.Worth}
	}
	return out
}

func storeFigures(c *ledger.Condition) *issuerapi.StoreFigures {
	out := &issuerapi.StoreFigures{Driver: c.Driver, Version: c.Version, Bytes: c.Bytes}
	if c.Server {
		out.Commit, out.Standbys, out.Replicas = &c.Commit, &c.Standbys, &c.Replicas
	}
	return out
}

// timing sums a histogram up.
func timing(h *ledger.Histogram) issuerapi.Timing {
	out := issuerapi.Timing{Count: int64(h.Count), Seconds: h.Sum}
	if h.Count > 0 {
		p50, p95 := h.Quantile(0.5), h.Quantile(0.95)
		out.P50, out.P95 = &p50, &p95
	}
	return out
}

// instant reads a date, which is midnight UTC, or an RFC 3339 instant.
func instant(text string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		t, err = time.Parse(time.RFC3339, text)
	}
	if err != nil {
		return t, fmt.Errorf("%w: a period has dates or RFC 3339 instants", issuer.ErrMalformed)
	}
	return t, nil
}

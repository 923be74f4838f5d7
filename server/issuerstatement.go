package server

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/server/issuerapi"
)

// GetStatement implements GET /v1/account/statement.
func (h *issuerHandlers) GetStatement(ctx context.Context, r issuerapi.GetStatementRequestObject) (issuerapi.GetStatementResponseObject, error) {
	account, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	var format string
	if r.Params.Format != nil {
		format = string(*r.Params.Format)
	}
	p, err := h.period(r.Params.From, r.Params.Until)
	if err != nil {
		return nil, err
	}
	if format == "" || format == formatJSON {
		page, err := h.statementPage(ctx, account, p, r.Params.After, r.Params.Limit)
		return issuerapi.GetStatement200JSONResponse(page), err
	}
	export, err := h.export(ctx, account, p, format)
	if err != nil {
		return nil, err
	}
	size := int64(export.Len())
	if format == formatCSV {
		return issuerapi.GetStatement200TextcsvResponse{Body: export, ContentLength: size}, nil
	}
	return issuerapi.GetStatement200ApplicationxmlResponse{Body: export, ContentLength: size}, nil
}

// GetStatementOf implements GET /admin/v1/accounts/{kind}/{id}/statement.
func (h *issuerHandlers) GetStatementOf(ctx context.Context, r issuerapi.GetStatementOfRequestObject) (issuerapi.GetStatementOfResponseObject, error) {
	account, err := h.named(ctx, r.Kind, r.Id)
	if err != nil {
		return nil, err
	}
	var format string
	if r.Params.Format != nil {
		format = string(*r.Params.Format)
	}
	p, err := h.period(r.Params.From, r.Params.Until)
	if err != nil {
		return nil, err
	}
	if format == "" || format == formatJSON {
		page, err := h.statementPage(ctx, account, p, r.Params.After, r.Params.Limit)
		return issuerapi.GetStatementOf200JSONResponse(page), err
	}
	export, err := h.export(ctx, account, p, format)
	if err != nil {
		return nil, err
	}
	size := int64(export.Len())
	if format == formatCSV {
		return issuerapi.GetStatementOf200TextcsvResponse{Body: export, ContentLength: size}, nil
	}
	return issuerapi.GetStatementOf200ApplicationxmlResponse{Body: export, ContentLength: size}, nil
}

// The formats of a statement.
const (
	formatJSON = "json"
	formatCSV  = "csv"
	formatCAMT = "camt.053"
)

// period reads a statement's bounds, dates or instants.
func (h *issuerHandlers) period(from, until *string) (p issuer.Period, err error) {
	now := h.bank.Now()
	p = issuer.Period{From: time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC), Until: now.Add(time.Second)}
	for text, into := range map[*string]*time.Time{from: &p.From, until: &p.Until} {
		if text == nil {
			continue
		}
		if *into, err = instant(*text); err != nil {
			return p, err
		}
	}
	return p, nil
}

// export writes a whole statement.
func (h *issuerHandlers) export(ctx context.Context, account *issuer.Account, p issuer.Period, format string) (*bytes.Buffer, error) {
	if format != formatCSV && format != formatCAMT {
		return nil, fmt.Errorf("%w: a statement's format is %s, %s or %s", issuer.ErrMalformed, formatJSON, formatCSV, formatCAMT)
	}
	s, err := h.bank.Statement(ctx, account, p)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if format == formatCSV {
		return &out, s.WriteCSV(&out)
	}
	return &out, s.WriteCAMT(&out)
}

func (h *issuerHandlers) statementPage(ctx context.Context, account *issuer.Account, p issuer.Period, after *string, limit *int) (issuerapi.Statement, error) {
	page, err := pageOf(after, limit)
	if err != nil {
		return issuerapi.Statement{}, err
	}
	s, err := h.bank.StatementPage(ctx, account, p, page)
	if err != nil {
		return issuerapi.Statement{}, err
	}
	out := issuerapi.Statement{
		Id: s.ID, Bank: s.Bank, Account: s.Account.ID, Currency: s.Account.Currency, Exponent: s.Exponent,
		From: s.From, Until: s.Until, At: s.At, Opening: s.Opening, Closing: s.Closing,
		Entries: make([]issuerapi.StatementEntry, len(s.Entries)), Next: nextOf(s.Next),
	}
	for i := range s.Entries {
		e := &s.Entries[i]
		out.Entries[i] = issuerapi.StatementEntry{Op: id64(e.Op), Kind: e.Kind, Amount: e.Amount, At: e.At}
		if e.Reference != "" {
			out.Entries[i].Reference = &e.Reference
		}
	}
	return out, nil
}

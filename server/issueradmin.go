package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/server/issuerapi"
)

// CreateAccount implements POST /admin/v1/accounts.
func (h *issuerHandlers) CreateAccount(ctx context.Context, r issuerapi.CreateAccountRequestObject) (issuerapi.CreateAccountResponseObject, error) {
	account, token, err := h.openAccount(ctx, r.Body)
	if err != nil {
		return nil, err
	}
	// The one place where a token is shown.
	return issuerapi.CreateAccount201JSONResponse{Account: accountJSON(account, 0), Token: string(token)}, nil
}

func (h *issuerHandlers) openAccount(ctx context.Context, r *issuerapi.AccountRequest) (*issuer.Account, issuer.Token, error) {
	kind := issuer.AccountKind(r.Kind)
	if kind == issuer.Merchant && r.MerchantRequest != nil {
		return h.bank.OpenMerchant(ctx, r.Name, []byte(*r.MerchantRequest))
	}
	if r.MerchantRequest != nil {
		return nil, "", fmt.Errorf("%w: a holder has no merchant request", issuer.ErrMalformed)
	}
	return h.bank.CreateAccount(ctx, kind, r.Name, "") // a merchant without a request is refused there
}

// Fund implements POST /admin/v1/fundings.
func (h *issuerHandlers) Fund(ctx context.Context, r issuerapi.FundRequestObject) (issuerapi.FundResponseObject, error) {
	op, err := h.bank.Fund(ctx, r.Body.Account, r.Body.Amount, r.Body.Reference)
	if err != nil {
		return nil, err
	}
	return issuerapi.Fund200JSONResponse{Op: id64(op)}, nil
}

// GetBooks implements GET /admin/v1/books.
func (h *issuerHandlers) GetBooks(ctx context.Context, _ issuerapi.GetBooksRequestObject) (issuerapi.GetBooksResponseObject, error) {
	books, err := h.bank.Books(ctx)
	if err != nil {
		return nil, err
	}
	return issuerapi.GetBooks200JSONResponse{
		Bank: books.Bank, Currency: books.Currency, Exponent: books.Exponent, At: books.At, Balanced: books.Balanced,
		Classes: classBalances(books), Keys: keyBalances(books.Keys),
	}, nil
}

func classBalances(books *issuer.Books) []issuerapi.ClassBalance {
	out := make([]issuerapi.ClassBalance, len(books.Classes))
	for i, c := range books.Classes {
		out[i] = issuerapi.ClassBalance{Class: c.Class, Balance: c.Balance}
	}
	return out
}

// GetCases implements GET /admin/v1/cases.
func (h *issuerHandlers) GetCases(ctx context.Context, r issuerapi.GetCasesRequestObject) (issuerapi.GetCasesResponseObject, error) {
	page, err := pageOf(r.Params.After, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	cases, next, err := h.bank.Cases(ctx, page)
	if err != nil {
		return nil, err
	}
	out := issuerapi.Cases{Cases: make([]issuerapi.CaseHead, len(cases)), Next: nextOf(next)}
	for i, c := range cases {
		out.Cases[i] = issuerapi.CaseHead{Id: id64(c.ID), At: c.At}
	}
	return issuerapi.GetCases200JSONResponse(out), nil
}

// GetCase implements GET /admin/v1/cases/{id}.
func (h *issuerHandlers) GetCase(ctx context.Context, r issuerapi.GetCaseRequestObject) (issuerapi.GetCaseResponseObject, error) {
	id, err := parseID(r.Id)
	if err != nil {
		return nil, err
	}
	c, err := h.bank.Case(ctx, id)
	if err != nil {
		return nil, err
	}
	var out issuerapi.GetCase200JSONResponse
	if err := json.Unmarshal(c.JSON, &out); err != nil {
		return nil, fmt.Errorf("recorded case does not read: %w", err)
	}
	return out, nil
}

// id64 writes 32 bytes as the API has them.
func id64(id ledger.ID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// parseID reads what id64 writes.
func parseID(s string) (ledger.ID, error) {
	var b api.Bytes
	if err := b.UnmarshalText([]byte(s)); err != nil || len(b) != len(ledger.ID{}) {
		return ledger.ID{}, fmt.Errorf("%w: an id is 32 bytes of base64url", issuer.ErrMalformed)
	}
	return ledger.ID(b), nil
}

func bytes64(list [][]byte) []api.Bytes {
	out := make([]api.Bytes, len(list))
	for i, b := range list {
		out[i] = b
	}
	return out
}

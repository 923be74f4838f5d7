package server

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/server/issuerapi"
)

// GetAccounts implements GET /admin/v1/accounts.
func (h *issuerHandlers) GetAccounts(ctx context.Context, r issuerapi.GetAccountsRequestObject) (issuerapi.GetAccountsResponseObject, error) {
	var kind issuer.AccountKind
	if r.Params.Kind != nil {
		kind = issuer.AccountKind(*r.Params.Kind)
	}
	page, err := pageOf(nil, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	var after string
	if r.Params.After != nil {
		after = *r.Params.After
	}
	list, next, err := h.bank.Accounts(ctx, kind, after, page.Limit)
	if err != nil {
		return nil, err
	}
	out := issuerapi.Accounts{Accounts: make([]issuerapi.Account, len(list)), Next: nextOf(ledger.Cursor(next))}
	for i := range list {
		if out.Accounts[i], err = h.accountShown(ctx, &list[i]); err != nil {
			return nil, err
		}
	}
	return issuerapi.GetAccounts200JSONResponse(out), nil
}

// accountShown is an account as the operator sees it.
func (h *issuerHandlers) accountShown(ctx context.Context, a *issuer.Account) (issuerapi.Account, error) {
	balance, err := h.bank.Balance(ctx, a.ID)
	if err != nil {
		return issuerapi.Account{}, err
	}
	out := accountJSON(a, balance)
	if a.Suspended {
		out.Reason = &a.Reason
	}
	return out, nil
}

// named is the account that a path names.
func (h *issuerHandlers) named(ctx context.Context, kind issuerapi.AccountKind, id string) (*issuer.Account, error) {
	return h.bank.Account(ctx, string(kind)+"/"+id)
}

// GetAccountOf implements GET /admin/v1/accounts/{kind}/{id}.
func (h *issuerHandlers) GetAccountOf(ctx context.Context, r issuerapi.GetAccountOfRequestObject) (issuerapi.GetAccountOfResponseObject, error) {
	account, err := h.named(ctx, r.Kind, r.Id)
	if err != nil {
		return nil, err
	}
	out, err := h.accountShown(ctx, account)
	return issuerapi.GetAccountOf200JSONResponse(out), err
}

// Suspend implements POST /admin/v1/accounts/{kind}/{id}/suspension.
func (h *issuerHandlers) Suspend(ctx context.Context, r issuerapi.SuspendRequestObject) (issuerapi.SuspendResponseObject, error) {
	out, err := h.turned(ctx, r.Kind, r.Id, r.Body.Reason, h.bank.Suspend)
	return issuerapi.Suspend200JSONResponse(out), err
}

// Reinstate implements DELETE /admin/v1/accounts/{kind}/{id}/suspension.
func (h *issuerHandlers) Reinstate(ctx context.Context, r issuerapi.ReinstateRequestObject) (issuerapi.ReinstateResponseObject, error) {
	out, err := h.turned(ctx, r.Kind, r.Id, r.Params.Reason, h.bank.Reinstate)
	return issuerapi.Reinstate200JSONResponse(out), err
}

// turned suspends or reinstates, and shows what the account is then.
func (h *issuerHandlers) turned(ctx context.Context, kind issuerapi.AccountKind, id, reason string, do func(ctx context.Context, account, reason string) error) (issuerapi.Account, error) {
	if err := do(ctx, string(kind)+"/"+id, reason); err != nil {
		return issuerapi.Account{}, err
	}
	account, err := h.named(ctx, kind, id)
	if err != nil {
		return issuerapi.Account{}, err
	}
	return h.accountShown(ctx, account)
}

// GetTokens implements GET /v1/account/tokens.
func (h *issuerHandlers) GetTokens(ctx context.Context, _ issuerapi.GetTokensRequestObject) (issuerapi.GetTokensResponseObject, error) {
	account, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	out, err := h.tokens(ctx, account)
	return issuerapi.GetTokens200JSONResponse(out), err
}

// GetTokensOf implements GET /admin/v1/accounts/{kind}/{id}/tokens.
func (h *issuerHandlers) GetTokensOf(ctx context.Context, r issuerapi.GetTokensOfRequestObject) (issuerapi.GetTokensOfResponseObject, error) {
	account, err := h.named(ctx, r.Kind, r.Id)
	if err != nil {
		return nil, err
	}
	out, err := h.tokens(ctx, account)
	return issuerapi.GetTokensOf200JSONResponse(out), err
}

func (h *issuerHandlers) tokens(ctx context.Context, account *issuer.Account) (issuerapi.Tokens, error) {
	list, err := h.bank.Tokens(ctx, account)
	out := issuerapi.Tokens{Tokens: make([]issuerapi.AccessToken, len(list))}
	for i := range list {
		out.Tokens[i] = h.tokenJSON(&list[i], account)
	}
	return out, err
}

func (h *issuerHandlers) tokenJSON(t *issuer.TokenInfo, account *issuer.Account) issuerapi.AccessToken {
	out := issuerapi.AccessToken{Id: t.ID, Label: t.Label, Scopes: []issuerapi.Scope{}, Good: t.Good(h.bank.Now()), CreatedAt: t.CreatedAt}
	for _, s := range t.Scopes {
		out.Scopes = append(out.Scopes, issuerapi.Scope(s))
	}
	if t.ID == account.Access.Token {
		current := true
		out.Current = &current
	}
	if !t.ExpiresAt.IsZero() {
		out.ExpiresAt = &t.ExpiresAt
	}
	if !t.RevokedAt.IsZero() {
		out.RevokedAt = &t.RevokedAt
	}
	return out
}

// CreateToken implements POST /v1/account/tokens.
func (h *issuerHandlers) CreateToken(ctx context.Context, r issuerapi.CreateTokenRequestObject) (issuerapi.CreateTokenResponseObject, error) {
	account, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	out, err := h.createToken(ctx, account, r.Body)
	return issuerapi.CreateToken201JSONResponse(out), err
}

// CreateTokenOf implements POST /admin/v1/accounts/{kind}/{id}/tokens.
func (h *issuerHandlers) CreateTokenOf(ctx context.Context, r issuerapi.CreateTokenOfRequestObject) (issuerapi.CreateTokenOfResponseObject, error) {
	account, err := h.named(ctx, r.Kind, r.Id)
	if err != nil {
		return nil, err
	}
	out, err := h.createToken(ctx, account, r.Body)
	return issuerapi.CreateTokenOf201JSONResponse(out), err
}

func (h *issuerHandlers) createToken(ctx context.Context, account *issuer.Account, r *issuerapi.TokenRequest) (issuerapi.CreatedToken, error) {
	var request issuer.TokenRequest
	if r.Label != nil {
		request.Label = *r.Label
	}
	for _, s := range r.Scopes {
		request.Scopes = append(request.Scopes, issuer.Scope(s))
	}
	if r.ExpiresAt != nil {
		request.ExpiresAt = *r.ExpiresAt
	}
	if r.Hash != nil {
		if len(*r.Hash) != sha256.Size {
			return issuerapi.CreatedToken{}, fmt.Errorf("%w: hash is 32 bytes", issuer.ErrMalformed)
		}
		request.Hash = [32]byte(*r.Hash)
	}
	token, info, err := h.bank.CreateToken(ctx, account, request)
	if err != nil {
		return issuerapi.CreatedToken{}, err
	}
	out := issuerapi.CreatedToken{Access: h.tokenJSON(info, account)}
	if token != "" {
		text := string(token) // the one place, with CreateAccount, where a token is shown
		out.Token = &text
	}
	return out, nil
}

// RevokeToken implements DELETE /v1/account/tokens/{token}.
func (h *issuerHandlers) RevokeToken(ctx context.Context, r issuerapi.RevokeTokenRequestObject) (issuerapi.RevokeTokenResponseObject, error) {
	account, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	out, err := h.revokeToken(ctx, account, r.Token, r.Params.At)
	return issuerapi.RevokeToken200JSONResponse(out), err
}

// RevokeTokenOf implements DELETE /admin/v1/accounts/{kind}/{id}/tokens/{token}.
func (h *issuerHandlers) RevokeTokenOf(ctx context.Context, r issuerapi.RevokeTokenOfRequestObject) (issuerapi.RevokeTokenOfResponseObject, error) {
	account, err := h.named(ctx, r.Kind, r.Id)
	if err != nil {
		return nil, err
	}
	out, err := h.revokeToken(ctx, account, r.Token, r.Params.At)
	return issuerapi.RevokeTokenOf200JSONResponse(out), err
}

func (h *issuerHandlers) revokeToken(ctx context.Context, account *issuer.Account, id string, at *time.Time) (issuerapi.AccessToken, error) {
	var then time.Time
	if at != nil {
		then = *at
	}
	info, err := h.bank.RevokeToken(ctx, account, id, then)
	if err != nil {
		return issuerapi.AccessToken{}, err
	}
	return h.tokenJSON(info, account), nil
}

// PayOut implements POST /admin/v1/payouts.
func (h *issuerHandlers) PayOut(ctx context.Context, r issuerapi.PayOutRequestObject) (issuerapi.PayOutResponseObject, error) {
	op, err := h.bank.Payout(ctx, r.Body.Account, r.Body.Amount, r.Body.Reference)
	if err != nil {
		return nil, err
	}
	return issuerapi.PayOut200JSONResponse{Op: id64(op)}, nil
}

// GetDrain implements GET /admin/v1/drain.
func (h *issuerHandlers) GetDrain(ctx context.Context, _ issuerapi.GetDrainRequestObject) (issuerapi.GetDrainResponseObject, error) {
	on, err := h.bank.Draining(ctx)
	return issuerapi.GetDrain200JSONResponse{Draining: on}, err
}

// SetDrain implements PUT /admin/v1/drain.
func (h *issuerHandlers) SetDrain(ctx context.Context, r issuerapi.SetDrainRequestObject) (issuerapi.SetDrainResponseObject, error) {
	if r.Body.Draining == nil {
		return nil, fmt.Errorf("%w: draining is true or false", issuer.ErrMalformed)
	}
	err := h.bank.SetDraining(ctx, *r.Body.Draining)
	return issuerapi.SetDrain200JSONResponse{Draining: *r.Body.Draining}, err
}

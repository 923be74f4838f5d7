package server

import (
	"context"
	"fmt"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/server/issuerapi"
)

// Hold implements POST /v1/holds.
func (h *issuerHandlers) Hold(ctx context.Context, r issuerapi.HoldRequestObject) (issuerapi.HoldResponseObject, error) {
	account, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	spend, err := r.Body.Spend.ParseShown()
	if err != nil {
		return nil, err
	}
	if len(r.Body.PayeeSalt) != 32 {
		return nil, fmt.Errorf("%w: payee_salt is 32 bytes", issuer.ErrMalformed)
	}
	held, err := h.bank.Hold(ctx, account, &issuer.HoldRequest{
		Offer: r.Body.Offer, PayeeSalt: [32]byte(r.Body.PayeeSalt), Spend: spend,
	})
	if err != nil {
		return nil, err
	}
	return issuerapi.Hold200JSONResponse{Op: id64(held.Op), Until: held.Until}, nil
}

// ReleaseHold implements DELETE /v1/holds/{op}.
func (h *issuerHandlers) ReleaseHold(ctx context.Context, r issuerapi.ReleaseHoldRequestObject) (issuerapi.ReleaseHoldResponseObject, error) {
	account, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	id, err := parseID(r.Op)
	if err != nil {
		return nil, err
	}
	if err := h.bank.ReleaseHold(ctx, account, id); err != nil {
		return nil, err
	}
	return issuerapi.ReleaseHold204Response{}, nil
}

// Refund implements POST /v1/refunds.
func (h *issuerHandlers) Refund(ctx context.Context, r issuerapi.RefundRequestObject) (issuerapi.RefundResponseObject, error) {
	account, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	outputs, err := coin.ParseOutputsJSON(r.Body.Outputs)
	if err != nil {
		return nil, err
	}
	signed, err := h.bank.Refund(ctx, account, &issuer.RefundRequest{Order: []byte(r.Body.Order), Outputs: outputs})
	if err != nil {
		return nil, err
	}
	return issuerapi.Refund200JSONResponse{Op: id64(signed.Op), Signatures: bytes64(signed.Signatures)}, nil
}

// GetDeposit implements GET /v1/deposits/{op}.
func (h *issuerHandlers) GetDeposit(ctx context.Context, r issuerapi.GetDepositRequestObject) (issuerapi.GetDepositResponseObject, error) {
	account, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	id, err := parseID(r.Op)
	if err != nil {
		return nil, err
	}
	d, err := h.bank.DepositOf(ctx, account, id)
	if err != nil {
		return nil, err
	}
	return issuerapi.GetDeposit200JSONResponse{
		Op: id64(d.Op), At: d.At, Offer: d.Offer[:], Paid: d.Paid, Refunded: d.Refunded, Refundable: d.Refundable, Settled: d.Settled,
	}, nil
}

// GetStrikes implements GET /admin/v1/strikes.
func (h *issuerHandlers) GetStrikes(ctx context.Context, r issuerapi.GetStrikesRequestObject) (issuerapi.GetStrikesResponseObject, error) {
	page, err := pageOf(r.Params.After, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	acts, next, err := h.bank.Acts(ctx, page)
	if err != nil {
		return nil, err
	}
	out := issuerapi.Strikes{Strikes: make([]issuerapi.Strike, len(acts)), Next: nextOf(next)}
	for i := range acts {
		a := &acts[i]
		s := issuerapi.Strike{Id: id64(a.ID), Kind: issuerapi.StrikeKind(a.Kind), At: a.At, Account: a.Account, Reason: a.Reason}
		if a.Hold != (ledger.ID{}) {
			hold := id64(a.Hold)
			s.Hold = &hold
		}
		if len(a.Deposit) != 0 {
			s.Deposit = &a.Deposit
		}
		out.Strikes[i] = s
	}
	return issuerapi.GetStrikes200JSONResponse(out), nil
}

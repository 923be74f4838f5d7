package server

import (
	"context"
	"fmt"

	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/server/issuerapi"
)

// GetKeyset implements GET /v1/keysets/{seq}.
func (h *issuerHandlers) GetKeyset(ctx context.Context, r issuerapi.GetKeysetRequestObject) (issuerapi.GetKeysetResponseObject, error) {
	if r.Seq < 1 {
		return nil, fmt.Errorf("%w: keysets count from 1", issuer.ErrMalformed)
	}
	jws, err := h.bank.ArchivedKeyset(ctx, uint64(r.Seq))
	if err != nil {
		return nil, err
	}
	return issuerapi.GetKeyset200JSONResponse{Keyset: string(jws)}, nil
}

// Restore implements POST /v1/restore.
func (h *issuerHandlers) Restore(ctx context.Context, r issuerapi.RestoreRequestObject) (issuerapi.RestoreResponseObject, error) {
	outputs, err := coin.ParseOutputsJSON(r.Body.Outputs)
	if err != nil {
		return nil, err
	}
	found, err := h.bank.Restore(ctx, outputs)
	if err != nil {
		return nil, err
	}
	out := issuerapi.RestoredOutputs{Outputs: make([]issuerapi.RestoredOutput, len(found))}
	for i, f := range found {
		if f.Op == ([32]byte{}) {
			continue
		}
		op, signature := id64(f.Op), api.Bytes(f.Signature)
		out.Outputs[i] = issuerapi.RestoredOutput{Op: &op, Index: &found[i].Index, Signature: &signature}
	}
	return issuerapi.Restore200JSONResponse(out), nil
}

// CoinStates implements POST /v1/coins.
func (h *issuerHandlers) CoinStates(ctx context.Context, r issuerapi.CoinStatesRequestObject) (issuerapi.CoinStatesResponseObject, error) {
	refs := make([]issuer.CoinRef, len(r.Body.Coins))
	for i, c := range r.Body.Coins {
		if len(c.Kid) != 32 || len(c.Id) != 32 {
			return nil, fmt.Errorf("%w: coin %d: kid and id are 32 bytes", issuer.ErrMalformed, i)
		}
		refs[i] = issuer.CoinRef{KeyID: coin.KeyID(c.Kid), ID: [32]byte(c.Id)}
	}
	states, err := h.bank.CoinStates(ctx, refs)
	if err != nil {
		return nil, err
	}
	out := issuerapi.CoinStates{States: make([]issuerapi.CoinStatesStates, len(states))}
	for i, s := range states {
		out.States[i] = issuerapi.CoinStatesStates(s)
	}
	return issuerapi.CoinStates200JSONResponse(out), nil
}

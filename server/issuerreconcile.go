package server

import (
	"context"

	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/server/issuerapi"
)

func reconciliationJSON(r *issuer.Reconciliation) issuerapi.Reconciliation {
	out := issuerapi.Reconciliation{Open: r.Open, RestoreEpoch: int64(r.Epoch)}
	if r.Open {
		fence := r.Fence.String()
		out.Began, out.Fence = &r.Began, &fence
	}
	return out
}

// GetReconciliation implements GET /admin/v1/reconciliation.
func (h *issuerHandlers) GetReconciliation(ctx context.Context, _ issuerapi.GetReconciliationRequestObject) (issuerapi.GetReconciliationResponseObject, error) {
	r, err := h.bank.Reconciliation(ctx)
	if err != nil {
		return nil, err
	}
	return issuerapi.GetReconciliation200JSONResponse(reconciliationJSON(r)), nil
}

// FinishReconciliation implements POST /admin/v1/reconciliation.
func (h *issuerHandlers) FinishReconciliation(ctx context.Context, r issuerapi.FinishReconciliationRequestObject) (issuerapi.FinishReconciliationResponseObject, error) {
	done, err := h.bank.FinishReconciliation(ctx, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return issuerapi.FinishReconciliation200JSONResponse(reconciliationJSON(done)), nil
}

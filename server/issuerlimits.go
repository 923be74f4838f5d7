package server

import (
	"strings"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/server/issuerapi"
)

// limitsJSON is what /v1/info says of the bank's limits, and of the bodies that
// the routes take.
func limitsJSON(l issuer.Limits, table routes) issuerapi.Limits {
	out := issuerapi.Limits{
		HoldSeconds: int(l.HoldTime / time.Second), OpenHolds: limited(l.OpenHolds), HoldsPerCoin: limited(l.HoldsPerCoin),
		RestoreOutputs:    limited(l.RestoreOutputs),
		WithdrawalsPerDay: limited(l.WithdrawalsPerDay), Withdrawal: limited(l.Withdrawal), Bodies: make(map[string]int64),
	}
	for path, r := range table {
		if r.limit != 0 {
			out.Bodies[openPath(path)] = r.limit
		}
	}
	return out
}

// limited is nil for no limit.
func limited[T int | coin.Amount](n T) *T {
	if n == 0 {
		return nil
	}
	return &n
}

// openPath writes a path's parameters as OpenAPI does: {op} for :op.
func openPath(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if name, ok := strings.CutPrefix(p, ":"); ok {
			parts[i] = "{" + name + "}"
		}
	}
	return strings.Join(parts, "/")
}

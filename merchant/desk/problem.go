package desk

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/merchant"
)

// failure is a refusal of the desk's own.
type failure struct {
	status       int
	code, detail string
	retry        time.Duration
}

// Error says it in words.
func (f *failure) Error() string { return f.detail }

func fail(status int, code, detail string) *failure {
	return &failure{status: status, code: code, detail: detail}
}

// failures are what package merchant's errors mean to who works with the till.
var failures = []struct {
	err    error
	status int
	code   string
}{
	{merchant.ErrNoSale, http.StatusNotFound, "not-found"},
	{merchant.ErrNoPayment, http.StatusConflict, "not-deposited"},
	{merchant.ErrPaid, http.StatusConflict, "paid"},
	{merchant.ErrRefund, http.StatusConflict, "refund-exceeds"},
	{merchant.ErrRefundID, http.StatusConflict, "refund-id"},
	{merchant.ErrSettled, http.StatusConflict, "settled"},
	{merchant.ErrOpen, http.StatusServiceUnavailable, "unavailable"},
	{merchant.ErrOffer, http.StatusUnprocessableEntity, "offer"},
	{coin.ErrAmount, http.StatusUnprocessableEntity, "amount"},
}

// explain finds what an error means.
func explain(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	if errors.Is(err, merchant.ErrUnreachable) {
		return &failure{http.StatusServiceUnavailable, "unavailable", merchant.ErrUnreachable.Error() + "; try again", 5 * time.Second}
	}
	for _, x := range failures {
		if errors.Is(err, x.err) {
			return fail(x.status, x.code, err.Error())
		}
	}
	var p *client.Problem
	if errors.As(err, &p) {
		return fail(http.StatusBadGateway, "bank", "the bank says: "+p.Reason())
	}
	return fail(http.StatusInternalServerError, "internal", "the till can't do this now; its log says why")
}

// problem answers with a refusal.
func (d *Desk) problem(w http.ResponseWriter, err error) {
	f := explain(err)
	if f.status >= 500 {
		d.Log.Warn("desk: not done", "code", f.code, "err", err)
	}
	if f.status == http.StatusServiceUnavailable && f.retry == 0 {
		f.retry = 2 * time.Second
	}
	h := w.Header()
	if f.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.retry.Seconds()))))
	}
	if f.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="desk"`)
	}
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(f.status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "urn:specie:problem:" + f.code, "title": http.StatusText(f.status), "status": f.status, "code": f.code, "detail": f.detail,
	})
}

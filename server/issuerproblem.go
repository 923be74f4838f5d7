package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/issuer"
)

// issuerRefusal says how one error of the rules looks from outside.
type issuerRefusal struct {
	err    error
	status int
	code   Code
}

// issuerRefusals names the refusals of issuer; package coin names its own.
func issuerRefusals() []issuerRefusal {
	return []issuerRefusal{
		{errWarrant, http.StatusForbidden, CodeWarrant},
		{issuer.ErrUnauthorized, http.StatusUnauthorized, CodeUnauthorized},
		{issuer.ErrForbidden, http.StatusForbidden, CodeForbidden},
		{issuer.ErrSuspended, http.StatusForbidden, CodeSuspended},
		{issuer.ErrDraining, http.StatusConflict, CodeDraining},
		{issuer.ErrHoldEnded, http.StatusConflict, CodeHoldEnded},
		{issuer.ErrSettled, http.StatusConflict, CodeSettled},
		{issuer.ErrRefund, http.StatusConflict, CodeRefund},
		{coin.ErrReceipt, http.StatusUnprocessableEntity, CodeReceipt},
		{issuer.ErrNotFenced, http.StatusConflict, CodeConflict},
		{issuer.ErrNotFound, http.StatusNotFound, CodeNotFound},
		{issuer.ErrMalformed, http.StatusBadRequest, CodeMalformed},
		{issuer.ErrInsufficientFunds, http.StatusConflict, CodeInsufficientFunds},
		{issuer.ErrOutputUsed, http.StatusConflict, CodeOutputUsed},
		{issuer.ErrConflict, http.StatusConflict, CodeConflict},
		// An error about a presentation's epoch is one about binding too;
		// here it is named first, because a wallet can mend it.
		{group.ErrEpoch, http.StatusUnprocessableEntity, CodeEpoch},
	}
}

// coinStatus is the HTTP status of a code of package coin: 400 and 413 for
// requests that nobody could honour, 422 for those that this bank doesn't.
func coinStatus(code Code) int {
	switch code {
	case CodeMalformed:
		return http.StatusBadRequest
	case CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusUnprocessableEntity
}

// issuerRules is the translator of the issuer's routes, by the bank's clock.
func issuerRules(now func() time.Time) translator {
	return func(err error) *Problem { return issuerProblem(err, now()) }
}

// until is what is left to wait, a second at least.
func until(then, now time.Time) time.Duration { return max(then.Sub(now), time.Second) }

func issuerProblem(err error, now time.Time) *Problem {
	var double *issuer.DoubleSpendError
	if errors.As(err, &double) {
		return &Problem{
			Status: http.StatusConflict, Code: CodeDoubleSpend,
			Detail:  "a coin of this spend is spent already; the earlier spend is in conflict",
			Members: map[string]any{"op": id64(double.Op), "conflict": double.Proof},
		}
	}
	var void *issuer.VoidError
	if errors.As(err, &void) {
		return &Problem{
			Status: http.StatusConflict, Code: CodeConflict, Detail: void.Error(),
			Members: map[string]any{"op": id64(void.Op), "conflict": void.Proof},
		}
	}
	var early *coin.TooEarlyError
	if errors.As(err, &early) {
		return &Problem{
			Status: http.StatusUnprocessableEntity, Code: CodeTooEarly, Detail: early.Error(),
			Members: map[string]any{"not_before": early.From.UTC().Format(time.RFC3339)},
		}
	}
	var held *issuer.HeldError
	if errors.As(err, &held) {
		return &Problem{Status: http.StatusConflict, Code: CodeCoinHeld, Detail: held.Error(), RetryAfter: until(held.Until, now)}
	}
	var limit *issuer.LimitError
	if errors.As(err, &limit) {
		p := &Problem{
			Status: http.StatusTooManyRequests, Code: CodeLimit, Detail: limit.Error(),
			Members: map[string]any{"limit": limit.Name, "max": limit.Max},
		}
		if !limit.Until.IsZero() {
			p.RetryAfter = until(limit.Until, now)
		}
		return p
	}
	// A ledger that is fenced while the bank works was put there beneath it.
	if errors.Is(err, issuer.ErrReconciling) || errors.Is(err, issuer.ErrFenced) {
		return &Problem{Status: http.StatusServiceUnavailable, Code: CodeReconciling, RetryAfter: time.Minute,
			Detail: "the bank is reconciling its ledger; repeat the request unchanged later", Cause: err}
	}
	// Before the refusals: what stands behind an unavailable token or store
	// may look like one, and a client would give up money that is recorded.
	if errors.Is(err, issuer.ErrUnavailable) {
		return &Problem{Status: http.StatusServiceUnavailable, Code: CodeUnavailable, RetryAfter: time.Second,
			Detail: "the bank can't answer now; repeat the request unchanged", Cause: err}
	}
	for _, r := range issuerRefusals() {
		if errors.Is(err, r.err) {
			return NewProblem(r.status, r.code, err.Error())
		}
	}
	if code := Code(coin.Code(err)); code != "" {
		return NewProblem(coinStatus(code), code, err.Error())
	}
	return nil
}

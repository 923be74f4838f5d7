package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
)

// Code is the stable name of a refusal: what a program matches on.
type Code string

// Codes of every daemon. A code is never renamed or given another meaning.
const (
	CodeMalformed         Code = "malformed"
	CodeTooLarge          Code = "too-large"
	CodeUnauthorized      Code = "unauthorized"
	CodeForbidden         Code = "forbidden"
	CodeDraining          Code = "draining"
	CodeReconciling       Code = "reconciling"
	CodeReceipt           Code = "receipt"
	CodeNotFound          Code = "not-found"
	CodeConflict          Code = "conflict"
	CodeUnavailable       Code = "unavailable"
	CodeInternal          Code = "internal"
	CodeUnknownKey        Code = "unknown-key"
	CodeKeyExpired        Code = "key-expired"
	CodeKeyNotYet         Code = "key-not-yet"
	CodeKeyRevoked        Code = "key-revoked"
	CodeKeyNotRevoked     Code = "key-not-revoked"
	CodeClaim             Code = "claim"
	CodeTooEarly          Code = "too-early"
	CodeWrongDate         Code = "wrong-date"
	CodeSuccession        Code = "succession"
	CodeHolding           Code = "holding"
	CodeWrongCurrency     Code = "wrong-currency"
	CodeWrongAmount       Code = "wrong-amount"
	CodeWrongBank         Code = "wrong-bank"
	CodeCoinSignature     Code = "coin-signature"
	CodeOwnerSignature    Code = "owner-signature"
	CodeBinding           Code = "binding"
	CodeExpelled          Code = "expelled"
	CodeDuplicateCoin     Code = "duplicate-coin"
	CodeDoubleSpend       Code = "double-spend"
	CodeOutputUsed        Code = "output-used"
	CodeInsufficientFunds Code = "insufficient-funds"
	CodeForeignOffer      Code = "foreign-offer"
	CodeOfferExpired      Code = "offer-expired"
	CodeEKChain           Code = "ek-chain"
	CodeEKProfile         Code = "ek-profile"
	CodeEKRegistered      Code = "ek-registered"
	CodeTagRegistered     Code = "tag-registered"
	CodeTemplate          Code = "template"
	CodeJoinProof         Code = "join-proof"
	CodeSessionExpired    Code = "session-expired"
	CodeActivation        Code = "activation"
	CodeEpoch             Code = "epoch"
	CodeFirmware          Code = "firmware"
	CodeSoftwareTPM       Code = "software-tpm"
	CodeLeakedKey         Code = "leaked-key"
	CodeReadmission       Code = "readmission"
	CodeReadmissionUsed   Code = "readmission-used"
	CodeIdentity          Code = "identity"
	CodeRevoked           Code = "revoked"
	CodeWarrant           Code = "warrant"
	CodeUnregistered      Code = "warrant-unregistered"
	CodeBusy              Code = "busy"
	CodeSuspended         Code = "suspended"
	CodeCoinHeld          Code = "coin-held"
	CodeHoldEnded         Code = "hold-ended"
	CodeLimit             Code = "limit"
	CodeSettled           Code = "settled"
	CodeRefund            Code = "refund-exceeds"
)

// problemType is the media type of RFC 9457.
const problemType = "application/problem+json"

// Problem is a refusal as it goes over the wire.
type Problem struct {
	Status int
	Code   Code
	// Detail says what is wrong in this request, for people. It never repeats
	// a secret or the request's own bytes.
	Detail string
	// Members are extension members, such as the evidence of a double spend.
	Members map[string]any
	// RetryAfter, where positive, becomes a Retry-After header in whole
	// seconds, rounded up.
	RetryAfter time.Duration
	// Cause is for the log and never sent.
	Cause error

	request string // the request's id, set when it is written
}

// NewProblem is a Problem without extension members.
func NewProblem(status int, code Code, detail string) *Problem {
	return &Problem{Status: status, Code: code, Detail: detail}
}

// Error is the problem in one line, for logs.
func (p *Problem) Error() string {
	text := fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail)
	if p.Cause != nil {
		text += ": " + p.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// MarshalJSON writes the members of RFC 9457, "code" and the extension
// members. An extension member can't replace a standard one.
func (p *Problem) MarshalJSON() ([]byte, error) {
	m := make(map[string]any, len(p.Members)+5)
	maps.Copy(m, p.Members)
	m["type"] = "urn:specie:problem:" + string(p.Code)
	m["title"] = http.StatusText(p.Status)
	m["status"] = p.Status
	m["code"] = p.Code
	if p.Detail != "" {
		m["detail"] = p.Detail
	}
	if p.request != "" {
		m["request_id"] = p.request
	}
	return json.Marshal(m)
}

// write sends the problem.
func (p *Problem) write(w http.ResponseWriter) error {
	named := *p
	named.request = requestID(w)
	body, err := json.Marshal(&named)
	if err != nil {
		// Without the members that can't be written; what is left can.
		p = &Problem{Status: http.StatusInternalServerError, Code: CodeInternal, Cause: err, request: named.request}
		if body, err = json.Marshal(p); err != nil {
			return err
		}
	}
	h := w.Header()
	h.Set("Content-Type", problemType)
	h.Set("Cache-Control", noStore)
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.RetryAfter.Seconds()))))
	}
	w.WriteHeader(p.Status)
	_, err = w.Write(body)
	return err
}

// translator names the errors of one room's rules; nil means that the error
// is not one of its refusals.
type translator func(error) *Problem

// problemOf turns any error that reached the edge into a problem.
func problemOf(err error, rules translator) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	if rules != nil {
		if p := rules(err); p != nil {
			return p
		}
	}
	var he *echo.HTTPError
	if errors.As(err, &he) {
		return problemOfEcho(he)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &Problem{Status: http.StatusServiceUnavailable, Code: CodeUnavailable,
			Detail: "the request ran out of time; repeat it unchanged", RetryAfter: time.Second}
	}
	return NewProblem(http.StatusInternalServerError, CodeInternal, "the server failed; repeat the request unchanged")
}

// problemOfEcho words what the router and the generated parameter parsers
// refuse. Their texts may quote the request and are not passed on.
func problemOfEcho(he *echo.HTTPError) *Problem {
	switch he.Code {
	case http.StatusNotFound:
		return NewProblem(he.Code, CodeNotFound, "there is nothing here")
	case http.StatusMethodNotAllowed:
		return NewProblem(he.Code, CodeNotFound, "this method is not served here")
	case http.StatusRequestEntityTooLarge:
		return NewProblem(he.Code, CodeTooLarge, "the request is too large")
	}
	if he.Code >= 400 && he.Code < 500 {
		return NewProblem(he.Code, CodeMalformed, "a parameter of the request is not of the form that the API describes")
	}
	return NewProblem(http.StatusInternalServerError, CodeInternal, "the server failed; repeat the request unchanged")
}

// errorHandler answers every error of every route.
func errorHandler(log *slog.Logger, rules translator) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		p := problemOf(err, rules)
		c.Set(codeKey, p.Code)
		if p.Status >= 500 {
			log.Error("request failed", "request", requestID(c.Response()), "route", c.Path(), "code", p.Code, "error", err)
		}
		if c.Response().Committed {
			return
		}
		if err := p.write(c.Response()); err != nil {
			log.Debug("problem not sent", "request", requestID(c.Response()), "route", c.Path(), "error", err)
		}
	}
}

package merchant

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"

	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/trust/strictjson"
)

// Handler is what payers reach: POST /pay with a spend, for receipts and change;
// POST /pay/check with one that nobody has authorised, to have its coins checked
// and held before; GET /pay/refunds/{op} for what of a payment can be collected,
// and POST /pay/refunds to collect it. Refusals are problem+json (RFC 9457) with
// a stable code.
func (t *Till) Handler(log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	route(mux, log, "POST /pay", coin.MaxSpendJSON, func(r *http.Request, body []byte) (any, error) {
		a, err := t.Accept(r.Context(), body)
		if err == nil && a.Kept {
			return keptAnswer{a.Receipt, true}, nil
		}
		return a, err
	})
	route(mux, log, "POST /pay/check", coin.MaxSpendJSON, func(r *http.Request, body []byte) (any, error) {
		return t.Show(r.Context(), body)
	})
	route(mux, log, "POST /pay/refunds", client.MaxRefundClaim, func(r *http.Request, body []byte) (any, error) {
		var claim client.RefundClaim
		if err := strictjson.Unmarshal(body, client.MaxRefundClaim, &claim); err != nil {
			return nil, refuse(codeMalformed, err)
		}
		return t.CollectRefund(r.Context(), &claim)
	})
	route(mux, log, "GET /pay/refunds/{op}", 0, func(r *http.Request, _ []byte) (any, error) {
		op, err := base64.RawURLEncoding.Strict().DecodeString(r.PathValue("op"))
		if err != nil || len(op) != 32 {
			return nil, refuse(codeMalformed, errors.New("an op is 32 bytes of base64url"))
		}
		offers, err := t.RefundOffers(r.Context(), [32]byte(op))
		return map[string]any{"refunds": offers}, err
	})
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	return mux
}

// keptAnswer is what the payer gets, with status 202, while the deposit is to come.
type keptAnswer struct {
	Receipt string `json:"receipt"`
	Kept    bool   `json:"kept"`
}

// route reads a body of at most that many bytes and answers it.
func route(mux *http.ServeMux, log *slog.Logger, pattern string, limit int64, answer func(r *http.Request, body []byte) (any, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			problem(w, log, refuse(codeTooLarge, fmt.Errorf("the request is at most %d bytes", large.Limit)))
			return
		}
		if err != nil {
			log.Info("request not read", "err", err)
			return
		}
		out, err := answer(r, body)
		if err != nil {
			problem(w, log, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if _, kept := out.(keptAnswer); kept {
			w.WriteHeader(http.StatusAccepted)
		}
		if err := json.NewEncoder(w).Encode(out); err != nil {
			log.Warn("answer not delivered; the payer can repeat", "err", err)
		}
	})
}

// problem answers with the refusal; anything else stays in the log.
func problem(w http.ResponseWriter, log *slog.Logger, err error) {
	r := &Refusal{Code: codeInternal}
	detail := "the till can't answer; repeat the same request"
	status := http.StatusInternalServerError
	if errors.As(err, &r) {
		detail, status = r.Error(), statusOf(r.Code)
	}
	log.Info("payment not accepted", "code", r.Code, "err", err)
	if r.Code == codeUnavailable {
		// Why is the merchant's business: addresses of his bank, say.
		detail = "the till can't settle this now; repeat the same request"
		w.Header().Set("Retry-After", "2")
	}
	if r.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(r.RetryAfter.Seconds()))))
	}
	m := map[string]any{
		"type": "urn:specie:problem:" + r.Code, "title": http.StatusText(status), "status": status,
		"code": r.Code, "detail": detail,
	}
	if len(r.Conflict) > 0 {
		m["conflict"] = r.Conflict
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(m); err != nil {
		log.Warn("refusal not delivered", "err", err)
	}
}

func statusOf(code string) int {
	switch code {
	case codeMalformed, "duplicate-coin":
		return http.StatusBadRequest
	case codeTooLarge:
		return http.StatusRequestEntityTooLarge
	case codeNotFound:
		return http.StatusNotFound
	case codeDoubleSpend, codeConflict, client.CodeHeld, "output-used", "settled", "refund-exceeds":
		return http.StatusConflict
	case codeUnavailable:
		return http.StatusServiceUnavailable
	case codeInternal:
		return http.StatusInternalServerError
	}
	return http.StatusUnprocessableEntity
}

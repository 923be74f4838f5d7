package merchant

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/speciecash/specie/coin"
)

// Handler is the till's one route: POST a spend, get receipts and change.
// Refusals are problem+json (RFC 9457) with a stable code.
func (t *Till) Handler(log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /pay", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, coin.MaxSpendJSON))
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			problem(w, log, refuse(codeTooLarge, fmt.Errorf("a spend is at most %d bytes", large.Limit)))
			return
		}
		if err != nil {
			log.Info("request not read", "err", err)
			return
		}
		answer, err := t.Accept(r.Context(), body)
		if err != nil {
			problem(w, log, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			log.Warn("answer not delivered; the payer can repeat", "err", err)
		}
	})
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	return mux
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
	case "malformed", "duplicate-coin":
		return http.StatusBadRequest
	case codeTooLarge:
		return http.StatusRequestEntityTooLarge
	case codeDoubleSpend, codeConflict:
		return http.StatusConflict
	case codeUnavailable:
		return http.StatusServiceUnavailable
	case codeInternal:
		return http.StatusInternalServerError
	}
	return http.StatusUnprocessableEntity
}

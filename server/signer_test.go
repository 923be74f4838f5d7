package server

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/speciecash/specie/signer"
)

func TestASignersOperatorSeesHealthAndCountersAndNothingElse(t *testing.T) {
	var broken error
	h := NewSigner(SignerOptions{
		Ready: func(context.Context) error { return broken },
		Metrics: []prometheus.Collector{NewSignerMetrics(func() signer.Stats {
			return signer.Stats{
				Connections: 2, Refused: 3, Waiting: 4, Waited: 5, WaitTime: 6 * time.Second,
				Requests: []signer.RequestCount{{Op: "blind_sign", Outcome: "ok", Count: 7}},
			}
		})},
	})
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	status, body := get("/metrics")
	for _, line := range []string{
		"specie_signer_connections 2",
		"specie_signer_connections_refused_total 3",
		"specie_signer_waiting 4",
		"specie_signer_wait_seconds_sum 6",
		"specie_signer_wait_seconds_count 5",
		`specie_signer_requests_total{op="blind_sign",outcome="ok"} 7`,
	} {
		if status != http.StatusOK || !strings.Contains(body, line+"\n") {
			t.Errorf("%d, no line %q", status, line)
		}
	}
	if status, _ := get("/livez"); status != http.StatusOK {
		t.Errorf("livez %d", status)
	}
	broken = errors.New("the PIN is on paper in the safe")
	if status, body := get("/readyz"); status != http.StatusServiceUnavailable || strings.Contains(body, "paper") {
		t.Errorf("readyz %d %s", status, body)
	}
	if status, _ := get("/v1/keys"); status != http.StatusNotFound {
		t.Errorf("another route %d", status)
	}
}

package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/issuer/issuertest"
)

func scrapeMetrics(t *testing.T, collectors ...prometheus.Collector) string {
	t.Helper()
	h := NewSigner(SignerOptions{Ready: func(context.Context) error { return nil }, Metrics: collectors})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestATokensCountersAreMetrics(t *testing.T) {
	one := func() hsm.Stats {
		return hsm.Stats{
			Calls:  []hsm.CallStats{{Call: "C_Sign", Count: 3, Time: 1500 * time.Millisecond}},
			Errors: []hsm.ErrorStats{{Call: "C_Sign", Name: "CKR_DEVICE_ERROR", Code: 0x30, Count: 2}},
			Queue: hsm.Histogram{Count: 9, Sum: 4 * time.Second, Buckets: []hsm.Bucket{
				{UpTo: time.Millisecond, Count: 5}, {UpTo: time.Second, Count: 8},
			}},
			Sessions: hsm.SessionStats{Open: 8, Busy: 6, Waiting: 1},
			Busy:     7, Available: true, Heals: 4, FailedHeals: 5, Reloads: 2,
		}
	}
	two := func() hsm.Stats { return hsm.Stats{} } // an outage from the start
	body := scrapeMetrics(t, NewHSMMetrics(hsm.TokenInfo{Label: "one", Serial: "1"}, one), NewHSMMetrics(hsm.TokenInfo{Label: "one", Serial: "2"}, two))
	for _, line := range []string{
		`hsm_operations_total{call="C_Sign",serial="1",token="one"} 3`,
		`hsm_operation_seconds_total{call="C_Sign",serial="1",token="one"} 1.5`,
		`hsm_errors_total{call="C_Sign",ckr="CKR_DEVICE_ERROR",serial="1",token="one"} 2`,
		`hsm_queue_seconds_bucket{serial="1",token="one",le="0.001"} 5`,
		`hsm_queue_seconds_bucket{serial="1",token="one",le="1"} 8`,
		`hsm_queue_seconds_bucket{serial="1",token="one",le="+Inf"} 9`,
		`hsm_queue_seconds_sum{serial="1",token="one"} 4`,
		`hsm_sessions{serial="1",state="open",token="one"} 8`,
		`hsm_sessions{serial="1",state="busy",token="one"} 6`,
		`hsm_sessions{serial="1",state="waiting",token="one"} 1`,
		`hsm_busy_total{serial="1",token="one"} 7`,
		`hsm_available{serial="1",token="one"} 1`,
		`hsm_available{serial="2",token="one"} 0`,
		`hsm_heals_total{outcome="done",serial="1",token="one"} 4`,
		`hsm_heals_total{outcome="failed",serial="1",token="one"} 5`,
		`hsm_reloads_total{serial="1",token="one"} 2`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
}

func TestARealTokensCountersAreMetrics(t *testing.T) {
	h := issuertest.NewHouse(t)
	if err := h.Keys[0].Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	body := scrapeMetrics(t, NewHSMMetrics(h.Token.Info(), h.Token.Stats))
	serial := h.Token.Info().Serial
	for _, part := range []string{
		`hsm_operations_total{call="C_Sign",serial="` + serial + `",token="bank"} `,
		`hsm_available{serial="` + serial + `",token="bank"} 1`,
		`hsm_sessions{serial="` + serial + `",state="open",token="bank"} 8`,
	} {
		if !strings.Contains(body, part) {
			t.Errorf("no %q in\n%s", part, body)
		}
	}
}

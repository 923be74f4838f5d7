package server

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/speciecash/specie/api"
)

// contract checks traffic against an OpenAPI file of package api.
type contract struct {
	doc    *openapi3.T
	router routers.Router

	mu   sync.Mutex
	seen map[string]map[int]int // by operation and status
}

// readContract loads and validates a file of package api.
func readContract(t testing.TB, file string) *contract {
	t.Helper()
	data, err := api.Files.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &contract{doc: doc, router: router, seen: map[string]map[int]int{}}
}

// watch passes traffic on to h and fails the test on an answer that the
// contract does not describe, or one of success to a request that it forbids.
func (c *contract) watch(t testing.TB, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read request: %v", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		r.Body = io.NopCloser(bytes.NewReader(body))
		c.check(t, r, rec)
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
}

func (c *contract) check(t testing.TB, r *http.Request, rec *httptest.ResponseRecorder) {
	t.Helper()
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		if rec.Code != http.StatusNotFound && rec.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s %s is not in the contract, and answers %d", r.Method, r.URL.Path, rec.Code)
		}
		return
	}
	request := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
			RejectWhenRequestBodyNotSpecified: true,
		},
	}
	id := route.Operation.OperationID
	if err := openapi3filter.ValidateRequest(r.Context(), request); err != nil && rec.Code < 400 {
		t.Errorf("%s answers %d to a request that the contract forbids: %v", id, rec.Code, err)
	}
	response := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: rec.Code, Header: rec.Header(), Options: request.Options,
	}
	response.SetBodyBytes(rec.Body.Bytes())
	if err := openapi3filter.ValidateResponse(r.Context(), response); err != nil {
		t.Errorf("%s answers %d outside the contract: %v\n%s", id, rec.Code, err, rec.Body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[id] == nil {
		c.seen[id] = map[int]int{}
	}
	c.seen[id][rec.Code]++
}

// checkCovered fails the test unless every operation of the contract was seen
// to succeed.
func (c *contract) checkCovered(t testing.TB) {
	t.Helper()
	for path, item := range c.doc.Paths.Map() {
		for method, op := range item.Operations() {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(c.seen[op.OperationID])), func(s int) bool { return s < 400 }) {
				t.Errorf("%s %s was never seen to succeed", method, path)
			}
		}
	}
}

// witness is a testing.TB that remembers failures instead of failing.
type witness struct {
	testing.TB
	failed bool
}

func (w *witness) Errorf(string, ...any) { w.failed = true }
func (w *witness) Helper()               {}

func TestTheContractIsChecked(t *testing.T) {
	c := readContract(t, "issuer.yaml")
	const good = `{"op":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`
	const funding = `{"account":"holder/AAAAAAAAAAAAAAAAAAAAAA","amount":1,"reference":"x"}`
	tests := []struct {
		name, path, request string
		status              int
		kind, answer        string
		fails               bool
	}{
		{"what it describes", "/admin/v1/fundings", funding, 200, "application/json", good, false},
		{"an answer without a member", "/admin/v1/fundings", funding, 200, "application/json", `{}`, true},
		{"an answer with a bad member", "/admin/v1/fundings", funding, 200, "application/json", `{"op":"AA=="}`, true},
		{"a refusal without a code", "/admin/v1/fundings", funding, 400, problemType, `{"type":"urn:specie:problem:malformed","title":"x","status":400}`, true},
		{"a refusal with an unknown code", "/admin/v1/fundings", funding, 400, problemType, `{"type":"urn:specie:problem:odd","title":"x","status":400,"code":"odd"}`, true},
		{"a refusal of another media type", "/admin/v1/fundings", funding, 400, "application/json", `{}`, true},
		{"success with a member too many", "/admin/v1/fundings", funding[:len(funding)-1] + `,"more":1}`, 200, "application/json", good, true},
		{"success with a member too few", "/admin/v1/fundings", `{"amount":1}`, 200, "application/json", good, true},
		{"a route that it does not describe", "/v1/else", `{}`, 200, "application/json", `{}`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &witness{TB: t}
			h := c.watch(w, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", tt.kind)
				rw.WriteHeader(tt.status)
				_, _ = io.WriteString(rw, tt.answer)
			}))
			req := httptest.NewRequest(http.MethodPost, tt.path, strings.NewReader(tt.request))
			req.Header.Set("Content-Type", "application/json")
			h.ServeHTTP(httptest.NewRecorder(), req)
			if w.failed != tt.fails {
				t.Errorf("noticed %t, want %t", w.failed, tt.fails)
			}
		})
	}
}

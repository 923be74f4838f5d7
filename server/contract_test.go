package server

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/speciecash/specie/api/apitest"
	"github.com/speciecash/specie/issuer/issuertest"
)

// contract checks traffic against an OpenAPI file of package api, and refusals
// against the table of problem types.
type contract struct{ *apitest.Contract }

func readContract(t testing.TB, file string) *contract {
	t.Helper()
	c := &contract{apitest.Read(t, file)}
	c.Problem = checkProblemType
	return c
}

// checkProblemType fails the test on a refusal that the table does not have.
func checkProblemType(t testing.TB, status int, code string) {
	t.Helper()
	for _, p := range ProblemTypes() {
		if p.Code == Code(code) {
			if !slices.Contains(p.Status, status) {
				t.Errorf("%s is answered with status %d, which its problem type does not have", code, status)
			}
			return
		}
	}
	t.Errorf("no problem type for code %s", code)
}

func (c *contract) watch(t testing.TB, h http.Handler) http.Handler { return c.Watch(t, h) }

// TestMain also fails if all tests together, and not a choice of them, have
// left out an operation of a contract.
func TestMain(m *testing.M) {
	code := issuertest.Main(m)
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			os.Exit(code)
		}
	}
	for _, file := range []string{apitest.Issuer, apitest.Group} {
		if missing, err := apitest.Uncovered(file); err != nil || len(missing) > 0 {
			fmt.Fprintf(os.Stderr, "%s: no test has seen these succeed: %v %v\n", file, missing, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// witness is a testing.TB that remembers failures instead of failing.
type witness struct {
	testing.TB
	failed bool
}

func (w *witness) Errorf(f string, a ...any) { w.failed = true; w.Logf(f, a...) }
func (w *witness) Helper()                   {}

func TestTheContractIsChecked(t *testing.T) {
	c := readContract(t, "issuer.yaml")
	const good = `{"op":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`
	const funding = `{"account":"holder/AAAAAAAAAAAAAAAAAAAAAA","amount":1,"reference":"x"}`
	refusal := func(code, more string) string {
		return `{"type":"urn:specie:problem:` + code + `","title":"x","status":400,"code":"` + code + `","request_id":"r1"` + more + `}`
	}
	tests := []struct {
		name, path, request string
		status              int
		kind, answer        string
		drop                string // a header that is missing
		fails               bool
	}{
		{"what it describes", "/admin/v1/fundings", funding, 200, "application/json", good, "", false},
		{"a refusal that it describes", "/admin/v1/fundings", funding, 400, problemType, refusal("malformed", ""), "", false},
		{"an answer without a member", "/admin/v1/fundings", funding, 200, "application/json", `{}`, "", true},
		{"an answer with a member too many", "/admin/v1/fundings", funding, 200, "application/json", good[:len(good)-1] + `,"more":1}`, "", true},
		{"an answer with a bad member", "/admin/v1/fundings", funding, 200, "application/json", `{"op":"AA=="}`, "", true},
		{"an answer with a status that it does not describe", "/admin/v1/fundings", funding, 201, "application/json", good, "", true},
		{"an answer without a request id", "/admin/v1/fundings", funding, 200, "application/json", good, "X-Request-Id", true},
		{"an answer that may be cached by accident", "/admin/v1/fundings", funding, 200, "application/json", good, "Cache-Control", true},
		{"a refusal without a code", "/admin/v1/fundings", funding, 400, problemType, `{"type":"urn:specie:problem:malformed","title":"x","status":400,"request_id":"r1"}`, "", true},
		{"a refusal with an unknown code", "/admin/v1/fundings", funding, 400, problemType, refusal("odd", ""), "", true},
		{"a refusal with another request id", "/admin/v1/fundings", funding, 400, problemType, strings.Replace(refusal("malformed", ""), "r1", "r2", 1), "", true},
		{"a refusal with a member that it does not describe", "/admin/v1/fundings", funding, 400, problemType, refusal("malformed", `,"more":1`), "", true},
		{"a refusal with another status", "/admin/v1/fundings", funding, 409, problemType, refusal("conflict", ""), "", true},
		{"a code with a status that is not its own", "/admin/v1/fundings", funding, 400, problemType, refusal("conflict", ""), "", true},
		{"a refusal of another media type", "/admin/v1/fundings", funding, 400, "application/json", `{}`, "", true},
		{"a refusal for now that does not say until when", "/admin/v1/fundings", funding, 503, problemType,
			strings.Replace(refusal("unavailable", ""), "400", "503", 1), "Retry-After", true},
		{"success with a member too many", "/admin/v1/fundings", funding[:len(funding)-1] + `,"more":1}`, 200, "application/json", good, "", true},
		{"success with a member too few", "/admin/v1/fundings", `{"amount":1}`, 200, "application/json", good, "", true},
		{"a route that it does not describe", "/v1/else", `{}`, 200, "application/json", `{}`, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				for name, value := range map[string]string{
					"Content-Type": tt.kind, "Cache-Control": noStore, "X-Request-Id": "r1", "Retry-After": "1",
				} {
					if name != tt.drop {
						rw.Header().Set(name, value)
					}
				}
				rw.WriteHeader(tt.status)
				_, _ = io.WriteString(rw, tt.answer)
			})
			w := &witness{TB: t}
			req := httptest.NewRequest(http.MethodPost, tt.path, strings.NewReader(tt.request))
			req.Header.Set("Content-Type", "application/json")
			rec := httptest.NewRecorder()
			c.watch(w, answer).ServeHTTP(rec, req)
			if w.failed != tt.fails || rec.Code != tt.status || rec.Body.String() != tt.answer {
				t.Errorf("before a handler: noticed %t, want %t; passed on %d %s", w.failed, tt.fails, rec.Code, rec.Body)
			}
			srv := httptest.NewServer(answer)
			defer srv.Close()
			w = &witness{TB: t}
			hc := http.Client{Transport: c.Transport(w, http.DefaultTransport)}
			resp, err := hc.Post(srv.URL+tt.path, "application/json", strings.NewReader(tt.request))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || w.failed != tt.fails || resp.StatusCode != tt.status || string(body) != tt.answer {
				t.Errorf("behind a client: noticed %t, want %t; passed on %d %s, %v", w.failed, tt.fails, resp.StatusCode, body, err)
			}
		})
	}
}

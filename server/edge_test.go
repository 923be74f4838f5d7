package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
)

var errTest = errors.New("the rules say no")

// newTestEdge serves POST /thing for the token "good", and other routes that
// go wrong in their own ways.
func newTestEdge(t *testing.T, log *slog.Logger) http.Handler {
	t.Helper()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	allow := func(ctx context.Context, token string) (context.Context, error) {
		if token != "good" {
			return nil, NewProblem(http.StatusUnauthorized, CodeUnauthorized, "unknown token")
		}
		return ctx, nil
	}
	table := routes{
		"POST /thing": {limit: 64, guard: allow}, "GET /panic": {}, "GET /fails": {}, "GET /refuses": {}, "GET /slow": {},
	}
	rules := func(err error) *Problem {
		if errors.Is(err, errTest) {
			return NewProblem(http.StatusTeapot, CodeConflict, "as the rules say")
		}
		return nil
	}
	e := newEdge(edgeConfig{routes: table, rules: rules, log: log, metrics: newMetrics("test")})
	r := registrar{e, table}
	r.POST("/thing", func(c echo.Context) error {
		var body struct {
			Name string `json:"name"`
		}
		if err := c.Bind(&body); err != nil {
			return err
		}
		return c.String(http.StatusOK, body.Name)
	})
	r.GET("/panic", func(echo.Context) error { panic("secret in a panic") })
	r.GET("/fails", func(echo.Context) error { return errors.New("secret in an error") })
	r.GET("/refuses", func(echo.Context) error { return fmt.Errorf("wrapped: %w", errTest) })
	r.GET("/slow", func(echo.Context) error { return fmt.Errorf("wrapped: %w", context.DeadlineExceeded) })
	r.GET("/unlisted", func(c echo.Context) error { return c.String(http.StatusOK, "reached") })
	addHealth(e, newMetrics("test").registry, func(context.Context) error { return errors.New("secret of the token") })
	return e
}

func TestRequestsAreRefusedBeforeTheHandlerSeesThem(t *testing.T) {
	h := newTestEdge(t, nil)
	const good = `{"name":"x"}`
	tests := []struct {
		name         string
		method, path string
		body         string
		change       func(*http.Request)
		status       int
		code         Code
	}{
		{name: "a well-formed request passes", body: good, status: 200},
		{name: "an unknown member is refused", body: `{"name":"x","more":1}`, status: 400, code: CodeMalformed},
		{name: "a member named twice is refused", body: `{"name":"x","name":"y"}`, status: 400, code: CodeMalformed},
		{name: "another case of a name is refused", body: `{"Name":"x"}`, status: 400, code: CodeMalformed},
		{name: "null is refused", body: `{"name":null}`, status: 400, code: CodeMalformed},
		{name: "bytes after the value are refused", body: good + `{}`, status: 400, code: CodeMalformed},
		{name: "an empty body is refused", body: ``, status: 400, code: CodeMalformed},
		{name: "another media type is refused", body: good, status: 415, code: CodeMalformed,
			change: func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }},
		{name: "a body announced too long is refused unread", body: `{"name":"` + strings.Repeat("x", 64) + `"}`, status: 413, code: CodeTooLarge},
		{name: "a body that turns out too long is refused", body: `{"name":"` + strings.Repeat("x", 64) + `"}`, status: 413, code: CodeTooLarge,
			change: func(r *http.Request) { r.ContentLength = -1 }},
		{name: "no token is refused", body: good, status: 401, code: CodeUnauthorized,
			change: func(r *http.Request) { r.Header.Del("Authorization") }},
		{name: "two tokens are refused", body: good, status: 401, code: CodeUnauthorized,
			change: func(r *http.Request) { r.Header.Add("Authorization", "Bearer good") }},
		{name: "another scheme is refused", body: good, status: 401, code: CodeUnauthorized,
			change: func(r *http.Request) { r.Header.Set("Authorization", "Basic good") }},
		{name: "an unknown token is refused before the body is read", body: `nonsense`, status: 401, code: CodeUnauthorized,
			change: func(r *http.Request) { r.Header.Set("Authorization", "Bearer bad") }},
		{name: "an overlong token is refused", body: good, status: 401, code: CodeUnauthorized,
			change: func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+strings.Repeat("a", 300)) }},
		{name: "a route that the table does not name does not exist", method: "GET", path: "/unlisted", status: 404, code: CodeNotFound},
		{name: "another method is not served", method: "PUT", status: 405, code: CodeNotFound},
		{name: "a body where none is due is refused", method: "GET", path: "/fails", body: "x", status: 413, code: CodeTooLarge},
		{name: "a refusal of the rules has its code", method: "GET", path: "/refuses", status: 418, code: CodeConflict},
		{name: "an end of time is unavailable", method: "GET", path: "/slow", status: 503, code: CodeUnavailable},
		{name: "an error without a name is internal", method: "GET", path: "/fails", status: 500, code: CodeInternal},
		{name: "a panic is internal", method: "GET", path: "/panic", status: 500, code: CodeInternal},
		{name: "not ready is unavailable", method: "GET", path: "/readyz", status: 503, code: CodeUnavailable},
		{name: "alive is alive", method: "GET", path: "/livez", status: 200},
		{name: "metrics are served", method: "GET", path: "/metrics", status: 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			method, path := tt.method, tt.path
			if method == "" {
				method = "POST"
			}
			if path == "" {
				path = "/thing"
			}
			req := httptest.NewRequest(method, path, strings.NewReader(tt.body))
			req.Header.Set("Content-Type", "application/json; charset=utf-8")
			req.Header.Set("Authorization", "Bearer good")
			if tt.change != nil {
				tt.change(req)
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, req)
			if rec.Code != tt.status {
				t.Fatalf("status %d, want %d: %s", rec.Code, tt.status, rec.Body)
			}
			if tt.status == 200 {
				return
			}
			checkProblem(t, rec, tt.status, tt.code)
			if strings.Contains(rec.Body.String(), "secret") {
				t.Errorf("the answer tells what went wrong inside: %s", rec.Body)
			}
		})
	}
}

// checkProblem checks that an answer is a problem document with that code.
func checkProblem(t *testing.T, rec *httptest.ResponseRecorder, status int, code Code) {
	t.Helper()
	if kind := rec.Header().Get("Content-Type"); kind != problemType {
		t.Errorf("content type %q", kind)
	}
	var p struct {
		Type, Title string
		Status      int
		Code        Code
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
		t.Fatalf("not a problem document: %v: %s", err, rec.Body)
	}
	if p.Status != status || p.Code != code || p.Type != "urn:specie:problem:"+string(code) || p.Title == "" {
		t.Errorf("problem %+v, want status %d and code %s", p, status, code)
	}
	if status == http.StatusUnauthorized && rec.Header().Get("WWW-Authenticate") == "" {
		t.Error("a 401 without WWW-Authenticate")
	}
	if status == http.StatusServiceUnavailable && rec.Header().Get("Retry-After") == "" {
		t.Error("a 503 without Retry-After")
	}
}

func TestWhatIsNotSentIsLogged(t *testing.T) {
	for _, path := range []string{"/panic", "/fails", "/readyz"} {
		var log bytes.Buffer
		h := newTestEdge(t, slog.New(slog.NewTextHandler(&log, nil)))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		if !strings.Contains(log.String(), "secret") {
			t.Errorf("%s: the log does not say what went wrong: %s", path, &log)
		}
	}
}

func TestExtensionMembersCanNotReplaceStandardOnes(t *testing.T) {
	p := Problem{Status: 409, Code: CodeConflict, Members: map[string]any{"code": "fine", "op": "x"}}
	body, err := json.Marshal(&p)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(body, []byte(`"code":"conflict"`)) || !bytes.Contains(body, []byte(`"op":"x"`)) {
		t.Errorf("got %s", body)
	}
}

func TestAMemberThatDoesNotMarshalIsStillAProblem(t *testing.T) {
	rec := httptest.NewRecorder()
	p := Problem{Status: 409, Code: CodeDoubleSpend, Members: map[string]any{"conflict": make(chan int)}}
	if err := p.write(rec); err != nil {
		t.Fatal(err)
	}
	checkProblem(t, rec, 500, CodeInternal)
}

func TestReadinessIsAskedAtMostOnceASecond(t *testing.T) {
	asked := 0
	r := readiness{check: func(context.Context) error { asked++; return nil }}
	for range 100 {
		if err := r.err(); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Errorf("the check ran %d times", asked)
	}
	r.at = time.Now().Add(-2 * readyMaxAge)
	if err := r.err(); err != nil || asked != 2 {
		t.Errorf("after a while: %v, asked %d times", err, asked)
	}
}

func TestBodiesOfUnknownLengthAreReadWhole(t *testing.T) {
	for _, n := range []int{0, 1, 511, 512, 513, 5000} {
		req := httptest.NewRequest("POST", "/", io.LimitReader(strings.NewReader(strings.Repeat("a", n)), int64(n)))
		req.ContentLength = -1
		got, err := readBody(req)
		if err != nil || len(got) != n {
			t.Errorf("%d bytes: read %d, %v", n, len(got), err)
		}
	}
}

func TestStrangersCanNotMakeUpMetrics(t *testing.T) {
	h := newTestEdge(t, nil)
	for _, path := range []string{"/made/up", "/thing", "/thing/made-up", "/thingy", "/", "//", "/%2e%2e/x"} {
		for _, method := range []string{"GET", "POST", "MADEUP"} {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, nil))
		}
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if body := strings.ToLower(rec.Body.String()); strings.Contains(body, "made") || strings.Contains(body, "thingy") {
		t.Errorf("a path or method of a stranger's is a label:\n%s", rec.Body)
	}
}

func TestEveryAnswerHasARequestID(t *testing.T) {
	var log bytes.Buffer
	h := newTestEdge(t, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	ask := func(path string, ids ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		for _, id := range ids {
			r.Header.Add("X-Request-Id", id)
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec
	}
	for name, c := range map[string]struct {
		given []string
		kept  bool
	}{
		"the caller's":                        {[]string{"Till-7.order_4711"}, true},
		"a UUID":                              {[]string{"123e4567-e89b-12d3-a456-426614174000"}, true},
		"none given":                          {nil, false},
		"an empty one":                        {[]string{""}, false},
		"two":                                 {[]string{"a", "b"}, false},
		"a line of the log":                   {[]string{"a\nlevel=ERROR"}, false},
		"a blank":                             {[]string{"a b"}, false},
		"another alphabet":                    {[]string{"é"}, false},
		"one as long as a coin id or a token": {[]string{strings.Repeat("a", 41)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			log.Reset()
			rec := ask("/fails", c.given...)
			id := rec.Header().Get("X-Request-Id")
			if kept := len(c.given) == 1 && id == c.given[0]; kept != c.kept || !isRequestID(id) {
				t.Errorf("given %q, answered %q", c.given, id)
			}
			var p struct {
				ID string `json:"request_id"`
			}
			if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || p.ID != id {
				t.Errorf("the problem document names %q, the header %q", p.ID, id)
			}
			if n := strings.Count(log.String(), "request="+id+" "); n != 2 {
				t.Errorf("%d lines of the log name the request, want what failed and that it was answered:\n%s", n, &log)
			}
			if len(c.given) > 0 && !c.kept && c.given[0] != "" && strings.Contains(log.String(), "request="+c.given[0]) {
				t.Errorf("the log repeats it: %s", &log)
			}
		})
	}
	if a, b := ask("/livez").Header().Get("X-Request-Id"), ask("/livez").Header().Get("X-Request-Id"); a == b || a == "" {
		t.Errorf("two requests are %q and %q", a, b)
	}
}

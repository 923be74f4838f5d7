package apitest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/speciecash/specie/api"
)

// Files of the contract.
const (
	Issuer = "issuer.yaml"
	Group  = "group.yaml"
	Till   = "till.yaml"
	Desk   = "desk.yaml"
)

// Contract is one file.
type Contract struct {
	// Problem, if set, is shown the status and code of every refusal.
	Problem func(t testing.TB, status int, code string)

	doc    *openapi3.T
	router routers.Router
	file   string
	named  bool // answers have a request id
}

// loaded is a file, read once: documents are large and are not written to.
type loaded struct {
	doc    *openapi3.T
	router routers.Router
	err    error
}

var files = map[string]func() loaded{
	Issuer: sync.OnceValue(func() loaded { return load(Issuer) }),
	Group:  sync.OnceValue(func() loaded { return load(Group) }),
	Till:   sync.OnceValue(func() loaded { return load(Till) }),
	Desk:   sync.OnceValue(func() loaded { return load(Desk) }),
}

func load(file string) (l loaded) {
	data, err := api.Files.ReadFile(file)
	if err != nil {
		return loaded{err: err}
	}
	loader := openapi3.NewLoader()
	// One file may use another one's schemas.
	loader.IsExternalRefsAllowed = true
	loader.ReadFromURIFunc = func(_ *openapi3.Loader, at *url.URL) ([]byte, error) { return api.Files.ReadFile(at.Path) }
	if l.doc, l.err = loader.LoadFromDataWithPath(data, &url.URL{Path: file}); l.err != nil {
		return l
	}
	if l.err = l.doc.Validate(loader.Context); l.err != nil {
		return l
	}
	for _, s := range l.doc.Components.Schemas {
		shut(s, map[*openapi3.Schema]bool{})
	}
	for _, item := range l.doc.Paths.Map() {
		for _, op := range item.Operations() {
			for _, r := range op.Responses.Map() {
				for _, m := range r.Value.Content {
					shut(m.Schema, map[*openapi3.Schema]bool{})
				}
			}
		}
	}
	l.router, l.err = legacy.NewRouter(l.doc)
	return l
}

// shut forbids members that a schema does not name. Clients must pass over
// what they don't know, so the file does not say so; but the server has to
// declare whatever it sends.
func shut(ref *openapi3.SchemaRef, done map[*openapi3.Schema]bool) {
	if ref == nil || ref.Value == nil || done[ref.Value] {
		return
	}
	s := ref.Value
	done[s] = true
	if len(s.Properties) > 0 && s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil {
		s.AdditionalProperties.Has = new(false)
	}
	for _, p := range s.Properties {
		shut(p, done)
	}
	shut(s.Items, done)
}

// Read returns a file of package api.
func Read(t testing.TB, file string) *Contract {
	t.Helper()
	once := files[file]
	if once == nil {
		t.Fatalf("apitest: no contract %s", file)
	}
	l := once()
	if l.err != nil {
		t.Fatal(l.err)
	}
	return &Contract{doc: l.doc, router: l.router, file: file, named: file != Till && file != Desk}
}

// Doc is the document, not to be modified.
func (c *Contract) Doc() *openapi3.T { return c.doc }

// exchange is a request and its answer.
type exchange struct {
	request *http.Request
	sent    []byte
	status  int
	header  http.Header
	body    []byte
}

// check fails the test if request and answer are not of the contract.
func (c *Contract) check(t testing.TB, x *exchange) {
	t.Helper()
	r := x.request
	r.URL.Scheme, r.URL.Host = "", "" // the file names no server
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		c.checkUndeclared(t, x)
		return
	}
	id := route.Operation.OperationID
	r.Body = io.NopCloser(bytes.NewReader(x.sent))
	options := &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
		RejectWhenRequestBodyNotSpecified: true,
	}
	request := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: options}
	if err := openapi3filter.ValidateRequest(r.Context(), request); err != nil && x.status < 400 {
		t.Errorf("%s answers %d to a request that the contract forbids: %v", id, x.status, err)
	}
	response := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: x.status, Header: x.header, Options: options,
	}
	response.SetBodyBytes(x.body)
	if err := openapi3filter.ValidateResponse(r.Context(), response); err != nil {
		t.Errorf("%s answers %d outside the contract: %v\n%.2000s", id, x.status, err, x.body)
	}
	c.checkHeaders(t, id, x)
	if x.status < 400 {
		sawSuccess(c.file, id)
	}
}

// checkUndeclared lets pass what is not of the contract and says so, and the
// three routes of every daemon that are for whoever runs it.
func (c *Contract) checkUndeclared(t testing.TB, x *exchange) {
	t.Helper()
	path := x.request.URL.Path
	switch {
	case x.status == http.StatusNotFound || x.status == http.StatusMethodNotAllowed:
	case slices.Contains([]string{"/livez", "/readyz", "/metrics"}, path) &&
		(x.status == http.StatusOK || x.status == http.StatusServiceUnavailable):
	default:
		t.Errorf("%s %s is not in the contract, and answers %d", x.request.Method, path, x.status)
	}
}

// checkHeaders looks at what the file says of all answers in words.
func (c *Contract) checkHeaders(t testing.TB, id string, x *exchange) {
	t.Helper()
	if x.header.Get("Cache-Control") == "" {
		t.Errorf("%s answers %d without Cache-Control", id, x.status)
	}
	if n := len(x.header.Get("X-Request-Id")); c.named && (n == 0 || n > 64) {
		t.Errorf("%s answers %d with an X-Request-Id of %d characters", id, x.status, n)
	}
	if x.status < 400 {
		return
	}
	if x.header.Get("Retry-After") == "" && x.status == http.StatusServiceUnavailable {
		t.Errorf("%s answers %d without Retry-After", id, x.status)
	}
	if x.header.Get("WWW-Authenticate") == "" && x.status == http.StatusUnauthorized {
		t.Errorf("%s answers 401 without WWW-Authenticate", id)
	}
	p, err := readProblem(x)
	if err != nil {
		t.Errorf("%s answers %d: %v", id, x.status, err)
		return
	}
	if c.Problem != nil {
		c.Problem(t, x.status, p.Code)
	}
}

var errProblem = errors.New("the problem document contradicts its answer")

// Uncovered lists the operations of a file that no test of this process has
// seen to succeed.
func Uncovered(file string) ([]string, error) {
	l := files[file]()
	if l.err != nil {
		return nil, l.err
	}
	seen.Lock()
	defer seen.Unlock()
	var missing []string
	for path, item := range l.doc.Paths.Map() {
		for method, op := range item.Operations() {
			if !seen.good[file][op.OperationID] {
				missing = append(missing, method+" "+path)
			}
		}
	}
	slices.Sort(missing)
	return missing, nil
}

// seen is what all contracts of the process saw: which operations of a file
// were answered with success.
var seen struct {
	sync.Mutex
	good map[string]map[string]bool
}

func sawSuccess(file, operation string) {
	seen.Lock()
	defer seen.Unlock()
	if seen.good == nil {
		seen.good = map[string]map[string]bool{}
	}
	if seen.good[file] == nil {
		seen.good[file] = map[string]bool{}
	}
	seen.good[file][operation] = true
}

// problem is what all refusals say of themselves.
type problem struct {
	Type, Title, Code string
	Status            int
	Instance          string `json:"request_id"`
}

func contradiction(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errProblem}, args...)...)
}

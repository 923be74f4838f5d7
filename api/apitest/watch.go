package apitest

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"testing"
)

// Watch passes traffic on to h and fails the test on what is not of the
// contract. The traffic of a fuzz target is not looked at: package testing lets
// nobody report on a *testing.F from within its target.
func (c *Contract) Watch(t testing.TB, h http.Handler) http.Handler {
	if _, fuzzing := t.(*testing.F); fuzzing {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := &remembered{ReadCloser: r.Body}
		if r.Body != nil {
			r.Body = body
		}
		rec := &recorder{to: w, header: http.Header{}}
		h.ServeHTTP(rec, r)
		rec.WriteHeader(http.StatusOK) // where the handler wrote nothing
		// What the handler left unread was no reason for its answer, but is
		// part of the request.
		_, _ = io.Copy(io.Discard, io.LimitReader(body, 1<<20))
		c.check(t, &exchange{r.Clone(r.Context()), body.seen.Bytes(), rec.status, rec.header, rec.body.Bytes()})
		maps.Copy(w.Header(), rec.header)
		w.WriteHeader(rec.status)
		_, _ = w.Write(rec.body.Bytes())
	})
}

// Transport sends requests through next and fails the test on what is not of
// the contract, but for a fuzz target; see Watch.
func (c *Contract) Transport(t testing.TB, next http.RoundTripper) http.RoundTripper {
	if _, fuzzing := t.(*testing.F); fuzzing {
		return next
	}
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		body := &remembered{ReadCloser: r.Body}
		out := r.Clone(r.Context())
		if r.Body != nil {
			out.Body = body
		}
		resp, err := next.RoundTrip(out)
		if err != nil {
			return nil, err
		}
		answer, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return nil, err
		}
		c.check(t, &exchange{r.Clone(r.Context()), body.seen.Bytes(), resp.StatusCode, resp.Header, answer})
		resp.Body = io.NopCloser(bytes.NewReader(answer))
		return resp, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// remembered keeps what is read through it.
type remembered struct {
	io.ReadCloser
	seen bytes.Buffer
}

// Read implements io.Reader.
func (b *remembered) Read(p []byte) (int, error) {
	if b.ReadCloser == nil {
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p)
	b.seen.Write(p[:n])
	return n, err
}

// recorder keeps an answer until it was compared.
type recorder struct {
	to     http.ResponseWriter
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}

// Flush implements http.Flusher; the answer goes out at its end.
func (r *recorder) Flush() {}

// Unwrap lets http.ResponseController set the connection's deadlines.
func (r *recorder) Unwrap() http.ResponseWriter { return r.to }

// readProblem reads what all refusals have in common.
func readProblem(x *exchange) (*problem, error) {
	var p problem
	if err := json.Unmarshal(x.body, &p); err != nil {
		return nil, err
	}
	switch {
	case p.Status != x.status:
		return nil, contradiction("status %d", p.Status)
	case p.Type != "urn:specie:problem:"+p.Code:
		return nil, contradiction("type %q, code %q", p.Type, p.Code)
	case p.Instance != x.header.Get("X-Request-Id"):
		return nil, contradiction("request_id %q, header %q", p.Instance, x.header.Get("X-Request-Id"))
	}
	return &p, nil
}

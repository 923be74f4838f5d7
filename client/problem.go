package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// MaxAnswer bounds an answer's body, in bytes.
const MaxAnswer = 16 << 20

// ErrAnswer: the server's answer is not one of the contract.
var ErrAnswer = errors.New("unexpected answer")

// Problem is a refusal (RFC 9457 problem+json).
type Problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	// Conflict is the earlier spend, where the code is double-spend.
	Conflict json.RawMessage `json:"conflict"`
	// RetryAfter is what the answer asks to wait, zero if it does not say.
	RetryAfter time.Duration `json:"-"`
}

// CodeHeld is the code of coins that are held for somebody else for a moment.
const CodeHeld = "coin-held"

// Error says the refusal in one line for a person.
func (p *Problem) Error() string { return fmt.Sprintf("refused (%s): %s", p.Code, p.Reason()) }

// Reason is the refusal in the server's words, without its code.
func (p *Problem) Reason() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Detail
}

// Final says that repeating the same bytes will get the same answer: the
// request is refused and nothing was recorded. Faults of the server, of the
// token and of timing are not final.
func (p *Problem) Final() bool {
	if p.Code == CodeHeld {
		return false
	}
	switch p.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusNotFound:
		return false
	}
	return p.Status >= 400 && p.Status < 500
}

// ReadProblem turns the body of an answer other than 200 or 201 into an
// error: a [*Problem] where it is one, [ErrAnswer] otherwise.
func ReadProblem(resp *http.Response, body []byte) error {
	var p Problem
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if kind != "application/problem+json" || json.Unmarshal(body, &p) != nil || p.Code == "" {
		return fmt.Errorf("%w: HTTP %d from %s", ErrAnswer, resp.StatusCode, hostOf(resp))
	}
	// The status line counts, not what the body says of it; and a server's
	// words must not steer the terminal that shows them.
	p.Status = resp.StatusCode
	if s, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31); err == nil {
		p.RetryAfter = time.Duration(s) * time.Second
	}
	p.Code, p.Title, p.Detail = printable(p.Code), printable(p.Title), printable(p.Detail)
	return &p
}

// hostOf is who answered, for people.
func hostOf(resp *http.Response) string {
	if resp.Request == nil || resp.Request.URL == nil {
		return "the server"
	}
	return resp.Request.URL.Host
}

// printable replaces control characters and cuts what is too long to show.
func printable(s string) string {
	const most = 400
	s = strings.ToValidUTF8(s, "?")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '?'
		}
		return r
	}, s)
}

// NewHTTP is an HTTP client with a bound on every answer.
func NewHTTP(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout:   timeout,
		Transport: bounded{http.DefaultTransport},
		// A redirect would carry a request, and its token, somewhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded ends an answer that is longer than MaxAnswer with an error.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = &limitedBody{ReadCloser: resp.Body, left: MaxAnswer}
	}
	return resp, err
}

type limitedBody struct {
	io.ReadCloser
	left int
}

func (l *limitedBody) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("%w: longer than %d bytes", ErrAnswer, MaxAnswer)
	}
	if len(p) > l.left {
		p = p[:l.left]
	}
	n, err := l.ReadCloser.Read(p)
	l.left -= n
	return n, err
}

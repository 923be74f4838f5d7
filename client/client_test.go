package client_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/client"
)

func response(status int, contentType string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}}}
}

func TestReadProblem(t *testing.T) {
	for _, c := range []struct {
		name        string
		contentType string
		status      int
		body        string
		want        *client.Problem // nil: ErrAnswer
	}{
		{"a refusal is read", "application/problem+json", 422, `{"code":"wrong-amount","title":"T","detail":"D"}`,
			&client.Problem{Status: 422, Code: "wrong-amount", Title: "T", Detail: "D"}},
		{"parameters of the media type don't matter", "application/problem+json; charset=utf-8", 409, `{"code":"conflict"}`,
			&client.Problem{Status: 409, Code: "conflict"}},
		{"the status line counts, not the body", "application/problem+json", 503, `{"status":422,"code":"x"}`,
			&client.Problem{Status: 503, Code: "x"}},
		{"control characters and marks of direction don't reach the terminal", "application/problem+json", 400,
			"{\"code\":\"a\\u001b[2J\",\"detail\":\"b\\u202ec\"}", &client.Problem{Status: 400, Code: "a?[2J", Detail: "b?c"}},
		{"the proof of a conflict is kept as it came", "application/problem+json", 409, `{"code":"double-spend","conflict":{"a":1}}`,
			&client.Problem{Status: 409, Code: "double-spend", Conflict: json.RawMessage(`{"a":1}`)}},
		{"a page of some proxy is no refusal", "text/html", 422, `{"code":"wrong-amount"}`, nil},
		{"a refusal without a code is none", "application/problem+json", 422, `{"title":"T"}`, nil},
		{"what is no JSON is no refusal", "application/problem+json", 422, `<html>`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := client.ReadProblem(response(c.status, c.contentType), []byte(c.body))
			var got *client.Problem
			if c.want == nil {
				if !errors.Is(err, client.ErrAnswer) || errors.As(err, &got) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if !errors.As(err, &got) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestAProblemIsCutToWhatCanBeShown(t *testing.T) {
	body, err := json.Marshal(map[string]string{"code": "x", "detail": strings.Repeat("é", 5000)})
	if err != nil {
		t.Fatal(err)
	}
	if got := client.ReadProblem(response(400, "application/problem+json"), body).Error(); len(got) > 500 {
		t.Fatalf("%d bytes", len(got))
	}
}

func TestFinalMeansThatNothingWasRecorded(t *testing.T) {
	for status, final := range map[int]bool{
		400: true, 409: true, 410: true, 413: true, 422: true,
		401: false, 403: false, 404: false, 408: false, 425: false, 429: false, 500: false, 502: false, 503: false, 202: false,
	} {
		if got := (&client.Problem{Status: status}).Final(); got != final {
			t.Errorf("%d: %v", status, got)
		}
	}
}

func TestReadTillAnswer(t *testing.T) {
	got, err := client.ReadTillAnswer([]byte(`{"receipt":"r","bank_receipt":"b","change":["AQI"]}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&client.TillAnswer{Receipt: "r", BankReceipt: "b", Change: []api.Bytes{{1, 2}}}, got); diff != "" {
		t.Fatal(diff)
	}
	for name, body := range map[string]string{
		"no receipt": `{"bank_receipt":"b"}`, "no JSON": `paid`, "null": `null`, "change of another type": `{"receipt":"r","change":[1]}`,
		"too long": `{"receipt":"` + strings.Repeat("r", client.MaxAnswer) + `"}`,
	} {
		if _, err := client.ReadTillAnswer([]byte(body)); !errors.Is(err, client.ErrAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckAddress(t *testing.T) {
	for _, ok := range []string{
		"https://bank.example", "https://bank.example:8443/specie", "http://127.0.0.1:8080", "http://localhost:8080/",
		"http://[::1]:8080", "http://127.9.9.9",
	} {
		if err := client.CheckAddress(ok); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for _, bad := range []string{
		"", "bank.example", "127.0.0.1:8080", "http://bank.example", "http://10.0.0.1", "ftp://bank.example",
		"https://user:pass@bank.example", "https://bank.example?x=1", "https://bank.example?", "https://bank.example#x", "https:bank.example",
		"https://:8443", "http://localhost.example", "https://bank.example/" + strings.Repeat("a", 1024), "https://bank\x1b.example",
	} {
		if err := client.CheckAddress(bad); !errors.Is(err, client.ErrAddress) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// serve answers every request in the given way and counts them.
func serve(t *testing.T, h http.HandlerFunc) string {
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestAnAnswerIsBounded(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(strings.Repeat(" ", 1<<20))
		for range 6 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	hc := client.NewHTTP(10 * time.Second)
	if _, err := client.Pay(t.Context(), hc, url, []byte("{}")); !errors.Is(err, client.ErrAnswer) {
		t.Errorf("till: %v", err)
	}
	if _, err := client.GroupDocument(t.Context(), hc, url); !errors.Is(err, client.ErrAnswer) {
		t.Errorf("group manager: %v", err)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the spend was carried on") })
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
	})
	if _, err := client.Pay(t.Context(), client.NewHTTP(10*time.Second), url, []byte("{}")); !errors.Is(err, client.ErrAnswer) {
		t.Fatalf("got %v", err)
	}
}

func TestGroupDocument(t *testing.T) {
	hc := client.NewHTTP(10 * time.Second)
	answer := func(status int, contentType, body string) string {
		return serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/group" {
				t.Errorf("asked for %s", r.URL.Path)
			}
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
	}
	t.Run("the document is passed on", func(t *testing.T) {
		got, err := client.GroupDocument(t.Context(), hc, answer(200, "application/json", `{"document":"a.b.c"}`)+"/")
		if err != nil || string(got) != "a.b.c" {
			t.Fatalf("%q, %v", got, err)
		}
	})
	t.Run("an answer without one is no answer", func(t *testing.T) {
		for _, body := range []string{`{}`, `null`, `{"document":7}`, `hello`} {
			if _, err := client.GroupDocument(t.Context(), hc, answer(200, "application/json", body)); !errors.Is(err, client.ErrAnswer) {
				t.Errorf("%s: %v", body, err)
			}
		}
	})
	t.Run("a refusal is one", func(t *testing.T) {
		var p *client.Problem
		_, err := client.GroupDocument(t.Context(), hc, answer(503, "application/problem+json", `{"code":"unavailable"}`))
		if !errors.As(err, &p) || p.Code != "unavailable" {
			t.Fatalf("got %v", err)
		}
	})
}

func FuzzReadProblem(f *testing.F) {
	f.Add(422, "application/problem+json", []byte(`{"code":"wrong-amount","detail":"x","conflict":{"v":1}}`))
	f.Add(409, "application/problem+json; x=y", []byte(`{"code":"double-spend","conflict":null}`))
	f.Add(200, "text/html", []byte("<html>"))
	f.Add(400, "application/problem+json", []byte("{\"code\":\"\\u0000\\u202e\\ud800\"}"))
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		err := client.ReadProblem(response(status, contentType), body)
		var p *client.Problem
		if !errors.As(err, &p) {
			if !errors.Is(err, client.ErrAnswer) {
				t.Fatalf("neither refusal nor ErrAnswer: %v", err)
			}
			return
		}
		if p.Status != status || p.Code == "" {
			t.Fatalf("%+v", p)
		}
		if text := p.Error(); len(text) > 1000 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("%q is not fit to show", text)
		}
	})
}

func FuzzReadTillAnswer(f *testing.F) {
	f.Add([]byte(`{"receipt":"a.b.c","bank_receipt":"d.e.f","change":["AAAA",""]}`))
	f.Add([]byte(`{"receipt":"r","change":null,"more":1}`))
	f.Add([]byte(`{"receipt":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := client.ReadTillAnswer(body)
		if err != nil {
			if !errors.Is(err, client.ErrAnswer) {
				t.Fatal(err)
			}
			return
		}
		// The till stores what it answers and reads it back.
		raw, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		again, err := client.ReadTillAnswer(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if len(again.Change) != len(a.Change) || again.Receipt != a.Receipt {
			t.Fatalf("%+v became %+v", a, again)
		}
	})
}

func FuzzGroupDocument(f *testing.F) {
	f.Add([]byte(`{"document":"a.b.c"}`))
	f.Add([]byte(`{"document":""}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		doc, err := client.ReadGroupDocument(body)
		if (err == nil) == (len(doc) == 0) {
			t.Fatalf("%q, %v", doc, err)
		}
		if err != nil && !errors.Is(err, client.ErrAnswer) {
			t.Fatal(err)
		}
	})
}

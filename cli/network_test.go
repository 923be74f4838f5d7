package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/cli"
)

func TestWhoDoesNotAnswerIsNamed(t *testing.T) {
	broken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer broken.Close()
	end := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-end }))
	defer func() { close(end); slow.Close() }()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	secure.Config.ErrorLog = nil
	defer secure.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	socket := filepath.Join(t.TempDir(), "issuer.sock")
	overSocket := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	for _, c := range []struct {
		name string
		hc   *http.Client
		url  string
		want string
	}{
		{"nobody listens", http.DefaultClient, gone.URL + "/v1/keys", "no answer from HOST: connection refused"},
		{"the connection breaks", http.DefaultClient, broken.URL + "/v1/keys", "no answer from HOST: the connection broke"},
		{"it takes for ever", &http.Client{Timeout: 20 * time.Millisecond}, slow.URL, "no answer from HOST: it takes too long"},
		{"an unknown authority", http.DefaultClient, secure.URL, "HOST has no certificate that this machine accepts: x509: certificate signed by unknown authority"},
		{"no socket", overSocket, "http://operator/v1", "no answer from " + socket + ": no such file or directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, err := c.hc.Get(c.url)
			if err == nil {
				resp.Body.Close()
				t.Fatal("an answer")
			}
			var b bytes.Buffer
			(&cli.Out{Program: "specie", Stderr: &b}).Fail(fmt.Errorf("bank: %w", err), "")
			host := strings.Split(strings.SplitN(c.url, "//", 2)[1], "/")[0]
			if want := "specie: error: bank: " + strings.ReplaceAll(c.want, "HOST", host) + "\n"; b.String() != want {
				t.Errorf("got %q, want %q", &b, want)
			}
		})
	}
}

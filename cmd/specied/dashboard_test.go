package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/cli"
)

// leafPEM is a certificate for localhost with its key, in one file.
func leafPEM(t *testing.T) string {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der := must(x509.CreateCertificate(rand.Reader, c, c, key.Public(), key))(t)
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))(t)})...)
	path := filepath.Join(t.TempDir(), "page.pem")
	check(t, os.WriteFile(path, both, 0o600))
	return path
}

func TestADashboardLeavesTheMachineOnlyOverTLS(t *testing.T) {
	out := cli.Std("specied")
	out.Stderr = io.Discard
	a := &app{ctx: t.Context(), out: out, log: slog.New(slog.DiscardHandler)}
	from := func(c dashboardCmd) (*boardPage, error) {
		c.Socket = "nowhere.sock"
		return c.open(a)
	}
	for _, c := range []dashboardCmd{
		{Listen: "0.0.0.0:0"}, {Listen: ":0"}, {Listen: "192.0.2.1:0"}, {Listen: "nonsense"},
		{Listen: "127.0.0.1:0", TLSKey: "key.pem"}, {Listen: "127.0.0.1:0", TLSCertificate: "missing.pem"},
	} {
		if page, err := from(c); err == nil {
			_ = page.listener.Close()
			t.Errorf("%+v: it listens", c)
		}
	}
	page := must(from(dashboardCmd{Listen: "0.0.0.0:0", TLSCertificate: leafPEM(t), Host: []string{"localhost"}}))(t)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- page.serve(ctx, a) }()
	t.Cleanup(func() {
		stop()
		check(t, <-served)
	})
	_, port, err := net.SplitHostPort(page.listener.Addr().String())
	check(t, err)
	if page.url != "https://localhost:"+port+"/" || !strings.HasPrefix(page.link(), page.url+"#") {
		t.Errorf("the page is at %s", page.link())
	}
	c := &http.Client{
		Jar:       must(cookiejar.New(nil))(t),
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}
	r := must(c.PostForm(page.url+"enter", url.Values{"code": {page.gate.Code()}}))(t)
	said := string(must(io.ReadAll(r.Body))(t))
	if r.StatusCode != http.StatusBadGateway || !strings.Contains(said, "The bank does not answer") {
		t.Errorf("without a bank: %d %s", r.StatusCode, said)
	}
	if cookies := c.Jar.Cookies(must(url.Parse(page.url))(t)); len(cookies) != 1 {
		t.Errorf("cookies %v", cookies)
	}
}

func TestTheBoxTakesAnotherPortIfItsOwnIsTaken(t *testing.T) {
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	taken := l.Addr().String()
	if got := freeOr(taken); got != "127.0.0.1:0" {
		t.Errorf("%s instead of one that is taken", got)
	}
	check(t, l.Close())
	if got := freeOr(taken); got != taken {
		t.Errorf("%s instead of %s, which is free", got, taken)
	}
}

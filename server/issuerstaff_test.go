package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/issuer/issuertest"
)

// authority certifies machines in tests.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(t, err)
	a := &authority{key: key}
	a.cert = a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, key)
	return a
}

func (a *authority) sign(t *testing.T, template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	fatal(t, err)
	template.SerialNumber, template.NotBefore, template.NotAfter = serial, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := a.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), a.key)
	fatal(t, err)
	cert, err := x509.ParseCertificate(der)
	fatal(t, err)
	return cert
}

// issue writes a certificate for localhost and its key to one file.
func (a *authority) issue(t *testing.T, path string, usage x509.ExtKeyUsage) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(t, err)
	cert := a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}, key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	fatal(t, err)
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	fatal(t, os.WriteFile(path, both, 0o600))
	pair, err := tls.X509KeyPair(both, both)
	fatal(t, err)
	return pair
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func TestStaffComesWithACertificateAndAToken(t *testing.T) {
	b := newBranch(t, readContract(t, "issuer.yaml"))
	ctx := t.Context()
	olga, operator, err := b.CreateAccount(ctx, issuer.Operator, "Olga", "")
	fatal(t, err)
	_, supervisor, err := b.CreateAccount(ctx, issuer.Supervisor, "Sven", "")
	fatal(t, err)
	own, foreign := newAuthority(t, "own"), newAuthority(t, "foreign")
	dir := t.TempDir()
	files := StaffTLS{Certificate: filepath.Join(dir, "server.pem"), Key: filepath.Join(dir, "server.pem"), ClientCA: filepath.Join(dir, "ca.pem")}
	if _, err := ListenStaff("127.0.0.1:0", files); err == nil {
		t.Fatal("it listens without a certificate")
	}
	own.issue(t, files.Certificate, x509.ExtKeyUsageServerAuth)
	fatal(t, os.WriteFile(files.ClientCA, []byte("nothing"), 0o600))
	if _, err := ListenStaff("127.0.0.1:0", files); err == nil {
		t.Fatal("it listens without an authority for clients")
	}
	fatal(t, os.WriteFile(files.ClientCA, own.pem(), 0o600))
	l, err := ListenStaff("127.0.0.1:0", files)
	fatal(t, err)
	handlers := NewIssuer(b.Bank.Bank, IssuerOptions{Root: b.House.Root})
	stop, end := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- Serve(stop, slog.New(slog.DiscardHandler), Endpoint{Listener: l, Handler: b.contract.watch(t, handlers.Staff)})
	}()
	t.Cleanup(func() {
		end()
		fatal(t, <-served)
		handlers.Stop()
	})
	mine := own.issue(t, filepath.Join(dir, "olga.pem"), x509.ExtKeyUsageClientAuth)
	theirs := foreign.issue(t, filepath.Join(dir, "eve.pem"), x509.ExtKeyUsageClientAuth)
	serving := own.issue(t, filepath.Join(dir, "other.pem"), x509.ExtKeyUsageServerAuth)
	ask := func(method, path string, token issuer.Token, certificates ...tls.Certificate) (answer, error) {
		pool := x509.NewCertPool()
		pool.AddCert(own.cert)
		transport := &http.Transport{TLSClientConfig: &tls.Config{ServerName: "localhost", RootCAs: pool, Certificates: certificates}}
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(ctx, method, "https://"+l.Addr().String()+path, nil)
		fatal(t, err)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+string(token))
		}
		resp, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			return answer{}, err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		return answer{resp.StatusCode, resp.Header, body}, err
	}
	for name, certificates := range map[string][]tls.Certificate{
		"no certificate": nil, "a certificate of another authority": {theirs}, "a certificate for servers": {serving},
	} {
		if a, err := ask("GET", "/admin/v1/books", operator, certificates...); err == nil {
			t.Errorf("%s: answered %d", name, a.status)
		}
	}
	tests := []struct {
		name, method, path string
		token              issuer.Token
		status             int
		code               Code
	}{
		{"an operator at the accounts", "GET", "/admin/v1/accounts", operator, 200, ""},
		{"an operator at the cases", "GET", "/admin/v1/cases", operator, 200, ""},
		{"a supervisor at the cases", "GET", "/admin/v1/cases", supervisor, 200, ""},
		{"a supervisor at the books", "GET", "/admin/v1/books", supervisor, 200, ""},
		{"a holder", "GET", "/admin/v1/cases", b.holderToken, 403, CodeForbidden},
		{"nobody", "GET", "/admin/v1/cases", "", 401, CodeUnauthorized},
		{"the public's routes", "GET", "/v1/account", b.holderToken, 404, CodeNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := ask(tt.method, tt.path, tt.token, mine)
			fatal(t, err)
			if tt.code != "" {
				refused(t, a, tt.status, tt.code)
			} else if a.status != tt.status {
				t.Errorf("status %d: %s", a.status, a.body)
			}
		})
	}
	// What a supervisor may do is named here; all else, a copy of the ledger first
	// of all, is an operator's, and so is a route that comes later.
	supervises := []string{
		"GET /admin/v1/cases", "GET /admin/v1/cases/:id", "GET /admin/v1/trace", "POST /admin/v1/trace", "GET /admin/v1/books",
	}
	fill := strings.NewReplacer(":kind", "merchant", ":id", "x", ":token", "x")
	for route := range issuerAdminRoutes() {
		method, path, _ := strings.Cut(route, " ")
		if slices.Contains(supervises, route) {
			continue
		}
		t.Run("a supervisor at "+route, func(t *testing.T) {
			a, err := ask(method, fill.Replace(path), supervisor, mine)
			fatal(t, err)
			refused(t, a, 403, CodeForbidden)
		})
	}
	for _, path := range []string{"backup", "strikes", "reconciliation", "drain"} {
		if a, err := ask("GET", "/admin/v1/"+path, operator, mine); err != nil || a.status != 200 {
			t.Errorf("an operator at %s: %d %v", path, a.status, err)
		}
	}
	fatal(t, b.Suspend(ctx, olga.ID, "left the bank"))
	a, err := ask("GET", "/admin/v1/accounts", operator, mine)
	fatal(t, err)
	refused(t, a, 403, CodeSuspended)
	// Another authority from now on: the files are what counts.
	foreign.issue(t, files.Certificate, x509.ExtKeyUsageServerAuth)
	if _, err := ask("GET", "/admin/v1/cases", supervisor, mine); err == nil {
		t.Error("the new certificate is not shown")
	}
	own.issue(t, files.Certificate, x509.ExtKeyUsageServerAuth)
	fatal(t, os.WriteFile(files.ClientCA, foreign.pem(), 0o600))
	if _, err := ask("GET", "/admin/v1/cases", supervisor, mine); err == nil {
		t.Error("a certificate is taken whose authority is gone")
	}
}

func TestOneAddressMayAskSoOftenAndNoMore(t *testing.T) {
	b := newBranch(t, readContract(t, "issuer.yaml"))
	h := NewIssuer(b.Bank.Bank, IssuerOptions{Root: b.House.Root, Rate: Rate{PerSecond: 0.001, Burst: 2}})
	t.Cleanup(h.Stop)
	public := httptest.NewServer(b.contract.watch(t, h.Public))
	t.Cleanup(public.Close)
	server := public.URL
	account := func() answer { return b.send(t, "GET", server+"/v1/account", b.holderToken, nil) }
	for range 2 {
		if a := account(); a.status != 200 {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
	}
	a := account()
	refused(t, a, 429, CodeBusy)
	if a.header.Get("Retry-After") == "" {
		t.Error("no word on when to come again")
	}
	for _, path := range []string{"/v1/info", "/v1/keys", "/livez"} {
		if a := b.send(t, "GET", server+path, "", nil); a.status != 200 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

func TestWhoAProxySpeaksFor(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	tests := []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"a client", "192.0.2.1:5", nil, "192.0.2.1"},
		{"a client that says it is another", "192.0.2.1:5", []string{"198.51.100.7"}, "192.0.2.1"},
		{"a client behind a proxy", "10.0.0.1:5", []string{"198.51.100.7"}, "198.51.100.7"},
		{"one that told its proxy a story", "10.0.0.1:5", []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7"},
		{"one behind two proxies", "10.0.0.1:5", []string{"198.51.100.7, 10.0.0.2"}, "198.51.100.7"},
		{"two headers", "10.0.0.1:5", []string{"203.0.113.9", "198.51.100.7"}, "198.51.100.7"},
		{"a proxy that says nothing", "10.0.0.1:5", nil, "10.0.0.1"},
		{"a proxy that says nonsense", "10.0.0.1:5", []string{"unknown"}, "10.0.0.1"},
		{"a customer's IPv6 network", "[2001:db8:1:2:3:4:5:6]:5", nil, "2001:db8:1:2::"},
		{"IPv4 in IPv6", "[::ffff:192.0.2.1]:5", nil, "192.0.2.1"},
	}
	th := newThrottle(Rate{PerSecond: 1, Burst: 1, TrustedProxies: proxies})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{}}
			for _, f := range tt.forwarded {
				r.Header.Add("X-Forwarded-For", f)
			}
			if got := th.client(r); got.String() != tt.want {
				t.Errorf("it is %s, want %s", got, tt.want)
			}
		})
	}
	// Memory is bounded, and who comes often is remembered.
	now := issuertest.Now
	busy := netip.MustParseAddr("192.0.2.1")
	if th.wait(busy, now) != 0 || th.wait(busy, now) == 0 {
		t.Error("a burst of one is not one")
	}
	for i := range 3 * rateClients {
		th.wait(netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)}), now)
		if i%1000 == 0 && th.wait(busy, now) == 0 {
			t.Fatal("who comes often was forgotten")
		}
	}
	if n := len(th.young) + len(th.old); n > 2*rateClients {
		t.Errorf("%d clients are remembered", n)
	}
	if th.wait(busy, now.Add(time.Second)) != 0 {
		t.Error("the bucket does not fill")
	}
}

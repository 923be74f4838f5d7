package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// authority makes a certificate authority of somebody's own.
func authority(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "our own CA"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	writeCertificate(ts, args[0], args[1], template, template, key, key)
}

// certifies makes a certificate of an authority for this machine, with a number.
func certifies(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 5)
	pair, err := tls.LoadX509KeyPair(ts.MkAbs(args[0]), ts.MkAbs(args[1]))
	ts.Check(err)
	number, err := strconv.ParseInt(args[4], 10, 64)
	ts.Check(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(number), Subject: pkix.Name{CommonName: "till"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	writeCertificate(ts, args[2], args[3], template, pair.Leaf, key, pair.PrivateKey.(*ecdsa.PrivateKey))
}

func writeCertificate(ts *testscript.TestScript, certFile, keyFile string, template, by *x509.Certificate, key, byKey *ecdsa.PrivateKey) {
	der, err := x509.CreateCertificate(rand.Reader, template, by, &key.PublicKey, byKey)
	ts.Check(err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(errors.Join(
		os.WriteFile(ts.MkAbs(keyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600),
		os.WriteFile(ts.MkAbs(certFile), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)))
}

// browse enters a till's page by its link, over HTTP/1.1 or HTTP/2, trusting an
// authority; the certificate has that number, the cookie is for https alone, and events
// come as they happen.
func browse(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 4)
	link, err := url.Parse(strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(ts.ReadFile(args[1])))
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: args[2] == "2"}
	defer transport.CloseIdleConnections()
	browser := &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute}
	ask := func(method, path, body string) *http.Response {
		r, err := http.NewRequestWithContext(sceneOf(ts).t.Context(), method, "https://"+link.Host+path, strings.NewReader(body))
		ts.Check(err)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		resp, err := browser.Do(r)
		ts.Check(err)
		if resp.StatusCode/100 != 2 || strconv.Itoa(resp.ProtoMajor) != args[2][:1] || resp.TLS.PeerCertificates[0].SerialNumber.String() != args[3] {
			ts.Fatalf("%s %s: %s, %s, certificate %s", method, path, resp.Status, resp.Proto, resp.TLS.PeerCertificates[0].SerialNumber)
		}
		return resp
	}
	in := ask("POST", "/desk/v1/session", fmt.Sprintf(`{"code": %q}`, link.Fragment))
	ts.Check(in.Body.Close())
	if c := in.Cookies(); len(c) != 1 || !c[0].Secure || !c[0].HttpOnly || !strings.HasPrefix(c[0].Name, "__Host-") {
		ts.Fatalf("the cookie is %v", c)
	}
	stream := ask("GET", "/desk/v1/events", "")
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	awaits(ts, lines, "event: till")
	ts.Check(ask("POST", "/desk/v1/sales", `{"amount": 7}`).Body.Close())
	awaits(ts, lines, "event: sale")
}

func awaits(ts *testscript.TestScript, lines *bufio.Scanner, want string) {
	for lines.Scan() {
		if bytes.Equal(lines.Bytes(), []byte(want)) {
			return
		}
	}
	ts.Fatalf("%q did not come: %v", want, lines.Err())
}

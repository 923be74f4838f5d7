package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
)

// officeFlags say how an operator's command reaches the bank: over the UNIX
// socket, or from elsewhere with a client certificate and a token.
type officeFlags struct {
	Socket string `help:"The issuer's admin socket." type:"path" required:"" xor:"where" placeholder:"SOCKET"`
	Admin  string `help:"The issuer's admin address, from another machine." placeholder:"URL" required:"" xor:"where"`

	ServerCA          string `help:"With --admin: who certifies the issuer's address (PEM); the system's authorities without it." name:"server-ca" type:"existingfile" placeholder:"FILE"`
	ClientCertificate string `help:"With --admin: your certificate, and its key if --client-key is not given (PEM)." type:"existingfile" placeholder:"FILE"`
	ClientKey         string `help:"With --admin: the certificate's key (PEM)." type:"existingfile" placeholder:"FILE"`
	TokenFile         string `help:"With --admin: file with your access token, mode 0600." type:"existingfile" placeholder:"FILE"`
}

// api is the bank's back office.
func (o *officeFlags) api() (*issuerclient.ClientWithResponses, error) {
	if o.Socket != "" {
		if o.ServerCA != "" || o.ClientCertificate != "" || o.ClientKey != "" || o.TokenFile != "" {
			return nil, cli.Usage(errors.New("certificates and a token go with --admin"))
		}
		return issuerAdmin(o.Socket)
	}
	if !strings.HasPrefix(o.Admin, "https://") {
		return nil, cli.Usage(errors.New("--admin is an https URL"))
	}
	if o.ClientCertificate == "" || o.TokenFile == "" {
		return nil, cli.Usage(errors.New("--admin needs --client-certificate and --token-file"))
	}
	if err := client.CheckAddress(o.Admin); err != nil {
		return nil, err
	}
	token, err := cli.ReadSecretFile(o.TokenFile)
	if err != nil {
		return nil, err
	}
	keyFile := o.ClientKey
	if keyFile == "" {
		keyFile = o.ClientCertificate
	}
	key, err := cli.ReadSecretFile(keyFile)
	if err != nil {
		return nil, err
	}
	chain, err := readFile(o.ClientCertificate)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, []byte(key))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.ClientCertificate, err)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}}
	if o.ServerCA != "" {
		if cfg.RootCAs, err = certificatePool(o.ServerCA); err != nil {
			return nil, err
		}
	}
	hc := &http.Client{
		Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: cfg},
		// A redirect would carry the token somewhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return issuerclient.NewClientWithResponses(o.Admin, issuerclient.WithHTTPClient(hc),
		issuerclient.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		}))
}

// certificatePool reads the certificates of a PEM file.
func certificatePool(path string) (*x509.CertPool, error) {
	raw, err := readFile(path)
	if err != nil {
		return nil, err
	}
	chain, err := parseChain(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	pool := x509.NewCertPool()
	for _, c := range chain {
		pool.AddCert(c)
	}
	return pool, nil
}

// onSocket is an HTTP client whose every connection goes to a UNIX socket.
func onSocket(path string) *http.Client {
	return &http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}},
	}
}

func issuerAdmin(socket string) (*issuerclient.ClientWithResponses, error) {
	return issuerclient.NewClientWithResponses("http://operator", issuerclient.WithHTTPClient(onSocket(socket)))
}

// answered is the answer's JSON, or the refusal as an error.
func answered[T any](v *T, resp *http.Response, body []byte) (*T, error) {
	if v == nil {
		return nil, client.ReadProblem(resp, body)
	}
	return v, nil
}

// account is the bank's back office, and an account's id as its paths have it.
func (o *officeFlags) account(account string) (api *issuerclient.ClientWithResponses, kind issuerclient.AccountKind, id string, err error) {
	if api, err = o.api(); err == nil {
		kind, id, err = accountPath(account)
	}
	return api, kind, id, err
}

// accountPath splits an account's id for a path of the API.
func accountPath(account string) (issuerclient.AccountKind, string, error) {
	kind, id, ok := strings.Cut(account, "/")
	if !ok {
		return "", "", fmt.Errorf("account %q: an account's id is its kind, a slash and 22 characters", account)
	}
	return issuerclient.AccountKind(kind), id, nil
}

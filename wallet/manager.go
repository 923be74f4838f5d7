package wallet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/groupclient"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
)

// manager is what a wallet asks of the group manager.
type manager struct {
	url  string
	http *http.Client
	c    *groupclient.ClientWithResponses
}

// ManagerError is a refusal of the group manager's, and not of a bank's.
type ManagerError struct{ *client.Problem }

// Unwrap returns the refusal.
func (e *ManagerError) Unwrap() error { return e.Problem }

// refusal reads why the manager did not do what he was asked.
func refusal(resp *http.Response, body []byte) error {
	err := client.ReadProblem(resp, body)
	var p *client.Problem
	if errors.As(err, &p) {
		return &ManagerError{p}
	}
	return err
}

func newManager(url string, hc *http.Client) (*manager, error) {
	if err := client.CheckAddress(url); err != nil {
		return nil, fmt.Errorf("group manager: %w", err)
	}
	c, err := groupclient.NewClientWithResponses(url, groupclient.WithHTTPClient(hc))
	if err != nil {
		return nil, fmt.Errorf("group manager: %w", err)
	}
	return &manager{url: url, http: hc, c: c}, nil
}

func (m *manager) document(ctx context.Context) ([]byte, error) {
	return client.GroupDocument(ctx, m.http, m.url)
}

// sealedCredential is a credential on its way to this TPM.
type sealedCredential struct {
	epoch     uint64
	sealed    []byte
	challenge challenge // of a renewal
	// successions are the manager's words, at activation, for whose successor the
	// member is (compact JWSs, oldest first); none for a new one. A renewal has them
	// sealed.
	successions [][]byte
	sealedLine  []byte
}

func (m *manager) begin(ctx context.Context, chain [][]byte, public []byte) (id enrol.ID, nonce [32]byte, err error) {
	request := groupclient.BeginRequest{EkPublic: public}
	for _, der := range chain {
		request.EkChain = append(request.EkChain, api.Bytes(der))
	}
	r, err := m.c.BeginRegistrationWithResponse(ctx, request)
	if err != nil {
		return id, nonce, fmt.Errorf("group manager: %w", err)
	}
	if r.JSON201 == nil {
		return id, nonce, refusal(r.HTTPResponse, r.Body)
	}
	if len(r.JSON201.Nonce) != len(nonce) {
		return id, nonce, fmt.Errorf("%w: nonce of %d bytes", ErrAnswer, len(r.JSON201.Nonce))
	}
	id, err = enrol.ParseID(r.JSON201.Id)
	return id, [32]byte(r.JSON201.Nonce), err
}

func (m *manager) join(ctx context.Context, id enrol.ID, body []byte) (*challenge, error) {
	r, err := m.c.JoinRegistrationWithBodyWithResponse(ctx, id.String(), jsonType, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("group manager: %w", err)
	}
	if r.JSON200 == nil {
		return nil, refusal(r.HTTPResponse, r.Body)
	}
	return &challenge{Blob: r.JSON200.CredentialBlob, Secret: r.JSON200.EncryptedSecret}, nil
}

func (m *manager) activate(ctx context.Context, id enrol.ID, mac []byte) (*sealedCredential, error) {
	r, err := m.c.ActivateRegistrationWithResponse(ctx, id.String(), groupclient.ActivationRequest{Mac: mac})
	if err != nil {
		return nil, fmt.Errorf("group manager: %w", err)
	}
	if r.JSON200 == nil {
		return nil, refusal(r.HTTPResponse, r.Body)
	}
	out := &sealedCredential{epoch: uint64(r.JSON200.Epoch), sealed: r.JSON200.Credential}
	if r.JSON200.Successions != nil {
		for _, jws := range *r.JSON200.Successions {
			out.successions = append(out.successions, []byte(jws))
		}
	}
	return out, nil
}

func (m *manager) renew(ctx context.Context, id enrol.ID) (*sealedCredential, error) {
	r, err := m.c.RenewWithResponse(ctx, groupclient.RenewalRequest{Member: id.String()})
	if err != nil {
		return nil, fmt.Errorf("group manager: %w", err)
	}
	if r.JSON200 == nil {
		return nil, refusal(r.HTTPResponse, r.Body)
	}
	out := &sealedCredential{
		epoch: uint64(r.JSON200.Epoch), sealed: r.JSON200.Credential,
		challenge: challenge{Blob: r.JSON200.CredentialBlob, Secret: r.JSON200.EncryptedSecret},
	}
	if r.JSON200.Successions != nil {
		out.sealedLine = *r.JSON200.Successions
	}
	return out, nil
}

// warrants fetches a part of the register of warrants, from after an entry on.
func (m *manager) warrants(ctx context.Context, after uint64) (*warrant.Register, error) {
	address := fmt.Sprintf("%s/v1/warrants?after=%d", strings.TrimSuffix(m.url, "/"), after)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("group manager: %w", err)
	}
	resp, err := m.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("group manager: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, warrant.MaxRegister+1))
	if err != nil {
		return nil, fmt.Errorf("group manager: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refusal(resp, body)
	}
	r, err := warrant.ParseRegister(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRegister, err)
	}
	return r, nil
}

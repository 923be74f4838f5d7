package wallet

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/groupclient"
	"github.com/speciecash/specie/groupdoc/enrol"
)

// manager is what a wallet asks of the group manager.
type manager struct {
	url string
	c   *groupclient.ClientWithResponses
}

func newManager(url string) (*manager, error) {
	c, err := groupclient.NewClientWithResponses(url, groupclient.WithHTTPClient(client.NewHTTP(time.Minute)))
	if err != nil {
		return nil, fmt.Errorf("group manager %s: %w", url, err)
	}
	return &manager{url: url, c: c}, nil
}

func (m *manager) document(ctx context.Context) ([]byte, error) {
	return client.GroupDocument(ctx, client.NewHTTP(30*time.Second), m.url)
}

// sealedCredential is a credential on its way to this TPM.
type sealedCredential struct {
	epoch                uint64
	sealed, blob, secret []byte
}

func (m *manager) begin(ctx context.Context, cert, public []byte) (id enrol.ID, nonce [32]byte, err error) {
	r, err := m.c.BeginRegistrationWithResponse(ctx, groupclient.BeginRequest{EkChain: []api.Bytes{cert}, EkPublic: public})
	if err != nil {
		return id, nonce, fmt.Errorf("group manager: %w", err)
	}
	if r.JSON201 == nil {
		return id, nonce, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	if len(r.JSON201.Nonce) != len(nonce) {
		return id, nonce, fmt.Errorf("%w: nonce of %d bytes", ErrAnswer, len(r.JSON201.Nonce))
	}
	id, err = enrol.ParseID(r.JSON201.Id)
	return id, [32]byte(r.JSON201.Nonce), err
}

func (m *manager) join(ctx context.Context, id enrol.ID, body []byte) (blob, secret []byte, err error) {
	r, err := m.c.JoinRegistrationWithBodyWithResponse(ctx, id.String(), jsonType, bytes.NewReader(body))
	if err != nil {
		return nil, nil, fmt.Errorf("group manager: %w", err)
	}
	if r.JSON200 == nil {
		return nil, nil, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return r.JSON200.CredentialBlob, r.JSON200.EncryptedSecret, nil
}

func (m *manager) activate(ctx context.Context, id enrol.ID, mac []byte) (*sealedCredential, error) {
	r, err := m.c.ActivateRegistrationWithResponse(ctx, id.String(), groupclient.ActivationRequest{Mac: mac})
	if err != nil {
		return nil, fmt.Errorf("group manager: %w", err)
	}
	if r.JSON200 == nil {
		return nil, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return &sealedCredential{epoch: uint64(r.JSON200.Epoch), sealed: r.JSON200.Credential}, nil
}

func (m *manager) renew(ctx context.Context, id enrol.ID) (*sealedCredential, error) {
	r, err := m.c.RenewWithResponse(ctx, groupclient.RenewalRequest{Member: id.String()})
	if err != nil {
		return nil, fmt.Errorf("group manager: %w", err)
	}
	if r.JSON200 == nil {
		return nil, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return &sealedCredential{
		epoch: uint64(r.JSON200.Epoch), sealed: r.JSON200.Credential,
		blob: r.JSON200.CredentialBlob, secret: r.JSON200.EncryptedSecret,
	}, nil
}

package wallet

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"

	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
)

// Bank is what a wallet asks of the issuer. Requests are the exact bodies that
// the purse persisted. A refusal is a [*client.Problem]; any other error
// leaves the outcome open.
type Bank interface {
	// Keys returns the signed keyset.
	Keys(ctx context.Context) ([]byte, error)
	// Withdraw returns the blind signatures, in the order of the outputs.
	Withdraw(ctx context.Context, body []byte) ([][]byte, error)
	// Exchange likewise.
	Exchange(ctx context.Context, body []byte) ([][]byte, error)
	// Op returns what became of an operation, or nil if the bank has none.
	Op(ctx context.Context, op [32]byte) (*BankOp, error)
}

// BankOp is a recorded operation.
type BankOp struct {
	Receipt    string
	Outputs    []coin.Output
	Signatures [][]byte
}

// httpBank is the issuer's REST interface.
type httpBank struct {
	c *issuerclient.ClientWithResponses
}

// NewHTTPBank talks to the issuer at url with an account's access token,
// which may be empty for what needs none.
func NewHTTPBank(url, token string) (Bank, error) {
	c, err := issuerclient.NewClientWithResponses(url,
		issuerclient.WithHTTPClient(client.NewHTTP(2*time.Minute)),
		issuerclient.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("bank %s: %w", url, err)
	}
	return httpBank{c}, nil
}

const jsonType = "application/json"

func (b httpBank) Keys(ctx context.Context) ([]byte, error) {
	r, err := b.c.GetKeysWithResponse(ctx, &issuerclient.GetKeysParams{})
	if err != nil {
		return nil, fmt.Errorf("bank: %w", err)
	}
	if r.JSON200 == nil {
		return nil, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return []byte(r.JSON200.Keyset), nil
}

func (b httpBank) Withdraw(ctx context.Context, body []byte) ([][]byte, error) {
	r, err := b.c.WithdrawWithBodyWithResponse(ctx, jsonType, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("bank: %w", err)
	}
	if r.JSON200 == nil {
		return nil, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return plain(r.JSON200.Signatures), nil
}

func (b httpBank) Exchange(ctx context.Context, body []byte) ([][]byte, error) {
	r, err := b.c.ExchangeWithBodyWithResponse(ctx, jsonType, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("bank: %w", err)
	}
	if r.JSON200 == nil {
		return nil, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return plain(r.JSON200.Signatures), nil
}

func (b httpBank) Op(ctx context.Context, op [32]byte) (*BankOp, error) {
	r, err := b.c.GetOpWithResponse(ctx, base64.RawURLEncoding.EncodeToString(op[:]))
	if err != nil {
		return nil, fmt.Errorf("bank: %w", err)
	}
	if r.HTTPResponse.StatusCode == http.StatusNotFound {
		return nil, nil
	}
	if r.JSON200 == nil {
		return nil, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	outs, err := coin.ParseOutputsJSON(r.JSON200.Outputs)
	if err != nil {
		return nil, fmt.Errorf("bank: %w", err)
	}
	out := &BankOp{Outputs: outs, Signatures: plain(r.JSON200.Signatures)}
	if r.JSON200.Receipt != nil {
		out.Receipt = *r.JSON200.Receipt
	}
	return out, nil
}

func plain(in []api.Bytes) [][]byte {
	out := make([][]byte, len(in))
	for i := range in {
		out[i] = in[i]
	}
	return out
}

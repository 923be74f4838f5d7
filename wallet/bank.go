package wallet

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"

	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/client"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
)

// bank is the issuer's REST interface. Requests are the exact bodies that the
// purse persisted. A refusal is a [*client.Problem]; any other error leaves
// the outcome open.
//
// The account's token goes with what concerns the account and with nothing
// else: on a question about a payment, or on an exchange, it would tell the
// bank whose coins those are, which it can't know otherwise.
type bank struct {
	c       *issuerclient.ClientWithResponses
	account issuerclient.RequestEditorFn
}

// newBank talks to the issuer at url with an account's access token, which
// may be empty for what needs none.
func newBank(url, token string, hc *http.Client) (*bank, error) {
	if err := client.CheckAddress(url); err != nil {
		return nil, fmt.Errorf("bank: %w", err)
	}
	c, err := issuerclient.NewClientWithResponses(url, issuerclient.WithHTTPClient(hc))
	if err != nil {
		return nil, fmt.Errorf("bank: %w", err)
	}
	return &bank{c: c, account: func(_ context.Context, r *http.Request) error {
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		return nil
	}}, nil
}

const jsonType = "application/json"

// What the bank calls an operation that has been carried out, and a payment's.
const (
	stateDone   = "done"
	kindDeposit = "deposit"
)

// keys returns the signed keyset.
func (b *bank) keys(ctx context.Context) ([]byte, error) {
	r, err := b.c.GetKeysWithResponse(ctx, &issuerclient.GetKeysParams{})
	if err != nil {
		return nil, fmt.Errorf("bank: %w", err)
	}
	if r.JSON200 == nil {
		return nil, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return []byte(r.JSON200.Keyset), nil
}

// accountID returns the id of the account whose token this is.
func (b *bank) accountID(ctx context.Context) (string, error) {
	r, err := b.c.GetAccountWithResponse(ctx, b.account)
	if err != nil {
		return "", fmt.Errorf("bank: %w", err)
	}
	if r.JSON200 == nil {
		return "", client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return r.JSON200.Id, nil
}

// withdraw returns the blind signatures, in the order of the outputs.
func (b *bank) withdraw(ctx context.Context, body []byte) ([][]byte, error) {
	r, err := b.c.WithdrawWithBodyWithResponse(ctx, jsonType, bytes.NewReader(body), b.account)
	if err != nil {
		return nil, fmt.Errorf("bank: %w", err)
	}
	if r.JSON200 == nil {
		return nil, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return plain(r.JSON200.Signatures), nil
}

// exchange likewise.
func (b *bank) exchange(ctx context.Context, body []byte) ([][]byte, error) {
	r, err := b.c.ExchangeWithBodyWithResponse(ctx, jsonType, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("bank: %w", err)
	}
	if r.JSON200 == nil {
		return nil, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return plain(r.JSON200.Signatures), nil
}

// recoup likewise.
func (b *bank) recoup(ctx context.Context, body []byte) ([][]byte, error) {
	r, err := b.c.RecoupWithBodyWithResponse(ctx, jsonType, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("bank: %w", err)
	}
	if r.JSON200 == nil {
		return nil, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return plain(r.JSON200.Signatures), nil
}

// recover likewise.
func (b *bank) recover(ctx context.Context, body []byte) ([][]byte, error) {
	r, err := b.c.RecoverWithBodyWithResponse(ctx, jsonType, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("bank: %w", err)
	}
	if r.JSON200 == nil {
		return nil, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	return plain(r.JSON200.Signatures), nil
}

// What the bank calls a coin that is spent, and one that is not.
const (
	bankUnspent = "unspent"
	bankSpent   = "spent"
)

// signed is what the bank knows of an output.
type signed struct {
	found     bool
	op        [32]byte
	index     int
	signature []byte // empty where there will never be one
}

// restore asks what the bank signed, one answer for each output.
func (b *bank) restore(ctx context.Context, outputs []coin.Output) ([]signed, error) {
	r, err := b.c.RestoreWithResponse(ctx, issuerclient.WithdrawalRequest{Outputs: coin.NewOutputsJSON(outputs)})
	if err != nil {
		return nil, fmt.Errorf("bank: %w", err)
	}
	if r.JSON200 == nil {
		return nil, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	if len(r.JSON200.Outputs) != len(outputs) {
		return nil, fmt.Errorf("bank: %w: %d answers for %d outputs", ErrAnswer, len(r.JSON200.Outputs), len(outputs))
	}
	out := make([]signed, len(outputs))
	for i, o := range r.JSON200.Outputs {
		if o.Op == nil {
			continue
		}
		op, err := base64.RawURLEncoding.Strict().DecodeString(*o.Op)
		if err != nil || len(op) != 32 || o.Index == nil || o.Signature == nil {
			return nil, fmt.Errorf("bank: %w: output %d", ErrAnswer, i)
		}
		out[i] = signed{true, [32]byte(op), *o.Index, *o.Signature}
	}
	return out, nil
}

// coinRef names a coin to the bank.
type coinRef struct {
	kid coin.KeyID
	id  [32]byte
}

// coinStates asks whether coins are spent, one answer for each. It shows the bank
// that they are in one purse.
func (b *bank) coinStates(ctx context.Context, refs []coinRef) ([]string, error) {
	var body issuerclient.CoinStatesRequest
	for i := range refs {
		body.Coins = append(body.Coins, issuerclient.CoinRef{Kid: refs[i].kid[:], Id: refs[i].id[:]})
	}
	r, err := b.c.CoinStatesWithResponse(ctx, body)
	if err != nil {
		return nil, fmt.Errorf("bank: %w", err)
	}
	if r.JSON200 == nil {
		return nil, client.ReadProblem(r.HTTPResponse, r.Body)
	}
	if len(r.JSON200.States) != len(refs) {
		return nil, fmt.Errorf("bank: %w: %d answers for %d coins", ErrAnswer, len(r.JSON200.States), len(refs))
	}
	out := make([]string, len(refs))
	for i, s := range r.JSON200.States {
		out[i] = string(s)
	}
	return out, nil
}

// recorded is an operation that the bank has carried out.
type recorded struct {
	kind       string
	receipt    string
	outputs    []coin.Output
	signatures [][]byte
}

// op returns what became of an operation, or nil if the bank has none.
func (b *bank) op(ctx context.Context, op [32]byte) (*recorded, error) {
	r, err := b.c.GetOpWithResponse(ctx, base64.RawURLEncoding.EncodeToString(op[:]))
	if err != nil {
		return nil, fmt.Errorf("bank: %w", err)
	}
	if r.JSON200 == nil {
		err := client.ReadProblem(r.HTTPResponse, r.Body)
		if isCode(err, "not-found") {
			return nil, nil
		}
		return nil, err
	}
	if r.JSON200.Op != base64.RawURLEncoding.EncodeToString(op[:]) {
		return nil, fmt.Errorf("bank: %w: another operation", ErrAnswer)
	}
	if r.JSON200.State != stateDone {
		return nil, fmt.Errorf("bank: the operation is %q", r.JSON200.State)
	}
	outs, err := coin.ParseOutputsJSON(r.JSON200.Outputs)
	if err != nil {
		return nil, fmt.Errorf("bank: %w", err)
	}
	out := &recorded{kind: string(r.JSON200.Kind), outputs: outs, signatures: plain(r.JSON200.Signatures)}
	if r.JSON200.Receipt != nil {
		out.receipt = *r.JSON200.Receipt
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

package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/speciecash/specie/api"
)

// TillAnswer is what a till answers to an accepted spend.
type TillAnswer struct {
	// Receipt is the merchant's signature over the spend (JWS).
	Receipt string `json:"receipt"`
	// BankReceipt is the bank's over the deposit (JWS).
	BankReceipt string `json:"bank_receipt"`
	// Change is the blind signatures over the payer's change, in order.
	Change []api.Bytes `json:"change"`
}

// Pay posts a spend to the address in a payment link. Repeating the same
// bytes is safe and gets the same answer.
func Pay(ctx context.Context, hc *http.Client, to string, spend []byte) (*TillAnswer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(spend))
	if err != nil {
		return nil, fmt.Errorf("till: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := hc.Do(req)
	if err != nil {
		return nil, fmt.Errorf("till: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("till: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, ReadProblem(resp, body)
	}
	return ReadTillAnswer(body)
}

// ReadTillAnswer reads the body of an accepted spend, from the wire or a file.
func ReadTillAnswer(body []byte) (*TillAnswer, error) {
	var a TillAnswer
	if len(body) > MaxAnswer {
		return nil, fmt.Errorf("%w: %d bytes", ErrAnswer, len(body))
	}
	if err := json.Unmarshal(body, &a); err != nil || a.Receipt == "" {
		return nil, fmt.Errorf("%w: no receipt in it", ErrAnswer)
	}
	return &a, nil
}

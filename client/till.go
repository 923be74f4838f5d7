package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/coin"
)

// TillAnswer is what a till answers to an accepted spend.
type TillAnswer struct {
	// Receipt is the merchant's signature over the spend (JWS).
	Receipt string `json:"receipt"`
	// BankReceipt is the bank's over the deposit (JWS).
	BankReceipt string `json:"bank_receipt"`
	// Change is the blind signatures over the payer's change, in order.
	Change []api.Bytes `json:"change"`
	// Kept says that the merchant has accepted the payment while his bank could not be
	// reached, and deposits it later: his receipt is here, the bank's and the change
	// the bank will have.
	Kept bool `json:"kept,omitempty"`
}

// Pay posts a spend to the address in a payment link. Repeating the same
// bytes is safe and gets the same answer.
func Pay(ctx context.Context, hc *http.Client, to string, spend []byte) (*TillAnswer, error) {
	body, err := askTill(ctx, hc, http.MethodPost, to, spend)
	if err != nil {
		return nil, err
	}
	return ReadTillAnswer(body)
}

// askTill sends a request to a till and returns the answer's body.
func askTill(ctx context.Context, hc *http.Client, method, to string, request []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(request))
	if err != nil {
		return nil, fmt.Errorf("till: %w", err)
	}
	if request != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := hc.Do(req)
	if err != nil {
		return nil, fmt.Errorf("till: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("till: %w", err)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusAccepted {
		return nil, ReadProblem(resp, body)
	}
	return body, nil
}

// beside is the address of another of the till's routes than that to pay at.
func beside(to string, path ...string) (string, error) {
	u, err := url.Parse(to)
	if err != nil {
		return "", fmt.Errorf("till: %w", err)
	}
	return u.JoinPath(path...).String(), nil
}

// Shown is a till's answer to coins that it was shown.
type Shown struct {
	// State is "checked" if they are good as far as the till can tell, "held" if
	// the bank keeps them besides, until Until; or that of the payment, if it was
	// made.
	State string     `json:"state"`
	Until *time.Time `json:"until,omitempty"`
}

// Show posts a spend that nobody has authorised to the till that its payment
// link names, so that the merchant may check the coins and have them held.
func Show(ctx context.Context, hc *http.Client, to string, shown []byte) (*Shown, error) {
	address, err := beside(to, "check")
	if err != nil {
		return nil, err
	}
	body, err := askTill(ctx, hc, http.MethodPost, address, shown)
	if err != nil {
		return nil, err
	}
	var s Shown
	if err := json.Unmarshal(body, &s); err != nil || s.State == "" {
		return nil, fmt.Errorf("%w: no state in it", ErrAnswer)
	}
	return &s, nil
}

// RefundOffer is money of a payment that its payer may collect.
type RefundOffer struct {
	ID     api.Bytes   `json:"id"`
	Amount coin.Amount `json:"amount"`
}

// RefundOffers asks a till what of a payment may be collected.
func RefundOffers(ctx context.Context, hc *http.Client, to string, op [32]byte) ([]RefundOffer, error) {
	address, err := beside(to, "refunds", base64.RawURLEncoding.EncodeToString(op[:]))
	if err != nil {
		return nil, err
	}
	body, err := askTill(ctx, hc, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	var list struct {
		Refunds []RefundOffer `json:"refunds"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("%w: no list of refunds", ErrAnswer)
	}
	return list.Refunds, nil
}

// RefundClaim asks for a refund: a spend with purpose coin.Refund shows who asks.
type RefundClaim struct {
	Refund api.Bytes      `json:"refund"`
	Spend  coin.SpendJSON `json:"spend"`
}

// MaxRefundClaim bounds a claim on the wire, in bytes.
const MaxRefundClaim = coin.MaxSpendJSON + 1<<10

// CollectRefund posts a RefundClaim and returns the blind signatures, in the order
// of the spend's outputs. Repeating the same bytes is safe and gets the same
// answer.
func CollectRefund(ctx context.Context, hc *http.Client, to string, claim []byte) ([][]byte, error) {
	address, err := beside(to, "refunds")
	if err != nil {
		return nil, err
	}
	body, err := askTill(ctx, hc, http.MethodPost, address, claim)
	if err != nil {
		return nil, err
	}
	var a RefundAnswer
	if err := json.Unmarshal(body, &a); err != nil || len(a.Signatures) == 0 {
		return nil, fmt.Errorf("%w: no signatures in it", ErrAnswer)
	}
	out := make([][]byte, len(a.Signatures))
	for i := range a.Signatures {
		out[i] = a.Signatures[i]
	}
	return out, nil
}

// RefundAnswer is what a till answers to a claim.
type RefundAnswer struct {
	Signatures []api.Bytes `json:"signatures"`
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

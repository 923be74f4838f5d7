package coin

import (
	"crypto"
	"fmt"

	"github.com/speciecash/specie/trust"
)

// TypMerchant is the "typ" of a merchant's request for an account.
const TypMerchant = "specie-merchant+jws"

// MaxMerchantRequest bounds a merchant's request, in bytes.
const MaxMerchantRequest = 1024

type merchantRequestJSON struct {
	Version int    `json:"v"`
	Bank    string `json:"bank"`
}

// SignMerchantRequest asks a bank for an account under the merchant id of the
// signer's Ed25519 key (compact JWS). It shows that whoever asks holds the
// key: an id alone stands in every offer, and who could open an account with
// it would be credited for that merchant's payments.
func SignMerchantRequest(bank string, signer crypto.Signer) ([]byte, error) {
	if err := checkBank(bank); err != nil {
		return nil, err
	}
	payload, err := marshal(merchantRequestJSON{Version: 1, Bank: bank})
	if err != nil {
		return nil, err
	}
	jws, err := trust.SignKeyed(TypMerchant, payload, signer)
	if err != nil {
		return nil, fmt.Errorf("coin: merchant request: %w", err)
	}
	return jws, nil
}

// VerifyMerchantRequest returns the merchant id of a request to this bank. It
// returns trust's errors, ErrTooLarge, ErrMalformed or ErrBank.
func VerifyMerchantRequest(jws []byte, bank string) (merchantID string, err error) {
	if len(jws) > MaxMerchantRequest {
		return "", fmt.Errorf("%w: merchant request of %d bytes", ErrTooLarge, len(jws))
	}
	doc, err := trust.VerifyKeyed(jws, TypMerchant)
	if err != nil {
		return "", fmt.Errorf("coin: merchant request: %w", err)
	}
	var j merchantRequestJSON
	if err := unmarshalCanonical(doc.Payload, MaxMerchantRequest, &j); err != nil {
		return "", fmt.Errorf("merchant request: %w", err)
	}
	if j.Version != 1 {
		return "", fmt.Errorf("%w: merchant request of version %d", ErrMalformed, j.Version)
	}
	if j.Bank != bank {
		return "", fmt.Errorf("%w: a merchant's request to bank %s", ErrBank, j.Bank)
	}
	return doc.KeyID, nil
}

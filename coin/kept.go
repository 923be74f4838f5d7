package coin

import (
	"crypto/x509"
	"fmt"

	"github.com/speciecash/specie/trust"
)

// ParseKeptKeyset reads a keyset that was kept, as of the time when it says that it
// was issued: the certificates under it may have ended since. It is for a look back;
// who takes coins by it calls ParseKeyset. Errors: those of ParseKeyset.
func ParseKeptKeyset(root *trust.Root, jws []byte) (*Keyset, error) {
	payload, err := trust.Unverified(jws, trust.TypKeyset)
	if err != nil {
		return nil, fmt.Errorf("coin: keyset: %w", err)
	}
	k, err := parseKeysetPayload(payload)
	if err != nil {
		return nil, err
	}
	return ParseKeyset(root, jws, k.IssuedAt)
}

// VerifyKeptReceipt reads a deposit's receipt that was kept, as of the time when it
// says that the deposit was made, and returns the chain that it is signed under: who
// looks back asks the newest keyset that he has whether the bank has revoked that
// key since (Keyset.CheckSigner), for a thief chooses the date. Errors: those of
// VerifyDepositReceipt.
func VerifyKeptReceipt(root *trust.Root, jws []byte) (*DepositReceipt, []*x509.Certificate, error) {
	r, err := ReadReceipt(jws)
	if err != nil {
		return nil, nil, err
	}
	return verifyDepositReceipt(root, jws, r.At)
}

// ReadReceipt reads what a deposit's receipt says and believes none of it.
func ReadReceipt(jws []byte) (*DepositReceipt, error) {
	payload, err := trust.Unverified(jws, trust.TypReceipt)
	if err != nil {
		return nil, fmt.Errorf("coin: receipt: %w", err)
	}
	return parseDepositReceipt(payload)
}

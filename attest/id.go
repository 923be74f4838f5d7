package attest

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
)

// EKID returns the id under which a verifier will know an endorsement key, from
// its TPMT_PUBLIC: SHA-256 of its SubjectPublicKeyInfo, the same as [EK.ID]. It
// verifies nothing: it is for the device's side, which hashes the id into its
// join proof. The error is ErrEKProfile.
func EKID(ekPublic []byte) ([32]byte, error) {
	_, key, err := matchProfile(ekPublic)
	if err != nil {
		return [32]byte{}, err
	}
	return keyID(key)
}

func keyID(key crypto.PublicKey) ([32]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return [32]byte{}, fmt.Errorf("%w: %w", ErrEKProfile, err)
	}
	return sha256.Sum256(spki), nil
}

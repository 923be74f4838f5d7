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

// Certifies says whether a certificate is of that endorsement key, as far as its
// holder can tell: who vouches for it is not looked at. ek is a TPMT_PUBLIC. An
// error is a certificate, or a key, that can't be read here.
func Certifies(certificate, ek []byte) (bool, error) {
	_, key, err := matchProfile(ek)
	if err != nil {
		return false, err
	}
	leaf, err := readStored(certificate, parseX509)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrChain, err)
	}
	return checkCertified(leaf, key) == nil, nil
}

func keyID(key crypto.PublicKey) ([32]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return [32]byte{}, fmt.Errorf("%w: %w", ErrEKProfile, err)
	}
	return sha256.Sum256(spki), nil
}

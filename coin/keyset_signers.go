package coin

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/speciecash/specie/trust"
)

// MaxRevokedSigners bounds Keyset.RevokedSigners.
const MaxRevokedSigners = 256

// fieldRevokedSigners is critical wherever it stands: a reader that skipped
// it would go on believing a stolen key.
const fieldRevokedSigners = "revoked_signers"

// SignerKey names the key of a certificate as Keyset.RevokedSigners does:
// SHA-256 of its SubjectPublicKeyInfo (RFC 5280 §4.1.2.7, DER). It names the
// key and not the certificate, so that a second certificate for a stolen key
// is revoked with the first.
func SignerKey(c *x509.Certificate) [32]byte { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// CheckSigner returns ErrRevokedSigner if the bank has revoked the key that a
// chain, leaf first, certifies. Whether the chain is good,
// trust.Root.CheckChain tells.
func (k *Keyset) CheckSigner(chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return fmt.Errorf("%w: no certificate", ErrMalformed)
	}
	if key := SignerKey(chain[0]); slices.Contains(k.RevokedSigners, key) {
		return fmt.Errorf("%w: %s", ErrRevokedSigner, encode64(key[:]))
	}
	return nil
}

// VerifyDepositReceipt is the function of that name for a reader who knows
// the bank's keyset: a receipt of another bank is ErrBank, and one under a
// key that the bank has revoked is ErrRevokedSigner, whatever its date, which
// a thief chooses.
func (k *Keyset) VerifyDepositReceipt(root *trust.Root, jws []byte, at time.Time) (*DepositReceipt, error) {
	r, chain, err := verifyDepositReceipt(root, jws, at)
	if err != nil {
		return nil, err
	}
	if r.Bank != k.Bank {
		return nil, fmt.Errorf("%w: receipt of %s, keyset of %s", ErrBank, r.Bank, k.Bank)
	}
	if err := k.CheckSigner(chain); err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	return r, nil
}

// checkSigners refuses a list of revoked signers that no keyset may hold.
func (k *Keyset) checkSigners() error {
	if len(k.RevokedSigners) > MaxRevokedSigners {
		return fmt.Errorf("%w: %d revoked signers", ErrTooLarge, len(k.RevokedSigners))
	}
	seen := make(map[[32]byte]bool, len(k.RevokedSigners))
	for i, key := range k.RevokedSigners {
		if key == ([32]byte{}) || seen[key] {
			return fmt.Errorf("%w: revoked signer %d is empty or stands twice", ErrKeyset, i)
		}
		seen[key] = true
	}
	if len(seen) != 0 && !slices.Contains(k.Crit, fieldRevokedSigners) {
		return fmt.Errorf("%w: %s is not in crit", ErrKeyset, fieldRevokedSigners)
	}
	return nil
}

// withCrit returns the critical fields of a keyset that is to be signed.
func (k *Keyset) withCrit() []string {
	crit := append([]string{}, k.Crit...)
	if len(k.RevokedSigners) != 0 && !slices.Contains(crit, fieldRevokedSigners) {
		crit = append(crit, fieldRevokedSigners)
	}
	return crit
}

package attest

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"
)

const (
	// MaxChain is the largest number of certificates that VerifyEK looks at, and
	// MaxCertificate the largest size of each in bytes.
	MaxChain       = 8
	MaxCertificate = 8 << 10
)

// Policy is what VerifyEK asks for besides the roots.
type Policy struct {
	// At is the time as of which certificates must be in force.
	At time.Time
	// SoftwareTPMs admits emulated TPMs under roots that are marked as theirs.
	SoftwareTPMs bool
}

// EK is an endorsement key that VerifyEK has found to be genuine.
type EK struct {
	// Kind is "rsa2048", "p256" or "p384".
	Kind string
	// Public is the key's TPMT_PUBLIC.
	Public []byte
	// ID is SHA-256 of the key in SubjectPublicKeyInfo form: the same however the
	// key is shown and whoever certified it.
	ID [32]byte
	// Root is SHA-256 of the root certificate that the chain leads to.
	Root [32]byte
	// Manufacturer, Model and Version are as the certificate says: what the TPM
	// was when it was made. Manufacturer is a TCG vendor id without padding
	// ("INTC", "IFX"), or eight hex digits if it is no text.
	Manufacturer, Model, Version string
	// Software tells that the TPM is an emulated one.
	Software bool
}

// VerifyEK checks that an endorsement key belongs to a genuine TPM of a kind that
// is taken:
//
//   - the certificate chain, leaf first, leads to one of the roots at the time
//     given; it may contain intermediates in any order after the leaf, or none
//     where the roots' directory has them;
//   - the leaf is certified as an endorsement key (TCG EK Credential Profile,
//     §3.2) of a TPM of the manufacturer that the root is listed for;
//   - ekPublic, a TPMT_PUBLIC, is made from one of the profile's templates, and is
//     the certified key;
//   - the key is of the one kind that is taken from that manufacturer, model and
//     version are not refused, and the TPM is no emulated one, unless the policy
//     takes those too.
//
// Errors: ErrChain, ErrEKProfile, ErrEKMismatch, ErrEKKind, ErrFirmware,
// ErrSoftwareTPM; ErrRoots without roots.
func VerifyEK(chain [][]byte, ekPublic []byte, roots *Roots, p Policy) (*EK, error) {
	if roots == nil {
		return nil, fmt.Errorf("%w: none", ErrRoots)
	}
	if p.At.IsZero() { // which x509 takes for now
		return nil, fmt.Errorf("%w: no time to check it at", ErrChain)
	}
	leaf, chains, err := verifyChain(chain, roots, p.At)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChain, err)
	}
	kind, key, err := matchProfile(ekPublic)
	if err != nil {
		return nil, err
	}
	if err := checkCertified(leaf, key); err != nil {
		return nil, err
	}
	if err := checkLeaf(leaf, kind); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEKProfile, err)
	}
	id, err := keyID(key)
	if err != nil {
		return nil, err
	}
	who, err := tpmIdentity(leaf)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEKProfile, err)
	}
	root, software, err := roots.vouch(chains, who)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChain, err)
	}
	ek := &EK{
		Kind: kind, Public: slices.Clone(ekPublic), ID: id, Root: root,
		Manufacturer: who.manufacturer, Model: who.model, Version: who.version, Software: software || who.emulator(),
	}
	if err := roots.admit(ek, p); err != nil {
		return nil, err
	}
	if rsaKey, ok := key.(*rsa.PublicKey); ok && roca(rsaKey.N) {
		return nil, fmt.Errorf("%w: the key was made by firmware whose keys can be broken (CVE-2017-15361)", ErrFirmware)
	}
	return ek, nil
}

// vouch picks the chain that holds for a TPM of this manufacturer: every
// certificate in it that is listed must be listed for him, so that whoever may
// certify one manufacturer's TPMs can't certify another's. It returns the digest
// of the root.
func (r *Roots) vouch(chains [][]*x509.Certificate, who identity) (root [32]byte, software bool, err error) {
	found := false
	for _, chain := range chains {
		last := sha256.Sum256(chain[len(chain)-1].Raw)
		// A second way round a software root makes its TPMs no hardware.
		software = software || r.listed[last].Software
		stranger := slices.ContainsFunc(chain, func(c *x509.Certificate) bool {
			l := r.listed[sha256.Sum256(c.Raw)]
			return l != nil && l.Manufacturer != who.manufacturer
		})
		if !found && !stranger {
			root, found = last, true
		}
	}
	if !found {
		return root, false, fmt.Errorf("it names the manufacturer %s, for whom its issuer is not listed", who.manufacturer)
	}
	return root, software, nil
}

// admit checks a genuine key against what is taken from its manufacturer.
func (r *Roots) admit(ek *EK, p Policy) error {
	k := r.manifest.Manufacturers[ek.Manufacturer]
	if why := k.Firmware.refuses(ek.Model, ek.Version); why != "" {
		return fmt.Errorf("%w: %s, model %q with version %q %s", ErrFirmware, ek.Manufacturer, ek.Model, ek.Version, why)
	}
	if ek.Software && !p.SoftwareTPMs {
		return fmt.Errorf("%w: %s, model %q", ErrSoftwareTPM, ek.Manufacturer, ek.Model)
	}
	if ek.Kind != k.EK {
		return fmt.Errorf("%w: it is %s, %s is taken from %s", ErrEKKind, ek.Kind, k.EK, ek.Manufacturer)
	}
	return nil
}

// verifyChain reads a chain, and finds the ways from its leaf to the roots.
func verifyChain(chain [][]byte, roots *Roots, at time.Time) (*x509.Certificate, [][]*x509.Certificate, error) {
	leaf, intermediates, err := parseChain(chain, roots)
	if err != nil {
		return nil, nil, err
	}
	// The subject alternative name of an EK certificate is critical and names the
	// TPM's model, of which Go's parser knows nothing.
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(leaf.UnhandledCriticalExtensions, func(id asn1.ObjectIdentifier) bool {
		return id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17})
	})
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots.pool, Intermediates: intermediates, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, // the usage that counts, Go has no name for
	})
	if err != nil {
		return nil, nil, err
	}
	chains = slices.DeleteFunc(chains, func(chain []*x509.Certificate) bool { return slices.ContainsFunc(chain[1:], weak) })
	if len(chains) == 0 {
		return nil, nil, fmt.Errorf("an issuer has an RSA key of less than %d bits", rsaBits)
	}
	return leaf, chains, nil
}

// weak tells whether a certificate's key is shorter than what endorsement keys
// have, which Go's verifier takes down to 1024 bits.
func weak(c *x509.Certificate) bool {
	k, ok := c.PublicKey.(*rsa.PublicKey)
	return ok && k.N.BitLen() < rsaBits
}

// parseChain reads the leaf, and gathers the intermediates of the sender with
// those of the verifier. Malformed serial numbers are put up with in the leaf
// only: intermediates that have them must be among the verifier's.
func parseChain(chain [][]byte, roots *Roots) (*x509.Certificate, *x509.CertPool, error) {
	if len(chain) == 0 || len(chain) > MaxChain {
		return nil, nil, fmt.Errorf("chain of %d certificates, 1 to %d are possible", len(chain), MaxChain)
	}
	leaf, err := readStored(chain[0], parseX509)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate 0: %w", err)
	}
	intermediates := roots.intermediates.Clone()
	for i, stored := range chain[1:] {
		cert, err := readStored(stored, func(der []byte) (*x509.Certificate, error) {
			if roots.listed[sha256.Sum256(der)] != nil {
				return nil, nil
			}
			return x509.ParseCertificate(der)
		})
		if err != nil {
			return nil, nil, fmt.Errorf("certificate %d: %w", i+1, err)
		}
		if cert != nil {
			intermediates.AddCert(cert)
		}
	}
	return leaf, intermediates, nil
}

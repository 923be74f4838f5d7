package wallet

import (
	"bytes"
	"context"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/speciecash/specie/attest"
	"github.com/speciecash/specie/tpm"
)

// Bounds of an endorsement certificate that does not come from the TPM.
const (
	// MaxEKCertificates is how many certificates a file may have: the key's, and
	// those of the authorities above it.
	MaxEKCertificates = 6
	// MaxEKFile is the size of that file, or of a server's answer, in bytes.
	MaxEKFile = 64 << 10

	maxCertificate = 8 << 10
)

// NoCertificateError is [ErrNoCertificate] with the maker's address, where he is
// known to publish certificates.
type NoCertificateError struct {
	// URL is where the certificate of this very TPM should be; empty if unknown.
	URL string
}

// Error says so in words.
func (e *NoCertificateError) Error() string {
	if e.URL == "" {
		return ErrNoCertificate.Error()
	}
	return fmt.Sprintf("%v; its maker publishes it at %s", ErrNoCertificate, e.URL)
}

// Is matches ErrNoCertificate.
func (e *NoCertificateError) Is(target error) bool { return target == ErrNoCertificate }

// ParseEKCertificates reads certificates as people and makers keep them: DER, PEM
// (several, the key's own first), or the JSON that Intel's server answers with. It
// looks at the outside only: it is the manager who verifies.
func ParseEKCertificates(text []byte) ([][]byte, error) {
	if len(text) > MaxEKFile {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrCertificateForm, MaxEKFile)
	}
	var chain [][]byte
	trimmed := bytes.TrimSpace(text)
	switch {
	case bytes.HasPrefix(trimmed, []byte("{")):
		var answer struct {
			Certificate string `json:"certificate"`
		}
		if err := json.Unmarshal(trimmed, &answer); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCertificateForm, err)
		}
		// The padding comes escaped, as in an address.
		plain := strings.TrimRight(strings.ReplaceAll(answer.Certificate, "%3D", "="), "=")
		der, err := base64.RawURLEncoding.DecodeString(plain)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCertificateForm, err)
		}
		chain = append(chain, der)
	case bytes.Contains(trimmed, []byte("-----BEGIN")):
		for block, rest := pem.Decode(trimmed); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CERTIFICATE" {
				chain = append(chain, block.Bytes)
			}
		}
	default:
		chain = append(chain, text)
	}
	if len(chain) == 0 || len(chain) > MaxEKCertificates {
		return nil, fmt.Errorf("%w: %d certificates, where there should be 1 to %d", ErrCertificateForm, len(chain), MaxEKCertificates)
	}
	for i, der := range chain {
		var outer asn1.RawValue
		if _, err := asn1.Unmarshal(der, &outer); err != nil || outer.Tag != asn1.TagSequence || !outer.IsCompound || len(outer.FullBytes) > maxCertificate {
			return nil, fmt.Errorf("%w: neither DER, PEM nor a maker's JSON", ErrCertificateForm)
		}
		chain[i] = outer.FullBytes // what follows is padding
	}
	return chain, nil
}

// fetchEKCertificate asks a maker's server for the certificate of one TPM: his
// address tells him which. Nothing else is sent, and no redirect is followed.
func fetchEKCertificate(ctx context.Context, hc *http.Client, address string) ([][]byte, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("%w: %q is no https address", ErrFetch, address)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFetch, err)
	}
	resp, err := hc.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFetch, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: HTTP %d from %s", ErrFetch, resp.StatusCode, u.Host)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, MaxEKFile+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFetch, err)
	}
	chain, err := ParseEKCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFetch, err)
	}
	return chain, nil
}

// chainOf is the certificates to show for an endorsement key: what the person
// gave, what the TPM stores or, if he allowed it, what its maker publishes.
func (c *candidate) chainOf(ctx context.Context, ek *tpm.EK) ([][]byte, error) {
	switch {
	case len(c.EKCertificates) > 0:
		// What can't be read here, the manager judges.
		if ours, err := attest.Certifies(c.EKCertificates[0], ek.Public); err == nil && !ours {
			return nil, ErrOtherCertificate
		}
		return c.EKCertificates, nil
	case ek.CertificateDER != nil:
		chain := append([][]byte{ek.CertificateDER}, ek.Chain...)
		return chain[:min(len(chain), MaxEKCertificates)], nil
	case !c.FetchEKCertificate || ek.URL == "":
		return nil, &NoCertificateError{URL: ek.URL}
	}
	if c.Note != nil {
		c.Note("asking the TPM's maker for its certificate: " + ek.URL)
	}
	return fetchEKCertificate(ctx, c.w.http, ek.URL)
}

// noCertificate says whether a key lacks a certificate only, so that another of
// the TPM's keys may do.
func noCertificate(err error) bool {
	return errors.Is(err, ErrNoCertificate) || errors.Is(err, ErrFetch) || errors.Is(err, ErrOtherCertificate)
}

package attest

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/speciecash/specie/frame"
)

// maxRootsFile bounds a file of roots, in bytes.
const maxRootsFile = 1 << 20

// Roots are the certificate authorities of TPM manufacturers that a verifier
// trusts. Self-signed certificates are roots; others are intermediates, which
// fill gaps in chains and are trusted only as far as a root vouches for them.
type Roots struct {
	pool          *x509.CertPool
	intermediates *x509.CertPool
	roots         [][]byte // DER, sorted, each once
}

// LoadRoots reads roots and intermediates from one file, or from all files of a
// directory whose names end in .pem, .crt, .cer or .der. A file holds PEM
// certificates, or one in DER. At least one must be a root. The error is
// ErrRoots, or the operating system's.
func LoadRoots(path string) (*Roots, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("load roots: %w", err)
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = certificateFiles(path); err != nil {
			return nil, fmt.Errorf("load roots: %w", err)
		}
	}
	var all []*x509.Certificate
	for _, f := range files {
		data, err := readFile(f)
		if err != nil {
			return nil, fmt.Errorf("load roots: %w", err)
		}
		certs, err := parseCertificates(data)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrRoots, f, err)
		}
		all = append(all, certs...)
	}
	return newRoots(all)
}

// ParseRoots reads roots and intermediates from PEM certificates, or one
// certificate in DER. At least one must be a root. The error is ErrRoots.
func ParseRoots(data []byte) (*Roots, error) {
	if len(data) > maxRootsFile {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrRoots, maxRootsFile)
	}
	certs, err := parseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRoots, err)
	}
	return newRoots(certs)
}

// Digest returns SHA-256 over the framed roots in ascending order: what a group
// document states that its manager trusts. Intermediates don't enter, since they
// add nobody.
func (r *Roots) Digest() [32]byte { return frame.Digest(r.roots...) }

func certificateFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		switch strings.ToLower(filepath.Ext(e.Name())) {
		case ".pem", ".crt", ".cer", ".der":
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRootsFile+1))
	if err == nil && len(data) > maxRootsFile {
		err = fmt.Errorf("%s: more than %d bytes", path, maxRootsFile)
	}
	return data, err
}

func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	if !bytes.Contains(data, []byte("-----BEGIN")) {
		cert, err := x509.ParseCertificate(data)
		if err != nil {
			return nil, err
		}
		return []*x509.Certificate{cert}, nil
	}
	var certs []*x509.Certificate
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("contains a %s", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
		data = rest
	}
	if bytes.Contains(data, []byte("-----BEGIN")) {
		return nil, errors.New("contains a damaged PEM block")
	}
	return certs, nil
}

func newRoots(certs []*x509.Certificate) (*Roots, error) {
	r := &Roots{pool: x509.NewCertPool(), intermediates: x509.NewCertPool()}
	for _, c := range certs {
		if !c.IsCA {
			return nil, fmt.Errorf("%w: %s is not a certificate authority", ErrRoots, c.Subject)
		}
		if bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(c) == nil {
			r.pool.AddCert(c)
			r.roots = append(r.roots, c.Raw)
		} else {
			r.intermediates.AddCert(c)
		}
	}
	if len(r.roots) == 0 {
		return nil, fmt.Errorf("%w: no self-signed certificate", ErrRoots)
	}
	slices.SortFunc(r.roots, bytes.Compare)
	r.roots = slices.CompactFunc(r.roots, bytes.Equal)
	return r, nil
}

package attest

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/speciecash/specie/frame"
)

const (
	maxRootsFile = 1 << 20 // bytes of one file
	maxRootsDir  = 8 << 20 // bytes of all files
	maxEntries   = 2 * maxListed
)

// Roots are the certificate authorities of TPM manufacturers that a verifier
// trusts, and what he takes of each: made of certificates and the manifest that
// lists them. Certificates not marked as roots are intermediates, which fill gaps
// in chains and are trusted only as far as a root vouches for them.
type Roots struct {
	pool          *x509.CertPool
	intermediates *x509.CertPool
	manifest      *manifest
	listed        map[[32]byte]*listed
	digest        [32]byte
	doubts        []string
}

// LoadRoots reads a directory: its manifest (see [Manifest]) and the certificates
// which that lists, in PEM or DER. Every file must be listed, but for those whose
// names begin with a dot, and every certificate listed must be there, with the
// digest that the manifest gives. With a pin the digest of the whole must be that,
// see [Roots.Digest].
//
// The error is ErrRoots and names the file, or the operating system's.
func LoadRoots(dir string, pin *[32]byte) (*Roots, error) {
	files, err := readDir(dir)
	if err != nil {
		return nil, fmt.Errorf("load roots: %w", err)
	}
	text, ok := files[Manifest]
	if !ok {
		return nil, fmt.Errorf("%w: %s has no %s", ErrRoots, dir, Manifest)
	}
	delete(files, Manifest)
	r, err := ParseRoots(text, files)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if pin != nil && r.digest != *pin {
		return nil, fmt.Errorf("%w: %s has the digest %x, the configuration pins %x", ErrRoots, filepath.Join(dir, Manifest), r.digest, *pin)
	}
	return r, nil
}

// ParseRoots makes Roots of a manifest and the files it lists, by name. The error
// is ErrRoots.
func ParseRoots(manifest []byte, files map[string][]byte) (*Roots, error) {
	m, err := parseManifest(manifest)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrRoots, Manifest, err)
	}
	r := &Roots{pool: x509.NewCertPool(), intermediates: x509.NewCertPool(), manifest: m, listed: make(map[[32]byte]*listed)}
	for i := range m.Certificates {
		r.listed[m.Certificates[i].sum] = &m.Certificates[i]
	}
	found := make(map[[32]byte]bool)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		certs, err := readCertificates(files[name])
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrRoots, name, err)
		}
		for _, c := range certs {
			if err := r.add(name, c, found); err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ErrRoots, name, err)
			}
		}
	}
	for _, c := range m.Certificates {
		if !found[c.sum] {
			return nil, fmt.Errorf("%w: %s: no certificate with the digest %s that the manifest lists", ErrRoots, c.File, c.SHA256)
		}
	}
	r.digest = m.digest()
	return r, nil
}

// add takes a certificate in if the manifest lists it for this file.
func (r *Roots) add(file string, c *x509.Certificate, found map[[32]byte]bool) error {
	sum := sha256.Sum256(c.Raw)
	l, ok := r.listed[sum]
	if !ok || l.File != file {
		return fmt.Errorf("the manifest does not list the certificate with the digest %x (%s)", sum, c.Subject)
	}
	if found[sum] {
		return fmt.Errorf("the certificate %x is there twice", sum)
	}
	found[sum] = true
	if !c.IsCA || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
		return fmt.Errorf("%s is not a certificate authority", c.Subject)
	}
	if weak(c) {
		return fmt.Errorf("%s has an RSA key of less than %d bits", c.Subject, rsaBits)
	}
	if l.Root {
		r.pool.AddCert(c)
		if id := guessMaker(c); id != "?" && id != l.Manufacturer {
			r.doubts = append(r.doubts, fmt.Sprintf("%s is listed for %s and looks like a root of %s; a TPM counts under it only if its certificate names %[2]s", file, l.Manufacturer, id))
		}
		return nil
	}
	if selfSigned(c) {
		return fmt.Errorf("%s is self-signed, and not marked as a root: it could do nothing", c.Subject)
	}
	r.intermediates.AddCert(c)
	return nil
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(c) == nil
}

// Digest returns the digest of what the manifest says: certificates, the kinds of
// keys, which roots are software, and the rules for firmware. Names of files,
// order, comments and form don't change it. It is what a group document states,
// what a registration records, and what a configuration may pin.
func (r *Roots) Digest() [32]byte { return r.digest }

// Kinds returns the kinds of endorsement keys that are taken from any of the
// manufacturers, in the order in which a TPM's owner should try them.
func (r *Roots) Kinds() []string {
	return slices.DeleteFunc(kinds(), func(kind string) bool {
		for _, k := range r.manifest.Manufacturers {
			if k.EK == kind {
				return false
			}
		}
		return true
	})
}

// HasSoftware tells whether a root is marked as one of emulated TPMs.
func (r *Roots) HasSoftware() bool {
	return slices.ContainsFunc(r.manifest.Certificates, func(c listed) bool { return c.Software })
}

// Doubts says, a sentence each, which roots are by their names another
// manufacturer's than the manifest says. It is for a person to look at: what a
// TPM's own certificate will name, no root tells.
func (r *Roots) Doubts() []string { return slices.Clone(r.doubts) }

// Manufacturer is what is taken from one manufacturer.
type Manufacturer struct {
	ID            string `json:"id"`            // TCG vendor id, "INTC"
	EK            string `json:"ek"`            // the kind of endorsement key, as EK.Kind
	Roots         int    `json:"roots"`         // number of certificates
	Intermediates int    `json:"intermediates"` // number of certificates
	Software      bool   `json:"software"`      // at least one root is of emulated TPMs
	FirmwareRules int    `json:"firmware_rules"`
}

// Manufacturers lists them by id.
func (r *Roots) Manufacturers() []Manufacturer {
	var all []Manufacturer
	for _, id := range slices.Sorted(maps.Keys(r.manifest.Manufacturers)) {
		k := r.manifest.Manufacturers[id]
		m := Manufacturer{ID: id, EK: k.EK, FirmwareRules: len(k.Firmware.Allow) + len(k.Firmware.Deny)}
		for _, c := range r.manifest.Certificates {
			switch {
			case c.Manufacturer != id:
			case c.Root:
				m.Roots++
				m.Software = m.Software || c.Software
			default:
				m.Intermediates++
			}
		}
		all = append(all, m)
	}
	return all
}

// digest frames every statement of the manifest, with numbers before lists, so
// that no two manifests of different meaning have the same frame.
func (m *manifest) digest() [32]byte {
	parts := [][]byte{[]byte("specie/ek-roots/1"), frame.Uint64(uint64(len(m.Manufacturers)))}
	for _, id := range slices.Sorted(maps.Keys(m.Manufacturers)) {
		k := m.Manufacturers[id]
		parts = append(parts, []byte(id), []byte(k.EK))
		parts = append(parts, framed(k.Firmware.Allow, rule.frame)...)
		parts = append(parts, framed(k.Firmware.Deny, rule.frame)...)
	}
	parts = append(parts, framed(m.Certificates, listed.frame)...)
	return frame.Digest(parts...)
}

// framed returns the number of different items and their frames in ascending
// order.
func framed[T any](items []T, encode func(T) []byte) [][]byte {
	var all [][]byte
	for _, i := range items {
		all = append(all, encode(i))
	}
	slices.SortFunc(all, bytes.Compare)
	all = slices.CompactFunc(all, bytes.Equal)
	return append([][]byte{frame.Uint64(uint64(len(all)))}, all...)
}

func (r rule) frame() []byte {
	return frame.Join([]byte(r.Model), []byte(r.Version), []byte(r.From), []byte(r.To))
}

func (c listed) frame() []byte {
	var flags uint64
	if c.Root {
		flags |= 1
	}
	if c.Software {
		flags |= 2
	}
	return frame.Join(c.sum[:], []byte(c.Manufacturer), frame.Uint64(flags))
}

// readDir reads all files of a directory but hidden ones.
func readDir(dir string) (map[string][]byte, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(maxEntries + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(entries) > maxEntries {
		return nil, fmt.Errorf("%w: %s has more than %d files", ErrRoots, dir, maxEntries)
	}
	files := make(map[string][]byte)
	total := 0
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		data, err := readFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if total += len(data); total > maxRootsDir {
			return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrRoots, dir, maxRootsDir)
		}
		files[e.Name()] = data
	}
	return files, nil
}

// readFile reads a regular file, through a link if need be.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a file", ErrRoots, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRootsFile+1))
	if err == nil && len(data) > maxRootsFile {
		err = fmt.Errorf("%w: %s has more than %d bytes", ErrRoots, path, maxRootsFile)
	}
	return data, err
}

// readCertificates reads a file: certificates in PEM, or one in DER.
func readCertificates(data []byte) ([]*x509.Certificate, error) {
	if len(data) > maxRootsFile {
		return nil, fmt.Errorf("more than %d bytes", maxRootsFile)
	}
	if !bytes.Contains(data, []byte("-----BEGIN")) {
		c, err := parseX509(data)
		if err != nil {
			return nil, fmt.Errorf("not a certificate: %w", err)
		}
		return []*x509.Certificate{c}, nil
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
		c, err := parseX509(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, c)
		data = rest
	}
	if bytes.Contains(data, []byte("-----BEGIN")) {
		return nil, errors.New("contains a damaged PEM block")
	}
	return certs, nil
}

// kinds are the kinds of endorsement keys, those first that most TPMs have.
func kinds() []string { return []string{"rsa2048", "p256", "p384"} }

// vendorID tells whether s names a manufacturer as this package does: the capital
// letters and digits of the TCG's vendor id without padding, or, where it is made
// of something else, its eight hex digits.
func vendorID(s string) bool {
	if len(s) == 8 {
		b, err := hex.DecodeString(s)
		return err == nil && vendorName([4]byte(b)) == s
	}
	if len(s) == 0 || len(s) > 4 {
		return false
	}
	var id [4]byte
	copy(id[:], s)
	return vendorName(id) == s
}

// vendorName writes a TCG vendor id, which is padded with zeros or spaces.
func vendorName(id [4]byte) string {
	text := strings.TrimRight(string(id[:]), "\x00 ")
	if text == "" || strings.ContainsFunc(text, func(c rune) bool { return (c < 'A' || c > 'Z') && (c < '0' || c > '9') }) {
		return fmt.Sprintf("%X", id[:])
	}
	return text
}

package attest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Manifest is the name of the file that says what a directory of roots holds.
const Manifest = "manifest.yaml"

const (
	maxManifest = 256 << 10 // bytes of the manifest
	maxMakers   = 64
	maxListed   = 1024 // certificates
	maxRules    = 256  // firmware rules of one manufacturer
	maxName     = 128  // bytes of a file's name, a model or a version
)

// manifest is manifest.yaml. docs/ek-roots.md describes it.
type manifest struct {
	Version       int              `yaml:"version"`
	Manufacturers map[string]maker `yaml:"manufacturers"`
	Certificates  []listed         `yaml:"certificates"`
}

// maker is what is taken from one manufacturer.
type maker struct {
	// EK is the one kind of endorsement key.
	EK       string   `yaml:"ek"`
	Firmware firmware `yaml:"firmware,omitempty"`
}

// firmware are rules over the model and the version that a certificate names.
type firmware struct {
	Allow []rule `yaml:"allow,omitempty"`
	Deny  []rule `yaml:"deny,omitempty"`
}

// rule matches a model and a version. What is left out matches everything.
type rule struct {
	// Model and Version are whole values, or beginnings if they end in a star.
	Model   string `yaml:"model,omitempty"`
	Version string `yaml:"version,omitempty"`
	// From and To bound the version as a number, inclusive.
	From string `yaml:"from,omitempty"`
	To   string `yaml:"to,omitempty"`
}

// listed is one certificate.
type listed struct {
	File         string `yaml:"file"`
	SHA256       string `yaml:"sha256"`
	Manufacturer string `yaml:"manufacturer"`
	Root         bool   `yaml:"root,omitempty"`
	Software     bool   `yaml:"software,omitempty"`

	sum [32]byte
}

// parseManifest reads a manifest and checks what can be checked without the
// certificates.
func parseManifest(text []byte) (*manifest, error) {
	if len(text) > maxManifest {
		return nil, fmt.Errorf("more than %d bytes", maxManifest)
	}
	m := new(manifest)
	if err := yaml.Load(text, m, yaml.WithKnownFields()); err != nil {
		return nil, err
	}
	if m.Version != 1 {
		return nil, fmt.Errorf("version %d, this program reads version 1", m.Version)
	}
	if len(m.Manufacturers) > maxMakers || len(m.Certificates) > maxListed {
		return nil, fmt.Errorf("more than %d manufacturers or %d certificates", maxMakers, maxListed)
	}
	for id, k := range m.Manufacturers {
		if err := k.check(id); err != nil {
			return nil, fmt.Errorf("manufacturer %q: %w", id, err)
		}
	}
	return m, m.checkCertificates()
}

func (m *manifest) checkCertificates() error {
	seen := make(map[[32]byte]bool)
	rooted := make(map[string]bool)
	for i := range m.Certificates {
		c := &m.Certificates[i]
		if err := c.check(); err != nil {
			return fmt.Errorf("certificate %d, file %q: %w", i+1, c.File, err)
		}
		if _, ok := m.Manufacturers[c.Manufacturer]; !ok {
			return fmt.Errorf("file %q: manufacturer %q is not among the manufacturers", c.File, c.Manufacturer)
		}
		if seen[c.sum] {
			return fmt.Errorf("file %q: this certificate is listed twice", c.File)
		}
		seen[c.sum] = true
		rooted[c.Manufacturer] = rooted[c.Manufacturer] || c.Root
	}
	for id := range m.Manufacturers {
		if !rooted[id] {
			return fmt.Errorf("manufacturer %q has no root", id)
		}
	}
	if len(rooted) == 0 {
		return errors.New("no certificates")
	}
	return nil
}

func (c *listed) check() error {
	if c.File == "" || len(c.File) > maxName || strings.ContainsAny(c.File, "/\\\x00") || strings.HasPrefix(c.File, ".") || c.File == Manifest {
		return errors.New("not the name of a certificate's file in the same directory")
	}
	sum, err := hex.DecodeString(c.SHA256)
	if err != nil || len(sum) != len(c.sum) {
		return errors.New("sha256 is not 64 hex digits")
	}
	if c.Software && !c.Root {
		return errors.New("software belongs to roots")
	}
	copy(c.sum[:], sum)
	return nil
}

func (k maker) check(id string) error {
	if !vendorID(id) {
		return errors.New("not a TCG vendor id, as INTC or 00001014")
	}
	if !slices.Contains(kinds(), k.EK) {
		return fmt.Errorf("ek is %q; possible are %s", k.EK, strings.Join(kinds(), ", "))
	}
	if len(k.Firmware.Allow)+len(k.Firmware.Deny) > maxRules {
		return fmt.Errorf("more than %d firmware rules", maxRules)
	}
	for _, r := range slices.Concat(k.Firmware.Allow, k.Firmware.Deny) {
		if err := r.check(); err != nil {
			return fmt.Errorf("firmware: %w", err)
		}
	}
	return nil
}

func (r rule) check() error {
	if r == (rule{}) {
		return errors.New("a rule that says nothing")
	}
	if len(r.Model) > maxName || len(r.Version) > maxName {
		return errors.New("a rule that is too long")
	}
	for _, p := range []string{r.Model, r.Version} {
		if strings.Contains(strings.TrimSuffix(p, "*"), "*") {
			return fmt.Errorf("%q: a star stands at the end only", p)
		}
	}
	if r.Version != "" && (r.From != "" || r.To != "") {
		return errors.New("a rule has version, or from and to")
	}
	from, to := uint64(0), ^uint64(0)
	for _, b := range []struct {
		text string
		into *uint64
	}{{r.From, &from}, {r.To, &to}} {
		if b.text == "" {
			continue
		}
		n, ok := versionNumber(b.text)
		if !ok {
			return fmt.Errorf("%q is not a version as id:0755, with hex digits", b.text)
		}
		*b.into = n
	}
	if from > to {
		return fmt.Errorf("from %s is above to %s", r.From, r.To)
	}
	return nil
}

// refuses says why a TPM of this model and version is not taken, or nothing.
func (f firmware) refuses(model, version string) string {
	// A version that is no number lies in every range that is denied, and in
	// none that is allowed.
	for _, r := range f.Deny {
		if r.matches(model, version, true) {
			return "is denied"
		}
	}
	if len(f.Allow) > 0 && !slices.ContainsFunc(f.Allow, func(r rule) bool { return r.matches(model, version, false) }) {
		return "is not among those allowed"
	}
	return ""
}

func (r rule) matches(model, version string, unknown bool) bool {
	if !like(r.Model, model) || !like(r.Version, version) {
		return false
	}
	if r.From == "" && r.To == "" {
		return true
	}
	n, ok := versionNumber(version)
	if !ok {
		return unknown
	}
	if from, ok := versionNumber(r.From); ok && n < from {
		return false
	}
	if to, ok := versionNumber(r.To); ok && n > to {
		return false
	}
	return true
}

func like(pattern, s string) bool {
	if beginning, star := strings.CutSuffix(pattern, "*"); star {
		return strings.HasPrefix(s, beginning)
	}
	return pattern == "" || pattern == s
}

// versionNumber reads a version as the TCG writes it: id: and hex digits.
func versionNumber(s string) (uint64, bool) {
	digits, ok := strings.CutPrefix(s, "id:")
	if !ok || digits == "" || len(digits) > 16 || strings.Trim(digits, "0123456789abcdefABCDEF") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, err == nil
}

package attest

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// DraftManifest writes a manifest for certificates, files by name, for a person
// to review: it guesses whose they are by the names in them, marks the self-signed
// ones as roots and swtpm's as software, and takes rsa2048 from everybody. Where it
// can't guess it writes a question mark, which ParseRoots refuses. The error is
// ErrRoots.
func DraftManifest(files map[string][]byte) ([]byte, error) {
	makers := make(map[string]bool)
	var list bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		certs, err := readCertificates(files[name])
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrRoots, name, err)
		}
		for _, c := range certs {
			id := guessMaker(c)
			makers[id] = true
			fmt.Fprintf(&list, "  # %s\n  #   issued by %s\n  #   from %s to %s\n", plain(c.Subject.String()), plain(c.Issuer.String()),
				c.NotBefore.UTC().Format("2006-01-02"), c.NotAfter.UTC().Format("2006-01-02"))
			fmt.Fprintf(&list, "  - file: %q\n    sha256: %x\n    manufacturer: %q\n", name, sha256.Sum256(c.Raw), id)
			if selfSigned(c) {
				list.WriteString("    root: true\n")
				if id == swtpmMaker {
					list.WriteString("    software: true\n")
				}
			}
		}
	}
	if len(makers) == 0 {
		return nil, fmt.Errorf("%w: no certificates", ErrRoots)
	}
	var out bytes.Buffer
	out.WriteString("# A draft: check every line, see docs/ek-roots.md.\nversion: 1\nmanufacturers:\n")
	for _, id := range slices.Sorted(maps.Keys(makers)) {
		fmt.Fprintf(&out, "  %q:\n    ek: rsa2048\n", id)
	}
	out.WriteString("certificates:\n")
	out.Write(list.Bytes())
	return out.Bytes(), nil
}

// BuildManifest is DraftManifest for a directory. A manifest that is there
// already is not looked at.
func BuildManifest(dir string) ([]byte, error) {
	files, err := readDir(dir)
	if err != nil {
		return nil, fmt.Errorf("draft a manifest: %w", err)
	}
	delete(files, Manifest)
	return DraftManifest(files)
}

// WriteManifest writes what BuildManifest drafts into the directory. A manifest
// that is there already stays, and the error is fs.ErrExist.
func WriteManifest(dir string) error {
	path := filepath.Join(dir, Manifest)
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	text, err := BuildManifest(dir)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// swtpmMaker is the manufacturer that swtpm's certificates name: IBM's number as
// a maker of PCI devices.
const swtpmMaker = "00001014"

// guessMaker guesses a manufacturer by the names in a certificate.
func guessMaker(c *x509.Certificate) string {
	names := strings.ToLower(c.Subject.String() + " " + c.Issuer.String())
	for _, known := range []struct{ part, id string }{
		{"swtpm", swtpmMaker}, {"infineon", "IFX"}, {"stmicroelectronics", "STM"}, {"nuvoton", "NTC"}, {"nationz", "NTZ"},
		{"advanced micro devices", "AMD"}, {"amdtpm", "AMD"}, {"intel", "INTC"}, {"microsoft", "MSFT"}, {"google", "GOOG"},
	} {
		if strings.Contains(names, known.part) {
			return known.id
		}
	}
	return "?"
}

// plain takes out of a name what could end a comment.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff {
			return -1
		}
		return r
	}, s)
}

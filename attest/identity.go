package attest

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// identity is what an endorsement key certificate tells about its TPM, as it was
// when it was made.
type identity struct{ manufacturer, model, version string }

// tpmIdentity reads the subject alternative name: a directory name with the
// attributes tpmManufacturer, tpmModel and tpmVersion, each once (TCG EK
// Credential Profile, §3.1.2 and §3.2.9). Other kinds of names may stand beside it.
func tpmIdentity(leaf *x509.Certificate) (id identity, err error) {
	i := slices.IndexFunc(leaf.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) })
	if i < 0 {
		return id, errors.New("the certificate does not name the TPM: no subject alternative name")
	}
	s := cryptobyte.String(leaf.Extensions[i].Value)
	var names cryptobyte.String
	if !s.ReadASN1(&names, cbasn1.SEQUENCE) || !s.Empty() {
		return id, errors.New("malformed subject alternative name")
	}
	directory := cbasn1.Tag(4).Constructed().ContextSpecific()
	seen := false
	for !names.Empty() {
		var name cryptobyte.String
		var tag cbasn1.Tag
		if !names.ReadAnyASN1(&name, &tag) {
			return id, errors.New("malformed subject alternative name")
		}
		if tag != directory {
			continue
		}
		if seen {
			return id, errors.New("two directory names in the subject alternative name")
		}
		seen = true
		if err := id.read(name); err != nil {
			return id, err
		}
	}
	if id.manufacturer == "" || id.model == "" || id.version == "" {
		return id, errors.New("the subject alternative name lacks the TPM's manufacturer, model or version")
	}
	if id.manufacturer, err = manufacturerID(id.manufacturer); err != nil {
		return id, err
	}
	return id, nil
}

// read reads a Name: a sequence of sets of attributes.
func (id *identity) read(name cryptobyte.String) error {
	malformed := errors.New("malformed directory name in the subject alternative name")
	var sets cryptobyte.String
	if !name.ReadASN1(&sets, cbasn1.SEQUENCE) || !name.Empty() {
		return malformed
	}
	for !sets.Empty() {
		var set cryptobyte.String
		if !sets.ReadASN1(&set, cbasn1.SET) {
			return malformed
		}
		for !set.Empty() {
			var attribute, value cryptobyte.String
			var oid asn1.ObjectIdentifier
			var tag cbasn1.Tag
			if !set.ReadASN1(&attribute, cbasn1.SEQUENCE) || !attribute.ReadASN1ObjectIdentifier(&oid) ||
				!attribute.ReadAnyASN1(&value, &tag) || !attribute.Empty() {
				return malformed
			}
			if err := id.set(oid, tag, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (id *identity) set(oid asn1.ObjectIdentifier, tag cbasn1.Tag, value []byte) error {
	var field *string
	switch {
	case oid.Equal(asn1.ObjectIdentifier{2, 23, 133, 2, 1}):
		field = &id.manufacturer
	case oid.Equal(asn1.ObjectIdentifier{2, 23, 133, 2, 2}):
		field = &id.model
	case oid.Equal(asn1.ObjectIdentifier{2, 23, 133, 2, 3}):
		field = &id.version
	default:
		return nil
	}
	const utf8String, printableString, ia5String = cbasn1.UTF8String, cbasn1.PrintableString, cbasn1.IA5String
	if *field != "" {
		return fmt.Errorf("the attribute %s stands twice in the subject alternative name", oid)
	}
	if tag != utf8String && tag != printableString && tag != ia5String || !utf8.Valid(value) || len(value) == 0 || len(value) > maxName ||
		strings.ContainsFunc(string(value), func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return fmt.Errorf("the attribute %s in the subject alternative name is not a text of 1 to %d bytes", oid, maxName)
	}
	*field = string(value)
	return nil
}

// manufacturerID reads the form id:494E5443.
func manufacturerID(s string) (string, error) {
	digits, found := strings.CutPrefix(s, "id:")
	b, err := hex.DecodeString(digits)
	if !found || err != nil || len(b) != 4 {
		return "", fmt.Errorf("the manufacturer %q is not a TCG vendor id", s)
	}
	return vendorName([4]byte(b)), nil
}

// emulator tells whether a certificate says itself that its TPM is a program.
func (id identity) emulator() bool {
	model := strings.ToLower(strings.Join(strings.Fields(id.model), " "))
	return slices.ContainsFunc([]string{"swtpm", "libtpms", "sw tpm", "xcg ftpm", "simulator", "tpm simulator", "virtual tpm simulator"}, func(known string) bool {
		return model == known
	})
}

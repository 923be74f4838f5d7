package attest_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/speciecash/specie/attest"
)

// manufacturer is how this package writes a vendor id of eight hex digits.
func manufacturer(t testing.TB, digits string) string {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	if b[0] < ' ' {
		return strings.ToUpper(digits)
	}
	return strings.TrimRight(string(b), "\x00 ")
}

// named is an endorsement key certificate with that alternative name.
func named(t testing.TB, root *authority, key any, san []byte) [][]byte {
	t.Helper()
	return [][]byte{root.endorse(t, key, func(c *x509.Certificate) { c.ExtraExtensions[0].Value = san })}
}

func directory(t testing.TB, names pkix.RDNSequence) asn1.RawValue {
	t.Helper()
	b, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: b}
}

func attribute(last int, value any) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 23, 133, 2, last}, Value: value}
}

func TestTheTPMsNameIsReadHoweverItIsWritten(t *testing.T) {
	root := newAuthority(t, "root", nil)
	key := ecKey(t)
	maker, kind, version := attribute(1, "id:54455354"), attribute(2, "SLB 9670 TPM2.0"), attribute(3, "id:0755")
	email := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, Bytes: []byte("tpm@example.com")}
	serialNumber := pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 5}, Value: "17"}
	for name, san := range map[string][]byte{
		"one by one":                       generalNames(t, directory(t, pkix.RDNSequence{{maker}, {kind}, {version}})),
		"all at once, as Nuvoton does":     generalNames(t, directory(t, pkix.RDNSequence{{maker, kind, version}})),
		"the other way round":              generalNames(t, directory(t, pkix.RDNSequence{{version}, {kind}, {maker}})),
		"with small digits":                generalNames(t, directory(t, pkix.RDNSequence{{attribute(1, "id:54455354")}, {kind}, {version}})),
		"beside names of other kinds":      generalNames(t, email, directory(t, pkix.RDNSequence{{maker}, {kind}, {version}})),
		"beside attributes of other kinds": generalNames(t, directory(t, pkix.RDNSequence{{maker}, {kind}, {version}, {serialNumber}})),
		"in strings of another kind":       generalNames(t, directory(t, pkix.RDNSequence{{attribute(1, asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte("id:54455354")})}, {attribute(2, asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte("SLB 9670 TPM2.0")})}, {version}})),
	} {
		ek, err := attest.VerifyEK(named(t, root, key, san), ecPublic(t, key), rootsOf(t, root.pem()), hardware())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if ek.Manufacturer != "TEST" || ek.Model != "SLB 9670 TPM2.0" || ek.Version != "id:0755" {
			t.Errorf("%s: got %+v", name, ek)
		}
	}
}

func TestACertificateThatDoesNotNameTheTPMIsRefused(t *testing.T) {
	root := newAuthority(t, "root", nil)
	key := ecKey(t)
	maker, kind, version := attribute(1, "id:54455354"), attribute(2, "Probe"), attribute(3, "id:0755")
	whole := directory(t, pkix.RDNSequence{{maker}, {kind}, {version}})
	utf8 := func(s string) asn1.RawValue { return asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(s)} }
	for name, san := range map[string][]byte{
		"no manufacturer":                  model(t, "", "Probe", "id:0755"),
		"no model":                         model(t, "id:54455354", "", "id:0755"),
		"no version":                       model(t, "id:54455354", "Probe", ""),
		"an empty model, as VMware writes": generalNames(t, directory(t, pkix.RDNSequence{{maker}, {attribute(2, utf8(""))}, {version}})),
		"no names":                         generalNames(t),
		"two directory names":              generalNames(t, whole, whole),
		"a directory name beside it":       generalNames(t, whole, directory(t, pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 5}, Value: "17"}}})),
		"an empty model and another":       generalNames(t, directory(t, pkix.RDNSequence{{maker}, {attribute(2, utf8(""))}, {kind}, {version}})),
		"a manufacturer in digits alone":   model(t, "54455354", "Probe", "id:0755"),
		"two models":                       generalNames(t, directory(t, pkix.RDNSequence{{maker}, {kind}, {kind}, {version}})),
		"a manufacturer in plain text":     model(t, "TEST", "Probe", "id:0755"),
		"a manufacturer of three bytes":    model(t, "id:544553", "Probe", "id:0755"),
		"a manufacturer of other digits":   model(t, "id:5445535G", "Probe", "id:0755"),
		"a number for a model":             generalNames(t, directory(t, pkix.RDNSequence{{maker}, {attribute(2, 17)}, {version}})),
		"a model of two lines":             generalNames(t, directory(t, pkix.RDNSequence{{maker}, {attribute(2, utf8("Pro\nbe"))}, {version}})),
		"a model that is no text":          generalNames(t, directory(t, pkix.RDNSequence{{maker}, {attribute(2, utf8("Pro\xff"))}, {version}})),
		"a model without end":              model(t, "id:54455354", strings.Repeat("x", 129), "id:0755"),
		"a directory name cut short":       generalNames(t, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: whole.Bytes[:len(whole.Bytes)-1]}),
		"something after it":               append(generalNames(t, whole), 5, 0),
	} {
		_, err := attest.VerifyEK(named(t, root, key, san), ecPublic(t, key), rootsOf(t, root.pem()), hardware())
		if !errors.Is(err, attest.ErrEKProfile) && !errors.Is(err, attest.ErrChain) {
			t.Errorf("%s: got %v, want ErrEKProfile, or ErrChain where Go's parser sees it", name, err)
		}
	}
	bare := root.endorse(t, key, func(c *x509.Certificate) { c.ExtraExtensions = nil })
	if _, err := attest.VerifyEK([][]byte{bare}, ecPublic(t, key), rootsOf(t, root.pem()), hardware()); !errors.Is(err, attest.ErrEKProfile) {
		t.Errorf("no alternative name: got %v, want ErrEKProfile", err)
	}
}

// A root that is listed for one manufacturer can't vouch for another's TPMs: a TPM
// with certificates of two manufacturers would be admitted twice.
func TestACertificateCountsForTheManufacturerOfItsRoot(t *testing.T) {
	one, other := newAuthority(t, "one", nil), newAuthority(t, "other", nil)
	under := newAuthority(t, "under", one)
	key := ecKey(t)
	foreign := func(a *authority) [][]byte { return named(t, a, key, model(t, "id:49465800", "Probe", "id:0755")) }
	if _, err := attest.VerifyEK(foreign(one), ecPublic(t, key), rootsOf(t, one.pem()), hardware()); !errors.Is(err, attest.ErrChain) {
		t.Errorf("another manufacturer's name: got %v, want ErrChain", err)
	}
	// The last certificate of three becomes IFX's.
	swap := func(manifest string) string {
		i := strings.LastIndex(manifest, "manufacturer: TEST")
		manifest = manifest[:i] + "manufacturer: IFX" + manifest[i+len("manufacturer: TEST"):]
		return strings.Replace(manifest, "certificates:", "  IFX: {ek: rsa2048}\ncertificates:", 1)
	}
	roots := rootsWith(t, swap, one.pem(), other.pem())
	if _, err := attest.VerifyEK([][]byte{one.endorse(t, key, nil)}, ecPublic(t, key), roots, hardware()); err != nil {
		t.Errorf("under the root of its own: %v", err)
	}
	if _, err := attest.VerifyEK([][]byte{other.endorse(t, key, nil)}, ecPublic(t, key), roots, hardware()); !errors.Is(err, attest.ErrChain) {
		t.Errorf("under another's root: got %v, want ErrChain", err)
	}
	if _, err := attest.VerifyEK(foreign(other), ecPublic(t, key), roots, hardware()); !errors.Is(err, attest.ErrEKKind) {
		t.Errorf("where another kind is taken: got %v, want ErrEKKind", err)
	}
	swapUnder := func(manifest string) string {
		manifest = swap(manifest)
		return strings.Replace(manifest, "  - file", "  - {file: extra.pem, sha256: "+hexOf(other.cert.Raw)+", manufacturer: IFX, root: true}\n  - file", 1)
	}
	files := map[string][]byte{"all.pem": append(one.pem(), under.pem()...), "extra.pem": other.pem()}
	manifest := swapUnder(string(manifestOf(t, "p256", map[string][]byte{"all.pem": files["all.pem"]})))
	mixed, err := attest.ParseRoots([]byte(manifest), files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attest.VerifyEK([][]byte{under.endorse(t, key, nil)}, ecPublic(t, key), mixed, hardware()); !errors.Is(err, attest.ErrChain) {
		t.Errorf("through another's intermediate: got %v, want ErrChain", err)
	}
}

func TestAnEmulatedTPMIsRefusedUnlessAskedFor(t *testing.T) {
	root := newAuthority(t, "root", nil)
	key := ecKey(t)
	software := func(m string) string { return strings.Replace(m, "root: true", "root: true\n    software: true", 1) }
	for name, c := range map[string]struct {
		edit     func(string) string
		model    string
		software bool
	}{
		"a TPM":                          {strings.Clone, "Probe", false},
		"a root marked as software":      {software, "Probe", true},
		"swtpm under a root that is not": {strings.Clone, "swtpm", true},
		"SWTPM in capitals":              {strings.Clone, "SWTPM", true},
		"IBM's":                          {strings.Clone, "SW   TPM", true},
		"Microsoft's":                    {strings.Clone, "xCG fTPM", true},
		"a model that only begins so":    {strings.Clone, "swtpmx", false},
	} {
		roots := rootsWith(t, c.edit, root.pem())
		chain := named(t, root, key, model(t, "id:54455354", c.model, "id:0755"))
		ek, err := attest.VerifyEK(chain, ecPublic(t, key), roots, anyTPM(noon()))
		if err != nil || ek.Software != c.software {
			t.Errorf("%s, asked for: got %+v, %v", name, ek, err)
		}
		_, err = attest.VerifyEK(chain, ecPublic(t, key), roots, hardware())
		if c.software && !errors.Is(err, attest.ErrSoftwareTPM) || !c.software && err != nil {
			t.Errorf("%s, not asked for: got %v", name, err)
		}
	}
}

// A second way to a root that is no software's does not make an emulator a TPM,
// whichever of the two is found first.
func TestASoftwareRootCountsWhereverItStands(t *testing.T) {
	maker, cross := newAuthority(t, "maker", nil), newAuthority(t, "cross", nil)
	key := ecKey(t)
	crossed := cross.issue(t, maker.cert, maker.key.Public())
	chain := [][]byte{maker.endorse(t, key, nil), crossed.Raw}
	for _, software := range []*authority{maker, cross} {
		edit := func(m string) string {
			i := strings.Index(m, hexOf(software.cert.Raw))
			return m[:i] + strings.Replace(m[i:], "root: true", "root: true\n    software: true", 1)
		}
		if _, err := attest.VerifyEK(chain, ecPublic(t, key), rootsWith(t, edit, maker.pem(), cross.pem()), hardware()); !errors.Is(err, attest.ErrSoftwareTPM) {
			t.Errorf("the root %s is software: got %v, want ErrSoftwareTPM", software.cert.Subject, err)
		}
	}
	if _, err := attest.VerifyEK(chain, ecPublic(t, key), rootsOf(t, maker.pem(), cross.pem()), hardware()); err != nil {
		t.Errorf("neither root is software: %v", err)
	}
}

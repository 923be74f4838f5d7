package attest_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/speciecash/specie/attest"
)

// bench is a directory of two manufacturers: a root and an intermediate of TEST,
// and a software root of IFX.
func bench(t testing.TB) (manifest string, files map[string][]byte) {
	t.Helper()
	root := newAuthority(t, "root", nil)
	under, other := newAuthority(t, "under", root), newAuthority(t, "other", nil)
	files = map[string][]byte{"root.pem": root.pem(), "under.der": under.cert.Raw, "other.pem": other.pem()}
	return fmt.Sprintf(`version: 1
manufacturers:
  TEST:
    ek: p256
    firmware:
      allow:
        - {model: "Probe*", from: "id:0100", to: "id:0800"}
      deny:
        - {version: "id:07*"}
  IFX: {ek: rsa2048}
certificates:
  - {file: root.pem, sha256: %s, manufacturer: TEST, root: true}
  - {file: under.der, sha256: %s, manufacturer: TEST}
  - {file: other.pem, sha256: %s, manufacturer: IFX, root: true, software: true}
`, hexOf(root.cert.Raw), hexOf(under.cert.Raw), hexOf(other.cert.Raw)), files
}

func TestAManifestIsRead(t *testing.T) {
	manifest, files := bench(t)
	r, err := attest.ParseRoots([]byte(manifest), files)
	if err != nil {
		t.Fatal(err)
	}
	want := []attest.Manufacturer{
		{ID: "IFX", EK: "rsa2048", Roots: 1, Software: true},
		{ID: "TEST", EK: "p256", Roots: 1, Intermediates: 1, FirmwareRules: 2},
	}
	if got := r.Manufacturers(); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := r.Kinds(); !slices.Equal(got, []string{"rsa2048", "p256"}) {
		t.Errorf("kinds %v", got)
	}
	if !r.HasSoftware() {
		t.Error("the software root is not seen")
	}
}

// change replaces the first occurrence.
func change(t testing.TB, manifest, from, to string) string {
	t.Helper()
	if !strings.Contains(manifest, from) {
		t.Fatalf("no %q in the manifest", from)
	}
	return strings.Replace(manifest, from, to, 1)
}

func TestAManifestThatSaysSomethingElseIsRefused(t *testing.T) {
	manifest, files := bench(t)
	for name, c := range map[string]struct{ from, to, names string }{
		"of another version":                     {"version: 1", "version: 2", "version 2"},
		"of no version":                          {"version: 1\n", "", "version 0"},
		"with an unknown field":                  {"version: 1", "version: 1\nurl: https://x", "url"},
		"with an unknown field of a certificate": {"root: true}", "root: true, trusted: true}", "trusted"},
		"with a field twice":                     {"version: 1", "version: 1\nversion: 1", "version"},
		"with a manufacturer twice":              {"  IFX:", "  TEST: {ek: p256}\n  IFX:", "TEST"},
		"with a manufacturer's long name":        {"  IFX:", "  Infineon:", "Infineon"},
		"with an id that has a text, in digits":  {"  IFX:", `  "49465800":`, "49465800"},
		"with an unknown kind of key":            {"ek: p256", "ek: p521", "p521"},
		"with no kind of key":                    {"IFX: {ek: rsa2048}", "IFX: {}", "IFX"},
		"with a manufacturer without a root":     {"  IFX:", "  AMD: {ek: rsa2048}\n  IFX:", "AMD"},
		"with a certificate of nobody":           {"manufacturer: IFX", "manufacturer: AMD", "AMD"},
		"with another digest":                    {"{file: root.pem, sha256: ", "{file: root.pem, sha256: 00", "root.pem"},
		"with a digest that differs":             {hexOf(files["under.der"]), strings.Repeat("0a", 32), "under.der"},
		"with a digest in another file":          {"file: root.pem", "file: root2.pem", "root"},
		"with a file elsewhere":                  {"file: root.pem", "file: ../root.pem", "../root.pem"},
		"with a hidden file":                     {"file: root.pem", "file: .root.pem", ".root.pem"},
		"with itself":                            {"file: root.pem", "file: manifest.yaml", "manifest.yaml"},
		"with a certificate twice":               {"certificates:", "certificates:\n  - {file: under.der, sha256: " + hexOf(files["under.der"]) + ", manufacturer: TEST}", "twice"},
		"with software that is no root":          {"manufacturer: TEST}", "manufacturer: TEST, software: true}", "software"},
		"with a rule that says nothing":          {`{version: "id:07*"}`, "{}", "says nothing"},
		"with a star in the middle":              {`"Probe*"`, `"Pr*be"`, "Pr*be"},
		"with a version and bounds":              {`{version: "id:07*"}`, `{version: "id:07*", from: "id:01"}`, "from and to"},
		"with a bound that is no number":         {`from: "id:0100"`, `from: "7.62"`, "7.62"},
		"with bounds the wrong way round":        {`from: "id:0100"`, `from: "id:0900"`, "id:0900"},
		"with a model without end":               {`"Probe*"`, `"` + strings.Repeat("x", 129) + `"`, "too long"},
		"that is a list":                         {"version: 1", "- 1", ""},
		"without certificates":                   {manifest[strings.Index(manifest, "certificates:"):], "", "root"},
	} {
		if _, err := attest.ParseRoots([]byte(change(t, manifest, c.from, c.to)), files); !errors.Is(err, attest.ErrRoots) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: got %v, want ErrRoots naming %q", name, err, c.names)
		}
	}
	for name, text := range map[string]string{
		"nothing":    "",
		"too much":   manifest + strings.Repeat("#", 300<<10),
		"no roots":   "version: 1\n",
		"two papers": manifest + "---\n" + manifest,
	} {
		if _, err := attest.ParseRoots([]byte(text), files); !errors.Is(err, attest.ErrRoots) {
			t.Errorf("%s: got %v, want ErrRoots", name, err)
		}
	}
}

func TestACertificateThatIsNoAuthorityIsRefused(t *testing.T) {
	manifest, files := bench(t)
	root := newAuthority(t, "another root", nil)
	noSigner := root.issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(3), NotBefore: root.cert.NotBefore, NotAfter: root.cert.NotAfter,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign,
	}, ecKey(t))
	for name, c := range map[string]struct {
		der []byte
		why string
	}{
		"an endorsement key's":           {root.endorse(t, ecKey(t), nil), "not a certificate authority"},
		"one that signs no certificates": {noSigner.Raw, "not a certificate authority"},
		"self-signed, and no root":       {root.cert.Raw, "self-signed"},
		"an authority with a short key":  {weakAuthority(t).cert.Raw, "less than 2048 bits"},
	} {
		changed := change(t, manifest, hexOf(files["under.der"]), hexOf(c.der))
		with := map[string][]byte{"root.pem": files["root.pem"], "other.pem": files["other.pem"], "under.der": c.der}
		_, err := attest.ParseRoots([]byte(changed), with)
		if !errors.Is(err, attest.ErrRoots) || !strings.Contains(err.Error(), "under.der") || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: got %v, want ErrRoots naming its file and saying %q", name, err, c.why)
		}
	}
}

func TestEveryStatementChangesTheDigest(t *testing.T) {
	manifest, files := bench(t)
	digest := func(text string) [32]byte {
		t.Helper()
		r, err := attest.ParseRoots([]byte(text), files)
		if err != nil {
			t.Fatal(err)
		}
		return r.Digest()
	}
	seen := map[[32]byte]string{digest(manifest): "nothing"}
	for name, c := range map[string][2]string{
		"a kind of key":                  {"ek: p256", "ek: p384"},
		"which of two has which":         {"ek: rsa2048", "ek: p256"},
		"a root made an intermediate's":  {"manufacturer: TEST}", "manufacturer: TEST, root: true}"},
		"an intermediate's manufacturer": {"manufacturer: TEST}", "manufacturer: IFX}"},
		"software made hardware":         {", software: true", ""},
		"hardware made software":         {"manufacturer: TEST, root: true", "manufacturer: TEST, root: true, software: true"},
		"a model":                        {`"Probe*"`, `"Prob*"`},
		"a bound":                        {`from: "id:0100"`, `from: "id:0101"`},
		"another bound":                  {`to: "id:0800"`, `to: "id:0801"`},
		"a version":                      {`"id:07*"`, `"id:08*"`},
		"a rule moved":                   {"      deny:\n", ""},
		"a rule less":                    {"      deny:\n        - {version: \"id:07*\"}\n", ""},
	} {
		d := digest(change(t, manifest, c[0], c[1]))
		if other, twice := seen[d]; twice {
			t.Errorf("%s: the same digest as with %s", name, other)
		}
		seen[d] = name
	}
	for name, text := range map[string]string{
		"a comment":            "# reviewed by two\n" + manifest,
		"another form":         change(t, manifest, "IFX: {ek: rsa2048}", "\"IFX\":\n    ek: 'rsa2048'"),
		"a rule twice":         change(t, manifest, "      deny:\n", "      deny:\n        - {version: \"id:07*\"}\n"),
		"a default written":    change(t, manifest, "manufacturer: TEST}", "manufacturer: TEST, software: false}"),
		"a digest in capitals": change(t, manifest, hexOf(files["under.der"]), strings.ToUpper(hexOf(files["under.der"]))),
	} {
		if d := digest(text); seen[d] != "nothing" {
			t.Errorf("%s changes the digest", name)
		}
	}
}

func TestFirmwareIsAllowedOrDenied(t *testing.T) {
	root := newAuthority(t, "root", nil)
	key := ecKey(t)
	for name, c := range map[string]struct {
		rules, model, version string
		taken                 bool
	}{
		"no rules":                          {"", "Probe", "id:0755", true},
		"a version denied":                  {`deny: [{version: "id:0755"}]`, "Probe", "id:0755", false},
		"another version denied":            {`deny: [{version: "id:0756"}]`, "Probe", "id:0755", true},
		"a beginning denied":                {`deny: [{version: "id:07*"}]`, "Probe", "id:0755", false},
		"a model denied":                    {`deny: [{model: "Probe"}]`, "Probe", "id:0755", false},
		"a model's version denied":          {`deny: [{model: "Probe", version: "id:0755"}]`, "Probe", "id:0755", false},
		"another model's version denied":    {`deny: [{model: "Prob", version: "id:0755"}]`, "Probe", "id:0755", true},
		"within what is denied":             {`deny: [{from: "id:0700", to: "id:0755"}]`, "Probe", "id:0755", false},
		"at the lower bound":                {`deny: [{from: "id:0755"}]`, "Probe", "id:0755", false},
		"above what is denied":              {`deny: [{to: "id:0754"}]`, "Probe", "id:0755", true},
		"below what is denied":              {`deny: [{from: "id:0756"}]`, "Probe", "id:0755", true},
		"numbers, not letters":              {`deny: [{to: "id:0754"}]`, "Probe", "id:00000A00", true},
		"no number, where some are denied":  {`deny: [{to: "id:0001"}]`, "Probe", "7.62", false},
		"a number without end":              {`deny: [{to: "id:0001"}]`, "Probe", "id:" + strings.Repeat("f", 17), false},
		"a model allowed":                   {`allow: [{model: "Probe"}]`, "Probe", "id:0755", true},
		"one of two allowed":                {`allow: [{model: "X"}, {model: "Pro*"}]`, "Probe", "id:0755", true},
		"no model allowed":                  {`allow: [{model: "X"}]`, "Probe", "id:0755", false},
		"a version allowed":                 {`allow: [{from: "id:0700", to: "id:07ff"}]`, "Probe", "id:0755", true},
		"no number, where some are allowed": {`allow: [{from: "id:0000"}]`, "Probe", "7.62", false},
		"allowed and denied":                {`{allow: [{model: "Probe"}], deny: [{version: "id:0755"}]}`, "Probe", "id:0755", false},
	} {
		edit := func(m string) string {
			if c.rules == "" {
				return m
			}
			rules := c.rules
			if !strings.HasPrefix(rules, "{") {
				rules = "{" + rules + "}"
			}
			return strings.Replace(m, "ek: p256", "ek: p256\n    firmware: "+rules, 1)
		}
		chain := named(t, root, key, model(t, "id:54455354", c.model, c.version))
		_, err := attest.VerifyEK(chain, ecPublic(t, key), rootsWith(t, edit, root.pem()), hardware())
		if c.taken && err != nil || !c.taken && !errors.Is(err, attest.ErrFirmware) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestADirectoryHoldsWhatItsManifestLists(t *testing.T) {
	manifest, files := bench(t)
	for name, c := range map[string]struct {
		do    func(dir string) error
		names string
	}{
		"a certificate removed": {func(dir string) error { return os.Remove(filepath.Join(dir, "under.der")) }, "under.der"},
		"a file more":           {func(dir string) error { return os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("x"), 0o600) }, "notes.txt"},
		"a certificate more": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "new.pem"), newAuthority(t, "new", nil).pem(), 0o600)
		}, "new.pem"},
		"a file renamed":     {func(dir string) error { return os.Rename(filepath.Join(dir, "root.pem"), filepath.Join(dir, "r.pem")) }, "r.pem"},
		"a directory within": {func(dir string) error { return os.Mkdir(filepath.Join(dir, "more"), 0o700) }, "more"},
		"a file without end": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "root.pem"), make([]byte, 2<<20), 0o600)
		}, "root.pem"},
		"no manifest": {func(dir string) error { return os.Remove(filepath.Join(dir, attest.Manifest)) }, attest.Manifest},
		"many files": {func(dir string) error {
			for i := range 2100 {
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
					return err
				}
			}
			return nil
		}, "2048"},
		"much in all": {func(dir string) error {
			for i := range 40 {
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("f", i)), make([]byte, 250<<10), 0o600); err != nil {
					return err
				}
			}
			return nil
		}, "bytes"},
	} {
		dir := t.TempDir()
		for file, data := range files {
			write(t, dir, file, data)
		}
		write(t, dir, attest.Manifest, []byte(manifest))
		if _, err := attest.LoadRoots(dir, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.do(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := attest.LoadRoots(dir, nil); !errors.Is(err, attest.ErrRoots) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: got %v, want ErrRoots naming %q", name, err, c.names)
		}
	}
}

// The manifest that docs/ek-roots.md shows is one, with certificates of one's own.
func TestTheManifestInTheDocs(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "ek-roots.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(page), "\n```yaml\n")
	text, _, closed := strings.Cut(text, "\n```")
	if !found || !closed {
		t.Fatal("no manifest in the page")
	}
	root := newAuthority(t, "root", nil)
	files := map[string][]byte{
		"OptigaRsaRootCA.crt": root.cert.Raw, "OptigaRsaMfrCA007.crt": newAuthority(t, "007", root).pem(), "stmtpmekroot.crt": newAuthority(t, "st", nil).pem(),
	}
	for name, data := range files {
		block, _ := pem.Decode(data)
		if block != nil {
			data = block.Bytes
		}
		before, after, _ := strings.Cut(text, "file: "+name+"\n    sha256: ")
		text = before + "file: " + name + "\n    sha256: " + hexOf(data) + after[64:]
	}
	r, err := attest.ParseRoots([]byte(text), files)
	if err != nil {
		t.Fatal(err)
	}
	want := []attest.Manufacturer{{ID: "IFX", EK: "rsa2048", Roots: 1, Intermediates: 1, FirmwareRules: 2}, {ID: "STM", EK: "rsa2048", Roots: 1, FirmwareRules: 1}}
	if got := r.Manufacturers(); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestADraftIsForReview(t *testing.T) {
	root := newAuthority(t, "Infineon OPTIGA(TM) RSA Root CA\nversion: 2", nil)
	under := newAuthority(t, "Infineon OPTIGA(TM) RSA Manufacturing CA 007", root)
	stranger := newAuthority(t, "somebody", nil)
	dir := t.TempDir()
	write(t, dir, "ifx root.crt", root.cert.Raw)
	write(t, dir, "ifx.pem", under.pem())
	write(t, dir, "swtpm.pem", fixture(t, "roots.pem"))
	if err := attest.WriteManifest(dir); err != nil {
		t.Fatal(err)
	}
	r, err := attest.LoadRoots(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []attest.Manufacturer{
		{ID: "00001014", EK: "rsa2048", Roots: 1, Intermediates: 1, Software: true},
		{ID: "IFX", EK: "rsa2048", Roots: 1, Intermediates: 1},
	}
	if got := r.Manufacturers(); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if doubts := r.Doubts(); len(doubts) != 0 {
		t.Errorf("doubts of a draft: %q", doubts)
	}
	text, err := os.ReadFile(filepath.Join(dir, attest.Manifest))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, attest.Manifest, bytes.ReplaceAll(text, []byte("00001014"), []byte("IBM")))
	if r, err = attest.LoadRoots(dir, nil); err != nil {
		t.Fatal(err)
	}
	if doubts := r.Doubts(); len(doubts) != 1 || !strings.HasPrefix(doubts[0], "swtpm.pem is listed for IBM and looks like a root of 00001014;") {
		t.Errorf("doubts of swtpm's root under IBM: %q", doubts)
	}
	if err := attest.WriteManifest(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second time: got %v, want fs.ErrExist", err)
	}

	files := map[string][]byte{"s.pem": stranger.pem()}
	draft, err := attest.DraftManifest(files)
	if err != nil || !bytes.Contains(draft, []byte(`"?"`)) {
		t.Fatalf("%s, %v", draft, err)
	}
	if _, err := attest.ParseRoots(draft, files); !errors.Is(err, attest.ErrRoots) {
		t.Errorf("a draft with a question: got %v, want ErrRoots", err)
	}
	for name, files := range map[string]map[string][]byte{"nothing": nil, "a file that is no certificate": {"x": []byte("x")}} {
		if _, err := attest.DraftManifest(files); !errors.Is(err, attest.ErrRoots) {
			t.Errorf("%s: got %v, want ErrRoots", name, err)
		}
	}
	if _, err := attest.BuildManifest(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is not there: got %v, want fs.ErrNotExist", err)
	}
}

func FuzzParseRoots(f *testing.F) {
	manifest, files := bench(f)
	f.Add([]byte(manifest), files["root.pem"])
	f.Add([]byte(manifest), files["under.der"])
	f.Add([]byte("version: 1\nmanufacturers: &a {TEST: {ek: p256}}\ncertificates: []\n"), []byte{})
	f.Add([]byte("a: &a [x,x]\nb: [*a,*a]\n"), []byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, manifest, root []byte) {
		with := map[string][]byte{"root.pem": root, "under.der": files["under.der"], "other.pem": files["other.pem"]}
		r, err := attest.ParseRoots(manifest, with)
		if err != nil {
			if !errors.Is(err, attest.ErrRoots) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		if again, err := attest.ParseRoots(manifest, with); err != nil || again.Digest() != r.Digest() {
			t.Fatalf("another digest the second time: %v", err)
		}
		if len(r.Kinds()) == 0 || len(r.Manufacturers()) == 0 {
			t.Fatal("accepted without a manufacturer")
		}
		if _, err := attest.DraftManifest(with); err != nil {
			t.Fatalf("accepted what can't be drafted: %v", err)
		}
	})
}

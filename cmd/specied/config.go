package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/speciecash/specie/trust"
)

// maxFile bounds every file that a configuration names, in bytes.
const maxFile = 8 << 20

var errConfig = errors.New("configuration")

// tokenConfig names a token by its PKCS#11 URI, which also says where the
// module and the PIN are.
type tokenConfig struct {
	URI      string   `yaml:"uri"`
	Sessions int      `yaml:"sessions"`
	Absent   []string `yaml:"absent"`
}

// keysConfig says where a daemon's private keys are: behind a signer's
// socket, or on a token that this process opens itself. Exactly one is given.
type keysConfig struct {
	Signer string `yaml:"signer"`
	// SignerUser is the user whose process serves that socket, by name or
	// number; if empty, this process's own or root.
	SignerUser string       `yaml:"signer_user"`
	HSM        *tokenConfig `yaml:"hsm"`
}

// issuerConfig is issuer.yaml. Relative paths are taken from its directory.
type issuerConfig struct {
	Root         string      `yaml:"root"`
	Keyset       string      `yaml:"keyset"`
	SigningChain string      `yaml:"signing_chain"`
	Keys         keysConfig  `yaml:",inline"`
	Store        storeConfig `yaml:",inline"`
	Listen       string      `yaml:"listen"`
	AdminSocket  string      `yaml:"admin_socket"`
	// Metrics is an address for the operator's monitoring alone: it shows what
	// is redeemed under each key. The admin socket serves the same.
	Metrics string        `yaml:"metrics"`
	Groups  []groupSource `yaml:"groups"`
	// AdminTLS is the back office for staff on other machines; none without it.
	AdminTLS *adminTLSConfig `yaml:"admin_tls"`
	Limits   limitsConfig    `yaml:"limits"`
	Rate     rateConfig      `yaml:"rate"`
}

// groupSource is a group manager whose members' coins the bank takes back.
type groupSource struct {
	ID  string `yaml:"id"`
	URL string `yaml:"url"`
	// Expelled is a directory of tracing tokens that supervisors released on a
	// warrant to expel a member; his coins are not taken until the warrant ends.
	Expelled string `yaml:"expelled"`
}

// rootsConfig names the directory of manufacturers' roots. ManifestSHA256 pins
// what its manifest says, in hex ("specied ek-roots DIR" prints it); without it
// the directory may be changed while the daemon runs.
type rootsConfig struct {
	Dir            string `yaml:"dir"`
	ManifestSHA256 string `yaml:"manifest_sha256"`
}

// groupConfig is group.yaml. The files under ek_roots, leaked and platform are
// looked at again when they change, and on SIGHUP.
type groupConfig struct {
	ID          string      `yaml:"id"`
	Root        string      `yaml:"root"`
	Chain       string      `yaml:"chain"`
	SealKey     string      `yaml:"seal_key"`
	Sealed      string      `yaml:"sealed"`
	Supervision []string    `yaml:"supervision"`
	EKRoots     rootsConfig `yaml:"ek_roots"`
	Keys        keysConfig  `yaml:",inline"`
	Database    string      `yaml:"database"`
	Listen      string      `yaml:"listen"`
	AdminSocket string      `yaml:"admin_socket"`
	Epoch       epochConfig `yaml:"epoch"`
	// Metrics is an address for the operator's monitoring alone: it shows how
	// many members there are. The admin socket serves the same.
	Metrics string `yaml:"metrics"`
	// LastDocument is where the document that was published last is kept, apart
	// from the database; beside it if empty, with the ending .last-document.jws.
	LastDocument string `yaml:"last_document"`
	// Leaked is a file of scalars of broken TPMs, 64 hex digits a line; none if
	// empty.
	Leaked string `yaml:"leaked"`
	// Platform is a file with the rule about members' machines; none if empty.
	Platform string `yaml:"platform"`
	// InsecureSoftwareTPM takes emulated TPMs too: never for real money.
	InsecureSoftwareTPM bool `yaml:"insecure_software_tpm"`
}

// signerConfig is signer.yaml.
type signerConfig struct {
	Tokens []tokenConfig `yaml:"tokens"`
	Socket string        `yaml:"socket"`
	// Group may open the socket besides the signer's own user; by name or
	// number. Without it nobody else may.
	Group string `yaml:"group"`
	// Allow lists the users whose processes are served besides the signer's
	// own, by name or number.
	Allow []string `yaml:"allow"`
	// Metrics is a TCP address for /livez, /readyz and /metrics; none if
	// empty.
	Metrics string `yaml:"metrics"`
}

// epochConfig numbers the epochs from Start, which is epoch 1.
type epochConfig struct {
	Start  time.Time     `yaml:"start"`
	Length time.Duration `yaml:"length"`
}

// loadYAML reads a strict configuration: an unknown field is an error.
func loadYAML(path string, into any) (base, error) {
	b, err := readFile(path)
	if err != nil {
		return "", err
	}
	if err := yaml.Load(b, into, yaml.WithKnownFields()); err != nil {
		return "", fmt.Errorf("%w: %s: %s", errConfig, path, plainYAML(err))
	}
	return base(filepath.Dir(path)), nil
}

// plainYAML says what is wrong with a configuration by line and key, without the
// names of the library and of this program's types.
func plainYAML(err error) string {
	place := regexp.MustCompile(`^go-yaml load error in .*? at L([0-9]+)\.\S*: (.*)$`)
	unknown := regexp.MustCompile(`field (\S+) not found in type \S*\w`)
	text := strings.Join(strings.Fields(err.Error()), " ")
	text = strings.TrimPrefix(text, "yaml: construct errors: ")
	if m := place.FindStringSubmatch(text); m != nil {
		text = "line " + m[1] + ": " + m[2]
	}
	return unknown.ReplaceAllString(text, `"$1" is no key here`)
}

// base is the directory that relative paths are taken from.
type base string

func (b base) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(string(b), p)
}

func (b base) read(p string) ([]byte, error) {
	if p == "" {
		return nil, fmt.Errorf("%w: a file is missing", errConfig)
	}
	return readFile(b.path(p))
}

func readFile(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if fi.Size() > maxFile {
		return nil, fmt.Errorf("%w: %s: %d bytes", errConfig, path, fi.Size())
	}
	return os.ReadFile(path)
}

func (b base) root(p string) (*trust.Root, error) {
	raw, err := b.read(p)
	if err != nil {
		return nil, err
	}
	return trust.ParseRoot(raw)
}

// chain reads a file of PEM certificates, leaf first.
func (b base) chain(p string) ([]*x509.Certificate, error) {
	raw, err := b.read(p)
	if err != nil {
		return nil, err
	}
	chain, err := parseChain(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	return chain, nil
}

// parseChain reads PEM certificates, leaf first.
func parseChain(raw []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, raw = pem.Decode(raw); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errConfig, err)
		}
		out = append(out, cert)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: no certificate in it", errConfig)
	}
	return out, nil
}

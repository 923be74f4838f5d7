package officer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// Files in an officer's directory.
const (
	KeyFile         = "officer.key"     // both private keys; secret
	RequestFile     = "request.csr"     // certificate request, PEM
	CertificateFile = "certificate.pem" // what the root answered
	CardFile        = "card.jws"        // what other officers need to deal to him
)

// ShareFile is the name of the officer's encrypted share for one group.
func ShareFile(group string) string { return "share-" + group + ".age" }

const (
	maxKeyFile    = 8 << 10
	maxPEM        = 16 << 10
	maxPassphrase = 1 << 10
	ageMagic      = "age-encryption.org/"
)

// Passphrase encrypts a key file. It doesn't print.
type Passphrase struct{ text string }

// ReadPassphrase reads a passphrase from a file that only its owner may read;
// the line end is not part of it. Errors: ErrPassphrase if it is empty,
// paper.ErrExposed.
func ReadPassphrase(path string) (Passphrase, error) {
	b, err := paper.ReadSecret(path, maxPassphrase)
	if err != nil {
		return Passphrase{}, err
	}
	p, err := NewPassphrase(bytes.TrimRight(b, "\r\n"))
	if err != nil {
		return Passphrase{}, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// NewPassphrase takes a passphrase that was typed in. Error: ErrPassphrase if
// it is empty.
func NewPassphrase(text []byte) (Passphrase, error) {
	if len(text) == 0 {
		return Passphrase{}, fmt.Errorf("%w: it is empty", ErrPassphrase)
	}
	return Passphrase{text: string(text)}, nil
}

// Format prints [redacted] whatever the verb.
func (Passphrase) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[redacted]") }

// Officer is one supervisor with his private keys at hand.
type Officer struct {
	ID       string
	dir      string
	signer   *ecdsa.PrivateKey
	identity *age.X25519Identity
}

// Format prints who it is and no key, whatever the verb.
func (o *Officer) Format(f fmt.State, _ rune) { fmt.Fprint(f, "officer "+o.ID) }

type keyJSON struct {
	Version  int          `json:"v"`
	ID       string       `json:"id"`
	Signing  paper.Base64 `json:"signing_key"` // PKCS #8 DER
	Identity string       `json:"identity"`    // age X25519 identity
}

// Create makes an officer's keys in dir, which is created with mode 0700 if
// it is missing: KeyFile, encrypted if a passphrase is given, and the
// RequestFile for the root. X25519 and not age's hybrid keys: what the shares
// protect lies on a curve that a quantum computer would break anyway, and the
// recipient stays short enough to read aloud.
func Create(dir, id string, pass *Passphrase) (*Officer, error) {
	name := trust.Name{Role: trust.RoleSupervisor, ID: id}
	if err := name.Check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	keyPath, requestPath := filepath.Join(dir, KeyFile), filepath.Join(dir, RequestFile)
	if err := paper.Free(keyPath, requestPath); err != nil {
		return nil, err
	}
	o := &Officer{ID: id, dir: dir}
	var err error
	if o.signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, fmt.Errorf("officer: signing key: %w", err)
	}
	if o.identity, err = age.GenerateX25519Identity(); err != nil {
		return nil, fmt.Errorf("officer: age identity: %w", err)
	}
	sealed, err := o.seal(pass)
	if err != nil {
		return nil, err
	}
	request, err := o.request(name)
	if err != nil {
		return nil, err
	}
	if err := paper.Write(keyPath, sealed, paper.Secret); err != nil {
		return nil, err
	}
	return o, paper.Write(requestPath, request, paper.Public)
}

// seal encodes the private keys, encrypted if there is a passphrase.
func (o *Officer) seal(pass *Passphrase) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(o.signer)
	if err != nil {
		return nil, fmt.Errorf("officer: signing key: %w", err)
	}
	plain, err := json.Marshal(keyJSON{Version: 1, ID: o.ID, Signing: der, Identity: o.identity.String()})
	if err != nil {
		return nil, fmt.Errorf("officer: key file: %w", err)
	}
	if pass == nil {
		return append(plain, '\n'), nil
	}
	recipient, err := age.NewScryptRecipient(pass.text)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrPassphrase, err)
	}
	return encrypt(plain, recipient)
}

// request makes the certificate request: the officer's name as its only
// subject alternative name, signed with the key to be certified.
func (o *Officer) request(name trust.Name) ([]byte, error) {
	uri, err := url.Parse(name.URN())
	if err != nil {
		return nil, fmt.Errorf("officer: request: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "Specie supervisor " + o.ID},
		URIs:    []*url.URL{uri},
	}, o.signer)
	if err != nil {
		return nil, fmt.Errorf("officer: request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// Open reads an officer's keys. pass is nil for a key file that is not
// encrypted. Errors: ErrPassphrase, ErrMalformed, paper.ErrExposed.
func Open(dir string, pass *Passphrase) (*Officer, error) {
	path := filepath.Join(dir, KeyFile)
	b, err := paper.ReadSecret(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(b, []byte(ageMagic)) {
		if b, err = unlock(b, pass); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	var j keyJSON
	if err := strictjson.Unmarshal(b, maxKeyFile, &j); err != nil || j.Version != 1 {
		return nil, fmt.Errorf("%s: %w: not an officer's key file", path, ErrMalformed)
	}
	key, err := x509.ParsePKCS8PrivateKey(j.Signing)
	signer, ok := key.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s: %w: signing key", path, ErrMalformed)
	}
	identity, err := age.ParseX25519Identity(j.Identity)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: age identity", path, ErrMalformed)
	}
	return &Officer{ID: j.ID, dir: dir, signer: signer, identity: identity}, nil
}

func unlock(b []byte, pass *Passphrase) ([]byte, error) {
	if pass == nil {
		return nil, fmt.Errorf("%w: the key file needs one", ErrPassphrase)
	}
	identity, err := age.NewScryptIdentity(pass.text)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrPassphrase, err)
	}
	plain, err := decrypt(b, identity)
	if err != nil {
		return nil, ErrPassphrase
	}
	return plain, nil
}

func encrypt(plain []byte, recipient age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, recipient)
	if err != nil {
		return nil, fmt.Errorf("officer: encrypt: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("officer: encrypt: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("officer: encrypt: %w", err)
	}
	return out.Bytes(), nil
}

// decrypt returns at most maxKeyFile bytes of plaintext.
func decrypt(b []byte, identity age.Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(b), identity)
	if err != nil {
		return nil, fmt.Errorf("%w: not encrypted to this officer", ErrForeign)
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxKeyFile+1))
	if err != nil || len(plain) > maxKeyFile {
		return nil, fmt.Errorf("%w: encrypted file", ErrMalformed)
	}
	return plain, nil
}

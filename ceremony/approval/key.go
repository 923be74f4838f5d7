package approval

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/trust"
)

const maxKeyFile = 16 << 10

// GenerateKey makes an officer's Ed25519 key: the private key in OpenSSH's
// format, encrypted if there is a passphrase, and the line for the roster,
// without a line end. Both are as ssh-keygen makes them.
func GenerateKey(officer string, passphrase []byte) (private []byte, public string, err error) {
	if err := trust.CheckID(officer); err != nil {
		return nil, "", err
	}
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", fmt.Errorf("approval: key: %w", err)
	}
	var block *pem.Block
	if len(passphrase) > 0 {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(priv, officer, passphrase)
	} else {
		block, err = ssh.MarshalPrivateKey(priv, officer)
	}
	if err != nil {
		return nil, "", fmt.Errorf("approval: key: %w", err)
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, "", fmt.Errorf("approval: key: %w", err)
	}
	line := bytes.TrimSpace(ssh.MarshalAuthorizedKey(key))
	return pem.EncodeToMemory(block), string(line) + " " + officer, nil
}

// ReadKey reads a private key file that only its owner may read: OpenSSH's
// format, encrypted or not, or PKCS #8 PEM, with a key of a type that a roster
// may hold. ask is called for the passphrase of an encrypted key; nil has
// none. What ask returns is overwritten after use.
//
// Errors: ErrKey, paper.ErrExposed, those of ask. A FIDO key's file holds no
// key and is ErrKey: its owner signs with ssh-keygen -Y sign, see [Join].
func ReadKey(path string, ask func() ([]byte, error)) (ssh.Signer, error) {
	data, err := paper.ReadSecret(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	signer, err := ssh.ParsePrivateKey(data)
	var encrypted *ssh.PassphraseMissingError
	if errors.As(err, &encrypted) {
		signer, err = unlock(path, data, ask)
	}
	if errors.Is(err, ErrKey) || errors.Is(err, errAsk) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s is no private key that can be used here; a key in hardware signs with ssh-keygen -Y sign", ErrKey, path)
	}
	if err := checkType(signer.PublicKey()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return signer, nil
}

// errAsk marks an error of the caller's own ask.
var errAsk = errors.New("approval: passphrase")

func unlock(path string, data []byte, ask func() ([]byte, error)) (ssh.Signer, error) {
	if ask == nil {
		return nil, fmt.Errorf("%w: %s needs a passphrase", ErrKey, path)
	}
	pass, err := ask()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAsk, err)
	}
	defer clear(pass)
	signer, err := ssh.ParsePrivateKeyWithPassphrase(data, pass)
	if err != nil {
		return nil, fmt.Errorf("%w: wrong passphrase for %s, or a key that can't be used here", ErrKey, path)
	}
	return signer, nil
}

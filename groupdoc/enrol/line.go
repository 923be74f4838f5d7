package enrol

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"fmt"
	"time"

	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// MaxLine is how many successions a member is given, the newest: as many as a
// bank follows (coin.MaxSuccessions). maxWord bounds one of them, a compact JWS,
// in bytes.
const (
	MaxLine = 8
	maxWord = 8 << 10
)

// ParseLine verifies the successions that lead to the member with this tag,
// oldest first, at most MaxLine: each as ParseSuccession does, each from the
// member to whom the one before leads. None is no error. Errors: those of
// ParseSuccession.
func ParseLine(root *trust.Root, groupID string, jws [][]byte, tag [33]byte, at time.Time) ([]*Succession, error) {
	if len(jws) > MaxLine {
		return nil, fmt.Errorf("%w: %d successions", ErrMalformed, len(jws))
	}
	var line []*Succession
	for i, j := range jws {
		s, err := ParseSuccession(root, groupID, j, at)
		if err != nil {
			return nil, err
		}
		if i > 0 && s.Old != line[i-1].New {
			return nil, fmt.Errorf("%w: number %d does not continue the one before", ErrSuccession, i+1)
		}
		line = append(line, s)
	}
	if len(line) > 0 && line[len(line)-1].New != tag {
		return nil, fmt.Errorf("%w: they lead to somebody else", ErrSuccession)
	}
	return line, nil
}

// words is AES-256-GCM under a key for one member's successions, with a random
// nonce: a succession that is signed anew has other bytes.
func (s Secret) words(id ID) (cipher.AEAD, error) {
	key, err := s.derive([]byte("specie/successions/1"), id[:])
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// SealLine encrypts a member's successions (compact JWSs) under the secret of
// his renewal: anybody may ask for that, and they link tags.
func (s Secret) SealLine(id ID, jws [][]byte) ([]byte, error) {
	gcm, err := s.words(id)
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(jws))
	for i, j := range jws {
		texts[i] = string(j)
	}
	plain, err := json.Marshal(texts)
	if err != nil {
		return nil, fmt.Errorf("enrol: successions: %w", err)
	}
	return gcm.Seal(nil, nil, plain, nil), nil
}

// OpenLine decrypts what SealLine made. Errors: ErrCredential, ErrMalformed. It
// does not verify the successions: see ParseLine.
func (s Secret) OpenLine(id ID, sealed []byte) ([][]byte, error) {
	if len(sealed) > MaxLine*maxWord {
		return nil, fmt.Errorf("%w: successions of %d bytes", ErrMalformed, len(sealed))
	}
	gcm, err := s.words(id)
	if err != nil {
		return nil, err
	}
	plain, err := gcm.Open(nil, nil, sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: its successions", ErrCredential)
	}
	var texts []string
	if err := strictjson.Unmarshal(plain, MaxLine*maxWord, &texts); err != nil {
		return nil, fmt.Errorf("%w: successions: %v", ErrMalformed, err)
	}
	var out [][]byte
	for _, t := range texts {
		out = append(out, []byte(t))
	}
	return out, nil
}

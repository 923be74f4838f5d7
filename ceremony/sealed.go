package ceremony

import (
	"context"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/json"
	"fmt"

	"github.com/speciecash/specie/ceremony/paper"
	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// MaxSealed bounds a file of sealed group secrets, in bytes.
const MaxSealed = 4 << 10

// secretsSize is γ (32) ‖ the form key (32).
const secretsSize = 64

// Opener decrypts under a key that stays in a token, as a daemon does. The
// errors of Open are the key's.
type Opener interface {
	Open(ctx context.Context, box, aad []byte) ([]byte, error)
}

// Sealer encrypts under such a key too, as a ceremony does. *hsm.AESKey is one.
type Sealer interface {
	Opener
	Seal(ctx context.Context, plaintext, aad []byte) ([]byte, error)
}

// GroupSecrets are what a group manager's process computes with in its own
// memory, because no HSM speaks these curves. They don't print.
type GroupSecrets struct {
	// Group is the manager's id.
	Group string
	// Issuer is γ, Proof the proof for W that the group document carries.
	Issuer *group.IssuerKey
	Proof  group.IssuerKeyProof
	// Form is the X25519 key to which registration forms are encrypted (HPKE).
	Form hpke.PrivateKey
}

// Format prints whose they are, whatever the verb.
func (s *GroupSecrets) Format(f fmt.State, _ rune) {
	fmt.Fprint(f, "[redacted secrets of "+s.Group+"]")
}

// GenerateGroupSecrets draws both secrets.
func GenerateGroupSecrets(groupID string) (*GroupSecrets, error) {
	if err := trust.CheckID(groupID); err != nil {
		return nil, err
	}
	issuer, err := group.GenerateIssuerKey()
	if err != nil {
		return nil, err
	}
	proof, err := issuer.Prove(groupID)
	if err != nil {
		return nil, err
	}
	form, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("ceremony: form key: %w", err)
	}
	return &GroupSecrets{Group: groupID, Issuer: issuer, Proof: proof, Form: form}, nil
}

type sealedJSON struct {
	Version int          `json:"v"`
	Group   string       `json:"group"`
	W       paper.Base64 `json:"w"`       // [γ]P2, 65 bytes
	WProof  paper.Base64 `json:"w_proof"` // 64 bytes
	Form    paper.Base64 `json:"hpke"`    // X25519 public key, 32 bytes
	Box     paper.Base64 `json:"box"`
}

// aad binds the box to all that stands in clear beside it.
func (j *sealedJSON) aad() []byte {
	return frame.Join([]byte("specie/group-secrets/1"), []byte(j.Group), j.W, j.WProof, j.Form)
}

// Seal writes the secrets' file: the public values in clear, the secret ones
// under key.
func (s *GroupSecrets) Seal(ctx context.Context, key Sealer) ([]byte, error) {
	w := s.Issuer.Public().Bytes()
	form, err := s.Form.Bytes()
	if err != nil {
		return nil, fmt.Errorf("ceremony: form key: %w", err)
	}
	j := sealedJSON{Version: 1, Group: s.Group, W: w[:], WProof: s.Proof[:], Form: s.Form.PublicKey().Bytes()}
	plain := append(s.Issuer.Bytes(), form...)
	defer clear(plain)
	if j.Box, err = key.Seal(ctx, plain, j.aad()); err != nil {
		return nil, err
	}
	out, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("ceremony: sealed secrets: %w", err)
	}
	return append(out, '\n'), nil
}

// UnsealGroup opens the file that a group's manager was given at his
// ceremony, with the same key of his token. It returns ErrSealed if the file
// is another group's, malformed, or does not hold the secrets of the public
// values that it names; and the errors of key.Open.
func UnsealGroup(ctx context.Context, data []byte, key Opener, groupID string) (*GroupSecrets, error) {
	var j sealedJSON
	if err := strictjson.Unmarshal(data, MaxSealed, &j); err != nil || j.Version != 1 {
		return nil, fmt.Errorf("%w: not a file of version 1", ErrSealed)
	}
	if j.Group != groupID {
		return nil, fmt.Errorf("%w: the secrets of %q", ErrSealed, j.Group)
	}
	plain, err := key.Open(ctx, j.Box, j.aad())
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	if len(plain) != secretsSize || len(j.WProof) != 64 {
		return nil, fmt.Errorf("%w: a field has another length", ErrSealed)
	}
	s := &GroupSecrets{Group: groupID, Proof: group.IssuerKeyProof(j.WProof)}
	if s.Issuer, err = group.ParseIssuerKey(plain[:32]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	if s.Form, err = hpke.DHKEM(ecdh.X25519()).NewPrivateKey(plain[32:]); err != nil {
		return nil, fmt.Errorf("%w: form key", ErrSealed)
	}
	w := s.Issuer.Public()
	if wb := w.Bytes(); string(wb[:]) != string(j.W) || string(s.Form.PublicKey().Bytes()) != string(j.Form) {
		return nil, fmt.Errorf("%w: the public values are not these secrets'", ErrSealed)
	}
	if err := group.VerifyIssuerKey(s.Group, w, s.Proof); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	return s, nil
}

package registration

import (
	"encoding/json"
	"fmt"

	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/ledger"
)

// Steps of a session.
const (
	stepOpen   = "open"   // the nonce waits for a join
	stepJoined = "joined" // the challenge waits for its answer
)

// endorsement is what a TPM showed at the beginning.
type endorsement struct {
	Chain  [][]byte `json:"chain"`
	Public []byte   `json:"public"`
}

// JoinRequest is what a wallet sends with its join.
type JoinRequest struct {
	// KeyPublic is the group key's public area (TPMT_PUBLIC).
	KeyPublic []byte `json:"key_public"`
	// Join is the proof, group.JoinSize bytes.
	Join []byte `json:"join"`
	// Form is the sealed form (enrol.SealForm).
	Form []byte `json:"form"`
	// FormDigest is the form's digest, which the proof is over.
	FormDigest [32]byte `json:"form_digest"`
}

// digest tells one join from another.
func (r *JoinRequest) digest() [32]byte {
	return frame.Digest([]byte("specie/registration/join/1"), r.KeyPublic, r.Join, r.Form, r.FormDigest[:])
}

// Challenge is TPM2_MakeCredential's output for one TPM and one key.
type Challenge struct {
	CredentialBlob  []byte `json:"credential_blob"`
	EncryptedSecret []byte `json:"encrypted_secret"`
}

// session is a ledger.Session's payload.
type session struct {
	EK        endorsement  `json:"ek"`
	Request   *JoinRequest `json:"request,omitempty"` // once joined
	Challenge *Challenge   `json:"challenge,omitempty"`
	Vouched   *vouched     `json:"vouched,omitempty"`
	F         [33]byte     `json:"f"` // of the join
	Uh        [33]byte     `json:"uh"`
}

// vouched is on what ground a TPM was taken for a genuine one.
type vouched struct {
	// Roots is the digest of the list of manufacturers, Root that of the
	// certificate that the chain led to.
	Roots [32]byte `json:"roots"`
	Root  [32]byte `json:"root"`
	// Manufacturer, Model and Version are as the certificate says.
	Manufacturer string `json:"manufacturer"`
	Model        string `json:"model"`
	Version      string `json:"version"`
	Software     bool   `json:"software,omitempty"`
}

// transcript is what is kept of a member for ever. The form is kept beside
// it, sealed as it came.
type transcript struct {
	EK         endorsement `json:"ek"`
	Nonce      [32]byte    `json:"nonce"`
	KeyPublic  []byte      `json:"key_public"`
	Join       []byte      `json:"join"`
	FormDigest [32]byte    `json:"form_digest"`
	Epoch      uint64      `json:"epoch"` // of the credential given at activation
	Vouched    *vouched    `json:"vouched,omitempty"`
}

func (t *transcript) request(form []byte) *JoinRequest {
	return &JoinRequest{KeyPublic: t.KeyPublic, Join: t.Join, Form: form, FormDigest: t.FormDigest}
}

func readSession(s *ledger.Session) (*session, error) {
	var out session
	if err := json.Unmarshal(s.Payload, &out); err != nil || (s.State == stepJoined) != (out.Request != nil && out.Challenge != nil) {
		return nil, fmt.Errorf("registration: recorded session does not read: %w", ledger.ErrCorrupt)
	}
	return &out, nil
}

func readTranscript(m *ledger.Member) (*transcript, error) {
	var out transcript
	if err := json.Unmarshal(m.Transcript, &out); err != nil {
		return nil, fmt.Errorf("registration: recorded member does not read: %w", ledger.ErrCorrupt)
	}
	return &out, nil
}

func encodeRecord(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("registration: record: %w", err)
	}
	return b, nil
}

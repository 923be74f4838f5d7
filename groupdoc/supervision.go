package groupdoc

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// MaxSupervisionPayload bounds the supervisors' payload, in bytes.
const MaxSupervisionPayload = 32 << 10

// minThreshold is the least number of supervisors that must come together.
const minThreshold = 2

// Supervisor is one officer: his index in the sharing (1 … n) and the ID of
// his certificate.
type Supervisor struct {
	Index int    `json:"index"`
	ID    string `json:"id"`
}

// Supervision is the public outcome of the supervisors' ceremony for one
// group.
type Supervision struct {
	// Group is the manager's id whose group this is.
	Group string
	// Key holds n, k and the commitments to both secrets.
	Key group.SupervisionKey
	// Supervisors has n entries, by ascending index.
	Supervisors []Supervisor
	// Digest is SHA-256 of the payload that all of them signed; zero until it
	// was read from one.
	Digest [32]byte
}

type supervisionJSON struct {
	Group       string       `json:"group"`
	N           int          `json:"n"`
	K           int          `json:"k"`
	Opening     []string     `json:"opening"`
	Tracing     []string     `json:"tracing"`
	Supervisors []Supervisor `json:"supervisors"`
}

// Marshal returns the payload for the supervisors to sign. The same
// Supervision always gives the same bytes.
func (s *Supervision) Marshal() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	j := supervisionJSON{Group: s.Group, N: s.Key.N, K: s.Key.K, Supervisors: s.Supervisors}
	for i := range s.Key.K {
		o, o2 := s.Key.Opening[i].Bytes(), s.Key.Tracing[i].Bytes()
		j.Opening = append(j.Opening, encode(o[:]))
		j.Tracing = append(j.Tracing, encode(o2[:]))
	}
	out, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("groupdoc: supervision: %w", err)
	}
	return out, nil
}

// ReadSupervision reads a payload that nobody may have signed yet: what a
// supervisor looks at before he signs. Everybody else calls ParseSupervision.
func ReadSupervision(payload []byte) (*Supervision, error) {
	var j supervisionJSON
	if err := strictjson.Unmarshal(payload, MaxSupervisionPayload, &j); err != nil {
		return nil, fmt.Errorf("%w: supervision: %v", ErrMalformed, err)
	}
	if len(j.Opening) > group.MaxSupervisors || len(j.Tracing) > group.MaxSupervisors {
		return nil, fmt.Errorf("%w: supervision: too many commitments", ErrMalformed)
	}
	s := &Supervision{
		Group:       j.Group,
		Key:         group.SupervisionKey{N: j.N, K: j.K},
		Supervisors: j.Supervisors,
		Digest:      sha256.Sum256(payload),
	}
	for _, text := range j.Opening {
		p, err := decodeG1("commitment of the opening secret", text)
		if err != nil {
			return nil, err
		}
		s.Key.Opening = append(s.Key.Opening, p)
	}
	for _, text := range j.Tracing {
		p, err := decodeG2("commitment of the tracing secret", text)
		if err != nil {
			return nil, err
		}
		s.Key.Tracing = append(s.Key.Tracing, p)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

// check holds for every payload, signed or not.
func (s *Supervision) check() error {
	if err := trust.CheckID(s.Group); err != nil {
		return fmt.Errorf("%w: supervision: group: %v", ErrMalformed, err)
	}
	if err := s.Key.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if s.Key.K < minThreshold {
		return fmt.Errorf("%w: %d of %d: one supervisor alone could open", ErrSupervision, s.Key.K, s.Key.N)
	}
	if len(s.Supervisors) != s.Key.N {
		return fmt.Errorf("%w: %d supervisors named, %d shares", ErrMalformed, len(s.Supervisors), s.Key.N)
	}
	seen := make(map[string]bool)
	for i, v := range s.Supervisors {
		if err := trust.CheckID(v.ID); err != nil {
			return fmt.Errorf("%w: supervisor %d: %v", ErrMalformed, i+1, err)
		}
		if v.Index != i+1 || seen[v.ID] {
			return fmt.Errorf("%w: supervisor %d stands twice or out of order", ErrMalformed, i+1)
		}
		seen[v.ID] = true
	}
	return nil
}

// SignSupervision is one supervisor's signature over a payload of Marshal.
// It refuses a payload that does not read back, or that does not name the
// signer.
func SignSupervision(payload []byte, signer crypto.Signer, chain []*x509.Certificate) ([]byte, error) {
	s, err := ReadSupervision(payload)
	if err != nil {
		return nil, err
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%w: no certificate", trust.ErrChain)
	}
	name, err := trust.NameOf(chain[0])
	if err != nil {
		return nil, err
	}
	if name.Role != trust.RoleSupervisor {
		return nil, fmt.Errorf("%w: %s is no supervisor", trust.ErrRole, name)
	}
	if s.IndexOf(name.ID) == 0 {
		return nil, fmt.Errorf("%w: %s is not named in it", ErrSupervision, name)
	}
	return trust.Sign(trust.TypSupervision, payload, signer, chain)
}

// IndexOf returns the index of the supervisor with this certificate ID, or 0.
func (s *Supervision) IndexOf(id string) int {
	for _, v := range s.Supervisors {
		if v.ID == id {
			return v.Index
		}
	}
	return 0
}

// ParseSupervision reads the supervisors' document: one JWS per supervisor,
// in any order. Every supervisor named in the payload must have signed it,
// nobody else, all of them the same bytes, with certificates valid at the
// given time. Errors: ErrMalformed, ErrSupervision and those of trust.
func ParseSupervision(root *trust.Root, jws [][]byte, at time.Time) (*Supervision, error) {
	if len(jws) == 0 || len(jws) > group.MaxSupervisors {
		return nil, fmt.Errorf("%w: %d signatures", ErrSupervision, len(jws))
	}
	var s *Supervision
	signed := make(map[string]bool)
	for i, text := range jws {
		doc, err := root.Verify(text, trust.TypSupervision, trust.RoleSupervisor, at)
		if err != nil {
			return nil, fmt.Errorf("groupdoc: supervision, signature %d: %w", i+1, err)
		}
		if s == nil {
			if s, err = ReadSupervision(doc.Payload); err != nil {
				return nil, err
			}
		}
		if doc.Digest != s.Digest {
			return nil, fmt.Errorf("%w: %s signed another payload", ErrSupervision, doc.Signer)
		}
		if s.IndexOf(doc.Signer.ID) == 0 || signed[doc.Signer.ID] {
			return nil, fmt.Errorf("%w: %s is not named in it, or signed twice", ErrSupervision, doc.Signer)
		}
		signed[doc.Signer.ID] = true
	}
	if len(signed) != s.Key.N {
		return nil, fmt.Errorf("%w: %d of %d supervisors signed", ErrSupervision, len(signed), s.Key.N)
	}
	return s, nil
}

func decodeG1(what, text string) (fp256bn.G1, error) {
	b, err := decode(what, text, 33)
	if err != nil {
		return fp256bn.G1{}, err
	}
	p, err := fp256bn.ParseG1(b)
	if err != nil {
		return fp256bn.G1{}, fmt.Errorf("%w: %s: %w", ErrMalformed, what, err)
	}
	return p, nil
}

func decodeG2(what, text string) (fp256bn.G2, error) {
	b, err := decode(what, text, 65)
	if err != nil {
		return fp256bn.G2{}, err
	}
	p, err := fp256bn.ParseG2(b)
	if err != nil {
		return fp256bn.G2{}, fmt.Errorf("%w: %s: %w", ErrMalformed, what, err)
	}
	return p, nil
}

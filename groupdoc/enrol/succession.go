package enrol

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"github.com/speciecash/specie/group/fp256bn"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// MaxSuccession bounds a succession's payload, in bytes.
const MaxSuccession = 1 << 10

// Succession is the manager's word that one member is the person who another
// was. With it, what the TPM of the old one can't spend any more goes to the
// new one. It names nobody, but links two tags: its holder shows it to his
// bank alone. Whoever is refused a coin because it was recovered gets it from the
// bank, as part of the proof: see docs/protocol.md.
type Succession struct {
	// Group is the manager's id.
	Group string
	// Old and New are the tags F of the two memberships.
	Old, New [33]byte
	// At is when the new one began, UTC, whole seconds.
	At time.Time
	// GoodUntil is the end of the last epoch for which the old member holds a
	// credential, UTC, whole seconds: until then somebody offline may take
	// what he spends.
	GoodUntil time.Time
}

type successionJSON struct {
	Group     string `json:"group"`
	Old       string `json:"old"`
	New       string `json:"new"`
	At        string `json:"at"`
	GoodUntil string `json:"good_until"`
}

// Check says whether the succession is well formed (ErrMalformed) and doesn't
// contradict itself (ErrSuccession).
func (s *Succession) Check() error {
	if err := trust.CheckID(s.Group); err != nil {
		return fmt.Errorf("%w: succession: %v", ErrMalformed, err)
	}
	for _, tag := range [][33]byte{s.Old, s.New} {
		if _, err := fp256bn.ParseG1(tag[:]); err != nil {
			return fmt.Errorf("%w: succession: a tag is no point", ErrMalformed)
		}
	}
	if s.Old == s.New {
		return fmt.Errorf("%w: a member can't succeed himself", ErrSuccession)
	}
	if s.At.IsZero() || s.GoodUntil.IsZero() {
		return fmt.Errorf("%w: succession without its times", ErrMalformed)
	}
	return nil
}

// SignSuccession signs a succession as the manager (compact JWS), after Check.
func SignSuccession(s *Succession, signer crypto.Signer, chain []*x509.Certificate) ([]byte, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	payload, err := json.Marshal(successionJSON{
		Group: s.Group, Old: encode(s.Old[:]), New: encode(s.New[:]),
		At: formatTime(s.At), GoodUntil: formatTime(s.GoodUntil),
	})
	if err != nil {
		return nil, fmt.Errorf("enrol: succession: %w", err)
	}
	return trust.Sign(trust.TypSuccession, payload, signer, chain)
}

// ParseSuccession verifies a succession that the manager of a group signed:
// his certificate at the given time, and that he speaks of his own group.
// Errors: ErrMalformed, ErrSuccession, or those of package trust.
func ParseSuccession(root *trust.Root, groupID string, jws []byte, at time.Time) (*Succession, error) {
	doc, err := root.Verify(jws, trust.TypSuccession, trust.RoleGroup, at)
	if err != nil {
		return nil, fmt.Errorf("enrol: succession: %w", err)
	}
	s, err := readSuccession(doc.Payload)
	if err != nil {
		return nil, err
	}
	if s.Group != groupID || doc.Signer.ID != groupID {
		return nil, fmt.Errorf("%w: %s signed for %s, not for %s", ErrSuccession, doc.Signer, s.Group, groupID)
	}
	return s, nil
}

func readSuccession(payload []byte) (*Succession, error) {
	var j successionJSON
	if err := strictjson.Unmarshal(payload, MaxSuccession, &j); err != nil {
		return nil, fmt.Errorf("%w: succession: %v", ErrMalformed, err)
	}
	s := &Succession{Group: j.Group}
	for _, f := range []struct {
		what, text string
		to         *[33]byte
	}{{"old", j.Old, &s.Old}, {"new", j.New, &s.New}} {
		b, err := decode(f.what, f.text, len(f.to))
		if err != nil {
			return nil, err
		}
		*f.to = [33]byte(b)
	}
	var err error
	if s.At, err = parseTime("at", j.At); err != nil {
		return nil, err
	}
	if s.GoodUntil, err = parseTime("good_until", j.GoodUntil); err != nil {
		return nil, err
	}
	return s, s.Check()
}

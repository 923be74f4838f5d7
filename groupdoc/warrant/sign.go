package warrant

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/trust"
)

// Sign is one supervisor's signature over a payload, for a warrant of the
// group that s supervises. It refuses a payload that does not read (ErrMalformed),
// is another group's (ErrGroup) or not in force at the given time (ErrExpired),
// and a signer who is no supervisor there (trust.ErrRole, ErrSigner).
func Sign(s *groupdoc.Supervision, payload []byte, signer crypto.Signer, chain []*x509.Certificate, at time.Time) ([]byte, error) {
	w, err := Read(payload)
	if err != nil {
		return nil, err
	}
	if w.Group != s.Group {
		return nil, fmt.Errorf("%w: %s, not %s", ErrGroup, w.Group, s.Group)
	}
	if err := w.InForce(at); err != nil {
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
		return nil, fmt.Errorf("%w: %s does not supervise %s", ErrSigner, name, s.Group)
	}
	return trust.Sign(trust.TypWarrant, payload, signer, chain)
}

// Parse reads a warrant from its signatures, one JWS each, in any order: at
// least k different supervisors of s signed, nobody else, all of them the same
// bytes, with certificates valid at the given time, and the warrant is in
// force then. One who signed twice counts once.
//
// Errors: ErrMalformed, ErrGroup, ErrSigner, ErrQuorum, ErrExpired and those of
// trust.Root.Verify.
func Parse(root *trust.Root, s *groupdoc.Supervision, jws [][]byte, at time.Time) (*Warrant, error) {
	w, err := parse(root, s, jws, at)
	if err != nil {
		return nil, err
	}
	return w, w.InForce(at)
}

// parse is Parse but for the warrant's own term.
func parse(root *trust.Root, s *groupdoc.Supervision, jws [][]byte, at time.Time) (*Warrant, error) {
	if len(jws) == 0 {
		return nil, fmt.Errorf("%w: nobody did", ErrQuorum)
	}
	if len(jws) > group.MaxSupervisors {
		return nil, fmt.Errorf("%w: %d signatures", ErrMalformed, len(jws))
	}
	var w *Warrant
	signed := make(map[string]bool)
	for i, text := range jws {
		doc, err := verify(root, text, at)
		if err != nil {
			return nil, fmt.Errorf("warrant: signature %d: %w", i+1, err)
		}
		if w == nil {
			if w, err = Read(doc.Payload); err != nil {
				return nil, err
			}
		}
		if doc.Digest != w.Digest {
			return nil, fmt.Errorf("%w: %s signed another warrant", ErrSigner, doc.Signer)
		}
		if s.IndexOf(doc.Signer.ID) == 0 {
			return nil, fmt.Errorf("%w: %s does not supervise %s", ErrSigner, doc.Signer, s.Group)
		}
		signed[doc.Signer.ID] = true
	}
	if w.Group != s.Group {
		return nil, fmt.Errorf("%w: %s, not %s", ErrGroup, w.Group, s.Group)
	}
	for _, v := range s.Supervisors {
		if signed[v.ID] {
			w.Signers = append(w.Signers, v.ID)
		}
	}
	if len(w.Signers) < s.Key.K {
		return nil, fmt.Errorf("%w: %d of the %d needed", ErrQuorum, len(w.Signers), s.Key.K)
	}
	return w, nil
}

func verify(root *trust.Root, jws []byte, at time.Time) (*trust.Document, error) {
	if len(jws) > MaxJWS {
		return nil, fmt.Errorf("%w: document of %d bytes", ErrMalformed, len(jws))
	}
	return root.Verify(jws, trust.TypWarrant, trust.RoleSupervisor, at)
}

// Signed reads one supervisor's signature: what he signed and who he is. It
// says nothing about how many others did, nor of which group he is a
// supervisor. Errors: ErrMalformed and those of trust.Root.Verify.
func Signed(root *trust.Root, jws []byte, at time.Time) (w *Warrant, payload []byte, by string, err error) {
	doc, err := verify(root, jws, at)
	if err != nil {
		return nil, nil, "", fmt.Errorf("warrant: %w", err)
	}
	if w, err = Read(doc.Payload); err != nil {
		return nil, nil, "", err
	}
	return w, doc.Payload, doc.Signer.ID, nil
}

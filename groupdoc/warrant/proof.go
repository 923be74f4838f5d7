package warrant

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// MaxProof bounds a proof's JSON, in bytes.
const MaxProof = MaxRegister + group.MaxSupervisors*(MaxJWS+8)

// Proof is a warrant with all that shows, beside a signed group document, that
// it is one and was entered: what openings and tracing tokens carry.
type Proof struct {
	// JWS are the supervisors' signatures.
	JWS [][]byte
	// Entries go from the warrant's own to the document's head.
	Entries []Entry
}

type proofJSON struct {
	Signatures []string `json:"signatures"`
	Entries    []Entry  `json:"entries"`
}

// MarshalJSON implements json.Marshaler.
func (p *Proof) MarshalJSON() ([]byte, error) {
	j := proofJSON{Entries: p.Entries}
	for _, s := range p.JWS {
		j.Signatures = append(j.Signatures, string(s))
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler. It checks nothing but the form.
// Errors: ErrMalformed.
func (p *Proof) UnmarshalJSON(text []byte) error {
	var j proofJSON
	if err := strictjson.Unmarshal(text, MaxProof, &j); err != nil {
		return fmt.Errorf("%w: proof: %v", ErrMalformed, err)
	}
	if len(j.Signatures) == 0 || len(j.Signatures) > group.MaxSupervisors || len(j.Entries) == 0 || len(j.Entries) > MaxEntries {
		return fmt.Errorf("%w: proof: %d signatures, %d entries", ErrMalformed, len(j.Signatures), len(j.Entries))
	}
	out := Proof{Entries: j.Entries}
	for _, s := range j.Signatures {
		out.JWS = append(out.JWS, []byte(s))
	}
	*p = out
	return nil
}

// Prove puts a proof together for that document and verifies it. Errors: those
// of Register.Until and Proof.Verify.
func Prove(root *trust.Root, doc *groupdoc.Document, jws [][]byte, r *Register) (*Proof, *Entered, error) {
	if r.Group != doc.ID {
		return nil, nil, fmt.Errorf("%w: the register of %s", ErrGroup, r.Group)
	}
	if len(jws) == 0 {
		return nil, nil, fmt.Errorf("%w: nobody did", ErrQuorum)
	}
	digest, err := promised(jws[0])
	if err != nil {
		return nil, nil, err
	}
	entries, err := r.Until(digest, doc.Warrants)
	if err != nil {
		return nil, nil, err
	}
	p := &Proof{JWS: jws, Entries: entries}
	e, err := p.Verify(root, doc)
	if err != nil {
		return nil, nil, err
	}
	return p, e, nil
}

// promised is the digest of the payload that a signature claims to be over, to
// find the entry by. The signature itself is verified later, at the time of
// that entry.
func promised(jws []byte) ([32]byte, error) {
	parts := bytes.Split(jws, []byte("."))
	if len(jws) > MaxJWS || len(parts) != 3 {
		return [32]byte{}, fmt.Errorf("%w: no signed document", ErrMalformed)
	}
	payload, err := base64.RawURLEncoding.DecodeString(string(parts[1]))
	if err != nil {
		return [32]byte{}, fmt.Errorf("%w: no signed document", ErrMalformed)
	}
	return sha256.Sum256(payload), nil
}

// Entered is a warrant that was verified, with its entry.
type Entered struct {
	*Warrant
	Entry Entry
}

// Verify checks the proof against a document that was verified: the entries
// lead from the warrant's own to the document's head, none of them younger
// than the document; as many supervisors of the group as must come together
// signed, with certificates valid when it was entered; and it was in force
// then. Whether it still is, [Warrant.InForce] says; what it allows,
// [Warrant.Allows].
//
// Errors: ErrRegister, ErrUnregistered, those of Parse.
func (p *Proof) Verify(root *trust.Root, doc *groupdoc.Document) (*Entered, error) {
	if len(p.Entries) == 0 || len(p.Entries) > MaxEntries {
		return nil, fmt.Errorf("%w: %d entries", ErrUnregistered, len(p.Entries))
	}
	e, last := p.Entries[0], &p.Entries[len(p.Entries)-1]
	if e.Seq == 1 && e.Prev != [32]byte{} {
		return nil, fmt.Errorf("%w: entry 1 follows something", ErrRegister)
	}
	if err := Extends(groupdoc.WarrantHead{Size: e.Seq - 1, Head: e.Prev}, p.Entries, doc.Warrants); err != nil {
		return nil, err
	}
	if last.At.After(doc.IssuedAt.Add(groupdoc.EpochSkew)) {
		return nil, fmt.Errorf("%w: entry %d is younger than the document that has it", ErrRegister, last.Seq)
	}
	w, err := Parse(root, doc.Supervision, p.JWS, e.At)
	if err != nil {
		return nil, err
	}
	if w.Digest != e.Warrant {
		return nil, fmt.Errorf("%w: entry %d is another warrant's", ErrUnregistered, e.Seq)
	}
	if w.Scope != e.Scope {
		return nil, fmt.Errorf("%w: it was entered as one to %s", ErrScope, e.Scope)
	}
	return &Entered{Warrant: w, Entry: e}, nil
}

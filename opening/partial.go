package opening

import (
	"encoding/json"
	"fmt"

	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/trust/strictjson"
)

// MaxPart bounds the file of a part, in bytes.
const MaxPart = 1024

// Part is one supervisor's part of the opening of one case.
type Part struct {
	Group   string   // the group manager's id
	Case    [32]byte // Case.Digest
	Warrant [32]byte // the warrant's digest
	Partial *group.PartialOpening
}

type partJSON struct {
	Version int       `json:"v"`
	Group   string    `json:"group"`
	Case    base64url `json:"case"`
	Warrant base64url `json:"warrant"`
	Partial base64url `json:"partial"`
}

// Partial verifies the warrant and the case and then uses the supervisor's
// share on it. The warrant must be one to open this very case, entered in the
// register that the papers' document publishes, and in force at the papers'
// time. Nothing but a verified presentation is ever decrypted: a supervisor
// who answers to a bare ciphertext can be made to open anybody's payment.
//
// Errors: those of warrant.Proof.Verify, Warrant.InForce and Warrant.Allows,
// those of Case.Verify, and group.ErrShare for a share that is not of this
// group.
func Partial(p *Papers, c *Case, w *warrant.Proof, share *group.Share) (*Part, error) {
	e, err := p.act(w, c.Subject(), warrant.Open)
	if err != nil {
		return nil, err
	}
	if err := c.Verify(p); err != nil {
		return nil, err
	}
	v, err := p.groupVerifier(c)
	if err != nil {
		return nil, err
	}
	item, err := c.item()
	if err != nil {
		return nil, err
	}
	po, err := group.OpenPartial(v, &p.Group.Supervision.Key, share, item)
	if err != nil {
		return nil, err
	}
	return &Part{Group: p.Group.ID, Case: c.Digest(), Warrant: e.Digest, Partial: po}, nil
}

// Marshal returns the part's file.
func (p *Part) Marshal() ([]byte, error) {
	out, err := json.Marshal(partJSON{Version: 1, Group: p.Group, Case: p.Case[:], Warrant: p.Warrant[:], Partial: p.Partial.Bytes()})
	if err != nil {
		return nil, fmt.Errorf("opening: part: %w", err)
	}
	return out, nil
}

// ParsePart reads a part's file. Its proof is verified by Combine.
func ParsePart(data []byte) (*Part, error) {
	var j partJSON
	if err := strictjson.Unmarshal(data, MaxPart, &j); err != nil {
		return nil, fmt.Errorf("%w: part: %v", ErrMalformed, err)
	}
	if j.Version != 1 || len(j.Case) != 32 || len(j.Warrant) != 32 {
		return nil, fmt.Errorf("%w: not a part of version 1", ErrMalformed)
	}
	po, err := group.ParsePartialOpening(j.Partial)
	if err != nil {
		return nil, fmt.Errorf("%w: part: %w", ErrMalformed, err)
	}
	return &Part{Group: j.Group, Case: [32]byte(j.Case), Warrant: [32]byte(j.Warrant), Partial: po}, nil
}

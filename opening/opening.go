package opening

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// MaxOpening bounds an opening or evidence file, in bytes.
const MaxOpening = MaxCase + 2*trust.MaxJWS + warrant.MaxProof + 256<<10

// Opening is a case with everything that is needed to see which tag it opens
// to and that it was opened lawfully: the warrant with its entry, documents,
// and the supervisors' parts.
type Opening struct {
	Case *Case
	// Warrant is the one to open this case.
	Warrant *warrant.Proof
	// KeysetJWS and GroupJWS are the documents that the case is judged by.
	KeysetJWS, GroupJWS []byte
	// Parts are the supervisors'. All are verified; at least k are needed.
	Parts []*group.PartialOpening
}

// openingJSON is also the form of Evidence, which has a statement.
type openingJSON struct {
	Version   int            `json:"v"`
	Case      *caseJSON      `json:"case"`
	Warrant   *warrant.Proof `json:"warrant"`
	Keyset    string         `json:"keyset"`
	Group     string         `json:"group"`
	Parts     []base64url    `json:"parts"`
	Statement string         `json:"statement,omitempty"`
}

// Finding is what an opening shows.
type Finding struct {
	Case  *Case
	Group *groupdoc.Document
	// Warrant is what it was opened on, and its entry.
	Warrant *warrant.Entered
	// Tag is the signer's F, 33 bytes.
	Tag [33]byte
	// Supervisors are the ids of those whose parts it rests on.
	Supervisors []string
	keyset      *coin.Keyset
}

// Value is what the coin is worth, as "1.28 EUR".
func (f *Finding) Value() string { return f.Case.Value(f.keyset) }

// Combine verifies the warrant, the case and every part and puts the opening
// together. Errors: those of warrant.Proof.Verify and Warrant.Allows, those of
// Case.Verify, group.ErrQuorum with fewer than k different parts,
// group.ErrPartial for one whose proof fails, ErrForeign for one about
// something else or on another warrant.
func Combine(p *Papers, c *Case, w *warrant.Proof, parts []*Part) (*Opening, *Finding, error) {
	o := &Opening{Case: c, Warrant: w, KeysetJWS: p.keysetJWS, GroupJWS: p.groupJWS}
	e, err := p.authority(w, c.Subject(), warrant.Open)
	if err != nil {
		return nil, nil, err
	}
	digest := c.Digest()
	for _, part := range parts {
		if part.Group != p.Group.ID {
			return nil, nil, fmt.Errorf("part %d: %w: group %s", part.Partial.Index, ErrForeign, part.Group)
		}
		if part.Case != digest {
			return nil, nil, fmt.Errorf("part %d: %w: another case", part.Partial.Index, ErrForeign)
		}
		if part.Warrant != e.Digest {
			return nil, nil, fmt.Errorf("part %d: %w: another warrant", part.Partial.Index, ErrForeign)
		}
		o.Parts = append(o.Parts, part.Partial)
	}
	f, err := o.find(p)
	if err != nil {
		return nil, nil, err
	}
	return o, f, nil
}

// Verify checks the opening from the root alone, documents judged at the
// given time, and says which tag it opens to. The warrant is judged at the time
// of its entry: what was lawful then stays evidence.
func (o *Opening) Verify(root *trust.Root, at time.Time) (*Finding, error) {
	return o.verify(root, nil, at)
}

func (o *Opening) verify(root *trust.Root, leaked [][]byte, at time.Time) (*Finding, error) {
	p, err := ReadPapers(root, o.KeysetJWS, o.GroupJWS, at)
	if err != nil {
		return nil, err
	}
	p.leaked = leaked
	return o.find(p)
}

// TagFor is what a group manager asks of an opening's file before he names
// anybody: that it verifies from the root at the given time, is about his own
// group (ErrForeign), whatever document it carries, and that its warrant is in
// force now (warrant.ErrExpired). Whether its entry stands in his register he
// sees himself. leaked are the scalars of broken TPMs that he knows of now (32
// bytes each): the file may carry an older document that does not name them
// yet, and a thief of f would have the victim named.
func TagFor(root *trust.Root, id group.ID, data []byte, leaked [][]byte, at time.Time) (tag [33]byte, entry warrant.Entry, err error) {
	o, err := ParseOpening(data)
	if err != nil {
		return tag, entry, err
	}
	f, err := o.verify(root, leaked, at)
	if err != nil {
		return tag, entry, err
	}
	if f.Group.GroupID() != id {
		return tag, entry, fmt.Errorf("%w: another group", ErrForeign)
	}
	if err := f.Warrant.InForce(at); err != nil {
		return tag, entry, err
	}
	return f.Tag, f.Warrant.Entry, nil
}

func (o *Opening) find(p *Papers) (*Finding, error) {
	e, err := p.authority(o.Warrant, o.Case.Subject(), warrant.Open)
	if err != nil {
		return nil, err
	}
	if err := o.Case.Verify(p); err != nil {
		return nil, err
	}
	v, err := p.groupVerifier(o.Case)
	if err != nil {
		return nil, err
	}
	item, err := o.Case.item()
	if err != nil {
		return nil, err
	}
	key := &p.Group.Supervision.Key
	tag, err := group.CombineOpening(v, key, item, o.Parts)
	if err != nil {
		return nil, err
	}
	f := &Finding{Case: o.Case, Group: p.Group, Warrant: e, Tag: tag, keyset: p.Keyset}
	for _, s := range p.Group.Supervision.Supervisors {
		for _, part := range o.Parts {
			if part.Index == s.Index {
				f.Supervisors = append(f.Supervisors, s.ID)
				break
			}
		}
	}
	return f, nil
}

// Marshal returns the opening's file.
func (o *Opening) Marshal() ([]byte, error) { return o.marshal(nil) }

func (o *Opening) marshal(statement []byte) ([]byte, error) {
	c, err := o.Case.json()
	if err != nil {
		return nil, err
	}
	j := openingJSON{Version: 1, Case: c, Warrant: o.Warrant, Keyset: string(o.KeysetJWS), Group: string(o.GroupJWS), Statement: string(statement)}
	for _, part := range o.Parts {
		j.Parts = append(j.Parts, part.Bytes())
	}
	out, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("opening: %w", err)
	}
	return out, nil
}

// ParseOpening reads an opening's file. It verifies nothing but the form.
func ParseOpening(data []byte) (*Opening, error) {
	o, statement, err := parse(data)
	if err != nil {
		return nil, err
	}
	if statement != nil {
		return nil, fmt.Errorf("%w: evidence, not an opening", ErrMalformed)
	}
	return o, nil
}

func parse(data []byte) (*Opening, []byte, error) {
	var j openingJSON
	if err := strictjson.Unmarshal(data, MaxOpening, &j); err != nil {
		return nil, nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if j.Version != 1 || j.Case == nil || j.Warrant == nil || len(j.Parts) > group.MaxSupervisors {
		return nil, nil, fmt.Errorf("%w: not an opening of version 1", ErrMalformed)
	}
	c, err := j.Case.parse()
	if err != nil {
		return nil, nil, err
	}
	o := &Opening{Case: c, Warrant: j.Warrant, KeysetJWS: []byte(j.Keyset), GroupJWS: []byte(j.Group)}
	for i, b := range j.Parts {
		part, err := group.ParsePartialOpening(b)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: part %d: %w", ErrMalformed, i+1, err)
		}
		o.Parts = append(o.Parts, part)
	}
	if j.Statement == "" {
		return o, nil, nil
	}
	return o, []byte(j.Statement), nil
}

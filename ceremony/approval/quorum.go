package approval

import (
	"fmt"
	"strings"
	"time"
)

// Approved says that an officer approved.
type Approved struct {
	Officer     string
	At          time.Time
	Fingerprint string // of his key, "SHA256:…"
}

// Verify says whether enough officers approved this digest of a ceremony of
// this kind, and who. Every given approval must be good, not only enough of
// them: a file that does not belong here is a mistake to be looked at. An
// officer who approved twice counts once. Errors: ErrApproval,
// ErrUnknownOfficer, ErrDigest, ErrQuorum.
func (r *Roster) Verify(approvals [][]byte, kind string, digest [32]byte) ([]Approved, error) {
	return Verify([]*Roster{r}, approvals, kind, digest)
}

// Verify is [Roster.Verify] for several rosters, where the officers change:
// each roster must reach its own threshold, and every approval be of an
// officer of at least one of them. Who is on two rosters with one key counts
// in both. The first roster is that of the plan itself, and any other that of
// the officers before: ErrQuorum says whose is short.
func Verify(rosters []*Roster, approvals [][]byte, kind string, digest [32]byte) ([]Approved, error) {
	var out []Approved
	counted := make([]map[string]bool, len(rosters))
	for i := range counted {
		counted[i] = make(map[string]bool)
	}
	for i, data := range approvals {
		a, err := Parse(data)
		if err != nil {
			return nil, fmt.Errorf("file %d: %w", i+1, err)
		}
		if a.Kind != kind || a.Digest != digest {
			return nil, fmt.Errorf("%w: %s approved ceremony %q with digest %s…", ErrDigest, a.Officer, a.Kind, Hex(a.Digest)[:9])
		}
		fresh, err := a.count(rosters, counted)
		if err != nil {
			return nil, err
		}
		if fresh {
			out = append(out, Approved{Officer: a.Officer, At: a.At, Fingerprint: a.Fingerprint()})
		}
	}
	for i, r := range rosters {
		if len(counted[i]) < r.Threshold {
			whose := ""
			if i > 0 {
				whose = " of the officers before"
			}
			return nil, fmt.Errorf("%w: %d of the %d needed%s; not yet: %s", ErrQuorum, len(counted[i]), r.Threshold, whose, r.missing(counted[i]))
		}
	}
	return out, nil
}

// count enters the approval for every roster that has its officer with its
// key, and says whether it was new to one of them.
func (a *Approval) count(rosters []*Roster, counted []map[string]bool) (fresh bool, err error) {
	named, known := false, false
	for i, r := range rosters {
		o, ok := r.find(a.Officer)
		named = named || ok
		if !ok || !sameKey(o.Key, a.signature.PublicKey) {
			continue
		}
		known = true
		fresh = fresh || !counted[i][a.Officer]
		counted[i][a.Officer] = true
	}
	switch {
	case known:
		return fresh, nil
	case named:
		return false, fmt.Errorf("%w: not signed by the key of %s", ErrApproval, a.Officer)
	}
	return false, fmt.Errorf("%w: %s", ErrUnknownOfficer, a.Officer)
}

func (r *Roster) missing(counted map[string]bool) string {
	var out []string
	for _, o := range r.Officers {
		if !counted[o.Name] {
			out = append(out, o.Name)
		}
	}
	return strings.Join(out, ", ")
}

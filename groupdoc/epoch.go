package groupdoc

import (
	"fmt"
	"time"

	"github.com/speciecash/specie/group"
)

// EpochSkew is how far two honest clocks may differ around the change of an
// epoch: a payment made on one side of it verifies on the other.
const EpochSkew = 5 * time.Minute

// Epoch is a numbered stretch of time, Starts included and Ends excluded,
// both UTC in whole seconds. Numbers follow each other without gaps.
type Epoch struct {
	Number       uint64
	Starts, Ends time.Time
}

// maxNumber keeps numbers exact in every JSON reader.
const maxNumber = 1<<53 - 1

type epochJSON struct {
	Number uint64 `json:"number"`
	Starts string `json:"starts"`
	Ends   string `json:"ends"`
}

func (e Epoch) json() epochJSON {
	return epochJSON{Number: e.Number, Starts: formatTime(e.Starts), Ends: formatTime(e.Ends)}
}

func (j epochJSON) parse() (Epoch, error) {
	starts, err := parseTime("start of the epoch", j.Starts)
	if err != nil {
		return Epoch{}, err
	}
	ends, err := parseTime("end of the epoch", j.Ends)
	if err != nil {
		return Epoch{}, err
	}
	if j.Number == 0 || j.Number > maxNumber || ends.Sub(starts) < 2*EpochSkew {
		return Epoch{}, fmt.Errorf("%w: epoch %d is empty, too short or has no number", ErrMalformed, j.Number)
	}
	return Epoch{Number: j.Number, Starts: starts, Ends: ends}, nil
}

func (e Epoch) contains(at time.Time) bool {
	return !at.Before(e.Starts) && at.Before(e.Ends)
}

// EpochAt returns the epoch that a wallet presents for at the given time:
// the current or the announced next one. Otherwise ErrEpoch: the document is
// stale, or the clock is wrong.
func (d *Document) EpochAt(at time.Time) (Epoch, error) {
	for _, e := range []Epoch{d.Current, d.Next} {
		if e.contains(at) {
			return e, nil
		}
	}
	return Epoch{}, fmt.Errorf("%w: %s of group %s", ErrEpoch, formatTime(at), d.ID)
}

// Verifier returns the verifier of presentations at the given time. It takes
// the epoch of that time, and within EpochSkew of a change also the one on
// the other side; it refuses claims of leaked keys.
func (d *Document) Verifier(at time.Time) (*group.Verifier, error) {
	e, err := d.EpochAt(at)
	if err != nil {
		return nil, err
	}
	epochs := []uint64{e.Number}
	if at.Sub(e.Starts) < EpochSkew && e.Number > 1 {
		epochs = append(epochs, e.Number-1)
	}
	if e.Ends.Sub(at) <= EpochSkew {
		epochs = append(epochs, e.Number+1)
	}
	v, err := group.NewVerifier(d.Parameters(), epochs...)
	if err != nil {
		return nil, fmt.Errorf("groupdoc: %w", err)
	}
	return v.WithLeaked(d.Leaked)
}

// ProofVerifier returns the verifier of a presentation that was made earlier,
// in whatever epoch, as proof that a coin is spent: what was spent stays
// spent, also when the key that spent it has leaked since. An epoch that was
// never announced is ErrEpoch.
func (d *Document) ProofVerifier(presentation []byte) (*group.Verifier, error) {
	p, err := group.ParsePresentation(presentation)
	if err != nil {
		return nil, fmt.Errorf("groupdoc: %w", err)
	}
	if p.Epoch > d.Current.Number+1 {
		return nil, fmt.Errorf("%w: %d, when %d is current", ErrEpoch, p.Epoch, d.Current.Number)
	}
	v, err := group.NewVerifier(d.Parameters(), p.Epoch)
	if err != nil {
		return nil, fmt.Errorf("groupdoc: %w", err)
	}
	return v, nil
}

package opening

import "time"

// At is the same papers, looked at when they would have expired.
func (p *Papers) At(at time.Time) *Papers {
	out := *p
	out.at = at
	return &out
}

package desk

import "net/http"

// deposits deposits what was kept, now.
func (d *Desk) deposits(r *http.Request) (answer, error) {
	out, err := d.Till.DepositKept(r.Context())
	if err != nil {
		return answer{}, err
	}
	return ok(map[string]any{"deposits": out})
}

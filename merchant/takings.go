package merchant

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/coin"
)

// Taking is a line of the till's list.
type Taking struct {
	// Until is when the bank's hold ends, of one whose coins are held.
	Until   *time.Time  `json:"held_until,omitempty"`
	Offer   api.Bytes   `json:"offer"`
	Op      api.Bytes   `json:"op"`
	Order   string      `json:"order"`
	Amount  coin.Amount `json:"amount"`
	State   string      `json:"state"`
	Created time.Time   `json:"created"`
	// Reason is why the bank refused it, and Proof that it has shown the other spend of
	// the coins; see Evidence.
	Reason string `json:"reason,omitempty"`
	Proof  bool   `json:"proof,omitempty"`
}

// Takings lists the payments, newest first.
func (t *Till) Takings(ctx context.Context) ([]Taking, error) {
	rows, err := t.db.QueryContext(ctx, `SELECT p.op, o.digest, o.private, o.amount, p.state, p.reason, p.created, p.held_until
		FROM payments p JOIN offers o ON o.digest = p.offer ORDER BY p.created DESC, p.op`)
	if err != nil {
		return nil, fmt.Errorf("till: takings: %w", err)
	}
	defer rows.Close()
	var out []Taking
	for rows.Next() {
		var x Taking
		var at, until int64
		var private []byte
		var reason string
		if err := rows.Scan((*[]byte)(&x.Op), (*[]byte)(&x.Offer), &private, &x.Amount, &x.State, &reason, &at, &until); err != nil {
			return nil, fmt.Errorf("till: takings: %w", err)
		}
		if ends := time.UnixMicro(until).UTC(); x.State == StateHeld && t.now().Before(ends) {
			x.Until = &ends
		} else if x.State == StateHeld {
			x.State = StateChecked // the hold is over
		}
		var p struct {
			Order string `json:"order"`
		}
		if err := json.Unmarshal(private, &p); err != nil {
			return nil, fmt.Errorf("till: takings: %w", err)
		}
		if reason != "" {
			var stored storedRefusal
			if err := json.Unmarshal([]byte(reason), &stored); err != nil {
				return nil, fmt.Errorf("till: takings: %w", err)
			}
			x.Reason, x.Proof = stored.Code+": "+stored.Text, len(stored.Conflict) > 0
		}
		x.Order, x.Created = p.Order, time.UnixMicro(at).UTC()
		out = append(out, x)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("till: takings: %w", err)
	}
	return out, nil
}

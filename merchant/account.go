package merchant

import (
	"context"
	"time"

	"github.com/speciecash/specie/client"
)

// Account is the back office of the till's account: its statements and tokens.
func (t *Till) Account() (*client.Account, error) {
	return client.NewAccount(t.settings.BankURL, t.settings.Token, t.http)
}

// RotateToken changes the account's access token for a new one, and lets the
// old one end at that time. What was interrupted goes on: see
// client.RotateToken. A till that serves beside this uses the new one at once.
func (t *Till) RotateToken(ctx context.Context, until time.Time) error {
	connect := func(token string) (*client.Account, error) {
		return client.NewAccount(t.settings.BankURL, token, t.http)
	}
	return client.RotateToken(ctx, connect, t.settings.Token, t.settings.Rotation, until, func(token string, r client.Rotation) error {
		return t.setToken(ctx, token, r)
	})
}

package wallet

import (
	"context"
	"time"

	"github.com/speciecash/specie/client"
)

// Account is the back office of the purse's account: its statements and tokens.
func (w *Wallet) Account() (*client.Account, error) {
	return client.NewAccount(w.settings.BankURL, w.settings.Token, w.http)
}

// RotateToken changes the account's access token for a new one, and lets the
// old one end at that time. What was interrupted goes on: see
// client.RotateToken.
func (w *Wallet) RotateToken(ctx context.Context, until time.Time) error {
	connect := func(token string) (*client.Account, error) {
		return client.NewAccount(w.settings.BankURL, token, w.http)
	}
	return client.RotateToken(ctx, connect, w.settings.Token, w.settings.Rotation, until, func(token string, r client.Rotation) error {
		return w.setToken(ctx, token, r)
	})
}

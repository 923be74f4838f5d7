package issuertest

import (
	"context"
	"testing"

	"github.com/speciecash/specie/hsm"
	"github.com/speciecash/specie/softhsm"
)

// openToken makes a token under dir and opens it.
func openToken(t testing.TB, dir string) (*hsm.Token, func()) {
	t.Helper()
	ctx := context.Background() // the token outlives the test
	p := must(softhsm.Provision(dir))(t)
	m := must(p.Open())(t)
	config := must(p.InitToken(ctx, m, "bank",
		must(hsm.NewPIN([]byte("87654321")))(t), must(hsm.NewPIN([]byte("12345678")))(t)))(t)
	token := must(m.Token(ctx, config))(t)
	return token, func() { _ = m.Close() }
}

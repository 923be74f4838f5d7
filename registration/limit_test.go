package registration_test

import (
	"context"
	"errors"
	"testing"

	"github.com/speciecash/specie/registration"
)

func TestACrowdIsTurnedAway(t *testing.T) {
	g := registration.NewGate(1)
	ctx, stop := context.WithCancel(t.Context())
	leave, err := registration.Enter(g, ctx)
	must(t, err)
	waited := make(chan error)
	for range 16 {
		go func() { _, err := registration.Enter(g, ctx); waited <- err }()
	}
	// One more than may wait is turned away at once; until all of them wait, he
	// would wait himself.
	for {
		impatient, cancel := context.WithCancel(ctx)
		cancel()
		_, err := registration.Enter(g, impatient)
		if errors.Is(err, registration.ErrBusy) {
			break
		}
		wantErr(t, err, context.Canceled)
	}
	stop()
	for range 16 {
		wantErr(t, <-waited, context.Canceled)
	}
	leave()
	leave, err = registration.Enter(g, t.Context()) // and now there is room
	must(t, err)
	leave()
}

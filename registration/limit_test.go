package registration_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/registration/registrationtest"
)

func TestWhatCostsTheManagerMostWaitsItsTurn(t *testing.T) {
	w, maker := softWorld(t)
	ctx := t.Context()
	member := enrolSoft(t, w, maker.TPM(t, nil))
	stranger := maker.TPM(t, nil)
	s, err := w.Begin(ctx, stranger.BeginRequest())
	must(t, err)
	join := stranger.Join(t, w, s, "Charles Babbage")
	w.Clock.Forward(registrationtest.EpochLength)
	empty := w.Fill()
	for name, ask := range map[string]func() error{
		"begin":   func() error { _, err := w.Begin(ctx, stranger.BeginRequest()); return err },
		"join":    func() error { _, err := w.Join(ctx, enrol.ID{1}, join); return err },
		"renewal": func() error { _, err := w.Renew(ctx, member.ID); return err },
	} {
		t.Run(name, func(t *testing.T) { wantErr(t, ask(), registration.ErrBusy) })
	}
	empty()
	_, err = w.Renew(ctx, member.ID)
	must(t, err)
}

func TestACrowdIsTurnedAway(t *testing.T) {
	g := registration.NewGate(1)
	ctx, stop := context.WithCancel(t.Context())
	leave, err := registration.Enter(g, ctx)
	must(t, err)
	waited := make(chan error)
	for range 16 {
		go func() {
			err := registration.ErrBusy // by the impatient one's fault
			for errors.Is(err, registration.ErrBusy) {
				_, err = registration.Enter(g, ctx)
			}
			waited <- err
		}()
	}
	turnedAway := false
	// One more than may wait is turned away at once; until all of them wait, he
	// would wait himself.
	for range 1000 {
		time.Sleep(time.Millisecond)
		impatient, cancel := context.WithCancel(ctx)
		cancel()
		_, err := registration.Enter(g, impatient)
		if turnedAway = errors.Is(err, registration.ErrBusy); turnedAway {
			break
		}
		wantErr(t, err, context.Canceled)
	}
	if !turnedAway {
		t.Fatal("nobody is turned away")
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

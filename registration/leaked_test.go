package registration_test

import (
	"testing"

	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/registration/registrationtest"
)

func softWorld(t testing.TB, change ...func(*registration.Config)) (*registrationtest.World, *registrationtest.Maker) {
	t.Helper()
	maker := registrationtest.NewMaker(t)
	roots := maker.Roots(t)
	change = append([]func(*registration.Config){func(c *registration.Config) {
		c.Policy = registration.Policy{EKRoots: roots}
	}}, change...)
	return registrationtest.NewWorld(t, bench, change...), maker
}

// enrolSoft is the manager's whole part of a registration.
func enrolSoft(t testing.TB, w *registrationtest.World, s *registrationtest.SoftTPM) *registration.Session {
	t.Helper()
	open, err := w.Begin(t.Context(), s.BeginRequest())
	must(t, err)
	ch, err := w.Join(t.Context(), open.ID, s.Join(t, w, open, "Ada Lovelace"))
	must(t, err)
	_, err = w.Activate(t.Context(), open.ID, registrationtest.MAC(t, s.Answer(t, ch), open.ID))
	must(t, err)
	return open
}

func TestALeakedKeyGetsNothing(t *testing.T) {
	w, maker := softWorld(t)
	ctx := t.Context()
	member := maker.TPM(t, nil)
	s := enrolSoft(t, w, member)
	w.Clock.Forward(registrationtest.EpochLength)
	_, err := w.Renew(ctx, s.ID)
	must(t, err)

	f := member.F.Bytes()
	next := w.Policy()
	next.Leaked = [][]byte{f[:]}
	must(t, w.Reload(ctx, next))
	w.Clock.Forward(registrationtest.EpochLength)
	_, err = w.Renew(ctx, s.ID)
	wantErr(t, err, registration.ErrLeaked)

	// Nor does it become a member in another TPM, or another manager's.
	elsewhere, otherMaker := softWorld(t, func(c *registration.Config) { c.Leaked = [][]byte{f[:]} })
	thief := otherMaker.TPM(t, &member.F)
	open, err := elsewhere.Begin(ctx, thief.BeginRequest())
	must(t, err)
	_, err = elsewhere.Join(ctx, open.ID, thief.Join(t, elsewhere, open, "Nobody"))
	wantErr(t, err, registration.ErrLeaked)
	enrolSoft(t, elsewhere, otherMaker.TPM(t, nil))
}

package registration_test

import (
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/registration/registrationtest"
)

func TestNobodyIsReadmittedAgainstAWarrant(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	ctx := t.Context()
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	id, _ := c.Enrol(t, w, "Ada Lovelace")
	first, err := w.Member(ctx, id)
	must(t, err)
	w.Enter(t, warrant.Trace, first.Subject) // this one takes nothing from him
	w.Enter(t, warrant.Expel, warrant.Membership{Member: enrol.ID{1}}.Subject())
	a, err := w.Readmit(ctx, id)
	must(t, err)
	c.NewKey(t)
	form := enrol.Form{Name: "Ada Lovelace", Code: a.Code}
	next, _, _ := c.EnrolAs(t, w, form)
	a, err = w.Readmit(ctx, next)
	must(t, err)
	s := c.Begin(t, w)
	form.Code = a.Code
	join := c.JoinAs(t, w, s, c.EKID(t, w), form)

	// It is about the membership that she had first.
	w.Enter(t, warrant.Expel, first.Subject)
	_, err = w.Readmit(ctx, next)
	wantErr(t, err, registration.ErrExpulsion)
	draft := w.Court().Draft(warrant.Expel, first.Subject, w.Clock.Now())
	if !strings.Contains(err.Error(), draft.Reference) {
		t.Fatalf("%v does not say on what ground", err)
	}
	_, err = w.Join(ctx, s.ID, join) // nor with the code that was given before
	wantErr(t, err, registration.ErrExpelled)

	w.Clock.Forward(draft.Until.Sub(draft.IssuedAt) + time.Minute)
	_, err = w.Readmit(ctx, next)
	must(t, err)
}

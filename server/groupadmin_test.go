package server

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/speciecash/specie/client/groupclient"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/registration/registrationtest"
)

func texts(jws [][]byte) groupclient.WarrantPapers {
	var out groupclient.WarrantPapers
	for _, j := range jws {
		out.Warrant = append(out.Warrant, string(j))
	}
	return out
}

// operate plays what the operator and the supervisors do with one active
// member, which ends his membership.
func (o *office) operate(t *testing.T, id enrol.ID) *groupclient.Readmission {
	t.Helper()
	ctx := t.Context()
	m, err := o.admin.GetMemberWithResponse(ctx, id.String())
	noError(t, err)
	if m.JSON200.Tpm == nil || !m.JSON200.Tpm.Software {
		t.Fatalf("his TPM is %+v", m.JSON200.Tpm)
	}
	court := o.Court()
	draft := court.Draft(warrant.Trace, warrant.Subject(m.JSON200.Subject), o.Clock.Now())
	papers := texts(court.Sign(t, draft))
	early, err := o.admin.HandOutTranscriptWithResponse(ctx, id.String(), papers)
	noError(t, err)
	wantCode(t, early.ApplicationproblemJSONDefault, 403, CodeUnregistered)
	entry, err := o.admin.EnterWarrantWithResponse(ctx, papers)
	noError(t, err)
	again, err := o.admin.EnterWarrantWithResponse(ctx, papers)
	noError(t, err)
	if entry.JSON200 == nil || again.JSON200 == nil || again.JSON200.Seq != entry.JSON200.Seq {
		t.Fatalf("entered as %s and %s", entry.Body, again.Body)
	}
	kept, err := o.admin.GetWarrantPapersWithResponse(ctx, base64.RawURLEncoding.EncodeToString(entry.JSON200.Warrant))
	noError(t, err)
	if len(kept.JSON200.Warrant) != 2 || kept.JSON200.Warrant[0] != papers.Warrant[0] {
		t.Fatal("the papers are others")
	}
	statement, err := o.admin.HandOutTranscriptWithResponse(ctx, id.String(), papers)
	noError(t, err)
	doc := o.ReadDocument(t)
	who, err := enrol.ParseStatement(o.Group.Root, doc.Parameters(), []byte(statement.JSON200.Statement), o.Clock.Now())
	noError(t, err)
	if who.Member != id {
		t.Fatalf("the transcript of %s", who.Member)
	}

	// What everybody sees of it.
	list, err := o.public.GetWarrantsWithResponse(ctx, &groupclient.GetWarrantsParams{})
	noError(t, err)
	register, err := warrant.ParseRegister(list.Body)
	noError(t, err)
	noError(t, register.Check(groupdoc.WarrantHead{}, doc.Warrants))
	counts, err := o.public.CountWarrantsWithResponse(ctx)
	noError(t, err)
	if counts.JSON200.Size != int64(doc.Warrants.Size) || counts.JSON200.Counts.Trace != 1 || [32]byte(counts.JSON200.Head) != doc.Warrants.Head {
		t.Fatalf("got %+v", counts.JSON200)
	}

	names := true
	page, err := o.admin.GetMembersWithResponse(ctx, &groupclient.GetMembersParams{Names: &names, Limit: new(1)})
	noError(t, err)
	if len(page.JSON200.Members) != 1 || *page.JSON200.Members[0].Name != "Ada Lovelace" || page.JSON200.Next == nil {
		t.Fatalf("got %s", page.Body)
	}
	page, err = o.admin.GetMembersWithResponse(ctx, &groupclient.GetMembersParams{After: page.JSON200.Next})
	noError(t, err)
	if len(page.JSON200.Members) != 0 || page.JSON200.Next != nil {
		t.Fatalf("got %s", page.Body)
	}
	page, err = o.admin.GetMembersWithResponse(ctx, nil)
	noError(t, err)
	if len(page.JSON200.Members) != 1 || page.JSON200.Members[0].Name != nil {
		t.Fatalf("named unasked: %s", page.Body)
	}

	a, err := o.admin.ReadmitMemberWithResponse(ctx, id.String())
	noError(t, err)
	stats, err := o.admin.GetStatisticsWithResponse(ctx)
	noError(t, err)
	if s := stats.JSON200; s.Members.Revoked != 1 || s.Members.Active != 0 || s.Warrants.Trace != 1 {
		t.Fatalf("got %s", stats.Body)
	}
	n, err := o.public.RenewWithResponse(ctx, groupclient.RenewalRequest{Member: id.String()})
	noError(t, err)
	wantCode(t, n.ApplicationproblemJSONDefault, 403, CodeRevoked)
	return a.JSON200
}

// TestAMembershipIsContinuedOverHTTP has every refusal of a code with its
// code, and the succession.
func TestAMembershipIsContinuedOverHTTP(t *testing.T) {
	o := newOffice(t)
	ctx := t.Context()
	ada := registrationtest.NewComputer(t, o.lab, registrationtest.TPMA, "rsa2048")
	oldID, _ := ada.Enrol(t, o.World, "Ada Lovelace")
	a, err := o.admin.ReadmitMemberWithResponse(ctx, oldID.String())
	noError(t, err)
	code, err := enrol.ParseCode(a.JSON200.Code)
	noError(t, err)
	wrong, err := enrol.NewCode()
	noError(t, err)
	ada.NewKey(t)
	s, _ := o.begin(t, ada)
	join := func(f enrol.Form) *groupclient.JoinRegistrationResponse {
		t.Helper()
		r, err := o.public.JoinRegistrationWithResponse(ctx, s.ID.String(), joinBody(ada.JoinAs(t, o.World, s, ada.EKID(t, o.World), f)))
		noError(t, err)
		return r
	}
	for _, c := range []struct {
		name   string
		form   enrol.Form
		status int
		code   Code
	}{
		{"no code", enrol.Form{Name: "Ada Lovelace"}, 409, CodeEKRegistered},
		{"a code that is not known", enrol.Form{Name: "Ada Lovelace", Code: wrong}, 422, CodeReadmission},
		{"another person's name", enrol.Form{Name: "Charles Babbage", Code: code}, 409, CodeIdentity},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantCode(t, join(c.form).ApplicationproblemJSONDefault, c.status, c.code)
		})
	}
	ch := join(enrol.Form{Name: "Ada Lovelace", Code: code})
	secret := ada.Answer(t, challengeOf(ch.JSON200))
	act, err := o.public.ActivateRegistrationWithResponse(ctx, s.ID.String(), groupclient.ActivationRequest{Mac: registrationtest.MAC(t, secret, s.ID)})
	noError(t, err)
	if act.JSON200 == nil || act.JSON200.Successions == nil || len(*act.JSON200.Successions) != 1 {
		t.Fatalf("got %s", act.Body)
	}
	word, err := enrol.ParseSuccession(o.Group.Root, o.Name(), []byte((*act.JSON200.Successions)[0]), o.Clock.Now())
	noError(t, err)
	old, err := o.admin.GetMemberWithResponse(ctx, oldID.String())
	noError(t, err)
	if old.JSON200.State != groupclient.MemberStateSucceeded || *old.JSON200.SucceededBy != s.ID.String() || [33]byte(old.JSON200.Tag) != word.Old {
		t.Fatalf("got %s", old.Body)
	}
	for name, problem := range map[string]func() *groupclient.Problem{
		"a readmission of one who was succeeded": func() *groupclient.Problem {
			r, err := o.admin.ReadmitMemberWithResponse(ctx, oldID.String())
			noError(t, err)
			return r.ApplicationproblemJSONDefault
		},
		"an expulsion of one who was succeeded": func() *groupclient.Problem {
			r, err := o.admin.ExpelMemberWithResponse(ctx, oldID.String())
			noError(t, err)
			return r.ApplicationproblemJSONDefault
		},
		"a join in a registration that is complete": func() *groupclient.Problem {
			return join(enrol.Form{Name: "Ada Lovelace", Code: code}).ApplicationproblemJSONDefault
		},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, problem(), 409, CodeConflict) })
	}
	other := registrationtest.NewComputer(t, o.lab, registrationtest.TPMB, "rsa2048")
	s, _ = o.begin(t, other)
	r, err := o.public.JoinRegistrationWithResponse(ctx, s.ID.String(),
		joinBody(other.JoinAs(t, o.World, s, other.EKID(t, o.World), enrol.Form{Name: "Ada Lovelace", Code: code})))
	noError(t, err)
	wantCode(t, r.ApplicationproblemJSONDefault, 409, CodeReadmissionUsed)
}

func TestTheGroupManagersNumbers(t *testing.T) {
	o := newOffice(t)
	registrationtest.NewComputer(t, o.lab, registrationtest.TPMA, "rsa2048").Enrol(t, o.World, "Ada Lovelace")
	o.Enter(t, warrant.Open, warrant.Case([32]byte{1}))
	lines := []string{
		`specie_group_warrants_total{scope="open"} 1`, `specie_group_warrants_total{scope="trace"} 0`,
		`specie_group_document_seq 2`, `specie_group_insecure_software_tpm 1`,
		`specie_group_members{state="active"} 1`, `specie_group_members{state="expelled"} 0`, `specie_group_registrations_open 0`,
	}
	for name, h := range map[string]http.Handler{"admin": o.handlers.Admin, "metrics": o.handlers.Metrics} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
		if rec.Code != http.StatusOK {
			t.Fatalf("%s: %d", name, rec.Code)
		}
		for _, line := range lines {
			if !strings.Contains(rec.Body.String(), line+"\n") {
				t.Errorf("%s: %q is not among the metrics", name, line)
			}
		}
	}
}

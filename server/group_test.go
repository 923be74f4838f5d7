package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/client/groupclient"
	"github.com/speciecash/specie/group"
	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/registration/registrationtest"
)

// office is a group manager behind HTTP, watched by the contract.
type office struct {
	*registrationtest.World
	lab           *registrationtest.Lab
	contract      *contract
	public, admin *groupclient.ClientWithResponses
	handlers      *Group
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{lab: registrationtest.NewLab(t.TempDir()), contract: readContract(t, "group.yaml")}
	t.Cleanup(func() {
		if err := o.lab.Close(); err != nil {
			t.Error(err)
		}
	})
	o.World = registrationtest.NewWorld(t, o.lab)
	o.handlers = NewGroup(o.Manager, GroupOptions{})
	serve := func(h http.Handler) *groupclient.ClientWithResponses {
		srv := httptest.NewServer(o.contract.watch(t, h))
		t.Cleanup(srv.Close)
		c, err := groupclient.NewClientWithResponses(srv.URL)
		noError(t, err)
		return c
	}
	o.public, o.admin = serve(o.handlers.Public), serve(o.handlers.Admin)
	return o
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantCode checks a refusal that the client has read.
func wantCode(t *testing.T, p *groupclient.Problem, status int, code Code) {
	t.Helper()
	if p == nil || p.Status != status || Code(p.Code) != code {
		t.Fatalf("got %+v, want %d %s", p, status, code)
	}
}

func (o *office) begin(t *testing.T, c *registrationtest.Computer) (*registration.Session, *groupclient.BeginRegistrationResponse) {
	t.Helper()
	r, err := o.public.BeginRegistrationWithResponse(t.Context(), groupclient.BeginRequest{
		EkChain: []api.Bytes{c.EK.CertificateDER}, EkPublic: c.EK.Public,
	})
	noError(t, err)
	if r.JSON201 == nil {
		return nil, r
	}
	id, err := enrol.ParseID(r.JSON201.Id)
	noError(t, err)
	return &registration.Session{ID: id, Nonce: [32]byte(r.JSON201.Nonce), Expires: r.JSON201.Expires}, r
}

func joinBody(r *registration.JoinRequest) groupclient.JoinRequest {
	return groupclient.JoinRequest{KeyPublic: r.KeyPublic, Join: r.Join, Form: r.Form, FormDigest: r.FormDigest[:]}
}

// TestTheGroupManagersContract plays a member's whole life over HTTP.
func TestTheGroupManagersContract(t *testing.T) {
	o := newOffice(t)
	ada := registrationtest.NewComputer(t, o.lab, registrationtest.TPMA, "rsa2048")
	ctx := t.Context()

	// The document, by ETag.
	g, err := o.public.GetGroupWithResponse(ctx, nil)
	noError(t, err)
	doc, err := groupdoc.Parse(o.Group.Root, []byte(g.JSON200.Document), o.Clock.Now())
	noError(t, err)
	etag := g.HTTPResponse.Header.Get("ETag")
	again, err := o.public.GetGroupWithResponse(ctx, &groupclient.GetGroupParams{IfNoneMatch: &etag})
	noError(t, err)
	if again.StatusCode() != http.StatusNotModified {
		t.Fatalf("status %d for the ETag just given", again.StatusCode())
	}

	// A registration, each step sent twice.
	s, _ := o.begin(t, ada)
	req := joinBody(ada.JoinFor(t, o.World, s, ada.EKID(t, o.World), "Ada Lovelace"))
	ch, err := o.public.JoinRegistrationWithResponse(ctx, s.ID.String(), req)
	noError(t, err)
	ch2, err := o.public.JoinRegistrationWithResponse(ctx, s.ID.String(), req)
	noError(t, err)
	if !reflect.DeepEqual(ch.JSON200, ch2.JSON200) {
		t.Fatal("a repeated join got another challenge")
	}
	secret := ada.Answer(t, &registration.Challenge{
		CredentialBlob: ch.JSON200.CredentialBlob, EncryptedSecret: ch.JSON200.EncryptedSecret,
	})
	mac := groupclient.ActivationRequest{Mac: registrationtest.MAC(t, secret, s.ID)}
	act, err := o.public.ActivateRegistrationWithResponse(ctx, s.ID.String(), mac)
	noError(t, err)
	act2, err := o.public.ActivateRegistrationWithResponse(ctx, s.ID.String(), mac)
	noError(t, err)
	if !reflect.DeepEqual(act.JSON200, act2.JSON200) {
		t.Fatal("a repeated activation got another credential")
	}
	member := ada.Member(t, o.World, s.ID, secret, &registration.Credential{
		Epoch: uint64(act.JSON200.Epoch), Sealed: act.JSON200.Credential,
	})
	p, err := member.Present(ctx, ada.Key, []byte("a payment"), nil)
	noError(t, err)

	// A renewal.
	n, err := o.public.RenewWithResponse(ctx, groupclient.RenewalRequest{Member: s.ID.String()})
	noError(t, err)
	fresh := ada.Answer(t, &registration.Challenge{
		CredentialBlob: n.JSON200.CredentialBlob, EncryptedSecret: n.JSON200.EncryptedSecret,
	})
	ada.Member(t, o.World, s.ID, fresh, &registration.Credential{Epoch: uint64(n.JSON200.Epoch), Sealed: n.JSON200.Credential})

	// An opening, and what follows.
	opening := o.opening(t, doc, p.Bytes(), 2)
	who, err := o.admin.IdentifyWithResponse(ctx, groupclient.OpeningRequest{Opening: opening})
	noError(t, err)
	named, err := enrol.ParseStatement(o.Group.Root, doc.Parameters(), []byte(who.JSON200.Statement), o.Clock.Now())
	noError(t, err)
	if named.Name != "Ada Lovelace" || named.Member != s.ID {
		t.Fatalf("named %s", named.Name)
	}
	m, err := o.admin.GetMemberWithResponse(ctx, s.ID.String())
	noError(t, err)
	if m.JSON200.Name == nil || *m.JSON200.Name != "Ada Lovelace" || m.JSON200.State != groupclient.MemberStateActive {
		t.Fatalf("got %+v", m.JSON200)
	}
	o.operate(t, s.ID)
	x, err := o.admin.ExpelMemberWithResponse(ctx, s.ID.String())
	noError(t, err)
	if x.JSON200.State != groupclient.MemberStateExpelled {
		t.Fatalf("got %+v", x.JSON200)
	}
	n, err = o.public.RenewWithResponse(ctx, groupclient.RenewalRequest{Member: s.ID.String()})
	noError(t, err)
	wantCode(t, n.ApplicationproblemJSONDefault, 403, CodeForbidden)
}

// opening makes a combined opening of the first k supervisors.
func (o *office) opening(t *testing.T, doc *groupdoc.Document, presentation []byte, k int) json.RawMessage {
	t.Helper()
	v, err := doc.Verifier(o.Clock.Now())
	noError(t, err)
	op := registrationtest.Opening{Presentation: presentation, Message: []byte("a payment")}
	_, op.Warrant = o.Enter(t, warrant.Open, warrant.Case([32]byte{1}))
	for _, share := range o.Group.Shares[:k] {
		part, err := group.OpenPartial(v, &doc.Supervision.Key, share, group.Item{Presentation: presentation, Message: op.Message})
		noError(t, err)
		op.Parts = append(op.Parts, part.Bytes())
	}
	out, err := json.Marshal(op)
	noError(t, err)
	return out
}

// TestTheGroupManagersRefusals has each refusal with its code.
func TestTheGroupManagersRefusals(t *testing.T) {
	o := newOffice(t)
	ada := registrationtest.NewComputer(t, o.lab, registrationtest.TPMA, "rsa2048")
	ctx := t.Context()

	stranger := registrationtest.NewComputer(t, o.lab, registrationtest.Stranger, "rsa2048")
	_, r := o.begin(t, stranger)
	wantCode(t, r.ApplicationproblemJSONDefault, 422, CodeEKChain)
	ecc := registrationtest.NewComputer(t, o.lab, registrationtest.TPMA, "p384")
	_, r = o.begin(t, ecc)
	wantCode(t, r.ApplicationproblemJSONDefault, 422, CodeEKProfile)

	s, _ := o.begin(t, ada)
	good := joinBody(ada.JoinFor(t, o.World, s, ada.EKID(t, o.World), "Ada Lovelace"))
	activate := func(id string, mac []byte) *groupclient.Problem {
		t.Helper()
		r, err := o.public.ActivateRegistrationWithResponse(ctx, id, groupclient.ActivationRequest{Mac: mac})
		noError(t, err)
		return r.ApplicationproblemJSONDefault
	}
	wantCode(t, activate(s.ID.String(), make([]byte, 32)), 409, CodeConflict)
	wantCode(t, activate(enrol.ID{1}.String(), make([]byte, 32)), 404, CodeNotFound)
	wantCode(t, activate("not-an-id", make([]byte, 32)), 400, CodeMalformed)

	flip := func(b []byte, i int) []byte { b = bytes.Clone(b); b[i] ^= 1; return b }
	for _, c := range []struct {
		name   string
		change func(r *groupclient.JoinRequest)
		status int
		code   Code
	}{
		{"a key off the template", func(r *groupclient.JoinRequest) { r.KeyPublic = flip(r.KeyPublic, 7) }, 422, CodeTemplate},
		{"a proof that does not verify", func(r *groupclient.JoinRequest) { r.Join = flip(r.Join, group.JoinSize-1) }, 422, CodeJoinProof},
		{"a proof cut short", func(r *groupclient.JoinRequest) { r.Join = r.Join[1:] }, 400, CodeMalformed},
		{"a form that does not open", func(r *groupclient.JoinRequest) { r.Form = flip(r.Form, 0) }, 422, CodeMalformed},
		{"a digest cut short", func(r *groupclient.JoinRequest) { r.FormDigest = r.FormDigest[1:] }, 400, CodeMalformed},
		{"a body too large", func(r *groupclient.JoinRequest) { r.Form = make([]byte, maxJoin) }, 413, CodeTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := good
			c.change(&bad)
			r, err := o.public.JoinRegistrationWithResponse(ctx, s.ID.String(), bad)
			noError(t, err)
			wantCode(t, r.ApplicationproblemJSONDefault, c.status, c.code)
		})
	}

	j, err := o.public.JoinRegistrationWithResponse(ctx, s.ID.String(), good)
	noError(t, err)
	other := joinBody(ada.JoinFor(t, o.World, s, ada.EKID(t, o.World), "Ada Lovelace"))
	j2, err := o.public.JoinRegistrationWithResponse(ctx, s.ID.String(), other)
	noError(t, err)
	wantCode(t, j2.ApplicationproblemJSONDefault, 409, CodeConflict)
	wantCode(t, activate(s.ID.String(), make([]byte, 32)), 422, CodeActivation)
	wantCode(t, activate(s.ID.String(), make([]byte, 31)), 422, CodeActivation)
	secret := ada.Answer(t, &registration.Challenge{CredentialBlob: j.JSON200.CredentialBlob, EncryptedSecret: j.JSON200.EncryptedSecret})
	if p := activate(s.ID.String(), registrationtest.MAC(t, secret, s.ID)); p != nil {
		t.Fatalf("refused: %+v", p)
	}
	_, r = o.begin(t, ada)
	wantCode(t, r.ApplicationproblemJSONDefault, 409, CodeEKRegistered)

	bob := registrationtest.NewComputer(t, o.lab, registrationtest.TPMB, "rsa2048")
	s, _ = o.begin(t, bob)
	twice := joinBody(ada.JoinFor(t, o.World, s, bob.EKID(t, o.World), "Ada again"))
	j, err = o.public.JoinRegistrationWithResponse(ctx, s.ID.String(), twice)
	noError(t, err)
	wantCode(t, j.ApplicationproblemJSONDefault, 409, CodeTagRegistered)
	late := joinBody(bob.JoinFor(t, o.World, s, bob.EKID(t, o.World), "Charles Babbage"))
	o.Clock.Forward(registration.DefaultSession)
	j, err = o.public.JoinRegistrationWithResponse(ctx, s.ID.String(), late)
	noError(t, err)
	wantCode(t, j.ApplicationproblemJSONDefault, 410, CodeSessionExpired)

	i, err := o.admin.IdentifyWithResponse(ctx, groupclient.OpeningRequest{Opening: json.RawMessage(`{"parts":[]}`)})
	noError(t, err)
	wantCode(t, i.ApplicationproblemJSONDefault, 403, CodeForbidden)
	m, err := o.admin.GetMemberWithResponse(ctx, enrol.ID{1}.String())
	noError(t, err)
	wantCode(t, m.ApplicationproblemJSONDefault, 404, CodeNotFound)

	o.Clock.Forward(-30 * registrationtest.EpochLength)
	g, err := o.public.GetGroupWithResponse(ctx, nil)
	noError(t, err)
	wantCode(t, g.ApplicationproblemJSONDefault, 503, CodeEpoch)
	noError(t, o.Register.Close())
	o.Clock.Forward(30 * registrationtest.EpochLength)
	_, r = o.begin(t, bob)
	wantCode(t, r.ApplicationproblemJSONDefault, 503, CodeUnavailable)
}

func TestTheGroupManagersListenersAreApart(t *testing.T) {
	o := newOffice(t)
	for _, c := range []struct {
		name   string
		h      http.Handler
		method string
		path   string
		body   string
		status int
		code   Code
	}{
		{"openings are not served in public", o.handlers.Public, "POST", "/admin/v1/openings", `{"opening":{}}`, 404, CodeNotFound},
		{"expulsions are not served in public", o.handlers.Public, "POST", "/admin/v1/members/" + enrol.ID{1}.String() + "/expulsion", ``, 404, CodeNotFound},
		{"members are not served in public", o.handlers.Public, "GET", "/admin/v1/members/" + enrol.ID{1}.String(), ``, 404, CodeNotFound},
		{"warrants are not entered in public", o.handlers.Public, "POST", "/admin/v1/warrants", `{"warrant":["a.b.c"]}`, 404, CodeNotFound},
		{"readmissions are not served in public", o.handlers.Public, "POST", "/admin/v1/members/" + enrol.ID{1}.String() + "/readmission", ``, 404, CodeNotFound},
		{"transcripts are not served in public", o.handlers.Public, "POST", "/admin/v1/members/" + enrol.ID{1}.String() + "/transcript", `{"warrant":["a.b.c"]}`, 404, CodeNotFound},
		{"lists of members are not served in public", o.handlers.Public, "GET", "/admin/v1/members", ``, 404, CodeNotFound},
		{"a register of warrants behind a negative number is refused", o.handlers.Public, "GET", "/v1/warrants?after=-1", ``, 400, CodeMalformed},
		{"a page of members behind no id is refused", o.handlers.Admin, "GET", "/admin/v1/members?after=x", ``, 400, CodeMalformed},
		{"registrations are not served to the operator", o.handlers.Admin, "POST", "/v1/registrations", `{}`, 404, CodeNotFound},
		{"an unknown member of a body is refused", o.handlers.Public, "POST", "/v1/renewals", `{"member":"` + enrol.ID{1}.String() + `","x":1}`, 400, CodeMalformed},
		{"a missing member of a body is refused", o.handlers.Public, "POST", "/v1/renewals", `{}`, 400, CodeMalformed},
		{"base64 with padding is refused", o.handlers.Public, "POST", "/v1/registrations", `{"ek_chain":["AA=="],"ek_public":"AA"}`, 400, CodeMalformed},
		{"an empty request is refused", o.handlers.Public, "POST", "/v1/registrations", `{}`, 400, CodeMalformed},
		{"a chain of many certificates is refused", o.handlers.Public, "POST", "/v1/registrations", `{"ek_chain":[` + strings.Repeat(`"AA",`, 9) + `"AA"],"ek_public":"AA"}`, 400, CodeMalformed},
		{"a body too large is refused", o.handlers.Public, "POST", "/v1/registrations", strings.Repeat(" ", maxBegin+1), 413, CodeTooLarge},
		{"an expulsion takes no body", o.handlers.Admin, "POST", "/admin/v1/members/" + enrol.ID{1}.String() + "/expulsion", `{}`, 413, CodeTooLarge},
		{"an expulsion of nobody is refused", o.handlers.Admin, "POST", "/admin/v1/members/" + enrol.ID{1}.String() + "/expulsion", ``, 404, CodeNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, strings.NewReader(c.body))
			if c.body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			rec := httptest.NewRecorder()
			c.h.ServeHTTP(rec, r)
			refused(t, answer{rec.Code, rec.Header(), rec.Body.Bytes()}, c.status, c.code)
		})
	}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 404} {
		rec := httptest.NewRecorder()
		o.handlers.Public.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		if rec.Code != want {
			t.Errorf("%s answers %d", path, rec.Code)
		}
	}
}

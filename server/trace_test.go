package server

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/groupdoc/warrant/warranttest"
	"github.com/speciecash/specie/issuer/issuertest"
	"github.com/speciecash/specie/opening/openingtest"
)

// suspects are a group's supervisors and two of its members, who have paid
// at a branch: Eva twice, Ada once.
type suspects struct {
	*warranttest.Court
	eva, ada *openingtest.Member
}

func (b *branch) suspects(t *testing.T) *suspects {
	t.Helper()
	g := *b.House.Group
	contents := *g.Contents // the register grows, but not for other tests
	g.Contents = &contents
	s := &suspects{Court: warranttest.New(&g)}
	doc := g.Document(t)
	for name, m := range map[string]**openingtest.Member{"Eva": &s.eva, "Ada": &s.ada} {
		key, err := openingtest.NewKey()
		fatal(t, err)
		*m, err = openingtest.Admit(t.Context(), doc.Parameters(), g.Issuer, doc.Current.Number, name, key, nil)
		fatal(t, err)
	}
	for _, m := range []*openingtest.Member{s.eva, s.ada, s.eva} {
		b.payBound(t, &issuertest.Member{Member: m.Member, Key: m.Key, Join: m.Join})
	}
	return s
}

// payBound withdraws a coin of 4 for the member and deposits it.
func (b *branch) payBound(t *testing.T, m *issuertest.Member) {
	t.Helper()
	batch := b.purse.PrepareBound(t, m, 4)
	account, _ := b.Funded(t, 4)
	signed, err := b.Withdraw(t.Context(), account, batch.Outputs)
	fatal(t, err)
	offer := b.till.Offer(t, 4, nil)
	spend, authorisation := b.purse.AuthoriseBound(t, m, issuertest.Payment(offer, batch.Finalize(t, signed.Signatures), nil))
	_, err = b.Deposit(t.Context(), b.till.Account, b.till.Deposit(offer, spend, authorisation))
	fatal(t, err)
}

// checkTrace traces a member over HTTP.
func (b *branch) checkTrace(t *testing.T, operator *issuerclient.ClientWithResponses) {
	t.Helper()
	none, err := operator.GetTraceWithResponse(t.Context())
	fatal(t, err)
	if none.StatusCode() != 404 {
		t.Fatalf("before the first: %s", none.Body)
	}
	s := b.suspects(t)
	token := openingtest.Token(t, s.Court, s.eva, warrant.Trace, issuertest.Now)
	started, err := operator.StartTraceWithResponse(t.Context(), issuerclient.TraceRequest{Token: token})
	fatal(t, err)
	if started.JSON202 == nil {
		t.Fatalf("trace: %s", started.Body)
	}
	now := started.JSON202
	for now.State == issuerclient.TraceStateRunning {
		r, err := operator.GetTraceWithResponse(t.Context())
		fatal(t, err)
		if r.JSON200 == nil {
			t.Fatalf("trace: %s", r.Body)
		}
		now = r.JSON200
	}
	got := now.Report
	if got == nil || !got.Sound || got.Group != s.Contents.ID || got.Member != s.eva.Statement.Member.String() || got.Reference == "" {
		t.Fatalf("trace: %+v", now)
	}
	if got.Searched < 3 || len(got.Hits) != 2 {
		t.Fatalf("%d of %d found", len(got.Hits), got.Searched)
	}
	for _, h := range got.Hits {
		if h.Amount != 4 || h.Coins != 1 || h.Kind != "deposit" || h.Account == nil || *h.Account != b.till.Account.ID {
			t.Fatalf("hit: %+v", h)
		}
	}
}

func TestATraceIsRefusedWithoutAWarrantToTrace(t *testing.T) {
	const path = "/admin/v1/trace"
	b := newBranch(t, readContract(t, "issuer.yaml"))
	s := b.suspects(t)
	token := openingtest.Token(t, s.Court, s.eva, warrant.Trace, issuertest.Now)
	other := openingtest.Token(t, s.Court, s.ada, warrant.Trace, issuertest.Now)
	forged := withTau(t, token, other)
	ask := func(t *testing.T, token []byte) answer {
		data, err := json.Marshal(issuerclient.TraceRequest{Token: token})
		fatal(t, err)
		return b.send(t, http.MethodPost, b.admin.URL+path, "", data)
	}
	cases := []struct {
		name  string
		token []byte
	}{
		{"a warrant to expel", openingtest.Token(t, s.Court, s.ada, warrant.Expel, issuertest.Now)},
		{"another member's token under the warrant", forged},
		{"no token", []byte("{}")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			refused(t, ask(t, c.token), 403, CodeWarrant)
		})
	}
	b.Clock.Set(issuertest.Now.AddDate(0, 0, 30))
	defer b.Clock.Set(issuertest.Now)
	refused(t, ask(t, token), 403, CodeWarrant)
}

// withTau is a token with another one's tracing secret.
func withTau(t *testing.T, token, other []byte) []byte {
	t.Helper()
	var a, b map[string]json.RawMessage
	fatal(t, json.Unmarshal(token, &a))
	fatal(t, json.Unmarshal(other, &b))
	a["tau"] = b["tau"]
	out, err := json.Marshal(a)
	fatal(t, err)
	return out
}

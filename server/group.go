package server

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/speciecash/specie/api"
	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/server/groupapi"
)

// GroupOptions are what a group manager's listeners need besides the manager.
type GroupOptions struct {
	// Metrics are served beside the daemon's own.
	Metrics []prometheus.Collector
	// Logger is silent if nil.
	Logger *slog.Logger
}

// Group is what a group manager serves: Public to the world, Admin on a UNIX
// socket.
type Group struct {
	// Public has /livez and /readyz besides, and no metrics: what a stranger
	// sees change tells him what somebody does.
	Public http.Handler
	// Admin has /livez, /readyz and /metrics too, the latter with the numbers
	// of members and registrations.
	Admin http.Handler
	// Metrics is those three alone, for a listener that only the operator's
	// monitoring can reach.
	Metrics http.Handler
}

// Largest bodies of the group manager, in bytes: eight certificates of 8 KiB; a
// sealed form of 8 KiB; an opening as its reader takes it; a warrant's signatures.
const (
	maxBegin   = 96 << 10
	maxJoin    = 16 << 10
	maxOpening = opening.MaxOpening + 1<<10
	maxWarrant = 1 << 20
)

// NewGroup makes both handlers of a group manager.
func NewGroup(m *registration.Manager, opts GroupOptions) *Group {
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	h := &groupHandlers{m: m}
	count := newMetrics("group", append([]prometheus.Collector{newGroupMetrics(m, log)}, opts.Metrics...)...)
	members := prometheus.NewRegistry()
	members.MustRegister(newMemberMetrics(m, log))
	all := prometheus.Gatherers{count.registry, members}

	table := groupRoutes()
	public := newEdge(edgeConfig{routes: table, rules: groupProblem, log: log, metrics: count})
	groupapi.RegisterHandlers(registrar{public, table}, groupapi.NewStrictHandler(h, nil))
	addHealth(public, nil, m.Ready)

	table = groupAdminRoutes()
	admin := newEdge(edgeConfig{routes: table, rules: groupProblem, log: log, metrics: count})
	groupapi.RegisterHandlers(registrar{admin, table}, groupapi.NewStrictHandler(h, nil))
	addHealth(admin, all, m.Ready)

	monitor := newEdge(edgeConfig{rules: groupProblem, log: log, metrics: count})
	addHealth(monitor, all, m.Ready)
	return &Group{Public: public, Admin: admin, Metrics: monitor}
}

// groupRoutes is all that the world can reach. Nobody needs a token: a TPM
// proves itself.
func groupRoutes() routes {
	return routes{
		"GET /v1/group":                         {cache: "public, max-age=60"},
		"GET /v1/warrants":                      {},
		"GET /v1/warrants/counts":               {cache: "public, max-age=60"},
		"POST /v1/registrations":                {limit: maxBegin},
		"POST /v1/registrations/:id/join":       {limit: maxJoin},
		"POST /v1/registrations/:id/activation": {limit: maxSmall},
		"POST /v1/renewals":                     {limit: maxSmall},
	}
}

// groupAdminRoutes is what the operator can reach besides.
func groupAdminRoutes() routes {
	return routes{
		"GET /v1/warrants":                       {},
		"GET /admin/v1/members":                  {},
		"GET /admin/v1/members/:id":              {},
		"POST /admin/v1/members/:id/expulsion":   {},
		"POST /admin/v1/members/:id/readmission": {},
		"POST /admin/v1/members/:id/transcript":  {limit: maxWarrant},
		"GET /admin/v1/statistics":               {},
		"POST /admin/v1/warrants":                {limit: maxWarrant},
		"GET /admin/v1/warrants/:digest":         {},
		"POST /admin/v1/openings":                {limit: maxOpening},
	}
}

// groupHandlers translates between the generated types and package
// registration.
type groupHandlers struct{ m *registration.Manager }

var _ groupapi.StrictServerInterface = (*groupHandlers)(nil)

// GetGroup implements GET /v1/group.
func (h *groupHandlers) GetGroup(ctx context.Context, r groupapi.GetGroupRequestObject) (groupapi.GetGroupResponseObject, error) {
	doc, err := h.m.Document(ctx)
	if err != nil {
		return nil, err
	}
	etag := `"` + base64.RawURLEncoding.EncodeToString(doc.Digest[:]) + `"`
	if r.Params.IfNoneMatch != nil && matchesETag(*r.Params.IfNoneMatch, etag) {
		return groupapi.GetGroup304Response{}, nil
	}
	return groupapi.GetGroup200JSONResponse{
		Body:    groupapi.Group{Document: string(doc.JWS)},
		Headers: groupapi.GetGroup200ResponseHeaders{ETag: etag},
	}, nil
}

// BeginRegistration implements POST /v1/registrations.
func (h *groupHandlers) BeginRegistration(ctx context.Context, r groupapi.BeginRegistrationRequestObject) (groupapi.BeginRegistrationResponseObject, error) {
	req := &registration.BeginRequest{EKPublic: r.Body.EkPublic}
	for _, c := range r.Body.EkChain {
		req.EKChain = append(req.EKChain, c)
	}
	s, err := h.m.Begin(ctx, req)
	if err != nil {
		return nil, err
	}
	return groupapi.BeginRegistration201JSONResponse{Id: s.ID.String(), Nonce: s.Nonce[:], Expires: s.Expires}, nil
}

// JoinRegistration implements POST /v1/registrations/{id}/join.
func (h *groupHandlers) JoinRegistration(ctx context.Context, r groupapi.JoinRegistrationRequestObject) (groupapi.JoinRegistrationResponseObject, error) {
	id, err := enrol.ParseID(r.Id)
	if err != nil {
		return nil, err
	}
	if len(r.Body.FormDigest) != 32 {
		return nil, fmt.Errorf("%w: form_digest is 32 bytes", registration.ErrMalformed)
	}
	ch, err := h.m.Join(ctx, id, &registration.JoinRequest{
		KeyPublic: r.Body.KeyPublic, Join: r.Body.Join, Form: r.Body.Form, FormDigest: [32]byte(r.Body.FormDigest),
	})
	if err != nil {
		return nil, err
	}
	return groupapi.JoinRegistration200JSONResponse{CredentialBlob: ch.CredentialBlob, EncryptedSecret: ch.EncryptedSecret}, nil
}

// ActivateRegistration implements POST /v1/registrations/{id}/activation.
func (h *groupHandlers) ActivateRegistration(ctx context.Context, r groupapi.ActivateRegistrationRequestObject) (groupapi.ActivateRegistrationResponseObject, error) {
	id, err := enrol.ParseID(r.Id)
	if err != nil {
		return nil, err
	}
	if len(r.Body.Mac) == 0 {
		return nil, fmt.Errorf("%w: no mac", registration.ErrMalformed)
	}
	c, err := h.m.Activate(ctx, id, r.Body.Mac)
	if err != nil {
		return nil, err
	}
	out := groupapi.ActivateRegistration200JSONResponse{Epoch: int64(c.Epoch), Credential: c.Sealed}
	if len(c.Successions) > 0 {
		words := make([]string, len(c.Successions))
		for i, jws := range c.Successions {
			words[i] = string(jws)
		}
		out.Successions = &words
	}
	return out, nil
}

// Renew implements POST /v1/renewals.
func (h *groupHandlers) Renew(ctx context.Context, r groupapi.RenewRequestObject) (groupapi.RenewResponseObject, error) {
	id, err := enrol.ParseID(r.Body.Member)
	if err != nil {
		return nil, err
	}
	n, err := h.m.Renew(ctx, id)
	if err != nil {
		return nil, err
	}
	out := groupapi.Renew200JSONResponse{
		Epoch: int64(n.Epoch), Credential: n.Sealed,
		CredentialBlob: n.CredentialBlob, EncryptedSecret: n.EncryptedSecret,
	}
	if len(n.Successions) > 0 {
		out.Successions = new(api.Bytes(n.Successions))
	}
	return out, nil
}

package server

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/opening"
	"github.com/speciecash/specie/server/issuerapi"
	"github.com/speciecash/specie/trust"
)

// IssuerOptions are what the issuer's listeners need besides the bank.
type IssuerOptions struct {
	// Groups are shown in /v1/info.
	Groups []GroupLink
	// Root is what tokens for traces are verified by; without it there are
	// none.
	Root *trust.Root
	// Metrics are served beside the daemon's own.
	Metrics []prometheus.Collector
	// Rate bounds how fast one client may ask the public listener.
	Rate Rate
	// Logger is silent if nil.
	Logger *slog.Logger
}

// GroupLink says where a group's manager is found.
type GroupLink struct {
	ID  string
	URL string
}

// Issuer is what a bank serves: Public to the world, Admin on a UNIX socket.
type Issuer struct {
	// Public has /livez and /readyz besides, and no metrics: what a stranger
	// sees change tells him what somebody does.
	Public http.Handler
	// Admin has /livez, /readyz and /metrics too, the latter with what was
	// issued and redeemed under each key.
	Admin http.Handler
	// Staff is Admin for those who come over the network: each route wants an
	// access token of the bank's staff as well, and there are no metrics.
	Staff http.Handler
	// Metrics is those three alone, for a listener that only the operator's
	// monitoring can reach.
	Metrics http.Handler

	stop func()
}

// Stop ends the audit and the trace that run, if there are such. It is called
// after Serve has returned and before the ledger is closed.
func (i *Issuer) Stop() { i.stop() }

// Largest bodies, in bytes: 256 outputs under 4096-bit keys; a spend with an
// offer beside it.
const (
	maxWithdrawal = 256 << 10
	maxExchange   = coin.MaxSpendJSON + 1<<10
	maxRecoup     = maxExchange + coin.MaxClaimsJSON
	maxDeposit    = coin.MaxSpendJSON + 24<<10
	maxCoins      = 64 << 10 // 256 of 110 bytes
	maxSmall      = 4 << 10
)

// NewIssuer makes both handlers of a bank.
func NewIssuer(bank *issuer.Bank, opts IssuerOptions) *Issuer {
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	h := &issuerHandlers{
		bank: bank, groups: opts.Groups, root: opts.Root,
		audits: &jobs[*issuer.AuditReport]{what: "audit", now: bank.Now},
		traces: &jobs[*traced]{what: "trace", now: bank.Now}, backups: &backups{},
	}
	m := newMetrics("issuer", append([]prometheus.Collector{newBankMetrics(bank)}, opts.Metrics...)...)
	keys := prometheus.NewRegistry()
	keys.MustRegister(newKeyMetrics(bank, log), newWorkMetrics(bank, h.audits, log), newFigureMetrics(bank, h.backups, log))
	all := prometheus.Gatherers{m.registry, keys}

	rules := issuerRules(bank.Now)
	table := issuerRoutes(bank)
	h.limits = limitsJSON(bank.Limits(), table)
	public := newEdge(edgeConfig{routes: table, rules: rules, log: log, metrics: m, rate: newThrottle(opts.Rate)})
	issuerapi.RegisterHandlers(registrar{public, table}, issuerapi.NewStrictHandler(h, nil))
	addHealth(public, nil, bank.Ready)

	table = issuerAdminRoutes()
	admin := newEdge(edgeConfig{routes: table, rules: rules, log: log, metrics: m})
	issuerapi.RegisterHandlers(registrar{admin, table}, issuerapi.NewStrictHandler(h, nil))
	addHealth(admin, all, bank.Ready)

	table = issuerStaffRoutes(bank)
	staff := newEdge(edgeConfig{routes: table, rules: rules, log: log, metrics: m})
	issuerapi.RegisterHandlers(registrar{staff, table}, issuerapi.NewStrictHandler(h, nil))
	addHealth(staff, nil, bank.Ready)

	monitor := newEdge(edgeConfig{rules: rules, log: log, metrics: m})
	addHealth(monitor, all, bank.Ready)
	return &Issuer{Public: public, Admin: admin, Staff: staff, Metrics: monitor, stop: func() {
		h.audits.stop()
		h.traces.stop()
	}}
}

// issuerRoutes is all that the world can reach.
func issuerRoutes(bank *issuer.Bank) routes {
	may := func(s issuer.Scope) guard { return accountGuard(bank, s) }
	return routes{
		"GET /v1/info":            {cheap: true},
		"GET /v1/keys":            {cheap: true, cache: "public, max-age=60"},
		"GET /v1/ops/:op":         {},
		"GET /v1/keysets/:seq":    {cache: "public, max-age=86400"},
		"POST /v1/restore":        {limit: maxWithdrawal},
		"POST /v1/coins":          {limit: maxCoins},
		"POST /v1/exchanges":      {limit: maxExchange},
		"POST /v1/recoups":        {limit: maxRecoup},
		"POST /v1/recoveries":     {limit: maxRecoup},
		"POST /v1/withdrawals":    {limit: maxWithdrawal, guard: may(issuer.ScopeWithdraw)},
		"POST /v1/deposits":       {limit: maxDeposit, guard: may(issuer.ScopeDeposit)},
		"GET /v1/deposits/:op":    {guard: may(issuer.ScopeDeposit)},
		"POST /v1/holds":          {limit: maxDeposit, guard: may(issuer.ScopeHold)},
		"DELETE /v1/holds/:op":    {guard: may(issuer.ScopeHold)},
		"POST /v1/refunds":        {limit: maxWithdrawal, guard: may(issuer.ScopeRefund)},
		"GET /v1/account":         {guard: may(issuer.ScopeAccount)},
		"GET /v1/account/entries": {guard: may(issuer.ScopeAccount)},

		"GET /v1/account/statement":        {guard: may(issuer.ScopeAccount)},
		"GET /v1/account/tokens":           {guard: may(issuer.ScopeTokens)},
		"POST /v1/account/tokens":          {limit: maxSmall, guard: may(issuer.ScopeTokens)},
		"DELETE /v1/account/tokens/:token": {guard: may(issuer.ScopeTokens)},
	}
}

// issuerAdminRoutes is what the operator can reach besides.
func issuerAdminRoutes() routes {
	return routes{
		"POST /admin/v1/accounts": {limit: maxSmall},
		"POST /admin/v1/fundings": {limit: maxSmall},
		"GET /admin/v1/audit":     {},

		"GET /admin/v1/backup":          {},
		"GET /admin/v1/reconciliation":  {},
		"POST /admin/v1/reconciliation": {limit: maxSmall},

		"POST /admin/v1/audit":    {},
		"GET /admin/v1/trace":     {},
		"POST /admin/v1/trace":    {limit: opening.MaxToken + 1<<10},
		"GET /admin/v1/books":     {},
		"GET /admin/v1/figures":   {},
		"GET /admin/v1/cases":     {},
		"GET /admin/v1/cases/:id": {},
		"GET /admin/v1/strikes":   {},

		"GET /admin/v1/accounts":                            {},
		"GET /admin/v1/accounts/:kind/:id":                  {},
		"GET /admin/v1/accounts/:kind/:id/statement":        {},
		"POST /admin/v1/accounts/:kind/:id/suspension":      {limit: maxSmall},
		"DELETE /admin/v1/accounts/:kind/:id/suspension":    {},
		"GET /admin/v1/accounts/:kind/:id/tokens":           {},
		"POST /admin/v1/accounts/:kind/:id/tokens":          {limit: maxSmall},
		"DELETE /admin/v1/accounts/:kind/:id/tokens/:token": {},
		"POST /admin/v1/payouts":                            {limit: maxSmall},
		"GET /admin/v1/drain":                               {},
		"PUT /admin/v1/drain":                               {limit: maxSmall},
	}
}

type accountKey struct{}

// accountGuard lets accounts pass that may do what is of that scope.
func accountGuard(bank *issuer.Bank, s issuer.Scope) guard {
	return func(ctx context.Context, token string) (context.Context, error) {
		account, err := bank.Authenticate(ctx, issuer.Token(token))
		if err == nil {
			err = account.May(s)
		}
		if err != nil {
			return nil, err
		}
		return context.WithValue(ctx, accountKey{}, account), nil
	}
}

// caller is the account that the guard let pass. A route without a guard has
// none, and must not come here.
func caller(ctx context.Context) (*issuer.Account, error) {
	account, ok := ctx.Value(accountKey{}).(*issuer.Account)
	if !ok {
		return nil, issuer.ErrUnauthorized
	}
	return account, nil
}

// issuerHandlers translates between the generated types and package issuer.
type issuerHandlers struct {
	bank   *issuer.Bank
	groups []GroupLink
	root   *trust.Root
	limits issuerapi.Limits
	audits *jobs[*issuer.AuditReport]
	traces *jobs[*traced]

	backups *backups
}

var _ issuerapi.StrictServerInterface = (*issuerHandlers)(nil)

// GetInfo implements GET /v1/info.
func (h *issuerHandlers) GetInfo(ctx context.Context, _ issuerapi.GetInfoRequestObject) (issuerapi.GetInfoResponseObject, error) {
	k, root := h.bank.Keyset(), h.bank.Root()
	info := issuerapi.Info{
		Bank: k.Bank, Currency: k.Currency, Exponent: k.Exponent, KeysetSeq: int64(k.Seq),
		KeysetDigest: k.Digest[:], Root: root[:], Time: h.bank.Now(), Groups: []issuerapi.Group{},
	}
	standing, err := h.bank.Reconciliation(ctx)
	if err != nil {
		return nil, err
	}
	info.RestoreEpoch = int64(standing.Epoch)
	if standing.Open {
		info.Reconciling = &standing.Open
	}
	if info.Draining, err = h.bank.Draining(ctx); err != nil {
		return nil, err
	}
	info.Limits = h.limits
	for _, g := range h.groups {
		info.Groups = append(info.Groups, issuerapi.Group{Id: g.ID, Url: g.URL})
	}
	return issuerapi.GetInfo200JSONResponse(info), nil
}

// GetKeys implements GET /v1/keys.
func (h *issuerHandlers) GetKeys(_ context.Context, r issuerapi.GetKeysRequestObject) (issuerapi.GetKeysResponseObject, error) {
	keyset, signed := h.bank.SignedKeyset()
	etag := `"` + base64.RawURLEncoding.EncodeToString(keyset.Digest[:]) + `"`
	if r.Params.IfNoneMatch != nil && matchesETag(*r.Params.IfNoneMatch, etag) {
		return issuerapi.GetKeys304Response{}, nil
	}
	return issuerapi.GetKeys200JSONResponse{
		Body:    issuerapi.Keys{Keyset: string(signed)},
		Headers: issuerapi.GetKeys200ResponseHeaders{ETag: etag},
	}, nil
}

// matchesETag is the weak comparison of RFC 9110 §13.1.2.
func matchesETag(header, etag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == etag || candidate == "*" {
			return true
		}
	}
	return false
}

// Withdraw implements POST /v1/withdrawals.
func (h *issuerHandlers) Withdraw(ctx context.Context, r issuerapi.WithdrawRequestObject) (issuerapi.WithdrawResponseObject, error) {
	account, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	outputs, err := coin.ParseOutputsJSON(r.Body.Outputs)
	if err != nil {
		return nil, err
	}
	signed, err := h.bank.Withdraw(ctx, account, outputs)
	if err != nil {
		return nil, err
	}
	return issuerapi.Withdraw200JSONResponse{Op: id64(signed.Op), Signatures: bytes64(signed.Signatures)}, nil
}

// Exchange implements POST /v1/exchanges.
func (h *issuerHandlers) Exchange(ctx context.Context, r issuerapi.ExchangeRequestObject) (issuerapi.ExchangeResponseObject, error) {
	spend, authorisation, err := r.Body.Spend.Parse()
	if err != nil {
		return nil, err
	}
	signed, err := h.bank.Exchange(ctx, spend, authorisation)
	if err != nil {
		return nil, err
	}
	return issuerapi.Exchange200JSONResponse{Op: id64(signed.Op), Signatures: bytes64(signed.Signatures)}, nil
}

// Recoup implements POST /v1/recoups.
func (h *issuerHandlers) Recoup(ctx context.Context, r issuerapi.RecoupRequestObject) (issuerapi.RecoupResponseObject, error) {
	spend, authorisation, err := r.Body.Spend.Parse()
	if err != nil {
		return nil, err
	}
	claims, err := coin.ParseClaimsJSON(r.Body.Claims)
	if err != nil {
		return nil, err
	}
	signed, err := h.bank.Recoup(ctx, spend, authorisation, claims)
	if err != nil {
		return nil, err
	}
	return issuerapi.Recoup200JSONResponse{Op: id64(signed.Op), Signatures: bytes64(signed.Signatures)}, nil
}

// Recover implements POST /v1/recoveries.
func (h *issuerHandlers) Recover(ctx context.Context, r issuerapi.RecoverRequestObject) (issuerapi.RecoverResponseObject, error) {
	spend, authorisation, err := r.Body.Spend.Parse()
	if err != nil {
		return nil, err
	}
	var claims []coin.Claim
	if r.Body.Claims != nil {
		if claims, err = coin.ParseClaimsJSON(*r.Body.Claims); err != nil {
			return nil, err
		}
	}
	signed, err := h.bank.Recover(ctx, spend, authorisation, claims)
	if err != nil {
		return nil, err
	}
	return issuerapi.Recover200JSONResponse{Op: id64(signed.Op), Signatures: bytes64(signed.Signatures)}, nil
}

// Deposit implements POST /v1/deposits.
func (h *issuerHandlers) Deposit(ctx context.Context, r issuerapi.DepositRequestObject) (issuerapi.DepositResponseObject, error) {
	account, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	spend, authorisation, err := r.Body.Spend.Parse()
	if err != nil {
		return nil, err
	}
	if len(r.Body.PayeeSalt) != 32 {
		return nil, fmt.Errorf("%w: payee_salt is 32 bytes", issuer.ErrMalformed)
	}
	request := &issuer.DepositRequest{
		Offer: r.Body.Offer, PayeeSalt: [32]byte(r.Body.PayeeSalt), Spend: spend, Authorisation: authorisation,
	}
	var done *issuer.Deposited
	if r.Body.Receipt != nil {
		done, err = h.bank.Redeposit(ctx, account, request, []byte(*r.Body.Receipt))
	} else {
		done, err = h.bank.Deposit(ctx, account, request)
	}
	if err != nil {
		return nil, err
	}
	return issuerapi.Deposit200JSONResponse{
		Op: id64(done.Op), Receipt: string(done.Receipt), Signatures: bytes64(done.Signatures),
	}, nil
}

// GetOp implements GET /v1/ops/{op}.
func (h *issuerHandlers) GetOp(ctx context.Context, r issuerapi.GetOpRequestObject) (issuerapi.GetOpResponseObject, error) {
	id, err := parseID(r.Op)
	if err != nil {
		return nil, err
	}
	op, err := h.bank.Operation(ctx, id)
	if err != nil {
		return nil, err
	}
	out := issuerapi.Op{
		Op: id64(op.ID), Kind: issuerapi.OpKind(op.Kind), State: issuerapi.OpState(op.State), At: op.At,
		Outputs: coin.NewOutputsJSON(op.Outputs), Signatures: bytes64(op.Signatures),
	}
	if out.Outputs == nil {
		out.Outputs = []coin.OutputJSON{}
	}
	if len(op.Receipt) > 0 {
		receipt := string(op.Receipt)
		out.Receipt = &receipt
	}
	return issuerapi.GetOp200JSONResponse(out), nil
}

// GetAccount implements GET /v1/account.
func (h *issuerHandlers) GetAccount(ctx context.Context, _ issuerapi.GetAccountRequestObject) (issuerapi.GetAccountResponseObject, error) {
	account, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	balance, err := h.bank.Balance(ctx, account.ID)
	if err != nil {
		return nil, err
	}
	return issuerapi.GetAccount200JSONResponse(accountJSON(account, balance)), nil
}

// GetEntries implements GET /v1/account/entries.
func (h *issuerHandlers) GetEntries(ctx context.Context, r issuerapi.GetEntriesRequestObject) (issuerapi.GetEntriesResponseObject, error) {
	account, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	page, err := pageOf(r.Params.After, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	entries, next, err := h.bank.Entries(ctx, account.ID, page)
	if err != nil {
		return nil, err
	}
	out := issuerapi.Entries{Entries: make([]issuerapi.Entry, len(entries)), Next: nextOf(next)}
	for i, e := range entries {
		out.Entries[i] = issuerapi.Entry{
			Op: id64(e.Op), Kind: e.Kind, State: e.State, Amount: e.Amount, Currency: e.Currency, At: e.At,
		}
	}
	return issuerapi.GetEntries200JSONResponse(out), nil
}

func accountJSON(a *issuer.Account, balance int64) issuerapi.Account {
	out := issuerapi.Account{
		Id: a.ID, Kind: issuerapi.AccountKind(a.Kind), Name: a.Name, Currency: a.Currency,
		Balance: balance, Suspended: a.Suspended, CreatedAt: a.CreatedAt,
	}
	if a.Merchant != "" {
		out.Merchant = &a.Merchant
	}
	return out
}

func pageOf(after *string, limit *int) (ledger.Page, error) {
	var page ledger.Page
	if after != nil {
		page.After = ledger.Cursor(*after)
	}
	if limit != nil {
		if *limit < 1 || *limit > ledger.MaxPage {
			return page, fmt.Errorf("%w: limit is 1 to %d", issuer.ErrMalformed, ledger.MaxPage)
		}
		page.Limit = *limit
	}
	return page, nil
}

func nextOf(c ledger.Cursor) *string {
	if c == "" {
		return nil
	}
	next := string(c)
	return &next
}

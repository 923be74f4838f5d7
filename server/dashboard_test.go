package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v4"

	"github.com/speciecash/specie/api/apitest"
	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
)

// watched is a bank after a day's work, and what its operator's monitoring
// reads.
func watched(t *testing.T) string {
	t.Helper()
	b := newBranch(t, readContract(t, "issuer.yaml"))
	tokens := NewHSMMetrics(b.House.Token.Info(), b.House.Token.Stats)
	h := NewIssuer(b.Bank.Bank, IssuerOptions{Root: b.House.Root, Metrics: []prometheus.Collector{tokens}})
	t.Cleanup(h.Stop)
	b.public.Config.Handler = b.contract.watch(t, h.Public)
	b.admin.Config.Handler = b.contract.watch(t, h.Admin)

	coins := b.withdraw(t, 8, 4)
	offer := b.till.Offer(t, 12, nil)
	s, a := b.purse.Pay(t, offer, coins, nil)
	for range 2 { // the second is answered from the record
		decode[issuerclient.Deposited](t, b.post(t, "/v1/deposits", b.till.Token, deposit(t, offer, s, a)), 200)
	}
	again := b.till.Offer(t, 8, nil)
	s, a = b.purse.Pay(t, again, coins[slices.IndexFunc(coins, func(c coin.Coin) bool { return c.KeyID == b.House.Key(t, coin.Bearer, 8).KeyID }):][:1], nil)
	refused(t, b.post(t, "/v1/deposits", b.till.Token, deposit(t, again, s, a)), http.StatusConflict, CodeDoubleSpend)
	b.Signer.FailNext.Store(1)
	refused(t, b.post(t, "/v1/withdrawals", b.holderToken, withdrawal(b.purse.Prepare(t, 1))), 503, CodeUnavailable)
	fatal(t, b.Suspend(t.Context(), b.till.Account.ID, "for the test"))
	operator, err := issuerclient.NewClientWithResponses(b.admin.URL)
	fatal(t, err)
	auditNow(t, operator)
	return scrape(t, h.Metrics)
}

// names are all metrics of a scrape, and what is only there once it happened.
func names(t *testing.T, scraped string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for line := range strings.Lines(scraped) {
		if !strings.HasPrefix(line, "#") {
			name, _, _ := strings.Cut(line, "{")
			name, _, _ = strings.Cut(name, " ")
			out[name] = true
		}
	}
	descs := make(chan *prometheus.Desc, 32)
	newBranchHSM(t).Describe(descs)
	close(descs)
	for d := range descs {
		name := regexp.MustCompile(`fqName: "([a-z_]+)"`).FindStringSubmatch(d.String())
		out[name[1]] = true
	}
	return out
}

func newBranchHSM(t *testing.T) prometheus.Collector {
	b := newBranch(t, readContract(t, "issuer.yaml"))
	return NewHSMMetrics(b.House.Token.Info(), b.House.Token.Stats)
}

// used are the metrics in an expression of PromQL.
func used(expr string) []string {
	for _, drop := range []string{`"[^"]*"`, `\{[^}]*\}`, `\[[^\]]*\]`, `\b(by|without)\s*\([^)]*\)`, `\b[0-9.e]+\b`} {
		expr = regexp.MustCompile(drop).ReplaceAllString(expr, " ")
	}
	functions := []string{"sum", "min", "max", "rate", "increase", "histogram_quantile", "time", "absent", "or", "and"}
	var out []string
	for _, word := range regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`).FindAllString(expr, -1) {
		if !slices.Contains(functions, word) {
			out = append(out, word)
		}
	}
	return out
}

type dashboard struct {
	Title, UID    string
	SchemaVersion int
	Templating    struct {
		List []struct{ Name, Type string }
	}
	Panels []struct {
		ID          int
		Type, Title string
		Datasource  *struct{ Type, UID string }
		GridPos     struct{ H, W, X, Y int }
		FieldConfig *json.RawMessage
		Options     *json.RawMessage
		Targets     []struct {
			RefID, Expr string
			Datasource  *struct{ UID string }
		}
	}
}

type alerts struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			For         string            `yaml:"for"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

func TestTheDashboardAndTheAlertsNameMetricsThatExist(t *testing.T) {
	have := names(t, watched(t))
	check := func(what, expr string) {
		metrics := used(expr)
		if len(metrics) == 0 {
			t.Errorf("%s: no metric in %q", what, expr)
		}
		for _, m := range metrics {
			if !have[m] {
				t.Errorf("%s: there is no metric %s", what, m)
			}
		}
	}
	var d dashboard
	data, err := os.ReadFile("../contrib/grafana/specie-issuer.json")
	fatal(t, err)
	fatal(t, json.Unmarshal(data, &d))
	if d.Title == "" || d.UID == "" || d.SchemaVersion < 36 || len(d.Templating.List) == 0 || d.Templating.List[0].Type != "datasource" {
		t.Errorf("the dashboard lacks what Grafana needs: %+v", d.Templating)
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.W == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q: id, title or place", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%q lies on %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Datasource == nil || p.Datasource.UID != "${datasource}" || p.FieldConfig == nil || p.Options == nil || len(p.Targets) == 0 {
			t.Errorf("panel %q lacks what Grafana needs", p.Title)
		}
		for _, target := range p.Targets {
			if target.RefID == "" || target.Datasource == nil {
				t.Errorf("panel %q: a target without id or source", p.Title)
			}
			check("panel "+p.Title, target.Expr)
		}
	}
	var a alerts
	data, err = os.ReadFile("../contrib/prometheus/alerts.yaml")
	fatal(t, err)
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	dec.KnownFields(true)
	fatal(t, dec.Decode(&a))
	for _, g := range a.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || r.Annotations["summary"] == "" || r.Annotations["action"] == "" ||
				!slices.Contains([]string{"page", "ticket"}, r.Labels["severity"]) {
				t.Errorf("alert %q lacks a part", r.Alert)
			}
			check("alert "+r.Alert, r.Expr)
		}
	}
}

// metricsTable is the operator's handbook's list of metrics.
func metricsTable(scraped string) []byte {
	rows := map[string]string{}
	kinds := map[string]string{}
	for line := range strings.Lines(scraped) {
		f := strings.SplitN(strings.TrimSpace(line), " ", 4)
		if len(f) < 4 || f[0] != "#" || !strings.HasPrefix(f[2], "specie_") {
			continue
		}
		if f[1] == "TYPE" {
			kinds[f[2]] = f[3]
		} else {
			rows[f[2]] = f[3]
		}
	}
	var b strings.Builder
	b.WriteString("| metric | kind | |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, kinds[name], rows[name])
	}
	return []byte(b.String())
}

func TestTheListOfMetricsIsUpToDate(t *testing.T) {
	apitest.Section(t, "../docs/operator.md", "metrics", metricsTable(watched(t)))
}

func TestTheOperatorSeesWhatTheBankDoes(t *testing.T) {
	scraped := watched(t)
	wantLines(t, scraped,
		`specie_operations_total{kind="deposit",outcome="applied"} 1`,
		`specie_operations_total{kind="deposit",outcome="conflict"} 1`,
		`specie_operations_total{kind="withdrawal",outcome="applied"} 2`,
		`specie_coins_redeemed_total{kind="bearer"} 2`, `specie_coins_redeemed_total{kind="bound"} 0`,
		`specie_double_spends_total{kind="bearer"} 1`, `specie_double_spends_total{kind="bound"} 0`,
		`specie_signatures_total{result="made"} 2`, `specie_signatures_total{result="failed"} 1`,
		`specie_signing_seconds_count 1`, `specie_up{part="ledger"} 1`, `specie_up{part="token"} 1`,
		`specie_holds_open 0`, `specie_accounts_suspended 1`, `specie_draining 0`,
		`specie_audit_last_sound 1`, `specie_audit_last_problems 0`, `specie_audit_running 0`, `specie_ledger_waiting 0`,
	)
	if !regexp.MustCompile(`specie_ledger_batch_calls_count [1-9]`).MatchString(scraped) {
		t.Error("no batch of the ledger's is counted")
	}
	// Names by Prometheus's conventions, and each with its help.
	types := map[string]string{}
	for line := range strings.Lines(scraped) {
		if f := strings.Fields(line); len(f) == 4 && f[1] == "TYPE" && strings.HasPrefix(f[2], "specie_") {
			types[f[2]] = f[3]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		if counter := types[name] == "counter"; counter != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s", name, types[name])
		}
		if !strings.Contains(scraped, fmt.Sprintf("# HELP %s ", name)) {
			t.Errorf("%s has no help", name)
		}
	}
}

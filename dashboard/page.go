package dashboard

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
)

// page is what page.html is made of.
type page struct {
	Bank, Currency, Socket, Docs string
	At                           string
	Keyset                       int64
	Views                        []choice
	Alarms                       []alarm
	Quiet                        bool // no alarm but notes
	Tiles                        []fact
	Reading                      string // from when on the charts are complete
	New                          bool   // nothing has ever moved
	Circulation                  area
	Each                         string
	Ops                          []bars
	Kinds                        []kindOfKeys
	Health                       []healthCard
	Acts                         []act
	Suspensions                  []act
}

// choice is a view to choose.
type choice struct {
	Name, Label string
	Chosen      bool
}

// fact is a figure with its name. Metric names the metric that has the same
// number, Raw.
type fact struct {
	Name, Value string
	Note        string
	Metric      string
	Raw         float64
	Bad         bool
}

// kindOfKeys are the keys of one kind of coin.
type kindOfKeys struct {
	Kind, Class string
	Until       string // of the first key that issues
	// Unused says how many keys there are, if nothing was ever issued under one.
	Unused string
	Keys   []keyRow
}

// keyRow is a key of the table.
type keyRow struct {
	Kid, ID, Labels     string // ID whole, Labels as metrics have them
	Value               string
	Issued, Redeemed    string
	IssuedN, RedeemedN  int64
	Out                 string
	Coins               string
	RedeemedW, OutX, OW string // of the bar, in percent
	Until, Note         string
	Bad, Over           bool
	Hover               string
}

type healthCard struct {
	Title string
	Facts []fact
}

type act struct {
	At, Kind, Account, Name, Reason string
}

const (
	areaHeight = 220
	barHeight  = 96
)

// read asks the bank and makes the page's data.
func (d *Dashboard) read(ctx context.Context, v view) (*page, error) {
	chosen := v
	if v.Name == "" {
		v = viewNamed("day")
	}
	f, err := d.figures(ctx, v)
	if err == nil && chosen.Name == "" && !fits(f) {
		v = viewNamed("hour")
		f, err = d.figures(ctx, v)
	}
	if err != nil {
		return nil, err
	}
	var tokens []token
	if d.cfg.Token != nil {
		text, err := d.cfg.Token(ctx)
		if err != nil {
			d.cfg.Logger.Warn("the token's process does not answer", "error", err)
		}
		tokens = tokensOf(text)
	}
	c := currency{f.Currency, f.Exponent}
	p := &page{
		Bank: f.Bank, Currency: f.Currency, Socket: d.cfg.Socket, Docs: d.cfg.Docs,
		At: f.At.UTC().Format("2006-01-02 15:04:05 UTC"), Keyset: f.KeysetSeq, Each: v.Each,
		Alarms: alarms(f, tokens, c), New: untouched(f),
	}
	p.Quiet = !slices.ContainsFunc(p.Alarms, func(a alarm) bool { return a.Grade != gradeNote })
	for _, one := range views() {
		p.Views = append(p.Views, choice{one.Name, one.Label, one.Name == v.Name})
	}
	if f.CompleteSince != nil && f.CompleteSince.After(f.From) {
		p.Reading = clock(*f.CompleteSince)
	}
	p.tiles(f, c)
	p.charts(f, v, c)
	p.keys(f, c)
	p.health(f, tokens)
	p.people(f)
	return p, nil
}

// untouched says whether no money has ever been in the bank.
func untouched(f *issuerclient.Figures) bool {
	for _, c := range f.Classes {
		if c.Balance != 0 {
			return false
		}
	}
	for i := range f.Keys {
		if f.Keys[i].Issued != 0 || f.Keys[i].Redeemed != 0 {
			return false
		}
	}
	return true
}

func (p *page) tiles(f *issuerclient.Figures, c currency) {
	class := map[string]int64{}
	for _, b := range f.Classes {
		class[b.Class] = b.Balance
	}
	balance := func(name, of, note string) fact {
		return fact{
			Name: name, Value: c.amount(class[of]), Note: note,
			Metric: fmt.Sprintf("specie_class_balance_minor_units{class=%q}", of), Raw: float64(class[of]),
		}
	}
	day := func(name, kind, thing string) fact {
		for _, o := range f.Day {
			if o.Kind == kind {
				return fact{
					Name: name, Value: c.amount(o.Worth), Note: plural(o.Count, thing) + " in 24 h",
					Metric: fmt.Sprintf("specie_day_minor_units{kind=%q}", kind), Raw: float64(o.Worth),
				}
			}
		}
		return fact{Name: name, Value: "–"}
	}
	p.Tiles = []fact{
		balance("In circulation", "circulation", "coins that are out"),
		balance("Holders' accounts", "holder", "owed to them"),
		balance("Merchants' accounts", "merchant", "owed to them"),
		day("Withdrawn", "withdrawal", "withdrawal"),
		day("Paid in", "deposit", "deposit"),
		{Name: "Checks under way", Value: grouped(int64(f.Holds)), Note: "coins held for a till", Metric: "specie_holds_open", Raw: float64(f.Holds)},
	}
}

// charts draws what moved.
func (p *page) charts(f *issuerclient.Figures, v view, c currency) {
	times := make([]time.Time, len(f.Steps))
	circulation := map[string][]int64{"bearer": nil, "bound": nil, "": nil}
	for kind := range circulation {
		circulation[kind] = make([]int64, len(f.Steps))
	}
	counts, worths := map[string][]int64{}, map[string][]int64{}
	for i := range f.Steps {
		s := &f.Steps[i]
		times[i] = s.At.UTC()
		for _, x := range s.Circulation {
			if circulation[x.Kind] == nil {
				circulation[x.Kind] = make([]int64, len(f.Steps))
			}
			circulation[x.Kind][i] = x.Amount
		}
		for _, o := range s.Operations {
			if counts[o.Kind] == nil {
				counts[o.Kind], worths[o.Kind] = make([]int64, len(f.Steps)), make([]int64, len(f.Steps))
			}
			counts[o.Kind][i], worths[o.Kind][i] = o.Count, o.Worth
		}
	}
	var all []series
	for _, kind := range []string{"bearer", "bound", ""} {
		values := circulation[kind]
		if kind == "" && !slices.ContainsFunc(values, func(n int64) bool { return n != 0 }) {
			continue
		}
		all = append(all, series{
			class: "k-" + kindClass(kind), label: kindName(kind), values: values,
			metric: fmt.Sprintf("specie_circulation_minor_units{kind=%q}", kind),
		})
	}
	p.Circulation = stack(areaHeight, all, times, v, c.money, c.axis)
	p.Circulation.Label = "Coins in circulation by kind, " + v.Label
	for _, o := range []struct{ kind, label, class string }{
		{"withdrawal", "Withdrawals", "o-withdrawal"}, {"deposit", "Payments deposited", "o-deposit"},
		{"exchange", "Exchanges", "o-exchange"}, {"refund", "Refunds", "o-refund"},
	} {
		if counts[o.kind] == nil {
			counts[o.kind], worths[o.kind] = make([]int64, len(times)), make([]int64, len(times))
		}
		b := columns(barHeight, counts[o.kind], worths[o.kind], times, v, c.money)
		b.Label, b.Class = o.label, o.class
		b.Count, b.Worth = grouped(total(counts[o.kind])), c.money(total(worths[o.kind]))
		for _, day := range f.Day {
			if day.Kind == o.kind {
				b.DayCount, b.DayWorth = day.Count, day.Worth
			}
		}
		b.Day = fmt.Sprintf("%s in 24 hours, %s", grouped(b.DayCount), c.money(b.DayWorth))
		b.MetricCount = fmt.Sprintf("specie_day_operations{kind=%q}", o.kind)
		b.MetricWorth = fmt.Sprintf("specie_day_minor_units{kind=%q}", o.kind)
		p.Ops = append(p.Ops, b)
	}
}

func total(values []int64) (sum int64) {
	for _, v := range values {
		sum += v
	}
	return sum
}

func kindName(kind string) string {
	if kind == "" {
		return "under forgotten keys"
	}
	return kind
}

func kindClass(kind string) string {
	if kind == "bearer" || kind == "bound" {
		return kind
	}
	return "other"
}

// keys fills in the table: bars of one scale, so that rows compare.
func (p *page) keys(f *issuerclient.Figures, c currency) {
	var most int64 = 1
	for i := range f.Keys {
		most = max(most, int64(f.Keys[i].Issued), int64(f.Keys[i].Redeemed))
	}
	for i := range f.Keys {
		k := &f.Keys[i]
		if len(p.Kinds) == 0 || p.Kinds[len(p.Kinds)-1].Kind != kindName(k.Kind) {
			p.Kinds = append(p.Kinds, kindOfKeys{Kind: kindName(k.Kind), Class: "k-" + kindClass(k.Kind)})
		}
		into := &p.Kinds[len(p.Kinds)-1]
		row := keyOf(k, f.At, most, c)
		if into.Until == "" && row.Note == "issues" {
			into.Until = row.Until
		}
		into.Keys = append(into.Keys, row)
	}
	for i := range p.Kinds {
		used := slices.ContainsFunc(p.Kinds[i].Keys, func(k keyRow) bool { return k.IssuedN != 0 || k.RedeemedN != 0 || k.Bad })
		if !used {
			p.Kinds[i].Unused = plural(int64(len(p.Kinds[i].Keys)), "denomination") + ", none issued yet"
		}
	}
}

func keyOf(k *issuerclient.KeyFigures, now time.Time, most int64, c currency) keyRow {
	share := func(n int64) float64 { return float64(n) / float64(most) }
	issued, redeemed := int64(k.Issued), int64(k.Redeemed)
	row := keyRow{
		Kid: short(k.Kid), ID: k.Kid, Value: c.amount(int64(k.Value)),
		Labels: fmt.Sprintf("{kid=%q,kind=%q,value=\"%d\"}", k.Kid, k.Kind, k.Value),
		Issued: c.amount(issued), Redeemed: c.amount(redeemed), IssuedN: issued, RedeemedN: redeemed, Out: c.amount(k.Balance),
		RedeemedW: percent(share(min(issued, redeemed))), OutX: percent(share(min(issued, redeemed))), OW: percent(share(max(issued-redeemed, redeemed-issued))),
		Over: k.Leaked, Bad: k.Leaked || k.Missing || k.Revoked || k.Lost,
	}
	if k.Value > 0 {
		row.Coins = grouped(k.Balance / int64(k.Value))
		row.Hover = fmt.Sprintf("%s issued, %s redeemed", plural(issued/int64(k.Value), "coin"), grouped(redeemed/int64(k.Value)))
	}
	switch {
	case k.Leaked:
		row.Note = "leaked"
	case k.Missing:
		row.Note = "missing"
	case k.Revoked:
		row.Note = "revoked"
	case k.Lost:
		row.Note = "lost"
	case k.IssueFrom != nil && now.Before(*k.IssueFrom):
		row.Note = "to come"
	case k.IssueUntil != nil && now.Before(*k.IssueUntil):
		row.Note = "issues"
	case k.SpendUntil != nil && now.Before(*k.SpendUntil):
		row.Note = "spends"
	case k.SpendUntil != nil:
		row.Note = "over"
	}
	if k.IssueUntil != nil {
		row.Until = fmt.Sprintf("issues until %s, spends until %s", date(*k.IssueUntil), date(*k.SpendUntil))
	}
	return row
}

// health says how the parts are.
func (p *page) health(f *issuerclient.Figures, tokens []token) {
	signs := healthCard{Title: "Token and signer", Facts: []fact{
		yesNo("signs", f.Token.Answers, `specie_up{part="token"}`),
		timing("signing an answer", &f.Signing, "specie_signing_seconds_count"),
		{Name: "signatures made", Value: grouped(f.SignaturesMade), Metric: `specie_signatures_total{result="made"}`, Raw: float64(f.SignaturesMade)},
		{Name: "signatures failed", Value: grouped(f.SignaturesFailed), Metric: `specie_signatures_total{result="failed"}`, Raw: float64(f.SignaturesFailed), Bad: f.SignaturesFailed > 0 && !f.Token.Answers},
		{Name: "keys missing", Value: grouped(missing(f)), Bad: missing(f) > 0},
	}}
	p.Health = append(p.Health, signs)
	for _, t := range tokens {
		p.Health = append(p.Health, healthCard{Title: "Token " + t.Name, Facts: t.Facts})
	}
	base := healthCard{Title: "Database"}
	if s := f.Store; s != nil {
		base.Facts = append(base.Facts,
			fact{Name: "driver", Value: s.Driver + " " + strings.Fields(s.Version + " ?")[0]},
			fact{Name: "size", Value: size(s.Bytes), Metric: fmt.Sprintf("specie_store_bytes{driver=%q}", s.Driver), Raw: float64(s.Bytes)})
		if s.Replicas != nil {
			base.Facts = append(base.Facts, fact{
				Name: "replicas", Value: grouped(int64(*s.Replicas)),
				Metric: fmt.Sprintf("specie_store_replicas{driver=%q}", s.Driver), Raw: float64(*s.Replicas),
			})
			waits := "for no second machine"
			if s.Standbys != nil && *s.Standbys != "" {
				waits = "for " + *s.Standbys
			}
			base.Facts = append(base.Facts, fact{Name: "a commit waits", Value: waits})
		}
	}
	fence := "down"
	if f.Fence != nil {
		fence = "raised"
	}
	base.Facts = append(base.Facts,
		timing("one commit", &f.Commit, "specie_ledger_commit_seconds_count"),
		fact{Name: "calls that wait", Value: grouped(int64(f.Waiting)), Metric: "specie_ledger_waiting", Raw: float64(f.Waiting)},
		fact{Name: "fence", Value: fence, Metric: "specie_fence_raised", Raw: one(f.Fence != nil), Bad: f.Fence != nil})
	p.Health = append(p.Health, base, checks(f))
}

// checks says when the bank was last looked through.
func checks(f *issuerclient.Figures) healthCard {
	out := healthCard{Title: "Checks"}
	out.Facts = append(out.Facts, yesNo("books balance", f.Balanced, "specie_books_balanced"))
	audit := fact{Name: "last audit", Value: "none yet", Metric: "specie_audit_last_timestamp_seconds"}
	if a := f.AuditLast; a != nil {
		audit.Value, audit.Raw = "sound, "+ago(a.At, f.At), float64(a.At.Unix())
		if !a.Sound {
			audit.Value, audit.Bad = "not sound, "+ago(a.At, f.At), true
		}
	}
	if f.AuditRunning {
		audit.Value += "; one runs"
	}
	backup := fact{Name: "last backup", Value: "none yet", Metric: "specie_backup_last_timestamp_seconds"}
	if f.BackupAt != nil {
		backup.Value, backup.Raw = ago(*f.BackupAt, f.At), float64(f.BackupAt.Unix())
	}
	out.Facts = append(out.Facts, audit, backup,
		fact{Name: "receipts' certificate", Value: "until " + date(f.ReceiptsUntil), Metric: "specie_receipts_certificate_expiry_timestamp_seconds", Raw: float64(f.ReceiptsUntil.Unix())})
	for _, s := range f.DoubleSpends {
		out.Facts = append(out.Facts, fact{
			Name: "double spends, " + s.Kind, Value: grouped(s.Count),
			Metric: fmt.Sprintf("specie_double_spends_total{kind=%q}", s.Kind), Raw: float64(s.Count),
		})
	}
	return out
}

func missing(f *issuerclient.Figures) (n int64) {
	for i := range f.Keys {
		if f.Keys[i].Missing {
			n++
		}
	}
	return n
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func yesNo(name string, yes bool, metric string) fact {
	f := fact{Name: name, Value: "yes", Metric: metric, Raw: one(yes), Bad: !yes}
	if !yes {
		f.Value = "no"
	}
	return f
}

func timing(name string, t *issuerclient.Timing, metric string) fact {
	f := fact{Name: name, Value: "not yet", Metric: metric, Raw: float64(t.Count)}
	if t.P50 != nil && t.P95 != nil {
		f.Value = brief(*t.P50) + ", " + brief(*t.P95)
		f.Note = "half and 95 of 100 are faster"
	}
	return f
}

// people lists who was struck or suspended.
func (p *page) people(f *issuerclient.Figures) {
	for _, a := range f.Acts {
		p.Acts = append(p.Acts, act{At: clock(a.At), Kind: a.Kind, Account: a.Account, Reason: a.Reason})
	}
	for _, s := range f.Suspensions {
		p.Suspensions = append(p.Suspensions, act{At: clock(s.At), Account: s.Account, Name: s.Name, Reason: s.Reason})
	}
}

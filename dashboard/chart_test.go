package dashboard

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/client/issuerclient"
	"github.com/speciecash/specie/coin"
)

func TestAmountsAreWrittenForPeople(t *testing.T) {
	euro, yen := currency{"EUR", 2}, currency{"JPY", 0}
	for _, c := range []struct{ got, want string }{
		{euro.money(0), "0.00\u00a0EUR"},
		{euro.money(123456789), "1\u202f234\u202f567.89\u00a0EUR"},
		{euro.amount(-5), "−0.05"},
		{euro.axis(200000), "2\u202f000"},
		{euro.axis(250), "2.50"},
		{yen.money(1500), "1\u202f500\u00a0JPY"},
		{yen.axis(1500), "1\u202f500"},
		{plural(1, "coin"), "1 coin"},
		{plural(12000, "coin"), "12\u202f000 coins"},
		{size(999), "999 bytes"},
		{size(9067879), "9.1 MB"},
		{brief(0.0004), "400 µs"},
		{brief(0.0231), "23.1 ms"},
		{brief(2), "2.00 s"},
		{ago(time.Unix(0, 0), time.Unix(30, 0)), "just now"},
		{ago(time.Unix(0, 0), time.Unix(3*3600, 0)), "3 hours ago"},
		{ago(time.Unix(10*86400, 0), time.Unix(0, 0)), "in 10 days"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestAScaleIsRoundAndHoldsAllValues(t *testing.T) {
	for _, c := range []struct {
		most   int64
		height int
		top    int64
		lines  int
	}{
		{0, 96, 1, 1}, {1, 96, 1, 1}, {3, 96, 3, 3}, {4, 96, 4, 2}, {11, 96, 15, 3}, {98, 96, 100, 2},
		{1676, 220, 2000, 4}, {2001, 220, 3000, 3}, {1 << 53, 220, 10_000_000_000_000_000, 2},
	} {
		top, ticks := scale([]int64{0, c.most}, c.height, grouped)
		if top != c.top || len(ticks) != c.lines || top < c.most {
			t.Errorf("of %d within %d pixels: %d with %d lines, want %d with %d", c.most, c.height, top, len(ticks), c.top, c.lines)
		}
	}
}

func TestAreasStandOnEachOther(t *testing.T) {
	times := []time.Time{time.Unix(0, 0).UTC(), time.Unix(3600, 0).UTC()}
	v := viewNamed("day")
	c := currency{"EUR", 2}
	a := stack(200, []series{
		{class: "one", label: "bearer", values: []int64{100, 200}},
		{class: "two", label: "bound", values: []int64{0, 200}},
	}, times, v, c.money, c.axis)
	if a.Layers[0].Path != "M0 750L500 750L500 500L1000 500L1000 1000L500 1000L500 1000L0 1000Z" {
		t.Errorf("below: %s", a.Layers[0].Path)
	}
	if a.Layers[1].Path != "M0 750L500 750L500 0L1000 0L1000 500L500 500L500 750L0 750Z" {
		t.Errorf("above: %s", a.Layers[1].Path)
	}
	if want := "1 Jan 01:00–02:00 UTC\nbound 2.00\u00a0EUR\nbearer 2.00\u00a0EUR"; a.Hovers[1].Text != want || a.Empty {
		t.Errorf("the hover says %q", a.Hovers[1].Text)
	}
	if none := stack(200, []series{{values: nil}}, nil, v, c.money, c.axis); !none.Empty || len(none.Hovers) != 0 {
		t.Errorf("of nothing: %+v", none)
	}
}

func TestABarThatIsThereIsSeen(t *testing.T) {
	times := make([]time.Time, 24)
	counts := make([]int64, 24)
	counts[0], counts[23] = 1, 100_000
	b := columns(96, counts, counts, times, viewNamed("day"), grouped)
	if b.Bars[0].Height != "2" || b.Bars[23].Height != "96" || b.Bars[1].Height != "0" {
		t.Errorf("%+v %+v", b.Bars[0], b.Bars[23])
	}
}

// wellOff are the figures of a bank that nothing is wrong with.
func wellOff(now time.Time) *issuerclient.Figures {
	at := func(days int) *time.Time {
		t := now.AddDate(0, 0, days)
		return &t
	}
	return &issuerclient.Figures{
		At: now, Currency: "EUR", Exponent: 2, Balanced: true, ReceiptsUntil: *at(90), BackupAt: at(-1),
		Token: issuerclient.TokenFigures{Answers: true}, AuditLast: &issuerclient.AuditFigures{At: *at(-2), Sound: true},
		Keys: []issuerclient.KeyFigures{{
			Kid: strings.Repeat("a", 43), Kind: "bearer", Value: 16, Issued: 32, Redeemed: 16, Balance: 16,
			IssueFrom: at(-30), IssueUntil: at(60), SpendUntil: at(180), LegalUntil: at(900),
		}},
	}
}

func TestEachTroubleHasItsAlarm(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	in := func(d time.Duration) *time.Time {
		t := now.Add(d)
		return &t
	}
	const day = 24 * time.Hour
	text, none, some := "behind its witness", "", "b"
	for _, c := range []struct {
		name   string
		spoil  func(f *issuerclient.Figures)
		grades []string
		says   string
	}{
		{"nothing", func(*issuerclient.Figures) {}, nil, ""},
		{"a key leaked", func(f *issuerclient.Figures) { f.Keys[0].Redeemed, f.Keys[0].Leaked, f.Balanced = 48, true, false }, []string{"now"}, "0.32\u00a0EUR issued, 0.48\u00a0EUR redeemed"},
		{"a key leaked after a restoration", func(f *issuerclient.Figures) { f.Keys[0].Leaked, f.Reconciling, f.Fence = true, true, &text }, []string{"now", "soon"}, "Reconcile first"},
		{"the books", func(f *issuerclient.Figures) { f.Balanced = false }, []string{"now"}, "do not balance"},
		{"a key is missing", func(f *issuerclient.Figures) { f.Keys[0].Missing = true }, []string{"now"}, "lacks the bearer key of 0.16"},
		{"a key is revoked", func(f *issuerclient.Figures) { f.Keys[0].Revoked = true }, []string{"soon"}, "0.16\u00a0EUR under it are out"},
		{"a key is revoked, nothing is out", func(f *issuerclient.Figures) { f.Keys[0].Revoked, f.Keys[0].Balance = true, 0 }, nil, ""},
		{"keys end", func(f *issuerclient.Figures) { f.Keys[0].IssueUntil = in(3 * day) }, []string{"soon"}, "until 2026-05-04"},
		{"keys end and others follow", func(f *issuerclient.Figures) {
			next := f.Keys[0]
			f.Keys[0].IssueUntil, next.IssueFrom = in(3*day), in(2*day)
			f.Keys = append(f.Keys, next)
		}, nil, ""},
		{"keys end and others follow too late", func(f *issuerclient.Figures) {
			next := f.Keys[0]
			f.Keys[0].IssueUntil, next.IssueFrom = in(3*day), in(4*day)
			f.Keys = append(f.Keys, next)
		}, []string{"soon"}, "no others follow"},
		{"coins end", func(f *issuerclient.Figures) { f.Keys[0].SpendUntil = in(3 * day) }, []string{"note"}, "can be spent until"},
		{"the fence", func(f *issuerclient.Figures) { f.Fence = &text }, []string{"now"}, "behind its witness"},
		{"a reconciliation", func(f *issuerclient.Figures) { f.Fence, f.Reconciling = &text, true }, []string{"soon"}, "reconcile finish"},
		{"the token", func(f *issuerclient.Figures) { f.Token = issuerclient.TokenFigures{Error: &text} }, []string{"now"}, "can't sign"},
		{"an audit", func(f *issuerclient.Figures) { f.AuditLast.Sound = false }, []string{"now"}, "did not find the ledger sound"},
		{"an old audit", func(f *issuerclient.Figures) { f.AuditLast.At = *in(-9 * day) }, []string{"note"}, "9 days ago"},
		{"no audit", func(f *issuerclient.Figures) { f.AuditLast = nil }, []string{"note"}, "No audit"},
		{"no audit, one runs", func(f *issuerclient.Figures) { f.AuditLast, f.AuditRunning = nil, true }, nil, ""},
		{"an old backup", func(f *issuerclient.Figures) { f.BackupAt = in(-3 * day) }, []string{"note"}, "3 days ago"},
		{"the certificate", func(f *issuerclient.Figures) { f.ReceiptsUntil = *in(5 * day) }, []string{"soon"}, "in 5 days"},
		{"a suspension", func(f *issuerclient.Figures) { f.Suspended = 2 }, []string{"soon"}, "2 accounts"},
		{"draining", func(f *issuerclient.Figures) { f.Draining = true }, []string{"soon"}, "redeems only"},
		{"a backlog", func(f *issuerclient.Figures) { f.Waiting = backlog + 1 }, []string{"soon"}, "wait"},
		{"one machine", func(f *issuerclient.Figures) { f.Store = &issuerclient.StoreFigures{Standbys: &none} }, []string{"note"}, "second machine"},
		{"two machines", func(f *issuerclient.Figures) { f.Store = &issuerclient.StoreFigures{Standbys: &some} }, nil, ""},
		{"much at once", func(f *issuerclient.Figures) { f.BackupAt, f.Draining, f.Balanced = nil, true, false }, []string{"now", "soon", "note"}, ""},
	} {
		f := wellOff(now)
		c.spoil(f)
		var grades []string
		said := ""
		for _, a := range alarms(f, nil, currency{"EUR", 2}) {
			grades = append(grades, a.Grade)
			said += a.What + " " + a.Do + "\n"
			if a.Do == "" || a.Docs == "" {
				t.Errorf("%s: %q says not what to do", c.name, a.What)
			}
		}
		if !slices.Equal(grades, c.grades) || !strings.Contains(said, c.says) {
			t.Errorf("%s: %v, want %v with %q: %s", c.name, grades, c.grades, c.says, said)
		}
	}
	away := []token{{Name: "bank", away: true}}
	if got := alarms(wellOff(now), away, currency{"EUR", 2}); len(got) != 1 || got[0].Grade != gradeNow {
		t.Errorf("a token that is away: %+v", got)
	}
}

func TestARowOfTheTable(t *testing.T) {
	now := time.Now()
	k := wellOff(now).Keys[0]
	row := keyOf(&k, now, 64, currency{"EUR", 2})
	if row.RedeemedW != "25%" || row.OutX != "25%" || row.OW != "25%" || row.Coins != "1" || row.Note != "issues" || row.Bad {
		t.Errorf("%+v", row)
	}
	k.Redeemed, k.Leaked, k.Balance = coin.Amount(48), true, -16
	row = keyOf(&k, now, 64, currency{"EUR", 2})
	if row.RedeemedW != "50%" || row.OW != "25%" || !row.Over || row.Out != "−0.16" || row.Note != "leaked" {
		t.Errorf("%+v", row)
	}
}

const scrape = `# HELP hsm_sessions Sessions.
hsm_sessions{serial="1",state="open",token="a \"b\" {c}"} 8
hsm_sessions{serial="1",state="busy",token="a \"b\" {c}"} 2
hsm_available{serial="1",token="a \"b\" {c}"} 0
hsm_operations_total{call="C_Sign",serial="1",token="a \"b\" {c}"} 10
hsm_operation_seconds_total{call="C_Sign",serial="1",token="a \"b\" {c}"} 0.02
hsm_errors_total{call="C_Sign",ckr="CKR_DEVICE_ERROR",serial="1",token="a \"b\" {c}"} 3
hsm_heals_total{outcome="done",serial="1",token="a \"b\" {c}"} 1
hsm_available{serial="2",token="other"} 1
`

func TestTokensAreReadFromMetrics(t *testing.T) {
	got := tokensOf([]byte(scrape))
	if len(got) != 2 || got[0].Name != `a \"b\" {c}` || !got[0].away || got[0].errors != 3 || got[1].away {
		t.Fatalf("%+v", got)
	}
	for _, f := range got[0].Facts {
		want := map[string]string{"sessions open": "8", "sessions busy": "2", "reopened": "1 time", "one signature": "2.0 ms"}
		if w, ok := want[f.Name]; ok && f.Value != w {
			t.Errorf("%s: %s, want %s", f.Name, f.Value, w)
		}
	}
}

func FuzzTokensOf(f *testing.F) {
	f.Add([]byte(scrape))
	f.Add([]byte("hsm_a{"))
	f.Add([]byte(`hsm_a{serial="\`))
	f.Add([]byte(`hsm_a{serial="x} 1`))
	f.Add([]byte("hsm_a NaN\nhsm_available{} 1e999"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, s := range samples(text, "hsm_") {
			if !strings.HasPrefix(s.name, "hsm_") {
				t.Errorf("%q", s.name)
			}
		}
		tokensOf(text)
	})
}

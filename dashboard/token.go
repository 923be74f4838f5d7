package dashboard

import (
	"bufio"
	"bytes"
	"strconv"
	"strings"
)

// maxMetrics bounds a scrape, in bytes.
const maxMetrics = 4 << 20

// sample is one line of a scrape.
type sample struct {
	name, labels string // labels as they stand between the braces
	value        float64
}

// samples reads the lines of Prometheus's text format whose names have a
// prefix. What it can't read it passes over: it is for looking at.
func samples(text []byte, prefix string) []sample {
	var out []sample
	if len(text) > maxMetrics {
		return nil
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		name, rest := line, ""
		s := sample{}
		if at := strings.IndexByte(line, '{'); at >= 0 {
			end := strings.LastIndexByte(line, '}')
			if end < at {
				continue
			}
			name, s.labels, rest = line[:at], line[at+1:end], line[end+1:]
		} else {
			name, rest, _ = strings.Cut(line, " ")
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
		if err != nil {
			continue
		}
		s.name, s.value = name, value
		out = append(out, s)
	}
	return out
}

// label returns the value of a label, as it is written.
func (s *sample) label(name string) string {
	for rest := s.labels; ; {
		key, after, ok := strings.Cut(rest, `="`)
		if !ok {
			return ""
		}
		end := 0
		for end < len(after) && after[end] != '"' {
			if after[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(after) {
			return ""
		}
		if strings.TrimLeft(key, ", ") == name {
			return after[:end]
		}
		rest = after[end+1:]
	}
}

// token is what a process says of a token that it holds.
type token struct {
	Name    string
	Facts   []fact
	away    bool
	errors  int64
	waiting int64
}

// tokensOf reads what the metrics of package hsm say, one token after another.
func tokensOf(text []byte) []token {
	var order []string
	by := map[string]map[string]float64{}
	constant := map[string]string{}
	for _, s := range samples(text, "hsm_") {
		serial := s.label("serial")
		if by[serial] == nil {
			by[serial] = map[string]float64{}
			order = append(order, serial)
			constant[serial] = s.label("token")
		}
		key := s.name
		for _, l := range []string{"state", "outcome", "call"} {
			if v := s.label(l); v != "" {
				key += " " + v
			}
		}
		by[serial][key] += s.value
	}
	var out []token
	for _, serial := range order {
		v := by[serial]
		labels := `{serial="` + serial + `",token="` + constant[serial] + `"}`
		state := func(name string) string {
			return `hsm_sessions{serial="` + serial + `",state="` + name + `",token="` + constant[serial] + `"}`
		}
		t := token{Name: constant[serial], away: v["hsm_available"] == 0, waiting: int64(v["hsm_sessions waiting"])}
		for key, n := range v {
			if strings.HasPrefix(key, "hsm_errors_total") {
				t.errors += int64(n)
			}
		}
		signs, took := v["hsm_operations_total C_Sign"], v["hsm_operation_seconds_total C_Sign"]
		t.Facts = []fact{
			{Name: "sessions open", Value: grouped(int64(v["hsm_sessions open"])), Metric: state("open"), Raw: v["hsm_sessions open"]},
			{Name: "sessions busy", Value: grouped(int64(v["hsm_sessions busy"])), Metric: state("busy"), Raw: v["hsm_sessions busy"]},
			{Name: "calls that wait", Value: grouped(t.waiting), Metric: state("waiting"), Raw: v["hsm_sessions waiting"]},
			{Name: "reopened", Value: plural(int64(v["hsm_heals_total done"]), "time"), Metric: `hsm_heals_total{outcome="done",` + labels[1:], Raw: v["hsm_heals_total done"]},
			{Name: "module loaded again", Value: plural(int64(v["hsm_reloads_total"]), "time"), Metric: "hsm_reloads_total" + labels, Raw: v["hsm_reloads_total"]},
			{Name: "errors of the module", Value: grouped(t.errors)},
		}
		if signs > 0 {
			t.Facts = append(t.Facts, fact{Name: "one signature", Value: brief(took / signs)})
		}
		out = append(out, t)
	}
	return out
}

package dashboard

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Charts are SVG without a viewBox: across they are measured in percent of the
// page's width, so that words and lines stay as large on a telephone as on a
// wall, and down in pixels. What is a curve lies in an inner SVG that is
// stretched.

// tick is a line across a chart with its label, or a label below it.
type tick struct {
	At    string // pixels down, or percent across
	Label string
	// Anchor is "start", "middle" or "end".
	Anchor string
}

// area is a stacked chart of amounts over time.
type area struct {
	Height int // pixels
	Layers []layer
	Ys, Xs []tick
	Hovers []hover
	Label  string // what it shows, for those who don't see it
	Empty  bool
}

// layer is one series, drawn on top of those before it.
type layer struct {
	Class, Label string
	Path         string // in a box of 1000 by 1000
	Last         string // its newest value, for the key
	Metric       string
	Value        int64
}

// hover is the strip of one step, with what it says when one points at it.
type hover struct{ X, Width, Text string }

const inner = 1000 // size of the inner box

// series are values over time, one for each step.
type series struct {
	class, label, metric string
	values               []int64
}

// stack makes an area chart. text writes a value.
func stack(height int, all []series, times []time.Time, v view, text, axis func(int64) string) area {
	out := area{Height: height, Empty: true}
	n := len(times)
	sums := make([]int64, n)
	for _, s := range all {
		for i, value := range s.values {
			sums[i] += max(value, 0)
			out.Empty = out.Empty && value == 0
		}
	}
	top, ys := scale(sums, height, axis)
	out.Ys, out.Xs = ys, across(times, v)
	below := make([]int64, n)
	for _, s := range all {
		var path strings.Builder
		y := func(value int64) string { return number(inner - inner*float64(value)/float64(top)) }
		x := func(i int) string { return number(inner * float64(i) / float64(n)) }
		for i := range n {
			command := "L"
			if i == 0 {
				command = "M"
			}
			value := below[i] + max(s.values[i], 0)
			fmt.Fprintf(&path, "%s%s %sL%s %s", command, x(i), y(value), x(i+1), y(value))
		}
		for i := n - 1; i >= 0; i-- {
			fmt.Fprintf(&path, "L%s %sL%s %s", x(i+1), y(below[i]), x(i), y(below[i]))
			below[i] += max(s.values[i], 0)
		}
		l := layer{Class: s.class, Label: s.label, Path: path.String() + "Z", Metric: s.metric}
		if n > 0 {
			l.Value = s.values[n-1]
			l.Last = text(l.Value)
		}
		out.Layers = append(out.Layers, l)
	}
	for i := range n {
		said := []string{moment(times[i], v)}
		for j := len(all) - 1; j >= 0; j-- {
			said = append(said, all[j].label+" "+text(all[j].values[i]))
		}
		out.Hovers = append(out.Hovers, strip(i, n, strings.Join(said, "\n")))
	}
	return out
}

func strip(i, n int, text string) hover {
	return hover{X: percent(float64(i) / float64(n)), Width: percent(1 / float64(n)), Text: text}
}

// bars is a chart of one kind of operation.
type bars struct {
	Class, Label string
	Height       int
	Bars         []bar
	Ys, Xs       []tick
	Count        string // of all that is shown
	Worth        string
	DayCount     int64 // of the last 24 hours, as the metrics have it
	DayWorth     int64
	Day          string
	MetricCount  string
	MetricWorth  string
	Empty        bool
}

// bar is one step's.
type bar struct {
	X, Width  string
	Y, Height string // pixels
	Hover     hover
}

// columns makes a bar chart of counts; worths are for the hover.
func columns(height int, counts, worths []int64, times []time.Time, v view, text func(int64) string) bars {
	out := bars{Height: height, Empty: true}
	top, ys := scale(counts, height, grouped)
	out.Ys, out.Xs = ys, across(times, v)
	n := len(times)
	for i, count := range counts {
		out.Empty = out.Empty && count == 0
		h := float64(height) * float64(count) / float64(top)
		if count > 0 {
			h = max(h, 2) // one of a thousand is seen too
		}
		gap := 0.15 / float64(n)
		out.Bars = append(out.Bars, bar{
			X: percent(float64(i)/float64(n) + gap/2), Width: percent(1/float64(n) - gap),
			Y: number(float64(height) - h), Height: number(h),
			Hover: strip(i, n, fmt.Sprintf("%s\n%s, %s", moment(times[i], v), plural(count, "operation"), text(worths[i]))),
		})
	}
	return out
}

// scale is the top of an axis that the values fit under, and its lines: from
// zero, at 1, 2 or 5 times a power of ten.
func scale(values []int64, height int, text func(int64) string) (top int64, ticks []tick) {
	for _, v := range values {
		top = max(top, v)
	}
	top = max(top, 1)
	lines := int64(max(height/50, 3))
	step := int64(1)
	for factor := 0; (top+step-1)/step > lines; factor++ {
		step = step / []int64{1, 2, 5}[factor%3] * []int64{2, 5, 10}[factor%3]
	}
	top = (top + step - 1) / step * step
	for at := step; at <= top; at += step {
		ticks = append(ticks, tick{At: number(float64(height) * (1 - float64(at)/float64(top))), Label: text(at)})
	}
	return top, ticks
}

// across labels the time axis, at four places or so.
func across(times []time.Time, v view) []tick {
	n := len(times)
	every := max((n+3)/4, 1)
	var out []tick
	for i := n - 1; i >= 0; i -= every {
		label := times[i].Format(map[string]string{"minute": "15:04", "hour": "15:04", "day": "2 Jan"}[v.Each])
		t := tick{At: percent((float64(i) + 0.5) / float64(n)), Label: label, Anchor: "middle"}
		switch {
		case i == n-1:
			t.At, t.Anchor = "100%", "end"
		case i*8 < n: // it would not fit
			t.At, t.Anchor = percent(float64(i)/float64(n)), "start"
		}
		out = append(out, t)
	}
	return out
}

// moment names a step.
func moment(t time.Time, v view) string {
	switch v.Each {
	case "minute":
		return t.Format("15:04 UTC")
	case "hour":
		return t.Format("2 Jan 15:04") + "–" + t.Add(time.Hour).Format("15:04 UTC")
	}
	return t.Format("Monday 2 January 2006")
}

func percent(share float64) string { return number(100*share) + "%" }

// number writes a coordinate.
func number(f float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(f, 'f', 3, 64), "0"), ".")
}

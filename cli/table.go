package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// Table prints rows under headers, in columns. A column whose header begins
// with ">" is aligned to the right.
func Table(w io.Writer, headers []string, rows [][]string) {
	const gap = 2
	right := make([]bool, len(headers))
	most := make([]int, len(headers))
	titles := make([]string, len(headers))
	rows = safeRows(rows)
	for i, h := range headers {
		titles[i], right[i] = strings.CutPrefix(h, ">")
		most[i] = Width(titles[i])
		for _, r := range rows {
			most[i] = max(most[i], Width(r[i]))
		}
	}
	line := func(cells []string) {
		var b strings.Builder
		for i, c := range cells {
			fill := strings.Repeat(" ", most[i]-Width(c))
			switch {
			case right[i]:
				b.WriteString(fill + c)
			case i == len(cells)-1:
				b.WriteString(c)
			default:
				b.WriteString(c + fill)
			}
			if i < len(cells)-1 {
				b.WriteString(strings.Repeat(" ", gap))
			}
		}
		fmt.Fprintln(w, b.String())
	}
	line(titles)
	for _, r := range rows {
		line(r)
	}
}

// Width is how many cells of a terminal a text takes: wide characters take two,
// marks that stand on another character none.
func Width(s string) (cells int) {
	for _, r := range s {
		switch k := width.LookupRune(r).Kind(); {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case k == width.EastAsianWide || k == width.EastAsianFullwidth:
			cells += 2
		default:
			cells++
		}
	}
	return cells
}

// safeRows are rows whose cells stay in theirs, whoever wrote what is in them.
func safeRows(rows [][]string) [][]string {
	out := make([][]string, len(rows))
	for i, r := range rows {
		out[i] = make([]string, len(r))
		for j, cell := range r {
			out[i][j] = OneLine(cell)
		}
	}
	return out
}

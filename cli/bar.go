package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// Bar draws a progress bar on a terminal; elsewhere, and on a terminal that
// can't go back in its line (TERM=dumb), it draws nothing. The returned function
// takes how many of how many steps are done.
func (o *Out) Bar(label string) func(done, total int) {
	f, ok := o.Stderr.(*os.File)
	if !ok || o.JSON || os.Getenv("TERM") == "dumb" || !term.IsTerminal(int(f.Fd())) {
		return func(int, int) {}
	}
	return o.bar(label, f, func() int {
		columns, _, err := term.GetSize(int(f.Fd()))
		if err != nil || columns == 0 {
			return usualColumns
		}
		return columns
	})
}

const (
	usualColumns = 80
	// slack is what a bar's line has beside label and cells: brackets, counts
	// and the time at its end.
	slack = 26
	// mostCells is how long a bar is where there is room.
	mostCells = 30
)

func (o *Out) bar(label string, f io.Writer, columns func() int) func(done, total int) {
	start := time.Now()
	drawn := false
	return func(done, total int) {
		// Work that is over at once needs no bar.
		if total == 0 || (!drawn && done < total && time.Since(start) < 150*time.Millisecond) {
			return
		}
		if done >= total && !drawn {
			return
		}
		drawn, o.line = true, f
		fmt.Fprintf(f, "\r%s", barLine(label, min(done, total), total, columns()))
		if done >= total {
			fmt.Fprintf(f, "  %s\n", time.Since(start).Round(time.Millisecond))
			o.line = nil
		}
	}
}

// barLine fits into a line of so many columns, so that going back to its
// beginning goes back over all of it: first the bar gets shorter, then it goes.
func barLine(label string, done, total, columns int) string {
	counts := fmt.Sprintf("%d/%d", done, total)
	name := fmt.Sprintf("%-24s", label)
	cells := min(mostCells, columns-Width(name)-slack)
	if cells < 5 {
		name = label
		cells = min(mostCells, columns-Width(name)-slack)
	}
	if cells < 5 {
		return name + " " + counts
	}
	full := cells * done / total
	return fmt.Sprintf("%s [%s%s] %s", name, strings.Repeat("=", full), strings.Repeat(" ", cells-full), counts)
}

package dashboard

import "github.com/speciecash/specie/client/issuerclient"

// view is how much of the past is looked at.
type view struct {
	Name  string // in the address; empty for the one that fits
	Label string
	Step  issuerclient.FigureStep
	Steps int    // besides the one that is not over
	Each  string // what one bar is of
}

// views are those that one can choose, from the shortest.
func views() []view {
	return []view{
		{"hour", "1 hour", issuerclient.FigureStepMinute, 59, "minute"},
		{"day", "24 hours", issuerclient.FigureStepHour, 23, "hour"},
		{"month", "30 days", issuerclient.FigureStepDay, 29, "day"},
		{"year", "1 year", issuerclient.FigureStepDay, 364, "day"},
	}
}

// viewNamed is the view of that name, or the one that fits, whose name is empty.
func viewNamed(name string) view {
	for _, v := range views() {
		if v.Name == name {
			return v
		}
	}
	return view{}
}

// fits says whether the hours of a day tell something: if all that moved did
// within the last two, minutes tell more.
func fits(f *issuerclient.Figures) bool {
	for i := 0; i < len(f.Steps)-2; i++ {
		if len(f.Steps[i].Operations) > 0 {
			return true
		}
	}
	return false
}

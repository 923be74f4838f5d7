package words

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is what is wrong with words.
type Kind int

// The kinds.
const (
	// Number: there are too few or too many.
	Number Kind = iota
	// Missing: one was left out, Extra: one is too many.
	Missing
	Extra
	// Unknown: some are not in the list.
	Unknown
	// Wrong: one is in the list, and not the one that was written down.
	Wrong
	// Swapped: two stand in each other's place.
	Swapped
	// Several: more is wrong than can be found.
	Several
)

// Error is ErrWords with what is known of the mistake.
type Error struct {
	Kind Kind
	// Count is how many words there are, for Number.
	Count int
	// Places are the words that it is about, counted from 1. Of a word that is
	// Missing, it is the one that would have that number.
	Places []int
	// Typed are those words as they were typed.
	Typed []string
	// Suggest are for each place the words that it may be, the likeliest first.
	Suggest [][]string
}

// Is matches ErrWords.
func (e *Error) Is(target error) bool { return target == ErrWords }

// Error says it in words.
func (e *Error) Error() string {
	switch e.Kind {
	case Number:
		return fmt.Sprintf("there are %d words, and %d are needed", e.Count, Count)
	case Missing:
		return fmt.Sprintf("word %d is missing%s", e.Places[0], isIt(e.Suggest[0]))
	case Extra:
		return fmt.Sprintf("word %d, %q, is one too many", e.Places[0], e.Typed[0])
	case Swapped:
		return fmt.Sprintf("words %d and %d, %q and %q, stand in each other's place", e.Places[0], e.Places[1], e.Typed[0], e.Typed[1])
	case Several:
		return "more than one word is wrong, or in the wrong place"
	case Wrong:
		return fmt.Sprintf("word %d, %q, is wrong%s", e.Places[0], e.Typed[0], isIt(e.Suggest[0]))
	}
	parts := make([]string, len(e.Places))
	for i, p := range e.Places {
		parts[i] = fmt.Sprintf("word %d, %q, is not in the list%s", p, e.Typed[i], isIt(e.Suggest[i]))
	}
	return strings.Join(parts, "; ")
}

func isIt(suggest []string) string {
	if len(suggest) == 0 {
		return ""
	}
	quoted := make([]string, len(suggest))
	for i, s := range suggest {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	return "; is it " + strings.Join(quoted, " or ") + "?"
}

// miscounted finds the word that is missing, or one too many.
func miscounted(all, typed []string, w []int) *Error {
	for i := 0; len(w) == Count-1 && i < Count; i++ {
		try := slices.Insert(slices.Clone(w), i, -1)
		if fillIn(try) {
			if _, ok := whole(try); ok {
				return &Error{Kind: Missing, Places: []int{i + 1}, Suggest: [][]string{{all[try[i]]}}}
			}
		}
	}
	for i := 0; len(w) == Count+1 && i <= Count; i++ {
		try := slices.Delete(slices.Clone(w), i, i+1)
		if !slices.Contains(try, -1) {
			if _, ok := whole(try); ok {
				return &Error{Kind: Extra, Places: []int{i + 1}, Typed: typed[i : i+1]}
			}
		}
	}
	return &Error{Kind: Number, Count: len(w)}
}

// unknown names the words that are not in the list: what the others say that they
// are, or those that look like them.
func unknown(all, typed []string, w []int) *Error {
	e := &Error{Kind: Unknown}
	full := slices.Clone(w)
	known := fillIn(full)
	if known {
		_, known = whole(full)
	}
	for i, x := range w {
		if x >= 0 {
			continue
		}
		suggest := Near(typed[i])
		if known {
			suggest = []string{all[full[i]]}
		}
		e.Places, e.Typed, e.Suggest = append(e.Places, i+1), append(e.Typed, typed[i]), append(e.Suggest, suggest)
	}
	return e
}

// wrong finds the word that is wrong, or the two that are swapped.
func wrong(all, typed []string, w []int) *Error {
	s0, s1 := sums(w)
	if s0 == 0 {
		return swapped(typed, w, s1)
	}
	for i := range w {
		if mul(s0, at(i)) != s1 {
			continue
		}
		try := slices.Clone(w)
		try[i] ^= int(s0)
		if _, ok := whole(try); ok {
			return &Error{Kind: Wrong, Places: []int{i + 1}, Typed: typed[i : i+1], Suggest: [][]string{{all[try[i]]}}}
		}
	}
	return &Error{Kind: Several}
}

// swapped looks for two words in each other's place, neighbours first.
func swapped(typed []string, w []int, s1 elem) *Error {
	for apart := 1; apart < Count; apart++ {
		for i := 0; i+apart < Count; i++ {
			j := i + apart
			if mul(elem(w[i]^w[j]), at(i)^at(j)) != s1 {
				continue
			}
			try := slices.Clone(w)
			try[i], try[j] = try[j], try[i]
			if _, ok := whole(try); ok {
				return &Error{Kind: Swapped, Places: []int{i + 1, j + 1}, Typed: []string{typed[i], typed[j]}}
			}
		}
	}
	return &Error{Kind: Several}
}

// nearMost is how many letters may be other ones, and how many words are named.
const (
	nearMost  = 2
	nearWords = 3
)

// Near are the words of the list that look like one that is not, nearest first, at
// most three.
func Near(word string) []string {
	if len(word) > 16 {
		return nil
	}
	var out []string
	for d := 1; d <= nearMost; d++ {
		for _, s := range list() {
			if len(out) < nearWords && distance(word, s) == d {
				out = append(out, s)
			}
		}
	}
	return out
}

// distance is how many letters have to be put in, left out or changed (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost++
			}
			last = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

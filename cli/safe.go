package cli

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what others write before it is shown.
const (
	maxMarks = 3    // combining marks on one character
	maxLine  = 4096 // characters of OneLine
)

// OneLine makes a text that others may have written safe to show, in the middle
// of a line: errors that were joined become one line, what shown tells of becomes
// "?", and a text without end is cut.
func OneLine(s string) string {
	s = joints().Replace(strings.ToValidUTF8(s, "?"))
	var b strings.Builder
	marks, n := 0, 0
	for _, r := range s {
		if n++; n > maxLine {
			b.WriteString("…")
			break
		}
		r, marks = shown(r, marks)
		if r >= 0 {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// joints are where the lines of a text are joined: of a list, behind its colon.
func joints() *strings.Replacer {
	return strings.NewReplacer(":\n\t", ": ", ":\n", ": ", "\n\t", "; ", "\n", "; ")
}

// shown is what is written for a character after so many combining marks, and
// how many marks there are then; negative is nothing.
//
// A terminal obeys control characters: colours, the cursor, the title, what the
// clipboard holds, links to elsewhere (C0 and C1, so also what begins with ESC).
// It turns a line around at marks of writing direction, so that 1.00 reads 00.1.
// It shows nothing for other characters of format, for fillers and for blanks of
// odd kinds, so that two different names look the same. And it draws any number
// of combining marks over the lines above and below.
func shown(r rune, marks int) (rune, int) {
	switch {
	case unicode.Is(unicode.Variation_Selector, r):
		return -1, marks // how a sign is drawn, not which
	case unicode.In(r, unicode.Mn, unicode.Me):
		if marks++; marks > maxMarks {
			return -1, marks
		}
		return r, marks
	case unicode.Is(unicode.Zs, r):
		return ' ', 0
	case !unicode.IsPrint(r), unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r), r == '\u2800':
		return '?', 0
	}
	return r, 0
}

// IsSafe says whether a terminal shows a text as it stands, line ends apart.
func IsSafe(text string) bool {
	marks := 0
	for _, r := range text {
		var safe rune
		safe, marks = shown(r, marks)
		if safe != r && r != '\n' && !(safe == ' ' && unicode.Is(unicode.Zs, r)) {
			return false
		}
	}
	return utf8.ValidString(text)
}

// safe lets nothing through to a person that a terminal would obey, whoever forgot
// OneLine: only line ends and tabs are as they are. In JSON such a character can
// stand in a text only, and is written as its escape, which means the same.
type safe struct {
	w     io.Writer
	json  bool
	marks int
	rest  []byte // the beginning of a character
}

func (s *safe) Write(b []byte) (int, error) {
	data := append(s.rest, b...)
	var out bytes.Buffer
	for len(data) > 0 && (utf8.FullRune(data) || len(data) >= utf8.UTFMax) {
		r, size := utf8.DecodeRune(data)
		data = data[size:]
		was := r
		if r != '\n' && r != '\t' {
			r, s.marks = shown(r, s.marks)
		}
		switch {
		case r == was && (r != utf8.RuneError || size > 1):
			out.WriteRune(r)
		case s.json && was > 0xffff:
			high, low := (was-0x10000)>>10+0xd800, (was-0x10000)&0x3ff+0xdc00
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		case s.json:
			fmt.Fprintf(&out, `\u%04x`, was)
		case r >= 0:
			out.WriteRune(r)
		}
	}
	s.rest = bytes.Clone(data)
	if _, err := s.w.Write(out.Bytes()); err != nil {
		return 0, err
	}
	return len(b), nil
}

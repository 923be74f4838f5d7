package qr_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/speciecash/specie/qr"
)

const link = "specie:pay?o=eyJqd3MiOiJleUpoYkdjaU9pSkZaRVJUUVNJc0ltcDNheUk2ZXlKamNuWWlPaUpGWkRJMU5URTVJaXdpYTNSNUlqb2lUMHRRSWl3aWVDSTZJa"

func read(t *testing.T, picture []byte) []string {
	t.Helper()
	texts, err := qr.Read(picture)
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

func TestWhatIsDrawnIsRead(t *testing.T) {
	for name, text := range map[string]string{
		"a payment link":                      link,
		"one character":                       "1",
		"capitals and digits":                 "SPECIE:PAY/0123ABC+-./:",
		"as much as Split puts in a picture":  strings.Repeat("AZ19", qr.PartSize/4),
		"as much, of all printable bytes":     strings.Repeat("az~ ", qr.PartSize/4),
		"the most that fits at all, capitals": strings.Repeat("Q", 3391),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			picture, err := qr.PNG(text, 4)
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, picture); !slices.Equal(got, []string{text}) {
				t.Errorf("read %q", got)
			}
		})
	}
}

func TestTextsThatAreNotDrawn(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"nothing":           {"", qr.ErrText},
		"a line break":      {"specie:\npay", qr.ErrText},
		"beyond ascii":      {"caf\u00e9", qr.ErrText},
		"an escape":         {"a\x1b[2J", qr.ErrText},
		"one byte too many": {strings.Repeat("Q", 3392), qr.ErrTooLong},
	} {
		_, err := qr.SVG(c.text)
		_, err2 := qr.PNG(c.text, 1)
		err3 := qr.Terminal(io.Discard, c.text)
		for _, err := range []error{err, err2, err3} {
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// drawn makes a picture of what a terminal or a browser shows.
func drawn(t *testing.T, side int, light func(x, y int) bool) []byte {
	t.Helper()
	const scale = 6
	img := image.NewGray(image.Rect(0, 0, side*scale, side*scale))
	for y := range side * scale {
		for x := range side * scale {
			if light(x/scale, y/scale) {
				img.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestATerminalShowsTheCode(t *testing.T) {
	var b strings.Builder
	if err := qr.Terminal(&b, link); err != nil {
		t.Fatal(err)
	}
	var rows [][]rune
	for line := range strings.Lines(b.String()) {
		rows = append(rows, []rune(strings.TrimSuffix(line, "\n")))
	}
	side := len(rows[0])
	for _, r := range rows {
		if len(r) != side {
			t.Fatalf("a row of %d characters among %d", len(r), side)
		}
	}
	light := func(x, y int) bool {
		r := rows[y/2][x]
		return r == '█' || (r == '▀' && y%2 == 0) || (r == '▄' && y%2 == 1)
	}
	if got := read(t, drawn(t, side, light)); !slices.Equal(got, []string{link}) {
		t.Errorf("on a dark terminal: %q", got)
	}
	if got := read(t, drawn(t, side, func(x, y int) bool { return !light(x, y) })); !slices.Equal(got, []string{link}) {
		t.Errorf("on a light terminal: %q", got)
	}
}

func TestAPageShowsTheCode(t *testing.T) {
	data, err := qr.SVG(link)
	if err != nil {
		t.Fatal(err)
	}
	var svg struct {
		ViewBox string `xml:"viewBox,attr"`
		Rect    struct {
			Width int `xml:"width,attr"`
		} `xml:"rect"`
		Path struct {
			D string `xml:"d,attr"`
		} `xml:"path"`
	}
	if err := xml.Unmarshal(data, &svg); err != nil {
		t.Fatal(err)
	}
	dark := map[[2]int]bool{}
	for _, run := range strings.Split(strings.Trim(svg.Path.D, "Mz"), "zM") {
		n := numbers(run)
		for i := range n[2] {
			dark[[2]int{n[0] + i, n[1]}] = true
		}
	}
	if got := read(t, drawn(t, svg.Rect.Width, func(x, y int) bool { return !dark[[2]int{x, y}] })); !slices.Equal(got, []string{link}) {
		t.Errorf("read %q", got)
	}
	for _, no := range []string{"<script", "style", "href", "url("} {
		if bytes.Contains(data, []byte(no)) {
			t.Errorf("an svg with %q would need a weaker policy of the page", no)
		}
	}
}

// numbers are the first three of "x yhrun...".
func numbers(s string) (n [3]int) {
	i := 0
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9':
			n[i] = n[i]*10 + int(c-'0')
		case i == 2:
			return n
		default:
			i++
		}
	}
	return n
}

func TestPartsMakeTheText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Repeat(rapid.StringMatching(`[A-Z0-9+\-./:]{1,400}`).Draw(t, "text"), rapid.IntRange(1, 10).Draw(t, "times"))
		size := rapid.IntRange(1, 1500).Draw(t, "size")
		parts := qr.Split(text, size)
		mixed := rapid.Permutation(append(parts, parts[0])).Draw(t, "order")
		got, err := qr.Join(mixed)
		if err != nil || got != text {
			t.Fatalf("joined %q: %v", got, err)
		}
		if size >= 200 {
			for _, p := range parts {
				if len(p) > size {
					t.Fatalf("a part of %d characters where %d were asked for", len(p), size)
				}
			}
		}
	})
}

func TestPartsThatMakeNoText(t *testing.T) {
	a := qr.Split(strings.Repeat("A", 1000), 300)
	b := qr.Split(strings.Repeat("B", 1000), 300)
	for name, c := range map[string]struct {
		parts []string
		says  string
	}{
		"none":                            {nil, "there are none"},
		"the second is missing":           {[]string{a[0], a[2], a[3]}, "2 of 4 is missing"},
		"two are missing":                 {[]string{a[3], a[1]}, "1, 3 of 4 is missing"},
		"of two texts":                    {[]string{a[0], b[1]}, "different texts"},
		"a text beside a part":            {[]string{a[0], "SPECIE:PAY/A"}, "no part"},
		"two texts":                       {[]string{"A", "B"}, "no part"},
		"two different firsts":            {[]string{a[0], strings.Replace(a[0], "AAA", "AAB", 1), a[1], a[2], a[3]}, "number 1"},
		"another text under the same sum": {[]string{strings.Replace(a[0], "AAA", "AAB", 1), a[1], a[2], a[3]}, "another text"},
		"a number of its own":             {[]string{"SPECIE:PART/01/2/00000000/A"}, "good number"},
		"number nought":                   {[]string{"SPECIE:PART/0/2/00000000/A"}, "good number"},
		"beyond the last":                 {[]string{"SPECIE:PART/3/2/00000000/A"}, "good number"},
		"more than there can be":          {[]string{"SPECIE:PART/1/33/00000000/A"}, "good number"},
		"one of one":                      {[]string{"SPECIE:PART/1/1/00000000/A"}, "good number"},
		"a short sum":                     {[]string{"SPECIE:PART/1/2/000000/A"}, "no part"},
		"an empty piece":                  {[]string{"SPECIE:PART/1/2/00000000/"}, "no part"},
		"longer than any":                 {[]string{"SPECIE:PART/1/2/00000000/" + strings.Repeat("A", qr.MaxText)}, "too long"},
	} {
		_, err := qr.Join(c.parts)
		if !errors.Is(err, qr.ErrParts) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTooMuchForPartsStaysWhole(t *testing.T) {
	text := strings.Repeat("A", qr.MaxText+1)
	if got := qr.Split(text, 100); len(got) != 1 {
		t.Errorf("%d parts", len(got))
	}
	if got := qr.Split(text[1:], 100); len(got) != 32 {
		t.Errorf("%d parts, at most 32", len(got))
	}
}

package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"

	"github.com/speciecash/specie/cli"
)

// hostile are texts that do something to a terminal or to whom reads it.
var hostile = map[string]string{
	"a colour":                  "a\x1b[31mb",
	"the cursor up":             "a\x1b[2A\x1b[2Kb",
	"a title":                   "a\x1b]0;paid\x07b",
	"a link to elsewhere":       "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
	"what is in the clipboard":  "\x1b]52;c;cm0gLXJm\x07",
	"csi in one byte":           "a\u009b31mb",
	"a raw c1 byte":             "a\x9b31mb",
	"a carriage return":         "refused\rpaid   ",
	"backspaces":                "10.00\b\b\b\b\b1",
	"a bell":                    "a\ab",
	"delete":                    "a\x7fb",
	"the line turned around":    "00.1\u202e00.1",
	"an isolate":                "a\u2066b\u2069",
	"a mark of direction":       "a\u200fb\u061cc",
	"nothing that is seen":      "Ca\u200bf\u200d\u2060\ufeffe",
	"a filler":                  "a\u3164b\u115f\uffa0\u2800",
	"a tag":                     "a\U000e0041b\U000e007f",
	"a variation":               "a\ufe0fb\U000e0100",
	"private use":               "a\ue000b\U000f0000",
	"a line separator":          "a\u2028b\u2029c",
	"odd blanks":                "a\u00a0b\u2003c\u3000d",
	"a soft hyphen":             "a\u00adb",
	"marks without end":         "Z" + strings.Repeat("\u0335\u0310", 500),
	"bytes that are no text":    "a\xff\xfe\xc3",
	"a line that is not theirs": "Café\nspecie: paid 1000.00",
}

// obeyed are the characters of a text that a terminal does not merely show.
func obeyed(s string) (out []rune) {
	marks := 0
	for _, r := range s {
		if unicode.In(r, unicode.Mn, unicode.Me) {
			marks++
		} else {
			marks = 0
		}
		if r != '\n' && r != '\t' && (unicode.In(r, unicode.C, unicode.Z) && r != ' ' || marks > 3 || strings.ContainsRune("\u3164\u115f\uffa0\u2800\ufe0f\U000e0100", r)) {
			out = append(out, r)
		}
	}
	return out
}

func TestHostileTextsAreShownAsTextOnly(t *testing.T) {
	for name, text := range hostile {
		t.Run(name, func(t *testing.T) {
			line := cli.OneLine(text)
			if bad := obeyed(line); len(bad) > 0 || strings.ContainsAny(line, "\n\t") {
				t.Errorf("OneLine lets %q through", bad)
			}
			if !cli.IsSafe(line) {
				t.Errorf("%q is not safe", line)
			}
			var b bytes.Buffer
			o := &cli.Out{Program: "specie", Stdout: &b, Stderr: &b}
			o.Note("%s", text)
			o.Fail(errors.New(text), text)
			if n := strings.Count(b.String(), "\n"); n != 3 {
				t.Errorf("%d lines in place of 3: %q", n, b.String())
			}
			cli.Table(&b, []string{"A", ">B"}, [][]string{{text, text}})
			if err := o.Result(nil, func(w io.Writer) { _, _ = io.WriteString(w, text) }); err != nil {
				t.Fatal(err)
			}
			o.JSON = true
			from := b.Len()
			if err := o.Result(map[string]string{"text": text}, nil); err != nil {
				t.Fatal(err)
			}
			if bad := obeyed(b.String()); len(bad) > 0 {
				t.Errorf("%q is let through", bad)
			}
			var back map[string]string
			if err := json.Unmarshal(b.Bytes()[from:], &back); err != nil || back["text"] != strings.ToValidUTF8(back["text"], "") {
				t.Errorf("%v: %q", err, back)
			}
			if want := jsonsOwn(t, text); back["text"] != want {
				t.Errorf("json says %q in place of %q", back["text"], want)
			}
		})
	}
}

// jsonsOwn is what encoding/json makes of a text, there and back.
func jsonsOwn(t *testing.T, text string) (back string) {
	t.Helper()
	data, err := json.Marshal(text)
	if err == nil {
		err = json.Unmarshal(data, &back)
	}
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func TestLinesAreJoined(t *testing.T) {
	if got, want := cli.OneLine("no server answers:\n\t127.0.0.1: refused\n\t[::1]: refused\nsorry"), "no server answers: 127.0.0.1: refused; [::1]: refused; sorry"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestWhatPeopleWriteIsShownAsItIs(t *testing.T) {
	for _, text := range []string{"Café Zum Taler", "Cafe\u0301", "東京 喫茶店", "קפה", "مقهى", "Кафе №5", "☕ 2 × 1,50 €", "นํ้า", "a-b_c/d\"e'"} {
		if got := cli.OneLine(text); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
		if !cli.IsSafe(text) {
			t.Errorf("%q is called unsafe", text)
		}
		var b bytes.Buffer
		o := &cli.Out{Stdout: &b}
		if err := o.Result(nil, func(w io.Writer) {
			for _, c := range []byte(text) { // in pieces of one byte
				_, _ = w.Write([]byte{c})
			}
		}); err != nil || b.String() != text {
			t.Errorf("%q becomes %q, %v", text, &b, err)
		}
	}
}

func TestATextWithoutEndIsCut(t *testing.T) {
	if got := cli.OneLine(strings.Repeat("a", 1<<20)); len(got) > 5000 || !strings.HasSuffix(got, "…") {
		t.Errorf("%d bytes", len(got))
	}
}

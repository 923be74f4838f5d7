package strictjson_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/speciecash/specie/trust/strictjson"
)

type inner struct {
	N int64 `json:"n"`
}

type doc struct {
	A    string  `json:"a"`
	List []inner `json:"list"`
}

func TestUnmarshal(t *testing.T) {
	cases := []struct {
		name string
		in   string
		ok   bool
	}{
		{"a plain document", `{"a":"x","list":[{"n":1},{"n":2}]}`, true},
		{"space between tokens", " { \"a\" : \"x\" } \n", true},
		{"the same name in two objects", `{"list":[{"n":1},{"n":1}]}`, true},
		{"an unknown member", `{"a":"x","b":1}`, false},
		{"an unknown member further down", `{"list":[{"m":1}]}`, false},
		{"a member named twice", `{"a":"x","a":"y"}`, false},
		{"a member named twice further down", `{"list":[{"n":1,"n":2}]}`, false},
		{"a member named twice by an escape", `{"a":"x","\u0061":"y"}`, false},
		{"another case of a name", `{"A":"x"}`, false},
		{"a letter that folds to another", "{\"li\u017ft\":[]}", false},
		{"an empty name", `{"":1}`, false},
		{"two values", `{"a":"x"}{"a":"y"}`, false},
		{"rubbish after the value", `{"a":"x"}]`, false},
		{"broken UTF-8", "{\"a\":\"\xff\"}", false},
		{"a fraction where an integer belongs", `{"list":[{"n":1.5}]}`, false},
		{"an exponent where an integer belongs", `{"list":[{"n":1e3}]}`, false},
		{"an integer out of range", `{"list":[{"n":9223372036854775808}]}`, false},
		{"a string where an integer belongs", `{"list":[{"n":"1"}]}`, false},
		{"null for a member", `{"a":null}`, false},
		{"null for everything", `null`, false},
		{"nothing", ``, false},
		{"half a document", `{"a":"x"`, false},
		{"too deep", `{"list":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, false},
		{"too long", `{"a":"` + strings.Repeat("x", 1000) + `"}`, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var d doc
			err := strictjson.Unmarshal([]byte(c.in), 1000, &d)
			if c.ok && err != nil {
				t.Fatal(err)
			}
			if !c.ok && !errors.Is(err, strictjson.ErrSyntax) {
				t.Fatalf("got %v, want ErrSyntax", err)
			}
		})
	}
}

// picky takes nothing.
type picky struct{}

// UnmarshalText implements encoding.TextUnmarshaler.
func (picky) UnmarshalText([]byte) error { return errors.New("not that") }

func TestARefusalSaysWhichRuleAndNotTheInput(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":"x","secret":1}`: "it has a member that does not belong there",
		`{"p":"secret"}`:       "a value is not in the form that its member has",
		`{"a":1}`:              `member "a" has the wrong type`,
		`{"a":"secret"`:        "it ends too early",
	} {
		var d struct {
			A string `json:"a"`
			P picky  `json:"p"`
		}
		err := strictjson.Unmarshal([]byte(in), 1000, &d)
		if err == nil || !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}

func TestUnmarshalOpenIgnoresOnlyUnknownMembers(t *testing.T) {
	var d doc
	if err := strictjson.UnmarshalOpen([]byte(`{"a":"x","later":{"k":[1]}}`), 1000, &d); err != nil {
		t.Fatal(err)
	}
	if d.A != "x" {
		t.Fatalf("got %q", d.A)
	}
	if err := strictjson.UnmarshalOpen([]byte(`{"later":1,"later":2}`), 1000, &d); !errors.Is(err, strictjson.ErrSyntax) {
		t.Fatalf("a doubled unknown member: got %v", err)
	}
}

func TestErrorsDoNotRepeatTheInput(t *testing.T) {
	const secret = "correcthorse"
	for _, in := range []string{`{"` + secret + `":1}`, `{"a":` + secret + `}`, `{"list":"` + secret + `"}`, `{"` + secret + `":1,"` + secret + `":1}`} {
		var d doc
		err := strictjson.Unmarshal([]byte(in), 1000, &d)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Fatalf("error %v", err)
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"a":"x","list":[{"n":1},{"n":2}]}`))
	f.Add([]byte(`{"a":"x","a":"y"}`))
	f.Add([]byte(`[[[[]]]]`))
	f.Add([]byte(`{"A":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var d doc
		if err := strictjson.Unmarshal(data, 1000, &d); err != nil {
			return
		}
		// What is accepted is read alike by the plain decoder and survives
		// another round.
		var plain, again doc
		if err := json.Unmarshal(data, &plain); err != nil || !reflect.DeepEqual(plain, d) {
			t.Fatalf("plain decoding differs: %v", err)
		}
		out, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := strictjson.Unmarshal(out, len(out), &again); err != nil {
			t.Fatal(err)
		}
	})
}

// Package strictjson owns one rule: how JSON that a stranger wrote is read.
//
// encoding/json is generous: it takes the last of two equal members, matches
// names whatever their case, reads null as nothing said, replaces broken UTF-8
// and ignores what it does not know. Two programs that read one signed document must not read two
// things out of it, so here all of that is refused. Sizes and nesting are
// bounded before anything is built in memory.
//
// The package imports the standard library only, keeps no state and may be
// used from many goroutines.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may be nested.
const MaxDepth = 16

// ErrSyntax means the bytes are too long, are not JSON as this package reads
// it, or do not fit the value they are read into. The text after it says
// where; it never repeats the input.
var ErrSyntax = errors.New("strictjson: malformed document")

// Unmarshal reads one JSON value of at most max bytes into v. Members that v
// does not have are refused, as are members named twice, names with anything
// but [a-z0-9_] in them (so that no other case of a name can stand for it),
// null, invalid UTF-8 and bytes after the value.
func Unmarshal(data []byte, max int, v any) error {
	return unmarshal(data, max, v, true)
}

// UnmarshalOpen is Unmarshal for documents that may grow: members that v
// does not have are ignored. A document read so needs another way to say
// which members must not be ignored.
func UnmarshalOpen(data []byte, max int, v any) error {
	return unmarshal(data, max, v, false)
}

func unmarshal(data []byte, max int, v any, closed bool) error {
	if len(data) > max {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrSyntax, len(data), max)
	}
	if !utf8.Valid(data) {
		return fmt.Errorf("%w: not UTF-8", ErrSyntax)
	}
	if err := walk(data); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if closed {
		dec.DisallowUnknownFields()
	}
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: %s", ErrSyntax, reason(err))
	}
	return nil
}

// level is an array or object that walk is inside of.
type level struct {
	object bool
	onKey  bool // the next token of the object is a name
	seen   map[string]bool
}

// walk reads the tokens once for the rules that encoding/json has no option
// for: names, nesting and trailing bytes.
func walk(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var stack []level
	for first := true; first || len(stack) > 0; first = false {
		tok, err := dec.Token()
		if err != nil {
			return fmt.Errorf("%w: %s", ErrSyntax, reason(err))
		}
		var top *level
		if len(stack) > 0 {
			top = &stack[len(stack)-1]
		}
		if delim, ok := tok.(json.Delim); ok && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if top != nil && top.object && top.onKey {
			if err := top.name(tok); err != nil {
				return err
			}
			continue
		}
		if tok == nil {
			return fmt.Errorf("%w: null stands for a value", ErrSyntax)
		}
		if top != nil && top.object {
			top.onKey = true
		}
		if delim, ok := tok.(json.Delim); ok {
			if len(stack) == MaxDepth {
				return fmt.Errorf("%w: nested deeper than %d", ErrSyntax, MaxDepth)
			}
			stack = append(stack, level{object: delim == '{', onKey: delim == '{', seen: map[string]bool{}})
		}
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("%w: bytes after the value", ErrSyntax)
	}
	return nil
}

// name takes a member's name.
func (l *level) name(tok json.Token) error {
	name, ok := tok.(string)
	if !ok || name == "" {
		return fmt.Errorf("%w: member without a name", ErrSyntax)
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return fmt.Errorf("%w: a member's name has other characters than a-z, 0-9 and _", ErrSyntax)
		}
	}
	if l.seen[name] {
		return fmt.Errorf("%w: a member is named twice", ErrSyntax)
	}
	l.seen[name] = true
	l.onKey = false
	return nil
}

// reason words a decoding error without the input's own text, which may be a
// secret in the wrong place.
func reason(err error) string {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("not JSON at byte %d", syntax.Offset)
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Sprintf("member %q has the wrong type", kind.Field)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "it ends too early"
	}
	if strings.HasPrefix(err.Error(), "json: unknown field ") {
		return "it has a member that does not belong there"
	}
	return "a value is not in the form that its member has"
}

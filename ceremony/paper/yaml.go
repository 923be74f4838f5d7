package paper

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// YAMLError says an error of the YAML library in the words of people who wrote
// the file: line, field, and what stands there, and no name of a type in this
// program. Any other error is returned as it is; the result wraps err.
func YAMLError(err error) error {
	var several *yaml.LoadErrors
	var one *yaml.LoadError
	var text []string
	switch {
	case errors.As(err, &several):
		for _, e := range several.Errors {
			text = append(text, placed(e))
		}
	case errors.As(err, &one):
		text = append(text, placed(one))
	default:
		return err
	}
	return &yamlError{strings.Join(text, "; "), err}
}

type yamlError struct {
	text string
	err  error
}

func (e *yamlError) Error() string { return e.text }
func (e *yamlError) Unwrap() error { return e.err }

// placed is an error with its line, if it has one. What a type of ours says
// when it reads itself begins with the line already.
func placed(e *yaml.LoadError) string {
	text := plain(e.Message)
	if e.ContextMsg != "" {
		text += ", " + e.ContextMsg
	}
	if e.Mark.Line == 0 {
		return text
	}
	line := fmt.Sprintf("line %d: ", e.Mark.Line)
	return line + strings.TrimPrefix(text, line)
}

var (
	unknownForm = regexp.MustCompile(`(?s)^field (.*) not found in type .*$`)
	twiceForm   = regexp.MustCompile(`(?s)^field (.*) already set in type .*$`)
	againForm   = regexp.MustCompile(`(?s)^mapping key (.*) already defined at line (\d+)$`)
	kindForm    = regexp.MustCompile("(?s)^cannot construct !!([a-z]+)( `.*`)? into (.*)$")
)

func plain(message string) string {
	message = strings.TrimPrefix(message, "yaml: ")
	switch message {
	case "no documents in stream":
		return "there is nothing in it"
	case "expected single document, found multiple":
		return "more than one document"
	}
	if m := unknownForm.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("unknown field %q", m[1])
	}
	if m := twiceForm.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("field %q stands twice", m[1])
	}
	if m := againForm.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("field %s stands twice, first in line %s", m[1], m[2])
	}
	if m := kindForm.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("%s%s where %s is meant", found(m[1]), m[2], meant(m[3]))
	}
	return message
}

// found says what a YAML tag stands for.
func found(tag string) string {
	switch tag {
	case "str":
		return "text"
	case "int", "float":
		return "the number"
	case "seq":
		return "a list"
	case "map":
		return "a block of fields"
	case "null":
		return "nothing"
	}
	return "a value"
}

// meant says what a type of Go is filled from.
func meant(typ string) string {
	switch {
	case typ == "string":
		return "text"
	case strings.HasPrefix(typ, "int"):
		return "a whole number"
	case strings.HasPrefix(typ, "uint"):
		return "a whole number that is not negative"
	case strings.HasPrefix(typ, "[]"):
		return "a list"
	case strings.HasPrefix(typ, "struct "):
		return "a block of fields"
	}
	return "something else"
}

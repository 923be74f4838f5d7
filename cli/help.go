package cli

import (
	"bytes"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// help is kong's, but the usage line says of flags of which one is needed that it
// is one of them, and not all.
func help(options kong.HelpOptions, ctx *kong.Context) error {
	var b bytes.Buffer
	stdout := ctx.Stdout
	ctx.Stdout = &b
	err := kong.DefaultHelpPrinter(options, ctx)
	ctx.Stdout = stdout
	if err != nil {
		return err
	}
	text := strings.Replace(b.String(), "Show context-sensitive help.", "Show this.", 1)
	if ctx.Selected() != nil {
		text = oneOf(text, ctx.Selected())
	}
	_, err = io.WriteString(stdout, text)
	return err
}

func oneOf(text string, n *kong.Node) string {
	groups := map[string][]string{}
	for _, f := range n.Flags {
		if f.Required && len(f.Xor) == 1 {
			groups[f.Xor[0]] = append(groups[f.Xor[0]], f.Summary())
		}
	}
	for _, flags := range groups {
		if len(flags) > 1 {
			text = strings.Replace(text, strings.Join(flags, " "), "("+strings.Join(flags, " | ")+")", 1)
		}
	}
	return text
}

// describe is kong's text of a flag or argument, and what it is by default, which
// kong says only where no placeholder stands in its place.
func describe(v *kong.Value) string {
	if v.Flag == nil || v.Flag.PlaceHolder == "" || v.Default == "" || strings.Contains(v.Help, v.Default) {
		return kong.DefaultHelpValueFormatter(v)
	}
	more := *v
	more.Help = strings.TrimSuffix(v.Help, ".") + "; " + v.Default + " by default."
	return kong.DefaultHelpValueFormatter(&more)
}

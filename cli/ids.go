package cli

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// minID is how much of an id may be given, at least.
const minID = 6

// maybeID says whether an argument that begins with a hyphen is an id in base64url
// (RFC 4648, section 5) or the beginning of one: one id in 64 begins so. No flag's
// name has a capital, a digit or an underscore; an id of the length that is shown
// is without one once in ten thousand.
func maybeID(arg string) bool {
	const letters, marks = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	return len(arg) >= minID && arg[0] == '-' && strings.ContainsAny(arg, marks) && strings.Trim(arg, letters+marks+"-") == ""
}

// withIDs puts the arguments that are no flags behind "--" if one of them is an id
// that looks like a flag, so that nobody has to.
func withIDs(root *kong.Node, args []string) []string {
	node, taking := root, takesValue(root)
	var before, positional []string
	found := false
	for i := 0; i < len(args); i++ {
		arg := args[i]
		child := command(node, arg)
		switch {
		case arg == "--":
			positional = append(positional, args[i+1:]...)
			i = len(args)
		case maybeID(arg):
			found = true
			positional = append(positional, arg)
		case strings.HasPrefix(arg, "--") && taking[arg[2:]] && i+1 < len(args):
			i++
			if maybeID(args[i]) {
				found = true
				before = append(before, arg+"="+args[i])
				continue
			}
			before = append(before, arg, args[i])
		case strings.HasPrefix(arg, "-") && arg != "-":
			before = append(before, arg)
		case child != nil:
			node, taking = child, takesValue(child)
			before = append(before, arg)
		default:
			positional = append(positional, arg)
		}
	}
	if !found {
		return args
	}
	if len(positional) == 0 {
		return before
	}
	return slices.Concat(before, []string{"--"}, positional)
}

// command is the one of that name below a node.
func command(n *kong.Node, name string) *kong.Node {
	for _, c := range n.Children {
		if c.Type == kong.CommandNode && (c.Name == name || slices.Contains(c.Aliases, name)) {
			return c
		}
	}
	return nil
}

// takesValue are the flags that may stand at a command and have a value in the next
// argument.
func takesValue(n *kong.Node) map[string]bool {
	out := map[string]bool{}
	for _, group := range n.AllFlags(false) {
		for _, f := range group {
			out[f.Name] = !f.IsBool() && !f.IsCounter()
		}
	}
	return out
}

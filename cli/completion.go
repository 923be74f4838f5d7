package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// ErrShell: there is no completion for that shell.
var ErrShell = errors.New("no completion for that shell")

// grammar is what a completion script has to know, by command path.
type grammar struct {
	words  map[string][]string // what may stand next: commands, flags, enum arguments
	values map[string][]string // "path --flag": the values of an enum flag
	taking map[string]bool     // flags that take a value
}

// Completion writes a completion script for bash, zsh or fish from the
// command tree itself, so that it can't fall behind. File names complete
// where nothing else does.
func Completion(model *kong.Application, shell string) (string, error) {
	g := &grammar{words: map[string][]string{}, values: map[string][]string{}, taking: map[string]bool{}}
	g.collect(model.Node, nil)
	switch shell {
	case "bash":
		return g.bash(model.Name), nil
	case "zsh":
		return "autoload -U +X bashcompinit && bashcompinit\n" + g.bash(model.Name), nil
	case "fish":
		return g.fish(model.Name), nil
	}
	return "", fmt.Errorf("%w: %q", ErrShell, shell)
}

func (g *grammar) collect(n *kong.Node, path []string) {
	at := strings.Join(path, " ")
	var next []string
	for _, c := range n.Children {
		if c.Hidden || c.Type != kong.CommandNode {
			continue
		}
		next = append(next, c.Name)
		g.collect(c, append(slices.Clone(path), c.Name))
	}
	for _, arg := range n.Positional {
		if arg.Enum != "" {
			next = append(next, arg.EnumSlice()...)
		}
	}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			flag := "--" + f.Name
			next = append(next, flag)
			if !f.IsBool() && !f.IsCounter() {
				g.taking[flag] = true
			}
			if f.Enum != "" {
				g.values[strings.TrimSpace(at+" "+flag)] = f.EnumSlice()
			}
		}
	}
	slices.Sort(next)
	g.words[at] = slices.Compact(next)
}

// bash finds the command path among the words so far, past flags and their
// values and past arguments, and offers what may stand there.
func (g *grammar) bash(name string) string {
	fn := "_" + strings.ReplaceAll(name, "-", "_")
	var b strings.Builder
	fmt.Fprintf(&b, "%s() {\n\tlocal path='' w flag='' words=''\n", fn)
	b.WriteString("\tfor w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n")
	b.WriteString("\t\tif [ -n \"$flag\" ]; then flag=''; continue; fi\n\t\tcase \"$w\" in\n")
	fmt.Fprintf(&b, "\t\t%s) flag=$w ;;\n", strings.Join(slices.Sorted(maps.Keys(g.taking)), "|"))
	b.WriteString("\t\t-*) ;;\n\t\t*) case \"${path:+$path }$w\" in\n")
	var known []string
	for _, p := range slices.Sorted(maps.Keys(g.words)) {
		if p != "" {
			known = append(known, strconv.Quote(p))
		}
	}
	fmt.Fprintf(&b, "\t\t\t%s) path=\"${path:+$path }$w\" ;;\n\t\t\tesac ;;\n\t\tesac\n\tdone\n", strings.Join(known, "|"))
	b.WriteString("\tcase \"${path:+$path }$flag\" in\n")
	for _, p := range slices.Sorted(maps.Keys(g.values)) {
		fmt.Fprintf(&b, "\t%q) words=%q ;;\n", p, strings.Join(g.values[p], " "))
	}
	b.WriteString("\tesac\n\tif [ -z \"$flag\" ]; then case \"$path\" in\n")
	for _, p := range slices.Sorted(maps.Keys(g.words)) {
		fmt.Fprintf(&b, "\t%q) words=%q ;;\n", p, strings.Join(g.words[p], " "))
	}
	b.WriteString("\tesac; fi\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\n")
	fmt.Fprintf(&b, "complete -o default -F %s %s\n", fn, name)
	return b.String()
}

func (g *grammar) fish(name string) string {
	var b strings.Builder
	for _, p := range slices.Sorted(maps.Keys(g.words)) {
		cond := "__fish_use_subcommand"
		if p != "" {
			parts := strings.Fields(p)
			cond = "__fish_seen_subcommand_from " + parts[len(parts)-1]
		}
		for _, w := range g.words[p] {
			flag, ok := strings.CutPrefix(w, "--")
			if !ok {
				fmt.Fprintf(&b, "complete -c %s -n '%s' -f -a %s\n", name, cond, w)
				continue
			}
			line := fmt.Sprintf("complete -c %s -n '%s' -l %s", name, cond, flag)
			if g.taking[w] {
				line += " -r"
			}
			if values := g.values[strings.TrimSpace(p+" "+w)]; len(values) > 0 {
				line += fmt.Sprintf(" -f -a '%s'", strings.Join(values, " "))
			}
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

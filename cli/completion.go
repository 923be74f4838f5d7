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
	words  map[string][]word   // what may stand next: commands, flags, enum arguments
	values map[string][]string // "path --flag": the values of an enum flag
	taking map[string]bool     // flags that take a value
}

type word struct{ text, help string }

func texts(words []word) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.text
	}
	return strings.Join(out, " ")
}

// Completion writes a completion script for bash, zsh or fish from the
// command tree itself, so that it can't fall behind. File names complete
// where nothing else does.
func Completion(model *kong.Application, shell string) (string, error) {
	g := &grammar{words: map[string][]word{}, values: map[string][]string{}, taking: map[string]bool{}}
	g.collect(model.Node, nil)
	switch shell {
	case "bash":
		return g.bash(model.Name), nil
	case "zsh":
		return "autoload -U +X compinit && (( $+functions[compdef] )) || compinit\nautoload -U +X bashcompinit && bashcompinit\n" + g.bash(model.Name), nil
	case "fish":
		return g.fish(model.Name), nil
	}
	return "", fmt.Errorf("%w: %q", ErrShell, shell)
}

func (g *grammar) collect(n *kong.Node, path []string) {
	at := strings.Join(path, " ")
	var next []word
	for _, c := range n.Children {
		if c.Hidden || c.Type != kong.CommandNode {
			continue
		}
		next = append(next, word{c.Name, c.Help})
		g.collect(c, append(slices.Clone(path), c.Name))
	}
	for _, arg := range n.Positional {
		if arg.Enum != "" {
			for _, v := range arg.EnumSlice() {
				next = append(next, word{v, ""})
			}
		}
	}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			flag := "--" + f.Name
			next = append(next, word{flag, f.Help})
			if !f.IsBool() && !f.IsCounter() {
				g.taking[flag] = true
			}
			if f.Enum != "" {
				g.values[strings.TrimSpace(at+" "+flag)] = f.EnumSlice()
			}
		}
	}
	slices.SortFunc(next, func(a, b word) int { return strings.Compare(a.text, b.text) })
	g.words[at] = slices.CompactFunc(next, func(a, b word) bool { return a.text == b.text })
}

// paths are those of all commands, each quoted.
func (g *grammar) paths() (quoted []string) {
	for _, p := range slices.Sorted(maps.Keys(g.words)) {
		if p != "" {
			quoted = append(quoted, strconv.Quote(p))
		}
	}
	return quoted
}

// bash finds the command path among the words so far, past flags and their
// values and past arguments, and offers what may stand there. Bash makes
// "--kind=b" three words. The same function serves zsh: there path and words are
// names of its own.
func (g *grammar) bash(name string) string {
	fn := "_" + strings.ReplaceAll(name, "-", "_")
	var b strings.Builder
	fmt.Fprintf(&b, "%s() {\n\tlocal at='' w flag='' offer='' before='' cur=\"${COMP_WORDS[COMP_CWORD]}\"\n", fn)
	b.WriteString("\tfor w in \"${COMP_WORDS[@]:1:$((COMP_CWORD-1))}\"; do\n\t\tif [ \"$w\" = '=' ]; then continue; fi\n")
	b.WriteString("\t\tif [ -n \"$flag\" ]; then flag=''; continue; fi\n\t\tcase \"$w\" in\n")
	fmt.Fprintf(&b, "\t\t%s) flag=$w ;;\n", strings.Join(slices.Sorted(maps.Keys(g.taking)), "|"))
	b.WriteString("\t\t-*) ;;\n\t\t*) case \"${at:+$at }$w\" in\n")
	fmt.Fprintf(&b, "\t\t\t%s) at=\"${at:+$at }$w\" ;;\n\t\t\tesac ;;\n\t\tesac\n\tdone\n", strings.Join(g.paths(), "|"))
	b.WriteString("\tcase \"$cur\" in\n\t=) cur='' ;;\n\t--*=*) flag=\"${cur%%=*}\"; before=\"$flag=\"; cur=\"${cur#*=}\" ;;\n\tesac\n\tcase \"${at:+$at }$flag\" in\n")
	for _, p := range slices.Sorted(maps.Keys(g.values)) {
		fmt.Fprintf(&b, "\t%q) offer=%q ;;\n", p, strings.Join(g.values[p], " "))
	}
	b.WriteString("\tesac\n\tif [ -z \"$flag\" ]; then case \"$at\" in\n")
	for _, p := range slices.Sorted(maps.Keys(g.words)) {
		fmt.Fprintf(&b, "\t%q) offer=%q ;;\n", p, texts(g.words[p]))
	}
	b.WriteString("\tesac; fi\n\tCOMPREPLY=($(compgen -P \"$before\" -W \"$offer\" -- \"$cur\"))\n}\n")
	fmt.Fprintf(&b, "complete -o default -F %s %s\n", fn, name)
	return b.String()
}

// fish has a function that says whether the words so far are those of a command,
// found as bash does it, and a line for each word that may follow.
func (g *grammar) fish(name string) string {
	at := "__" + strings.ReplaceAll(name, "-", "_") + "_at"
	var b strings.Builder
	fmt.Fprintf(&b, "function %s\n\tset -l path ''\n\tset -l flag 0\n\tset -l words (commandline -opc)\n\tset -e words[1]\n\tfor w in $words\n", at)
	b.WriteString("\t\tif test $flag = 1\n\t\t\tset flag 0\n\t\t\tcontinue\n\t\tend\n\t\tswitch $w\n")
	fmt.Fprintf(&b, "\t\t\tcase %s\n\t\t\t\tset flag 1\n\t\t\tcase '-*'\n\t\t\tcase '*'\n", strings.Join(slices.Sorted(maps.Keys(g.taking)), " "))
	fmt.Fprintf(&b, "\t\t\t\tset -l next (string trim -- \"$path $w\")\n\t\t\t\tif contains -- $next %s\n\t\t\t\t\tset path $next\n\t\t\t\tend\n\t\tend\n\tend\n", strings.Join(g.paths(), " "))
	b.WriteString("\ttest \"$path\" = \"$argv\"\nend\n")
	for _, p := range slices.Sorted(maps.Keys(g.words)) {
		for _, w := range g.words[p] {
			line := fmt.Sprintf("complete -c %s -n '%s %s'", name, at, p)
			if flag, ok := strings.CutPrefix(w.text, "--"); ok {
				line += " -l " + flag
				if g.taking[w.text] {
					line += " -r"
				}
				if values := g.values[strings.TrimSpace(p+" "+w.text)]; len(values) > 0 {
					line += fmt.Sprintf(" -f -a '%s'", strings.Join(values, " "))
				}
			} else {
				line += " -f -a " + w.text
			}
			if w.help != "" {
				line += " -d '" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(w.help) + "'"
			}
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

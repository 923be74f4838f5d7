package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// ErrShell: there is no completion for that shell.
var ErrShell = errors.New("no completion for that shell")

// Completion writes a completion script for bash, zsh or fish from the
// command tree itself, so that it can't fall behind. File names complete
// where nothing else does.
func Completion(model *kong.Application, shell string) (string, error) {
	words := map[string][]string{}
	collect(model.Node, nil, words)
	paths := make([]string, 0, len(words))
	for p := range words {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	switch shell {
	case "bash":
		return bash(model.Name, paths, words), nil
	case "zsh":
		return "autoload -U +X bashcompinit && bashcompinit\n" + bash(model.Name, paths, words), nil
	case "fish":
		return fish(model.Name, paths, words), nil
	}
	return "", fmt.Errorf("%w: %q", ErrShell, shell)
}

// collect lists what may follow each command path.
func collect(n *kong.Node, path []string, words map[string][]string) {
	var next []string
	for _, c := range n.Children {
		if c.Hidden || c.Type != kong.CommandNode {
			continue
		}
		next = append(next, c.Name)
		collect(c, append(slices.Clone(path), c.Name), words)
	}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			next = append(next, "--"+f.Name)
		}
	}
	slices.Sort(next)
	words[strings.Join(path, " ")] = slices.Compact(next)
}

func bash(name string, paths []string, words map[string][]string) string {
	fn := "_" + strings.ReplaceAll(name, "-", "_")
	var b strings.Builder
	fmt.Fprintf(&b, "%s() {\n\tlocal path='' w\n\tfor w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n", fn)
	b.WriteString("\t\tcase \"$w\" in -*) ;; *) path=\"${path:+$path }$w\" ;; esac\n\tdone\n\tlocal words=''\n\tcase \"$path\" in\n")
	for _, p := range paths {
		fmt.Fprintf(&b, "\t%q) words=%q ;;\n", p, strings.Join(words[p], " "))
	}
	b.WriteString("\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\n")
	fmt.Fprintf(&b, "complete -o default -F %s %s\n", fn, name)
	return b.String()
}

func fish(name string, paths []string, words map[string][]string) string {
	var b strings.Builder
	for _, p := range paths {
		cond := "__fish_use_subcommand"
		if p != "" {
			parts := strings.Fields(p)
			cond = "__fish_seen_subcommand_from " + parts[len(parts)-1]
		}
		for _, w := range words[p] {
			if flag, ok := strings.CutPrefix(w, "--"); ok {
				fmt.Fprintf(&b, "complete -c %s -n '%s' -l %s\n", name, cond, flag)
			} else {
				fmt.Fprintf(&b, "complete -c %s -n '%s' -f -a %s\n", name, cond, w)
			}
		}
	}
	return b.String()
}

package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/speciecash/specie/cli"
)

var errOpen = errors.New("open")

type failCmd struct {
	How string `arg:""`
}

func (c failCmd) Run(ctx *holder) error {
	switch c.How {
	case "usage":
		return cli.Usage(fmt.Errorf("amount %q: no amount", "5,00"))
	case "interrupted":
		return fmt.Errorf("fetch: %w", context.Cause(ctx))
	case "open":
		return fmt.Errorf("%w: %w", errOpen, context.Cause(ctx))
	}
	return cli.Usage(nil)
}

func TestHowACommandEnds(t *testing.T) {
	live := t.Context()
	ended, end := context.WithCancel(live)
	end()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"done", live, []string{"fail", "not"}, cli.ExitOK, "", ""},
		{"the name alone shows the first steps", live, nil, cli.ExitOK, "first steps\n", ""},
		{"one of two flags is needed", live, []string{"fetch"}, cli.ExitUsage, "",
			"prog: error: missing flags: --socket=SOCKET or --url=URL\nprog: hint: \"prog fetch --help\" says what there is\n"},
		{"and the usage says which", live, []string{"fetch", "--help"}, cli.ExitOK,
			"Usage: prog fetch (--socket=SOCKET | --url=URL) [flags]\n", ""},
		{"what was typed is wrong", live, []string{"fail", "usage"}, cli.ExitUsage, "",
			"prog: error: amount \"5,00\": no amount\nprog: hint: \"prog fail --help\" says what there is\n"},
		{"a flag is mistyped", live, []string{"fail", "not", "--lod"}, cli.ExitUsage, "",
			"prog: error: unknown flag --lod, did you mean \"--loud\"?\nprog: hint: \"prog fail --help\" says what there is\n"},
		{"interrupted", ended, []string{"fail", "interrupted"}, cli.ExitInterrupted, "", "prog: error: interrupted\n"},
		{"interrupted with the outcome open", ended, []string{"fail", "open"}, cli.ExitOpen, "",
			"prog: error: open: context canceled\nprog: hint: run it again\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := (&cli.Program{
				Name: "prog", Overview: "first steps\n", Flags: &struct {
					Loud  bool
					Fail  failCmd  `cmd:""`
					Fetch fetchCmd `cmd:""`
				}{},
				Ready: func(ctx context.Context, _ *cli.Out) (any, error) { return &holder{ctx}, nil },
				Explain: func(err error) (string, int) {
					if errors.Is(err, errOpen) {
						return "run it again", cli.ExitOpen
					}
					return "", cli.ExitFailed
				},
			}).Run(c.ctx, c.args, &cli.Out{Program: "prog", Stdout: &stdout, Stderr: &stderr})
			if strings.HasPrefix(c.stdout, "Usage: ") {
				stdout.Truncate(min(stdout.Len(), len(c.stdout)))
			}
			if code != c.code || stdout.String() != c.stdout || stderr.String() != c.stderr {
				t.Errorf("status %d, stdout %q, stderr %q", code, &stdout, &stderr)
			}
		})
	}
}

type fetchCmd struct {
	Socket string `required:"" xor:"where" placeholder:"SOCKET"`
	URL    string `required:"" xor:"where" placeholder:"URL" name:"url"`
	From   string `default:"127.0.0.1:9" placeholder:"ADDRESS" help:"Where from."`
	Named  string `default:"here" placeholder:"PLACE" help:"Where to: here, if you don't say."`
}

func TestHelpSaysWhatIsTheDefault(t *testing.T) {
	var stdout bytes.Buffer
	code := (&cli.Program{Name: "prog", Flags: &struct {
		Fetch fetchCmd `cmd:""`
	}{}}).Run(t.Context(), []string{"fetch", "--help"}, &cli.Out{Program: "prog", Stdout: &stdout, Stderr: &bytes.Buffer{}})
	text := strings.Join(strings.Fields(stdout.String()), " ")
	for _, want := range []string{
		"Show this.", "--from=ADDRESS Where from; 127.0.0.1:9 by default.", "--named=PLACE Where to: here, if you don't say.",
	} {
		if !strings.Contains(text+" ", want+" ") {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if code != cli.ExitOK {
		t.Errorf("status %d", code)
	}
}

func (fetchCmd) Run(*holder) error { return nil }

type holder struct{ context.Context }

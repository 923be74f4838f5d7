package cli_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/speciecash/specie/cli"
)

type backCmd struct {
	ID     string `arg:""`
	Amount string `arg:"" optional:""`
	Cancel bool
	Why    string
}

func (c backCmd) Run(got *[]string) error {
	*got = []string{c.ID, c.Amount, c.Why}
	if c.Cancel {
		*got = append(*got, "cancel")
	}
	return nil
}

func TestAnIDMayBeginWithAHyphen(t *testing.T) {
	for _, c := range []struct{ args, got, stderr string }{
		{"back -4k1mZq", "-4k1mZq  ", ""},
		{"back --4k1mZq_-", "--4k1mZq_-  ", ""},
		{"back -4k1mZq 0.05 --cancel", "-4k1mZq 0.05  cancel", ""},
		{"--home there --loud back --why -4k1mZq -9k1mZq 0.05", "-9k1mZq 0.05 -4k1mZq", ""},
		{"back --why --4k1mZq 9k1mZq", "9k1mZq  --4k1mZq", ""},
		{"back 9k1mZq --why --cancel", "", "expected string value but got \"--cancel\""},
		{"--home there --loud back --why late -9k1mZq 0.05", "-9k1mZq 0.05 late", ""},
		{"--home back back --why=late 4k1mZq -100000", "4k1mZq -100000 late", ""},
		{"back --cancel -- -4k1mZq -1", "-4k1mZq -1  cancel", ""},
		{"back -- -x", "-x  ", ""},
		{"back 4k1mZq", "4k1mZq  ", ""},
		{"back 4k1mZq -x", "", "unknown flag -x"},
		{"back 4k1mZq --cancle", "", "unknown flag --cancle"},
		{"back 4k1mZq -cancel", "", "unknown flag -c"},
		{"back 4k1mZq --WHY=9", "", "unknown flag --WHY"},
		{"-4k1mZq", "", "unexpected argument -4k1mZq"},
	} {
		t.Run(c.args, func(t *testing.T) {
			var got []string
			var stderr bytes.Buffer
			(&cli.Program{
				Name: "prog", Flags: &struct {
					Home string
					Loud bool
					Back backCmd `cmd:""`
				}{},
				Ready:   func(context.Context, *cli.Out) (any, error) { return &got, nil },
				Explain: func(error) (string, int) { return "", cli.ExitFailed },
			}).Run(t.Context(), strings.Fields(c.args), &cli.Out{Program: "prog", Stdout: &bytes.Buffer{}, Stderr: &stderr})
			if s := strings.Join(got, " "); s != c.got || !strings.Contains(stderr.String(), c.stderr) || c.stderr == "" && stderr.Len() > 0 {
				t.Errorf("got %q, stderr %q", s, &stderr)
			}
		})
	}
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/speciecash/specie/hsm"
)

// TestTheUnitsRunWhatThereIs: the systemd units name commands of this
// program, and keep the promises that the program relies on.
func TestTheUnitsRunWhatThereIs(t *testing.T) {
	units := must(filepath.Glob("../../contrib/systemd/*.service"))(t)
	if len(units) != 3 {
		t.Fatalf("units %v", units)
	}
	var f flags
	commands := must(kong.New(&f))(t).Model.Children
	exec := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/specied (\S+) --config /etc/specie/(\S+)\.yaml$`)
	for _, unit := range units {
		text := string(must(os.ReadFile(unit))(t))
		m := exec.FindStringSubmatch(text)
		if m == nil || m[1] != m[2] {
			t.Errorf("%s starts %v", unit, m)
			continue
		}
		known := false
		for _, c := range commands {
			known = known || c.Name == m[1]
		}
		if !known {
			t.Errorf("%s: there is no command %q", unit, m[1])
		}
		for _, line := range []string{fmt.Sprintf("RestartPreventExitStatus=%d", exitPIN), "LimitCORE=0", "NoNewPrivileges=yes"} {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("%s has no line %s", unit, line)
			}
		}
		if secret := strings.Contains(text, "\nLoadCredential="); secret != (m[1] == "signer") {
			t.Errorf("%s: credential: %v", unit, secret)
		}
	}
}

// TestTheSignersUnitShowsAGoodConfiguration reads what stands in its
// comment.
func TestTheSignersUnitShowsAGoodConfiguration(t *testing.T) {
	text := string(must(os.ReadFile("../../contrib/systemd/specie-signer.service"))(t))
	_, rest, ok := strings.Cut(text, "# /etc/specie/signer.yaml:\n")
	shown, _, ok2 := strings.Cut(rest, "\n[Unit]")
	if !ok || !ok2 {
		t.Fatal("no configuration in the comment")
	}
	yaml := regexp.MustCompile(`(?m)^#`).ReplaceAllString(shown, "")
	yaml = strings.Replace(yaml, "specie-issuer", "root", 1) // a user of this machine
	var cfg signerConfig
	must(loadYAML(file(t, yaml), &cfg))(t)
	must(cfg.check())(t)
	uri := must(hsm.ParseURI(cfg.Tokens[0].URI))(t)
	name, ok := strings.CutPrefix(uri.PINSource, "credential:")
	if !ok || !strings.Contains(text, "\nLoadCredential="+name+":") {
		t.Errorf("the unit loads no credential %q", name)
	}
}

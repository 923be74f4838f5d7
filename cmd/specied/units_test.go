package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/speciecash/specie/hsm"
)

// units is where the systemd units are.
const units = "../../contrib/systemd"

func unit(t *testing.T, name string) string {
	t.Helper()
	return string(must(os.ReadFile(filepath.Join(units, name)))(t))
}

// TestTheUnitsRunWhatThereIs: each unit gives a program a command and flags that
// it has, and keeps the promises that the program relies on.
func TestTheUnitsRunWhatThereIs(t *testing.T) {
	want := map[string]string{ // the credential that each may read
		"specie-issuer": "", "specie-signer": "bank-pin", "specie-group": "", "specie-group-signer": "group-pin",
		"specie-till": "", "specie-backup": "",
	}
	found := must(filepath.Glob(units + "/*.service"))(t)
	if len(found) != len(want) {
		t.Fatalf("units %v", found)
	}
	start := regexp.MustCompile(`(?m)^ExecStart=.*/usr/local/bin/(specied?) (.*)$`)
	users := map[string]string{}
	for name, credential := range want {
		text := unit(t, name+".service")
		m := start.FindStringSubmatch(text)
		if m == nil {
			t.Errorf("%s starts nothing", name)
			continue
		}
		args := strings.Fields(regexp.MustCompile(`--[a-z-]+ [^ -][^ ]*`).ReplaceAllString(m[2], ""))
		command := slices.DeleteFunc(args, func(a string) bool { return !regexp.MustCompile(`^[a-z]+$`).MatchString(a) })
		help := must(exec.Command(build(t, m[1]), append(command, "--help")...).CombinedOutput())(t)
		for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(m[2], -1) {
			if !strings.Contains(string(help), flag+"=") {
				t.Errorf("%s: %s %v has no %s", name, m[1], command, flag)
			}
		}
		for _, line := range []string{"LimitCORE=0", "NoNewPrivileges=yes", "UMask=0077", "CapabilityBoundingSet="} {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("%s has no line %s", name, line)
			}
		}
		if m[1] == "specied" && name != "specie-backup" && !strings.Contains(text, fmt.Sprintf("\nRestartPreventExitStatus=%d\n", exitPIN)) {
			t.Errorf("%s is started again after a refused PIN", name)
		}
		if got := regexp.MustCompile(`(?m)^LoadCredential=([a-z-]+):`).FindStringSubmatch(text); (got == nil) != (credential == "") || got != nil && got[1] != credential {
			t.Errorf("%s: credential %v", name, got)
		}
		if user := regexp.MustCompile(`(?m)^User=(\S+)$`).FindStringSubmatch(text); user == nil {
			t.Errorf("%s runs as root", name)
		} else if before, taken := users[user[1]]; taken && name != "specie-backup" && before != "specie-backup" {
			t.Errorf("%s and %s are one user", name, before)
		} else {
			users[user[1]] = name
		}
	}
}

// TestTheTwoSignersAreAlike: what is mended in one unit is mended in the other.
func TestTheTwoSignersAreAlike(t *testing.T) {
	body := func(name string) string { return unit(t, name)[strings.Index(unit(t, name), "[Unit]"):] }
	bank := strings.NewReplacer("specie-signer", "specie-group-signer", "/signer.yaml", "/group-signer.yaml", "bank-pin", "group-pin",
		"bank.pin", "group.pin", "the bank's HSM", "the group manager's HSM").Replace(body("specie-signer.service"))
	if got := body("specie-group-signer.service"); got != bank {
		t.Errorf("the group manager's signer is\n%s\nthe bank's would be\n%s", got, bank)
	}
}

// TestSystemdTakesTheUnits: every setting is one that systemd knows, and none of
// the services is more exposed than it was.
func TestSystemdTakesTheUnits(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"etc/systemd/system", "usr/local/bin", "bin"} {
		check(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	here := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	for _, program := range []string{"usr/local/bin/specie", "usr/local/bin/specied", "bin/sh", "bin/kill"} {
		check(t, os.WriteFile(here(program), []byte("#!/bin/sh\n"), 0o755))
	}
	// What a machine has besides, as far as units name it.
	for _, target := range []string{"sysinit", "basic", "shutdown", "network-online", "multi-user", "timers", "time-sync", "time-set"} {
		check(t, os.WriteFile(here("etc/systemd/system", target+".target"), []byte("[Unit]\nDescription="+target+"\n"), 0o644))
	}
	var names []string
	for _, path := range must(filepath.Glob(units + "/*"))(t) {
		names = append(names, filepath.Base(path))
		check(t, os.WriteFile(here("etc/systemd/system", filepath.Base(path)), must(os.ReadFile(path))(t), 0o644))
	}
	out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no", "--root=" + dir}, names...)...).CombinedOutput()
	if err != nil || len(out) != 0 {
		t.Errorf("%v\n%s", err, out)
	}
	most := map[string]string{"specie-backup.service": "5"} // tenths; others:
	for _, name := range names {
		if !strings.HasSuffix(name, ".service") {
			continue
		}
		threshold := most[name]
		if threshold == "" {
			threshold = "13"
		}
		if out, err := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold="+threshold, filepath.Join(units, name)).CombinedOutput(); err != nil {
			t.Errorf("%s is more exposed than %s tenths: %v\n%s", name, threshold, err, out)
		}
	}
}

// TestTheSignersUnitShowsAGoodConfiguration reads what stands in its
// comment.
func TestTheSignersUnitShowsAGoodConfiguration(t *testing.T) {
	for name, client := range map[string]string{"specie-signer": "specie-issuer", "specie-group-signer": "specie-group"} {
		text := unit(t, name+".service")
		_, rest, ok := strings.Cut(text, "signer.yaml:\n")
		shown, _, ok2 := strings.Cut(rest, "\n[Unit]")
		if !ok || !ok2 {
			t.Fatal("no configuration in the comment")
		}
		yaml := regexp.MustCompile(`(?m)^#`).ReplaceAllString(shown, "")
		yaml = strings.Replace(yaml, "["+client+"]", "[root]", 1) // a user of this machine
		var cfg signerConfig
		must(loadYAML(file(t, yaml), &cfg))(t)
		must(cfg.check())(t)
		uri := must(hsm.ParseURI(cfg.Tokens[0].URI))(t)
		credential, ok := strings.CutPrefix(uri.PINSource, "credential:")
		if !ok || !strings.Contains(text, "\nLoadCredential="+credential+":") {
			t.Errorf("%s loads no credential %q", name, credential)
		}
	}
}

package dockertest

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/speciecash/specie/docstest"
)

// balances are the classes of the bank's books.
func (e *engine) balances() map[string]int64 {
	e.t.Helper()
	var books struct {
		Classes []struct {
			Class   string `json:"class"`
			Balance int64  `json:"balance"`
		} `json:"classes"`
		Balanced bool `json:"balanced"`
	}
	said := e.must("issuer", "specied", "--json", "books", "--socket", e.specieDir()+"/issuer/admin.sock")
	check(e.t, json.Unmarshal([]byte(said), &books))
	if !books.Balanced {
		e.t.Errorf("the books: %s", said)
	}
	out := map[string]int64{}
	for _, c := range books.Classes {
		out[c.Class] = c.Balance
	}
	return out
}

// TestDocs plays docs/deploy.md on compose.yaml, with fewer denominations:
// founds, starts, withdraws, pays, stops all and starts all. Then it pays once
// more.
func TestDocs(t *testing.T) {
	e := newEngine(t)
	page := docstest.Read(t, "docs/deploy.md").Shell()
	e.c.Services["found"].Environment["SPECIE_VALUES"] = "1 4 16 64"
	if out, err := e.run("till"); err == nil || !strings.Contains(out, "nothing is founded") {
		t.Errorf("a till opens at a bank that was not founded: %v\n%s", err, out)
	}
	want := map[string]int64{"holder": 9800, "merchant": 85, "circulation": 115, "reserve": -10000}
	same := func(when string) {
		t.Helper()
		for class, amount := range e.balances() {
			if amount != want[class] {
				t.Errorf("%s: %s has %d", when, class, amount)
			}
		}
	}
	var commands strings.Builder
	for line := range strings.Lines(page) {
		args, ours := strings.CutPrefix(strings.TrimSpace(line), "docker compose ")
		if !ours || strings.Contains(line, ">") {
			commands.WriteString(line)
			continue
		}
		switch args {
		case "build": // newEngine did
		case "run --rm found":
			e.must("found")
		case "up --detach --wait":
			e.up()
		case "down":
			e.shell(commands.String())
			commands.Reset()
			same("after the payment")
			e.page()
			e.down()
		default:
			commands.WriteString(line)
		}
	}
	e.shell(commands.String())
	same("after the restart")
	if out, err := e.run("found"); err == nil || !strings.Contains(out, "nothing was changed") {
		t.Errorf("a second bank is founded over the first: %v\n%s", err, out)
	}
	e.shell(`LINK=$(docker compose exec -T till specie --home /specie/till merchant offer 0.15 --order T-18 --to http://127.0.0.1:8090/pay)
specie pay --yes --kind bearer "$LINK"
`)
	want["merchant"], want["circulation"] = 100, 100
	same("after another payment")
	e.down()
	e.refusedPIN()
}

// shell runs a page's commands where the purse is. "docker compose exec" and a
// "run" with another entry point run a program as the service does.
func (e *engine) shell(commands string) {
	e.t.Helper()
	shim := "#!/bin/sh\nset -eu\nwhile case ${1:-} in compose | exec | run | -* | cat) true ;; *) false ;; esac; do shift; done\nservice=$1\nshift\n"
	shim += "case $service in\n"
	for _, name := range []string{"issuer", "till", "counter"} {
		cmd := e.command(name, "env", append([]string{"-i"}, e.environment(new(e.c.Services[name]))...)...)
		shim += name + ") "
		if name == "counter" {
			shim += "set -- cat \"$@\"; "
		}
		shim += "exec"
		for _, arg := range cmd.Args {
			shim += " '" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		shim += " \"$@\" ;;\n"
	}
	bin := filepath.Join(e.dir, "shim")
	check(e.t, errors.Join(os.MkdirAll(bin, 0o755), os.WriteFile(filepath.Join(bin, "docker"), []byte(shim+"esac\n"), 0o755)))
	cmd := exec.Command("sh", "-euc", e.address.Replace(strings.ReplaceAll(commands, "/specie/", e.specieDir()+"/")))
	cmd.Dir = e.dir
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+e.bin+":"+os.Getenv("PATH"), "SPECIE_HOME="+filepath.Join(e.dir, "alice"))
	if out, err := cmd.CombinedOutput(); err != nil {
		e.t.Fatalf("%v\n%s\n%s", err, commands, out)
	}
}

// page fails unless the till's page is where its link says.
func (e *engine) page() {
	e.t.Helper()
	link, code, _ := strings.Cut(strings.TrimSpace(string(must(os.ReadFile(e.volume("till", "desk-link")))(e.t))), "#")
	page := must(http.Get(link))(e.t)
	check(e.t, page.Body.Close())
	if page.StatusCode != http.StatusOK || code == "" {
		e.t.Errorf("the till's page at %s: %s", link, page.Status)
	}
}

func (e *engine) volume(parts ...string) string {
	return filepath.Join(append([]string{e.dir, "volumes"}, parts...)...)
}

// refusedPIN: a wrong PIN is tried once, however often the engine starts the
// signer.
func (e *engine) refusedPIN() {
	e.t.Helper()
	pin := filepath.Join(e.dir, "secrets", "bank.pin")
	right := must(os.ReadFile(pin))(e.t)
	check(e.t, errors.Join(os.Chmod(pin, 0o600), os.WriteFile(pin, []byte("000000\n"), 0o600)))
	for _, says := range []string{"PIN", "find out why"} {
		if out, err := e.run("bank-signer"); err == nil || !strings.Contains(out, says) {
			e.t.Errorf("a wrong PIN: %v\n%s", err, out)
		}
	}
	check(e.t, errors.Join(os.WriteFile(pin, right, 0o600), os.Remove(e.volume("bank-signer", "pin-refused"))))
	e.start("bank-signer")
	e.healthy("bank-signer")
}

// TestCommandsInScriptsExist: each command and flag that a script gives to a
// program is one that the program has.
func TestCommandsInScriptsExist(t *testing.T) {
	bin := programs(t)
	text := strings.ReplaceAll(string(scripts(t)), "\\\n", " ")
	text = strings.ReplaceAll(text, "\tceremony ", "\tspecie-ceremony ")
	text = regexp.MustCompile(`(?m)^ceremony `).ReplaceAllString(text, "specie-ceremony ")
	found := regexp.MustCompile(`(?m)(?:^|[\t(& ])(specie|specied|specie-ceremony) ((?:[a-z][a-z-]* )*[a-z][a-z-]*)((?: [^|&\n)]*)?)`).FindAllStringSubmatch(text, -1)
	if len(found) < 15 {
		t.Fatalf("%d commands", len(found))
	}
	for _, m := range found {
		words := strings.Fields(m[2])
		if m[1] == "specied" && words[0] == "$service" {
			continue
		}
		help, err := exec.Command(filepath.Join(bin, m[1]), append(words, "--help")...).CombinedOutput()
		if err != nil {
			t.Errorf("%s %s: %v\n%s", m[1], m[2], err, help)
		}
		for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(m[3], -1) {
			if !strings.Contains(string(help), flag) {
				t.Errorf("%s %s has no %s", m[1], m[2], flag)
			}
		}
	}
}

package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/speciecash/specie/docstest"
)

// TestDemo plays the whole demo with freshly built programs: what README
// promises is what CI runs. The box that it leaves is where README's session and
// the group manager's page are run.
func TestDemo(t *testing.T) {
	bin := t.TempDir()
	for _, p := range []string{"specie", "specied", "specie-ceremony"} {
		cmd := exec.Command("go", "build", "-o", bin+"/"+p, "../cmd/"+p)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", p, err, out)
		}
	}
	readme, manager := docstest.Read(t, "README.md"), docstest.Read(t, "docs/group-manager.md")
	if err := play(t.Context(), bin, t.TempDir(), func(s *stage) error {
		return errors.Join(s.minute(t, readme), s.loseRegister(t, manager))
	}); err != nil {
		t.Fatal(err)
	}
	wouldDo(t, readme)
	wouldDo(t, docstest.Read(t, "CONTRIBUTING.md"))
}

// wouldDo asks make what it would do: what it does is this test, and the others.
func wouldDo(t *testing.T, page *docstest.Page) {
	t.Helper()
	cmd := exec.Command("sh", "-c", "make() { command make -n -C .. \"$@\"; }\n"+page.Shell())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", page.Path, err, out)
	}
	if page.Path == "README.md" && !strings.Contains(string(out), "go run ./demo -bin bin") {
		t.Errorf("make demo is another one:\n%s", out)
	}
}

// minute plays README's session: a holder with an account and a TPM, a café
// with a till that has made two offers, and a thief with a TPM of his own.
func (s *stage) minute(t *testing.T, page *docstest.Page) error {
	const name = "Café Central"
	dir := s.box.Path("session")
	till, err := s.box.OpenTill(s.ctx, name)
	if err != nil {
		return err
	}
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Symlink(s.box.Home(name), filepath.Join(dir, "cafe")),
		os.Symlink(s.box.Path("bank", "root.pem"), filepath.Join(dir, "root.pem"))); err != nil {
		return err
	}
	for file, offer := range map[string][2]string{"lunch.link": {"12.34", "lunch"}, "coffee.link": {"2.50", "coffee"}} {
		link, err := s.box.Offer(s.ctx, name, till, offer[0], offer[1])
		if err := errors.Join(err, os.WriteFile(filepath.Join(dir, file), []byte(link), 0o600)); err != nil {
			return err
		}
	}
	account, err := s.box.Run(s.ctx, "specied", "account", "--socket", s.box.IssuerSocket(), "--name", "Alice", "--token-out", filepath.Join(dir, "alice.token"))
	if err != nil {
		return err
	}
	_, err = s.box.Run(s.ctx, "specied", "fund", "100.00", "--socket", s.box.IssuerSocket(), "--account", strings.TrimSpace(account), "--reference", "README")
	if err != nil {
		return err
	}
	hers, err := s.box.TPM(s.ctx, "hers", s.ca)
	if err != nil {
		return err
	}
	other, err := s.box.TPM(s.ctx, "other", s.ca)
	if err != nil {
		return err
	}
	page.Console(t, func(command string) string {
		cmd := exec.CommandContext(s.ctx, "sh", "-c", "exec 2>&1\n"+command)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "BANK="+s.box.IssuerURL, "GROUP="+s.box.GroupURL, "SPECIE_HOME=alice", "SPECIE_TPM="+hers, "OTHER_TPM="+other,
			"PATH="+s.box.Bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
		out, _ := cmd.Output() // what is refused is part of the record
		return strings.ReplaceAll(string(out), dir, "~")
	})
	return nil
}

// asTheManager is what stands before the page's commands: files where the page
// has them, answers to what is asked, and the daemon in the background.
const asTheManager = `
ln -sf run/group.sock run/group.db bank/root.pem .
specied() {
	what=$1; shift
	case $what in
	readmit|expel) command specied $what --yes "$@" ;;
	group) command specied group "$@" >>run/group.log 2>&1 &
		trap "kill $!; wait" EXIT
		until curl -sf $GROUP/readyz; do sleep 0.1; done ;;
	*) command specied $what "$@" ;;
	esac
}
`

// loseRegister runs the page with a register that is older, after the loss,
// than a warrant.
func (s *stage) loseRegister(t *testing.T, page *docstest.Page) error {
	daily, rest := page.Until(t, "lost")
	saved, restored := rest.Until(t, "restored")
	out, err := s.box.Run(s.ctx, "specied", "--json", "members", "--socket", s.box.GroupSocket())
	if err != nil {
		return err
	}
	var list struct{ Members []struct{ ID, State string } }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return err
	}
	if err := s.shell(t, list.Members[0].ID, daily); err != nil {
		return err
	}
	warrant, err := s.signWarrant("expel", "order of the district court", "--evidence", s.file("evidence.json"))
	if err != nil {
		return err
	}
	if _, err := s.enterWarrant("expel", warrant); err != nil {
		return err
	}
	for i, name := range []string{"warrant-alice.jws", "warrant-carol.jws"} {
		if err := os.Symlink(warrant[2*i+1], s.box.Path(name)); err != nil {
			return err
		}
	}
	if err := s.shell(t, "", saved); err != nil {
		return err
	}
	if err := s.box.Stop("group"); err != nil {
		return err
	}
	for _, end := range []string{"-wal", "-shm"} {
		if err := os.Remove(s.file("group.db" + end)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(s.box.Path("group-backup.db"), s.file("group.db")); err != nil {
		return err
	}
	return s.shell(t, "", restored)
}

func (s *stage) shell(t *testing.T, member string, page *docstest.Page) error {
	cmd := exec.CommandContext(s.ctx, "sh", "-c", asTheManager+page.Shell())
	cmd.Dir = s.box.Dir
	cmd.Env = append(append(os.Environ(), s.box.Env()...), "GROUP="+s.box.GroupURL, "MEMBER="+member,
		"PATH="+s.box.Bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	return err
}

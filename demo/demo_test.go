package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/speciecash/specie/docstest"
)

// TestDemo plays the whole demo with freshly built programs: what README
// promises is what CI runs. The box that it leaves is where the group manager's
// page is run.
func TestDemo(t *testing.T) {
	bin := t.TempDir()
	for _, p := range []string{"specie", "specied", "specie-ceremony"} {
		cmd := exec.Command("go", "build", "-o", bin+"/"+p, "../cmd/"+p)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", p, err, out)
		}
	}
	page := docstest.Read(t, "docs/group-manager.md")
	if err := play(t.Context(), bin, t.TempDir(), func(s *stage) error { return s.loseRegister(t, page) }); err != nil {
		t.Fatal(err)
	}
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

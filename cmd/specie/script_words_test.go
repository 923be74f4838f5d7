package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/speciecash/specie/sqlitefile"
)

// person answers what a program asks on a terminal.
type person struct {
	words  map[int]string // as they were shown
	secret string
	wrong  int // how often the next word is another one
	seen   []byte
}

var (
	shown    = regexp.MustCompile(`(\d+)\. ([a-z]+)`)
	askWord  = regexp.MustCompile(`: word (\d+): $`)
	askOther = regexp.MustCompile(`(PIN|passphrase|the same again)[^\n]*: $`)
)

// answer is what is typed after what was seen last, nil if nothing was asked.
func (p *person) answer() []byte {
	switch m := askWord.FindSubmatch(p.seen); {
	case bytes.HasSuffix(p.seen, []byte("(yes/no): ")):
		return []byte("yes\n")
	case m != nil && p.wrong > 0:
		p.wrong--
		return []byte("zoo\n")
	case m != nil:
		n, _ := strconv.Atoi(string(m[1]))
		return []byte(p.words[n] + "\n")
	case bytes.HasSuffix(p.seen, []byte("screen then: ")):
		for _, m := range shown.FindAllSubmatch(p.seen, -1) {
			n, _ := strconv.Atoi(string(m[1]))
			p.words[n] = string(m[2])
		}
		return []byte("\n")
	case askOther.Match(p.seen):
		return []byte(p.secret + "\n")
	}
	return nil
}

// notes runs a program with a person before it, and leaves what it wrote in the
// files "told" (standard output) and "told.err".
func notes(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, false, args, 2)
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	ts.Check(err)
	defer master.Close()
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	ts.Check(err)
	ts.Check(unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	terminal, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|syscall.O_NOCTTY, 0)
	ts.Check(err)
	program, err := exec.LookPath(args[1])
	ts.Check(err)
	cmd := exec.Command(program, args[2:]...)
	var out, told bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), terminal, &out, &told
	for _, name := range []string{"PATH", "HOME", "SPECIE_HOME", "SPECIE_TPM", "SPECIE_PASSPHRASE_FILE", "TOWN_AHEAD", "TMPDIR"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	p := &person{words: map[int]string{}, secret: ts.Getenv("SECRET")}
	p.wrong, _ = strconv.Atoi(ts.Getenv("WRONG"))
	ts.Check(cmd.Start())
	ts.Check(terminal.Close())
	all := p.talk(master)
	ended := cmd.Wait()
	ts.Check(os.WriteFile(ts.MkAbs("told"), out.Bytes(), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("told.err"), append(told.Bytes(), all...), 0o600))
	if neg && ended != nil {
		return
	}
	if neg || ended != nil {
		ts.Fatalf("%v: %s %s", ended, &told, all)
	}
	var list []string
	seen := 0
	for i := 1; i <= len(p.words); i++ {
		list = append(list, p.words[i])
		if strings.Contains(out.String()+told.String(), " "+p.words[i]+" ") {
			seen++ // "that" and "keep" are in the list, and in what a program says
		}
	}
	if seen > 4 {
		ts.Fatalf("%d words went to a stream that may be a pipe", seen)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(list, "\n")+"\n"), 0o600))
}

// talk answers until the program has ended.
func (p *person) talk(terminal *os.File) (all []byte) {
	buf := make([]byte, 4096)
	for {
		n, err := terminal.Read(buf)
		p.seen, all = append(p.seen, buf[:n]...), append(all, buf[:n]...)
		if err != nil {
			return all // EIO: nobody has the other end any more
		}
		if text := p.answer(); text != nil {
			p.seen = nil
			if _, err := terminal.Write(text); err != nil {
				return all
			}
		}
	}
}

// unseal writes a purse with a plain lock as versions before had it.
func unseal(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1)
	home := ts.MkAbs(args[0])
	path, lock := filepath.Join(home, "purse.db"), filepath.Join(home, "purse.lock")
	var l struct {
		Stanzas []struct{ Key string }
	}
	text, err := os.ReadFile(lock)
	ts.Check(err)
	ts.Check(json.Unmarshal(text, &l))
	key, err := base64.RawURLEncoding.DecodeString(l.Stanzas[0].Key)
	ts.Check(err)
	ctx := sceneOf(ts).t.Context()
	db, err := sqlitefile.OpenSealed(ctx, path, key, make([]string, 2))
	ts.Check(err)
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", "file:"+path+".old?vfs=os&reserve=0")
	ts.Check(errors.Join(err, db.Close(), os.Rename(path+".old", path), os.Remove(lock)))
}

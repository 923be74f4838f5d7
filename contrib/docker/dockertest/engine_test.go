package dockertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/speciecash/specie/ledger/postgres/pgtest"
)

// An engine runs compose.yaml's services without containers: each in a mount
// namespace with the service's volumes and secrets, and no others, at
// SPECIE_DIR, the rest read-only; as the service's user, if the test is root;
// begun with the image's entry point. It has no network namespaces: services
// that have no network there use none but the loopback here.
type engine struct {
	t       testing.TB
	c       *compose
	stages  []stage
	dir     string // volumes/, secrets/, log/ and the mount points
	bin     string
	address *strings.Replacer // of names and ports in the configuration
	users   *strings.Replacer
	pgPort  string
	running map[string]*container
	order   []string
}

type container struct {
	*exec.Cmd
	done chan struct{}
}

// specieDir is where services see their things: in the image /specie.
func (e *engine) specieDir() string { return filepath.Join(e.dir, "specie") }

func newEngine(t testing.TB) *engine {
	t.Helper()
	// Not the test's own directory, whose parents other users may not enter.
	dir := must(os.MkdirTemp("", "compose"))(t)
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	check(t, os.Chmod(dir, 0o711))
	e := &engine{t: t, c: readCompose(t), stages: readDockerfile(t), dir: dir, bin: programs(t), running: map[string]*container{}}
	for _, d := range []string{"specie", "volumes", "secrets", "ek-roots", "root", "log"} {
		check(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	for v := range e.c.Volumes {
		check(t, os.Mkdir(filepath.Join(dir, "volumes", v), 0o755))
	}
	e.ports()
	return e
}

// ports gives the services addresses on this machine.
func (e *engine) ports() {
	var pairs []string
	for name, port := range map[string]string{"issuer": "8080", "group": "8081", "till": "8090", "desk": "8091", "bank-signer": "9464", "group-signer": "9465", "postgres": "5432"} {
		free := freeAddress(e.t)
		for _, host := range []string{"0.0.0.0", "127.0.0.1", name} {
			pairs = append(pairs, host+":"+port, free)
		}
		if name == "postgres" {
			_, e.pgPort, _ = net.SplitHostPort(free)
		}
	}
	e.address = strings.NewReplacer(pairs...)
}

// environment is what a service's processes get, and no more.
func (e *engine) environment(s *service) []string {
	env := []string{"PATH=" + e.bin + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SPECIE_DIR=" + e.specieDir()}
	for _, line := range of(e.stages, s.Build.Target, "ENV") {
		env = append(env, e.address.Replace(line))
	}
	for key, value := range s.Environment {
		if strings.HasSuffix(key, "_UID") {
			value = e.uid(value)
		}
		env = append(env, key+"="+e.address.Replace(value))
	}
	return env
}

// uid is the number itself, if this test may be everybody, or root's in a
// namespace that knows nobody else.
func (e *engine) uid(number string) string {
	if os.Getuid() != 0 {
		return "0"
	}
	return number
}

// program is the service's entry point, where this tree has it.
func (e *engine) program(s *service) string {
	e.t.Helper()
	entry := s.Entrypoint
	if entry == nil {
		check(e.t, json.Unmarshal([]byte(of(e.stages, s.Build.Target, "ENTRYPOINT")[0]), &entry))
	}
	return e.script(s, entry[0])
}

// script is where a script of the image lies here.
func (e *engine) script(s *service, path string) string {
	e.t.Helper()
	from, ok := copied(e.t, e.stages, s.Build.Target)[path]
	if !ok {
		e.t.Fatalf("nothing is copied to %s", path)
	}
	here := filepath.Join(e.bin, filepath.Base(path))
	check(e.t, os.WriteFile(here, read(e.t, from), 0o755))
	return here
}

// mounting is a script that lays out what the service sees and becomes the
// program: $@.
func (e *engine) mounting(s *service) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	top, at := filepath.Join(e.dir, "root"), e.specieDir()
	line("set -eu\ncd /\nmount --rbind / %s", top)
	for _, tmpfs := range s.Tmpfs {
		path, options, _ := strings.Cut(tmpfs, ":")
		line("mount -t tmpfs -o %s tmpfs %s%s", options, top, path)
	}
	// All of this test may lie under /tmp, which is empty now.
	line("mkdir -p %s%s %s%s\nchmod 711 %s%s", top, e.bin, top, at, top, e.dir)
	line("mount --bind %s %s%s\nmount -t tmpfs -o mode=0755 tmpfs %s%s\nmkdir %s%s/secrets", e.bin, top, e.bin, top, at, top, at)
	bind := func(source, target string, file, readOnly bool) {
		target = top + at + strings.TrimPrefix(target, "/specie")
		if file {
			line("touch %s", target)
		} else {
			line("mkdir -p %s", target)
		}
		line("mount --bind %s %s", source, target)
		if readOnly {
			line("mount -o remount,bind,ro %s", target)
		}
	}
	for _, m := range s.mounts(e.t) {
		source := filepath.Join(e.dir, "volumes", m.source)
		if strings.HasPrefix(m.source, "./") {
			source = filepath.Join(e.dir, m.source)
		}
		bind(source, m.target, false, m.readOnly)
	}
	for _, secret := range s.Secrets {
		bind(filepath.Join(e.dir, e.c.Secrets[secret.Source].File), secret.Target, true, true)
	}
	line("mount -o remount,ro %s%s\nmount -o remount,bind,ro %s\ncd /", top, at, top)
	if os.Getuid() != 0 {
		line(`exec chroot %s "$@"`, top)
		return b.String()
	}
	uid, gid, _ := strings.Cut(s.User, ":")
	groups := "--clear-groups"
	if s.GroupAdd != nil {
		groups = "--groups " + strings.Join(s.GroupAdd, ",")
	}
	caps := "-all"
	for _, c := range s.CapAdd {
		caps += ",+" + strings.ToLower(c)
	}
	line(`exec chroot %s setpriv --reuid %s --regid %s %s --bounding-set %s --inh-caps -all --no-new-privs "$@"`, top, uid, gid, groups, caps)
	return b.String()
}

// command runs a program as a service does.
func (e *engine) command(name string, program string, args ...string) *exec.Cmd {
	s := e.c.Services[name]
	in := []string{"--mount"}
	if os.Getuid() != 0 {
		in = append(in, "--map-root-user")
	}
	in = append(in, "--", "sh", "-c", e.mounting(&s), "sh", program)
	cmd := exec.Command("unshare", append(in, args...)...)
	cmd.Env = e.environment(&s)
	return cmd
}

// run runs a service, or with a program another in its place, to its end.
func (e *engine) run(name string, more ...string) (string, error) {
	e.t.Helper()
	s := e.c.Services[name]
	cmd := e.command(name, e.program(&s), s.Command...)
	if more != nil {
		cmd = e.command(name, more[0], more[1:]...)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (e *engine) must(name string, more ...string) string {
	e.t.Helper()
	out, err := e.run(name, more...)
	if err != nil {
		e.t.Fatalf("%s %v: %v\n%s", name, more, err, out)
	}
	return strings.TrimSpace(out)
}

// up starts what is to run, each once all are healthy that it waits for, by
// their health checks. What ends by itself is waited for at last.
func (e *engine) up() {
	e.t.Helper()
	left := slices.DeleteFunc(sorted(e.c.Services), func(name string) bool { return e.c.Services[name].Profiles != nil })
	healthy := map[string]bool{}
	for len(left) > 0 {
		next := slices.DeleteFunc(slices.Clone(left), func(name string) bool {
			for other := range e.c.Services[name].DependsOn {
				if !healthy[other] {
					return true
				}
			}
			return false
		})
		if len(next) == 0 {
			e.t.Fatalf("they wait for each other: %v", left)
		}
		for _, name := range next {
			e.start(name)
		}
		for _, name := range next {
			if !e.c.Services[name].Healthcheck.Disable {
				e.healthy(name)
				healthy[name] = true
			}
		}
		left = slices.DeleteFunc(left, func(name string) bool { return slices.Contains(next, name) })
	}
	for name, s := range e.c.Services {
		if s.Profiles != nil || !s.Healthcheck.Disable {
			continue
		}
		select {
		case <-e.running[name].done:
		case <-time.After(30 * time.Second):
			e.t.Fatalf("%s does not end\n%s", name, e.log(name))
		}
		if !e.running[name].ProcessState.Success() {
			e.t.Fatalf("%s: %v\n%s", name, e.running[name].ProcessState, e.log(name))
		}
	}
}

func (e *engine) log(name string) string {
	b, _ := os.ReadFile(filepath.Join(e.dir, "log", name))
	return string(b)
}

func (e *engine) start(name string) {
	e.t.Helper()
	s := e.c.Services[name]
	var cmd *exec.Cmd
	if name == "postgres" {
		cmd = e.postgres(&s)
	} else {
		cmd = e.command(name, e.program(&s), s.Command...)
	}
	log := must(os.OpenFile(filepath.Join(e.dir, "log", name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600))(e.t)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	check(e.t, cmd.Start())
	c := &container{cmd, make(chan struct{})}
	go func() {
		defer close(c.done)
		_ = cmd.Wait() // ProcessState says how
	}()
	if e.running[name] == nil {
		e.order = append(e.order, name)
		e.t.Cleanup(func() {
			e.stop(name)
			if e.t.Failed() {
				e.t.Logf("%s:\n%s", name, e.log(name))
			}
		})
	}
	e.running[name] = c
}

// stop ends a service as the engine does, and returns its exit status.
func (e *engine) stop(name string) int {
	e.t.Helper()
	c := e.running[name]
	sig := syscall.SIGTERM
	if e.c.Services[name].StopSignal == "SIGINT" {
		sig = syscall.SIGINT
	}
	_ = c.Process.Signal(sig) // or it has ended
	select {
	case <-c.done:
	case <-time.After(20 * time.Second):
		_ = c.Process.Kill()
		<-c.done
		e.t.Errorf("%s does not stop when it is told to\n%s", name, e.log(name))
	}
	return c.ProcessState.ExitCode()
}

func (e *engine) down() {
	e.t.Helper()
	for _, name := range slices.Backward(e.order) {
		if status := e.stop(name); status != 0 {
			e.t.Errorf("%s: status %d\n%s", name, status, e.log(name))
		}
	}
}

// healthy waits for a service, by its health check.
func (e *engine) healthy(name string) {
	e.t.Helper()
	s := e.c.Services[name]
	test := slices.Clone(s.Healthcheck.Test[1:])
	if name == "postgres" {
		bin := must(pgtest.Bin())(e.t)
		test = append([]string{filepath.Join(bin, test[0]), "--host=127.0.0.1", "--port=" + e.pgPort}, test[1:]...)
	} else {
		test[0] = e.script(&s, test[0])
	}
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		select {
		case <-e.running[name].done:
			e.t.Fatalf("%s ended\n%s", name, e.log(name))
		default:
		}
		cmd := exec.Command(test[0], test[1:]...)
		cmd.Env = e.environment(&s)
		out, err := cmd.CombinedOutput()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			e.t.Fatalf("%s is not healthy: %v\n%s\n%s", name, err, out, e.log(name))
		}
	}
}

// postgres does what the foreign image's entry point does: makes the cluster
// once, with the arguments and the password that it is given, and becomes the
// server, as an ordinary user.
func (e *engine) postgres(s *service) *exec.Cmd {
	e.t.Helper()
	bin, data := must(pgtest.Bin())(e.t), filepath.Join(e.dir, "volumes", "database", "data")
	as := &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		u := must(user.Lookup("postgres"))(e.t)
		uid, gid := must(strconv.Atoi(u.Uid))(e.t), must(strconv.Atoi(u.Gid))(e.t)
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		check(e.t, os.Chown(filepath.Dir(data), uid, gid))
	}
	run := func(stdin, name string, args ...string) {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr, cmd.Stdin = "/", as, strings.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			e.t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	if _, err := os.Stat(data); errors.Is(err, fs.ErrNotExist) {
		password := filepath.Join(e.dir, "password") // as the server's user may read it
		secret := must(os.ReadFile(filepath.Join(e.dir, "secrets", filepath.Base(s.Environment["POSTGRES_PASSWORD_FILE"]))))(e.t)
		check(e.t, os.WriteFile(password, secret, 0o644))
		defer os.Remove(password)
		args := append([]string{"-D", data, "-U", s.Environment["POSTGRES_USER"], "--pwfile", password}, strings.Fields(s.Environment["POSTGRES_INITDB_ARGS"])...)
		run("", "initdb", args...)
		run("CREATE DATABASE "+s.Environment["POSTGRES_DB"]+";\n", "postgres", "--single", "-D", data, "postgres")
	}
	cmd := exec.Command(filepath.Join(bin, s.Command[0]), append(slices.Clone(s.Command[1:]), "-D", data, "-h", "127.0.0.1", "-p", e.pgPort, "-k", "")...)
	cmd.Dir, cmd.SysProcAttr = "/", as
	return cmd
}
